//! The journal's bytes: file header, frames, entries. All numbers are little-endian; batches inside are as Kafka writes them.
//!
//! ```text
//! file   block 0: "OTJH" │ crc u32 of 8..64 │ version u32 │ core u32 │ generation u64 │ sequence u64 │ salt u64 │ bytes u64 │ zeroed u32 │ 0…
//!        then frames, each at a block boundary
//! frame  "OTJF" │ crc u32 of the entries and then of 8..56 │ length u32 │ entries u32 │ salt u64 │ sequence u64 │ number u32 │ previous u32
//!        │ cycle u64 │ previous sequence u64 │ entries…
//! entry  kind u8 (1 append, 2 mark, 3 roll) │ 0 u8 ×3 │ partition i32 │ topic id 16 │ length u32 │ leader epoch i32 │ offset i64 │ payload
//! ```
//!
//! A frame belongs to its file by sequence and salt: the salt is drawn anew each time a file is recycled, so neither an old
//! frame nor bytes that a client made up can pass for a frame.

use ottla_reactor::BLOCK;
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

use crate::Planted;
use crate::segment::Latest;

/// The newest version of the journal's format that this program reads and writes.
pub(crate) const VERSION: u32 = 1;
const FILE_MAGIC: [u8; 4] = *b"OTJH";
const FRAME_MAGIC: [u8; 4] = *b"OTJF";
/// Bytes of a file header that are checksummed and used.
const FILE_HEADER_BYTES: usize = 64;
/// Bytes before a frame's entries.
pub const FRAME_HEADER_BYTES: usize = 56;
/// Bytes before an entry's payload.
pub const ENTRY_HEADER_BYTES: usize = 40;
/// Stands for "no file before this one".
pub(crate) const NO_PREVIOUS: u32 = u32::MAX;

fn put<const N: usize>(bytes: &mut [u8], at: usize, field: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&field);
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// The first block of a journal file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileHeader {
    /// The core whose journal it is.
    pub core: u16,
    /// Which start of the broker wrote it.
    pub generation: u64,
    /// Its place among this start's files: 1, 2, 3 …
    pub sequence: u64,
    /// What ties frames to this use of the file.
    pub salt: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether every block of it was written once.
    pub zeroed: bool,
}

/// Bytes at a file's front that say what it is: its header, and whether a frame follows.
pub(crate) const HEAD_BYTES: usize = 2 * BLOCK;

/// What the first bytes of a file say.
pub(crate) enum HeaderFound {
    /// Never written.
    Blank,
    Valid(FileHeader),
    Newer(u32),
    Damaged,
}

impl FileHeader {
    pub(crate) fn write(&self, block: &mut [u8]) {
        block[..BLOCK].fill(0);
        put(block, 0, FILE_MAGIC);
        put(block, 8, VERSION.to_le_bytes());
        put(block, 12, u32::from(self.core).to_le_bytes());
        put(block, 16, self.generation.to_le_bytes());
        put(block, 24, self.sequence.to_le_bytes());
        put(block, 32, self.salt.to_le_bytes());
        put(block, 40, self.bytes.to_le_bytes());
        put(block, 48, u32::from(self.zeroed).to_le_bytes());
        let crc = crc32c::crc32c(&block[8..FILE_HEADER_BYTES]);
        put(block, 4, crc.to_le_bytes());
    }

    pub(crate) fn read(head: &[u8]) -> HeaderFound {
        let Some(header) = head.get(..FILE_HEADER_BYTES) else { return HeaderFound::Blank };
        if header.iter().all(|byte| *byte == 0) {
            // A header is flushed before frames follow: one that is not there was lost, and they must not be passed over.
            let first = head.get(BLOCK..HEAD_BYTES.min(head.len())).unwrap_or_default();
            return if first.iter().all(|byte| *byte == 0) { HeaderFound::Blank } else { HeaderFound::Damaged };
        }
        let crc = u32::from_le_bytes(get(header, 4));
        if header[..4] != FILE_MAGIC || crc != crc32c::crc32c(&header[8..]) {
            return HeaderFound::Damaged;
        }
        let version = u32::from_le_bytes(get(header, 8));
        if version > VERSION {
            return HeaderFound::Newer(version);
        }
        HeaderFound::Valid(FileHeader {
            core: u32::from_le_bytes(get(header, 12)) as u16,
            generation: u64::from_le_bytes(get(header, 16)),
            sequence: u64::from_le_bytes(get(header, 24)),
            salt: u64::from_le_bytes(get(header, 32)),
            bytes: u64::from_le_bytes(get(header, 40)),
            zeroed: get::<4>(header, 48) != [0; 4],
        })
    }
}

