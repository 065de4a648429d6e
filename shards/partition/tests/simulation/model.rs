//! What the logs must hold: every batch that was sent, and how much of it was promised.

use std::collections::BTreeMap;

use ottla_batch::Batch;
use ottla_partition::ProducerTable;
use ottla_storage::{EpochStart, LogSpec};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

/// Repeats that a broker recognises of one producer.
pub(crate) const REPEATS_MAX: usize = 5;

/// A batch as it must lie in the log.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) base: i64,
    pub(crate) next: i64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) epoch: i32,
    /// The time of each record.
    pub(crate) times: Vec<i64>,
    /// What the producer sent, if it is one that repeats.
    pub(crate) request: Option<Request>,
}

/// A batch of a producer that sends it again until it knows that it is there.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) producer: i64,
    pub(crate) sequence: i32,
    pub(crate) bytes: Vec<u8>,
}

/// What one log must hold.
#[derive(Clone, Default, Debug)]
pub(crate) struct Expected {
    /// The first offset: what was promised, and what was asked for.
    pub(crate) start: i64,
    pub(crate) start_asked: i64,
    /// Every batch, from the first ever.
    pub(crate) sent: Vec<Sent>,
    /// Before it nothing may be missing after a power cut: acknowledged with acks=all, or visible to consumers.
    pub(crate) sure: i64,
    /// Before it nothing may be missing after the death of the process: acknowledged with acks=1.
    pub(crate) written: i64,
    pub(crate) producer: i64,
    pub(crate) sequence: i32,
    /// What the producer sends again: it never learned what became of it.
    pub(crate) repeats: Vec<Request>,
}

/// One topic with one partition.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) spec: LogSpec,
    pub(crate) log: Expected,
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) topics: Vec<Topic>,
    made: u64,
    producers: i64,
    /// Whether the power failed since the logs were last seen.
    pub(crate) power_failed: bool,
    /// Topics whose deletion is under way.
    pub(crate) deleting: usize,
    /// Whether every store stopped cleanly, and nothing was done since.
    pub(crate) clean: bool,
}

impl Model {
    pub(crate) fn new(topics: usize) -> Model {
        let mut model = Model { clean: true, ..Model::default() };
        for slot in 0..topics {
            let topic = model.topic(slot);
            model.topics.push(topic);
        }
        model
    }

    /// A new topic of an old name.
    fn topic(&mut self, slot: usize) -> Topic {
        self.made += 1;
        let mut id = [7; 16];
        id[8..].copy_from_slice(&self.made.to_be_bytes());
        let key = TopicPartition::new(TopicId::from_bytes(id), PartitionIndex::new(0));
        let spec = LogSpec { key, topic: format!("t{slot}") };
        let log = Expected { producer: self.new_producer(), ..Expected::default() };
        Topic { spec, log }
    }

    pub(crate) fn replace(&mut self, slot: usize) {
        self.topics[slot] = self.topic(slot);
    }

    pub(crate) fn new_producer(&mut self) -> i64 {
        self.producers += 1;
        self.producers
    }

    pub(crate) fn specs(&self) -> Vec<LogSpec> {
        self.topics.iter().map(|topic| topic.spec.clone()).collect()
    }

    /// The log of a topic, if the topic is still there.
    pub(crate) fn log(&mut self, key: TopicPartition) -> Option<&mut Expected> {
        self.topics.iter_mut().find(|topic| topic.spec.key == key).map(|topic| &mut topic.log)
    }
}

impl Expected {
    pub(crate) fn end(&self) -> i64 {
        self.sent.last().map_or(0, |last| last.next)
    }

    /// Before it nothing may be missing now.
    pub(crate) fn floor(&self, power_failed: bool) -> i64 {
        if power_failed { self.sure } else { self.sure.max(self.written) }
    }

    /// Takes note of what a recovery found: that is what clients see from now on.
    pub(crate) fn settle(&mut self, start: i64, end: i64) {
        let unsure = self.sent.iter().filter(|sent| sent.base >= self.sure).filter_map(|sent| sent.request.clone());
        let mut repeats: Vec<_> = unsure.filter(|request| request.producer == self.producer).collect();
        repeats.drain(..repeats.len().saturating_sub(REPEATS_MAX));
        self.repeats = repeats;
        self.sent.retain(|sent| sent.base < end);
        (self.start, self.start_asked, self.sure, self.written) = (start, start, end, end);
        let last = self.sent.iter().rev().find_map(|sent| self.own(sent).map(|request| (request.sequence, sent)));
        self.sequence = last.map_or(0, |(sequence, sent)| sequence + (sent.next - sent.base) as i32);
    }

    /// What the producer of now sent.
    pub(crate) fn own<'a>(&self, sent: &'a Sent) -> Option<&'a Request> {
        sent.request.as_ref().filter(|request| request.producer == self.producer)
    }

    /// The batch that holds an offset.
    pub(crate) fn holding(&self, offset: i64) -> usize {
        self.sent.partition_point(|sent| sent.base <= offset).saturating_sub(1)
    }

    /// Batches that may be read.
    pub(crate) fn readable(&self) -> &[Sent] {
        if self.start >= self.end() { &[] } else { &self.sent[self.holding(self.start)..] }
    }

    pub(crate) fn producers(&self, now: Timestamp) -> ProducerTable {
        let mut table = ProducerTable::new();
        for sent in &self.sent {
            let (batch, _) = Batch::parse(&sent.bytes).unwrap();
            table.replay(&batch, now);
        }
        table
    }

    pub(crate) fn epochs(&self) -> Vec<EpochStart> {
        let mut starts: BTreeMap<i32, i64> = BTreeMap::new();
        for sent in &self.sent {
            starts.entry(sent.epoch).or_insert(sent.base);
        }
        // The leadership that wrote the first offset begins there.
        let before = starts.values().filter(|start| **start <= self.start).count();
        let kept = starts.into_iter().skip(before.saturating_sub(1));
        let entry = |epoch, start| EpochStart { epoch: LeaderEpoch::new(epoch), start: Offset::new(start) };
        kept.map(|(epoch, start)| entry(epoch, start.max(self.start))).collect()
    }

    /// The first record that may be read at or after a time: its offset and time.
    pub(crate) fn at_time(&self, time: i64) -> Option<(i64, i64)> {
        for sent in self.readable() {
            for (i, found) in sent.times.iter().enumerate() {
                let offset = sent.base + i as i64;
                if *found >= time && offset >= self.start {
                    return Some((offset, *found));
                }
            }
        }
        None
    }
}
