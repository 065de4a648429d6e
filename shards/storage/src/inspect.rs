//! What the files hold that only Ottla has, for people: read from their bytes, nothing changed and nothing repaired.

use ottla_reactor::BLOCK;
use ottla_units::{TopicId, TopicPartition};

use crate::LogImage;
use crate::checkpoint::Checkpoint;
pub use crate::journal::format::{ENTRY_HEADER_BYTES, FRAME_HEADER_BYTES};
use crate::journal::format::{Entries, HeaderFound};
pub use crate::journal::{EntryHeader, EntryKind, FileHeader, FrameHeader, Mark};

/// What a journal file is.
#[derive(Debug)]
pub enum Journal<'a> {
    /// Set aside for later: nothing was written to it yet.
    Blank,
    /// Of a format that this program does not know.
    Newer(u32),
    /// Its first block is damaged.
    Damaged,
    /// A journal file, and its frames.
    File(FileHeader, Frames<'a>),
}

/// Looks at a journal file's bytes.
pub fn journal(bytes: &[u8]) -> Journal<'_> {
    match FileHeader::read(bytes) {
        HeaderFound::Blank => Journal::Blank,
        HeaderFound::Newer(version) => Journal::Newer(version),
        HeaderFound::Damaged => Journal::Damaged,
        HeaderFound::Valid(file) => Journal::File(file, Frames { bytes, file, at: BLOCK, ended: false }),
    }
}

/// The frames of a journal file, in order.
#[derive(Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    file: FileHeader,
    at: usize,
    ended: bool,
}

/// What is found where a frame could be.
#[derive(Debug)]
pub enum FrameFound<'a> {
    /// A frame that verifies.
    Frame {
        /// Where it begins, in bytes.
        at: usize,
        /// What stands before its entries.
        header: FrameHeader,
        /// Its entries.
        entries: FrameEntries<'a>,
    },
    /// A last frame that was not wholly written: it was never acknowledged.
    Torn {
        /// Where it begins, in bytes.
        at: usize,
    },
    /// A frame that does not verify though others follow.
    Damaged {
        /// Where it begins, in bytes.
        at: usize,
        /// Where the next good one begins, in bytes.
        next: usize,
    },
}

impl<'a> Iterator for Frames<'a> {
    type Item = FrameFound<'a>;

    fn next(&mut self) -> Option<FrameFound<'a>> {
        if self.ended {
            return None;
        }
        let at = self.at;
        if let Some(header) = self.verified(at) {
            self.at = at + usize::try_from(header.padded()).ok()?;
            let body = self.bytes.get(at + FRAME_HEADER_BYTES..at + header.length as usize)?;
            return Some(FrameFound::Frame { at, header, entries: FrameEntries(Entries::new(body)) });
        }
        let next = (at + BLOCK..self.bytes.len()).step_by(BLOCK).find(|place| self.verified(*place).is_some());
        match next {
            Some(next) => {
                self.at = next;
                Some(FrameFound::Damaged { at, next })
            }
            None => {
                self.ended = true;
                let begun = self.bytes.get(at..).and_then(|bytes| FrameHeader::peek(bytes, &self.file));
                begun.map(|_| FrameFound::Torn { at })
            }
        }
    }
}

impl Frames<'_> {
    /// The header of a frame that begins here, belongs to this file, and verifies.
    fn verified(&self, at: usize) -> Option<FrameHeader> {
        let bytes = self.bytes.get(at..)?;
        FrameHeader::peek(bytes, &self.file).filter(|header| header.verify(bytes))
    }
}

/// The entries of a frame; ends early at one that makes no sense.
#[derive(Debug)]
pub struct FrameEntries<'a>(Entries<'a>);

/// What an entry holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum EntryContent<'a> {
    /// A batch, as it went to the log.
    Batch(&'a [u8]),
    /// What is known to be durable in the segments.
    Mark(Mark),
    /// Nothing besides its header.
    Bare,
}

impl<'a> Iterator for FrameEntries<'a> {
    type Item = (EntryHeader, EntryContent<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (header, payload) = self.0.next()??;
        let content = match header.kind {
            EntryKind::Append => EntryContent::Batch(payload),
            EntryKind::Mark => EntryContent::Mark(Mark::from_bytes(payload)?),
            EntryKind::Roll => EntryContent::Bare,
        };
        Some((header, content))
    }
}

/// What a checkpoint file is.
#[derive(Debug)]
pub enum CheckpointFile {
    /// Of a format that this program does not know.
    Newer(u32),
    /// Damaged, or no checkpoint.
    Damaged,
    /// A checkpoint.
    Found(CheckpointFound),
}

/// What a checkpoint file knows.
#[derive(Clone, Debug)]
pub struct CheckpointFound {
    /// Which start of the broker wrote it.
    pub generation: u64,
    /// Whether that one stopped cleanly afterwards.
    pub clean: bool,
    /// Every log.
    pub logs: Vec<(TopicPartition, KnownLog)>,
}

/// What a checkpoint knows of a log.
#[derive(Clone, Debug)]
pub struct KnownLog {
    /// The log as a start would take it over.
    pub image: LogImage,
    /// Entries of its active segment's `.index`.
    pub index_entries: u32,
    /// Entries of its active segment's `.timeindex`.
    pub time_entries: u32,
}

/// Looks at a checkpoint file's bytes.
pub fn checkpoint(bytes: &[u8]) -> CheckpointFile {
    if let Some(version) = Checkpoint::newer(bytes) {
        return CheckpointFile::Newer(version);
    }
    let Some(found) = Checkpoint::from_bytes(bytes) else { return CheckpointFile::Damaged };
    let logs = found.logs.into_iter().map(|(key, image)| {
        let (index_entries, time_entries) = (image.active.index.stored, image.active.index.stored_times);
        (key, KnownLog { image, index_entries, time_entries })
    });
    CheckpointFile::Found(CheckpointFound { generation: found.generation, clean: found.clean, logs: logs.collect() })
}

/// The topic that a `partition.metadata` names.
pub fn owner(text: &str) -> Option<TopicId> {
    crate::owner::topic(text)
}
