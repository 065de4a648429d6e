//! One shard's store: its journal, its logs, and the tasks that write behind them.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use ottla_reactor::{Class, Semaphore, Signal, Task, file, spawn};
use ottla_units::TopicPartition;
use ottla_units::measure::{Counter, Latency};

use crate::flush;
use crate::journal::{Files, Journal, fitting};
use crate::layout::Layout;
use crate::log::{Log, LogCore, LogSpec};
use crate::open_files::OpenFiles;
use crate::recover::LogImage;
use crate::write_behind;
use crate::{LogSettings, StorageError, StoreConfig, stop};

/// Appended bytes after which the disk's free space is looked at, at most and at least; in between a quarter of the reserve.
const SPACE_CHECK_BYTES_MAX: u64 = 8 << 20;
const SPACE_CHECK_BYTES_MIN: u64 = 64 << 10;

/// The reserve is at most this part of the disk.
const RESERVE_SHARE: u64 = 16;

/// A flush cycle: what an append waits for. Later tickets are larger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub(crate) u64);

/// What a store has done since it started.
#[derive(Default, Debug)]
pub struct StoreCounters {
    /// Batches appended.
    pub appends: Counter,
    /// Bytes of batches appended.
    pub append_bytes: Counter,
    /// Bytes of batches that went past the journal.
    pub bulk_bytes: Counter,
    /// Flush cycles.
    pub cycles: Counter,
    /// Bytes written to the journal, padding included.
    pub journal_bytes: Counter,
    /// Journal files put back into use.
    pub recycled: Counter,
    /// Bytes written to segments.
    pub segment_bytes: Counter,
    /// Times a log was written out.
    pub write_outs: Counter,
    /// Times a segment was made durable.
    pub segment_flushes: Counter,
    /// Times that this was all that a log needed to let go of the journal.
    pub releases: Counter,
    /// How long writing a frame took.
    pub journal_write: Latency,
    /// How long flushing a frame took.
    pub journal_flush: Latency,
    /// Reads answered from memory, and from files.
    pub tail_reads: Counter,
    /// Reads answered from what an earlier read brought in beyond its own need.
    pub ahead_reads: Counter,
    /// Reads from files.
    pub cold_reads: Counter,
    /// Bytes read from files.
    pub cold_bytes: Counter,
}

/// How full a store is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StoreGauges {
    /// Bytes of memory in tails.
    pub tail_memory: u64,
    /// Bytes of frames in journal files that are not recycled yet.
    pub journal_used: u64,
    /// Descriptors of segments open.
    pub open_files: u64,
    /// Logs waiting to be written out.
    pub write_outs_queued: u64,
    /// Whether appends are refused for want of disk space.
    pub disk_full: bool,
}

/// A shard's store. Clones are the same store; when the last is dropped its tasks end, as in a crash: see [`Store::stop`].
///
/// *Lives on:* each shard. *Talks by:* calls, and its [`crate::LogObserver`]s.
#[derive(Clone)]
pub struct Store(Rc<Running>);

struct Running {
    shared: Rc<Shared>,
    tasks: RefCell<Vec<Task<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.borrow_mut().clear();
        self.shared.forget();
    }
}

