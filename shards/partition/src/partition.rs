use std::cell::{Cell, Ref, RefCell};
use std::rc::{Rc, Weak};

use ottla_batch::{
    Batch, BatchError, Builder, Checked, Codec, ControlKind, Stamp, TimestampType, repack, validate_at_once,
};
use ottla_storage::{Log, LogObserver, StorageError, Store, Ticket};
use ottla_units::limits::UNPACKED_AT_ONCE_BYTES_MAX;
use ottla_units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use crate::waiting::{Visible, WatchList};
use crate::{AppendError, Arrival, DataWaiter, EndMarker, Isolation, Origin, ProducerTable, RetainedBatch, Rules};

/// What this replica is to the partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Appends for clients, and is read.
    Leader,
    /// Copies the leader's log.
    Follower,
}

/// When an append counts as done (`acks`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Nobody asks.
    None,
    /// It is written here.
    Leader,
    /// It is durable on every replica in sync.
    All,
}

impl Acks {
    /// From the field of a Produce; `None` for a number that means nothing.
    pub const fn from_number(number: i16) -> Option<Acks> {
        match number {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// What the request says that brings a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Produce {
    /// Who appends: [`Origin::Client`], or a coordinator with a batch that it built.
    pub origin: Origin,
    /// When it counts as done.
    pub acks: Acks,
    /// Whether the request's version may carry zstd (Produce v7 on).
    pub zstd_allowed: bool,
    /// Whether it names a transactional id.
    pub transactional: bool,
}

impl Produce {
    /// A client's, with everything allowed that a new client may.
    pub const CLIENT: Produce =
        Produce { origin: Origin::Client, acks: Acks::All, zstd_allowed: true, transactional: false };
    /// A coordinator's.
    pub const COORDINATOR: Produce = Produce { origin: Origin::Coordinator, transactional: true, ..Produce::CLIENT };
}

/// Where a batch lies now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// What the answer says as the append time: the time of a topic with LogAppendTime, or of the batch that this one repeats.
    pub log_append_time: Option<Timestamp>,
    /// The log's first offset.
    pub log_start: Offset,
    /// What to wait for before it is acknowledged, with [`Partition::store`]: `written` or `durable`.
    pub ticket: Ticket,
    /// Bytes that went into the log: 0 when the batch was there already.
    pub bytes: usize,
    /// Records in it.
    pub records: u32,
}

/// One replica of one partition.
///
/// *Lives on:* the shard that owns it. *Talks by:* calls on that shard; storage tells it what is durable.
pub struct Partition {
    store: Store,
    log: Log,
    role: Cell<Role>,
    leader_epoch: Cell<LeaderEpoch>,
    /// Replicas that there are, and that are in sync, this one counted.
    replicas: Cell<u32>,
    in_sync: Cell<u32>,
    /// Everything before it is durable on all replicas in sync, and visible.
    high_watermark: Cell<Offset>,
    producers: RefCell<ProducerTable>,
    waiting: Rc<WatchList>,
}

impl Partition {
    /// Takes over a log: reads its producers' state, from the snapshot and from what was appended after it. A snapshot that
    /// cannot be read is left aside and the whole log read instead.
    ///
    /// # Errors
    /// Those of reading the log.
    pub async fn open(
        store: Store,
        log: Log,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Rc<Partition>, StorageError> {
        let mut producers = rebuild(&log, now).await?;
        producers.high_watermark_moved(log.durable_end());
        let partition = Rc::new(Partition {
            role: Cell::new(Role::Leader),
            leader_epoch: Cell::new(leader_epoch),
            replicas: Cell::new(1),
            in_sync: Cell::new(1),
            high_watermark: Cell::new(log.durable_end()),
            producers: RefCell::new(producers),
            waiting: Rc::default(),
            store,
            log,
        });
        let observer: Rc<dyn LogObserver> = Rc::clone(&partition) as Rc<dyn LogObserver>;
        partition.log.observe(Rc::downgrade(&observer) as Weak<dyn LogObserver>);
        // What was flushed since the watermark was read above.
        partition.durable(partition.log.durable_end());
        Ok(partition)
    }

    /// Appends what a request brought as the records of this partition: validate → producer check → stamp → log → producer
    /// state, in one go. Nothing is changed on an error.
    ///
    /// # Errors
    /// The rule that was broken. [`StorageError::Busy`] means: wait for `store().room(…)`, append again.
    pub fn append(
        &self,
        records: &[u8],
        rules: &Rules,
        produce: &Produce,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_replicas(rules, produce)?;
        if produce.origin != Origin::Client {
            return self.place(&built(records)?, None, rules, produce, now);
        }
        let checked = validate_at_once(records, &rules.checks(produce.zstd_allowed), now)?;
        self.append_checked(checked, rules, produce, now)
    }

    /// As [`Partition::append`] for what a client sent, after its records were checked by [`Rules::checks`].
    ///
    /// # Errors
    /// As there.
    pub fn append_checked(
        &self,
        checked: Checked<'_>,
        rules: &Rules,
        produce: &Produce,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_replicas(rules, produce)?;
        let Checked { batch, max_timestamp, misnumbered } = checked;
        if batch.attributes().is_transactional() && !produce.transactional {
            return Err(AppendError::TransactionalIdMissing);
        }
        if !misnumbered {
            return self.place(&batch, max_timestamp, rules, produce, now);
        }
        let codec = batch.attributes().codec().unwrap_or(Codec::None);
        // Kafka writes any such batch anew. No client makes them, so a large one is not worth the time that it takes from others.
        let renumbered = repack(&batch, codec, UNPACKED_AT_ONCE_BYTES_MAX)?;
        let (bytes, limit) = (renumbered.len(), rules.max_message_bytes);
        if bytes > limit {
            return Err(AppendError::Batch(BatchError::TooLarge { bytes, limit }));
        }
        self.place(&built(&renumbered)?, max_timestamp, rules, produce, now)
    }

    /// Appends the end of a producer's transaction. `bumps_epoch` says that the coordinator gives each end a new epoch
    /// (transactions v2).
    ///
    /// # Errors
    /// As [`Partition::append`]; [`ProducerError`](crate::ProducerError) from a coordinator that is not the latest, or for an
    /// epoch that is not.
    pub fn end_transaction(
        &self,
        kind: ControlKind,
        (producer, epoch): (ProducerId, ProducerEpoch),
        coordinator_epoch: i32,
        bumps_epoch: bool,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.check_leader()?;
        let bytes = Builder::end_of_transaction(kind, producer, epoch, coordinator_epoch, now).build();
        let offset = self.log.end();
        let coordinator_epoch = Some(coordinator_epoch);
        let marker =
            EndMarker { producer, epoch, coordinator_epoch, offset, timestamp: now, arrived: now, bumps_epoch };
        self.producers.borrow().check_end(&marker)?;
        let batch = built(&bytes)?;
        let ticket = self.log.append(&batch, &Stamp::at(offset, self.leader_epoch.get()))?;
        self.producers.borrow_mut().record_end(&marker);
        Ok(self.placed(&batch, offset, None, ticket))
    }

    fn check_leader(&self) -> Result<(), AppendError> {
        if self.role.get() == Role::Leader { Ok(()) } else { Err(AppendError::NotLeader) }
    }

    fn check_replicas(&self, rules: &Rules, produce: &Produce) -> Result<(), AppendError> {
        self.check_leader()?;
        let required = rules.min_insync_replicas.min(self.replicas.get());
        let in_sync = self.in_sync.get();
        if produce.acks == Acks::All && in_sync < required {
            return Err(AppendError::NotEnoughReplicas { in_sync, required });
        }
        Ok(())
    }

    /// Gives a batch whose own checks are done its place in the log.
    fn place(
        &self,
        batch: &Batch<'_>,
        max_timestamp: Option<Timestamp>,
        rules: &Rules,
        produce: &Produce,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let (bytes, segment_bytes) = (batch.total_len(), rules.segment_bytes);
        if bytes as u64 > segment_bytes {
            return Err(AppendError::LargerThanSegment { bytes, segment_bytes });
        }
        let arrival = Arrival::of(batch, now);
        if let Some(arrival) = &arrival
            && let Some(first_time) = self.producers.borrow().check(arrival, produce.origin)?
        {
            return Ok(self.repeated(&first_time));
        }
        let append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now);
        let base_offset = self.log.end();
        let stamp =
            Stamp { base_offset, leader_epoch: self.leader_epoch.get(), log_append_time: append_time, max_timestamp };
        // The log asks for a snapshot of the producers when it rolls: nothing is borrowed here.
        let ticket = self.log.append(batch, &stamp)?;
        if let Some(arrival) = arrival {
            let arrival = arrival.placed(base_offset, stamp.stored_max_timestamp(batch));
            self.producers.borrow_mut().record(&arrival);
        }
        Ok(self.placed(batch, base_offset, append_time, ticket))
    }

