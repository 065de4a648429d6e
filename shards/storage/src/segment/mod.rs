//! Segments: what is known of each, and their index files.

mod index;
pub(crate) use index::GrowingIndex;
pub use index::{INDEX_ENTRY_BYTES, IndexEntry, Latest, TIME_ENTRY_BYTES, TimeEntry};

use ottla_units::{Offset, Timestamp};

/// One segment of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Its first offset, which names its files.
    pub base: Offset,
    /// Bytes of its batches.
    pub bytes: u64,
    /// Its latest timestamp.
    pub latest: Latest,
    /// The latest timestamp of its first batch; none when it is empty. What `segment.ms` counts from.
    pub first_timestamp: Timestamp,
    /// When it was begun.
    pub created: Timestamp,
}

impl Segment {
    /// A segment without batches.
    pub(crate) fn new(base: Offset, created: Timestamp) -> Segment {
        Segment { base, bytes: 0, latest: Latest::NONE, first_timestamp: Timestamp::NONE, created }
    }

    /// Counts a batch in.
    pub(crate) fn note(&mut self, last_offset: Offset, max_timestamp: Timestamp, bytes: usize) {
        if self.bytes == 0 {
            self.first_timestamp = max_timestamp;
        }
        if max_timestamp > self.latest.timestamp {
            self.latest = Latest { timestamp: max_timestamp, offset: last_offset };
        }
        self.bytes += bytes as u64;
    }
}

/// A segment whose files are not finished: the active one, and rolled ones not yet written out.
#[derive(Clone, Debug)]
pub(crate) struct Growing {
    pub(crate) base: Offset,
    /// The log place of its first byte.
    pub(crate) at: u64,
    pub(crate) index: GrowingIndex,
    /// Whether its file is there.
    pub(crate) exists: bool,
    /// Bytes of the file that are reserved on the disk.
    pub(crate) allocated: u64,
    /// Whether its files differ from what they are to be at the end: padded, or indexes behind.
    pub(crate) untidy: bool,
}

impl Growing {
    pub(crate) fn new(base: Offset, at: u64) -> Growing {
        Growing { base, at, index: GrowingIndex::new(), exists: false, allocated: 0, untidy: false }
    }
}

#[cfg(test)]
mod tests;
