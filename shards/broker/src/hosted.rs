//! The partitions that a shard owns.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ottla_batch::{Depth, TimestampType};
use ottla_cluster::config::{TimestampType as TimestampSetting, TopicSettings};
use ottla_cluster::{ById, Topic};
use ottla_partition::{AppendError, Partition, Rules};
use ottla_reactor::Semaphore;
use ottla_storage::{LogImage, LogSettings, LogSpec};
use ottla_units::{ErrorCode, LeaderEpoch, PartitionIndex, TopicId, TopicPartition};

use crate::metrics::Traffic;
use crate::seldom::Seldom;
use crate::shard::Shard;

type ByKey<T> = HashMap<TopicPartition, T, ById>;

/// A partition with what the broker knows about it.
pub(crate) struct Host {
    pub(crate) partition: Rc<Partition>,
    pub(crate) rules: Cell<Rules>,
    /// Whether each append is to be flushed before it is acknowledged, whatever `acks` asks (`flush.messages=1`,
    /// `flush.ms=0`).
    pub(crate) flush_each: Cell<bool>,
    pub(crate) topic: Arc<str>,
    pub(crate) traffic: Rc<Traffic>,
    pub(crate) append_failures: Seldom,
    pub(crate) read_failures: Seldom,
}

/// The partitions of each topic, by their number: a request for many finds them one behind the other in memory.
#[derive(Default)]
struct Open(HashMap<TopicId, OfTopic, ById>);

#[derive(Default)]
struct OfTopic {
    hosts: Vec<Option<Rc<Host>>>,
    /// How many are there.
    count: usize,
}

impl Open {
    #[inline]
    fn get(&self, key: TopicPartition) -> Option<&Rc<Host>> {
        self.0.get(&key.topic)?.hosts.get(Open::place(key)?)?.as_ref()
    }

    fn insert(&mut self, key: TopicPartition, host: Rc<Host>) {
        let Some(place) = Open::place(key) else { return };
        let OfTopic { hosts, count } = self.0.entry(key.topic).or_default();
        if hosts.len() <= place {
            hosts.resize(place + 1, None);
        }
        *count += usize::from(hosts[place].replace(host).is_none());
    }

    fn remove(&mut self, key: TopicPartition) -> Option<Rc<Host>> {
        let OfTopic { hosts, count } = self.0.get_mut(&key.topic)?;
        let host = hosts.get_mut(Open::place(key)?)?.take()?;
        *count -= 1;
        if *count == 0 {
            self.0.remove(&key.topic);
        }
        Some(host)
    }

    fn iter(&self) -> impl Iterator<Item = (TopicPartition, &Rc<Host>)> {
        self.0.iter().flat_map(|(topic, of_topic)| {
            (0..).zip(&of_topic.hosts).filter_map(|(index, host)| {
                Some((TopicPartition::new(*topic, PartitionIndex::new(index)), host.as_ref()?))
            })
        })
    }

    fn place(key: TopicPartition) -> Option<usize> {
        usize::try_from(key.partition.get()).ok()
    }
}

/// All of a shard's partitions.
///
/// *Lives on:* each shard.
pub(crate) struct Hosts {
    open: RefCell<Open>,
    /// What recovery found, until the partition is opened.
    recovered: RefCell<HashMap<TopicPartition, LogImage>>,
    /// Partitions that could not be opened, and their topics' names.
    failed: RefCell<ByKey<Arc<str>>>,
    /// Appends go one request at a time, so that one who waits for room keeps its place.
    pub(crate) append_turn: Semaphore,
}

impl Default for Hosts {
    fn default() -> Hosts {
        Hosts {
            open: RefCell::default(),
            recovered: RefCell::default(),
            failed: RefCell::default(),
            append_turn: Semaphore::new(1),
        }
    }
}

