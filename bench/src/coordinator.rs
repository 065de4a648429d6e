//! Finding who coordinates a group or a transactional producer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;

use crate::connection::{Connection, resolve};
use crate::error::{BenchError, Result};

/// Kafka's codes that mean "the coordinator is not ready".
pub const NOT_READY: [i16; 3] = [14, 15, 16];
/// How long a coordinator may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked for meanwhile.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// What is coordinated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transactions = 1,
}

/// A connection to the coordinator of a group or transactional id.
///
/// # Errors
/// [`BenchError::Refused`], those of the connection.
pub fn connect(bootstrap: SocketAddr, of: Of, key: &str) -> Result<Connection> {
    let key = StrBytes::from_string(key.to_owned());
    let request = FindCoordinatorRequest::default().with_key(key).with_key_type(of as i8);
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let answer = Connection::open(bootstrap)?.call(3, &request)?;
        if answer.error_code == 0 {
            return Connection::open(resolve(&format!("{}:{}", answer.host, answer.port))?);
        }
        if !NOT_READY.contains(&answer.error_code) || Instant::now() > deadline {
            return Err(BenchError::Refused { api: "FindCoordinator", code: answer.error_code });
        }
        std::thread::sleep(RETRY_EVERY);
    }
}
