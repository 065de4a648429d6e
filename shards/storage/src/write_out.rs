//! Writing a log out: its tail into its segments' files, durably, and the files that belong to a finished segment.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use ottla_reactor::file::{self, File, Open};
use ottla_reactor::{AlignedBuffer, BLOCK};
use ottla_units::Offset;

use crate::epochs::Epochs;
use crate::join::join_all;
use crate::layout::SegmentFile;
use crate::log::{LogCore, State};
use crate::recover::{is_foreign, set_aside};
use crate::segment::Growing;
use crate::tail::{Run, Seam};
use crate::{Planted, StorageError};

/// A segment smaller than this is not given space ahead: many partitions hold little.
const ALLOCATE_FROM_BYTES: u64 = 64 << 10;
/// The most space that is reserved ahead at once.
const ALLOCATE_STEP_BYTES_MAX: u64 = 32 << 20;
/// Space ahead of one log is at most this part of what is free: with many logs it adds up.
const ALLOCATE_SHARE: u64 = 256;
/// The producers' state is put down each time that a log has written so much.
const SNAPSHOT_EVERY_BYTES: u64 = 32 << 20;
/// A large state is put down less often, so that it stays at most this part of what is written.
const SNAPSHOT_SHARE: u64 = 64;
/// The active segment's index goes to its file in pieces of this many entries, or for so many bytes of the segment: what lies
/// behind the last stored entry is read again after a crash.
const INDEX_ENTRIES_STORED: usize = 4096;
const INDEX_STORED_FOR_BYTES: u64 = 16 << 20;

/// Whether files are to be brought into their final form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Finish {
    /// The log goes on growing.
    No,
    /// The store stops: exact length, whole indexes.
    Yes,
}

/// One step of writing a log out: bytes of one segment. A step that is not done, for an error or because nobody waits for it
/// any more, leaves what it would have written down due.
struct Plan {
    log: Rc<LogCore>,
    base: Offset,
    /// The log places that this step writes, and the offset behind them.
    places: Range<u64>,
    end: Offset,
    seam: Option<Seam>,
    runs: Vec<Run>,
    /// Bytes of the segment after this step, and the latest time in it then.
    bytes: u64,
    latest: crate::Latest,
    /// Whether the file is to be made.
    create: bool,
    /// Space to reserve: from, to; and up to where it was.
    allocate: Option<Range<u64>>,
    allocated: Cell<u64>,
    /// Whether the segment's files get their final form.
    finish: bool,
    rolled: bool,
    index: Option<IndexBytes>,
    snapshots: Vec<(Offset, Vec<u8>)>,
    /// A producers' state that those replace.
    stale_snapshot: Option<Offset>,
    epochs: Option<Epochs>,
    /// Whether recovery could do without that file.
    epochs_told: bool,
    /// The journal file that takes frames now, if this step writes all there is: what is appended later is in it or a later one.
    sequence: Option<u64>,
}

impl Drop for Plan {
    fn drop(&mut self) {
        if self.epochs.is_none() && self.snapshots.is_empty() {
            return;
        }
        let mut state = self.log.state.borrow_mut();
        state.epochs_stale |= self.epochs.is_some();
        state.snapshots.splice(0..0, self.snapshots.drain(..));
    }
}

/// Entries that go into the index files, and where.
struct IndexBytes {
    at: u32,
    entries: Vec<u8>,
    times_at: u32,
    times: Vec<u8>,
}

/// The right to write a log's segments.
struct Turn(Rc<LogCore>);

impl Turn {
    async fn take(log: &Rc<LogCore>) -> Turn {
        while log.writing.get() {
            log.quiet.wait().await;
        }
        log.writing.set(true);
        Turn(Rc::clone(log))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.writing.set(false);
        self.0.quiet.notify();
    }
}

/// Writes everything that was appended to `log` when this is called into its segments and makes it durable there.
pub(crate) async fn write_out(log: &Rc<LogCore>, finish: Finish) -> Result<(), StorageError> {
    let _turn = Turn::take(log).await;
    let until = log.state.borrow().tail.end();
    while let Some(plan) = plan(log, until, finish) {
        if let Err(error) = execute(log, &plan).await {
            return lose_or_fail(log, error);
        }
        apply(log, plan);
    }
    match finish {
        Finish::Yes => finish_epochs(log).await.or_else(|error| lose_or_fail(log, error)),
        Finish::No => Ok(()),
    }
}

