//! The journal's files: which are used, which may be used again.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ottla_reactor::file::{self, File, Open};
use ottla_reactor::{AlignedBuffer, BLOCK, random_bytes, sleep};

use super::format::{FileHeader, FrameHeader, HeaderFound, NO_PREVIOUS};
use crate::log::LogCore;
use crate::{Planted, StorageError, StoreConfig};

/// Bytes of zeros written at once when a file is first filled, and how long the disk is left to others in between.
const ZERO_BYTES: usize = 512 << 10;
const ZERO_PAUSE: Duration = Duration::from_millis(1);
/// Bytes of frames that say the journal is used in earnest: from then on files are filled ahead of their use.
const EARNEST_BYTES: u64 = 1 << 20;

/// The fewest files: one that takes frames, one to go on with, one in reserve.
pub(crate) const FILES_MIN: usize = 3;

/// One journal file.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    bytes: u64,
    /// Whether every block was written once, which makes later writes cheaper.
    zeroed: Cell<bool>,
}

/// A file that holds frames which recovery would need.
struct Used {
    file: Rc<JournalFile>,
    header: FileHeader,
    /// Where the next frame goes.
    position: u64,
    frames: u32,
    /// Frames of the file before, and its sequence.
    previous: (u32, u64),
    /// Logs that became dirty in this file, some of them clean again by now.
    dirty: Vec<Rc<LogCore>>,
    /// Logs whose mark went into this file, some of them marked again later.
    marked: Vec<Rc<LogCore>>,
}

/// Where a frame goes.
pub(crate) struct Place {
    pub(crate) file: Rc<JournalFile>,
    pub(crate) position: u64,
    pub(crate) header: FrameHeader,
}

/// What a frame may do about the last free file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reserve {
    /// Leave it: recycling may need it.
    Kept,
    /// Take it.
    Used,
}

/// All files of one core's journal.
pub(crate) struct Files {
    core: u16,
    generation: u64,
    next_sequence: u64,
    /// Ready for use, in the order of their sequences.
    free: VecDeque<(Rc<JournalFile>, FileHeader)>,
    /// Taken out of the line to be filled first.
    aside: Vec<Rc<JournalFile>>,
    /// Oldest first; the last one takes the next frame.
    used: VecDeque<Used>,
}

impl Files {
    pub(crate) fn new(config: &StoreConfig) -> Files {
        Files {
            core: config.core,
            generation: config.generation,
            next_sequence: 1,
            free: VecDeque::new(),
            aside: Vec::new(),
            used: VecDeque::new(),
        }
    }

    /// The header that the next file in line is to have, but for what the file itself knows.
    pub(crate) fn next_header(&mut self) -> FileHeader {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        FileHeader {
            core: self.core,
            generation: self.generation,
            sequence,
            salt: uuid::Uuid::from_bytes(random_bytes()).as_u64_pair().0,
            bytes: 0,
            zeroed: false,
        }
    }

    /// Takes a file whose header is written.
    pub(crate) fn offer(&mut self, file: Rc<JournalFile>, header: FileHeader) {
        self.free.push_back((file, header));
    }

    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    pub(crate) fn used(&self) -> usize {
        self.used.len()
    }

