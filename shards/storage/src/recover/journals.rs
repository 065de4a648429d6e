//! Reading journals: verified frame by frame, in order.

use std::collections::HashMap;
use std::path::PathBuf;

use ottla_reactor::file::{self, File, Open};
use ottla_reactor::{AlignedBuffer, BLOCK};
use ottla_units::TopicPartition;

use super::{RecoverOptions, RecoveryReport, accept};
use crate::journal::format::{Entries, FRAME_HEADER_BYTES, HEAD_BYTES, HeaderFound, NO_PREVIOUS, VERSION};
use crate::journal::{EntryKind, FileHeader, FrameHeader, Mark};
use crate::layout::Layout;
use crate::{Damage, StorageError};

/// Bytes of a journal that are read at once.
const READ_BYTES: usize = 1 << 20;

/// A journal file that belongs to the start that is recovered from.
#[derive(Clone, Debug)]
pub(crate) struct JournalPart {
    pub(crate) path: PathBuf,
    pub(crate) header: FileHeader,
}

/// A frame that verified.
pub(crate) struct JournalFrame<'a> {
    pub(crate) at: u64,
    /// The entries' bytes.
    pub(crate) body: &'a [u8],
}

/// The journal files of one core, in the order of writing; all of them, or those of one start.
pub(crate) async fn journal_files(
    layout: &Layout,
    core: u16,
    generation: Option<u64>,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Vec<JournalPart>, StorageError> {
    let folder = layout.core_journal(core);
    let mut parts = Vec::new();
    for entry in file::list(&folder).await.map_err(StorageError::io(&folder, "list"))? {
        if !entry.name.ends_with(".journal") {
            continue;
        }
        let path = folder.join(&entry.name);
        let header = match accept(read_header(&path).await, options, report)? {
            Some(Some(header)) => header,
            _ => continue,
        };
        if generation.is_none_or(|generation| header.generation == generation) {
            parts.push(JournalPart { path, header });
        }
    }
    parts.sort_by_key(|part| (part.header.generation, part.header.sequence));
    Ok(parts)
}

/// The header of a journal file; `None` when it was never written.
pub(crate) async fn read_header(path: &std::path::Path) -> Result<Option<FileHeader>, StorageError> {
    let file = File::open(path, Open { read: true, direct: true, ..Open::default() }).await;
    let file = file.map_err(StorageError::io(path, "open"))?;
    let mut head = AlignedBuffer::new(HEAD_BYTES);
    for bytes in [BLOCK, HEAD_BYTES] {
        let (count, back) = file.read_at(head, bytes, 0).await;
        let count = count.map_err(StorageError::io(path, "read"))?;
        head = back;
        // What follows a header that is not blank is read with the frames, if at all.
        match FileHeader::read(&head[..count]) {
            HeaderFound::Blank => {}
            found => return header_of(path, found),
        }
    }
    Ok(None)
}

fn header_of(path: &std::path::Path, found: HeaderFound) -> Result<Option<FileHeader>, StorageError> {
    match found {
        HeaderFound::Blank => Ok(None),
        HeaderFound::Valid(header) => Ok(Some(header)),
        HeaderFound::Newer(found) => {
            Err(StorageError::NewerFormat { file: path.to_path_buf(), found, supported: VERSION })
        }
        HeaderFound::Damaged => Err(StorageError::corrupt(path, 0, Damage::JournalHeader)),
    }
}

/// The newest start that wrote a journal, for a folder without checkpoint.
pub(super) async fn newest_generation(layout: &Layout, cores: &[u16]) -> Result<u64, StorageError> {
    let mut newest = 0;
    let ignore = RecoverOptions { accept_loss: true };
    for core in cores {
        let parts = journal_files(layout, *core, None, &ignore, &mut RecoveryReport::default()).await?;
        newest = parts.iter().map(|part| part.header.generation).fold(newest, u64::max);
    }
    Ok(newest)
}

/// How a journal file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileEnd {
    /// Frames that verified.
    pub(crate) frames: u32,
    /// Where the first block lies that belongs to no frame.
    pub(crate) at: u64,
    /// Whether a frame was begun there.
    pub(crate) torn: bool,
    /// Whether frames that verify lie behind it.
    pub(crate) valid_behind: bool,
    /// What the first frame says of the file before: how many frames it has, and its sequence.
    pub(crate) previous: (u32, u64),
}

