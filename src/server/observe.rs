use std::sync::Arc;

use ottla_broker::{Letter, Letterboxes};
use ottla_cluster::Image;
use tokio::sync::{mpsc, oneshot, watch};

use crate::admin::{BrokerState, ClusterGauges, Query, Report};

/// Answers what the admin endpoint asks, for as long as it asks.
pub(super) async fn answer(
    mut queries: mpsc::Receiver<Query>,
    letterboxes: Letterboxes,
    image: watch::Receiver<Arc<Image>>,
) {
    while let Some(query) = queries.recv().await {
        match query {
            Query::Ready(answer) => drop(answer.send(Ok(()))),
            Query::Report(answer) => {
                let image = Arc::clone(&image.borrow());
                let letterboxes = letterboxes.clone();
                tokio::spawn(async move { drop(answer.send(report(letterboxes, &image).await)) });
            }
        }
    }
    // No endpoint, no questions: this is not a reason to end.
    std::future::pending().await
}

async fn report(letterboxes: Letterboxes, image: &Image) -> Report {
    let mut asked = Vec::with_capacity(letterboxes.len());
    for letterbox in &letterboxes {
        let (done, snapshot) = oneshot::channel();
        if letterbox.post(Letter::Scrape(Box::new(move |copy| drop(done.send(copy))))).is_ok() {
            asked.push(snapshot);
        }
    }
    let mut shards = Vec::with_capacity(asked.len());
    for snapshot in asked {
        shards.extend(snapshot.await);
    }
    let cluster = ClusterGauges {
        cluster_id: image.cluster_id().to_owned(),
        node_id: image.controller().map_or(-1, |id| id.get()),
        state: BrokerState::Running,
        brokers: image.brokers().count() as u64,
        topics: image.topic_count() as u64,
        partitions: image.partition_count() as u64,
    };
    Report { shards, cluster }
}