    /// Bytes of frames in the files in use.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.used.iter().map(|used| used.position).sum()
    }

    /// Finds the place of a frame of `padded` bytes; `None` while no file is free.
    pub(crate) fn place(&mut self, padded: u64, cycle: u64, reserve: Reserve) -> Option<Place> {
        let early = self.skip_blank();
        if early || self.used.back().is_none_or(|active| active.position + padded > active.header.bytes) {
            let previous = self.used.back().map_or((NO_PREVIOUS, 0), |active| (active.frames, active.header.sequence));
            if reserve == Reserve::Kept && self.free.len() < 2 {
                return None;
            }
            let (file, header) = self.free.pop_front()?;
            let (position, frames) = (BLOCK as u64, 0);
            self.used.push_back(Used {
                file,
                header,
                position,
                frames,
                previous,
                dirty: Vec::new(),
                marked: Vec::new(),
            });
        }
        let active = self.used.back_mut()?;
        let header = FrameHeader {
            length: 0,
            entries: 0,
            salt: active.header.salt,
            sequence: active.header.sequence,
            number: active.frames,
            previous: active.previous.0,
            previous_sequence: active.previous.1,
            cycle,
        };
        let place = Place { file: Rc::clone(&active.file), position: active.position, header };
        active.position += padded;
        active.frames += 1;
        Some(place)
    }

    /// The file that takes the next frame.
    pub(crate) fn active(&self) -> Option<Rc<JournalFile>> {
        self.used.back().map(|used| Rc::clone(&used.file))
    }

    /// The sequence of the file that took the last frame; 0 before the first.
    pub(crate) fn sequence(&self) -> u64 {
        self.used.back().map_or(0, |active| active.header.sequence)
    }

    fn find(&mut self, sequence: u64) -> Option<&mut Used> {
        self.used.iter_mut().find(|used| used.header.sequence == sequence)
    }

    /// Remembers that `log` has data in the file `sequence` that its segments lack.
    pub(crate) fn add_dirty(&mut self, sequence: u64, log: &Rc<LogCore>) {
        if let Some(used) = self.find(sequence) {
            used.dirty.push(Rc::clone(log));
        }
    }

    /// Remembers that the file `sequence` holds the newest mark of `log`.
    pub(crate) fn add_marked(&mut self, sequence: u64, log: &Rc<LogCore>) {
        if let Some(used) = self.find(sequence) {
            used.marked.push(Rc::clone(log));
        }
    }

    /// Logs that keep the oldest file from being used again, at most `count`.
    pub(crate) fn oldest_dirty(&mut self, count: usize) -> Vec<Rc<LogCore>> {
        let Some(oldest) = self.used.front_mut() else { return Vec::new() };
        let sequence = oldest.header.sequence;
        oldest.dirty.retain(|log| log.dirty_since() == Some(sequence));
        oldest.dirty.iter().take(count).map(Rc::clone).collect()
    }

    /// Whether the oldest file holds nothing that segments lack; then the logs whose newest mark is in it.
    pub(crate) fn recyclable(&mut self) -> Option<Vec<Rc<LogCore>>> {
        if self.used.len() < 2 {
            return None;
        }
        let oldest = self.used.front_mut()?;
        let sequence = oldest.header.sequence;
        while oldest.dirty.last().is_some_and(|log| log.dirty_since() != Some(sequence)) {
            oldest.dirty.pop();
        }
        if !oldest.dirty.is_empty() && !Planted::TrimmedEarly.is_there() {
            return None;
        }
        oldest.marked.retain(|log| log.mark_in() == sequence);
        Some(oldest.marked.clone())
    }

    /// Takes the oldest file out of use.
    pub(crate) fn take_oldest(&mut self) -> Option<Rc<JournalFile>> {
        self.used.pop_front().map(|used| used.file)
    }

    /// Takes a free file that was never filled, once the journal is used in earnest; two free files are left in line.
    pub(crate) fn take_blank(&mut self) -> Option<Rc<JournalFile>> {
        if let Some(file) = self.aside.pop() {
            return Some(file);
        }
        let active = self.used.back()?;
        if self.free.len() < 3 || (self.used.len() < 2 && active.position < EARNEST_BYTES) {
            return None;
        }
        // From the end of the line: its sequence is left out, which nobody minds.
        let last = self.free.iter().rposition(|(file, _)| !file.zeroed.get())?;
        self.free.remove(last).map(|(file, _)| file)
    }

    /// Leaves a file that was never filled, where each frame changes the file's map of blocks, as soon as two filled ones
    /// are in line; those before them step aside. Says whether the next file is to be begun.
    fn skip_blank(&mut self) -> bool {
        let blank = self.used.back().is_some_and(|active| !active.file.zeroed.get());
        if !blank || self.free.iter().filter(|(file, _)| file.zeroed.get()).count() < 2 {
            return false;
        }
        while self.free.front().is_some_and(|(file, _)| !file.zeroed.get()) {
            self.aside.extend(self.free.pop_front().map(|(file, _)| file));
        }
        true
    }

    /// Whether all `count` files were filled.
    pub(crate) fn all_zeroed(&self, count: usize) -> bool {
        let files = self.free.iter().map(|(file, _)| file).chain(self.used.iter().map(|used| &used.file));
        files.filter(|file| file.zeroed.get()).count() >= count
    }

    /// Forgets everything, so that nothing refers to logs any more.
    pub(crate) fn clear(&mut self) {
        self.free.clear();
        self.aside.clear();
        self.used.clear();
    }
}

