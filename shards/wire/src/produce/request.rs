use bytes::{BufMut, BytesMut};
use ottla_units::PartitionIndex;

use super::{BY_ID, FLEXIBLE};
use crate::write::{put_length, put_no_tags, put_nullable_string};
use crate::{Reader, Span, Topic, TopicRef, WireError};

/// A decoded Produce request. It borrows nothing and keeps its vectors when decoded into again: one of them per
/// connection, and no allocation once they have grown. Spans are of the body it was decoded from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Produce {
    /// The producer's transactional id.
    pub transactional_id: Option<Span>,
    /// 0: no answer; 1: when the leader has written it; −1: when every in-sync replica has. Others are to be refused.
    pub acks: i16,
    /// How long to wait for the other replicas, in milliseconds.
    pub timeout_ms: i32,
    /// The topics in the request's order. One may occur twice.
    pub topics: Vec<Topic>,
    /// All topics' partitions in the request's order. One may occur twice.
    pub partitions: Vec<ProducePartition>,
}

/// Records for one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducePartition {
    /// Which of [`Produce::topics`].
    pub topic: u32,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// Where its batches lie; none for null.
    pub records: Option<Span>,
}

impl Produce {
    /// Decodes `body` (behind the header) into this, replacing what was there. On an error what is left is of no use.
    pub fn decode(&mut self, body: &[u8], version: i16) -> Result<(), WireError> {
        let flexible = version >= FLEXIBLE;
        let named = version < BY_ID;
        self.topics.clear();
        self.partitions.clear();
        let mut reader = Reader::new(body);
        self.transactional_id = reader.nullable_string(flexible)?;
        self.acks = reader.i16()?;
        self.timeout_ms = reader.i32()?;
        let topics = reader.count(flexible, 2)?;
        self.topics.reserve(topics);
        for topic in 0..topics {
            self.topics.push(Topic::read(&mut reader, flexible, named)?);
            self.read_partitions(&mut reader, flexible, topic as u32)?;
            reader.skip_tags(flexible)?;
        }
        reader.skip_tags(flexible)?;
        reader.finish()
    }

    #[inline]
    fn read_partitions(&mut self, reader: &mut Reader<'_>, flexible: bool, topic: u32) -> Result<(), WireError> {
        // An index, and at least one byte for the length of the records.
        let partitions = reader.count(flexible, 4 + 1)?;
        self.partitions.reserve(partitions);
        for _ in 0..partitions {
            let index = PartitionIndex::new(reader.i32()?);
            let records = reader.nullable_bytes(flexible)?;
            reader.skip_tags(flexible)?;
            self.partitions.push(ProducePartition { topic, index, records });
        }
        Ok(())
    }
}

/// Writes a Produce request's body, for clients. Topics and partitions are announced by count before they are written.
#[derive(Debug)]
pub struct RequestWriter<'o> {
    out: &'o mut BytesMut,
    version: i16,
    in_topic: bool,
}

impl<'o> RequestWriter<'o> {
    /// Starts the body of a request for `topics` topics.
    pub fn begin(
        out: &'o mut BytesMut,
        version: i16,
        transactional_id: Option<&str>,
        acks: i16,
        timeout_ms: i32,
        topics: usize,
    ) -> RequestWriter<'o> {
        let flexible = version >= FLEXIBLE;
        put_nullable_string(out, flexible, transactional_id);
        out.put_i16(acks);
        out.put_i32(timeout_ms);
        put_length(out, flexible, topics);
        RequestWriter { out, version, in_topic: false }
    }

    /// Starts the next topic, of which `partitions` partitions follow.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) {
        self.end_topic();
        let flexible = self.version >= FLEXIBLE;
        topic.write(self.out, flexible, self.version < BY_ID);
        put_length(self.out, flexible, partitions);
        self.in_topic = true;
    }

    /// Writes the next partition of the topic.
    pub fn partition(&mut self, index: PartitionIndex, records: &[u8]) {
        let flexible = self.version >= FLEXIBLE;
        self.out.put_i32(index.get());
        put_length(self.out, flexible, records.len());
        self.out.put_slice(records);
        put_no_tags(self.out, flexible);
    }

    /// Ends the body.
    pub fn finish(mut self) {
        self.end_topic();
        put_no_tags(self.out, self.version >= FLEXIBLE);
    }

    fn end_topic(&mut self) {
        put_no_tags(self.out, self.in_topic && self.version >= FLEXIBLE);
    }
}