/// A log whose files somebody else removed is out of use, and no reason for others to fail.
fn lose_or_fail(log: &Rc<LogCore>, error: StorageError) -> Result<(), StorageError> {
    let error = as_removed(log, error);
    if matches!(error, StorageError::Removed { .. }) {
        crate::delete::lose(log, &error);
        return Ok(());
    }
    Err(error)
}

/// A file that is not there any more was removed by somebody else.
fn as_removed(log: &LogCore, error: StorageError) -> StorageError {
    match error {
        StorageError::Io { path, source, .. }
            if source.kind() == std::io::ErrorKind::NotFound && log.state.borrow().has_folder =>
        {
            StorageError::Removed { path }
        }
        other => other,
    }
}

/// Puts one step on the disk.
async fn execute(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    if !log.state.borrow().has_folder {
        create_folder(log).await?;
    }
    write_bytes(log, plan).await?;
    write_index(log, plan).await?;
    write_companions(log, plan).await?;
    if plan.create && !Planted::FolderUnflushed.is_there() {
        // The file's name, and the folder's, which may be new as well.
        for folder in [log.path(), log.store.layout.topics()] {
            file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
        }
    }
    Ok(())
}

/// Waits until nobody writes the log's segments, and keeps it so while `work` runs.
pub(crate) async fn undisturbed<T>(log: &Rc<LogCore>, work: impl Future<Output = T>) -> T {
    let _turn = Turn::take(log).await;
    work.await
}

/// What to do next for `log`; nothing when it is written up to `until`.
fn plan(log: &Rc<LogCore>, until: u64, finish: Finish) -> Option<Plan> {
    let snapshot = due_snapshot(log);
    let mut guard = log.state.borrow_mut();
    let state = &mut *guard;
    if state.deleted {
        return None;
    }
    let rolled = !state.rolled.is_empty();
    let stop = state.rolled.get(1).unwrap_or(&state.active).at;
    let next_base = state.rolled.get(1).unwrap_or(&state.active).base;
    let (to, end) = if rolled { (stop, next_base) } else { (state.tail.end(), state.end) };
    let finishing = rolled || finish == Finish::Yes;
    let epochs_told = state.first_batch_tells_epochs();
    let growing = state.rolled.front_mut().unwrap_or(&mut state.active);
    let untidy = finishing && growing.untidy;
    if !rolled && state.synced >= until && !untidy {
        return None;
    }
    let base = growing.base;
    let latest = state.segments.iter().rev().find(|segment| segment.base == base).map(|segment| segment.latest);
    if let (true, Some(latest)) = (finishing, latest) {
        growing.index.note_time(base, latest);
    }
    let ahead = ALLOCATE_STEP_BYTES_MAX.min(log.store.free.get() / ALLOCATE_SHARE);
    let (seam, runs) = state.tail.runs(state.synced..to);
    let bytes = to - growing.at;
    // What follows a rolled segment was appended already, and may be in older files.
    let sequence = (!rolled).then(|| log.store.files.borrow().sequence());
    let snapshots = if finishing { std::mem::take(&mut state.snapshots) } else { Vec::from_iter(snapshot) };
    // Not of what this step leaves out: were that lost, the file would tell of leaderships that never were.
    let told = state.epochs.before(end);
    let all_told = told == state.epochs;
    let due = finishing || state.epochs.entries().len() > 1;
    let epochs = (state.epochs_stale && due && (all_told || !told.entries().is_empty())).then_some(told);
    state.epochs_stale &= !(epochs.is_some() && all_told);
    Some(Plan {
        log: Rc::clone(log),
        base,
        places: state.synced..to,
        end,
        seam,
        runs,
        bytes,
        latest: latest.unwrap_or(crate::Latest::NONE),
        create: !growing.exists,
        allocated: Cell::new(growing.allocated),
        allocate: growing.reserve(bytes, log.settings.get().segment_bytes, ahead).filter(|_| !finishing),
        finish: finishing,
        rolled,
        index: growing.index_bytes(finishing, bytes),
        stale_snapshot: state.loose_snapshot.filter(|loose| snapshots.last().is_some_and(|(newest, _)| newest > loose)),
        snapshots,
        epochs,
        epochs_told,
        sequence,
    })
}

