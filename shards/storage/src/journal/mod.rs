//! The journal of one core: every append of every log goes into one sequence of frames, one frame a flush cycle.

mod files;
pub(crate) mod format;
mod frame;

pub use format::{EntryHeader, EntryKind, FileHeader, FrameHeader, Mark};

pub(crate) use files::{FILES_MIN, Files, JournalFile, Place, Reserve, fitting, remove_beyond};
pub(crate) use frame::Frame;

use std::rc::Rc;

use ottla_batch::{HEADER_BYTES, Joint};
use ottla_reactor::{AlignedBuffer, BLOCK, monotonic};
use ottla_units::Offset;

use crate::flush::Company;
use crate::log::LogCore;
use crate::{StorageError, StoreConfig};
use format::{ENTRY_HEADER_BYTES, MARK_BYTES};

/// A log that brought something into a cycle.
pub(crate) struct Touched {
    pub(crate) log: Rc<LogCore>,
    /// The log's end when the cycle was sealed.
    pub(crate) end: Offset,
    /// Whether some of it is in the frame.
    pub(crate) journaled: bool,
}

impl Touched {
    fn new(log: Rc<LogCore>) -> Touched {
        let (end, journaled) = log.brought();
        Touched { log, end, journaled }
    }
}

/// How an append gets to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// In the cycle's frame.
    Frame,
    /// Straight to its segment, within the cycle.
    Bulk,
}

/// The cycle being filled, and how far the ones before are.
pub(crate) struct Journal {
    pub(crate) frame: Frame,
    /// The number of the cycle being filled.
    pub(crate) cycle: u64,
    /// Logs that brought something into it. One word each: a larger value is made elsewhere and read back to be put here, which
    /// waits until all that was appended before has left the processor.
    pub(crate) touched: Vec<Rc<LogCore>>,
    pub(crate) bulk: Vec<Rc<LogCore>>,
    pub(crate) bulk_bytes: usize,
    pub(crate) marked: Vec<Rc<LogCore>>,
    /// Whether the cycle is to be flushed.
    pub(crate) wanted: bool,
    /// Appends in the cycle being filled.
    pub(crate) appends: u32,
    pub(crate) company: Company,
    /// Cycles up to this one are written, respectively durable.
    pub(crate) written: u64,
    pub(crate) durable: u64,
    joint: Joint,
    spare: Option<AlignedBuffer>,
    spare_touched: Vec<Touched>,
    /// Bytes of a frame's buffer from the first append on, and at most.
    frame_bytes: usize,
    frame_bytes_max: usize,
}

/// A cycle that takes nothing more.
pub(crate) struct Cycle {
    pub(crate) number: u64,
    pub(crate) appends: u32,
    pub(crate) frame: Frame,
    pub(crate) touched: Vec<Touched>,
    pub(crate) bulk: Vec<Rc<LogCore>>,
    pub(crate) marked: Vec<Rc<LogCore>>,
}

impl Journal {
    pub(crate) fn new(config: &StoreConfig) -> Journal {
        Journal {
            frame: Frame::new(AlignedBuffer::new(BLOCK)),
            cycle: 1,
            touched: Vec::new(),
            bulk: Vec::new(),
            bulk_bytes: 0,
            marked: Vec::new(),
            wanted: false,
            appends: 0,
            company: Company::new(monotonic()),
            written: 0,
            durable: 0,
            joint: Joint::default(),
            spare: None,
            spare_touched: Vec::new(),
            frame_bytes: config.frame_bytes,
            frame_bytes_max: config.frame_bytes_max,
        }
    }

    /// Whether somebody waits for this cycle: marks alone ride along with the next append.
    pub(crate) fn has_work(&self) -> bool {
        self.wanted
    }

    /// The newest cycle that somebody may wait for.
    pub(crate) fn newest(&self) -> u64 {
        if self.wanted { self.cycle } else { self.cycle - 1 }
    }

    /// Makes sure that an entry of `bytes` and one without payload fit, if need be into a larger buffer.
    pub(crate) fn make_room(&mut self, bytes: usize) -> Result<(), StorageError> {
        while !self.frame.fits(bytes + ENTRY_HEADER_BYTES) {
            let larger = (self.frame.capacity() * 2).max(self.frame_bytes).min(self.frame_bytes_max);
            if larger <= self.frame.capacity() {
                return Err(StorageError::Busy);
            }
            self.frame.grow(AlignedBuffer::registered(larger));
        }
        Ok(())
    }

    /// Adds a batch to the frame, its header as it is to be stored.
    #[inline]
    pub(crate) fn push_batch(&mut self, entry: EntryHeader, header: &[u8; HEADER_BYTES], records: &[u8]) {
        self.frame.push_batch(entry, header, records, &mut self.joint);
    }

    /// Adds a log's mark to the frame. Says whether there was room; a mark left out costs recovery time, nothing else.
    pub(crate) fn push_mark(&mut self, log: &Rc<LogCore>, mark: Mark) -> bool {
        if !self.frame.fits(MARK_BYTES) {
            return false;
        }
        self.frame.push(mark_entry(log, &mark), &mark.to_bytes(), &[]);
        self.marked.push(Rc::clone(log));
        true
    }

    /// Ends the cycle being filled and begins the next.
    pub(crate) fn seal(&mut self) -> Cycle {
        let capacity = self.frame.capacity();
        let buffer = self.spare.take().unwrap_or_else(|| AlignedBuffer::registered(capacity));
        let frame = std::mem::replace(&mut self.frame, Frame::new(buffer));
        let number = self.cycle;
        self.cycle += 1;
        self.bulk_bytes = 0;
        self.wanted = false;
        let appends = std::mem::take(&mut self.appends);
        let mut touched = std::mem::take(&mut self.spare_touched);
        touched.extend(self.touched.drain(..).map(Touched::new));
        let bulk = std::mem::take(&mut self.bulk);
        let marked = std::mem::take(&mut self.marked);
        Cycle { number, appends, frame, touched, bulk, marked }
    }

    /// Gives back what a finished cycle used.
    pub(crate) fn give_back(&mut self, buffer: Option<AlignedBuffer>, mut touched: Vec<Touched>) {
        touched.clear();
        self.spare_touched = touched;
        if let Some(buffer) = buffer {
            self.spare = Some(buffer);
        }
    }
}

/// What stands before a log's mark.
pub(crate) fn mark_entry(log: &LogCore, mark: &Mark) -> EntryHeader {
    EntryHeader {
        kind: EntryKind::Mark,
        key: log.key,
        length: MARK_BYTES as u32,
        epoch: ottla_units::LeaderEpoch::NONE,
        offset: mark.end,
    }
}
