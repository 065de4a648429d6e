//! The whole partition on a real store.

use std::future::Future;
use std::rc::Rc;

use ottla_batch::{Batch, BatchError, Batches, Builder, Codec, ControlKind, TimestampType};
use ottla_storage::{Layout, Log, LogSettings, LogSpec, RecoverOptions, Store, StoreConfig, recover};
use ottla_units::{
    ErrorCode, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, Timestamp, TopicId,
    TopicPartition,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::producers::{History, arrival};
use crate::{AppendError, Appended, DataWaiter, Fetch, Isolation, OffsetQuery, Partition, Produce, ReadError, Rules};

const NOW: Timestamp = Timestamp::new(1_790_000_000_000);
const EPOCH: LeaderEpoch = LeaderEpoch::new(3);

fn spec() -> LogSpec {
    let key = TopicPartition::new(TopicId::from_bytes([7; 16]), PartitionIndex::new(0));
    LogSpec { key, topic: "orders".to_owned() }
}

/// Opens the partition in this folder as a starting broker does.
async fn start(folder: &TempDir, settings: LogSettings) -> Rc<Partition> {
    let layout = Layout { data: folder.path().join("data"), journal: folder.path().join("journal") };
    let mut recovery = recover(&layout, &[spec()], &RecoverOptions::default()).await.unwrap();
    let config = StoreConfig { journal_file_bytes: 8 << 20, reserve_bytes: 0, ..StoreConfig::new(0, &recovery) };
    let image = recovery.logs.remove(&spec().key);
    let store = Store::start(&layout, config).await.unwrap();
    let log: Log = store.open_log(&spec(), image, settings);
    Partition::open(store, log, EPOCH, NOW).await.unwrap()
}

fn on_a_partition<F: Future<Output = ()>>(test: impl FnOnce(Rc<Partition>) -> F) {
    let folder = tempfile::tempdir().unwrap();
    ottla_reactor::block_on(async { test(start(&folder, LogSettings::default()).await).await }).unwrap();
}

fn plain(count: usize) -> Builder {
    (0..count).fold(Builder::new(), |builder, i| builder.record(NOW, None, Some(format!("v{i}").as_bytes())))
}

fn from_producer(id: i64, epoch: i16, sequence: i32, count: usize) -> Builder {
    plain(count).producer(ProducerId::new(id), ProducerEpoch::new(epoch), Sequence::new(sequence))
}

fn append(partition: &Partition, batch: &Builder) -> Result<Appended, AppendError> {
    partition.append(&batch.build(), &Rules::default(), &Produce::CLIENT, NOW)
}

async fn durable(partition: &Partition) {
    partition.store().durable(partition.store().latest_ticket()).await.unwrap();
}

fn fetch_at(offset: i64) -> Fetch {
    Fetch {
        offset: Offset::new(offset),
        current_epoch: LeaderEpoch::NONE,
        last_fetched_epoch: LeaderEpoch::NONE,
        isolation: Isolation::ReadUncommitted,
        bytes_max: 1 << 20,
        at_least_one: true,
    }
}

/// Base offset, leader epoch and largest time of each batch that a fetch gives.
async fn read(partition: &Partition, fetch: &Fetch) -> Vec<(i64, i32, i64)> {
    let Some(read) = partition.fetch(fetch).unwrap().records else { return Vec::new() };
    let bytes: Vec<u8> = read.records().await.unwrap().slices.iter().flat_map(|slice| slice.to_vec()).collect();
    let seen = |batch: Result<Batch<'_>, BatchError>| {
        let batch = batch.unwrap();
        assert!(batch.crc_matches());
        (batch.base_offset().get(), batch.leader_epoch().get(), batch.max_timestamp().get())
    };
    Batches::new(&bytes).map(seen).collect()
}

