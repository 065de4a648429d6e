//! Bringing what only the journals have into the segments.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use ottla_batch::Batch;
use ottla_reactor::file;
use ottla_units::{Offset, TopicPartition};

use super::journals::{JournalPart, JournalScan, read_frames};
use super::segments::Examination;
use super::{JournalFrame, Known, LogImage, RecoverOptions, RecoveryReport, accept, folders};
use crate::join::join_all;
use crate::journal::format::Entries;
use crate::journal::{EntryHeader, EntryKind, Mark};
use crate::layout::Layout;
use crate::log::{LogCore, LogSpec};
use crate::stop::{LOGS_AT_ONCE, finish_logs};
use crate::store::Shared;
use crate::write_out::{Goal, write_out};
use crate::{Damage, LogSettings, StorageError, StoreConfig};

/// Restored bytes that are held in memory at most.
const RESTORED_BYTES_MAX: usize = 64 << 20;
/// The frame of a store that writes no journal.
const UNUSED_FRAME_BYTES: usize = 64 << 10;

/// Logs being recovered, in a store without tasks.
struct Replay<'a> {
    logs: HashMap<TopicPartition, Rc<LogCore>>,
    options: &'a RecoverOptions,
    report: &'a mut RecoveryReport,
    /// Logs with restored batches that are not written out.
    waiting: BTreeMap<TopicPartition, Rc<LogCore>>,
    bytes: usize,
    /// Logs that have a gap; nothing behind it is taken.
    broken: HashSet<TopicPartition>,
}

