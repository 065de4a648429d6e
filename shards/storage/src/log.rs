//! One partition's log: what is known of it, and appending.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::{Rc, Weak};

use ottla_batch::{Batch, Stamp, stamped_header};
use ottla_reactor::{Signal, prefetch, wall_clock};
use ottla_units::{LeaderEpoch, Offset, Timestamp, TopicPartition};

use crate::epochs::Epochs;
use crate::journal::{EntryHeader, EntryKind, Mark, Way};
use crate::layout::partition_folder;
use crate::read::Readers;
use crate::recover::LogImage;
use crate::segment::{Growing, IndexEntry, Segment};
use crate::store::Shared;
use crate::tail::{Tail, TailBatch};
use crate::write_out::Written;
use crate::{LogSettings, StorageError, Ticket};

/// Positions in a segment are 32 bits wide in its index.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// Which log, and of which topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSpec {
    /// The partition.
    pub key: TopicPartition,
    /// The topic's name, which names the folder.
    pub topic: String,
}

impl LogSpec {
    /// The name of its folder.
    pub fn folder(&self) -> String {
        partition_folder(&self.topic, self.key.partition)
    }
}

/// What a log tells the partition on top of it. Kept weakly: the partition owns the log, not the other way round.
pub trait LogObserver {
    /// Everything before `end` is on stable storage. Called after each flush that covers some of the log.
    fn durable(&self, end: Offset);

    /// The producers' state after everything appended so far, as the bytes of Kafka's `.snapshot` file. Called within
    /// [`Log::append`] when it rolls, before the new batch is counted in, and at a clean stop: hold no borrow across those.
    /// An empty state should be given too: it spares the next start reading the log again.
    fn snapshot(&self) -> Option<Vec<u8>>;
}

/// A partition's log. Clones are the same log.
///
/// *Lives on:* the shard that owns the partition. *Talks by:* calls; its store's tasks write behind it.
#[derive(Clone)]
pub struct Log(pub(crate) Rc<LogCore>);

/// The log itself, shared by its handles and the store's tasks.
pub(crate) struct LogCore {
    pub(crate) key: TopicPartition,
    pub(crate) folder: Box<str>,
    pub(crate) store: Rc<Shared>,
    pub(crate) settings: Cell<LogSettings>,
    pub(crate) state: RefCell<State>,
    pub(crate) readers: RefCell<Readers>,
    /// Segments whose indexes were made anew in this life.
    pub(crate) reindexed: RefCell<HashSet<Offset>>,
    observer: RefCell<Option<Weak<dyn LogObserver>>>,
    /// Whether its segments are being written now; one task at a time does that.
    pub(crate) writing: Cell<bool>,
    /// Given when that task is done.
    pub(crate) quiet: Signal,
}

impl std::fmt::Debug for LogCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogCore({})", self.folder)
    }
}

/// What changes about a log. Never borrowed across an await.
pub(crate) struct State {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) durable_end: Offset,
    /// All segments, the active one last.
    pub(crate) segments: Vec<Segment>,
    /// The last of `segments`, as its files grow.
    pub(crate) active: Growing,
    /// Segments before it whose files are not finished.
    pub(crate) rolled: VecDeque<Growing>,
    pub(crate) tail: Tail,
    /// Up to where the segments' files have everything, durable or not.
    pub(crate) written: Written,
    /// The log place behind the last batch that went past the journal.
    pub(crate) bulk_until: u64,
    /// The log place, and the offset there, up to which the segments' files are durable.
    pub(crate) synced: u64,
    pub(crate) synced_end: Offset,
    /// The latest time up to there, in the segment with this base.
    pub(crate) synced_latest: (Offset, crate::Latest),
    /// The cycle that it last brought something into, how much, and which way.
    cycle: u64,
    cycle_bytes: usize,
    cycle_bulk: bool,
    cycle_journaled: bool,
    /// The journal file with the oldest entry that the segments lack.
    pub(crate) dirty_since: Option<u64>,
    /// The journal file with its newest mark; 0 when the checkpoint has it.
    pub(crate) mark_in: u64,
    /// Whether it waits to be written out, and whether the journal needs it flushed.
    pub(crate) queued: bool,
    pub(crate) pressed: bool,
    pub(crate) epochs: Epochs,
    pub(crate) epochs_stale: bool,
    /// Whether no file tells of others than the first of these: none when the log was opened, and none gone since.
    pub(crate) epochs_new: bool,
    /// Producers' states for which files are to be written.
    pub(crate) snapshots: Vec<(Offset, Vec<u8>)>,
    /// The newest producers' state that was on the disk when the log was opened, or was written since.
    pub(crate) snapshot: Option<(Offset, Vec<u8>)>,
    /// The offset of the newest of their files that belongs to no segment's beginning: the next one replaces it.
    pub(crate) loose_snapshot: Option<Offset>,
    /// Bytes written out since the newest of their files.
    pub(crate) since_snapshot: u64,
    pub(crate) has_folder: bool,
    /// Nothing is read or written any more.
    pub(crate) deleted: bool,
    /// Deleted by somebody else: what was found, and what is to be there at the next start.
    pub(crate) lost: Option<(StorageError, Mark)>,
}

