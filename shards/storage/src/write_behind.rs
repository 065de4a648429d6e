//! What a store does behind the data path: writing logs out, giving memory back, recycling the journal, watching the disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla_reactor::{Class, Task, file, spawn, timeout};

use crate::StorageError;
use crate::flush::carry_forward;
use crate::join::join_all;
use crate::journal::{FILES_MIN, JournalFile, remove_beyond};
use crate::log::LogCore;
use crate::store::{Shared, Ticket};
use crate::write_out::{Goal, write_out};

/// How often it is looked whether the journal is used in earnest, until its files are filled.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// With fewer free journal files than this there is no time to lose.
const FREE_FILES_CALM: usize = 2;

/// Write-outs under way. Dropping it cancels them, as a crash would.
#[derive(Default)]
struct WriteOuts {
    tasks: BTreeMap<u64, Task<()>>,
    next: u64,
    finished: Rc<RefCell<Vec<u64>>>,
    /// Whether the last write-out found the disk full; nothing is tried again until the next look at it.
    stalled: Rc<std::cell::Cell<bool>>,
}

/// The background task of a store.
pub(crate) async fn run(store: Rc<Shared>) {
    let mut write_outs = WriteOuts::default();
    look_at_disk(&store);
    loop {
        let called = store.chores.wait();
        let removed = store.journal_removed.borrow().clone();
        if let Some(removed) = removed {
            give_up(&store, &removed).await;
            return;
        }
        give_back_memory(&store);
        press(&store);
        write_outs.launch(&store);
        if let Err(error) = recycle(&store).await {
            store.fail(&error);
            return;
        }
        if store.disk_full.get() || write_outs.stalled.get() {
            // Nothing tells us when space returns.
            if timeout(store.config.retry_after, called).await.is_none() {
                write_outs.stalled.set(false);
                look_at_disk(&store);
            }
        } else {
            called.await;
        }
    }
}

/// Refuses appends while less than the reserve is free besides what was accepted already.
pub(crate) fn look_at_disk(store: &Shared) {
    store.unchecked.set(0);
    look_at_journal(store);
    let Ok(free) = file::free_space(&store.layout.data) else { return };
    store.free.set(free);
    let full = store.journal_removed.borrow().is_some() || free < store.config.reserve_bytes + store.unwritten.get();
    if full != store.disk_full.replace(full) {
        if full {
            tracing::warn!(free, reserve = store.config.reserve_bytes, "the disk is full; appends are refused");
        } else {
            tracing::info!(free, "the disk has space again; appends are taken");
        }
        store.room.notify();
    }
}

/// Notices that the journal's file was removed underneath: then nothing more may be acknowledged from it.
fn look_at_journal(store: &Shared) {
    let Some(file) = store.files.borrow().active() else { return };
    if file.file.is_removed().unwrap_or(false) && store.journal_removed.borrow().is_none() {
        *store.journal_removed.borrow_mut() = Some(StorageError::Removed { path: file.path.clone() });
        store.chores.notify();
    }
}

/// Puts what is only in a removed journal into the segments, and ends.
async fn give_up(store: &Rc<Shared>, removed: &StorageError) {
    tracing::error!(%removed, "appends are refused; what was acknowledged is written to its segments before the process ends");
    store.disk_full.set(true);
    store.room.notify();
    let last = Ticket(store.journal.borrow().newest());
    // What fails now is told by the error that follows in any case.
    let _ = store.reached(last, |journal| journal.durable).await;
    let logs: Vec<Rc<LogCore>> = store.logs.borrow().values().map(Rc::clone).collect();
    for some in logs.chunks(crate::stop::LOGS_AT_ONCE) {
        if let Err(error) = join_all(some.iter().map(|log| write_out(log, Goal::Durable)).collect()).await {
            tracing::error!(%error, "a log could not be written out");
        }
    }
    store.fail(removed);
}

/// Drops the oldest chunks that are written out while tails take more than their share; the oldest that are not are queued.
fn give_back_memory(store: &Rc<Shared>) {
    let mut blocked = Vec::new();
    let mut freed = 0;
    let mut order = store.chunks.borrow_mut();
    while store.tail_memory.get() - freed > store.config.cache_bytes && blocked.len() < store.config.disk.write_depth {
        let Some(log) = order.pop_front() else { break };
        let mut state = log.state.borrow_mut();
        let evictable = state.evictable();
        let gone = state.tail.evict(evictable);
        freed += gone;
        // What a deleted log has goes when its folder does.
        let waits = gone == 0 && state.tail.chunks() > 0 && !state.deleted;
        drop(state);
        if waits {
            store.enqueue(&log);
            blocked.push(log);
        }
    }
    for log in blocked.into_iter().rev() {
        order.push_front(log);
    }
    drop(order);
    store.release(freed);
}

/// When the journal is nearly used up, queues the logs that hold on to its oldest file. Not before: a flush costs the same for all
/// that came since the last one, be it little or much.
fn press(store: &Rc<Shared>) {
    let mut files = store.files.borrow_mut();
    let nearly = files.used() + FREE_FILES_CALM >= store.config.journal_files;
    if files.used() < 2 || !(nearly || files.free() < FREE_FILES_CALM) {
        return;
    }
    let logs = files.oldest_dirty(2 * store.config.disk.write_depth);
    drop(files);
    for log in logs {
        log.state.borrow_mut().pressed = true;
        store.enqueue(&log);
    }
}

