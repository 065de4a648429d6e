use std::collections::{BTreeMap, HashMap};

use ottla_broker::metrics::{GroupGauges, PartitionGauges, Snapshot, TopicSnapshot};

/// Every number of the process at one moment: what the metrics are computed from.
#[derive(Clone, Debug)]
pub struct Report {
    /// What each shard counted.
    pub shards: Vec<Snapshot>,
    /// What the controller knows.
    pub cluster: ClusterGauges,
}

/// What the controller knows.
#[derive(Clone, Debug)]
pub struct ClusterGauges {
    /// This cluster's id.
    pub cluster_id: String,
    /// This broker's id.
    pub node_id: i32,
    /// What this broker is doing.
    pub state: BrokerState,
    /// Brokers that are registered.
    pub brokers: u64,
    /// Topics, internal ones included.
    pub topics: u64,
    /// Partitions, of internal topics included.
    pub partitions: u64,
}

/// What a broker is doing (`org.apache.kafka.metadata.BrokerState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokerState {
    /// Not started yet.
    NotRunning,
    /// Reading its logs.
    Recovery,
    /// Serving.
    Running,
    /// Stopping.
    ShuttingDown,
}

impl BrokerState {
    /// Kafka's number for it.
    pub const fn code(self) -> i64 {
        match self {
            BrokerState::NotRunning => 0,
            BrokerState::Recovery => 2,
            BrokerState::Running => 3,
            BrokerState::ShuttingDown => 7,
        }
    }
}

impl Report {
    /// Every partition, whichever shard owns it.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &PartitionGauges> {
        self.shards.iter().flat_map(|shard| &shard.partitions)
    }

    /// Every group, whichever shard coordinates it.
    pub(super) fn groups(&self) -> impl Iterator<Item = &GroupGauges> {
        self.shards.iter().flat_map(|shard| &shard.groups)
    }

    /// One number of every topic's traffic, the shards' parts added up.
    pub(super) fn by_topic(&self, number: fn(&TopicSnapshot) -> u64) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for topic in self.shards.iter().flat_map(|shard| &shard.topics) {
            *sums.entry(&*topic.topic).or_insert(0) += number(topic);
        }
        sums
    }

    /// How many partitions each topic has here.
    pub(super) fn partition_counts(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for partition in self.partitions() {
            *counts.entry(&*partition.topic).or_insert(0) += 1;
        }
        counts
    }

    /// Every offset that a group committed, with what is behind it.
    pub(super) fn committed(&self) -> Vec<Committed<'_>> {
        let places = self.partitions().map(|place| ((&*place.topic, place.partition), place.high_watermark));
        let ends: HashMap<(&str, i32), i64> = places.collect();
        let commits = self.groups().flat_map(|group| group.committed.iter().map(move |commit| (group, commit)));
        let with_lag = commits.map(|(group, (topic, partition, offset))| {
            let end = ends.get(&(&**topic, *partition));
            let lag = end.map(|end| (end - offset).max(0));
            Committed { group: &group.group, topic, partition: *partition, offset: *offset, lag }
        });
        with_lag.collect()
    }
}

/// An offset that a group committed.
pub(super) struct Committed<'a> {
    pub(super) group: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    /// The next offset that it reads.
    pub(super) offset: i64,
    /// Records from there on; none for a partition that is not there.
    pub(super) lag: Option<i64>,
}