impl State {
    pub(crate) fn new(image: LogImage, chunk_bytes_max: usize) -> State {
        let position = image.segments.last().map_or(0, |active| active.bytes);
        let mut active = image.active;
        active.at = 0;
        let mut segments = image.segments;
        if segments.is_empty() {
            segments = vec![Segment::new(image.end, wall_clock())];
            active.base = image.end;
        }
        let covered = image.snapshot.as_ref().map(|(offset, _)| *offset);
        let active_base = active.base;
        let bases: Vec<Offset> = segments.iter().map(|segment| segment.base).collect();
        let segments_begin_at = |offset: Offset| bases.binary_search(&offset).is_ok();
        let synced_latest = segments.last().map_or((image.end, crate::Latest::NONE), |last| (last.base, last.latest));
        State {
            start: image.start,
            end: image.end,
            durable_end: image.end,
            segments,
            active,
            rolled: VecDeque::new(),
            tail: Tail::new(position, chunk_bytes_max),
            written: Written { place: position, end: image.end, latest: synced_latest.1, sequence: 0 },
            bulk_until: 0,
            synced: position,
            synced_end: image.end,
            synced_latest,
            cycle: 0,
            cycle_bytes: 0,
            cycle_bulk: false,
            cycle_journaled: false,
            dirty_since: None,
            mark_in: 0,
            queued: false,
            pressed: false,
            epochs: image.epochs,
            epochs_stale: image.epochs_stale,
            epochs_new: image.epochs_new,
            snapshots: Vec::new(),
            loose_snapshot: covered.filter(|covered| !segments_begin_at(*covered)),
            since_snapshot: match covered {
                Some(covered) if covered == image.end => 0,
                Some(covered) if covered < active_base => u64::MAX / 2,
                None if bases.len() > 1 => u64::MAX / 2,
                // At most.
                _ => position,
            },
            snapshot: image.snapshot,
            has_folder: image.has_folder,
            deleted: false,
            lost: None,
        }
    }

    /// The active segment.
    pub(crate) fn last_segment(&self) -> Segment {
        match self.segments.last() {
            Some(segment) => *segment,
            None => Segment::new(self.end, Timestamp::NONE),
        }
    }

    /// Why the log can be used no more, if so.
    pub(crate) fn out_of_use(&self) -> Option<StorageError> {
        let why = || self.lost.as_ref().map_or(StorageError::Deleted, |(why, _)| why.clone());
        self.deleted.then(why)
    }

    /// What is known to be durable.
    pub(crate) fn mark(&self) -> Mark {
        if let Some((_, mark)) = self.lost {
            return mark;
        }
        let growing = self.rolled.front().unwrap_or(&self.active);
        let (segment, latest) = self.synced_latest;
        Mark {
            start: self.start,
            segment: growing.base,
            position: self.synced.saturating_sub(growing.at),
            end: self.synced_end,
            index_entries: growing.index.stored,
            time_entries: growing.index.stored_times,
            // Later batches may be gone after a crash.
            latest: if segment == growing.base { latest } else { crate::Latest::NONE },
        }
    }

    /// Bytes that the segments' files lack.
    pub(crate) fn unwritten(&self) -> u64 {
        self.tail.end() - self.written.place
    }

    /// Bytes that they lack, or may lose in a power cut.
    pub(crate) fn unflushed(&self) -> u64 {
        self.tail.end() - self.synced
    }
}

/// Parts of what [`Log::append`] looks at: see [`Log::prefetch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prefetch {
    /// The log itself. Nothing of it is looked at.
    Log,
    /// The ends of its lists, where the log says.
    Ends,
    /// The memory that so many bytes of records go to, where those say.
    Room(usize),
}

