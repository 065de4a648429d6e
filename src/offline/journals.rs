//! What journals and checkpoints say that each log must hold.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_batch::Batch;
use ottla_storage::inspect::{
    self, CheckpointFile, CheckpointFound, ENTRY_HEADER_BYTES, EntryContent, EntryHeader, FRAME_HEADER_BYTES,
    FileHeader, FrameEntries, FrameFound, Journal, KnownLog, Mark,
};
use ottla_units::TopicPartition;

use super::finding::{Finding, Kind};
use super::reader::Reader;
use super::segment::Place;

/// Bytes of a journal file's first block.
const HEAD_BYTES: usize = 4096;

/// A journal file's header, and what follows it where that is blank.
fn head_of(reader: &mut Reader) -> io::Result<&[u8]> {
    let blank = matches!(inspect::journal(reader.at(0, HEAD_BYTES)?), Journal::Blank);
    reader.at(0, if blank { 2 * HEAD_BYTES } else { HEAD_BYTES })
}

/// A batch that a journal holds.
#[derive(Clone, Debug)]
pub(super) struct Journaled {
    pub(super) file: Arc<Path>,
    pub(super) place: Place,
}

/// What is known of one log besides its own folder.
#[derive(Default, Debug)]
pub(super) struct Expected {
    /// By the newest checkpoint.
    pub(super) known: Option<KnownLog>,
    /// Whether nothing was appended after that.
    pub(super) clean: bool,
    /// By a journal: what is durable in the segments.
    pub(super) mark: Option<Mark>,
    /// What the journals hold, in the order of writing.
    pub(super) journaled: Vec<Journaled>,
}

/// Everything in the journals' folder.
#[derive(Default, Debug)]
pub(super) struct Journals {
    pub(super) logs: HashMap<TopicPartition, Expected>,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    pub(super) frames: u64,
    pub(super) files: u64,
}

/// One journal file that belongs to the start that wrote last.
struct Part {
    path: PathBuf,
    header: FileHeader,
}

impl Journals {
    /// Reads the folder.
    pub(super) fn read(folder: &Path) -> io::Result<Journals> {
        let mut journals = Journals::default();
        let cores: Vec<PathBuf> = super::folder::listed(folder)?.into_iter().filter(|path| path.is_dir()).collect();
        let whole = journals.checkpoint(&folder.join("checkpoint"))?;
        let mut parts = Vec::new();
        for core in &cores {
            parts.push(journals.parts(core)?);
        }
        let newest = parts.iter().flatten().map(|part| part.header.generation).max().unwrap_or(0);
        let generation = whole.as_ref().map_or(newest, |whole| whole.generation);
        journals.note_logs(whole, false);
        let mut clean = HashSet::new();
        for (index, core) in cores.iter().enumerate() {
            let stopped = journals.checkpoint(&core.join("checkpoint"))?;
            let stopped = stopped.filter(|found| found.generation == generation && found.clean);
            if stopped.is_some() {
                clean.insert(index);
            }
            journals.note_logs(stopped, true);
        }
        for (index, mut parts) in parts.into_iter().enumerate() {
            parts.retain(|part| part.header.generation == generation);
            journals.take_parts(parts, clean.contains(&index));
        }
        Ok(journals)
    }

