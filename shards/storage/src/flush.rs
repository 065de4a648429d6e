//! The flush cycle: one frame is written and flushed while the next one fills.
//!
//! Never more than one frame is in flight: recovery relies on a frame that does not verify being the last.

use std::rc::Rc;
use std::time::Instant;

use ottla_reactor::{AlignedBuffer, Class, Permit, Task, monotonic, spawn, timeout};

use crate::journal::format::{ENTRY_HEADER_BYTES, FRAME_HEADER_BYTES, MARK_BYTES};
use crate::journal::{Cycle, Frame, JournalFile, Place, Reserve, Touched, mark_entry};
use crate::log::LogCore;
use crate::store::Shared;
use crate::write_out::{Goal, write_out};
use crate::{Planted, StorageError};

// Those who ask again as soon as they are answered.
mod company;
// What finds no space in its segment.
mod overflow;

pub(crate) use company::Company;

/// Marks that are carried forward in one frame.
const MARKS_PER_FRAME: usize = 4096;

/// The flusher of a shard: runs until storage fails or the store stops.
pub(crate) async fn run(store: Rc<Shared>) {
    loop {
        let idle = !store.journal.borrow().has_work();
        if idle {
            store.flusher_idle.set(true);
            store.work.wait().await;
            store.flusher_idle.set(false);
            continue;
        }
        company::wait(&store).await;
        let cycle = store.journal.borrow_mut().seal();
        store.room.notify();
        if let Err(error) = flush(&store, cycle).await {
            store.fail(&error);
            return;
        }
    }
}

/// Makes one cycle durable: its frame in the journal, what went past the journal in the segments.
async fn flush(store: &Rc<Shared>, cycle: Cycle) -> Result<(), StorageError> {
    let Cycle { number, appends, frame, touched, bulk, marked } = cycle;
    let sealed = monotonic();
    store.counters.cycles.increment();
    let bulk = bulk.into_iter().map(|log| spawn(Class::Data, write_bulk(Rc::clone(store), log))).collect();
    let mut buffer = None;
    let mut place = None;
    let mut pen = None;
    let mut sequence = 0;
    if !frame.is_empty() {
        let (found, right) = place_for(store, frame.padded(), number).await?;
        pen = Some(right);
        sequence = found.header.sequence;
        note_dirty(store, &touched);
        let (bytes, len) = frame.seal(found.header);
        let began = monotonic();
        let at_once = !Planted::FrameUnflushed.is_there() && store.config.disk.writes_durably(len);
        let (result, back) = if at_once {
            found.file.file.write_durably(bytes, 0..len, found.position).await
        } else {
            found.file.file.write_at(bytes, 0..len, found.position).await
        };
        result.map_err(StorageError::io(&found.file.path, "write"))?;
        store.counters.journal_write.observe(began.elapsed());
        store.counters.journal_bytes.add(len as u64);
        buffer = Some(back);
        if !at_once {
            place = Some(found);
        }
    } else {
        drop(frame);
    }
    finish(store, Finishing { number, sealed, appends, touched, bulk, buffer, place, pen, sequence, marked }).await
}

/// What is left of a cycle once its frame is written.
struct Finishing {
    number: u64,
    /// When, and with how many appends.
    sealed: Instant,
    appends: u32,
    touched: Vec<Touched>,
    bulk: Vec<Task<Result<Option<Rc<LogCore>>, StorageError>>>,
    buffer: Option<AlignedBuffer>,
    place: Option<Place>,
    pen: Option<Permit>,
    /// The file that has the frame, and the logs with a mark in it.
    sequence: u64,
    marked: Vec<Rc<LogCore>>,
}

/// Second half of a cycle: waits for what went past the journal, flushes, tells everybody.
async fn finish(store: &Rc<Shared>, cycle: Finishing) -> Result<(), StorageError> {
    let Finishing { number, sealed, appends, touched, bulk, buffer, place, mut pen, sequence, marked } = cycle;
    if bulk.is_empty() {
        store.journal.borrow_mut().written = number;
        store.progress.notify();
    }
    if let Some(place) = place.as_ref().filter(|_| !Planted::FrameUnflushed.is_there()) {
        let began = monotonic();
        place.file.file.sync_data().await.map_err(StorageError::io(&place.file.path, "flush"))?;
        store.counters.journal_flush.observe(began.elapsed());
    }
    // Not before they are durable: the file that holds the marks before these may be used again from now on.
    note_marks(store, sequence, &marked);
    for task in bulk {
        if let Some(log) = task.await? {
            overflow::settle(store, &log, number, &mut pen).await?;
        }
    }
    drop(pen);
    for entry in &touched {
        entry.log.became_durable(entry.end);
    }
    let mut journal = store.journal.borrow_mut();
    journal.written = number;
    journal.durable = number;
    journal.give_back(buffer, touched);
    let present = journal.appends;
    let now = monotonic();
    journal.company.answered(appends, present, sealed, now);
    store.flushed.set(Some(now));
    drop(journal);
    store.progress.notify();
    Ok(())
}

