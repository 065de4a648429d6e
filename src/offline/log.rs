//! One log's segments in order, every batch judged: whole, and at the offset where it is due.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ottla_storage::{LogSpec, Segment, SegmentFile};

use super::finding::{Finding, Kind};
use super::journals::{Expected, Floor};
use super::reader::Reader;
use super::segment::{self, Content, Place};

/// The file that lists offsets which were left out when the log was salvaged.
pub(super) const GAPS_FILE: &str = "salvage-gaps";

/// One log and all that is known of it.
pub(super) struct Log {
    pub(super) spec: LogSpec,
    pub(super) folder: PathBuf,
    pub(super) expected: Expected,
    pub(super) floor: Option<Floor>,
    /// Its segments' files, in the order of what they hold.
    pub(super) segments: Vec<SegmentPath>,
    /// Bytes of those.
    pub(super) bytes: u64,
    /// Offsets that are known to be left out: from, to.
    pub(super) gaps: BTreeMap<i64, i64>,
}

/// A segment's file.
pub(super) struct SegmentPath {
    pub(super) path: PathBuf,
    /// Its name.
    pub(super) name: i64,
    /// The offset of its first batch, where that is credible; else its name.
    pub(super) base: i64,
    pub(super) bytes: u64,
}

/// A segment, judged.
pub(super) struct Judged<'a> {
    pub(super) segment: &'a SegmentPath,
    pub(super) content: Content,
    /// For each place whether it is sound, and where: what is wrong with the others.
    pub(super) verdicts: Vec<Option<String>>,
    /// Whether another segment follows, or it was finished cleanly.
    pub(super) finished: bool,
    /// From here on it was being written when the broker died: nothing there was promised.
    pub(super) unfinished: Option<u64>,
    /// The offset that was due at its beginning.
    pub(super) due: i64,
    /// Why nothing in it is this log's.
    pub(super) foreign: Option<(Kind, String)>,
}

/// The segments of a log, one after another.
pub(super) struct Walk<'a> {
    log: &'a Log,
    index: usize,
    /// The offset behind the last sound batch so far.
    pub(super) due: i64,
}

impl<'a> Walk<'a> {
    pub(super) fn next(&mut self) -> Option<Judged<'a>> {
        let segment = self.log.segments.get(self.index)?;
        self.index += 1;
        let upper = self.log.segments.get(self.index).map(|next| next.base);
        let judged = self.log.judge(segment, self.due, upper);
        if judged.foreign.is_none() {
            let sound = judged.content.places.iter().zip(&judged.verdicts).filter(|(_, fault)| fault.is_none());
            self.due = sound.map(|(place, _)| place.next).fold(self.due, i64::max);
        }
        Some(judged)
    }
}

impl Log {
    /// Looks at the folder, not yet at what its segments hold.
    pub(super) fn open(topics: &Path, spec: LogSpec, expected: Expected) -> io::Result<Log> {
        let folder = topics.join(spec.folder());
        let mut segments = Vec::new();
        for path in super::folder::listed(&folder)? {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some((SegmentFile::Log, base)) = SegmentFile::parse(&name) {
                let bytes = fs::metadata(&path)?.len();
                let first = first_offset(&path, base.get());
                segments.push(SegmentPath { path, name: base.get(), base: first, bytes });
            }
        }
        segments.sort_by_key(|segment| (segment.base, segment.name));
        let bytes = segments.iter().map(|segment| segment.bytes).sum();
        let gaps = known_gaps(&folder.join(GAPS_FILE));
        let floor = expected.floor();
        Ok(Log { spec, folder, expected, floor, segments, bytes, gaps })
    }

    /// The first offset that may be read.
    pub(super) fn start(&self) -> i64 {
        let first = self.segments.first().map(|segment| segment.base);
        self.floor.map_or(first.unwrap_or(0), |floor| floor.start)
    }

    /// The offset before which everything was promised, as far as it can be told without the segments.
    pub(super) fn promised(&self) -> i64 {
        let journaled = self.expected.journaled.iter().map(|batch| batch.place.next).max();
        self.floor.map_or(0, |floor| floor.end).max(journaled.unwrap_or(0))
    }

