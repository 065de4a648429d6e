use std::ops::Range;

use ottla_units::{LeaderEpoch, Offset, PartitionIndex, ProducerId};

use super::{AbortedTransaction, BY_ID, DivergingEpoch, FLEXIBLE};
use crate::produce::CurrentLeader;
use crate::{NodeEndpoint, Reader, Span, Topic, WireError};

/// A decoded Fetch response, for clients and followers; reusable like [`super::Fetch`]. Spans are of the body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fetched {
    /// How long the broker delays this client, in milliseconds.
    pub throttle_ms: i32,
    /// The error of the whole request, or 0.
    pub code: i16,
    /// The session, or 0.
    pub session_id: i32,
    /// The topics in the answer's order.
    pub topics: Vec<Topic>,
    /// All topics' partitions in the answer's order.
    pub partitions: Vec<FetchedPartition>,
    /// Aborted transactions of all partitions.
    pub aborted_transactions: Vec<AbortedTransaction>,
    /// Where the leaders named listen.
    pub endpoints: Vec<NodeEndpoint>,
}

/// One partition's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedPartition {
    /// Which of [`Fetched::topics`].
    pub topic: u32,
    /// Which partition of it.
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
    /// Which of [`Fetched::aborted_transactions`]; none for null.
    pub aborted_transactions: Option<Range<usize>>,
    /// Which replica to ask rather, or −1.
    pub preferred_read_replica: i32,
    /// Where the batches lie; none for null.
    pub records: Option<Span>,
}

impl Fetched {
    /// Decodes `body` (behind the header) into this, replacing what was there.
    pub fn decode(&mut self, body: &[u8], version: i16) -> Result<(), WireError> {
        let flexible = version >= FLEXIBLE;
        self.clear();
        let mut reader = Reader::new(body);
        self.throttle_ms = reader.i32()?;
        if version >= 7 {
            self.code = reader.i16()?;
            self.session_id = reader.i32()?;
        }
        for topic in 0..reader.count(flexible, 2)? {
            self.topics.push(Topic::read(&mut reader, flexible, version < BY_ID)?);
            for _ in 0..reader.count(flexible, 4 + 2 + 8 + 8 + 1 + 1)? {
                let partition = self.read_partition(&mut reader, version, topic as u32)?;
                self.partitions.push(partition);
            }
            reader.skip_tags(flexible)?;
        }
        if flexible {
            reader.tags(|tag, content| {
                let known = tag == 0 && version >= 16;
                if known {
                    self.endpoints = NodeEndpoint::read_all(content, body)?;
                }
                Ok(known)
            })?;
        }
        reader.finish()
    }

    fn clear(&mut self) {
        self.code = 0;
        self.session_id = 0;
        self.topics.clear();
        self.partitions.clear();
        self.aborted_transactions.clear();
        self.endpoints.clear();
    }

    fn read_partition(
        &mut self,
        reader: &mut Reader<'_>,
        version: i16,
        topic: u32,
    ) -> Result<FetchedPartition, WireError> {
        let flexible = version >= FLEXIBLE;
        let mut partition = FetchedPartition {
            topic,
            index: PartitionIndex::new(reader.i32()?),
            code: reader.i16()?,
            high_watermark: Offset::new(reader.i64()?),
            last_stable_offset: Offset::new(reader.i64()?),
            log_start_offset: Offset::NONE,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: None,
        };
        if version >= 5 {
            partition.log_start_offset = Offset::new(reader.i64()?);
        }
        partition.aborted_transactions = self.read_aborted(reader, flexible)?;
        if version >= 11 {
            partition.preferred_read_replica = reader.i32()?;
        }
        partition.records = reader.nullable_bytes(flexible)?;
        if flexible {
            partition.read_tags(reader)?;
        }
        Ok(partition)
    }

    fn read_aborted(&mut self, reader: &mut Reader<'_>, flexible: bool) -> Result<Option<Range<usize>>, WireError> {
        let Some(count) = reader.nullable_count(flexible, 8 + 8)? else { return Ok(None) };
        let first = self.aborted_transactions.len();
        for _ in 0..count {
            let producer_id = ProducerId::new(reader.i64()?);
            let first_offset = Offset::new(reader.i64()?);
            reader.skip_tags(flexible)?;
            self.aborted_transactions.push(AbortedTransaction { producer_id, first_offset });
        }
        Ok(Some(first..self.aborted_transactions.len()))
    }
}

impl FetchedPartition {
    fn read_tags(&mut self, reader: &mut Reader<'_>) -> Result<(), WireError> {
        reader.tags(|tag, content| {
            match tag {
                0 => {
                    let epoch = LeaderEpoch::new(content.i32()?);
                    self.diverging_epoch = Some(DivergingEpoch { epoch, end_offset: Offset::new(content.i64()?) });
                    content.skip_tags(true)?;
                }
                1 => self.current_leader = Some(CurrentLeader::read(content)?),
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}
