//! Kafka's sparse indexes: their entries as bytes, and the rule by which they grow.

use ottla_reactor::prefetch;
use ottla_units::{Offset, Timestamp};

/// Bytes of an entry in `.index`.
pub const INDEX_ENTRY_BYTES: usize = 8;
/// Bytes of an entry in `.timeindex`.
pub const TIME_ENTRY_BYTES: usize = 12;

/// An entry of `.index`: a batch's last offset, counted from the segment's base, and the position where the batch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// The offset less the segment's base offset.
    pub offset: u32,
    /// The position in the `.log` file, in bytes.
    pub position: u32,
}

impl IndexEntry {
    /// As the file holds it.
    pub fn to_bytes(self) -> [u8; INDEX_ENTRY_BYTES] {
        let mut bytes = [0; INDEX_ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.offset.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// From what the file holds.
    pub fn from_bytes(bytes: &[u8; INDEX_ENTRY_BYTES]) -> IndexEntry {
        let [a, b, c, d, e, f, g, h] = *bytes;
        IndexEntry { offset: u32::from_be_bytes([a, b, c, d]), position: u32::from_be_bytes([e, f, g, h]) }
    }
}

/// An entry of `.timeindex`: the largest timestamp so far, and the last offset of the batch that brought it, counted from the
/// segment's base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeEntry {
    /// The timestamp.
    pub timestamp: Timestamp,
    /// The offset less the segment's base offset.
    pub offset: u32,
}

impl TimeEntry {
    /// As the file holds it.
    pub fn to_bytes(self) -> [u8; TIME_ENTRY_BYTES] {
        let mut bytes = [0; TIME_ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.timestamp.get().to_be_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    /// From what the file holds.
    pub fn from_bytes(bytes: &[u8; TIME_ENTRY_BYTES]) -> TimeEntry {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        TimeEntry {
            timestamp: Timestamp::new(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            offset: u32::from_be_bytes([i, j, k, l]),
        }
    }
}

/// The latest time in a segment, and the last offset of the first batch that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Latest {
    /// The timestamp; −1 when no batch has one.
    pub timestamp: Timestamp,
    /// The batch's last offset.
    pub offset: Offset,
}

impl Latest {
    /// Of a segment without batches.
    pub const NONE: Latest = Latest { timestamp: Timestamp::NONE, offset: Offset::NONE };
}

/// The indexes of a segment that still grows: what the files hold already is counted, the rest is here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GrowingIndex {
    /// Entries that the `.index` file holds durably.
    pub(crate) stored: u32,
    /// Entries that the `.timeindex` file holds durably.
    pub(crate) stored_times: u32,
    /// Entries behind those of the file.
    pub(crate) pending: Vec<IndexEntry>,
    /// Entries behind those of the file.
    pub(crate) pending_times: Vec<TimeEntry>,
    /// The newest timestamp that has an entry.
    pub(crate) last_time: Timestamp,
    /// Bytes since the batch that has the last entry.
    pub(crate) bytes_since: u32,
}

impl GrowingIndex {
    pub(crate) fn new() -> GrowingIndex {
        GrowingIndex {
            stored: 0,
            stored_times: 0,
            pending: Vec::new(),
            pending_times: Vec::new(),
            last_time: Timestamp::NONE,
            bytes_since: 0,
        }
    }

    /// Brings the last entries into this core's caches.
    #[inline]
    pub(crate) fn prefetch_ends(&self) {
        prefetch(self.pending.last());
        prefetch(self.pending_times.last());
    }

    /// Entries of `.index`, in the file and here.
    pub(crate) fn entries(&self) -> u32 {
        self.stored + self.pending.len() as u32
    }

    /// Takes note of a batch (`LogSegment.append`): it gets an entry when more than `interval` bytes came since the last.
    /// `latest` already counts the batch in.
    pub(crate) fn note(&mut self, entry: IndexEntry, bytes: usize, interval: u32, base: Offset, latest: Latest) {
        if self.bytes_since > interval {
            self.pending.push(entry);
            self.note_time(base, latest);
            self.bytes_since = 0;
        }
        self.bytes_since = self.bytes_since.saturating_add(bytes as u32);
    }

    /// Adds a time entry if it is newer than the last (`TimeIndex.maybeAppend`).
    pub(crate) fn note_time(&mut self, base: Offset, latest: Latest) {
        if latest.timestamp > self.last_time {
            let offset = u32::try_from(latest.offset.since(base)).unwrap_or(u32::MAX);
            self.pending_times.push(TimeEntry { timestamp: latest.timestamp, offset });
            self.last_time = latest.timestamp;
        }
    }
}
