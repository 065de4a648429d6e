//! The producers of one partition: which batch of each comes next, which was here before, and whose transaction is open.

use std::collections::{BTreeMap, HashMap};

use ottla_batch::{Batch, records};
use ottla_units::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

mod error;
mod snapshot;

pub use error::ProducerError;
pub use snapshot::SnapshotError;

/// How many batches of a producer are remembered, so that a repeat is answered like the first time. Why clients keep at most
/// five requests in flight (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const RETAINED_BATCHES: usize = 5;
/// How many producers a partition remembers. Kafka has no bound but time; beyond this one, those longest silent are forgotten.
pub const PRODUCERS_MAX: usize = 100_000;
/// How many are forgotten at once then: finding them looks at all.
const FORGOTTEN_AT_ONCE: usize = PRODUCERS_MAX / 8;

/// Bytes that a control batch may unpack to.
const MARKER_BYTES_MAX: usize = 4096;

/// Who appends, which says what is checked (`AppendOrigin`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client: everything.
    Client,
    /// A coordinator of this broker, into its own topic or for it: producer epochs, no sequences.
    Coordinator,
    /// Another replica, or this log when it is read again: nothing; whoever wrote it has checked.
    Replay,
}

/// What a table of producers needs to know of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The producer.
    pub producer: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub first_sequence: Sequence,
    /// Sequence of the last record.
    pub last_sequence: Sequence,
    /// Offset of the first record.
    pub first_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// The latest time of a record, as stored.
    pub timestamp: Timestamp,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// When it came, by this broker's clock: the time that a producer's silence counts from. Kafka counts from the records'
    /// own times, and so forgets at once whoever sends old ones.
    pub arrived: Timestamp,
}

impl Arrival {
    /// What there is to know of a batch of an idempotent producer; `None` for any other.
    pub fn of(batch: &Batch<'_>, now: Timestamp) -> Option<Arrival> {
        batch.producer_id().is_some().then(|| Arrival {
            producer: batch.producer_id(),
            epoch: batch.producer_epoch(),
            first_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            first_offset: batch.base_offset(),
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp(),
            transactional: batch.attributes().is_transactional(),
            arrived: now,
        })
    }

    /// The same with the offsets and the time that the log gives it.
    #[must_use]
    pub fn placed(self, first_offset: Offset, timestamp: Timestamp) -> Arrival {
        let last_offset = first_offset.plus(self.last_offset.since(self.first_offset));
        Arrival { first_offset, last_offset, timestamp, ..self }
    }
}

/// The end of a transaction, as a control batch writes it into a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndMarker {
    /// The producer.
    pub producer: ProducerId,
    /// Its epoch; from transactions v2 on (KIP-890) the one after the transaction's.
    pub epoch: ProducerEpoch,
    /// The coordinator's epoch; `None` where it could not be read.
    pub coordinator_epoch: Option<i32>,
    /// Where the marker lies.
    pub offset: Offset,
    /// When it was written.
    pub timestamp: Timestamp,
    /// When it came, by this broker's clock.
    pub arrived: Timestamp,
    /// Whether the coordinator bumps the epoch with each end (transactions v2).
    pub bumps_epoch: bool,
}

/// A batch that a producer wrote and that is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetainedBatch {
    /// Sequence of its first record.
    pub first_sequence: Sequence,
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The latest time of its records, as stored.
    pub timestamp: Timestamp,
}

/// What is known of one producer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerState {
    pub(crate) epoch: ProducerEpoch,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: Timestamp,
    /// When it was last heard of, by this broker's clock.
    pub(crate) heard: Timestamp,
    pub(crate) transaction_start: Option<Offset>,
    /// The last batches, oldest first; only the first `retained` count.
    batches: [RetainedBatch; RETAINED_BATCHES],
    retained: u8,
}

impl ProducerState {
    const NO_BATCH: RetainedBatch = RetainedBatch {
        first_sequence: Sequence::NONE,
        last_sequence: Sequence::NONE,
        first_offset: Offset::NONE,
        last_offset: Offset::NONE,
        timestamp: Timestamp::NONE,
    };

    pub(crate) const UNKNOWN: ProducerState = ProducerState {
        epoch: ProducerEpoch::NONE,
        coordinator_epoch: -1,
        last_timestamp: Timestamp::NONE,
        heard: Timestamp::NONE,
        transaction_start: None,
        batches: [ProducerState::NO_BATCH; RETAINED_BATCHES],
        retained: 0,
    };

    /// Its epoch.
    pub fn epoch(&self) -> ProducerEpoch {
        self.epoch
    }

    /// The epoch of the coordinator that ended its last transaction here; −1 for none.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// The time of its last batch or marker.
    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// Where its open transaction began.
    pub fn transaction_start(&self) -> Option<Offset> {
        self.transaction_start
    }

    /// Its last batches, oldest first.
    pub fn batches(&self) -> &[RetainedBatch] {
        &self.batches[..usize::from(self.retained)]
    }

