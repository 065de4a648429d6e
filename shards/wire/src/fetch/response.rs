use std::ops::Range;

use bytes::{BufMut, BytesMut};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, ProducerId};

use super::{BY_ID, FLEXIBLE};
use crate::produce::CurrentLeader;
use crate::write::{put_length, put_no_tags, put_null, put_uvarint};
use crate::{NodeEndpoint, TopicRef};

/// Where a follower's log parts from the leader's (KIP-595).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DivergingEpoch {
    /// The largest epoch that both have.
    pub epoch: LeaderEpoch,
    /// Where it ends at the leader.
    pub end_offset: Offset,
}

/// A transaction that was aborted, and whose records a committed reader must skip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record in this partition.
    pub first_offset: Offset,
}

/// What is answered for one partition, but for the records themselves. `code` is a Kafka error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionAnswer<'a> {
    /// Which partition.
    pub index: PartitionIndex,
    /// The error, or 0.
    pub code: i16,
    /// The high watermark, or −1.
    pub high_watermark: Offset,
    /// The last stable offset, or −1.
    pub last_stable_offset: Offset,
    /// Where the log starts, or −1.
    pub log_start_offset: Offset,
    /// Where a follower must cut its log.
    pub diverging_epoch: Option<DivergingEpoch>,
    /// The leader, when it is another one.
    pub current_leader: Option<CurrentLeader>,
    /// Aborted transactions among the records; none for a reader of everything.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    /// Which replica the consumer should rather ask, or −1.
    pub preferred_read_replica: i32,
    /// How many bytes of records go here. Kafka never answers null.
    pub records_bytes: usize,
}

impl PartitionAnswer<'_> {
    /// That partition `index` is answered with the error `code` and no records.
    pub const fn refused(index: PartitionIndex, code: i16) -> PartitionAnswer<'static> {
        PartitionAnswer {
            index,
            code,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records_bytes: 0,
        }
    }
}

/// A place in the written bytes where records are to be sent from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Behind this many bytes of the buffer.
    pub at: usize,
    /// How many bytes of records go there.
    pub bytes: usize,
    /// For which partition: the how-manieth call of [`ResponseWriter::partition`], from 0.
    pub partition: usize,
}

/// What to send next, see [`pieces`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// These bytes of the buffer.
    Head(Range<usize>),
    /// The records of the partition of this gap.
    Records(Gap),
}

/// The order in which to send `buffer[range]`, and the records that belong into its `gaps`.
pub fn pieces(range: Range<usize>, gaps: &[Gap]) -> impl Iterator<Item = Piece> {
    let starts = std::iter::once(range.start).chain(gaps.iter().map(|gap| gap.at));
    let ends = gaps.iter().map(|gap| gap.at).chain(std::iter::once(range.end));
    let heads = starts.zip(ends).map(|(start, end)| Piece::Head(start..end));
    let records = gaps.iter().map(|gap| Some(Piece::Records(*gap))).chain(std::iter::once(None));
    heads.zip(records).flat_map(|(head, records)| std::iter::once(head).chain(records))
}

/// Writes a Fetch response's body without the records. Topics and partitions are announced by count before they are
/// written.
///
/// ```text
/// let frame = frame::begin_response(&mut out, ApiKey::Fetch, version, correlation_id);
/// let mut writer = ResponseWriter::begin(&mut out, version, &mut gaps, 0, 0, session_id, topics);
/// writer.topic(…); writer.partition(…); …
/// let records_bytes = writer.finish(&[]);
/// frame.close(&mut out, records_bytes);
/// for piece in pieces(0..out.len(), &gaps) { … }
/// ```
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    out: &'o mut BytesMut,
    gaps: &'o mut Vec<Gap>,
    version: i16,
    in_topic: bool,
    partitions: usize,
    records_bytes: usize,
}

impl<'o> ResponseWriter<'o> {
    /// Starts the body of an answer for `topics` topics. `code` is the error of the whole request. The gaps go to the end
    /// of `gaps`.
    pub fn begin(
        out: &'o mut BytesMut,
        version: i16,
        gaps: &'o mut Vec<Gap>,
        throttle_ms: i32,
        code: i16,
        session_id: i32,
        topics: usize,
    ) -> ResponseWriter<'o> {
        out.put_i32(throttle_ms);
        if version >= 7 {
            out.put_i16(code);
            out.put_i32(session_id);
        }
        put_length(out, version >= FLEXIBLE, topics);
        ResponseWriter { out, gaps, version, in_topic: false, partitions: 0, records_bytes: 0 }
    }

    /// Starts the next topic, of which `partitions` partitions follow.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) {
        self.end_topic();
        topic.write(self.out, self.version >= FLEXIBLE, self.version < BY_ID);
        put_length(self.out, self.version >= FLEXIBLE, partitions);
        self.in_topic = true;
    }

    /// Writes the next partition of the topic. What the version has no place for is left out.
    pub fn partition(&mut self, answer: &PartitionAnswer<'_>) {
        let flexible = self.version >= FLEXIBLE;
        self.out.put_i32(answer.index.get());
        self.out.put_i16(answer.code);
        self.out.put_i64(answer.high_watermark.get());
        self.out.put_i64(answer.last_stable_offset.get());
        if self.version >= 5 {
            self.out.put_i64(answer.log_start_offset.get());
        }
        self.aborted(answer.aborted_transactions);
        if self.version >= 11 {
            self.out.put_i32(answer.preferred_read_replica);
        }
        put_length(self.out, flexible, answer.records_bytes);
        if answer.records_bytes > 0 {
            self.gaps.push(Gap { at: self.out.len(), bytes: answer.records_bytes, partition: self.partitions });
        }
        self.partitions += 1;
        self.records_bytes += answer.records_bytes;
        if flexible {
            self.partition_tags(answer);
        }
    }

    #[inline]
    fn aborted(&mut self, transactions: Option<&[AbortedTransaction]>) {
        let flexible = self.version >= FLEXIBLE;
        let Some(transactions) = transactions else { return put_null(self.out, flexible) };
        put_length(self.out, flexible, transactions.len());
        for transaction in transactions {
            self.out.put_i64(transaction.producer_id.get());
            self.out.put_i64(transaction.first_offset.get());
            put_no_tags(self.out, flexible);
        }
    }

    #[inline]
    fn partition_tags(&mut self, answer: &PartitionAnswer<'_>) {
        let count = u32::from(answer.diverging_epoch.is_some()) + u32::from(answer.current_leader.is_some());
        put_uvarint(self.out, count);
        if let Some(diverging) = answer.diverging_epoch {
            self.out.put_slice(&[0, 4 + 8 + 1]);
            self.out.put_i32(diverging.epoch.get());
            self.out.put_i64(diverging.end_offset.get());
            self.out.put_u8(0);
        }
        if let Some(leader) = answer.current_leader {
            leader.write_tagged(self.out, 1);
        }
    }

    /// Ends the body. `endpoints` are the leaders named in it. Answers how many bytes of records go into the gaps.
    pub fn finish(mut self, endpoints: &[NodeEndpoint]) -> usize {
        self.end_topic();
        if self.version >= 16 {
            NodeEndpoint::write_tags(self.out, endpoints);
        } else {
            put_no_tags(self.out, self.version >= FLEXIBLE);
        }
        self.records_bytes
    }

    fn end_topic(&mut self) {
        put_no_tags(self.out, self.in_topic && self.version >= FLEXIBLE);
    }
}