/// The producers' state at the log's end, when much was written since it was last put down: that is read again after a crash.
/// A step that writes up to there follows in the same turn of the executor.
fn due_snapshot(log: &LogCore) -> Option<(Offset, Vec<u8>)> {
    let end = {
        let state = log.state.borrow();
        let bytes = state.snapshot.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
        let due = state.since_snapshot + state.unwritten() >= SNAPSHOT_EVERY_BYTES.max(bytes * SNAPSHOT_SHARE);
        let grows = state.rolled.is_empty() && state.unwritten() > 0 && !state.deleted;
        (due && grows).then_some(state.end)
    }?;
    log.observer()?.snapshot().map(|bytes| (end, bytes))
}

impl Growing {
    /// The space to reserve before the segment grows to `bytes`: as much again as it has, within bounds.
    fn reserve(&self, bytes: u64, segment_bytes: u64, ahead_max: u64) -> Option<Range<u64>> {
        let needed = bytes.next_multiple_of(BLOCK as u64);
        if needed <= self.allocated || needed < ALLOCATE_FROM_BYTES {
            return None;
        }
        let ahead = needed + needed.min(ahead_max);
        let to = ahead.min(segment_bytes).max(needed);
        Some(self.allocated..to)
    }

    /// The index entries that are due for the files when the segment has so many `bytes`.
    fn index_bytes(&self, finishing: bool, bytes: u64) -> Option<IndexBytes> {
        let index = &self.index;
        let oldest = index.pending.first().map_or(bytes, |entry| u64::from(entry.position));
        let many =
            index.pending.len() >= INDEX_ENTRIES_STORED || bytes.saturating_sub(oldest) >= INDEX_STORED_FOR_BYTES;
        if !finishing && !many {
            return None;
        }
        Some(IndexBytes {
            at: index.stored,
            entries: index.pending.iter().flat_map(|entry| entry.to_bytes()).collect(),
            times_at: index.stored_times,
            times: index.pending_times.iter().flat_map(|entry| entry.to_bytes()).collect(),
        })
    }
}

/// Makes the partition's folder and says in it whose it is.
async fn create_folder(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let folder = log.path();
    // One whose removal failed when its topic was deleted: its files are not this log's.
    if file::exists(&folder) && is_foreign(&folder, log.key.topic).await? {
        set_aside(&log.store.layout, &log.folder).await?;
    }
    file::create_dir(&folder).await.map_err(StorageError::io(&folder, "create"))?;
    let owner = crate::owner::to_file(log.key.topic);
    // Recovery takes no segment from a folder that does not say whose it is.
    write_plain(&folder.join(crate::owner::FILE), owner.as_bytes(), true).await?;
    log.state.borrow_mut().has_folder = true;
    Ok(())
}

/// Writes a step's bytes into the segment and makes them durable.
async fn write_bytes(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    let path = SegmentFile::Log.path(&log.path(), plan.base);
    let file = log.store.open.segment(log, plan.base, plan.create).await?;
    if let Some(space) = &plan.allocate {
        file.allocate(space.start, space.end - space.start)
            .await
            .map_err(StorageError::io(&path, "reserve space for"))?;
        plan.allocated.set(space.end);
    }
    if let Some(seam) = &plan.seam {
        write_seam(&file, seam).await.map_err(StorageError::io(&path, "write"))?;
    }
    write_runs(log, &file, &plan.runs).await.map_err(StorageError::io(&path, "write"))?;
    if plan.finish {
        file.truncate(plan.bytes).await.map_err(StorageError::io(&path, "cut"))?;
    }
    if !Planted::SegmentUnflushed.is_there() {
        file.sync_data().await.map_err(StorageError::io(&path, "flush"))?;
    }
    if file.is_removed().map_err(StorageError::io(&path, "look at"))? {
        return Err(StorageError::Removed { path });
    }
    let written: usize = plan.runs.iter().map(|run| run.blocks.len()).sum();
    log.store.counters.segment_bytes.add(written as u64);
    log.store.counters.write_outs.increment();
    Ok(())
}