    /// The sequence of its last record; none when no batch is known.
    pub fn last_sequence(&self) -> Sequence {
        self.batches().last().map_or(Sequence::NONE, |batch| batch.last_sequence)
    }

    fn retained(&self, arrival: &Arrival) -> Option<&RetainedBatch> {
        let same = |batch: &&RetainedBatch| {
            batch.first_sequence == arrival.first_sequence && batch.last_sequence == arrival.last_sequence
        };
        if self.epoch == arrival.epoch { self.batches().iter().find(same) } else { None }
    }

    fn check(&self, arrival: &Arrival, origin: Origin) -> Result<(), ProducerError> {
        let Arrival { producer, epoch, first_sequence: sequence, .. } = *arrival;
        if epoch < self.epoch {
            return Err(ProducerError::StaleEpoch { producer, epoch, current: self.epoch });
        }
        if origin == Origin::Client && self.epoch != ProducerEpoch::NONE {
            self.check_sequence(producer, epoch, sequence)?;
        }
        if self.transaction_start.is_some() && !arrival.transactional {
            return Err(ProducerError::TransactionOpen { producer });
        }
        Ok(())
    }

    fn check_sequence(
        &self,
        producer: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    ) -> Result<(), ProducerError> {
        if epoch != self.epoch {
            let current = self.epoch;
            let error = ProducerError::NewEpochNotFromZero { producer, epoch, sequence, current };
            return if sequence.get() == 0 { Ok(()) } else { Err(error) };
        }
        let last = self.last_sequence();
        // After −1, "none", comes 0 as well.
        if last.plus(1) == sequence { Ok(()) } else { Err(ProducerError::OutOfOrder { producer, sequence, last }) }
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.retained = 0;
        }
    }

    fn retain(&mut self, batch: RetainedBatch) {
        if usize::from(self.retained) == RETAINED_BATCHES {
            self.batches.rotate_left(1);
            self.retained -= 1;
        }
        self.batches[usize::from(self.retained)] = batch;
        self.retained += 1;
    }
}

/// The producers of one partition and their open transactions. Pure: `check`, then, once the log has taken the batch, `record`.
///
/// Lives on: the shard that owns the partition. Talks by: calls.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProducerTable {
    producers: HashMap<ProducerId, ProducerState>,
    /// Where each open transaction began, and whose it is.
    open: BTreeMap<Offset, ProducerId>,
    /// Transactions that have ended by a marker that may not be durable yet: where each began → where its marker lies.
    ended: BTreeMap<Offset, Offset>,
}

impl ProducerTable {
    /// Knows nobody.
    pub fn new() -> ProducerTable {
        ProducerTable::default()
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// What is known of a producer.
    pub fn get(&self, producer: ProducerId) -> Option<&ProducerState> {
        self.producers.get(&producer)
    }

    /// All of them, in no order (DescribeProducers).
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerState)> {
        self.producers.iter().map(|(&producer, state)| (producer, state))
    }

    /// Whether a batch may be appended. `Some` is the batch of a client that was here before, of which this is a repeat: it is
    /// answered, not appended (`UnifiedLog.analyzeAndValidateProducerState`).
    ///
    /// # Errors
    /// What the producer did wrong.
    pub fn check(&self, arrival: &Arrival, origin: Origin) -> Result<Option<RetainedBatch>, ProducerError> {
        let Some(state) = self.producers.get(&arrival.producer) else { return Ok(None) };
        match origin {
            Origin::Replay => return Ok(None),
            Origin::Client => {
                if let Some(&repeated) = state.retained(arrival) {
                    return Ok(Some(repeated));
                }
            }
            Origin::Coordinator => {}
        }
        state.check(arrival, origin).map(|()| None)
    }

    /// Notes a batch that has been appended.
    pub fn record(&mut self, arrival: &Arrival) {
        self.make_room(arrival.producer);
        let state = self.producers.entry(arrival.producer).or_insert(ProducerState::UNKNOWN);
        state.enter_epoch(arrival.epoch);
        state.last_timestamp = arrival.timestamp;
        state.heard = arrival.arrived;
        state.retain(RetainedBatch {
            first_sequence: arrival.first_sequence,
            last_sequence: arrival.last_sequence,
            first_offset: arrival.first_offset,
            last_offset: arrival.last_offset,
            timestamp: arrival.timestamp,
        });
        if arrival.transactional && state.transaction_start.is_none() {
            state.transaction_start = Some(arrival.first_offset);
            self.open.insert(arrival.first_offset, arrival.producer);
        }
    }