impl Shared {
    /// Whether writing out falls behind, or the journal or the tails need room soon: then it takes the disk for itself.
    pub(crate) fn is_hurried(&self) -> bool {
        self.unwritten.get() >= self.config.hurry_bytes
            || self.tail_memory.get() > self.config.cache_bytes
            || self.files.borrow().free() < FREE_FILES_CALM
    }

    /// Queues a log to be written out.
    pub(crate) fn enqueue(&self, log: &Rc<LogCore>) {
        let mut state = log.state.borrow_mut();
        if !state.queued && !state.deleted {
            state.queued = true;
            drop(state);
            self.queue.borrow_mut().push_back(Rc::clone(log));
        }
    }
}

impl WriteOuts {
    /// Starts as many as may run at once.
    fn launch(&mut self, store: &Rc<Shared>) {
        for id in self.finished.borrow_mut().drain(..) {
            self.tasks.remove(&id);
        }
        while !self.stalled.get() {
            // One after the other while there is time: each is a handful of flushes that frames of the journal wait behind.
            let depth = if store.is_hurried() { store.config.disk.write_depth } else { 1 };
            if self.tasks.len() >= depth {
                break;
            }
            let Some(log) = store.queue.borrow_mut().pop_front() else { break };
            let (id, finished, stalled) = (self.next, Rc::clone(&self.finished), Rc::clone(&self.stalled));
            self.next += 1;
            let store = Rc::clone(store);
            let task = spawn(Class::Background, async move {
                one(&store, &log, &stalled).await;
                finished.borrow_mut().push(id);
                store.chores.notify();
            });
            self.tasks.insert(id, task);
        }
    }
}

/// Writes one log out. It stays queued meanwhile: what is appended while this runs waits until there is enough of it again,
/// because each write-out ends in a flush that costs the same for little as for much.
async fn one(store: &Rc<Shared>, log: &Rc<LogCore>, stalled: &std::cell::Cell<bool>) {
    let pressed = std::mem::take(&mut log.state.borrow_mut().pressed);
    let result = write_out(log, if pressed { Goal::Released } else { Goal::Written }).await;
    let again = {
        let mut state = log.state.borrow_mut();
        state.queued = false;
        state.pressed || state.unwritten() >= store.config.write_out_bytes
    };
    match result {
        Ok(()) if again => store.enqueue(log),
        Ok(()) => {}
        Err(StorageError::DiskFull) => {
            stalled.set(true);
            store.disk_full.set(true);
            store.enqueue(log);
        }
        Err(error) => store.fail(&error),
    }
}

/// Puts journal files back into use whose content the segments have. Marks that only they hold are carried forward first.
async fn recycle(store: &Rc<Shared>) -> Result<(), StorageError> {
    loop {
        let Some(marked) = store.files.borrow_mut().recyclable() else { return Ok(()) };
        if marked.is_empty() {
            let Some(file) = store.files.borrow_mut().take_oldest() else { return Ok(()) };
            prepare(store, file).await?;
            store.counters.recycled.increment();
            continue;
        }
        carry_forward(store, &marked).await?;
    }
}

/// Gives a file its place in line.
async fn prepare(store: &Rc<Shared>, file: Rc<JournalFile>) -> Result<(), StorageError> {
    // One at a time: files stand in line in the order of their sequences.
    let _turn = store.line.acquire(1).await;
    let header = file.header(store.files.borrow_mut().next_header());
    file.write_header(&header).await?;
    store.files.borrow_mut().offer(file, header);
    store.recycled.notify();
    Ok(())
}

/// Opens the files that a journal needs at least, side by side: each waits for the disk.
pub(crate) async fn open_first_files(store: &Rc<Shared>) -> Result<(), StorageError> {
    let folder = store.layout.core_journal(store.config.core);
    remove_beyond(&folder, store.config.journal_files).await?;
    let opening: Vec<_> = (0..FILES_MIN)
        .map(|slot| {
            let (store, folder) = (Rc::clone(store), folder.clone());
            let header = store.files.borrow_mut().next_header();
            spawn(Class::Data, async move {
                let file = JournalFile::open(&folder, slot, store.config.journal_file_bytes).await?;
                let header = file.header(header);
                file.write_header(&header).await?;
                Ok((Rc::new(file), header))
            })
        })
        .collect();
    for opened in opening {
        let (file, header) = opened.await?;
        store.files.borrow_mut().offer(file, header);
    }
    file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))
}

/// Opens the other files, and fills every file with zeros once the journal is really used.
pub(crate) async fn open_other_files(store: Rc<Shared>) {
    if let Err(error) = fill_up(&store).await {
        tracing::warn!(%error, "the journal is smaller than it should be");
        return;
    }
    loop {
        let recycled = store.recycled.wait();
        let blank = store.files.borrow_mut().take_blank();
        match blank {
            Some(file) => {
                let zeroed = file.zero().await;
                if let Err(error) = zeroed.and(prepare(&store, file).await) {
                    tracing::warn!(%error, "a journal file could not be filled with zeros");
                    return;
                }
            }
            None if store.files.borrow().all_zeroed(store.config.journal_files) => return,
            None => drop(timeout(LOOK_AGAIN_AFTER, recycled).await),
        }
    }
}

async fn fill_up(store: &Rc<Shared>) -> Result<(), StorageError> {
    let folder = store.layout.core_journal(store.config.core);
    let mut files = Vec::new();
    for slot in FILES_MIN..store.config.journal_files {
        files.push(JournalFile::open(&folder, slot, store.config.journal_file_bytes).await?);
    }
    // A file takes frames as soon as it stands in line: its name is durable before that.
    file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
    for file in files {
        prepare(store, Rc::new(file)).await?;
    }
    Ok(())
}