/// What stands before a frame's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Bytes of header and entries, padding left out.
    pub length: u32,
    /// How many entries.
    pub entries: u32,
    /// The file's salt.
    pub salt: u64,
    /// The file's sequence.
    pub sequence: u64,
    /// Its place in the file: 0, 1, 2 …
    pub number: u32,
    /// How many frames the file before this one has; `u32::MAX` in the first file of a start.
    pub previous: u32,
    /// That file's sequence: files that were never used may stand in between. 0 in the first file of a start.
    pub previous_sequence: u64,
    /// The flush cycle.
    pub cycle: u64,
}

impl FrameHeader {
    /// Writes the header at the front of `frame` and seals it. `entries` is the checksum of what follows the header: the
    /// frame's is over the entries first and the header after them, so that it can be taken while entries come in.
    pub(crate) fn seal(&self, frame: &mut [u8], entries: u32) {
        put(frame, 0, FRAME_MAGIC);
        put(frame, 8, self.length.to_le_bytes());
        put(frame, 12, self.entries.to_le_bytes());
        put(frame, 16, self.salt.to_le_bytes());
        put(frame, 24, self.sequence.to_le_bytes());
        put(frame, 32, self.number.to_le_bytes());
        put(frame, 36, self.previous.to_le_bytes());
        put(frame, 40, self.cycle.to_le_bytes());
        put(frame, 48, self.previous_sequence.to_le_bytes());
        let crc = crc32c::crc32c_append(entries, &frame[8..FRAME_HEADER_BYTES]);
        put(frame, 4, crc.to_le_bytes());
    }

    /// The header at the start of `bytes`, if one could be there that belongs to `file`. Its checksum is not looked at.
    pub(crate) fn peek(bytes: &[u8], file: &FileHeader) -> Option<FrameHeader> {
        let bytes = bytes.get(..FRAME_HEADER_BYTES)?;
        let header = FrameHeader {
            length: u32::from_le_bytes(get(bytes, 8)),
            entries: u32::from_le_bytes(get(bytes, 12)),
            salt: u64::from_le_bytes(get(bytes, 16)),
            sequence: u64::from_le_bytes(get(bytes, 24)),
            number: u32::from_le_bytes(get(bytes, 32)),
            previous: u32::from_le_bytes(get(bytes, 36)),
            cycle: u64::from_le_bytes(get(bytes, 40)),
            previous_sequence: u64::from_le_bytes(get(bytes, 48)),
        };
        let fits = bytes[..4] == FRAME_MAGIC
            && header.salt == file.salt
            && header.sequence == file.sequence
            && header.length as usize >= FRAME_HEADER_BYTES;
        fits.then_some(header)
    }

    /// Whether the checksum of the frame at the start of `bytes` is right.
    pub(crate) fn verify(&self, bytes: &[u8]) -> bool {
        let Some(header) = bytes.get(..FRAME_HEADER_BYTES) else { return false };
        let Some(entries) = bytes.get(FRAME_HEADER_BYTES..self.length as usize) else { return false };
        let crc = crc32c::crc32c_append(crc32c::crc32c(entries), &header[8..]);
        Planted::FrameUnchecked.is_there() || crc == u32::from_le_bytes(get(header, 4))
    }

    /// Bytes of the frame in the file.
    pub(crate) fn padded(&self) -> u64 {
        u64::from(self.length).next_multiple_of(BLOCK as u64)
    }
}

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// A batch, appended.
    Append,
    /// What of a log is known to be durable in its segments; see [`Mark`].
    Mark,
    /// A new segment begins at the offset.
    Roll,
}

impl EntryKind {
    const fn code(self) -> u8 {
        match self {
            EntryKind::Append => 1,
            EntryKind::Mark => 2,
            EntryKind::Roll => 3,
        }
    }

    const fn from_code(code: u8) -> Option<EntryKind> {
        match code {
            1 => Some(EntryKind::Append),
            2 => Some(EntryKind::Mark),
            3 => Some(EntryKind::Roll),
            _ => None,
        }
    }
}

