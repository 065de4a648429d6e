//! Writing a log out: its tail into its segments' files, durably, and the files that belong to a finished segment.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use ottla_reactor::file::{self, File};
use ottla_reactor::{AlignedBuffer, BLOCK, Blocks};
use ottla_units::Offset;

use crate::epochs::Epochs;
use crate::join::join_all;
use crate::layout::SegmentFile;
use crate::log::{LogCore, State};
use crate::segment::Growing;
use crate::tail::{Run, Seam};
use crate::{Planted, StorageError};

// The files that go with a segment.
mod companions;
#[cfg(test)]
pub(crate) use companions::write_plain;
use companions::{create_folder, finish_epochs, write_companions, write_index};

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

/// How far a log is to be written out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goal {
    /// Its tail is not needed in memory any more: the segments have it, and until they are flushed the journal, too.
    Written,
    /// The oldest journal file that it needs is not needed any more.
    Released,
    /// All of it is durable in its segments.
    Durable,
    /// The store stops: as that, the files of their exact length, with whole indexes.
    Finished,
}

/// When that is so, as seen when the writing begins.
struct Until {
    goal: Goal,
    /// The log place behind the last byte, and the journal file with the oldest entry that the segments lack.
    end: u64,
    dirty_since: Option<u64>,
}

impl Until {
    fn of(state: &State, goal: Goal) -> Until {
        Until { goal, end: state.tail.end(), dirty_since: state.dirty_since }
    }

    fn is_reached(&self, state: &State) -> bool {
        match self.goal {
            Goal::Written => state.evictable() >= self.end,
            Goal::Released => state.synced >= self.end || state.dirty_since != self.dirty_since,
            Goal::Durable | Goal::Finished => state.synced >= self.end,
        }
    }
}

/// Up to where the active segment's file has everything, durable or not: what a flush makes durable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    /// The log place, and the offset there.
    pub(crate) place: u64,
    pub(crate) end: Offset,
    /// The latest time in the segment then.
    pub(crate) latest: crate::Latest,
    /// The journal file that took frames then: what was appended later is in it or a later one.
    pub(crate) sequence: u64,
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
    /// Whether what is written is made durable.
    flush: bool,
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

