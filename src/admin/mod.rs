//! What a person, a dashboard or a load balancer sees of a running broker over HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! *Lives on: control. Talks by: [`Query`] messages to whoever runs the shards, who answers each with a [`Report`].* Nothing here
//! runs on a shard: a scrape costs the data path one copy of its counters.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

// What is asked for.
mod report;
pub use report::{BrokerState, ClusterGauges, Report};

// What the operating system says of this process.
mod process;

// Every metric there is: the text and the documentation derive from it.
pub mod catalogue;

// How metrics are written.
mod exposition;

// How many may ask at once.
mod limit;

/// Questions that may wait at once; one more is answered with 503.
pub const QUERIES_MAX: usize = 16;
/// Connections that may be open at once; one more waits to be accepted.
pub const CONNECTIONS_MAX: usize = 64;
/// How long an answer may take before it is 503.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// What the endpoint asks of the process.
#[derive(Debug)]
pub enum Query {
    /// All numbers. The shards are asked for theirs.
    Report(oneshot::Sender<Report>),
    /// Whether clients are served; else why not yet, or no more, in a few words.
    Ready(oneshot::Sender<Result<(), String>>),
}

/// Answers HTTP on `listener` until the future is dropped. `queries` goes to the control loop; it should hold [`QUERIES_MAX`].
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, queries: mpsc::Sender<Query>) -> io::Result<()> {
    axum::serve(limit::Limited::new(listener, CONNECTIONS_MAX), router(queries)).await
}

fn router(queries: mpsc::Sender<Query>) -> Router {
    Router::new()
        .route("/", get(async || "ottla\n\n/metrics  Prometheus metrics\n/healthz  is the process alive\n/readyz   are clients served\n"))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"))
        .with_state(queries)
}

async fn metrics(State(queries): State<mpsc::Sender<Query>>) -> Response {
    match ask(&queries, Query::Report).await {
        Some(report) => {
            let text = exposition::render(&report);
            ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response()
        }
        None => unavailable("the broker did not answer in time"),
    }
}

/// Alive when the control loop answers at all: what it answers does not matter.
async fn health(State(queries): State<mpsc::Sender<Query>>) -> Response {
    match ask(&queries, Query::Ready).await {
        Some(_) => "ok\n".into_response(),
        None => unavailable("the control loop did not answer in time"),
    }
}

async fn ready(State(queries): State<mpsc::Sender<Query>>) -> Response {
    match ask(&queries, Query::Ready).await {
        Some(Ok(())) => "ready\n".into_response(),
        Some(Err(why)) => unavailable(&why),
        None => unavailable("the control loop did not answer in time"),
    }
}

async fn ask<T>(queries: &mpsc::Sender<Query>, query: fn(oneshot::Sender<T>) -> Query) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    queries.try_send(query(reply)).ok()?;
    tokio::time::timeout(ANSWER_TIME_MAX, answer).await.ok()?.ok()
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

#[cfg(test)]
mod tests;
