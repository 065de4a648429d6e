//! The producers' snapshot as Kafka writes it beside a segment (`<offset>.snapshot`, `ProducerStateManager.writeSnapshot`):
//! version i16 = 1, CRC32C u32 of what follows it, then an array of producers, each with its last batch.
//!
//! Kafka forgets the other batches there, so a repeat of one of them after a start is refused as out of order, and a client
//! that then begins a new epoch writes it twice. Ours go behind the array, where Kafka's own reader does not look: a tag, the
//! number of producers, and for each its id, how many batches, and those.

use std::fmt;

use ottla_units::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::{ProducerState, ProducerTable, RetainedBatch};

const VERSION: i16 = 1;
/// Version, checksum, number of producers.
const HEAD_BYTES: usize = 10;
const CHECKSUMMED_FROM: usize = 6;
/// Producer id, epoch, last sequence, last offset, offset delta, timestamp, coordinator epoch, start of the transaction.
const ENTRY_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// What begins the batches behind the array.
const EARLIER_TAG: [u8; 4] = *b"OTL1";
/// Last sequence, last offset, offset delta, timestamp.
const EARLIER_BATCH_BYTES: usize = 4 + 8 + 4 + 8;

/// Why bytes are no snapshot of producers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotError {
    /// The version is not 1.
    UnknownVersion {
        /// The version.
        version: i16,
    },
    /// The checksum does not match.
    ChecksumMismatch {
        /// The field.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The length is not that of the number of producers.
    Length {
        /// Bytes that there are.
        bytes: usize,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::UnknownVersion { version } => write!(f, "producer snapshot has unknown version {version}"),
            SnapshotError::ChecksumMismatch { stored, computed } => {
                write!(f, "producer snapshot is corrupt: stored crc {stored}, computed {computed}")
            }
            SnapshotError::Length { bytes } => {
                write!(f, "producer snapshot of {bytes} bytes does not hold what it says")
            }
        }
    }
}

impl std::error::Error for SnapshotError {}