/// What stands before an entry's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryHeader {
    /// What it is.
    pub kind: EntryKind,
    /// Whose.
    pub key: TopicPartition,
    /// Bytes of the payload.
    pub length: u32,
    /// The leadership.
    pub epoch: LeaderEpoch,
    /// The batch's base offset, or the offset that the entry is about.
    pub offset: Offset,
}

impl EntryHeader {
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; ENTRY_HEADER_BYTES] {
        let mut bytes = [0; ENTRY_HEADER_BYTES];
        bytes[0] = self.kind.code();
        put(&mut bytes, 4, self.key.partition.get().to_le_bytes());
        put(&mut bytes, 8, self.key.topic.to_bytes());
        put(&mut bytes, 24, self.length.to_le_bytes());
        put(&mut bytes, 28, self.epoch.get().to_le_bytes());
        put(&mut bytes, 32, self.offset.get().to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<EntryHeader> {
        let bytes = bytes.get(..ENTRY_HEADER_BYTES)?;
        Some(EntryHeader {
            kind: EntryKind::from_code(bytes[0])?,
            key: TopicPartition::new(
                TopicId::from_bytes(get(bytes, 8)),
                PartitionIndex::new(i32::from_le_bytes(get(bytes, 4))),
            ),
            length: u32::from_le_bytes(get(bytes, 24)),
            epoch: LeaderEpoch::new(i32::from_le_bytes(get(bytes, 28))),
            offset: Offset::new(i64::from_le_bytes(get(bytes, 32))),
        })
    }
}

/// The entries of a frame that verified. Yields `None` in place of an entry that makes no sense, and then ends.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    /// Over what follows a frame's header.
    pub(crate) fn new(bytes: &'a [u8]) -> Entries<'a> {
        Entries { rest: bytes }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Option<(EntryHeader, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = EntryHeader::from_bytes(self.rest).and_then(|header| {
            let end = ENTRY_HEADER_BYTES.checked_add(header.length as usize)?;
            let payload = self.rest.get(ENTRY_HEADER_BYTES..end)?;
            self.rest = &self.rest[end..];
            Some((header, payload))
        });
        if entry.is_none() {
            self.rest = &[];
        }
        Some(entry)
    }
}

/// Bytes of a [`Mark`].
pub(crate) const MARK_BYTES: usize = 56;

/// What is known to be durable in a log's segments. Recovery looks at nothing before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The log's first offset.
    pub start: Offset,
    /// The segment that was written last.
    pub segment: Offset,
    /// Up to where in that segment's file, in bytes.
    pub position: u64,
    /// The offset that follows there.
    pub end: Offset,
    /// Entries of its `.index` that are durable.
    pub index_entries: u32,
    /// Entries of its `.timeindex` that are durable.
    pub time_entries: u32,
    /// The latest timestamp up to there.
    pub latest: Latest,
}

impl Mark {
    pub(crate) fn to_bytes(self) -> [u8; MARK_BYTES] {
        let mut bytes = [0; MARK_BYTES];
        put(&mut bytes, 0, self.start.get().to_le_bytes());
        put(&mut bytes, 8, self.segment.get().to_le_bytes());
        put(&mut bytes, 16, self.position.to_le_bytes());
        put(&mut bytes, 24, self.end.get().to_le_bytes());
        put(&mut bytes, 32, self.index_entries.to_le_bytes());
        put(&mut bytes, 36, self.time_entries.to_le_bytes());
        put(&mut bytes, 40, self.latest.timestamp.get().to_le_bytes());
        put(&mut bytes, 48, self.latest.offset.get().to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Mark> {
        if bytes.len() != MARK_BYTES {
            return None;
        }
        Some(Mark {
            start: Offset::new(i64::from_le_bytes(get(bytes, 0))),
            segment: Offset::new(i64::from_le_bytes(get(bytes, 8))),
            position: u64::from_le_bytes(get(bytes, 16)),
            end: Offset::new(i64::from_le_bytes(get(bytes, 24))),
            index_entries: u32::from_le_bytes(get(bytes, 32)),
            time_entries: u32::from_le_bytes(get(bytes, 36)),
            latest: Latest {
                timestamp: Timestamp::new(i64::from_le_bytes(get(bytes, 40))),
                offset: Offset::new(i64::from_le_bytes(get(bytes, 48))),
            },
        })
    }
}

#[cfg(test)]
mod tests;
