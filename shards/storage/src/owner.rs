//! The small text files in a partition's folder: whose it is, and its leaderships.

use ottla_units::TopicId;

/// Kafka's file that names the topic's id (`org.apache.kafka.storage.internals.checkpoint.PartitionMetadataFile`).
pub(crate) const FILE: &str = "partition.metadata";
/// Kafka's file of leaderships.
pub(crate) const EPOCHS_FILE: &str = "leader-epoch-checkpoint";

/// The content of `partition.metadata`.
pub(crate) fn to_file(topic: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic}")
}

/// Whether `text` names `topic`; `None` when it names nothing.
pub(crate) fn names(text: &str, topic: TopicId) -> Option<bool> {
    id(text).map(|id| id == topic.to_string())
}

/// The topic that `text` names.
pub(crate) fn topic(text: &str) -> Option<TopicId> {
    TopicId::parse(id(text)?)
}

fn id(text: &str) -> Option<&str> {
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"))?.trim();
    (!id.is_empty()).then_some(id)
}
