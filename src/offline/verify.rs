//! Proving: everything is read, nothing is changed.

use std::collections::HashMap;
use std::io;

use super::beside::{self, Leaderships, Snapshots};
use super::crew::{self, Progress, Work};
use super::finding::{Finding, Kind};
use super::folder::Folder;
use super::log::{Judged, Log};

/// What was looked at, and what is wrong.
#[derive(Default, Debug)]
pub struct Verified {
    /// What is wrong, in the order of files.
    pub findings: Vec<Finding>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
    /// Partitions that there are.
    pub partitions: u64,
    /// Segments of theirs.
    pub segments: u64,
    /// Batches in those.
    pub batches: u64,
    /// Records in those.
    pub records: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Frames in the journals.
    pub frames: u64,
    /// Batches that are in a journal and not yet in a segment: acknowledged, restored by the next start.
    pub journal_batches: u64,
    /// Records in those.
    pub journal_records: u64,
    /// Bytes of those.
    pub journal_bytes: u64,
    /// Segments that end in an unfinished write, which nobody was promised.
    pub unfinished: u64,
}

impl Verified {
    fn add(&mut self, other: Verified) {
        self.findings.extend(other.findings);
        self.notes.extend(other.notes);
        self.partitions += other.partitions;
        self.segments += other.segments;
        self.batches += other.batches;
        self.records += other.records;
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.journal_batches += other.journal_batches;
        self.journal_records += other.journal_records;
        self.journal_bytes += other.journal_bytes;
        self.unfinished += other.unfinished;
    }
}

/// Checks everything in a folder.
///
/// # Errors
/// A folder that the system does not list; what cannot be read of a file is a finding.
pub fn verify(mut folder: Folder, progress: impl Fn(Progress) + Sync) -> io::Result<Verified> {
    let mut verified = Verified {
        findings: std::mem::take(&mut folder.findings),
        notes: std::mem::take(&mut folder.notes),
        frames: folder.journals.frames,
        ..Verified::default()
    };
    verified.findings.append(&mut folder.journals.findings);
    verified.notes.append(&mut folder.journals.notes);
    let logs = open_logs(&mut folder)?;
    progress(Progress::Begun { bytes: logs.iter().map(|log| log.bytes).sum() });
    let work = Work::new(logs);
    let parts = crew::run(|| {
        let mut part = Verified::default();
        while let Some(log) = work.take() {
            match check(&log, &progress) {
                Ok(found) => part.add(found),
                Err(error) => part.findings.push(Finding::new(Kind::Unreadable, &log.folder, 0, error)),
            }
        }
        part
    });
    parts.into_iter().for_each(|part| verified.add(part));
    verified.findings.sort_by(|a, b| (&a.file, a.position).cmp(&(&b.file, b.position)));
    Ok(verified)
}

/// The logs of a folder with all that is known of each.
pub(super) fn open_logs(folder: &mut Folder) -> io::Result<Vec<Log>> {
    let topics = folder.layout.topics();
    let specs = std::mem::take(&mut folder.specs);
    specs
        .into_iter()
        .map(|spec| {
            let expected = folder.journals.take(spec.key);
            Log::open(&topics, spec, expected)
        })
        .collect()
}

fn check(log: &Log, progress: &impl Fn(Progress)) -> io::Result<Verified> {
    let mut part = Verified { partitions: 1, ..Verified::default() };
    part.findings.extend(missing(log));
    if log.folder.is_dir() {
        part.findings.extend(beside::owner(log));
    }
    let (mut snapshots, mut leaderships) = (Snapshots::read(log)?, Leaderships::read(log)?);
    let journaled: HashMap<i64, (u32, u32)> =
        log.expected.journaled.iter().map(|batch| (batch.place.base, (batch.place.crc, batch.place.bytes))).collect();
    let mut walk = log.walk();
    while let Some(judged) = walk.next() {
        part.findings.extend(judged.findings(log));
        part.findings.extend(beside::indexes(log, &judged)?);
        let sound = judged.content.places.iter().zip(&judged.verdicts).filter(|(_, fault)| fault.is_none());
        for (place, _) in sound.filter(|_| judged.foreign.is_none()) {
            part.batches += 1;
            part.records += u64::from(place.records);
            snapshots.compare(place);
            leaderships.compare(place);
            if journaled.get(&place.base).is_some_and(|known| *known != (place.crc, place.bytes)) {
                let what = "the journal has another batch at this offset";
                let finding = Finding::new(Kind::Segment, &judged.segment.path, place.position, what);
                part.findings.push(finding.about(place.base, place.next));
            }
        }
        count(&mut part, &judged);
        progress(Progress::Done { bytes: judged.segment.bytes });
    }
    end(log, walk.due, &mut part);
    part.findings.extend(snapshots.findings());
    part.findings.extend(leaderships.findings(log.expected.clean));
    Ok(part)
}

fn count(part: &mut Verified, judged: &Judged<'_>) {
    part.segments += 1;
    part.bytes += judged.segment.bytes;
    part.unfinished += u64::from(judged.unfinished.is_some());
}

/// Segments that the checkpoint or a mark knows and that are not there.
fn missing(log: &Log) -> Vec<Finding> {
    let is_there = |base: i64| log.segments.iter().any(|segment| segment.name == base);
    let file = |base: i64| log.folder.join(ottla_storage::SegmentFile::Log.name(ottla_units::Offset::new(base)));
    let mut found = Vec::new();
    if let Some(known) = &log.expected.known {
        let segments = &known.image.segments;
        for (index, segment) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map_or(known.image.end, |next| next.base);
            // One before the log's start may have been about to be removed.
            if segment.bytes > 0 && next.get() > log.start() && !is_there(segment.base.get()) {
                let finding = Finding::new(Kind::Segment, &file(segment.base.get()), 0, "the segment is missing");
                found.push(finding.about(segment.base.get(), next.get()));
            }
        }
    }
    let marked = log.floor.filter(|floor| floor.position > 0 && !is_there(floor.segment));
    if let (true, Some(floor)) = (found.is_empty(), marked) {
        let finding = Finding::new(Kind::Segment, &file(floor.segment), 0, "the segment is missing");
        found.push(finding.about(floor.segment, floor.end));
    }
    found
}

/// Whether segments and journal together reach the end that was promised. `end` is where the segments end.
fn end(log: &Log, end: i64, part: &mut Verified) {
    let mut found = Vec::new();
    let file = log.segments.last().map_or(log.folder.as_path(), |segment| segment.path.as_path());
    let position = log.segments.last().map_or(0, |segment| segment.bytes);
    let mut reached = end;
    for batch in &log.expected.journaled {
        let place = &batch.place;
        if place.base > reached && !log.expected.clean {
            let what =
                format!("{} goes on at offset {}; what is before that is nowhere", batch.file.display(), place.base);
            found.push(Finding::new(Kind::JournalGap, file, position, what).about(reached, place.base));
            reached = place.base;
        }
        if place.base == reached && !log.expected.clean {
            part.journal_batches += 1;
            part.journal_records += u64::from(place.records);
            part.journal_bytes += u64::from(place.bytes);
            reached = place.next;
        }
    }
    let promised = log.promised();
    if reached < promised && log.gaps.get(&reached) != Some(&promised) && found.is_empty() {
        found.push(Finding::new(Kind::Offsets, file, position, "no sound batch has them").about(reached, promised));
    }
    part.findings.append(&mut found);
}