/// Writes out what a log brought past the journal; gives the log back when the disk has no space for it.
async fn write_bulk(store: Rc<Shared>, log: Rc<LogCore>) -> Result<Option<Rc<LogCore>>, StorageError> {
    match write_out(&log, Goal::Durable).await {
        Err(StorageError::DiskFull) => {
            store.disk_full.set(true);
            store.chores.notify();
            Ok(Some(log))
        }
        other => other.map(|()| None),
    }
}

/// Finds the frame's place, waiting until a journal file is free; nobody else writes frames while the permit is held.
async fn place_for(store: &Rc<Shared>, padded: u64, cycle: u64) -> Result<(Place, Permit), StorageError> {
    loop {
        let pen = store.pen.acquire(1).await;
        // A frame behind one that a failed flush lost would look like damage.
        store.failed()?;
        let recycled = store.recycled.wait();
        let (before, place) = {
            let mut files = store.files.borrow_mut();
            (files.sequence(), files.place(padded, cycle, Reserve::Kept))
        };
        if store.files.borrow().sequence() != before || place.is_none() {
            store.chores.notify();
        }
        match place {
            Some(place) => return Ok((place, pen)),
            None => {
                drop(pen);
                store.failed()?;
                // With a full disk nothing is recycled, and a stop does not wait for space.
                if store.stopping.get() && store.disk_full.get() {
                    return Err(StorageError::DiskFull);
                }
                let _ = timeout(store.config.retry_after, recycled).await;
            }
        }
    }
}

/// Writes the marks of `logs` in a frame of its own, durably, so that older files that hold them may be used again.
pub(crate) async fn carry_forward(store: &Rc<Shared>, logs: &[Rc<LogCore>]) -> Result<(), StorageError> {
    for logs in logs.chunks(MARKS_PER_FRAME) {
        // Marks are taken with the pen in hand: one that is older than what another frame says must not follow it.
        let _pen = store.pen.acquire(1).await;
        // A frame behind one that a failed flush lost would look like damage.
        store.failed()?;
        let bytes = FRAME_HEADER_BYTES + logs.len() * (ENTRY_HEADER_BYTES + MARK_BYTES);
        let mut frame = Frame::new(AlignedBuffer::new(bytes));
        for log in logs {
            let mark = log.state.borrow().mark();
            frame.push(mark_entry(log, &mark), &mark.to_bytes(), &[]);
        }
        // The file in reserve is for this: without it nothing could ever be recycled.
        let Some(place) = store.files.borrow_mut().place(frame.padded(), 0, Reserve::Used) else { return Ok(()) };
        let (sealed, len) = frame.seal(place.header);
        let JournalFile { file, path, .. } = &*place.file;
        if store.config.disk.writes_durably(len) {
            file.write_durably(sealed, 0..len, place.position).await.0.map_err(StorageError::io(path, "write"))?;
        } else {
            file.write_at(sealed, 0..len, place.position).await.0.map_err(StorageError::io(path, "write"))?;
            file.sync_data().await.map_err(StorageError::io(path, "flush"))?;
        }
        store.counters.journal_bytes.add(len as u64);
        note_marks(store, place.header.sequence, logs);
    }
    Ok(())
}

/// Remembers that the file that takes frames holds what the segments of these logs lack.
fn note_dirty(store: &Rc<Shared>, touched: &[Touched]) {
    let mut files = store.files.borrow_mut();
    let sequence = files.sequence();
    for entry in touched.iter().filter(|entry| entry.journaled) {
        let mut state = entry.log.state.borrow_mut();
        if state.dirty_since.is_none() && state.synced_end < entry.end {
            state.dirty_since = Some(sequence);
            drop(state);
            files.add_dirty(sequence, &entry.log);
        }
    }
}

/// Remembers that the file `sequence` holds the newest durable marks of these logs.
fn note_marks(store: &Rc<Shared>, sequence: u64, marked: &[Rc<LogCore>]) {
    let mut files = store.files.borrow_mut();
    for log in marked {
        log.state.borrow_mut().mark_in = sequence;
        files.add_marked(sequence, log);
    }
}

impl LogCore {
    /// Everything before `end` is durable.
    pub(crate) fn became_durable(&self, end: ottla_units::Offset) {
        let mut state = self.state.borrow_mut();
        if end <= state.durable_end {
            return;
        }
        state.durable_end = end;
        drop(state);
        if let Some(observer) = self.observer() {
            observer.durable(end);
        }
    }
}