#[test]
fn records_become_visible_when_they_are_durable() {
    on_a_partition(|partition| async move {
        let first = append(&partition, &plain(2)).unwrap();
        assert_eq!((first.base_offset, first.last_offset), (Offset::ZERO, Offset::new(1)));
        assert_eq!((first.log_append_time, first.log_start), (None, Offset::ZERO));
        let second = append(&partition, &plain(1).codec(Codec::Zstd)).unwrap();
        assert_eq!(second.base_offset, Offset::new(2));
        assert_eq!(partition.high_watermark(), Offset::ZERO);
        assert!(partition.fetch(&fetch_at(0)).unwrap().records.is_none());
        partition.store().durable(second.ticket).await.unwrap();
        assert_eq!(partition.high_watermark(), Offset::new(3));
        let time = NOW.get();
        assert_eq!(read(&partition, &fetch_at(0)).await, [(0, 3, time), (2, 3, time)]);
        // From the middle of a batch the whole batch comes.
        assert_eq!(read(&partition, &fetch_at(1)).await.first(), Some(&(0, 3, time)));
        assert!(read(&partition, &fetch_at(3)).await.is_empty());
    });
}

#[test]
fn fetches_outside_of_the_log_or_the_epoch_are_refused() {
    on_a_partition(|partition| async move {
        append(&partition, &plain(1)).unwrap();
        durable(&partition).await;
        let code = |fetch: Fetch| partition.fetch(&fetch).err().map(|error| error.code());
        assert_eq!(code(fetch_at(2)), Some(ErrorCode::OffsetOutOfRange));
        assert_eq!(code(fetch_at(-1)), Some(ErrorCode::OffsetOutOfRange));
        let epoch = |number| Fetch { current_epoch: LeaderEpoch::new(number), ..fetch_at(0) };
        assert_eq!(code(epoch(2)), Some(ErrorCode::FencedLeaderEpoch));
        assert_eq!(code(epoch(4)), Some(ErrorCode::UnknownLeaderEpoch));
        assert_eq!(code(epoch(3)), None);
        let follows = |epoch, offset| {
            let fetch = Fetch { last_fetched_epoch: LeaderEpoch::new(epoch), ..fetch_at(offset) };
            partition.fetch(&fetch).map(|fetched| fetched.diverging).map_err(|error| error.code())
        };
        assert_eq!(follows(3, 1), Ok(None));
        assert_eq!(follows(3, 5), Ok(Some((EPOCH, Offset::new(1)))));
        assert_eq!(follows(9, 1), Err(ErrorCode::OffsetOutOfRange));
    });
}

#[test]
fn times_are_the_brokers_where_the_topic_says_so() {
    on_a_partition(|partition| async move {
        let append_time = Rules { timestamp_type: TimestampType::LogAppendTime, ..Rules::default() };
        let later = NOW.plus(77);
        let appended = partition.append(&plain(1).build(), &append_time, &Produce::CLIENT, later).unwrap();
        assert_eq!(appended.log_append_time, Some(later));
        // A client's wrong latest time is put right.
        let mut bytes = plain(1).build();
        bytes[42] ^= 1;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        partition.append(&bytes, &Rules::default(), &Produce::CLIENT, NOW).unwrap();
        durable(&partition).await;
        assert_eq!(read(&partition, &fetch_at(0)).await, [(0, 3, later.get()), (1, 3, NOW.get())]);
        let found = partition.offset_for(OffsetQuery::MaxTimestamp, Isolation::ReadUncommitted).await.unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp, found.leader_epoch), (Offset::ZERO, later, EPOCH));
    });
}