    fn placed(&self, batch: &Batch<'_>, base_offset: Offset, time: Option<Timestamp>, ticket: Ticket) -> Appended {
        Appended {
            base_offset,
            last_offset: base_offset.plus(i64::from(batch.last_offset_delta())),
            log_append_time: time,
            log_start: self.log.start(),
            ticket,
            bytes: batch.total_len(),
            records: batch.record_count().max(0) as u32,
        }
    }

    /// The answer to a batch that is in the log already. It may not be durable yet, so it is waited for like a new one.
    fn repeated(&self, first_time: &RetainedBatch) -> Appended {
        Appended {
            base_offset: first_time.first_offset,
            last_offset: first_time.last_offset,
            log_append_time: Some(first_time.timestamp),
            log_start: self.log.start(),
            ticket: self.store.latest_ticket(),
            bytes: 0,
            records: 0,
        }
    }

    /// The store that tickets are waited for with.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The log, for what is neither appended nor fetched: its settings, segments, size.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// What this replica is.
    pub fn role(&self) -> Role {
        self.role.get()
    }

    /// The current leadership.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch.get()
    }

    /// A new leadership has begun: those who wait look again.
    pub fn begin_epoch(&self, epoch: LeaderEpoch, role: Role) {
        self.leader_epoch.set(epoch);
        self.role.set(role);
        self.waiting.changed();
    }

