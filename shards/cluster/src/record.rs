use std::sync::Arc;

use ottla_units::{BrokerId, LeaderEpoch, TopicId};
use rkyv::{Archive, Deserialize, Serialize};

use crate::image::{Broker, Image, Listener, Overrides, Partition, Resource, Topic};
use crate::name;

/// One change of the image. This is the disk format: variants are only ever added at the end, fields never change.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum Record {
    /// The cluster has this id; the first record of all.
    Cluster {
        /// 22 characters of URL-safe base64.
        id: String,
    },
    /// A broker is registered, or registered anew.
    Broker {
        /// Its `node.id`.
        id: i32,
        /// Name, host and port of each listener.
        listeners: Vec<(String, String, u16)>,
        /// Its rack.
        rack: Option<String>,
        /// Whether it must not lead.
        fenced: bool,
    },
    /// A topic exists, with no partitions yet.
    Topic {
        /// Its identity.
        id: [u8; 16],
        /// Its name.
        name: String,
    },
    /// A partition is as follows. A new one has the number after the topic's last.
    Partition {
        /// Its topic.
        topic: [u8; 16],
        /// Its number.
        index: i32,
        /// Who leads it; −1: nobody.
        leader: i32,
        /// Under which epoch.
        leader_epoch: i32,
        /// Who should have it.
        replicas: Vec<i32>,
        /// Who has all of it.
        isr: Vec<i32>,
    },
    /// A topic, its partitions and its settings are no more.
    TopicRemoved {
        /// Its identity.
        id: [u8; 16],
    },
    /// A setting has a value, or (none) no longer one of its own.
    Config {
        /// Whose.
        target: ConfigTarget,
        /// Its key.
        key: String,
        /// Its value.
        value: Option<String>,
    },
    /// Producer ids below this one are given away.
    ProducerIds {
        /// The first free one.
        next: i64,
    },
}

/// An archive's places follow from this size: a variant that would be larger boxes its fields, else older files could no
/// longer be read.
const _: () = assert!(size_of::<ArchivedRecord>() == 48 && size_of::<ArchivedConfigTarget>() == 20);

/// Whose setting a [`Record::Config`] is: [`Resource`] as it lies on disk.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum ConfigTarget {
    /// A topic, by id: a topic's settings go with it.
    Topic([u8; 16]),
    /// One broker.
    Broker(i32),
    /// All brokers.
    BrokerDefault,
    /// A group.
    Group(String),
    /// A subscription to clients' metrics.
    ClientMetrics(String),
}

/// A record that does not fit the image: the log is not what a controller wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ApplyError {
    /// It names a topic that does not exist.
    UnknownTopic(TopicId),
    /// A topic of this name, or with this id, exists already.
    DuplicateTopic(String),
    /// Its partition is not the topic's next one nor an existing one.
    PartitionGap {
        /// The topic.
        topic: TopicId,
        /// The number in the record.
        index: i32,
    },
    /// Producer ids may only go up.
    ProducerIdsBackwards {
        /// The first free one as it was.
        from: i64,
        /// As the record has it.
        to: i64,
    },
}

impl std::fmt::Display for ApplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ApplyError::UnknownTopic(id) => write!(f, "record for topic {id}, which does not exist"),
            ApplyError::DuplicateTopic(name) => write!(f, "topic {name} is created twice"),
            ApplyError::PartitionGap { topic, index } => write!(f, "partition {index} of topic {topic} leaves a gap"),
            ApplyError::ProducerIdsBackwards { from, to } => write!(f, "producer ids go back from {from} to {to}"),
        }
    }
}

impl std::error::Error for ApplyError {}