/// What the store's tasks and logs share.
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) config: StoreConfig,
    pub(crate) journal: RefCell<Journal>,
    pub(crate) files: RefCell<Files>,
    pub(crate) open: OpenFiles,
    pub(crate) logs: RefCell<HashMap<TopicPartition, Rc<LogCore>>>,
    failure: RefCell<Option<Arc<str>>>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) disk_full: Cell<bool>,
    /// Whether somebody else removed the files of any log.
    pub(crate) has_lost: Cell<bool>,
    /// Somebody else removed a journal file: nothing is taken any more, and what is only there goes to the segments.
    pub(crate) journal_removed: RefCell<Option<StorageError>>,
    /// Given when the flusher sleeps and there is something to flush.
    pub(crate) work: Signal,
    pub(crate) flusher_idle: Cell<bool>,
    /// Whether the flusher waits for more to come into the cycle.
    pub(crate) gathering: Cell<bool>,
    /// Given when a cycle is written or durable.
    pub(crate) progress: Signal,
    /// Given when frame or memory have room again.
    pub(crate) room: Signal,
    /// Given when logs may have to be written out, or files recycled.
    pub(crate) chores: Signal,
    /// Given when a journal file may be used again.
    pub(crate) recycled: Signal,
    pub(crate) queue: RefCell<VecDeque<Rc<LogCore>>>,
    pub(crate) tail_memory: Cell<usize>,
    /// One entry for each chunk of a tail, oldest first.
    pub(crate) chunks: RefCell<VecDeque<Rc<LogCore>>>,
    pub(crate) unchecked: Cell<u64>,
    /// Bytes free on the disk when it was last looked at.
    pub(crate) free: Cell<u64>,
    /// Bytes appended that the segments lack.
    pub(crate) unwritten: Cell<u64>,
    pub(crate) cold: Semaphore,
    /// The right to have pieces of old records read.
    pub(crate) pieces: Semaphore,
    /// When the last cycle became durable.
    pub(crate) flushed: Cell<Option<Instant>>,
    /// The right to write frames.
    pub(crate) pen: Semaphore,
    /// The right to put a journal file in line.
    pub(crate) line: Semaphore,
    /// Logs with readers that hold memory ahead, in the order of reading.
    pub(crate) ahead: RefCell<VecDeque<Weak<LogCore>>>,
    pub(crate) counters: StoreCounters,
}

impl Store {
    /// Starts the store of one shard: its journal is ready when this returns.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::DiskFull`].
    pub async fn start(layout: &Layout, mut config: StoreConfig) -> Result<Store, StorageError> {
        let folder = layout.core_journal(config.core);
        file::create_dir_all(&folder).await.map_err(StorageError::io(&folder, "create"))?;
        file::sync_parent(&folder).await.map_err(StorageError::io(&folder, "flush the name of"))?;
        let journal_disk = file::space(&folder).map_err(StorageError::io(&folder, "look at"))?;
        (config.journal_files, config.journal_file_bytes) =
            fitting(config.journal_files, config.journal_file_bytes, journal_disk.free);
        let data_disk = file::space(&layout.data).map_err(StorageError::io(&layout.data, "look at"))?;
        config.reserve_bytes = config.reserve_bytes.min(data_disk.total / RESERVE_SHARE);
        config.frame_bytes_max = config.frame_bytes_max.min(config.journal_file_bytes as usize / 4);
        config.frame_bytes = config.frame_bytes.min(config.frame_bytes_max);
        config.bulk_bytes = config.bulk_bytes.min(config.frame_bytes / 2);
        let shared = Rc::new(Shared::new(layout, config));
        write_behind::open_first_files(&shared).await.map_err(|error| no_space(&folder, error))?;
        let tasks = vec![
            spawn(Class::Data, flush::run(Rc::clone(&shared))),
            spawn(Class::Background, write_behind::run(Rc::clone(&shared))),
            spawn(Class::Background, write_behind::open_other_files(Rc::clone(&shared))),
        ];
        Ok(Store(Rc::new(Running { shared, tasks: RefCell::new(tasks) })))
    }

    /// Opens a log with what recovery found of it, or an empty one. A log that is open already is given again.
    pub fn open_log(&self, spec: &LogSpec, image: Option<LogImage>, settings: LogSettings) -> Log {
        let shared = &self.0.shared;
        let mut logs = shared.logs.borrow_mut();
        let log = logs
            .entry(spec.key)
            .or_insert_with(|| Rc::new(LogCore::new(shared, spec, image.unwrap_or_default(), settings)));
        Log(Rc::clone(log))
    }

    /// The log of this partition, if it is open.
    pub fn log(&self, key: TopicPartition) -> Option<Log> {
        self.0.shared.logs.borrow().get(&key).map(|log| Log(Rc::clone(log)))
    }