    fn checkpoint(&mut self, path: &Path) -> io::Result<Option<CheckpointFound>> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        match inspect::checkpoint(&bytes) {
            CheckpointFile::Found(found) => return Ok(Some(found)),
            CheckpointFile::Newer(version) => self.findings.push(newer(path, version)),
            CheckpointFile::Damaged => {
                self.findings.push(Finding::new(Kind::Checkpoint, path, 0, "the checkpoint does not verify"));
            }
        }
        Ok(None)
    }

    fn note_logs(&mut self, found: Option<CheckpointFound>, clean: bool) {
        for (key, known) in found.map(|found| found.logs).unwrap_or_default() {
            let log = self.logs.entry(key).or_default();
            (log.known, log.clean) = (Some(known), clean);
        }
    }

    /// The journal files of one core, in the order of writing.
    fn parts(&mut self, core: &Path) -> io::Result<Vec<Part>> {
        let mut parts = Vec::new();
        for path in super::folder::listed(core)? {
            if path.extension().is_none_or(|extension| extension != "journal") {
                continue;
            }
            self.files += 1;
            let mut reader = Reader::open(&path)?;
            let head = match head_of(&mut reader) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.findings.push(Finding::new(Kind::Unreadable, &path, 0, error));
                    continue;
                }
            };
            match inspect::journal(head) {
                Journal::Blank => {}
                Journal::Newer(version) => self.findings.push(newer(&path, version)),
                Journal::Damaged => {
                    self.findings.push(Finding::new(Kind::Journal, &path, 0, "the first block does not verify"));
                }
                Journal::File(header, _) => parts.push(Part { path, header }),
            }
        }
        parts.sort_by_key(|part| (part.header.generation, part.header.sequence));
        Ok(parts)
    }

    /// Takes in what one core's journal holds.
    fn take_parts(&mut self, parts: Vec<Part>, clean: bool) {
        // The file before: its sequence, and its frames.
        let mut before: Option<(u64, u32)> = None;
        for part in parts {
            let bytes = match fs::read(&part.path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.findings.push(Finding::new(Kind::Unreadable, &part.path, 0, error));
                    continue;
                }
            };
            let Journal::File(_, frames) = inspect::journal(&bytes) else { continue };
            let path: Arc<Path> = Arc::from(part.path.as_path());
            let mut count = 0;
            for found in frames {
                match found {
                    FrameFound::Torn { at } => self.notes.push(format!(
                        "{}: at {at}: a last frame that was not wholly written, so never acknowledged",
                        part.path.display()
                    )),
                    FrameFound::Damaged { at, next } => {
                        let what = format!("a frame that does not verify, though a good one follows at {next}");
                        self.findings.push(Finding::new(Kind::Journal, &path, at as u64, what));
                    }
                    FrameFound::Frame { at, header, entries } => {
                        let previous = (header.previous_sequence, header.previous);
                        if count == 0 && before.is_some_and(|before| before != previous) {
                            let what = format!(
                                "it follows a file with sequence {} and {} frames, which is not there or lacks some",
                                previous.0, previous.1
                            );
                            self.findings.push(Finding::new(Kind::Journal, &path, at as u64, what));
                        }
                        count += 1;
                        self.frames += 1;
                        self.take_frame(&path, at, header.entries, entries, clean);
                    }
                }
            }
            before = Some((part.header.sequence, count)).filter(|_| count > 0).or(before);
        }
    }

    fn take_frame(&mut self, path: &Arc<Path>, at: usize, expected: u32, entries: FrameEntries<'_>, clean: bool) {
        let mut place = (at + FRAME_HEADER_BYTES) as u64;
        let mut seen = 0;
        for (header, content) in entries {
            seen += 1;
            let payload = place + ENTRY_HEADER_BYTES as u64;
            place = payload + u64::from(header.length);
            let log = self.logs.entry(header.key).or_default();
            match content {
                EntryContent::Batch(bytes) => match journaled(&header, bytes, payload) {
                    Ok(place) => log.journaled.push(Journaled { file: Arc::clone(path), place }),
                    Err(what) => self.findings.push(Finding::new(Kind::Journal, path, payload, what)),
                },
                EntryContent::Mark(mark) if !clean => log.mark = Some(mark),
                EntryContent::Mark(_) | EntryContent::Bare => {}
            }
        }
        if seen != expected {
            let what = format!("{expected} entries where {seen} make sense");
            self.findings.push(Finding::new(Kind::Journal, path, at as u64, what));
        }
    }

    /// What is known of one log.
    pub(super) fn take(&mut self, key: TopicPartition) -> Expected {
        self.logs.remove(&key).unwrap_or_default()
    }
}

/// The batch of an entry, if it is sound and at the entry's offset.
fn journaled(header: &EntryHeader, bytes: &[u8], position: u64) -> Result<Place, String> {
    let (batch, rest) = Batch::parse(bytes).map_err(|error| format!("an entry's batch: {error}"))?;
    if !rest.is_empty() || batch.base_offset() != header.offset {
        return Err(format!("an entry for offset {} holds a batch at {}", header.offset, batch.base_offset()));
    }
    let place = Place::of(&batch, position);
    match &place.fault {
        Some(fault) => Err(format!("the batch of the entry for offset {}: {fault}", header.offset)),
        None => Ok(place),
    }
}

fn newer(path: &Path, version: u32) -> Finding {
    let what = format!("format version {version}, which this program does not know");
    Finding::new(Kind::NewerFormat, path, 0, what)
}

impl Expected {
    /// What the segments must at least hold: the log's first offset, a segment, a position in it, and the offset there.
    pub(super) fn floor(&self) -> Option<Floor> {
        if let Some(mark) = &self.mark {
            return Some(Floor {
                start: mark.start.get(),
                segment: mark.segment.get(),
                position: mark.position,
                end: mark.end.get(),
                index_entries: mark.index_entries,
                time_entries: mark.time_entries,
            });
        }
        let known = self.known.as_ref()?;
        let last = known.image.segments.last();
        Some(Floor {
            start: known.image.start.get(),
            segment: last.map_or(known.image.end.get(), |last| last.base.get()),
            position: last.map_or(0, |last| last.bytes),
            end: known.image.end.get(),
            index_entries: known.index_entries,
            time_entries: known.time_entries,
        })
    }
}

/// See [`Expected::floor`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    pub(super) start: i64,
    pub(super) segment: i64,
    pub(super) position: u64,
    pub(super) end: i64,
    pub(super) index_entries: u32,
    pub(super) time_entries: u32,
}