/// Writes a tail's chunks: one after the other while there is time, so that a frame of the journal never waits behind more
/// than one of them, and side by side once the disk falls behind.
async fn write_runs(log: &LogCore, file: &File, runs: &[Run]) -> std::io::Result<()> {
    let store = &log.store;
    let mut left = runs.iter();
    while !store.is_hurried() {
        let Some(run) = left.next() else { return Ok(()) };
        file.write_blocks(run.blocks.clone(), run.position).await?;
    }
    join_all(left.map(|run| file.write_blocks(run.blocks.clone(), run.position)).collect()).await
}

/// Writes a block whose first part is only in the file.
async fn write_seam(file: &File, seam: &Seam) -> std::io::Result<()> {
    let (count, mut block) = file.read_at(AlignedBuffer::new(BLOCK), BLOCK, seam.position).await;
    if count? < seam.gap {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let end = seam.gap + seam.bytes.len();
    block[seam.gap..end].copy_from_slice(&seam.bytes);
    block[end..].fill(0);
    file.write_at(block, 0..BLOCK, seam.position).await.0
}

/// Writes the index entries that are due.
async fn write_index(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    let Some(index) = &plan.index else { return Ok(()) };
    let folder = log.path();
    let files = [
        (SegmentFile::Index, u64::from(index.at) * crate::INDEX_ENTRY_BYTES as u64, &index.entries),
        (SegmentFile::TimeIndex, u64::from(index.times_at) * crate::TIME_ENTRY_BYTES as u64, &index.times),
    ];
    for (kind, at, bytes) in files {
        let path = kind.path(&folder, plan.base);
        write_behind_end(&path, at, bytes, plan.finish).await.map_err(StorageError::io(&path, "write"))?;
    }
    if (index.at == 0 || index.times_at == 0) && !plan.create {
        file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
    }
    Ok(())
}

/// Writes `bytes` at `at`, where the file's good content ends, durably; `exact` cuts off what lies behind.
async fn write_behind_end(path: &Path, at: u64, bytes: &[u8], exact: bool) -> std::io::Result<()> {
    let file = File::open(path, Open { write: true, create: true, ..Open::default() }).await?;
    if !bytes.is_empty() {
        let mut buffer = AlignedBuffer::new(bytes.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        file.write_at(buffer, 0..bytes.len(), at).await.0?;
    }
    let cut = exact && file.size()? != at + bytes.len() as u64;
    if cut {
        file.truncate(at + bytes.len() as u64).await?;
    }
    // An empty index is as good as none; but what was cut off must not come back.
    if at == 0 && bytes.is_empty() && !cut { Ok(()) } else { file.sync_data().await }
}

/// Writes the files that go with a finished segment: producers' states and leaderships.
async fn write_companions(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    let folder = log.path();
    for (offset, bytes) in &plan.snapshots {
        // A small one of a clean stop is in the checkpoint as well.
        let durable = plan.rolled || !plan.finish || bytes.len() > crate::checkpoint::SNAPSHOT_BYTES_MAX;
        write_plain(&SegmentFile::Snapshot.path(&folder, *offset), bytes, durable).await?;
    }
    if let Some(stale) = plan.stale_snapshot {
        remove_snapshot(&SegmentFile::Snapshot.path(&folder, stale)).await?;
    }
    match &plan.epochs {
        Some(epochs) if plan.epochs_told => {
            write_plain(&folder.join(crate::owner::EPOCHS_FILE), epochs.to_file().as_bytes(), false).await
        }
        Some(epochs) => {
            if plan.create {
                // The file must not tell of records that a power cut takes with their segment's name.
                file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
            }
            write_epochs(&folder, epochs).await
        }
        None => Ok(()),
    }
}

async fn write_epochs(folder: &Path, epochs: &Epochs) -> Result<(), StorageError> {
    let path = folder.join(crate::owner::EPOCHS_FILE);
    file::write_atomically(&path, epochs.to_file().as_bytes()).await.map_err(StorageError::io(&path, "write"))
}

/// Writes leaderships down that changed where nothing else did: the file would go on telling of some whose records are gone, and
/// be believed once others have taken their offsets.
async fn finish_epochs(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let due = {
        let state = log.state.borrow();
        let due = state.epochs_stale && state.has_folder && !state.deleted && !state.epochs.entries().is_empty();
        due.then(|| state.epochs.clone())
    };
    let Some(epochs) = due else { return Ok(()) };
    write_epochs(&log.path(), &epochs).await?;
    log.state.borrow_mut().epochs_stale = false;
    Ok(())
}

async fn remove_snapshot(path: &Path) -> Result<(), StorageError> {
    match file::remove(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StorageError::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// Writes a small file that the checkpoint can do without: a torn one is noticed when it is read.
pub(crate) async fn write_plain(path: &Path, bytes: &[u8], durable: bool) -> Result<(), StorageError> {
    let how = Open { write: true, create: true, truncate: true, ..Open::default() };
    let file = File::open(path, how).await.map_err(StorageError::io(path, "open"))?;
    let mut buffer = AlignedBuffer::new(bytes.len());
    buffer[..bytes.len()].copy_from_slice(bytes);
    if !bytes.is_empty() {
        file.write_at(buffer, 0..bytes.len(), 0).await.0.map_err(StorageError::io(path, "write"))?;
    }
    if durable {
        file.sync_data().await.map_err(StorageError::io(path, "flush"))?;
    }
    Ok(())
}

/// Takes note that a step is done.
fn apply(log: &Rc<LogCore>, mut plan: Plan) {
    let mut guard = log.state.borrow_mut();
    let state = &mut *guard;
    log.store.written_out(plan.places.end - plan.places.start);
    state.synced = plan.places.end;
    state.synced_end = plan.end;
    state.synced_latest = (plan.base, plan.latest);
    let growing = state.rolled.front_mut().unwrap_or(&mut state.active);
    growing.exists = true;
    growing.untidy = !plan.finish;
    growing.allocated = plan.allocated.get();
    if let Some(index) = &plan.index {
        let (entries, times) =
            (index.entries.len() / crate::INDEX_ENTRY_BYTES, index.times.len() / crate::TIME_ENTRY_BYTES);
        growing.index.pending.drain(..entries);
        growing.index.pending_times.drain(..times);
        growing.index.stored += entries as u32;
        growing.index.stored_times += times as u32;
    }
    if plan.rolled {
        state.rolled.pop_front();
    }
    state.since_snapshot = state.since_snapshot.saturating_add(plan.places.end - plan.places.start);
    plan.epochs = None;
    if let Some(newest) = std::mem::take(&mut plan.snapshots).pop() {
        let of_segment = state.segments.binary_search_by_key(&newest.0, |segment| segment.base).is_ok();
        state.loose_snapshot = (!of_segment).then_some(newest.0);
        state.since_snapshot = 0;
        state.snapshot = Some(newest);
    }
    let dirty = state.clean_up_to(plan.sequence);
    let mark = state.mark();
    drop(guard);
    if let Some(sequence) = dirty {
        log.store.files.borrow_mut().add_dirty(sequence, log);
    }
    log.store.journal.borrow_mut().push_mark(log, mark);
    log.store.chores.notify();
}

impl State {
    /// Whether the log's only leadership can be read from its first batch, and no checkpoint tells of an earlier one.
    fn first_batch_tells_epochs(&self) -> bool {
        let first = self.segments.first().map(|segment| segment.base);
        match self.epochs.entries() {
            [] => true,
            [only] => self.epochs_new && Some(only.start) == first,
            _ => false,
        }
    }

    /// After what was there when the journal's file `sequence` took frames is durable in segments: what remains is in that
    /// file or a later one; without one nothing is known of the rest. Gives the file whose list the log must join.
    fn clean_up_to(&mut self, sequence: Option<u64>) -> Option<u64> {
        let since = self.dirty_since?;
        if self.synced_end >= self.end {
            self.dirty_since = None;
            return None;
        }
        let later = sequence.filter(|sequence| since < *sequence)?;
        self.dirty_since = Some(later);
        Some(later)
    }
}
