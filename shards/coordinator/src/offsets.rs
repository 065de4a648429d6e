use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use ottla_units::{LeaderEpoch, Offset, Timestamp, TopicId};

use crate::effect::AppendId;

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Where to go on reading.
    pub offset: Offset,
    /// Epoch of the record read last.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: Box<str>,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// When it goes, if the commit said so (OffsetCommit up to version 4).
    pub expires_at: Timestamp,
    /// The topic it belongs to; zero in old records.
    pub topic_id: TopicId,
}

/// One partition's offset: what is on stable storage, and what was appended since, oldest first (`None`: a tombstone).
#[derive(Default, Debug)]
struct Versions {
    durable: Option<Committed>,
    appended: Vec<(AppendId, Option<Committed>)>,
}

impl Versions {
    fn latest(&self) -> Option<&Committed> {
        match self.appended.last() {
            Some((_, committed)) => committed.as_ref(),
            None => self.durable.as_ref(),
        }
    }

    fn is_gone(&self) -> bool {
        self.durable.is_none() && self.appended.is_empty()
    }
}

/// The offsets of one group. Writes are seen by later writes at once, by readers only when they are durable.
#[derive(Default, Debug)]
pub(crate) struct Offsets {
    topics: BTreeMap<Box<str>, BTreeMap<i32, Versions>>,
    count: usize,
}

impl Offsets {
    /// The offset as of the last append.
    pub(crate) fn latest(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.topics.get(topic)?.get(&partition)?.latest()
    }

    /// The offset that no failure takes back.
    pub(crate) fn durable(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.topics.get(topic)?.get(&partition)?.durable.as_ref()
    }

    /// Partitions with an offset or one under way.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// All as of the last append.
    pub(crate) fn all_latest(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.all().filter_map(|(topic, partition, versions)| Some((topic, partition, versions.latest()?)))
    }

    /// All that no failure takes back.
    pub(crate) fn all_durable(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.all().filter_map(|(topic, partition, versions)| Some((topic, partition, versions.durable.as_ref()?)))
    }

    /// Whether nothing is committed, as of the last append.
    pub(crate) fn is_empty(&self) -> bool {
        self.all_latest().next().is_none()
    }

    fn all(&self) -> impl Iterator<Item = (&str, i32, &Versions)> {
        self.topics.iter().flat_map(|(topic, partitions)| partitions.iter().map(|(p, v)| (&**topic, *p, v)))
    }

    /// Notes that `append` carries this offset.
    pub(crate) fn write(&mut self, topic: &str, partition: i32, append: AppendId, committed: Option<Committed>) {
        self.change(topic, partition, |versions| versions.appended.push((append, committed)));
    }

    /// Sets an offset read back from the log.
    pub(crate) fn restore(&mut self, topic: &str, partition: i32, committed: Option<Committed>) {
        self.change(topic, partition, |versions| versions.durable = committed);
    }

    /// All appends up to `upto` are durable.
    pub(crate) fn settle(&mut self, topic: &str, partition: i32, upto: AppendId) {
        self.change(topic, partition, |versions| {
            let settled = versions.appended.iter().take_while(|(append, _)| *append <= upto).count();
            if let Some((_, committed)) = versions.appended.drain(..settled).next_back() {
                versions.durable = committed;
            }
        });
    }

    /// The append `from` and all after it never happened.
    pub(crate) fn take_back(&mut self, topic: &str, partition: i32, from: AppendId) {
        self.change(topic, partition, |versions| versions.appended.retain(|(append, _)| *append < from));
    }

    fn change(&mut self, topic: &str, partition: i32, change: impl FnOnce(&mut Versions)) {
        if !self.topics.contains_key(topic) {
            self.topics.insert(topic.into(), BTreeMap::new());
        }
        let Some(partitions) = self.topics.get_mut(topic) else { return };
        match partitions.entry(partition) {
            Entry::Vacant(vacant) => {
                let mut versions = Versions::default();
                change(&mut versions);
                if !versions.is_gone() {
                    vacant.insert(versions);
                    self.count += 1;
                }
            }
            Entry::Occupied(mut occupied) => {
                change(occupied.get_mut());
                if occupied.get().is_gone() {
                    occupied.remove();
                    self.count -= 1;
                }
            }
        }
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
    }
}
