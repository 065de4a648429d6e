//! The files beside a segment: indexes, producers' states, leaderships, and whose folder it is.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use ottla_partition::ProducerTable;
use ottla_storage::{Epochs, INDEX_ENTRY_BYTES, IndexEntry, SegmentFile, TIME_ENTRY_BYTES, TimeEntry, inspect};
use ottla_units::{Offset, Timestamp};

use super::finding::{Finding, Kind};
use super::log::{Judged, Log};
use super::segment::Place;

/// A segment of more bytes than this has entries in its index, with any setting that is not meant to do without.
const INDEXED_BYTES: u64 = 8 << 20;

/// Checks a segment's indexes entry by entry.
pub(super) fn indexes(log: &Log, judged: &Judged<'_>) -> io::Result<Vec<Finding>> {
    let mut found = Vec::new();
    if judged.foreign.is_some() || judged.segment.base != judged.segment.name {
        return Ok(found);
    }
    let floor = log.floor.filter(|floor| floor.segment == judged.segment.base);
    // Of the last segment after a crash only what is known to be durable counts; a start cuts off the rest.
    let stored = |entries: u32| if judged.finished { None } else { Some(floor.map_or(0, |_| entries as usize)) };
    let counted = floor.map_or((0, 0), |floor| (floor.index_entries, floor.time_entries));
    let path = judged.segment.path.with_extension("index");
    if let Some(entries) = entries::<INDEX_ENTRY_BYTES>(&path, Kind::Index, judged, stored(counted.0), &mut found)? {
        offset_index(&path, &entries, judged, &mut found);
    }
    let path = judged.segment.path.with_extension("timeindex");
    if let Some(entries) = entries::<TIME_ENTRY_BYTES>(&path, Kind::TimeIndex, judged, stored(counted.1), &mut found)? {
        time_index(&path, &entries, judged, &mut found);
    }
    Ok(found)
}

/// The entries that count; nothing where the file is missing.
fn entries<const N: usize>(
    path: &Path,
    kind: Kind,
    judged: &Judged<'_>,
    stored: Option<usize>,
    found: &mut Vec<Finding>,
) -> io::Result<Option<Vec<[u8; N]>>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if stored.unwrap_or(1) > 0 {
                found.push(Finding::new(kind, path, 0, "the file is missing"));
            }
            return Ok(None);
        }
        read => read?,
    };
    let (whole, rest) = bytes.as_chunks::<N>();
    let mut whole = whole.to_vec();
    match stored {
        Some(stored) if whole.len() < stored => {
            let what = format!("it has {} entries, {stored} were written", whole.len());
            found.push(Finding::new(kind, path, bytes.len() as u64, what));
        }
        Some(stored) => whole.truncate(stored),
        None if !rest.is_empty() => {
            found.push(Finding::new(kind, path, (bytes.len() - rest.len()) as u64, "a part of an entry"));
        }
        None if whole.is_empty() && judged.segment.bytes > INDEXED_BYTES => {
            found.push(Finding::new(kind, path, 0, "it has no entries"));
        }
        None => {}
    }
    Ok(Some(whole))
}

fn offset_index(path: &Path, entries: &[[u8; INDEX_ENTRY_BYTES]], judged: &Judged<'_>, found: &mut Vec<Finding>) {
    let places = &judged.content.places;
    let mut before = -1;
    for (at, bytes) in entries.iter().enumerate() {
        let entry = IndexEntry::from_bytes(bytes);
        let (last, position) = (judged.segment.base + i64::from(entry.offset), u64::from(entry.position));
        let place = places.binary_search_by_key(&position, |place| place.position).ok().map(|at| &places[at]);
        let lost = in_hole(judged, position) || place.is_some_and(|place| place.fault.is_some());
        if !lost && place.is_none_or(|place| place.next - 1 != last) {
            let what = format!("the entry for offset {last} points at {position}, where no such batch begins");
            found.push(Finding::new(Kind::Index, path, (at * INDEX_ENTRY_BYTES) as u64, what));
        } else if last <= before {
            let what = format!("the entry for offset {last} comes after one for {before}");
            found.push(Finding::new(Kind::Index, path, (at * INDEX_ENTRY_BYTES) as u64, what));
        }
        before = last;
    }
}

fn in_hole(judged: &Judged<'_>, position: u64) -> bool {
    judged.content.holes.iter().any(|hole| (hole.position..hole.position + hole.bytes).contains(&position))
}

fn time_index(path: &Path, entries: &[[u8; TIME_ENTRY_BYTES]], judged: &Judged<'_>, found: &mut Vec<Finding>) {
    let places: Vec<&Place> = judged.content.places.iter().filter(|place| place.fault.is_none()).collect();
    let whole = judged.content.holes.is_empty() && places.len() == judged.content.places.len();
    let mut before = (i64::MIN, -1);
    for (at, bytes) in entries.iter().enumerate() {
        let entry = TimeEntry::from_bytes(bytes);
        let (time, last) = (entry.timestamp.get(), judged.segment.base + i64::from(entry.offset));
        let position = (at * TIME_ENTRY_BYTES) as u64;
        let place = places.binary_search_by_key(&last, |place| place.next - 1).ok().map(|at| places[at]);
        if place.is_none_or(|place| place.max_time != time) && whole {
            let what = format!("the entry for offset {last} has the time {time}, which no such batch has");
            found.push(Finding::new(Kind::TimeIndex, path, position, what));
        } else if (time, last) <= before {
            let what = format!("the entry for offset {last} is out of order");
            found.push(Finding::new(Kind::TimeIndex, path, position, what));
        }
        before = (time, last);
    }
}

