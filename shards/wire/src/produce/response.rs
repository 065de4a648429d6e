use bytes::{BufMut, BytesMut};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp};

use super::{BY_ID, FLEXIBLE};
use crate::write::{put_length, put_no_tags, put_nullable_string, put_uvarint};
use crate::{NodeEndpoint, Reader, Span, Topic, TopicRef, WireError};

/// Who leads a partition now, told to a client that asked the wrong broker (KIP-951).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurrentLeader {
    /// Its `node.id`; −1 when unknown.
    pub node_id: i32,
    /// Its epoch.
    pub epoch: LeaderEpoch,
}

impl CurrentLeader {
    pub(crate) const BYTES: usize = 4 + 4 + 1;

    /// Writes it as the tagged field `tag`.
    pub(crate) fn write_tagged(self, out: &mut BytesMut, tag: u32) {
        put_uvarint(out, tag);
        put_uvarint(out, CurrentLeader::BYTES as u32);
        out.put_i32(self.node_id);
        out.put_i32(self.epoch.get());
        out.put_u8(0);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<CurrentLeader, WireError> {
        let leader = CurrentLeader { node_id: reader.i32()?, epoch: LeaderEpoch::new(reader.i32()?) };
        reader.skip_tags(true)?;
        Ok(leader)
    }
}

/// One record that was refused (KIP-467).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Its place in the batch, from 0.
    pub batch_index: i32,
    /// Why.
    pub message: Option<String>,
}

/// What became of one partition's records. `code` is a Kafka error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionAnswer<'a> {
    /// Which partition.
    pub index: PartitionIndex,
    /// The error, or 0.
    pub code: i16,
    /// The first record's offset, or −1.
    pub base_offset: Offset,
    /// When the broker stamped it, or −1 when the client did.
    pub log_append_time: Timestamp,
    /// Where the log starts, or −1.
    pub log_start_offset: Offset,
    /// Records that were refused.
    pub record_errors: &'a [RecordError],
    /// Why it was refused.
    pub error_message: Option<&'a str>,
    /// The leader, when it is another one.
    pub current_leader: Option<CurrentLeader>,
}

impl PartitionAnswer<'_> {
    /// That partition `index` was refused with the error `code`, and nothing more to say.
    pub const fn refused(index: PartitionIndex, code: i16) -> PartitionAnswer<'static> {
        PartitionAnswer {
            index,
            code,
            base_offset: Offset::NONE,
            log_append_time: Timestamp::NONE,
            log_start_offset: Offset::NONE,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        }
    }
}

/// Writes a Produce response's body. Topics and partitions are announced by count before they are written.
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    out: &'o mut BytesMut,
    version: i16,
    in_topic: bool,
}

impl<'o> ResponseWriter<'o> {
    /// Starts the body of an answer for `topics` topics.
    pub fn begin(out: &'o mut BytesMut, version: i16, topics: usize) -> ResponseWriter<'o> {
        put_length(out, version >= FLEXIBLE, topics);
        ResponseWriter { out, version, in_topic: false }
    }

    /// Starts the next topic, of which `partitions` partitions follow.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) {
        self.end_topic();
        let flexible = self.version >= FLEXIBLE;
        topic.write(self.out, flexible, self.version < BY_ID);
        put_length(self.out, flexible, partitions);
        self.in_topic = true;
    }

    /// Writes the next partition of the topic. What the version has no place for is left out.
    pub fn partition(&mut self, answer: &PartitionAnswer<'_>) {
        self.out.put_i32(answer.index.get());
        self.out.put_i16(answer.code);
        self.out.put_i64(answer.base_offset.get());
        self.out.put_i64(answer.log_append_time.get());
        if self.version >= 5 {
            self.out.put_i64(answer.log_start_offset.get());
        }
        if self.version >= 8 {
            self.errors(answer);
        }
        match answer.current_leader {
            Some(leader) if self.version >= 10 => {
                put_uvarint(self.out, 1);
                leader.write_tagged(self.out, 0);
            }
            _ => put_no_tags(self.out, self.version >= FLEXIBLE),
        }
    }

    #[inline]
    fn errors(&mut self, answer: &PartitionAnswer<'_>) {
        let flexible = self.version >= FLEXIBLE;
        put_length(self.out, flexible, answer.record_errors.len());
        for error in answer.record_errors {
            self.out.put_i32(error.batch_index);
            put_nullable_string(self.out, flexible, error.message.as_deref());
            put_no_tags(self.out, flexible);
        }
        put_nullable_string(self.out, flexible, answer.error_message);
    }