/// What an append needs to know of a batch.
struct Arrival {
    base: Offset,
    last: Offset,
    epoch: LeaderEpoch,
    max_timestamp: Timestamp,
    bytes: usize,
}

impl Log {
    /// Which partition's log it is.
    pub fn key(&self) -> TopicPartition {
        self.0.key
    }

    /// Sets who is told of durable offsets and asked for the producers' state.
    pub fn observe(&self, observer: Weak<dyn LogObserver>) {
        *self.0.observer.borrow_mut() = Some(observer);
    }

    /// Whether somebody else removed its files.
    pub fn is_lost(&self) -> bool {
        self.0.state.borrow().lost.is_some()
    }

    /// Appends one batch whose checks are done: once into the tail, once into the journal's frame. Nothing is durable when
    /// this returns; the ticket says what to wait for.
    ///
    /// # Errors
    /// [`StorageError::Busy`]: wait for [`crate::Store::room`] and append again. [`StorageError::DiskFull`],
    /// [`StorageError::Failed`], [`StorageError::Deleted`], [`StorageError::Removed`], [`StorageError::Stopped`],
    /// [`StorageError::NotContiguous`],
    /// [`StorageError::TooLarge`]. After an error nothing of the batch is in the log.
    pub fn append(&self, batch: &Batch<'_>, stamp: &Stamp) -> Result<Ticket, StorageError> {
        let log = &self.0;
        log.store.accepts()?;
        let arrival = Arrival::new(batch, stamp);
        let way = log.admit(&arrival)?;
        if log.must_roll(&arrival) {
            log.roll();
        }
        let header = stamped_header(batch, stamp);
        let mut journal = log.store.journal.borrow_mut();
        if way == Way::Frame {
            let entry = EntryHeader {
                kind: EntryKind::Append,
                key: log.key,
                length: arrival.bytes as u32,
                epoch: arrival.epoch,
                offset: arrival.base,
            };
            journal.push_batch(entry, &header, batch.payload());
        }
        let mut state = log.state.borrow_mut();
        log.touch(&mut journal, &mut state, way, arrival.bytes);
        let ticket = Ticket(journal.cycle);
        drop(journal);
        let before = (state.tail.memory(), state.tail.chunks());
        state.take_in(&arrival, &header, batch.payload(), log.settings.get().index_interval_bytes);
        let grown = (state.tail.memory() - before.0, state.tail.chunks() - before.1);
        let write_out = way == Way::Frame && !state.queued && state.unwritten() >= log.store.config.write_out_bytes;
        state.queued |= write_out;
        drop(state);
        log.store.appended(log, arrival.bytes, grown, write_out);
        Ok(ticket)
    }

    /// Brings what an append will look at into this core's caches, a part of it: each part lies where the one before says, so
    /// that whoever appends to many logs asks for the parts of those that come next in turn, meanwhile.
    #[inline]
    pub fn prefetch(&self, part: Prefetch) {
        let state = || self.0.state.borrow();
        match part {
            Prefetch::Log => prefetch(Some(&*self.0)),
            Prefetch::Ends => state().prefetch_ends(),
            Prefetch::Room(bytes) => state().tail.prefetch_room(bytes),
        }
    }

    /// The first offset that may be read.
    pub fn start(&self) -> Offset {
        self.0.state.borrow().start
    }

    /// The offset that the next record gets.
    pub fn end(&self) -> Offset {
        self.0.end()
    }

    /// Everything before this offset is on stable storage.
    pub fn durable_end(&self) -> Offset {
        self.0.state.borrow().durable_end
    }

    /// The leaderships that wrote the log.
    pub fn epochs(&self) -> Epochs {
        self.0.state.borrow().epochs.clone()
    }

    /// The newest leadership that wrote something.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.0.state.borrow().epochs.latest()
    }

    /// The newest leadership not above `epoch`, and where it ends (OffsetForLeaderEpoch); −1 and −1 when unknown.
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let state = self.0.state.borrow();
        state.epochs.end_of(epoch, state.end)
    }

    /// Bytes of all batches in the log.
    pub fn size_bytes(&self) -> u64 {
        self.0.state.borrow().segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The log's segments, oldest first; the last one is being appended to.
    pub fn segments(&self) -> Vec<Segment> {
        self.0.state.borrow().segments.clone()
    }

    /// The settings in force.
    pub fn settings(&self) -> LogSettings {
        self.0.settings.get()
    }

    /// Changes the settings; the next append goes by them.
    pub fn set_settings(&self, settings: LogSettings) {
        self.0.settings.set(settings);
    }

    /// The producers' state that was on the disk when the log was opened: it covers everything below the offset.
    pub fn snapshot(&self) -> Option<(Offset, Vec<u8>)> {
        self.0.state.borrow().snapshot.clone()
    }
}