/// Goes through the frames of a file before `upto` in order, up to the first that does not verify. With `skip` also through
/// those behind.
pub(crate) async fn read_frames(
    part: &JournalPart,
    upto: u64,
    skip: bool,
    mut each: impl AsyncFnMut(JournalFrame<'_>) -> Result<(), StorageError>,
) -> Result<FileEnd, StorageError> {
    let mut bytes = FileBytes::open(part).await?;
    let mut end = FileEnd { frames: 0, at: BLOCK as u64, torn: false, valid_behind: false, previous: (NO_PREVIOUS, 0) };
    let mut at = BLOCK as u64;
    let mut good = true;
    let upto = upto.min(bytes.size);
    while at < upto {
        let peeked = FrameHeader::peek(bytes.at(at, FRAME_HEADER_BYTES).await?, &part.header);
        // Before the first bad frame numbers follow one another; behind it they must be larger than what was seen.
        let fits = |header: &FrameHeader| {
            let number = if good { header.number == end.frames } else { header.number >= end.frames };
            number && at + u64::from(header.length) <= bytes.size
        };
        let length = peeked.map_or(0, |header| header.length as usize);
        let verified = match peeked.filter(fits) {
            Some(header) => header.verify(bytes.at(at, length).await?).then_some(header),
            None => None,
        };
        match verified {
            Some(header) if good || skip => {
                if end.frames == 0 {
                    end.previous = (header.previous, header.previous_sequence);
                }
                end.valid_behind |= !good;
                let body = &bytes.at(at, length).await?[FRAME_HEADER_BYTES..length];
                each(JournalFrame { at, body }).await?;
                at += header.padded();
                if good {
                    (end.frames, end.at) = (end.frames + 1, at);
                }
            }
            Some(_) => {
                end.valid_behind = true;
                return Ok(end);
            }
            None => {
                end.torn |= good && peeked.is_some();
                good = false;
                at += BLOCK as u64;
            }
        }
    }
    Ok(end)
}

/// A file's bytes, read ahead in large pieces.
struct FileBytes {
    file: File,
    path: PathBuf,
    size: u64,
    buffer: AlignedBuffer,
    /// What the buffer holds: from where, how much.
    from: u64,
    len: usize,
}

impl FileBytes {
    async fn open(part: &JournalPart) -> Result<FileBytes, StorageError> {
        let path = part.path.clone();
        let file = File::open(&path, Open { read: true, direct: true, ..Open::default() }).await;
        let file = file.map_err(StorageError::io(&path, "open"))?;
        let size = file.size().map_err(StorageError::io(&path, "look at"))?;
        let read_bytes = usize::try_from(size).unwrap_or(READ_BYTES).min(READ_BYTES);
        Ok(FileBytes { file, path, size, buffer: AlignedBuffer::new(read_bytes), from: 0, len: 0 })
    }

    /// `count` bytes at the block boundary `at`; fewer at the end of the file.
    async fn at(&mut self, at: u64, count: usize) -> Result<&[u8], StorageError> {
        let count = count.min(usize::try_from(self.size - at).unwrap_or(usize::MAX));
        if at < self.from || at + count as u64 > self.from + self.len as u64 {
            let wanted = count.max(READ_BYTES.min(self.buffer.len())).next_multiple_of(BLOCK);
            let empty = AlignedBuffer::new(if wanted > self.buffer.len() { wanted } else { 1 });
            let mut buffer = std::mem::replace(&mut self.buffer, empty);
            if wanted > buffer.len() {
                buffer = std::mem::replace(&mut self.buffer, buffer);
            }
            let (read, back) = self.file.read_at(buffer, wanted, at).await;
            self.buffer = back;
            self.len = read.map_err(StorageError::io(&self.path, "read"))?;
            self.from = at;
        }
        let from = (at - self.from) as usize;
        let to = (from + count).min(self.len);
        Ok(&self.buffer[from..to])
    }
}

/// The journal of one core, verified.
pub(super) struct JournalScan {
    pub(super) parts: Vec<JournalPart>,
    /// Up to where each of them has frames, in bytes.
    pub(super) ends: Vec<u64>,
    /// The newest mark of each log that has one, and which logs have entries.
    pub(super) marks: HashMap<TopicPartition, Mark>,
    pub(super) frames: u64,
}

impl JournalScan {
    /// Reads and verifies everything, once it is durable: what a process that died had only written may not be gone at the next
    /// recovery, when this one has acted on it.
    pub(super) async fn read(
        parts: Vec<JournalPart>,
        options: &RecoverOptions,
        report: &mut RecoveryReport,
    ) -> Result<JournalScan, StorageError> {
        let mut marks = HashMap::new();
        let mut frames = 0;
        let (mut ends, mut frames_ends) = (Vec::new(), Vec::new());
        for part in &parts {
            make_durable(part).await?;
            let mut frames_end = BLOCK as u64;
            let end = read_frames(part, u64::MAX, options.accept_loss, async |frame| {
                frames += 1;
                frames_end = frame.at + (FRAME_HEADER_BYTES + frame.body.len()) as u64;
                note_marks(part, &frame, &mut marks)
            });
            ends.push(end.await?);
            frames_ends.push(frames_end);
        }
        for damage in check_order(&parts, &ends) {
            accept(Err::<(), _>(damage), options, report)?;
        }
        report.frames += frames;
        report.torn_frames += ends.iter().filter(|end| end.torn).count() as u64;
        Ok(JournalScan { parts, ends: frames_ends, marks, frames })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames == 0
    }
}

async fn make_durable(part: &JournalPart) -> Result<(), StorageError> {
    let file = File::open(&part.path, Open { read: true, ..Open::default() }).await;
    let file = file.map_err(StorageError::io(&part.path, "open"))?;
    file.sync_data().await.map_err(StorageError::io(&part.path, "flush"))
}

fn note_marks(
    part: &JournalPart,
    frame: &JournalFrame<'_>,
    marks: &mut HashMap<TopicPartition, Mark>,
) -> Result<(), StorageError> {
    for entry in Entries::new(frame.body) {
        let damaged = || StorageError::corrupt(&part.path, frame.at, Damage::Entry);
        let (header, payload) = entry.ok_or_else(damaged)?;
        if header.kind == EntryKind::Mark {
            marks.insert(header.key, Mark::from_bytes(payload).ok_or_else(damaged)?);
        }
    }
    Ok(())
}

/// Damage in a sequence of files: only the last frame of all may be unfinished, and no file may lack frames that a later one
/// counts.
fn check_order(parts: &[JournalPart], ends: &[FileEnd]) -> Vec<StorageError> {
    let counted: HashMap<u64, u32> =
        ends.iter().filter(|end| end.frames > 0).map(|end| (end.previous.1, end.previous.0)).collect();
    let damaged = parts.iter().zip(ends).filter(|(part, end)| {
        end.valid_behind || counted.get(&part.header.sequence).is_some_and(|frames| *frames != end.frames)
    });
    damaged.map(|(part, end)| StorageError::corrupt(&part.path, end.at, Damage::FrameAmongValid)).collect()
}