impl ProducerTable {
    /// The table as Kafka's snapshot file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.len() * ENTRY_BYTES);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.len() as u32).to_be_bytes());
        for (producer, state) in self.iter() {
            let last = state.batches().last();
            let last_offset = last.map_or(Offset::NONE, |batch| batch.last_offset);
            let delta = last.map_or(0, |batch| batch.last_offset.since(batch.first_offset) as i32);
            out.extend_from_slice(&producer.get().to_be_bytes());
            out.extend_from_slice(&state.epoch.get().to_be_bytes());
            out.extend_from_slice(&state.last_sequence().get().to_be_bytes());
            out.extend_from_slice(&last_offset.get().to_be_bytes());
            out.extend_from_slice(&delta.to_be_bytes());
            out.extend_from_slice(&state.last_timestamp.get().to_be_bytes());
            out.extend_from_slice(&state.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&state.transaction_start.unwrap_or(Offset::NONE).get().to_be_bytes());
        }
        self.encode_earlier(&mut out);
        let crc = crc32c::crc32c(&out[CHECKSUMMED_FROM..]);
        out[2..6].copy_from_slice(&crc.to_be_bytes());
        out
    }

    fn encode_earlier(&self, out: &mut Vec<u8>) {
        let several = || self.iter().filter(|(_, state)| state.batches().len() > 1);
        let count = several().count();
        if count == 0 {
            return;
        }
        out.extend_from_slice(&EARLIER_TAG);
        out.extend_from_slice(&(count as u32).to_be_bytes());
        for (producer, state) in several() {
            let Some((_, earlier)) = state.batches().split_last() else { continue };
            out.extend_from_slice(&producer.get().to_be_bytes());
            out.push(earlier.len() as u8);
            for batch in earlier {
                out.extend_from_slice(&batch.last_sequence.get().to_be_bytes());
                out.extend_from_slice(&batch.last_offset.get().to_be_bytes());
                out.extend_from_slice(&(batch.last_offset.since(batch.first_offset) as i32).to_be_bytes());
                out.extend_from_slice(&batch.timestamp.get().to_be_bytes());
            }
        }
    }

    /// A table from Kafka's snapshot file. Producers' silence counts from `now`.
    ///
    /// # Errors
    /// When the bytes are not what [`ProducerTable::encode`] or Kafka wrote.
    pub fn decode(bytes: &[u8], now: Timestamp) -> Result<ProducerTable, SnapshotError> {
        let length = SnapshotError::Length { bytes: bytes.len() };
        let mut fields = Fields { rest: bytes };
        let version = i16::from_be_bytes(fields.take().ok_or(length)?);
        if version != VERSION {
            return Err(SnapshotError::UnknownVersion { version });
        }
        let stored = u32::from_be_bytes(fields.take().ok_or(length)?);
        let computed = crc32c::crc32c(fields.rest);
        if stored != computed {
            return Err(SnapshotError::ChecksumMismatch { stored, computed });
        }
        let count = u32::from_be_bytes(fields.take().ok_or(length)?) as usize;
        if count > fields.rest.len() / ENTRY_BYTES {
            return Err(length);
        }
        let mut table = ProducerTable::new();
        for _ in 0..count {
            let (producer, mut state) = fields.entry().ok_or(length)?;
            state.heard = now;
            table.load(producer, state);
        }
        fields.earlier(&mut table).ok_or(length)?;
        if fields.rest.is_empty() { Ok(table) } else { Err(length) }
    }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }

    /// Reads the batches behind the array, if there are any.
    fn earlier(&mut self, table: &mut ProducerTable) -> Option<()> {
        if self.rest.is_empty() {
            return Some(());
        }
        let count = if self.take()? == EARLIER_TAG { u32::from_be_bytes(self.take()?) } else { return None };
        for _ in 0..count {
            let producer = ProducerId::new(i64::from_be_bytes(self.take()?));
            let [batches] = self.take()?;
            if self.rest.len() < usize::from(batches) * EARLIER_BATCH_BYTES {
                return None;
            }
            let earlier: Option<Vec<_>> = (0..batches).map(|_| self.batch()).collect();
            table.load_earlier(producer, &earlier?);
        }
        Some(())
    }

    fn batch(&mut self) -> Option<RetainedBatch> {
        let last_sequence = Sequence::new(i32::from_be_bytes(self.take()?));
        let last_offset = Offset::new(i64::from_be_bytes(self.take()?));
        let delta = i32::from_be_bytes(self.take()?);
        let timestamp = Timestamp::new(i64::from_be_bytes(self.take()?));
        Some(retained(last_sequence, last_offset, delta, timestamp))
    }

    fn entry(&mut self) -> Option<(ProducerId, ProducerState)> {
        let producer = ProducerId::new(i64::from_be_bytes(self.take()?));
        let epoch = ProducerEpoch::new(i16::from_be_bytes(self.take()?));
        let last_sequence = Sequence::new(i32::from_be_bytes(self.take()?));
        let last_offset = Offset::new(i64::from_be_bytes(self.take()?));
        let delta = i32::from_be_bytes(self.take()?);
        let timestamp = Timestamp::new(i64::from_be_bytes(self.take()?));
        let coordinator_epoch = i32::from_be_bytes(self.take()?);
        let start = Offset::new(i64::from_be_bytes(self.take()?));
        let mut state = ProducerState::UNKNOWN;
        state.epoch = epoch;
        state.coordinator_epoch = coordinator_epoch;
        state.last_timestamp = timestamp;
        state.transaction_start = (start >= Offset::ZERO).then_some(start);
        if last_offset >= Offset::ZERO {
            state.retain(retained(last_sequence, last_offset, delta, timestamp));
        }
        Some((producer, state))
    }
}

fn retained(last_sequence: Sequence, last_offset: Offset, delta: i32, timestamp: Timestamp) -> RetainedBatch {
    let first_sequence = before(last_sequence, delta);
    let first_offset = last_offset.plus(-i64::from(delta));
    RetainedBatch { first_sequence, last_sequence, first_offset, last_offset, timestamp }
}

/// The sequence `count` records earlier, wrapping below 0 to `i32::MAX` (`DefaultRecordBatch.decrementSequence`).
fn before(sequence: Sequence, count: i32) -> Sequence {
    let value = i64::from(sequence.get()) - i64::from(count);
    let wrapped = if sequence.get() >= 0 && value < 0 { value + (1 << 31) } else { value };
    Sequence::new(wrapped.clamp(-1, i64::from(i32::MAX)) as i32)
}
