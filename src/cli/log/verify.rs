//! Every file of a data folder, checked and left as it is.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ottla_partition::ProducerTable;
use ottla_storage::inspect::{self, FrameFound, Journal};
use ottla_storage::{INDEX_ENTRY_BYTES, IndexEntry, SegmentFile, TIME_ENTRY_BYTES, TimeEntry};
use ottla_units::Timestamp;

use super::journal::{DAMAGED_HEADER, damaged_frame, newer};
use super::segment::{Found, Walk, fault};
use super::side::unreadable;
use crate::cli::Failure;
use crate::cli::text::counted;

/// A place that is not as it should be.
pub(super) struct Damage {
    file: PathBuf,
    position: u64,
    what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: at {}: {}", self.file.display(), self.position, self.what)
    }
}

/// What was looked at, and what was wrong.
#[derive(Default)]
pub(super) struct Report {
    pub(super) damage: Vec<Damage>,
    partitions: u64,
    segments: u64,
    batches: u64,
    records: u64,
    bytes: u64,
    frames: u64,
    torn: u64,
    unfinished: u64,
}

impl Report {
    pub(super) fn summary(&self) -> String {
        let parts = [
            counted(self.partitions, "partition"),
            counted(self.segments, "segment"),
            counted(self.batches, "batch"),
            counted(self.records, "record"),
            counted(self.bytes, "byte"),
            counted(self.frames, "journal frame"),
        ];
        let mut text = format!("checked {}", parts.join(", "));
        if self.unfinished > 0 {
            text += &format!(
                "\n{} not finished: the broker runs, or was killed; a start mends that from the journal",
                counted(self.unfinished, "segment")
            );
        }
        if self.torn > 0 {
            text += &format!(
                "\n{} not wholly written, never acknowledged: a start passes over it",
                counted(self.torn, "last frame")
            );
        }
        text
    }

    fn found(&mut self, file: &Path, position: u64, what: impl Into<String>) {
        self.damage.push(Damage { file: file.to_owned(), position, what: what.into() });
    }
}

/// Checks everything in a data folder and its journals' folder.
pub(super) fn folder(data: &Path, journals: &Path) -> Result<Report, Failure> {
    let mut report = Report::default();
    let meta = data.join("meta.properties");
    if !meta.is_file() {
        let what = format!("{} is no data folder: it has no meta.properties", data.display());
        return Err(Failure::runtime(what).next("name the folder that `ottla start --data` was given"));
    }
    for partition in folders(&data.join("topics"))? {
        check_partition(&partition, &mut report).map_err(|error| unreadable(&partition, error))?;
    }
    for shard in folders(journals)? {
        check_journals(&shard, &mut report).map_err(|error| unreadable(&shard, error))?;
    }
    for checkpoint in files(journals).map_err(|error| unreadable(journals, error))? {
        check_checkpoint(&checkpoint, &mut report).map_err(|error| unreadable(&checkpoint, error))?;
    }
    Ok(report)
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let found = listed(folder).map_err(|error| unreadable(folder, error))?;
    Ok(found.into_iter().filter(|path| path.is_dir()).collect())
}

/// The files in a folder, by name.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(listed(folder)?.into_iter().filter(|path| path.is_file()).collect())
}

fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn check_partition(folder: &Path, report: &mut Report) -> io::Result<()> {
    report.partitions += 1;
    let mut expected = None;
    for path in files(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match SegmentFile::parse(&name) {
            Some((SegmentFile::Log, base)) => {
                if let Some(expected) = expected.filter(|expected| *expected != base.get()) {
                    report.found(
                        &path,
                        0,
                        format!("begins at offset {base} where the segment before ends at {expected}"),
                    );
                }
                expected = Some(check_segment(&path, base.get(), report)?);
            }
            Some((SegmentFile::Snapshot, _)) => {
                if let Err(error) = ProducerTable::decode(&fs::read(&path)?, Timestamp::NONE) {
                    report.found(&path, 0, error.to_string());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Where each batch of a segment begins, with its last offset and largest time.
type Places = Vec<(u64, i64, i64)>;

/// Checks a segment with its indexes; gives the offset after its last record.
fn check_segment(path: &Path, base: i64, report: &mut Report) -> io::Result<i64> {
    report.segments += 1;
    let (mut walk, mut next, mut places) = (Walk::open(path)?, base, Places::new());
    while let Some((position, found)) = walk.next()? {
        match found {
            Found::Padding(_) => report.unfinished += 1,
            Found::Damaged(what) => report.found(path, position, what),
            Found::Batch(batch) => {
                report.batches += 1;
                report.records += u64::from(batch.record_count().max(0).unsigned_abs());
                report.bytes += batch.total_len() as u64;
                if batch.base_offset().get() != next {
                    report.found(
                        path,
                        position,
                        format!("a batch at offset {} where {next} is due", batch.base_offset()),
                    );
                }
                if let Some(fault) = fault(&batch) {
                    report.found(path, position, format!("the batch at offset {}: {fault}", batch.base_offset()));
                }
                next = batch.next_offset().get();
                places.push((position, batch.last_offset().get(), batch.max_timestamp().get()));
            }
        }
    }
    check_index(&path.with_extension("index"), base, &places, report)?;
    check_time_index(&path.with_extension("timeindex"), base, &places, report)?;
    Ok(next)
}

/// Entries that were written: an index may be grown ahead with zeros.
fn written<const N: usize>(path: &Path) -> io::Result<Vec<[u8; N]>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let mut entries = bytes.as_chunks::<N>().0.to_vec();
    while entries.len() > 1 && entries.last().is_some_and(|entry| *entry == [0; N]) {
        entries.pop();
    }
    Ok(entries)
}

fn check_index(path: &Path, base: i64, places: &Places, report: &mut Report) -> io::Result<()> {
    for (at, bytes) in written::<INDEX_ENTRY_BYTES>(path)?.iter().enumerate() {
        let entry = IndexEntry::from_bytes(bytes);
        let (offset, position) = (base + i64::from(entry.offset), u64::from(entry.position));
        let known = places.binary_search_by_key(&position, |(begins, _, _)| *begins).ok().map(|at| places[at].1);
        if known != Some(offset) && !(at == 0 && places.is_empty() && entry.offset == 0) {
            let what = format!("the entry for offset {offset} points at {position}, where no such batch begins");
            report.found(path, (at * INDEX_ENTRY_BYTES) as u64, what);
        }
    }
    Ok(())
}

fn check_time_index(path: &Path, base: i64, places: &Places, report: &mut Report) -> io::Result<()> {
    let mut before = (i64::MIN, -1);
    for (at, bytes) in written::<TIME_ENTRY_BYTES>(path)?.iter().enumerate() {
        let entry = TimeEntry::from_bytes(bytes);
        let (time, offset) = (entry.timestamp.get(), base + i64::from(entry.offset));
        let beyond = places.last().is_some_and(|(_, last, _)| offset > *last);
        if (time, offset) <= before && before.0 >= 0 || beyond {
            report.found(
                path,
                (at * TIME_ENTRY_BYTES) as u64,
                format!("the entry for offset {offset} is out of order"),
            );
        }
        before = (time, offset);
    }
    Ok(())
}

fn check_journals(folder: &Path, report: &mut Report) -> io::Result<()> {
    for path in files(folder)? {
        if path.extension().is_none_or(|extension| extension != "journal") {
            check_checkpoint(&path, report)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        match inspect::journal(&bytes) {
            Journal::Blank => {}
            Journal::Newer(version) => report.found(&path, 0, newer(version)),
            Journal::Damaged => report.found(&path, 0, DAMAGED_HEADER),
            Journal::File(_, frames) => frames.for_each(|frame| check_frame(&path, frame, report)),
        }
    }
    Ok(())
}

fn check_frame(path: &Path, frame: FrameFound<'_>, report: &mut Report) {
    match frame {
        FrameFound::Torn { .. } => report.torn += 1,
        FrameFound::Damaged { at, next } => report.found(path, at as u64, damaged_frame(next)),
        FrameFound::Frame { at, header, entries } => {
            report.frames += 1;
            let seen = entries.count();
            if seen != header.entries as usize {
                report.found(path, at as u64, format!("{} entries where {seen} make sense", header.entries));
            }
        }
    }
}

fn check_checkpoint(path: &Path, report: &mut Report) -> io::Result<()> {
    let is_checkpoint = path.file_name().is_some_and(|name| name == "checkpoint");
    if is_checkpoint && inspect::checkpoint(&fs::read(path)?).is_none() {
        report.found(path, 0, "the checkpoint does not verify");
    }
    Ok(())
}