impl JournalFile {
    /// Opens file number `slot` of a core's journal, or makes it with `bytes` reserved on the disk.
    pub(crate) async fn open(folder: &Path, slot: usize, bytes: u64) -> Result<JournalFile, StorageError> {
        let path = folder.join(format!("{slot:03}.journal"));
        let how = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
        let file = File::open(&path, how).await.map_err(StorageError::io(&path, "open"))?;
        let size = file.size().map_err(StorageError::io(&path, "look at"))?;
        let mut zeroed = false;
        if size == bytes {
            let (count, block) = file.read_at(AlignedBuffer::new(BLOCK), BLOCK, 0).await;
            count.map_err(StorageError::io(&path, "read"))?;
            zeroed = matches!(FileHeader::read(&block), HeaderFound::Valid(header) if header.zeroed && header.bytes == bytes);
        } else {
            file.truncate(bytes).await.map_err(StorageError::io(&path, "resize"))?;
        }
        if !zeroed {
            file.allocate(0, bytes).await.map_err(StorageError::io(&path, "reserve space for"))?;
        }
        // Not flushed: whoever uses it writes its header first, durably.
        Ok(JournalFile { file, path, bytes, zeroed: Cell::new(zeroed) })
    }

    /// `header` with what this file knows.
    pub(crate) fn header(&self, header: FileHeader) -> FileHeader {
        FileHeader { bytes: self.bytes, zeroed: self.zeroed.get(), ..header }
    }

    /// Writes the header, durably: a first frame may be written in a way that flushes nothing else.
    pub(crate) async fn write_header(&self, header: &FileHeader) -> Result<(), StorageError> {
        let mut block = AlignedBuffer::new(BLOCK);
        header.write(&mut block);
        self.file.write_at(block, 0..BLOCK, 0).await.0.map_err(StorageError::io(&self.path, "write"))?;
        self.file.sync_data().await.map_err(StorageError::io(&self.path, "flush"))
    }

    /// Writes zeros over the whole file, once in its life. Only for a file that nobody uses.
    pub(crate) async fn zero(&self) -> Result<(), StorageError> {
        let mut zeros = AlignedBuffer::new(usize::try_from(self.bytes).unwrap_or(ZERO_BYTES).min(ZERO_BYTES));
        let mut at = BLOCK as u64;
        while at < self.bytes {
            let len = (self.bytes - at).min(ZERO_BYTES as u64) as usize;
            let (result, buffer) = self.file.write_at(zeros, 0..len, at).await;
            result.map_err(StorageError::io(&self.path, "write"))?;
            zeros = buffer;
            at += len as u64;
            sleep(ZERO_PAUSE).await;
        }
        self.file.sync_data().await.map_err(StorageError::io(&self.path, "flush"))?;
        self.zeroed.set(true);
        Ok(())
    }
}

/// How many journal files of what size fit a disk with `free` bytes, of the `wanted` number: an eighth of what is free.
pub(crate) fn fitting(files: usize, bytes: u64, free: u64) -> (usize, u64) {
    let mut bytes = bytes;
    while bytes > (8 << 20) && bytes * files as u64 > free / 8 {
        bytes /= 2;
    }
    (files.max(FILES_MIN), bytes)
}

/// Removes journal files beyond the first `keep` of a core's.
pub(crate) async fn remove_beyond(folder: &Path, keep: usize) -> Result<(), StorageError> {
    for entry in file::list(folder).await.map_err(StorageError::io(folder, "list"))? {
        let slot = entry.name.strip_suffix(".journal").and_then(|slot| slot.parse::<usize>().ok());
        if slot.is_some_and(|slot| slot >= keep) {
            let path = folder.join(&entry.name);
            file::remove(&path).await.map_err(StorageError::io(&path, "remove"))?;
        }
    }
    Ok(())
}