/// A batch that a producers' state says there is: where, and of whom.
struct Retained {
    snapshot: usize,
    producer: (i64, i16, i32),
    next: i64,
}

/// The producers' states beside a log, to be compared with its batches.
#[derive(Default)]
pub(super) struct Snapshots {
    paths: Vec<std::path::PathBuf>,
    retained: HashMap<i64, Vec<Retained>>,
    wrong: Vec<Finding>,
}

impl Snapshots {
    /// Reads them all.
    pub(super) fn read(log: &Log) -> io::Result<Snapshots> {
        let mut snapshots = Snapshots::default();
        for path in super::folder::listed(&log.folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !matches!(SegmentFile::parse(&name), Some((SegmentFile::Snapshot, _))) {
                continue;
            }
            let bytes = fs::read(&path)?;
            // One of a clean stop is in the checkpoint too, and not flushed.
            let unflushed = bytes.iter().all(|byte| *byte == 0) && !log.expected.clean;
            match ProducerTable::decode(&bytes, Timestamp::NONE) {
                Ok(table) => snapshots.note(path, &table),
                Err(_) if unflushed => {}
                Err(error) => snapshots.wrong.push(Finding::new(Kind::Snapshot, &path, 0, error)),
            }
        }
        Ok(snapshots)
    }

    fn note(&mut self, path: std::path::PathBuf, table: &ProducerTable) {
        let snapshot = self.paths.len();
        self.paths.push(path);
        for (producer, state) in table.iter() {
            for batch in state.batches() {
                let producer = (producer.get(), state.epoch().get(), batch.first_sequence.get());
                let retained = Retained { snapshot, producer, next: batch.last_offset.get() + 1 };
                self.retained.entry(batch.first_offset.get()).or_default().push(retained);
            }
        }
    }

    /// Compares a batch of the log with what the states say of its offset.
    pub(super) fn compare(&mut self, place: &Place) {
        for retained in self.retained.remove(&place.base).unwrap_or_default() {
            if place.producer != Some(retained.producer) || place.next != retained.next {
                let (id, epoch, sequence) = retained.producer;
                let what = format!(
                    "it says that producer {id}, epoch {epoch}, wrote a batch with sequence {sequence} here; the log has another"
                );
                let finding = Finding::new(Kind::Snapshot, &self.paths[retained.snapshot], 0, what);
                self.wrong.push(finding.about(place.base, retained.next));
            }
        }
    }

    /// Everything that is wrong.
    pub(super) fn findings(self) -> Vec<Finding> {
        self.wrong
    }
}

/// Leaderships as the batches tell, to be compared with `leader-epoch-checkpoint`.
pub(super) struct Leaderships {
    path: std::path::PathBuf,
    /// What the file says; nothing when there is none.
    stored: Option<Epochs>,
    damaged: bool,
    /// Whether there is nothing in the file, or only zeros: it was not flushed when the power went.
    empty: bool,
    last: i32,
    /// Leaderships that the file must know, as far as the batches tell.
    count: usize,
    wrong: Option<Finding>,
    /// Behind this offset the file may lag.
    settled: i64,
}

impl Leaderships {
    pub(super) fn read(log: &Log) -> io::Result<Leaderships> {
        let path = log.folder.join("leader-epoch-checkpoint");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(String::from_utf8_lossy(&read?).into_owned()),
        };
        let stored = text.as_deref().and_then(Epochs::from_file);
        let empty = text.as_deref().is_none_or(|text| text.trim_matches('\0').is_empty());
        let damaged = stored.is_none() && !empty;
        let settled = log.floor.map_or(0, |floor| floor.end);
        Ok(Leaderships { path, stored, damaged, empty, last: -1, count: 0, wrong: None, settled })
    }

    pub(super) fn compare(&mut self, place: &Place) {
        if place.epoch == self.last {
            return;
        }
        let before = std::mem::replace(&mut self.last, place.epoch);
        self.count += usize::from(place.base < self.settled);
        let Some(stored) = &self.stored else { return };
        let known = stored.of(Offset::new(place.base)).get();
        if self.wrong.is_none() && place.base < self.settled && (known != place.epoch || place.epoch < before) {
            let what = format!("it says that epoch {known} wrote this, the batch says {}", place.epoch);
            self.wrong = Some(Finding::new(Kind::Epochs, &self.path, 0, what).about(place.base, place.next));
        }
    }

    pub(super) fn findings(self, clean: bool) -> Option<Finding> {
        if self.damaged && (clean || self.count > 1) {
            return Some(Finding::new(Kind::Epochs, &self.path, 0, "it is no list of leaderships"));
        }
        // A single one can be read from the first batch, and its file is not flushed.
        if self.empty && self.count > 1 {
            return Some(Finding::new(Kind::Epochs, &self.path, 0, "the file is missing or empty"));
        }
        self.wrong
    }
}

/// Whether the folder says that it is this topic's.
pub(super) fn owner(log: &Log) -> Option<Finding> {
    let path = log.folder.join("partition.metadata");
    let text = fs::read_to_string(&path).unwrap_or_default();
    match inspect::owner(&text) {
        Some(id) if id == log.spec.key.topic => None,
        Some(id) => {
            let what = format!("it names topic id {id}; topic {} has {}", log.spec.topic, log.spec.key.topic);
            Some(Finding::new(Kind::Owner, &path, 0, what))
        }
        // Not flushed: after a power cut it may be empty.
        None if !log.expected.clean && text.trim_matches('\0').is_empty() => None,
        None => Some(Finding::new(Kind::Owner, &path, 0, "it names no topic id")),
    }
}