    /// Whether the end of a transaction may be appended (`ProducerAppendInfo.checkProducerEpoch`, `checkCoordinatorEpoch`).
    ///
    /// # Errors
    /// [`ProducerError::StaleEpoch`], [`ProducerError::CoordinatorFenced`].
    pub fn check_end(&self, marker: &EndMarker) -> Result<(), ProducerError> {
        let Some(state) = self.producers.get(&marker.producer) else { return Ok(()) };
        let EndMarker { producer, epoch, .. } = *marker;
        // With transactions v2 the marker's epoch is a new one; the same one again is a repeat, if nothing is open.
        let repeated = epoch == state.epoch && state.transaction_start.is_none();
        let stale = if marker.bumps_epoch { epoch <= state.epoch && !repeated } else { epoch < state.epoch };
        if stale {
            return Err(ProducerError::StaleEpoch { producer, epoch, current: state.epoch });
        }
        let current = state.coordinator_epoch;
        match marker.coordinator_epoch {
            Some(epoch) if epoch < current => Err(ProducerError::CoordinatorFenced { producer, epoch, current }),
            _ => Ok(()),
        }
    }

    /// Notes the end of a transaction that has been appended. Says where the transaction began, if one was open.
    pub fn record_end(&mut self, marker: &EndMarker) -> Option<Offset> {
        self.make_room(marker.producer);
        let state = self.producers.entry(marker.producer).or_insert(ProducerState::UNKNOWN);
        state.enter_epoch(marker.epoch);
        state.coordinator_epoch = marker.coordinator_epoch.unwrap_or(state.coordinator_epoch);
        state.last_timestamp = marker.timestamp;
        state.heard = marker.arrived;
        let start = state.transaction_start.take()?;
        self.open.remove(&start);
        self.ended.insert(start, marker.offset);
        Some(start)
    }

    /// Notes a batch that is in the log already. Its producer's silence counts from `now`.
    pub fn replay(&mut self, batch: &Batch<'_>, now: Timestamp) {
        let Some(arrival) = Arrival::of(batch, now) else { return };
        if !batch.attributes().is_control() {
            return self.record(&arrival);
        }
        self.record_end(&EndMarker {
            producer: arrival.producer,
            epoch: arrival.epoch,
            coordinator_epoch: coordinator_epoch(batch),
            offset: arrival.last_offset,
            timestamp: arrival.timestamp,
            arrived: now,
            bumps_epoch: false,
        });
    }

    /// The first offset whose outcome a consumer may not see yet: of an open transaction, or of one whose end is not yet
    /// below the high watermark (`ProducerStateManager.firstUnstableOffset`).
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let first = |transactions: Option<&Offset>| transactions.copied();
        match (first(self.open.keys().next()), first(self.ended.keys().next())) {
            (Some(open), Some(ended)) => Some(open.min(ended)),
            (open, ended) => open.or(ended),
        }
    }

    /// The first offset of an open transaction.
    pub fn first_open_offset(&self) -> Option<Offset> {
        self.open.keys().next().copied()
    }

    /// Lets go of the transactions whose end lies below the high watermark.
    pub fn high_watermark_moved(&mut self, high_watermark: Offset) {
        if !self.ended.is_empty() {
            self.ended.retain(|_, marker| *marker >= high_watermark);
        }
    }

    /// Forgets the producers that have been silent for `expiration_ms` and have no transaction open
    /// (`producer.id.expiration.ms`). Says how many.
    pub fn forget_expired(&mut self, now: Timestamp, expiration_ms: i64) -> usize {
        let before = self.producers.len();
        let expired = |state: &ProducerState| now.since(state.heard) >= expiration_ms;
        self.producers.retain(|_, state| state.transaction_start.is_some() || !expired(state));
        before - self.producers.len()
    }

    /// Takes a producer from a snapshot.
    fn load(&mut self, producer: ProducerId, state: ProducerState) {
        if let Some(start) = state.transaction_start {
            self.open.insert(start, producer);
        }
        self.producers.insert(producer, state);
    }

    /// Puts the batches of a snapshot before the last one that it has of this producer.
    fn load_earlier(&mut self, producer: ProducerId, earlier: &[RetainedBatch]) {
        let Some(state) = self.producers.get_mut(&producer) else { return };
        let Some(last) = state.batches().last().copied() else { return };
        state.retained = 0;
        earlier.iter().chain([&last]).for_each(|batch| state.retain(*batch));
    }

    fn make_room(&mut self, newcomer: ProducerId) {
        if self.producers.len() < PRODUCERS_MAX || self.producers.contains_key(&newcomer) {
            return;
        }
        let silent = self.producers.iter().filter(|(_, state)| state.transaction_start.is_none());
        let mut silent: Vec<_> = silent.map(|(&producer, state)| (state.heard, producer.get())).collect();
        let forgotten = FORGOTTEN_AT_ONCE.min(silent.len());
        if let Some(last) = forgotten.checked_sub(1) {
            silent.select_nth_unstable(last);
        }
        for &(_, producer) in &silent[..forgotten] {
            self.producers.remove(&ProducerId::new(producer));
        }
    }
}

/// The coordinator's epoch in an end marker: version i16, epoch i32 (`EndTransactionMarker`).
fn coordinator_epoch(batch: &Batch<'_>) -> Option<i32> {
    let mut records = records(batch, MARKER_BYTES_MAX).ok()?;
    let record = records.next()?.ok()?;
    let epoch = record.value?.get(2..6)?.first_chunk()?;
    Some(i32::from_be_bytes(*epoch))
}