    /// Deletes a log: at once for everybody who uses it, on the disk when this returns. A crash in between leaves a folder
    /// that the next recovery removes.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub async fn delete_log(&self, key: TopicPartition) -> Result<(), StorageError> {
        let log = self.0.shared.logs.borrow_mut().remove(&key);
        match log {
            Some(log) => crate::delete::delete(&log).await,
            None => Ok(()),
        }
    }

    /// Done when appends up to this ticket's are written: they survive the death of the process (acks=1).
    ///
    /// # Errors
    /// [`StorageError::Failed`].
    pub async fn written(&self, ticket: Ticket) -> Result<(), StorageError> {
        self.0.shared.reached(ticket, |journal| journal.written).await
    }

    /// Done when appends up to this ticket's are on stable storage (acks=all).
    ///
    /// # Errors
    /// [`StorageError::Failed`].
    pub async fn durable(&self, ticket: Ticket) -> Result<(), StorageError> {
        self.0.shared.reached(ticket, |journal| journal.durable).await
    }

    /// Whether [`Store::durable`] would be done at once.
    pub fn is_durable(&self, ticket: Ticket) -> bool {
        self.0.shared.journal.borrow().durable >= ticket.0
    }

    /// The ticket of the newest append; done as soon as everything appended so far is.
    pub fn latest_ticket(&self) -> Ticket {
        Ticket(self.0.shared.journal.borrow().newest())
    }

    /// Done when a batch of `bytes` may be appended again after [`StorageError::Busy`]. Others may take the room first.
    pub async fn room(&self, bytes: usize) {
        let shared = &self.0.shared;
        while !shared.has_room(bytes) && shared.accepts().is_ok() {
            shared.room.wait().await;
        }
    }

    /// Whether the files of any log were removed by somebody else: then [`Log::is_lost`] says which.
    pub fn has_lost(&self) -> bool {
        self.0.shared.has_lost.get()
    }

    /// What it has done.
    pub fn counters(&self) -> &StoreCounters {
        &self.0.shared.counters
    }

    /// How full it is.
    pub fn gauges(&self) -> StoreGauges {
        let shared = &self.0.shared;
        StoreGauges {
            tail_memory: shared.tail_memory.get() as u64,
            journal_used: shared.files.borrow().bytes_used(),
            open_files: shared.open.len() as u64,
            write_outs_queued: shared.queue.borrow().len() as u64,
            disk_full: shared.disk_full.get(),
        }
    }

    /// Whether a frame was written a moment ago, so that another is likely, for which nobody should have to wait long.
    pub fn journal_in_use(&self) -> bool {
        self.0.shared.journal_in_use()
    }

    /// Bytes of the journal and in how many files, as fitted to the disk.
    pub fn journal_size(&self) -> (usize, u64) {
        let config = &self.0.shared.config;
        (config.journal_files, config.journal_file_bytes)
    }

    /// Stops cleanly: flushes, writes every log out, cuts files to their exact length, writes the checkpoint. Appends are
    /// refused from now on.
    ///
    /// # Errors
    /// The first thing that failed. Then the next start recovers as after a crash.
    pub async fn stop(&self) -> Result<(), StorageError> {
        let result = stop::stop(&self.0.shared).await;
        self.0.tasks.borrow_mut().clear();
        result
    }
}

/// A journal that does not fit on its disk: a person must know which disk.
fn no_space(folder: &Path, error: StorageError) -> StorageError {
    match error {
        StorageError::DiskFull => StorageError::Io {
            path: folder.to_owned(),
            action: "reserve space for the journal in",
            source: Arc::new(std::io::ErrorKind::StorageFull.into()),
        },
        other => other,
    }
}

impl Shared {
    pub(crate) fn new(layout: &Layout, config: StoreConfig) -> Shared {
        Shared {
            layout: layout.clone(),
            journal: RefCell::new(Journal::new(&config)),
            files: RefCell::new(Files::new(&config)),
            open: OpenFiles::new(config.files_max),
            logs: RefCell::default(),
            failure: RefCell::default(),
            stopping: Cell::new(false),
            disk_full: Cell::new(false),
            has_lost: Cell::new(false),
            journal_removed: RefCell::default(),
            work: Signal::new(),
            flusher_idle: Cell::new(false),
            gathering: Cell::new(false),
            progress: Signal::new(),
            room: Signal::new(),
            chores: Signal::new(),
            recycled: Signal::new(),
            queue: RefCell::default(),
            tail_memory: Cell::new(0),
            chunks: RefCell::default(),
            unchecked: Cell::new(0),
            free: Cell::new(0),
            unwritten: Cell::new(0),
            cold: Semaphore::new(config.cold_bytes as u64),
            pieces: Shared::pieces(),
            flushed: Cell::default(),
            pen: Semaphore::new(1),
            line: Semaphore::new(1),
            ahead: RefCell::default(),
            counters: StoreCounters::default(),
            config,
        }
    }