#[test]
fn refusals_carry_what_kafka_tells() {
    on_a_partition(|partition| async move {
        let small = Rules { max_message_bytes: 10, ..Rules::default() };
        let error = partition.append(&plain(1).build(), &small, &Produce::CLIENT, NOW).unwrap_err();
        assert_eq!((error.code(), error.tells_log_start()), (ErrorCode::MessageTooLarge, false));
        let compacted = Rules { compaction: true, ..Rules::default() };
        let error = partition.append(&plain(2).build(), &compacted, &Produce::CLIENT, NOW).unwrap_err();
        assert_eq!((error.code(), error.tells_log_start()), (ErrorCode::InvalidRecord, true));
        assert_eq!(error.record_errors().len(), 2);
        assert!(error.message().unwrap().starts_with("One or more records have been rejected"));
        let error = append(&partition, &plain(1).transactional(true)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::TransactionalIdAuthorizationFailed);
        let segment = Rules { segment_bytes: 50, ..Rules::default() };
        let error = partition.append(&plain(1).build(), &segment, &Produce::CLIENT, NOW).unwrap_err();
        assert_eq!(error.code(), ErrorCode::RecordListTooLarge);
        partition.close();
        assert_eq!(append(&partition, &plain(1)).unwrap_err().code(), ErrorCode::NotLeaderOrFollower);
        assert_eq!(partition.log_end(), Offset::ZERO);
    });
}

#[test]
fn repeats_are_answered_and_not_appended() {
    on_a_partition(|partition| async move {
        append(&partition, &from_producer(1, 0, 0, 2)).unwrap();
        append(&partition, &from_producer(1, 0, 2, 1)).unwrap();
        let again = append(&partition, &from_producer(1, 0, 0, 2)).unwrap();
        assert_eq!((again.base_offset, again.last_offset), (Offset::ZERO, Offset::new(1)));
        assert_eq!((again.log_append_time, again.bytes), (Some(NOW), 0));
        let error = append(&partition, &from_producer(1, 0, 5, 1)).unwrap_err();
        assert_eq!((error.code(), error.tells_log_start()), (ErrorCode::OutOfOrderSequenceNumber, true));
        assert_eq!(partition.log_end(), Offset::new(3));
    });
}

#[test]
fn compressed_records_numbered_wrongly_are_packed_anew() {
    on_a_partition(|partition| async move {
        let mut records = plain(2).build().split_off(61);
        let second = records.len() / 2;
        records[second + 3] = 8;
        let mut bytes = plain(2).build();
        bytes.truncate(61);
        bytes[22] = Codec::Lz4.bits();
        Codec::Lz4.pack(&records, &mut bytes).unwrap();
        let length = (bytes.len() - 12) as u32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        partition.append(&bytes, &Rules::default(), &Produce::CLIENT, NOW).unwrap();
        durable(&partition).await;
        let read = partition.fetch(&fetch_at(0)).unwrap().records.unwrap().records().await.unwrap();
        let stored = read.slices[0].to_vec();
        let (batch, _) = Batch::parse(&stored).unwrap();
        let mut records = ottla_batch::records(&batch, 1000).unwrap();
        let mut offsets = Vec::new();
        while let Some(record) = records.next() {
            offsets.push(record.unwrap().offset.get());
        }
        assert_eq!(offsets, [0, 1]);
    });
}

#[test]
fn transactions_hold_the_stable_offset_back() {
    on_a_partition(|partition| async move {
        let produce = Produce { transactional: true, ..Produce::CLIENT };
        let open = from_producer(1, 0, 0, 1).transactional(true).build();
        append(&partition, &plain(1)).unwrap();
        partition.append(&open, &Rules::default(), &produce, NOW).unwrap();
        append(&partition, &plain(1)).unwrap();
        durable(&partition).await;
        assert_eq!((partition.high_watermark(), partition.last_stable_offset()), (Offset::new(3), Offset::new(1)));
        let committed = Fetch { isolation: Isolation::ReadCommitted, ..fetch_at(0) };
        assert_eq!(read(&partition, &committed).await.len(), 1);
        let mut waiter = DataWaiter::new();
        partition.wait_for_data(&mut waiter, Offset::new(1), Isolation::ReadCommitted);
        assert!(!waiter.is_woken());
        let producer = (ProducerId::new(1), ProducerEpoch::new(0));
        let end = partition.end_transaction(ControlKind::Commit, producer, 0, false, NOW).unwrap();
        assert_eq!((end.base_offset, partition.last_stable_offset()), (Offset::new(3), Offset::new(1)));
        waiter.woken().await;
        assert_eq!(partition.last_stable_offset(), Offset::new(4));
        assert_eq!(read(&partition, &committed).await.len(), 4);
    });
}

