//! Bytes that change without a word, and which of those changes nobody can tell from a crash.

use std::collections::HashMap;

use ottla_batch::Batch;
use ottla_storage::SegmentFile;
use ottla_storage::inspect::{self, EntryContent, FrameFound, Journal, Mark};
use ottla_units::TopicPartition;

use crate::coverage::Path;
use crate::life::DATA;
use crate::seed::Run;

/// Where journals lie.
pub(crate) const JOURNALS: &str = "/data/journal";

/// Changes a bit of some file, or makes a sector unreadable.
pub(crate) fn strike(run: &Run) {
    let files = run.disk.files(DATA);
    if files.is_empty() {
        return;
    }
    let path = &files[run.below(files.len())];
    let size = run.disk.content(path).map_or(0, |bytes| bytes.len());
    let at = run.below(size) as u64;
    let doubtful = is_doubtful(run, path, at);
    let done = if run.chance(70) {
        let bit = run.below(8) as u8;
        run.disk.flip_bit(path, at, bit)
    } else {
        run.disk.spoil_sector(path, at)
    };
    run.hit_if(Path::Rot, done);
    run.doubtful.set(run.doubtful.get() || (done && doubtful));
    run.disk.note(|| format!("== rot in {path} at {at}: {done}, doubtful: {doubtful}"));
}

/// Whether damage there looks like a write that a crash interrupted: nothing that was written later proves that it was whole.
/// So it is in the last frame of a journal, and in what a segment got since the last mark. The file of leaderships has no
/// checksum, the file that names the topic neither, and a batch's leadership is not in the batch's: they are Kafka's.
fn is_doubtful(run: &Run, path: &str, at: u64) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with(JOURNALS) {
        let last =
            journals(run).into_iter().filter(|journal| journal.path == path).any(|journal| journal.is_last_frame(at));
        return last;
    }
    if name == "leader-epoch-checkpoint" || name == "partition.metadata" {
        return true;
    }
    let Some((SegmentFile::Log, base)) = SegmentFile::parse(name) else { return false };
    if is_leadership(&run.disk.content(path).unwrap_or_default(), at as usize) {
        return true;
    }
    let model = run.model.borrow();
    let key = model.topics.iter().find(|topic| path.contains(&format!("/{}/", topic.spec.folder())));
    let marks = marks(run);
    let mark = key.and_then(|topic| marks.get(&topic.spec.key));
    !mark.is_some_and(|mark| base < mark.segment || (base == mark.segment && at < mark.position))
}

/// Whether a batch's leadership lies there: Kafka's checksum leaves it out.
fn is_leadership(segment: &[u8], at: usize) -> bool {
    let mut begin = 0;
    while let Ok((batch, _)) = Batch::parse(&segment[begin..]) {
        let end = begin + batch.total_len();
        if at < end {
            return (begin + 12..begin + 16).contains(&at);
        }
        begin = end;
    }
    false
}

/// One journal file with frames.
struct Found {
    path: String,
    core: u16,
    order: (u64, u64),
    /// Where its last frame begins.
    last_frame: u64,
    marks: Vec<(TopicPartition, Mark)>,
    newest: bool,
}

impl Found {
    fn is_last_frame(&self, at: u64) -> bool {
        self.newest && at >= self.last_frame
    }
}

/// All journal files that have frames, in the order of writing.
fn journals(run: &Run) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for path in run.disk.files(JOURNALS) {
        let bytes = run.disk.content(&path).unwrap_or_default();
        let Journal::File(header, frames) = inspect::journal(&bytes) else { continue };
        let (mut last_frame, mut marks) = (None, Vec::new());
        for frame in frames {
            let FrameFound::Frame { at, entries, .. } = frame else { continue };
            last_frame = Some(at as u64);
            marks.extend(entries.filter_map(|(entry, content)| match content {
                EntryContent::Mark(mark) => Some((entry.key, mark)),
                _ => None,
            }));
        }
        if let Some(last_frame) = last_frame {
            let order = (header.generation, header.sequence);
            found.push(Found { path, core: header.core, order, last_frame, marks, newest: true });
        }
    }
    found.sort_by_key(|journal| journal.order);
    for i in 0..found.len() {
        found[i].newest = !found[i + 1..].iter().any(|later| later.core == found[i].core);
    }
    found
}

/// The newest mark of each log in the journals of the last start.
fn marks(run: &Run) -> HashMap<TopicPartition, Mark> {
    let found = journals(run);
    let generation = found.last().map_or(0, |newest| newest.order.0);
    let newest = found.into_iter().filter(|journal| journal.order.0 == generation);
    newest.flat_map(|journal| journal.marks).collect()
}