impl Image {
    /// Changes the image by one record.
    ///
    /// # Errors
    /// The record does not fit; the image is then as it was.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        match record {
            Record::Cluster { id } => self.cluster_id = Arc::from(id.as_str()),
            Record::Broker { id, listeners, rack, fenced } => {
                let broker = Broker {
                    id: BrokerId::new(*id),
                    listeners: listeners.iter().map(listener).collect(),
                    rack: rack.as_deref().map(Arc::from),
                    fenced: *fenced,
                };
                Arc::make_mut(&mut self.brokers).insert(broker.id, broker);
            }
            Record::Topic { id, name } => return self.add_topic(TopicId::from_bytes(*id), name),
            Record::Partition { topic, index, leader, leader_epoch, replicas, isr } => {
                let replicas = broker_ids(replicas);
                let partition = Partition {
                    leader: (*leader >= 0).then(|| BrokerId::new(*leader)),
                    leader_epoch: LeaderEpoch::new(*leader_epoch),
                    isr: shared_if_same(&replicas, isr),
                    replicas,
                };
                return self.set_partition(TopicId::from_bytes(*topic), *index, partition);
            }
            Record::TopicRemoved { id } => return self.remove_topic(TopicId::from_bytes(*id)),
            Record::Config { target, key, value } => return self.set_config(target, key, value.as_deref()),
            Record::ProducerIds { next } => {
                if *next < self.next_producer_id {
                    return Err(ApplyError::ProducerIdsBackwards { from: self.next_producer_id, to: *next });
                }
                self.next_producer_id = *next;
            }
        }
        Ok(())
    }

    /// Changes the image by records in order.
    ///
    /// # Errors
    /// The first record that does not fit; the image then holds what came before it.
    pub fn apply_all<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<(), ApplyError> {
        records.into_iter().try_for_each(|record| self.apply(record))
    }

    /// Records that make this image out of an empty one.
    pub fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::Cluster { id: self.cluster_id.to_string() }];
        records.extend(self.brokers().map(broker_record));
        records.push(Record::ProducerIds { next: self.next_producer_id });
        for topic in self.topics_sorted() {
            topic_records(topic, &mut records);
        }
        for (resource, overrides) in self.overrides.iter() {
            let target = match resource {
                Resource::Broker(id) => ConfigTarget::Broker(id.get()),
                Resource::BrokerDefault => ConfigTarget::BrokerDefault,
                Resource::Group(name) => ConfigTarget::Group(name.clone()),
                Resource::ClientMetrics(name) => ConfigTarget::ClientMetrics(name.clone()),
                // A topic's settings lie in the topic.
                Resource::Topic(_) => continue,
            };
            config_records(&target, overrides, &mut records);
        }
        records
    }

    fn add_topic(&mut self, id: TopicId, name: &str) -> Result<(), ApplyError> {
        if self.by_id.get(&id).is_some() || self.by_name.get(name).is_some() {
            return Err(ApplyError::DuplicateTopic(name.to_owned()));
        }
        let name: Arc<str> = Arc::from(name);
        if name::has_collision_chars(&name) {
            self.by_unified.insert(Arc::from(name::unified(&name)), name.clone());
        }
        let overrides = self.empty.clone();
        let topic = Arc::new(Topic { id, name: name.clone(), partitions: Vec::new(), overrides });
        self.by_id.insert(id, topic.clone());
        self.by_name.insert(name, topic);
        Ok(())
    }

    fn set_partition(&mut self, id: TopicId, index: i32, mut partition: Partition) -> Result<(), ApplyError> {
        let gap = ApplyError::PartitionGap { topic: id, index };
        let place = usize::try_from(index).map_err(|_| gap.clone())?;
        let count = self.topic(id).ok_or(ApplyError::UnknownTopic(id))?.partitions.len();
        if place > count {
            return Err(gap);
        }
        self.partitions += usize::from(place == count);
        self.change_topic(id, |topic| {
            share_replicas(topic, &mut partition);
            match topic.partitions.get_mut(place) {
                Some(existing) => *existing = partition,
                None => topic.partitions.push(partition),
            }
        })
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), ApplyError> {
        let topic = self.by_id.remove(&id).ok_or(ApplyError::UnknownTopic(id))?;
        self.by_name.remove(&*topic.name);
        self.partitions -= topic.partitions.len();
        let unified = name::unified(&topic.name);
        // Names that collide cannot be created, so at most one lies under each.
        if self.by_unified.get(unified.as_str()) == Some(&topic.name) {
            self.by_unified.remove(unified.as_str());
        }
        Ok(())
    }

    fn set_config(&mut self, target: &ConfigTarget, key: &str, value: Option<&str>) -> Result<(), ApplyError> {
        let resource = match target {
            ConfigTarget::Topic(id) => {
                let id = TopicId::from_bytes(*id);
                return self.change_topic(id, |topic| set(&mut topic.overrides, key, value));
            }
            ConfigTarget::Broker(id) => Resource::Broker(BrokerId::new(*id)),
            ConfigTarget::BrokerDefault => Resource::BrokerDefault,
            ConfigTarget::Group(name) => Resource::Group(name.clone()),
            ConfigTarget::ClientMetrics(name) => Resource::ClientMetrics(name.clone()),
        };
        let all = Arc::make_mut(&mut self.overrides);
        let overrides = all.entry(resource.clone()).or_default();
        set(overrides, key, value);
        if overrides.is_empty() {
            all.remove(&resource);
        }
        Ok(())
    }

    /// Replaces a topic, in both tables, by a changed one.
    fn change_topic(&mut self, id: TopicId, change: impl FnOnce(&mut Topic)) -> Result<(), ApplyError> {
        let mut topic = self.by_id.remove(&id).ok_or(ApplyError::UnknownTopic(id))?;
        // Out of both tables first: while nobody else holds the topic, it is changed in place.
        self.by_name.remove(&*topic.name);
        change(Arc::make_mut(&mut topic));
        self.by_name.insert(topic.name.clone(), topic.clone());
        self.by_id.insert(id, topic);
        Ok(())
    }
}