    /// Ends the body. `endpoints` are the leaders named in it.
    pub fn finish(mut self, throttle_ms: i32, endpoints: &[NodeEndpoint]) {
        self.end_topic();
        self.out.put_i32(throttle_ms);
        if self.version >= 10 {
            NodeEndpoint::write_tags(self.out, endpoints);
        } else {
            put_no_tags(self.out, self.version >= FLEXIBLE);
        }
    }

    fn end_topic(&mut self) {
        put_no_tags(self.out, self.in_topic && self.version >= FLEXIBLE);
    }
}

/// A decoded Produce response, for clients; reusable like [`super::Produce`]. Spans are of the body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Produced {
    /// How long the broker delays this client, in milliseconds.
    pub throttle_ms: i32,
    /// The topics in the answer's order.
    pub topics: Vec<Topic>,
    /// All topics' partitions in the answer's order.
    pub partitions: Vec<ProducedPartition>,
    /// The records refused, of all partitions.
    pub record_errors: Vec<(i32, Option<Span>)>,
    /// Where the leaders named listen.
    pub endpoints: Vec<NodeEndpoint>,
}

/// What became of one partition's records, as the client reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducedPartition {
    /// Which of [`Produced::topics`].
    pub topic: u32,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// The error, or 0.
    pub code: i16,
    /// The first record's offset, or −1.
    pub base_offset: Offset,
    /// When the broker stamped it, or −1.
    pub log_append_time: Timestamp,
    /// Where the log starts, or −1.
    pub log_start_offset: Offset,
    /// Which of [`Produced::record_errors`].
    pub record_errors: std::ops::Range<usize>,
    /// Why it was refused.
    pub error_message: Option<Span>,
    /// The leader, when it is another one.
    pub current_leader: Option<CurrentLeader>,
}

impl Produced {
    /// Decodes `body` (behind the header) into this, replacing what was there.
    pub fn decode(&mut self, body: &[u8], version: i16) -> Result<(), WireError> {
        let flexible = version >= FLEXIBLE;
        self.topics.clear();
        self.partitions.clear();
        self.record_errors.clear();
        self.endpoints.clear();
        let mut reader = Reader::new(body);
        for topic in 0..reader.count(flexible, 2)? {
            self.topics.push(Topic::read(&mut reader, flexible, version < BY_ID)?);
            for _ in 0..reader.count(flexible, 4 + 2 + 8 + 8)? {
                let partition = self.read_partition(&mut reader, version, topic as u32)?;
                self.partitions.push(partition);
            }
            reader.skip_tags(flexible)?;
        }
        self.throttle_ms = reader.i32()?;
        if flexible {
            reader.tags(|tag, content| {
                let known = tag == 0 && version >= 10;
                if known {
                    self.endpoints = NodeEndpoint::read_all(content, body)?;
                }
                Ok(known)
            })?;
        }
        reader.finish()
    }

    fn read_partition(
        &mut self,
        reader: &mut Reader<'_>,
        version: i16,
        topic: u32,
    ) -> Result<ProducedPartition, WireError> {
        let mut partition = ProducedPartition {
            topic,
            index: PartitionIndex::new(reader.i32()?),
            code: reader.i16()?,
            base_offset: Offset::new(reader.i64()?),
            log_append_time: Timestamp::new(reader.i64()?),
            log_start_offset: Offset::NONE,
            record_errors: 0..0,
            error_message: None,
            current_leader: None,
        };
        if version >= 5 {
            partition.log_start_offset = Offset::new(reader.i64()?);
        }
        if version >= 8 {
            partition.record_errors = self.read_record_errors(reader, version >= FLEXIBLE)?;
            partition.error_message = reader.nullable_string(version >= FLEXIBLE)?;
        }
        if version >= FLEXIBLE {
            reader.tags(|tag, content| {
                let known = tag == 0 && version >= 10;
                if known {
                    partition.current_leader = Some(CurrentLeader::read(content)?);
                }
                Ok(known)
            })?;
        }
        Ok(partition)
    }

    fn read_record_errors(
        &mut self,
        reader: &mut Reader<'_>,
        flexible: bool,
    ) -> Result<std::ops::Range<usize>, WireError> {
        let first = self.record_errors.len();
        for _ in 0..reader.count(flexible, 4 + 1)? {
            self.record_errors.push((reader.i32()?, reader.nullable_string(flexible)?));
            reader.skip_tags(flexible)?;
        }
        Ok(first..self.record_errors.len())
    }
}
