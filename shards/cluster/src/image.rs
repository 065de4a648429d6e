use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_units::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId, TopicPartition};

use crate::table::{ById, Table};

/// The topic in which groups keep their offsets and members.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic in which transactions keep their state.
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// Settings that differ from the level below: key to value, in the keys' order.
pub type Overrides = BTreeMap<String, String>;

/// One place where a broker takes connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The listener's name, as `PLAINTEXT`.
    pub name: Arc<str>,
    /// The host that clients are told (`advertised.listeners`).
    pub host: Arc<str>,
    /// The port that clients are told.
    pub port: u16,
}

/// A broker as its registration says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    /// Its `node.id`.
    pub id: BrokerId,
    /// Where clients reach it; the first is the default.
    pub listeners: Vec<Listener>,
    /// `broker.rack`.
    pub rack: Option<Arc<str>>,
    /// Whether it must not lead: known, but not ready.
    pub fenced: bool,
}

impl Broker {
    /// The listener with this name, else the first.
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| &*listener.name == name).or(self.listeners.first())
    }
}

/// Who has one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Who takes its writes; `None` when nobody can.
    pub leader: Option<BrokerId>,
    /// Goes up by one with every change of leader.
    pub leader_epoch: LeaderEpoch,
    /// Everybody who should have it, the preferred leader first.
    pub replicas: Arc<[BrokerId]>,
    /// Those of the replicas who have everything that was acknowledged.
    pub isr: Arc<[BrokerId]>,
}

/// A topic, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions from 0 on, without gaps.
    pub partitions: Vec<Partition>,
    /// Its own settings (source `DYNAMIC_TOPIC_CONFIG`).
    pub overrides: Arc<Overrides>,
}

impl Topic {
    /// One of its partitions.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.get()).ok()?)
    }

    /// Its partitions with their numbers.
    pub fn indexed(&self) -> impl Iterator<Item = (PartitionIndex, &Partition)> {
        (0..).map(PartitionIndex::new).zip(&self.partitions)
    }

    /// Whether the cluster itself writes it (`Topic.isInternal`).
    pub fn is_internal(&self) -> bool {
        crate::name::is_internal(&self.name)
    }
}

/// Whose settings are meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Resource {
    /// A topic by its name.
    Topic(String),
    /// One broker.
    Broker(BrokerId),
    /// All brokers that say nothing else: the broker resource with the empty name.
    BrokerDefault,
    /// A group; it need not exist.
    Group(String),
    /// A subscription to clients' metrics (KIP-714).
    ClientMetrics(String),
}

/// The cluster's state after some number of records. A clone shares everything with the original; changing the clone
/// copies only what it touches.
///
/// *Lives on: control thread (the newest) and each shard (the one it was last sent), behind an `Arc`.*
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Image {
    pub(crate) cluster_id: Arc<str>,
    pub(crate) brokers: Arc<BTreeMap<BrokerId, Broker>>,
    pub(crate) by_id: Table<TopicId, Arc<Topic>, ById>,
    pub(crate) by_name: Table<Arc<str>, Arc<Topic>>,
    /// Names that hold `.` or `_`, by the name under which they are one.
    pub(crate) by_unified: Table<Arc<str>, Arc<str>>,
    pub(crate) partitions: usize,
    pub(crate) overrides: Arc<BTreeMap<Resource, Arc<Overrides>>>,
    pub(crate) next_producer_id: i64,
    pub(crate) empty: Arc<Overrides>,
}

impl Image {
    /// The cluster's id, as clients are told it.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Every registered broker, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values()
    }

    /// One broker.
    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&id)
    }

    /// Whether a broker is registered and may lead.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.broker(id).is_some_and(|broker| !broker.fenced)
    }

    /// The broker that clients are told is the controller: any that lives will do, as with KRaft.
    pub fn controller(&self) -> Option<BrokerId> {
        self.brokers().find(|broker| !broker.fenced).map(|broker| broker.id)
    }

    /// A topic by its id.
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// A topic by its name.
    pub fn topic_named(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// One partition.
    pub fn partition(&self, key: TopicPartition) -> Option<&Partition> {
        self.topic(key.topic)?.partition(key.partition)
    }

    /// Every topic, in no order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_id.iter().map(|(_, topic)| topic)
    }

    /// Every topic by name: sorts, so not for the data path.
    pub fn topics_sorted(&self) -> Vec<&Arc<Topic>> {
        let mut topics: Vec<_> = self.topics().collect();
        topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.by_id.len()
    }

    /// How many partitions all topics have together.
    pub fn partition_count(&self) -> usize {
        self.partitions
    }

    /// The settings that are set on a resource itself; empty when it has none or does not exist.
    pub fn overrides(&self, resource: &Resource) -> &Arc<Overrides> {
        match resource {
            Resource::Topic(name) => self.topic_named(name).map_or(&self.empty, |topic| &topic.overrides),
            other => self.overrides.get(other).unwrap_or(&self.empty),
        }
    }

    /// Every resource but topics that has settings of its own.
    pub fn resources(&self) -> impl ExactSizeIterator<Item = (&Resource, &Arc<Overrides>)> {
        self.overrides.iter()
    }

    /// The first producer id that was never given away.
    pub fn next_producer_id(&self) -> ProducerId {
        ProducerId::new(self.next_producer_id)
    }

    /// An existing topic whose name differs from `name` in `.` and `_` at most.
    pub(crate) fn colliding(&self, name: &str) -> Option<&Arc<str>> {
        self.by_unified.get(crate::name::unified(name).as_str())
    }

    /// The topics that are not the same in `newer`: as they are here (`None`: created) and there (`None`: deleted), the
    /// deleted ones first, because a new one may have the name of one of them.
    /// Looks only at what was touched, so a small change is cheap however many topics there are.
    pub fn topics_changed<'a>(
        &'a self,
        newer: &'a Image,
    ) -> impl Iterator<Item = (Option<&'a Arc<Topic>>, Option<&'a Arc<Topic>>)> {
        let gone = self.by_id.changed(&newer.by_id).flat_map(|(old, new)| {
            old.iter().filter(|(id, _)| !new.contains_key(id)).map(|(_, topic)| (Some(topic), None))
        });
        let there = self.by_id.changed(&newer.by_id).flat_map(|(old, new)| {
            new.iter().filter_map(|(id, topic)| match old.get(id) {
                Some(before) if Arc::ptr_eq(before, topic) => None,
                before => Some((before, Some(topic))),
            })
        });
        gone.chain(there)
    }
}