fn set(overrides: &mut Arc<Overrides>, key: &str, value: Option<&str>) {
    let overrides = Arc::make_mut(overrides);
    match value {
        Some(value) => overrides.insert(key.to_owned(), value.to_owned()),
        None => overrides.remove(key),
    };
}

fn listener((name, host, port): &(String, String, u16)) -> Listener {
    Listener { name: Arc::from(name.as_str()), host: Arc::from(host.as_str()), port: *port }
}

fn broker_ids(ids: &[i32]) -> Arc<[BrokerId]> {
    ids.iter().copied().map(BrokerId::new).collect()
}

fn shared_if_same(replicas: &Arc<[BrokerId]>, isr: &[i32]) -> Arc<[BrokerId]> {
    if replicas.iter().map(|id| id.get()).eq(isr.iter().copied()) { replicas.clone() } else { broker_ids(isr) }
}

/// Partitions of a topic mostly have the same replicas: they then share one list.
fn share_replicas(topic: &Topic, partition: &mut Partition) {
    let Some(last) = topic.partitions.last() else { return };
    if last.replicas == partition.replicas {
        partition.replicas = last.replicas.clone();
    }
    if last.isr == partition.isr {
        partition.isr = last.isr.clone();
    }
}

/// The record that registers a broker as it is.
pub(crate) fn broker_record(broker: &Broker) -> Record {
    let listeners = broker.listeners.iter().map(|l| (l.name.to_string(), l.host.to_string(), l.port)).collect();
    let rack = broker.rack.as_deref().map(str::to_owned);
    Record::Broker { id: broker.id.get(), listeners, rack, fenced: broker.fenced }
}

/// The record that makes a partition as it is.
pub(crate) fn partition_record(topic: TopicId, index: i32, partition: &Partition) -> Record {
    let numbers = |ids: &[BrokerId]| ids.iter().map(|id| id.get()).collect();
    Record::Partition {
        topic: topic.to_bytes(),
        index,
        leader: partition.leader.map_or(-1, BrokerId::get),
        leader_epoch: partition.leader_epoch.get(),
        replicas: numbers(&partition.replicas),
        isr: numbers(&partition.isr),
    }
}

fn topic_records(topic: &Topic, records: &mut Vec<Record>) {
    let id = topic.id.to_bytes();
    records.push(Record::Topic { id, name: topic.name.to_string() });
    records.extend(topic.indexed().map(|(index, partition)| partition_record(topic.id, index.get(), partition)));
    config_records(&ConfigTarget::Topic(id), &topic.overrides, records);
}

/// The records that set every override of one target.
pub(crate) fn config_records(target: &ConfigTarget, overrides: &Overrides, records: &mut Vec<Record>) {
    records.extend(overrides.iter().map(|(key, value)| Record::Config {
        target: target.clone(),
        key: key.clone(),
        value: Some(value.clone()),
    }));
}