#[test]
fn waiters_are_woken_by_the_watermark() {
    on_a_partition(|partition| async move {
        let mut waiter = DataWaiter::new();
        partition.wait_for_data(&mut waiter, Offset::ZERO, Isolation::ReadUncommitted);
        assert!(!waiter.is_woken() && partition.waiters() == 1);
        append(&partition, &plain(1)).unwrap();
        waiter.woken().await;
        assert_eq!(partition.high_watermark(), Offset::new(1));
        waiter.clear();
        assert_eq!(partition.waiters(), 0);
        // What is there already wakes at once.
        partition.wait_for_data(&mut waiter, Offset::ZERO, Isolation::ReadUncommitted);
        assert!(waiter.is_woken());
        waiter.clear();
        partition.wait_for_data(&mut waiter, Offset::new(1), Isolation::ReadUncommitted);
        partition.begin_epoch(LeaderEpoch::new(4), crate::Role::Leader);
        assert!(waiter.is_woken());
    });
}

#[test]
fn deleting_records_moves_the_start() {
    on_a_partition(|partition| async move {
        for _ in 0..3 {
            append(&partition, &from_producer(1, 0, partition.log_end().get() as i32, 2)).unwrap();
        }
        durable(&partition).await;
        assert_eq!(partition.delete_records(Offset::new(3)).await.unwrap(), Offset::new(3));
        assert_eq!(partition.delete_records(Offset::new(1)).await.unwrap(), Offset::new(3));
        let error = partition.delete_records(Offset::new(7)).await.unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { .. }));
        assert_eq!(partition.fetch(&fetch_at(2)).err().unwrap().code(), ErrorCode::OffsetOutOfRange);
        let earliest = partition.offset_for(OffsetQuery::Earliest, Isolation::ReadUncommitted).await.unwrap().unwrap();
        assert_eq!((earliest.offset, earliest.leader_epoch), (Offset::new(3), EPOCH));
        assert_eq!(partition.delete_records(Offset::NONE).await.unwrap(), Offset::new(6));
        // The producer's sequence outlives its data.
        let error = append(&partition, &from_producer(1, 0, 9, 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::OutOfOrderSequenceNumber);
        append(&partition, &from_producer(1, 0, 6, 1)).unwrap();
    });
}