    /// Breaks the circles between store and logs.
    pub(crate) fn forget(&self) {
        self.logs.borrow_mut().clear();
        self.queue.borrow_mut().clear();
        self.chunks.borrow_mut().clear();
        self.files.borrow_mut().clear();
        let mut journal = self.journal.borrow_mut();
        journal.touched.clear();
        journal.bulk.clear();
        journal.marked.clear();
        drop(journal);
        self.open.clear();
    }

    /// Whether appends may come at all.
    #[inline]
    pub(crate) fn accepts(&self) -> Result<(), StorageError> {
        if let Some(why) = &*self.failure.borrow() {
            return Err(StorageError::Failed { why: Arc::clone(why) });
        }
        if self.stopping.get() {
            return Err(StorageError::Stopped);
        }
        if self.disk_full.get() {
            return match &*self.journal_removed.borrow() {
                Some(removed) => Err(removed.clone()),
                None => Err(StorageError::DiskFull),
            };
        }
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> bool {
        if self.tail_memory.get() > 2 * self.config.cache_bytes {
            return false;
        }
        let mut journal = self.journal.borrow_mut();
        let framed = bytes.min(self.config.bulk_bytes);
        journal.make_room(framed).is_ok()
            && (journal.bulk_bytes == 0 || journal.bulk_bytes + bytes <= self.config.bulk_bytes_max)
    }

    /// What follows an append: `memory` bytes in so many chunks were added to the log's tail.
    #[inline]
    pub(crate) fn appended(&self, log: &Rc<LogCore>, bytes: usize, (memory, chunks): (usize, usize), write_out: bool) {
        self.counters.appends.increment();
        self.counters.append_bytes.add(bytes as u64);
        if self.flusher_idle.get() {
            self.work.notify();
        }
        self.unwritten.set(self.unwritten.get() + bytes as u64);
        let unchecked = self.unchecked.get() + bytes as u64;
        self.unchecked.set(unchecked);
        let mut chore = false;
        if unchecked >= (self.config.reserve_bytes / 4).clamp(SPACE_CHECK_BYTES_MIN, SPACE_CHECK_BYTES_MAX) {
            write_behind::look_at_disk(self);
            chore = self.disk_full.get();
        }
        if write_out {
            self.queue.borrow_mut().push_back(Rc::clone(log));
            chore = true;
        }
        if chunks > 0 {
            self.tail_memory.set(self.tail_memory.get() + memory);
            let mut order = self.chunks.borrow_mut();
            (0..chunks).for_each(|_| order.push_back(Rc::clone(log)));
            chore |= self.tail_memory.get() > self.config.cache_bytes;
        }
        if chore {
            self.chores.notify();
        }
    }

    /// So many bytes are in the segments now, or will never be.
    pub(crate) fn written_out(&self, bytes: u64) {
        self.unwritten.set(self.unwritten.get().saturating_sub(bytes));
    }

    /// Gives back memory of tails.
    pub(crate) fn release(&self, memory: usize) {
        if memory > 0 {
            // Recovery does not count what it restores.
            self.tail_memory.set(self.tail_memory.get().saturating_sub(memory));
            self.room.notify();
        }
    }

    /// Nothing can be acknowledged any more.
    pub(crate) fn fail(&self, error: &StorageError) {
        if self.failure.borrow().is_none() {
            tracing::error!(%error, "storage failed; nothing more is acknowledged");
            *self.failure.borrow_mut() = Some(error.to_string().into());
            (self.config.on_failure)(error);
        }
        self.progress.notify();
        self.room.notify();
        self.recycled.notify();
    }

    pub(crate) fn failed(&self) -> Result<(), StorageError> {
        match &*self.failure.borrow() {
            Some(why) => Err(StorageError::Failed { why: Arc::clone(why) }),
            None => Ok(()),
        }
    }

    pub(crate) async fn reached(&self, ticket: Ticket, progress: impl Fn(&Journal) -> u64) -> Result<(), StorageError> {
        loop {
            if progress(&self.journal.borrow()) >= ticket.0 {
                return Ok(());
            }
            self.failed()?;
            self.progress.wait().await;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
