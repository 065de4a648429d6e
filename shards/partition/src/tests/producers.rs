//! The producer table against a naive model: the whole history of a partition, searched from the end for each question.

use ottla_units::{ErrorCode, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Arrival, EndMarker, Origin, PRODUCERS_MAX, ProducerTable, RETAINED_BATCHES};

pub(crate) fn arrival(producer: i64, epoch: i16, first: i32, count: i32, offset: i64) -> Arrival {
    let first_sequence = Sequence::new(first);
    Arrival {
        producer: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        first_sequence,
        last_sequence: first_sequence.plus(count - 1),
        first_offset: Offset::new(offset),
        last_offset: Offset::new(offset + i64::from(count) - 1),
        timestamp: Timestamp::new(1000 + offset),
        transactional: false,
        arrived: Timestamp::new(1000 + offset),
    }
}

/// Appends from the start: what was decided, as a code.
fn append(table: &mut ProducerTable, arrival: Arrival) -> Result<Option<Offset>, ErrorCode> {
    let repeated = table.check(&arrival, Origin::Client).map_err(|error| error.code())?;
    if repeated.is_none() {
        table.record(&arrival);
    }
    Ok(repeated.map(|batch| batch.first_offset))
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let mut table = ProducerTable::new();
    assert_eq!(append(&mut table, arrival(1, 0, 77, 2, 0)), Ok(None));
    assert_eq!(append(&mut table, arrival(1, 0, 79, 1, 2)), Ok(None));
    assert_eq!(append(&mut table, arrival(1, 0, 81, 1, 3)), Err(ErrorCode::OutOfOrderSequenceNumber));
}