impl Hosts {
    /// One partition, if this shard has it.
    pub(crate) fn get(&self, key: TopicPartition) -> Option<Rc<Host>> {
        self.open.borrow().get(key).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(TopicPartition, Rc<Host>)> {
        self.open.borrow().iter().map(|(key, host)| (key, Rc::clone(host))).collect()
    }

    /// Those that could not be opened, with their topics' names.
    pub(crate) fn failed(&self) -> Vec<(TopicPartition, Arc<str>)> {
        self.failed.borrow().iter().map(|(key, topic)| (*key, Arc::clone(topic))).collect()
    }

    /// What is answered for a partition that this shard should have and has not: it could not be opened, or is not there.
    pub(crate) fn missing(&self, key: TopicPartition) -> ErrorCode {
        if self.failed.borrow().contains_key(&key) {
            ErrorCode::KafkaStorageError
        } else {
            ErrorCode::UnknownTopicOrPartition
        }
    }

    /// As [`Hosts::missing`], for an append.
    pub(crate) fn missing_append(&self, key: TopicPartition) -> AppendError {
        if self.failed.borrow().contains_key(&key) { AppendError::Unopened } else { AppendError::Deleted }
    }

    /// Keeps what recovery found for the partitions that are about to be opened.
    pub(crate) fn recovered(&self, logs: HashMap<TopicPartition, LogImage>) {
        *self.recovered.borrow_mut() = logs;
    }

    /// Nothing more of it will be opened.
    pub(crate) fn all_recovered(&self) {
        let left = self.recovered.take();
        if !left.is_empty() {
            tracing::warn!(partitions = left.len(), "recovered partitions belong to no topic");
        }
    }

    /// Opens a partition.
    pub(crate) async fn open(&self, shard: &Rc<Shard>, topic: &Arc<Topic>, key: TopicPartition) {
        let settings = shard.settings().topics.with(&topic.overrides);
        let found = self.recovered.borrow_mut().remove(&key);
        let spec = LogSpec { key, topic: topic.name.to_string() };
        let rules = rules(shard, &settings, topic);
        let log = shard.store.open_log(&spec, found, log_settings(&settings, key));
        let epoch = topic.partition(key.partition).map_or(LeaderEpoch::ZERO, |partition| partition.leader_epoch);
        match Partition::open(shard.store.clone(), log, epoch, ottla_reactor::wall_clock()).await {
            Ok(partition) => {
                let host = Host {
                    partition,
                    rules: Cell::new(rules),
                    flush_each: Cell::new(flush_each(&settings)),
                    topic: Arc::clone(&topic.name),
                    traffic: shard.metrics.topic(&topic.name),
                    append_failures: Seldom::default(),
                    read_failures: Seldom::default(),
                };
                self.open.borrow_mut().insert(key, Rc::new(host));
            }
            Err(error) => {
                tracing::error!(topic = %topic.name, partition = %key.partition, %error, "a partition cannot be opened");
                self.failed.borrow_mut().insert(key, Arc::clone(&topic.name));
            }
        }
    }

    /// Gives the topic's partitions here the settings that it has now.
    pub(crate) fn configure(&self, shard: &Rc<Shard>, topic: &Arc<Topic>) {
        let mut settings = None;
        for (index, _) in topic.indexed() {
            let key = TopicPartition::new(topic.id, index);
            if shard.owner(key) != shard.id {
                continue;
            }
            let Some(host) = self.get(key) else { continue };
            let settings = settings.get_or_insert_with(|| shard.settings().topics.with(&topic.overrides));
            host.rules.set(rules(shard, settings, topic));
            host.flush_each.set(flush_each(settings));
            host.partition.log().set_settings(log_settings(settings, key));
        }
    }

    /// Closes a partition whose topic is deleted, and removes its log.
    pub(crate) async fn close(&self, shard: &Rc<Shard>, key: TopicPartition) {
        self.failed.borrow_mut().remove(&key);
        let Some(host) = self.open.borrow_mut().remove(key) else { return };
        host.partition.close();
        if let Err(error) = shard.store.delete_log(key).await {
            tracing::error!(topic = %host.topic, partition = %key.partition, %error, "a deleted partition's files are left");
        }
    }

    /// Refuses appends and ends all waiting fetches: they answer with what there is.
    pub(crate) fn close_all(&self) {
        for (_, host) in self.all() {
            host.partition.close();
        }
    }
}

fn flush_each(settings: &TopicSettings) -> bool {
    settings.flush_messages == Some(1) || settings.flush_interval == Some(std::time::Duration::ZERO)
}

fn rules(shard: &Shard, settings: &TopicSettings, topic: &Topic) -> Rules {
    let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    Rules {
        max_message_bytes: settings.max_message_bytes as usize,
        timestamp_type: match settings.timestamp_type {
            TimestampSetting::CreateTime => TimestampType::CreateTime,
            TimestampSetting::LogAppendTime => TimestampType::LogAppendTime,
        },
        before_max_ms: settings.timestamp_before_max_ms,
        after_max_ms: settings.timestamp_after_max_ms,
        compaction: settings.cleanup.compact,
        min_insync_replicas: settings.min_insync_replicas.min(u32::try_from(replicas).unwrap_or(u32::MAX)),
        segment_bytes: u64::from(settings.segment_bytes),
        depth: Depth::AllRecords,
        producer_expiration_ms: i64::try_from(shard.settings().producers.expiration.as_millis()).unwrap_or(i64::MAX),
    }
}

fn log_settings(settings: &TopicSettings, key: TopicPartition) -> LogSettings {
    let age = i64::try_from(settings.segment_age.as_millis()).unwrap_or(i64::MAX);
    let jitter = i64::try_from(settings.segment_jitter.as_millis()).unwrap_or(0);
    // Every log has its own share of the jitter, the same at every start.
    let share = if jitter > 0 {
        (u128::from_be_bytes(key.topic.to_bytes()) as i64 ^ i64::from(key.partition.get())).rem_euclid(jitter)
    } else {
        0
    };
    LogSettings {
        segment_bytes: u64::from(settings.segment_bytes),
        segment_ms: age.saturating_sub(share),
        segment_index_bytes: settings.segment_index_bytes,
        index_interval_bytes: settings.index_interval_bytes,
    }
}