/// Writes what was appended to `log` when this is called into its segments, as far as `goal` asks.
pub(crate) async fn write_out(log: &Rc<LogCore>, goal: Goal) -> Result<(), StorageError> {
    let _turn = Turn::take(log).await;
    let until = Until::of(&log.state.borrow(), goal);
    while let Some(plan) = plan(log, &until) {
        if let Err(error) = execute(log, &plan).await {
            return lose_or_fail(log, error);
        }
        apply(log, plan);
    }
    match goal {
        Goal::Finished => finish_epochs(log).await.or_else(|error| lose_or_fail(log, error)),
        _ => Ok(()),
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

/// What to do next for `log`; nothing when it is written as far as asked.
fn plan(log: &Rc<LogCore>, until: &Until) -> Option<Plan> {
    let snapshot = if until.goal == Goal::Written { None } else { due_snapshot(log) };
    let mut guard = log.state.borrow_mut();
    let state = &mut *guard;
    if state.deleted {
        return None;
    }
    let rolled = !state.rolled.is_empty();
    let finishing = rolled || until.goal == Goal::Finished;
    let untidy = finishing && state.rolled.front().unwrap_or(&state.active).untidy;
    if !rolled && until.is_reached(state) && !untidy {
        return None;
    }
    if !finishing && state.active.exists {
        if until.goal == Goal::Written && !state.is_past_journal() {
            return Some(plan_write(log, state));
        }
        if until.goal == Goal::Released
            && snapshot.is_none()
            && state.is_released_by_flush(log.store.files.borrow().sequence())
        {
            return Some(plan_flush(log, state));
        }
    }
    let next = state.rolled.get(1).unwrap_or(&state.active);
    let (to, end) = if rolled { (next.at, next.base) } else { (state.tail.end(), state.end) };
    let epochs_told = state.first_batch_tells_epochs();
    let growing = state.rolled.front_mut().unwrap_or(&mut state.active);
    let base = growing.base;
    let latest = state.segments.iter().rev().find(|segment| segment.base == base).map(|segment| segment.latest);
    if let (true, Some(latest)) = (finishing, latest) {
        growing.index.note_time(base, latest);
    }
    let (seam, runs) = state.tail.runs(state.written.place..to);
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
        places: state.written.place..to,
        end,
        seam,
        runs,
        bytes,
        latest: latest.unwrap_or(crate::Latest::NONE),
        create: !growing.exists,
        allocated: Cell::new(growing.allocated),
        allocate: growing.reserve(log, bytes).filter(|_| !finishing),
        flush: true,
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

/// Writes the tail into the active segment's file, and nothing else.
fn plan_write(log: &Rc<LogCore>, state: &State) -> Plan {
    let sequence = log.store.files.borrow().sequence();
    let written = Written { place: state.tail.end(), end: state.end, latest: state.last_segment().latest, sequence };
    let mut plan = Plan::of_active(log, state, written);
    (plan.seam, plan.runs) = state.tail.runs(state.written.place..written.place);
    plan.allocate = state.active.reserve(log, plan.bytes);
    plan
}

/// Flushes what is in the active segment's file.
fn plan_flush(log: &Rc<LogCore>, state: &State) -> Plan {
    let mut plan = Plan::of_active(log, state, state.written);
    plan.flush = true;
    plan
}

impl Plan {
    /// A step after which the active segment's file has everything up to `written`, and its other files are as they were.
    fn of_active(log: &Rc<LogCore>, state: &State, written: Written) -> Plan {
        Plan {
            log: Rc::clone(log),
            base: state.active.base,
            places: state.written.place..written.place,
            end: written.end,
            seam: None,
            runs: Vec::new(),
            bytes: written.place - state.active.at,
            latest: written.latest,
            create: false,
            allocated: Cell::new(state.active.allocated),
            allocate: None,
            flush: false,
            finish: false,
            rolled: false,
            index: None,
            snapshots: Vec::new(),
            stale_snapshot: None,
            epochs: None,
            epochs_told: false,
            sequence: Some(written.sequence),
        }
    }
}

/// The producers' state at the log's end, when much was written since it was last put down: that is read again after a crash.
/// A step that writes up to there follows in the same turn of the executor.
fn due_snapshot(log: &LogCore) -> Option<(Offset, Vec<u8>)> {
    let end = {
        let state = log.state.borrow();
        let bytes = state.snapshot.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
        let due = state.since_snapshot + state.unflushed() >= SNAPSHOT_EVERY_BYTES.max(bytes * SNAPSHOT_SHARE);
        let grows = state.rolled.is_empty() && state.unflushed() > 0 && !state.deleted;
        (due && grows).then_some(state.end)
    }?;
    log.observer()?.snapshot().map(|bytes| (end, bytes))
}

impl Growing {
    /// The space to reserve before the segment grows to `bytes`: as much again as it has, within bounds.
    fn reserve(&self, log: &LogCore, bytes: u64) -> Option<Range<u64>> {
        let ahead_max = ALLOCATE_STEP_BYTES_MAX.min(log.store.free.get() / ALLOCATE_SHARE);
        let needed = bytes.next_multiple_of(BLOCK as u64);
        if needed <= self.allocated || needed < ALLOCATE_FROM_BYTES {
            return None;
        }
        let ahead = needed + needed.min(ahead_max);
        let to = ahead.min(log.settings.get().segment_bytes).max(needed);
        Some(self.allocated..to)
    }

    /// Whether the files lack many entries when the segment has so many `bytes`.
    fn is_index_due(&self, bytes: u64) -> bool {
        let pending = &self.index.pending;
        let oldest = pending.first().map_or(bytes, |entry| u64::from(entry.position));
        pending.len() >= INDEX_ENTRIES_STORED || bytes.saturating_sub(oldest) >= INDEX_STORED_FOR_BYTES
    }

    /// The index entries that are due for the files when the segment has so many `bytes`.
    fn index_bytes(&self, finishing: bool, bytes: u64) -> Option<IndexBytes> {
        let index = &self.index;
        if !finishing && !self.is_index_due(bytes) {
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
    let released = plan.flush && plan.places.is_empty() && !plan.finish;
    log.store.counters.releases.add(u64::from(released));
    let planted = Planted::SegmentUnflushed.is_there() || (released && Planted::ReleasedUnflushed.is_there());
    if plan.flush && !planted {
        file.sync_data().await.map_err(StorageError::io(&path, "flush"))?;
    }
    if file.is_removed().map_err(StorageError::io(&path, "look at"))? {
        return Err(StorageError::Removed { path });
    }
    let written: usize = plan.runs.iter().map(|run| run.blocks.len()).sum();
    log.store.counters.segment_bytes.add(written as u64);
    log.store.counters.write_outs.add(u64::from(!plan.runs.is_empty()));
    log.store.counters.segment_flushes.add(u64::from(plan.flush));
    Ok(())
}

/// Writes a tail's chunks: one write after the other while there is time, so that a frame of the journal never waits behind more
/// than one of them, and side by side once the disk falls behind.
async fn write_runs(log: &LogCore, file: &File, runs: &[Run]) -> std::io::Result<()> {
    let store = &log.store;
    let mut rows = in_rows(runs, store.config.disk.write_bytes).into_iter();
    while !store.is_hurried() {
        let Some((at, row)) = rows.next() else { return Ok(()) };
        file.write_row(row, at).await?;
    }
    join_all(rows.map(|(at, row)| file.write_row(row, at)).collect()).await
}

/// Small chunks that lie one behind the other in the file, together.
fn in_rows(runs: &[Run], bytes_max: usize) -> Vec<(u64, Vec<Blocks>)> {
    let mut rows: Vec<(u64, Vec<Blocks>)> = Vec::new();
    let (mut end, mut room) = (0, 0);
    for run in runs {
        let len = run.blocks.len();
        match rows.last_mut() {
            Some((_, row)) if end == run.position && len <= room => row.push(run.blocks.clone()),
            _ => {
                rows.push((run.position, vec![run.blocks.clone()]));
                room = bytes_max.max(len);
            }
        }
        room -= len;
        end = run.position + len as u64;
    }
    rows
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

/// Takes note that a step is done.
fn apply(log: &Rc<LogCore>, mut plan: Plan) {
    let mut guard = log.state.borrow_mut();
    let state = &mut *guard;
    if state.deleted {
        // Lost meanwhile: nothing of it counts any more.
        return;
    }
    log.store.written_out(plan.places.end - plan.places.start);
    let sequence = plan.sequence.unwrap_or(0);
    state.written = Written { place: plan.places.end, end: plan.end, latest: plan.latest, sequence };
    // The active segment may have been rolled meanwhile.
    let growing = state.rolled.front_mut().unwrap_or(&mut state.active);
    growing.allocated = plan.allocated.get();
    if !plan.flush {
        log.store.chores.notify();
        return;
    }
    growing.exists = true;
    growing.untidy = !plan.finish;
    let before = std::mem::replace(&mut state.synced, plan.places.end);
    state.synced_end = plan.end;
    state.synced_latest = (plan.base, plan.latest);
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
    state.since_snapshot = state.since_snapshot.saturating_add(plan.places.end - before);
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

    /// Whether a flush of what is written already is enough: the journal files that it releases are most of those up to `active`,
    /// and nothing else is due at this log.
    fn is_released_by_flush(&self, active: u64) -> bool {
        let leaderships = self.epochs_stale && self.epochs.entries().len() > 1;
        let bytes = self.tail.end() - self.active.at;
        let kept = active.saturating_sub(self.written.sequence);
        let most = self.dirty_since.is_some_and(|since| since + kept < self.written.sequence);
        most && self.written.place > self.synced && !leaderships && !self.active.is_index_due(bytes)
    }

    /// The places before this one need not be in memory: the segment's file has them, and a power cut leaves them there or in the
    /// journal.
    pub(crate) fn evictable(&self) -> u64 {
        if self.is_past_journal() { self.synced } else { self.written.place }
    }

    /// Whether something went past the journal, and so is nowhere else before the segment is flushed.
    fn is_past_journal(&self) -> bool {
        self.bulk_until > self.synced
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