#[test]
fn the_last_five_batches_are_answered_again_and_the_sixth_is_not() {
    let mut table = ProducerTable::new();
    for i in 0..6 {
        assert_eq!(append(&mut table, arrival(1, 0, i, 1, i64::from(i))), Ok(None));
    }
    for i in 1..6 {
        assert_eq!(append(&mut table, arrival(1, 0, i, 1, 99)), Ok(Some(Offset::new(i64::from(i)))));
    }
    assert_eq!(append(&mut table, arrival(1, 0, 0, 1, 99)), Err(ErrorCode::OutOfOrderSequenceNumber));
    // Only the exact range is a repeat.
    assert_eq!(append(&mut table, arrival(1, 0, 4, 2, 99)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(table.get(ProducerId::new(1)).unwrap().batches().len(), RETAINED_BATCHES);
}

#[test]
fn epochs_fence() {
    let mut table = ProducerTable::new();
    assert_eq!(append(&mut table, arrival(1, 3, 0, 1, 0)), Ok(None));
    assert_eq!(append(&mut table, arrival(1, 2, 1, 1, 1)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(append(&mut table, arrival(1, 4, 1, 1, 1)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(append(&mut table, arrival(1, 4, 0, 1, 1)), Ok(None));
    // The same sequence of the epoch before is not a repeat but stale.
    assert_eq!(append(&mut table, arrival(1, 3, 0, 1, 2)), Err(ErrorCode::InvalidProducerEpoch));
}

#[test]
fn sequences_wrap_even_inside_a_batch() {
    let mut table = ProducerTable::new();
    assert_eq!(append(&mut table, arrival(1, 0, i32::MAX - 1, 3, 0)), Ok(None));
    assert_eq!(table.get(ProducerId::new(1)).unwrap().last_sequence(), Sequence::new(0));
    assert_eq!(append(&mut table, arrival(1, 0, 1, 1, 3)), Ok(None));
    assert_eq!(append(&mut table, arrival(2, 0, i32::MAX, 1, 4)), Ok(None));
    assert_eq!(append(&mut table, arrival(2, 0, 0, 1, 5)), Ok(None));
    assert_eq!(append(&mut table, arrival(1, 0, i32::MAX - 1, 3, 6)), Ok(Some(Offset::ZERO)));
}

#[test]
fn the_silent_are_forgotten_unless_a_transaction_is_open() {
    let mut table = ProducerTable::new();
    table.record(&arrival(1, 0, 0, 1, 0));
    table.record(&Arrival { transactional: true, ..arrival(2, 0, 0, 1, 1) });
    table.record(&arrival(3, 0, 0, 1, 500));
    assert_eq!(table.forget_expired(Timestamp::new(1000 + 100), 101), 0);
    assert_eq!(table.forget_expired(Timestamp::new(1000 + 100), 100), 1);
    assert!(table.get(ProducerId::new(1)).is_none() && table.get(ProducerId::new(2)).is_some());
    assert_eq!(append(&mut table, arrival(1, 0, 50, 1, 3)), Ok(None));
}

#[test]
fn the_number_of_producers_is_bounded() {
    let mut table = ProducerTable::new();
    table.record(&Arrival { transactional: true, ..arrival(0, 0, 0, 1, 0) });
    for i in 1..PRODUCERS_MAX as i64 + 10 {
        table.record(&arrival(i, 0, 0, 1, i));
    }
    assert!(table.len() <= PRODUCERS_MAX);
    assert!(table.get(ProducerId::new(0)).is_some() && table.get(ProducerId::new(1)).is_none());
    assert!(table.get(ProducerId::new(PRODUCERS_MAX as i64 + 9)).is_some());
}

fn end(producer: i64, epoch: i16, offset: i64, bumps_epoch: bool) -> EndMarker {
    EndMarker {
        producer: ProducerId::new(producer),
        epoch: ProducerEpoch::new(epoch),
        coordinator_epoch: Some(5),
        offset: Offset::new(offset),
        timestamp: Timestamp::new(1000 + offset),
        arrived: Timestamp::new(1000 + offset),
        bumps_epoch,
    }
}

fn in_transaction(producer: i64, epoch: i16, first: i32, offset: i64) -> Arrival {
    Arrival { transactional: true, ..arrival(producer, epoch, first, 1, offset) }
}

#[test]
fn the_first_unstable_offset_waits_for_markers_to_be_durable() {
    let mut table = ProducerTable::new();
    assert_eq!(table.first_unstable_offset(), None);
    table.record(&in_transaction(1, 0, 0, 10));
    table.record(&in_transaction(2, 0, 0, 11));
    assert_eq!(table.first_unstable_offset(), Some(Offset::new(10)));
    assert_eq!(table.record_end(&end(1, 0, 12, false)), Some(Offset::new(10)));
    table.high_watermark_moved(Offset::new(12));
    assert_eq!(table.first_unstable_offset(), Some(Offset::new(10)));
    table.high_watermark_moved(Offset::new(13));
    assert_eq!(table.first_unstable_offset(), Some(Offset::new(11)));
    assert_eq!(table.record_end(&end(2, 0, 13, false)), Some(Offset::new(11)));
    assert_eq!(table.first_open_offset(), None);
    table.high_watermark_moved(Offset::new(14));
    assert_eq!(table.first_unstable_offset(), None);
    assert_eq!(table.record_end(&end(2, 0, 14, false)), None);
}

#[test]
fn inside_a_transaction_all_batches_belong_to_it() {
    let mut table = ProducerTable::new();
    table.record(&in_transaction(1, 0, 0, 0));
    assert_eq!(append(&mut table, arrival(1, 0, 1, 1, 1)), Err(ErrorCode::InvalidTxnState));
    assert_eq!(append(&mut table, in_transaction(1, 0, 1, 1)), Ok(None));
    // A coordinator writes without sequences.
    let mut commit = in_transaction(1, 0, -1, 2);
    (commit.first_sequence, commit.last_sequence) = (Sequence::NONE, Sequence::NONE);
    assert_eq!(table.check(&commit, Origin::Coordinator), Ok(None));
}

#[test]
fn markers_are_fenced_by_both_epochs() {
    let mut table = ProducerTable::new();
    table.record(&in_transaction(1, 3, 0, 0));
    assert_eq!(table.check_end(&end(1, 2, 1, false)).unwrap_err().code(), ErrorCode::InvalidProducerEpoch);
    assert_eq!(table.check_end(&end(1, 3, 1, true)).unwrap_err().code(), ErrorCode::InvalidProducerEpoch);
    table.check_end(&end(1, 3, 1, false)).unwrap();
    table.check_end(&end(1, 4, 1, true)).unwrap();
    table.record_end(&end(1, 4, 1, true));
    // The same end again is a repeat; the next transaction begins at sequence 0 of the new epoch.
    table.check_end(&end(1, 4, 2, true)).unwrap();
    assert_eq!(append(&mut table, in_transaction(1, 4, 1, 2)), Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(append(&mut table, in_transaction(1, 4, 0, 2)), Ok(None));
    let older = EndMarker { coordinator_epoch: Some(4), ..end(1, 5, 3, true) };
    assert_eq!(table.check_end(&older).unwrap_err().code(), ErrorCode::TransactionCoordinatorFenced);
}

/// The history of one partition, oldest first.
#[derive(Default)]
pub(crate) struct History(pub(crate) Vec<Arrival>);

impl History {
    /// The producer's batches since it entered its latest epoch.
    pub(crate) fn of_latest_epoch(&self, producer: ProducerId) -> Vec<&Arrival> {
        let all: Vec<_> = self.0.iter().filter(|batch| batch.producer == producer).collect();
        let Some(latest) = all.last() else { return all };
        let from = all.iter().rposition(|batch| batch.epoch != latest.epoch).map_or(0, |at| at + 1);
        all[from..].to_vec()
    }

    pub(crate) fn append(&mut self, new: Arrival) -> Result<Option<Offset>, ErrorCode> {
        let known = self.of_latest_epoch(new.producer);
        if let Some(last) = known.last() {
            if new.epoch == last.epoch {
                let repeats = |old: &&&Arrival| {
                    (old.first_sequence, old.last_sequence) == (new.first_sequence, new.last_sequence)
                };
                if let Some(old) = known.iter().rev().take(5).rfind(repeats) {
                    return Ok(Some(old.first_offset));
                }
            }
            let next = if new.epoch == last.epoch { (i64::from(last.last_sequence.get()) + 1) % (1 << 31) } else { 0 };
            if new.epoch < last.epoch {
                return Err(ErrorCode::InvalidProducerEpoch);
            }
            if i64::from(new.first_sequence.get()) != next {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
        }
        self.0.push(new);
        Ok(None)
    }
}

/// Steps around what comes next: producer, epoch change, sequence relative to the next one, records.
fn steps() -> impl Strategy<Value = Vec<(i64, i16, i32, i32)>> {
    let delta = prop_oneof![6 => Just(0), 1 => -12i32..12];
    let epoch = prop_oneof![12 => Just(0i16), 1 => -1i16..2];
    vec((0i64..3, epoch, delta, 1i32..4), 1..120)
}

proptest! {
    #[test]
    fn decides_as_the_whole_history_does(start in prop_oneof![Just(0), Just(i32::MAX - 5)], steps in steps()) {
        let (mut table, mut history) = (ProducerTable::new(), History::default());
        let mut offset = 0;
        for (producer, epoch_change, delta, count) in steps {
            let last = history.of_latest_epoch(ProducerId::new(producer)).last().map(|last| (last.epoch.get(), last.last_sequence));
            let (epoch, next) = last.map_or((1, start), |(epoch, last)| (epoch, last.plus(1).get()));
            let epoch = (epoch + epoch_change).max(0);
            let sequence = if epoch_change > 0 && delta == 0 { 0 } else { next.wrapping_add(delta).max(0) };
            let arrival = arrival(producer, epoch, sequence, count, offset);
            let expected = history.append(arrival);
            prop_assert_eq!(append(&mut table, arrival), expected, "{:?}", arrival);
            offset += if expected == Ok(None) { i64::from(count) } else { 0 };
        }
        // Reading the log again leads to the same state.
        let mut again = ProducerTable::new();
        for arrival in &history.0 {
            prop_assert_eq!(again.check(arrival, Origin::Replay), Ok(None));
            again.record(arrival);
        }
        prop_assert_eq!(&again, &table);
        // A snapshot keeps each producer's epoch and batches.
        let loaded = ProducerTable::decode(&table.encode(), Timestamp::new(0)).unwrap();
        prop_assert_eq!(loaded.len(), table.len());
        for (producer, state) in table.iter() {
            let kept = loaded.get(producer).unwrap();
            prop_assert_eq!((kept.epoch(), kept.last_timestamp()), (state.epoch(), state.last_timestamp()));
            prop_assert_eq!(kept.batches(), state.batches());
        }
    }
}