    /// Goes through the segments in order, one in memory at a time.
    pub(super) fn walk(&self) -> Walk<'_> {
        let due = self.segments.first().map_or(self.start(), |segment| segment.base);
        Walk { log: self, index: 0, due }
    }

    fn judge<'a>(&self, segment: &'a SegmentPath, due: i64, upper: Option<i64>) -> Judged<'a> {
        match segment::read(&segment.path) {
            Ok(content) => self.judge_content(segment, content, due, upper),
            Err(error) => {
                let (content, verdicts) = (Content::default(), Vec::new());
                let foreign = Some((Kind::Unreadable, error.to_string()));
                Judged { segment, content, verdicts, finished: true, unfinished: None, due, foreign }
            }
        }
    }

    fn judge_content<'a>(
        &self,
        segment: &'a SegmentPath,
        mut content: Content,
        due: i64,
        upper: Option<i64>,
    ) -> Judged<'a> {
        let finished = upper.is_some() || self.expected.clean;
        let upper = upper.unwrap_or(if self.expected.clean { self.promised() } else { i64::MAX });
        let verdicts = judge(&content.places, segment.base.max(due), upper.max(segment.base));
        let unfinished = self.unfinished(segment, &content, &verdicts).filter(|_| !finished);
        let mut verdicts = verdicts;
        if let Some(from) = unfinished {
            let kept = content.places.partition_point(|place| place.position < from);
            content.places.truncate(kept);
            verdicts.truncate(kept);
            content.holes.retain(|hole| hole.position < from);
        }
        let foreign = self.foreign(segment, &content);
        let foreign = foreign.map(|why| (Kind::Segment, why));
        Judged { segment, content, verdicts, finished, unfinished, due, foreign }
    }

    /// From where on the last segment was being written: the first place behind what is known to be durable that is not sound.
    fn unfinished(&self, segment: &SegmentPath, content: &Content, verdicts: &[Option<String>]) -> Option<u64> {
        let durable = match self.floor {
            Some(floor) if floor.segment == segment.base => floor.position,
            Some(floor) if floor.segment > segment.base => u64::MAX,
            _ => 0,
        };
        let places = content.places.iter().zip(verdicts).filter(|(_, fault)| fault.is_some());
        let bad = places.map(|(place, _)| place.position).chain(content.holes.iter().map(|hole| hole.position));
        bad.chain(content.padding).filter(|position| *position >= durable).min()
    }

    /// What the checkpoint knows of a segment that did not change since.
    pub(super) fn known(&self, segment: &SegmentPath) -> Option<(&Segment, bool)> {
        let known = self.expected.known.as_ref()?;
        let index = known.image.segments.iter().position(|found| found.base.get() == segment.name)?;
        let whole = self.expected.clean || index + 1 < known.image.segments.len();
        Some((&known.image.segments[index], whole))
    }

    /// Whether a segment begins with another time than the one of this name did: then it is another log's.
    fn foreign(&self, segment: &SegmentPath, content: &Content) -> Option<String> {
        let (known, _) = self.known(segment).filter(|(known, _)| known.bytes > 0)?;
        let first = content.places.first().filter(|place| place.position == 0 && place.fault.is_none())?;
        let expected = known.first_timestamp.get();
        (first.max_time != expected && segment.base == segment.name).then(|| {
            format!(
                "its first batch has the time {}, the checkpoint knows {expected}: it is another segment",
                first.max_time
            )
        })
    }
}

/// What is wrong with each place, if anything: its inside, or its offset. `due` is the first offset that may come, `upper` the
/// one where the next segment begins.
fn judge(places: &[Place], due: i64, upper: i64) -> Vec<Option<String>> {
    let mut expected = Some(due);
    let mut verdicts = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        let next = places.get(index + 1).map(|next| next.base);
        if place.fault.is_some() {
            // Its offsets are credible if what follows agrees.
            expected = if next == Some(place.next) { next } else { expected };
            verdicts.push(place.fault.clone());
            continue;
        }
        let count = place.next - place.base;
        let misplaced = expected.is_some_and(|expected| {
            place.base < expected || place.next > upper || (place.base > expected && next == Some(expected + count))
        });
        if misplaced {
            let due = expected.unwrap_or(due);
            verdicts.push(Some(format!("its base offset is {}, {due} is due", place.base)));
            expected =
                expected.map(|expected| if next == Some(expected + count) { expected + count } else { expected });
        } else {
            expected = Some(place.next);
            verdicts.push(None);
        }
    }
    verdicts
}