    /// The topic is deleted, or the shard stops: appends are refused and those who wait look again.
    pub fn close(&self) {
        self.role.set(Role::Follower);
        self.waiting.changed();
    }

    /// The first offset that can be read.
    pub fn log_start(&self) -> Offset {
        self.log.start()
    }

    /// The offset that the next record gets.
    pub fn log_end(&self) -> Offset {
        self.log.end()
    }

    /// Everything before it is durable and visible.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.get()
    }

    /// Everything before it belongs to no open transaction: how far a reader of committed records sees.
    pub fn last_stable_offset(&self) -> Offset {
        self.visible().last_stable
    }

    /// How far a reader sees.
    pub fn visible_end(&self, isolation: Isolation) -> Offset {
        self.visible().end(isolation)
    }

    fn visible(&self) -> Visible {
        let high_watermark = self.high_watermark.get();
        let unstable = self.producers.borrow().first_unstable_offset();
        Visible { high_watermark, last_stable: unstable.map_or(high_watermark, |first| first.min(high_watermark)) }
    }

    /// Its producers.
    pub fn producers(&self) -> Ref<'_, ProducerTable> {
        self.producers.borrow()
    }

    /// Forgets producers that have been silent too long (`producer.id.expiration.ms`); Kafka looks every ten minutes. Says how
    /// many.
    pub fn forget_expired_producers(&self, rules: &Rules, now: Timestamp) -> usize {
        self.producers.borrow_mut().forget_expired(now, rules.producer_expiration_ms)
    }

    /// Has `waiter` woken when there is something to read at `from`, at once if there is already, or when the partition is no
    /// longer led here.
    pub fn wait_for_data(&self, waiter: &mut DataWaiter, from: Offset, isolation: Isolation) {
        waiter.watch_list(&self.waiting, from, isolation);
        if self.visible_end(isolation) > from || self.role.get() != Role::Leader {
            waiter.wake();
        }
    }

    /// How many wait for records.
    pub fn waiters(&self) -> usize {
        self.waiting.len()
    }
}

impl LogObserver for Partition {
    /// With one replica, what is durable here is what all in sync have.
    fn durable(&self, end: Offset) {
        if end <= self.high_watermark.get() {
            return;
        }
        self.high_watermark.set(end);
        self.producers.borrow_mut().high_watermark_moved(end);
        if self.waiting.len() > 0 {
            self.waiting.moved(&self.visible());
        }
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        Some(self.producers.borrow().encode())
    }
}

/// A batch that this broker built.
fn built(bytes: &[u8]) -> Result<Batch<'_>, BatchError> {
    let (batch, _) = Batch::parse(bytes)?;
    let computed = batch.computed_crc();
    if batch.crc() == computed {
        Ok(batch)
    } else {
        Err(BatchError::ChecksumMismatch { stored: batch.crc(), computed })
    }
}

/// The producers of a log as its snapshot and its batches tell.
async fn rebuild(log: &Log, now: Timestamp) -> Result<ProducerTable, StorageError> {
    let (mut from, mut producers) = (log.start(), ProducerTable::new());
    if let Some((covered, bytes)) = log.snapshot()
        && let Ok(table) = ProducerTable::decode(&bytes, now)
    {
        (from, producers) = (covered.max(from), table);
    }
    if from >= log.end() {
        return Ok(producers);
    }
    let mut scan = log.scan(from);
    while let Some(batch) = scan.next().await? {
        producers.replay(&batch, now);
    }
    Ok(producers)
}