/// Producers, watermarks and records across two starts; `clean` says how the first run ends.
fn survives_a_start(clean: bool, settings: LogSettings) {
    let folder = tempfile::tempdir().unwrap();
    ottla_reactor::block_on(async {
        let partition = start(&folder, settings).await;
        for i in 0..20 {
            append(&partition, &from_producer(1, 2, i, 1)).unwrap();
        }
        durable(&partition).await;
        if clean {
            partition.store().stop().await.unwrap();
        }
    })
    .unwrap();
    ottla_reactor::block_on(async {
        let partition = start(&folder, settings).await;
        assert_eq!((partition.high_watermark(), partition.log_end()), (Offset::new(20), Offset::new(20)));
        for i in 15..20 {
            let again = append(&partition, &from_producer(1, 2, i, 1)).unwrap();
            assert_eq!((again.base_offset, again.bytes), (Offset::new(i64::from(i)), 0));
        }
        let error = append(&partition, &from_producer(1, 2, 21, 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::OutOfOrderSequenceNumber);
        let error = append(&partition, &from_producer(1, 1, 20, 1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidProducerEpoch);
        assert_eq!(append(&partition, &from_producer(1, 2, 20, 1)).unwrap().base_offset, Offset::new(20));
        let mut seen = Vec::new();
        // Older records come in portions.
        while seen.len() < 20 {
            let from = seen.last().map_or(0, |&(offset, ..): &(i64, i32, i64)| offset + 1);
            seen.extend(read(&partition, &fetch_at(from)).await);
        }
        assert!(seen.iter().map(|(offset, ..)| *offset).take(20).eq(0..20));
    })
    .unwrap();
}

#[test]
fn producers_survive_a_clean_stop() {
    survives_a_start(true, LogSettings::default());
}

#[test]
fn producers_survive_a_crash() {
    survives_a_start(false, LogSettings::default());
}

#[test]
fn producers_survive_rolled_segments() {
    for clean in [true, false] {
        survives_a_start(clean, LogSettings { segment_bytes: 300, ..LogSettings::default() });
    }
}

/// One step of a broker's life.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A batch: producer, change of its epoch, distance from the sequence that comes next, records.
    Batch(i64, i16, i32, i32),
    /// The broker stops, cleanly or not, and starts again.
    Restart { clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let delta = prop_oneof![4 => Just(0), 1 => -8i32..4];
    let epoch = prop_oneof![9 => Just(0i16), 1 => -1i16..2];
    let batch =
        (0i64..3, epoch, delta, 1i32..4).prop_map(|(id, epoch, delta, count)| Step::Batch(id, epoch, delta, count));
    proptest::collection::vec(
        prop_oneof![15 => batch, 1 => any::<bool>().prop_map(|clean| Step::Restart { clean })],
        1..80,
    )
}

/// Sends one batch to partition and history; both must decide alike.
fn both_append(partition: &Partition, history: &mut History, step: (i64, i16, i32, i32)) {
    let (producer, epoch_change, delta, count) = step;
    let known =
        history.of_latest_epoch(ProducerId::new(producer)).last().map(|last| (last.epoch.get(), last.last_sequence));
    let (epoch, next) = known.map_or((1, 0), |(epoch, last)| (epoch, last.plus(1).get()));
    let epoch = (epoch + epoch_change).max(0);
    let sequence = if epoch_change > 0 && delta == 0 { 0 } else { (next + delta).max(0) };
    let expected = history.append(arrival(producer, epoch, sequence, count, partition.log_end().get()));
    let end = partition.log_end();
    let found = append(partition, &from_producer(producer, epoch, sequence, count as usize));
    match (found, expected) {
        (Ok(found), Ok(repeated)) => {
            assert_eq!(found.base_offset, repeated.unwrap_or(end), "{step:?}");
            assert_eq!(found.bytes == 0, repeated.is_some(), "{step:?}");
        }
        (found, expected) => assert_eq!(found.map(drop).map_err(|error| error.code()), expected.map(drop), "{step:?}"),
    }
}

/// Takes the steps up to the next restart; says how many, and whether that restart is clean.
async fn live(folder: &TempDir, history: &mut History, steps: &[Step]) -> usize {
    let partition = start(folder, LogSettings { segment_bytes: 700, ..LogSettings::default() }).await;
    let end = history.0.last().map_or(Offset::ZERO, |last| last.last_offset.plus(1));
    assert_eq!((partition.log_end(), partition.high_watermark()), (end, end));
    for (taken, step) in steps.iter().enumerate() {
        match *step {
            Step::Batch(producer, epoch, delta, count) => {
                both_append(&partition, history, (producer, epoch, delta, count));
            }
            Step::Restart { clean } => {
                durable(&partition).await;
                if clean {
                    partition.store().stop().await.unwrap();
                }
                return taken + 1;
            }
        }
    }
    steps.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn decides_as_the_whole_history_does_across_restarts(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::default();
        let mut rest = &steps[..];
        while !rest.is_empty() {
            let taken = ottla_reactor::block_on(live(&folder, &mut history, rest)).unwrap();
            rest = &rest[taken..];
        }
    }
}