/// The offset of a segment's first batch, if the second one follows it or there is none; else what the file's name says.
fn first_offset(path: &Path, name: i64) -> i64 {
    let Ok(mut reader) = Reader::open(path) else { return name };
    let mut header = |at: u64| -> Option<(i64, i64, u64)> {
        let bytes = reader.at(at, ottla_batch::HEADER_BYTES).ok()?;
        let base = i64::from_be_bytes(*bytes.first_chunk()?);
        let length = i32::from_be_bytes(*bytes.get(8..12)?.first_chunk()?);
        let delta = i32::from_be_bytes(*bytes.get(23..27)?.first_chunk()?);
        let sane = bytes.get(16) == Some(&2) && base >= 0 && length > 0 && delta >= 0;
        sane.then(|| {
            (base, base.saturating_add(i64::from(delta)).saturating_add(1), u64::from(length.unsigned_abs()) + 12)
        })
    };
    match header(0) {
        Some((base, next, bytes)) if base != name => match header(bytes) {
            Some((second, ..)) if second == next => base,
            _ => name,
        },
        _ => name,
    }
}

/// The offsets that a salvage left out.
fn known_gaps(path: &Path) -> BTreeMap<i64, i64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    lines.filter_map(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?))).collect()
}

impl Judged<'_> {
    /// What is wrong with the segment's batches.
    pub(super) fn findings(&self, log: &Log) -> Vec<Finding> {
        let path = &self.segment.path;
        let mut found = Vec::new();
        if let Some((kind, foreign)) = &self.foreign {
            found.push(Finding::new(*kind, path, 0, foreign));
            return found;
        }
        if self.segment.base != self.segment.name {
            let what = format!("its batches begin at offset {}", self.segment.base);
            found.push(Finding::new(Kind::Segment, path, 0, what));
        }
        let mut expected = self.due;
        let places = &self.content.places;
        for (index, (place, verdict)) in places.iter().zip(&self.verdicts).enumerate() {
            match verdict {
                Some(what) if place.fault.is_some() => {
                    found.push(Finding::new(Kind::Batch, path, place.position, what).about(place.base, place.next));
                    // Said once, where what follows agrees with its offsets.
                    let agreed = places.get(index + 1).is_some_and(|next| next.base == place.next);
                    expected = if agreed && place.base == expected { place.next } else { expected };
                }
                Some(what) => found.push(Finding::new(Kind::Offsets, path, place.position, what)),
                None => {
                    let known = log.gaps.get(&expected) == Some(&place.base);
                    if place.base > expected && !known {
                        let what = "no sound batch has them";
                        found.push(Finding::new(Kind::Offsets, path, place.position, what).about(expected, place.base));
                    }
                    expected = place.next;
                }
            }
        }
        found.extend(self.content.holes.iter().map(|hole| {
            let kind = if hole.unreadable { Kind::Unreadable } else { Kind::Batch };
            Finding::new(kind, path, hole.position, format!("{} bytes that are no batch: {}", hole.bytes, hole.what))
        }));
        if let Some(at) = self.content.padding.filter(|_| self.finished) {
            found.push(Finding::new(Kind::Segment, path, at, "zeros up to the end of a finished segment"));
        }
        found.extend(self.against_checkpoint(log));
        found
    }

    /// What the checkpoint knows otherwise.
    fn against_checkpoint(&self, log: &Log) -> Option<Finding> {
        let (known, whole) = log.known(self.segment)?;
        let bytes = self.segment.bytes;
        let fits = if whole { bytes == known.bytes } else { bytes >= known.bytes };
        let what = format!("it has {bytes} bytes, the checkpoint knows {}", known.bytes);
        (!fits).then(|| Finding::new(Kind::Segment, &self.segment.path, bytes.min(known.bytes), what))
    }
}