/// Recovers every log that was not stopped cleanly; gives all logs.
pub(super) async fn replay(
    layout: &Layout,
    specs: &[LogSpec],
    mut known: Known,
    found: &HashSet<TopicPartition>,
    scans: &[JournalScan],
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<HashMap<TopicPartition, LogImage>, StorageError> {
    let mut config = StoreConfig::with_generation(0, known.generation);
    (config.frame_bytes, config.frame_bytes_max) = (UNUSED_FRAME_BYTES, UNUSED_FRAME_BYTES);
    let store = Rc::new(Shared::new(layout, config));
    let marks: HashMap<TopicPartition, Mark> = scans.iter().flat_map(|scan| scan.marks.clone()).collect();
    let mut images = HashMap::new();
    let mut logs = HashMap::new();
    for spec in specs {
        let clean = known.is_clean(spec.key, found.contains(&spec.key));
        let checkpoint = known.logs.remove(&spec.key);
        if clean {
            images.extend(checkpoint.map(|image| (spec.key, image)));
            continue;
        }
        let mark = marks.get(&spec.key).copied();
        let image = examine(layout, spec, checkpoint, mark, found, options, report).await?;
        let log = LogCore::new(&store, spec, image, LogSettings::default());
        logs.insert(spec.key, Rc::new(log));
    }
    // What was set aside stays so.
    let topics = layout.topics();
    file::sync_dir(&topics).await.map_err(StorageError::io(&topics, "flush"))?;
    let (waiting, broken) = (BTreeMap::new(), HashSet::new());
    let mut replay = Replay { logs, options, report, waiting, bytes: 0, broken };
    for (part, upto) in scans.iter().flat_map(|scan| scan.parts.iter().zip(&scan.ends)) {
        let skip = options.accept_loss;
        read_frames(part, *upto, skip, async |frame| replay.take_frame(part, &frame).await).await?;
    }
    let Replay { logs, waiting, .. } = replay;
    drop(waiting);
    let mut all: Vec<Rc<LogCore>> = logs.into_values().collect();
    all.sort_unstable_by_key(|log| log.key);
    for log in &all {
        let mut state = log.state.borrow_mut();
        let (start, end) = (state.start, state.end);
        let cut = state.epochs.cut_back(start, end);
        state.epochs_were_cut(cut);
    }
    finish_logs(&all).await?;
    if let Some((why, _)) = all.iter().find_map(|log| log.state.borrow().lost.clone()) {
        return Err(why);
    }
    images.extend(all.iter().map(|log| (log.key, log.state.borrow().image())));
    store.forget();
    Ok(images)
}

/// Finds out what a log's files hold.
async fn examine(
    layout: &Layout,
    spec: &LogSpec,
    checkpoint: Option<LogImage>,
    mark: Option<Mark>,
    found: &HashSet<TopicPartition>,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<LogImage, StorageError> {
    let folder = layout.partition(&spec.folder());
    // A mark proves that this log was written into the folder, whatever became of the file that names the topic; also where
    // the segment that it names was only begun, and those before it are finished. So does a checkpoint that knew the folder.
    let proved =
        checkpoint.as_ref().is_some_and(|known| known.has_folder) || mark.is_some_and(|mark| mark.end > Offset::ZERO);
    let foreign = !proved && found.contains(&spec.key) && folders::is_foreign(&folder, spec.key.topic).await?;
    if foreign {
        report.strays.push(folders::set_aside(layout, &spec.folder()).await?);
    }
    let there = found.contains(&spec.key) && !foreign;
    if !there && checkpoint.is_none() && mark.is_none() {
        return Ok(LogImage::default());
    }
    let known = checkpoint.unwrap_or_default();
    let mut image = Examination::new(&folder, known, mark, options, report).run().await?;
    image.has_folder = there;
    Ok(image)
}

impl Replay<'_> {
    async fn take_frame(&mut self, part: &JournalPart, frame: &JournalFrame<'_>) -> Result<(), StorageError> {
        for entry in Entries::new(frame.body) {
            let (header, payload) = entry.ok_or_else(|| StorageError::corrupt(&part.path, frame.at, Damage::Entry))?;
            let Some(log) = self.logs.get(&header.key).map(Rc::clone) else { continue };
            if !self.broken.contains(&header.key) {
                self.take_entry(part, frame.at, &log, header, payload)?;
            }
        }
        if self.bytes > RESTORED_BYTES_MAX {
            self.write_out().await?;
        }
        Ok(())
    }

    fn take_entry(
        &mut self,
        part: &JournalPart,
        at: u64,
        log: &Rc<LogCore>,
        header: EntryHeader,
        payload: &[u8],
    ) -> Result<(), StorageError> {
        let end = log.end();
        match header.kind {
            EntryKind::Append | EntryKind::Roll if header.offset < end => {}
            // What lay before it went past the journal in the same cycle, which was never finished.
            EntryKind::Roll if header.offset > end => {}
            EntryKind::Append if header.offset > end => {
                let damage = Damage::Gap { expected: end, found: header.offset };
                let gap = StorageError::corrupt(&part.path, at, damage);
                accept(Err::<(), _>(gap), self.options, self.report)?;
                self.broken.insert(header.key);
            }
            EntryKind::Append => {
                let batch = Batch::parse(payload).ok().map(|(batch, _)| batch);
                let batch = batch.filter(|batch| batch.base_offset() == end && batch.total_len() == payload.len());
                let batch = batch.ok_or_else(|| StorageError::corrupt(&part.path, at, Damage::Entry))?;
                log.restore(&batch);
                self.waiting.entry(header.key).or_insert_with(|| Rc::clone(log));
                self.bytes += payload.len();
                self.report.batches_restored += 1;
                self.report.bytes_restored += payload.len() as u64;
            }
            EntryKind::Roll => log.restore_roll(),
            EntryKind::Mark => {
                let mark = Mark::from_bytes(payload);
                let mark = mark.ok_or_else(|| StorageError::corrupt(&part.path, at, Damage::Entry))?;
                let mut state = log.state.borrow_mut();
                let start = state.start.max(mark.start).min(state.end);
                state.start = start;
                state.cut_epochs(start);
            }
        }
        Ok(())
    }

    /// Writes out what was restored so far and gives its memory back: several logs at once, since each waits for a flush.
    async fn write_out(&mut self) -> Result<(), StorageError> {
        let logs: Vec<Rc<LogCore>> = std::mem::take(&mut self.waiting).into_values().collect();
        for some in logs.chunks(LOGS_AT_ONCE) {
            join_all(some.iter().map(|log| write_out(log, Goal::Durable)).collect()).await?;
        }
        for log in &logs {
            let mut state = log.state.borrow_mut();
            let synced = state.synced;
            while state.tail.evict(synced) > 0 {}
        }
        self.bytes = 0;
        Ok(())
    }
}