impl Arrival {
    fn new(batch: &Batch<'_>, stamp: &Stamp) -> Arrival {
        Arrival {
            base: stamp.base_offset,
            last: stamp.base_offset.plus(i64::from(batch.last_offset_delta())),
            epoch: stamp.leader_epoch,
            max_timestamp: stamp.stored_max_timestamp(batch),
            bytes: batch.total_len(),
        }
    }
}

impl LogCore {
    pub(crate) fn new(store: &Rc<Shared>, spec: &LogSpec, image: LogImage, settings: LogSettings) -> LogCore {
        LogCore {
            key: spec.key,
            folder: spec.folder().into(),
            store: Rc::clone(store),
            settings: Cell::new(settings),
            state: RefCell::new(State::new(image, store.config.disk.write_bytes)),
            readers: RefCell::default(),
            reindexed: RefCell::default(),
            observer: RefCell::new(None),
            writing: Cell::new(false),
            quiet: Signal::new(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.store.layout.partition(&self.folder)
    }

    pub(crate) fn end(&self) -> Offset {
        self.state.borrow().end
    }

    /// Its end, and whether the frame holds some of what it brought into the last cycle that it brought something into.
    pub(crate) fn brought(&self) -> (Offset, bool) {
        let state = self.state.borrow();
        (state.end, state.cycle_journaled)
    }

    pub(crate) fn dirty_since(&self) -> Option<u64> {
        let state = self.state.borrow();
        if state.deleted { None } else { state.dirty_since }
    }

    pub(crate) fn mark_in(&self) -> u64 {
        let state = self.state.borrow();
        // Of a lost log the next start must know that it was there.
        if state.deleted && state.lost.is_none() { 0 } else { state.mark_in }
    }

    pub(crate) fn observer(&self) -> Option<Rc<dyn LogObserver>> {
        self.observer.borrow().as_ref().and_then(Weak::upgrade)
    }

    /// Checks that the batch fits log, frame and memory, and says which way it goes.
    fn admit(&self, arrival: &Arrival) -> Result<Way, StorageError> {
        let state = self.state.borrow();
        if let Some(why) = state.out_of_use() {
            return Err(why);
        }
        if arrival.base != state.end {
            return Err(StorageError::NotContiguous { expected: state.end, found: arrival.base });
        }
        if arrival.bytes as u64 > SEGMENT_BYTES_MAX {
            return Err(StorageError::TooLarge { bytes: arrival.bytes });
        }
        let store = &self.store;
        if store.tail_memory.get() > 2 * store.config.cache_bytes {
            return Err(StorageError::Busy);
        }
        let mut journal = store.journal.borrow_mut();
        let same = state.cycle == journal.cycle;
        let brought = if same { state.cycle_bytes } else { 0 };
        if (same && state.cycle_bulk) || brought + arrival.bytes > store.config.bulk_bytes {
            if journal.bulk_bytes > 0 && journal.bulk_bytes + arrival.bytes > store.config.bulk_bytes_max {
                return Err(StorageError::Busy);
            }
            journal.make_room(0)?;
            return Ok(Way::Bulk);
        }
        journal.make_room(arrival.bytes)?;
        Ok(Way::Frame)
    }

    /// Counts what a batch brings into the cycle.
    fn touch(self: &Rc<LogCore>, journal: &mut crate::journal::Journal, state: &mut State, way: Way, bytes: usize) {
        if state.cycle != journal.cycle {
            journal.wanted = true;
            state.cycle = journal.cycle;
            state.cycle_bytes = 0;
            state.cycle_bulk = false;
            state.cycle_journaled = false;
            journal.touched.push(Rc::clone(self));
        }
        state.cycle_bytes += bytes;
        journal.appends += 1;
        if self.store.gathering.get() && journal.company.is_complete(journal.appends, journal.frame.len()) {
            self.store.work.notify();
        }
        match way {
            Way::Frame => state.cycle_journaled = true,
            Way::Bulk => {
                journal.bulk_bytes += bytes;
                state.bulk_until = state.tail.end() + bytes as u64;
                self.store.counters.bulk_bytes.add(bytes as u64);
                if !state.cycle_bulk {
                    state.cycle_bulk = true;
                    journal.bulk.push(Rc::clone(self));
                }
            }
        }
    }

    /// Whether the batch belongs into a new segment (`LogSegment.shouldRoll`).
    fn must_roll(&self, arrival: &Arrival) -> bool {
        let settings = self.settings.get();
        let state = self.state.borrow();
        let active = state.last_segment();
        if active.bytes == 0 {
            return false;
        }
        let index_entries_max = settings.segment_index_bytes / crate::TIME_ENTRY_BYTES as u32;
        let waited = if active.first_timestamp >= Timestamp::new(0) {
            arrival.max_timestamp.since(active.first_timestamp)
        } else {
            wall_clock().since(active.created)
        };
        active.bytes + arrival.bytes as u64 > settings.segment_bytes.min(SEGMENT_BYTES_MAX)
            || waited > settings.segment_ms
            || state.active.index.entries() + 1 >= index_entries_max.max(2)
            || arrival.last.since(active.base) > i64::from(i32::MAX)
    }

    /// Begins a new segment at the log's end. Room for the entry was made by [`LogCore::admit`].
    fn roll(&self) {
        let snapshot = self.observer().and_then(|observer| observer.snapshot());
        let mut state = self.state.borrow_mut();
        let (end, epoch) = (state.end, state.epochs.latest().unwrap_or(LeaderEpoch::NONE));
        if let Some(bytes) = snapshot {
            state.snapshots.push((end, bytes));
        }
        state.begin_segment();
        let entry = EntryHeader { kind: EntryKind::Roll, key: self.key, length: 0, epoch, offset: end };
        self.store.journal.borrow_mut().frame.push(entry, &[], &[]);
    }

    /// Takes in a batch that is stored already in a journal: recovery.
    pub(crate) fn restore(self: &Rc<LogCore>, batch: &Batch<'_>) {
        let arrival = Arrival::new(batch, &Stamp::at(batch.base_offset(), batch.leader_epoch()));
        let mut state = self.state.borrow_mut();
        let (header, payload) = (batch.header(), batch.payload());
        state.take_in(&arrival, header, payload, self.settings.get().index_interval_bytes);
    }

    /// Begins a segment at `base`, at or behind the log's end; what lies between is left out.
    pub(crate) fn restore_from(&self, base: Offset) {
        let mut state = self.state.borrow_mut();
        state.end = base;
        if state.last_segment().bytes > 0 {
            return state.begin_segment();
        }
        let fresh = Growing::new(base, state.tail.segment_at());
        state.active = fresh;
        if let Some(last) = state.segments.last_mut() {
            *last = Segment::new(base, wall_clock());
        }
    }

    /// Begins a new segment as a journal says: recovery.
    pub(crate) fn restore_roll(&self) {
        let mut state = self.state.borrow_mut();
        if state.last_segment().bytes > 0 {
            state.begin_segment();
        }
    }
}

impl State {
    /// Makes the active segment a rolled one and begins another.
    fn begin_segment(&mut self) {
        self.tail.roll();
        let fresh = Growing::new(self.end, self.tail.segment_at());
        self.rolled.push_back(std::mem::replace(&mut self.active, fresh));
        self.segments.push(Segment::new(self.end, wall_clock()));
    }

    /// See [`Prefetch::Ends`].
    #[inline]
    fn prefetch_ends(&self) {
        self.tail.prefetch_ends();
        self.active.index.prefetch_ends();
        prefetch(self.segments.last());
        prefetch(self.epochs.entries().last());
    }

    /// Adds a batch to tail, index and segment.
    fn take_in(&mut self, arrival: &Arrival, header: &[u8], payload: &[u8], interval: u32) {
        let position = self.tail.position();
        let batch = TailBatch { base_offset: arrival.base, at: self.tail.end() };
        self.tail.append(batch, header, payload);
        self.end = arrival.last.plus(1);
        if self.epochs.note(arrival.epoch, arrival.base) {
            self.epochs_stale = true;
        }
        self.active.untidy = true;
        let Some(segment) = self.segments.last_mut() else { return };
        segment.note(arrival.last, arrival.max_timestamp, arrival.bytes);
        let offset = arrival.last.since(segment.base) as u32;
        let entry = IndexEntry { offset, position: position as u32 };
        self.active.index.note(entry, arrival.bytes, interval, segment.base, segment.latest);
    }
}
