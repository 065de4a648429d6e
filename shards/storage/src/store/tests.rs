use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use ottla_batch::{Batch, Builder, Stamp};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

use crate::write_out::{Goal, write_out};
use crate::*;

pub(crate) fn spec(partition: i32) -> LogSpec {
    let key = TopicPartition::new(TopicId::from_bytes([7; 16]), PartitionIndex::new(partition));
    LogSpec { key, topic: "orders".into() }
}

/// A batch of `records` records of about `bytes` bytes each.
pub(crate) fn batch(records: i32, bytes: usize, time: i64) -> Vec<u8> {
    let mut builder = Builder::new();
    for i in 0..records {
        let value = vec![(time as u8).wrapping_add(i as u8); bytes];
        builder.push(Timestamp::new(time + i64::from(i)), None, Some(&value), &[]);
    }
    builder.build()
}

/// Small enough to meet every limit in a test.
pub(crate) fn config(generation: u64) -> StoreConfig {
    StoreConfig {
        journal_file_bytes: 1 << 20,
        frame_bytes: 64 << 10,
        frame_bytes_max: 128 << 10,
        bulk_bytes: 32 << 10,
        bulk_bytes_max: 1 << 20,
        write_out_bytes: 64 << 10,
        cache_bytes: 1 << 20,
        cold_bytes: 4 << 20,
        read_ahead_bytes: 256 << 10,
        files_max: 8,
        reserve_bytes: 0,
        ..StoreConfig::with_generation(0, generation)
    }
}

pub(crate) fn append(log: &Log, bytes: &[u8]) -> Result<Ticket, StorageError> {
    let (batch, _) = Batch::parse(bytes).unwrap();
    log.append(&batch, &Stamp::at(log.end(), LeaderEpoch::new(3)))
}

/// Appends, waiting where the store says so.
pub(crate) async fn produce(store: &Store, log: &Log, bytes: &[u8]) -> Ticket {
    loop {
        match append(log, bytes) {
            Ok(ticket) => return ticket,
            Err(StorageError::Busy) => store.room(bytes.len()).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Lets `work` take its first step, which must not be its last.
pub(crate) async fn begin(mut work: Pin<&mut impl Future>) {
    poll_fn(|context| {
        assert!(work.as_mut().poll(context).is_pending(), "a disk takes its time");
        Poll::Ready(())
    })
    .await;
}

/// All offsets of a log as its batches tell, read from `from` on.
pub(crate) async fn offsets(log: &Log, from: Offset) -> Vec<i64> {
    let mut found = Vec::new();
    let mut scan = log.scan(from);
    while let Some(batch) = scan.next().await.unwrap() {
        assert!(batch.crc_matches());
        found.extend(batch.base_offset().get()..batch.next_offset().get());
    }
    found
}

#[derive(Default)]
struct Watermark(Cell<i64>);

impl LogObserver for Watermark {
    fn durable(&self, end: Offset) {
        self.0.set(end.get());
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        Some(b"producers".to_vec())
    }
}

#[test]
fn appends_are_durable_read_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    let specs = [spec(0), spec(1)];
    ottla_reactor::block_on(async {
        let recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
        assert!(recovery.report.clean);
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&specs[0], None, LogSettings::default());
        let watermark: Rc<Watermark> = Rc::default();
        let observer: Rc<dyn LogObserver> = Rc::clone(&watermark) as Rc<dyn LogObserver>;
        log.observe(Rc::downgrade(&observer));
        let ticket = append(&log, &batch(3, 100, 1000)).unwrap();
        append(&log, &batch(2, 100, 2000)).unwrap();
        assert_eq!((log.end().get(), log.durable_end().get()), (5, 0));
        store.durable(ticket).await.unwrap();
        assert_eq!((log.durable_end().get(), watermark.0.get()), (5, 5));
        let request =
            ReadRequest { from: Offset::new(1), upto: Offset::new(5), bytes_max: 1 << 20, at_least_one: true };
        let Read::Ready(records) = log.read(request).unwrap() else { panic!("the tail has it") };
        assert_eq!(records.next.get(), 5);
        assert_eq!(records.slices.iter().map(|slice| slice.len()).sum::<usize>(), records.bytes);
        assert_eq!(offsets(&log, Offset::ZERO).await, [0, 1, 2, 3, 4]);
        store.stop().await.unwrap();
        drop((log, store));

        let mut recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
        assert!(recovery.report.clean, "{:?}", recovery.report);
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&specs[0], recovery.logs.remove(&specs[0].key), LogSettings::default());
        assert_eq!(log.snapshot(), Some((Offset::new(5), b"producers".to_vec())));
        assert_eq!(offsets(&log, Offset::ZERO).await, [0, 1, 2, 3, 4]);
        append(&log, &batch(1, 10, 3000)).unwrap();
        store.durable(store.latest_ticket()).await.unwrap();
        assert_eq!(offsets(&log, Offset::new(2)).await, [0, 1, 2, 3, 4, 5]);
        drop((log, store));

        let mut recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
        assert!(!recovery.report.clean);
        assert_eq!(recovery.report.batches_restored, 1);
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&specs[0], recovery.logs.remove(&specs[0].key), LogSettings::default());
        assert_eq!(offsets(&log, Offset::ZERO).await, [0, 1, 2, 3, 4, 5]);
    })
    .unwrap();
}

#[test]
fn producers_are_put_down_while_a_segment_grows() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    let specs = [spec(0)];
    let snapshots = || {
        let listed = std::fs::read_dir(folder.path().join("topics/orders-0")).unwrap();
        let names = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        Vec::from_iter(names.filter(|name| name.ends_with(".snapshot")))
    };
    ottla_reactor::block_on(async {
        let recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
        let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
        let log = store.open_log(&specs[0], None, LogSettings::default());
        let watermark: Rc<Watermark> = Rc::default();
        let observer: Rc<dyn LogObserver> = Rc::clone(&watermark) as Rc<dyn LogObserver>;
        log.observe(Rc::downgrade(&observer));
        // More than is written without putting them down, twice; one file replaces the other.
        for i in 0..2600 {
            produce(&store, &log, &batch(1, 30_000, i)).await;
        }
        store.durable(store.latest_ticket()).await.unwrap();
        let names = snapshots();
        let [name] = &names[..] else { panic!("one snapshot, not {names:?}") };
        let (_, first) = SegmentFile::parse(name).unwrap();
        assert!(first.get() > 1300, "the second one: {name}");
        drop((log, store));

        // A crash: what is read again begins there.
        let recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
        let image = &recovery.logs[&specs[0].key];
        assert_eq!((image.end.get(), image.snapshot.clone()), (2600, Some((first, b"producers".to_vec()))));
    })
    .unwrap();
}

/// With and without a flush of its own, whatever the disk is said to like, what was acknowledged is there again.
#[test]
fn frames_become_durable_as_the_disk_is_said_to_like() {
    for (durable_write_bytes, write_bytes, flushes) in [(0, 64 << 10, true), (512 << 10, 512 << 10, false)] {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        let specs = [spec(0)];
        let disk = DiskSettings { durable_write_bytes, write_bytes, write_depth: 1 };
        ottla_reactor::block_on(async {
            let recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
            let store = Store::start(&layout, StoreConfig { disk, ..config(recovery.generation) }).await.unwrap();
            let log = store.open_log(&specs[0], None, LogSettings::default());
            for round in 0..40 {
                let ticket = produce(&store, &log, &batch(1, 20 << 10, 1000 + round)).await;
                store.durable(ticket).await.unwrap();
            }
            let flushed = store.counters().journal_flush.snapshot().count();
            assert_eq!(flushed > 0, flushes, "{flushed} flushes of their own with {disk:?}");
            drop((log, store));
            let mut recovery = recover(&layout, &specs, &RecoverOptions::default()).await.unwrap();
            let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
            let log = store.open_log(&specs[0], recovery.logs.remove(&specs[0].key), LogSettings::default());
            assert_eq!(offsets(&log, Offset::ZERO).await, (0..40).collect::<Vec<_>>());
        })
        .unwrap();
    }
}

/// A store in an empty folder, and a log in it.
async fn one_log(folder: &std::path::Path, config: impl Fn(u64) -> StoreConfig) -> (Store, Log) {
    let (layout, spec) = (Layout::below(folder), spec(0));
    let recovery = recover(&layout, std::slice::from_ref(&spec), &RecoverOptions::default()).await.unwrap();
    let store = Store::start(&layout, config(recovery.generation)).await.unwrap();
    let log = store.open_log(&spec, None, LogSettings::default());
    (store, log)
}

/// As when a flush fails while its cycle's bulk is written: whoever waited for the write-out is gone.
#[test]
fn a_write_out_that_is_given_up_leaves_what_it_would_have_written_due() {
    let folder = tempfile::tempdir().unwrap();
    ottla_reactor::block_on(async {
        let (store, log) = one_log(folder.path(), config).await;
        store.durable(append(&log, &batch(3, 100, 1000)).unwrap()).await.unwrap();
        let mut given_up = Box::pin(write_out(&log.0, Goal::Finished));
        begin(given_up.as_mut()).await;
        assert!(!log.0.state.borrow().epochs_stale, "that write-out sees to it");
        drop(given_up);
        assert!(log.0.state.borrow().epochs_stale, "nobody sees to it");
        write_out(&log.0, Goal::Finished).await.unwrap();
        let file = log.0.path().join(crate::owner::EPOCHS_FILE);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "0\n1\n3 0\n");
    })
    .unwrap();
}

/// Memory lets go of what is written, the journal only of what is flushed: one flush for several writes.
#[test]
fn what_is_written_leaves_memory_at_once_and_the_journal_with_a_later_flush() {
    let folder = tempfile::tempdir().unwrap();
    ottla_reactor::block_on(async {
        // Of so many files that the store itself sees no need to flush.
        let config = |generation| StoreConfig { journal_files: 12, ..config(generation) };
        let (store, log) = one_log(folder.path(), config).await;
        while log.0.store.files.borrow().free() < 11 {
            ottla_reactor::yield_now().await;
        }
        let counts = || (store.counters().segment_flushes.get(), store.counters().releases.get());
        // The first one makes the file, durably.
        store.durable(append(&log, &batch(1, 100, 1000)).unwrap()).await.unwrap();
        write_out(&log.0, Goal::Written).await.unwrap();
        assert_eq!(counts(), (1, 0));
        for n in 0..100 {
            store.durable(append(&log, &batch(1, 20_000, n)).unwrap()).await.unwrap();
            write_out(&log.0, Goal::Written).await.unwrap();
        }
        let (synced, evictable, sequences) = {
            let state = log.0.state.borrow();
            assert_eq!(state.evictable(), state.tail.end());
            (state.synced, state.evictable(), (state.dirty_since, state.written.sequence))
        };
        assert!(synced < evictable, "{synced} of {evictable} bytes are flushed, which nobody asked for");
        assert!(sequences.0.is_some_and(|since| since < sequences.1), "{sequences:?}: still in the first file");
        let before = counts();
        write_out(&log.0, Goal::Released).await.unwrap();
        assert_eq!(counts(), (before.0 + 1, before.1 + 1), "a flush and no write");
        let state = log.0.state.borrow();
        assert_eq!((state.synced, state.dirty_since), (evictable, None));
    })
    .unwrap();
}

/// What went past the journal is in its segment only, and may be lost there until it is flushed.
#[test]
fn what_went_past_the_journal_stays_in_memory_until_it_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    ottla_reactor::block_on(async {
        let (store, log) = one_log(folder.path(), config).await;
        store.durable(append(&log, &batch(1, 100, 1000)).unwrap()).await.unwrap();
        write_out(&log.0, Goal::Durable).await.unwrap();
        let ticket = append(&log, &batch(1, 60_000, 1)).unwrap();
        {
            let state = log.0.state.borrow();
            assert_eq!(state.evictable(), state.synced);
            assert!(state.bulk_until > state.synced);
        }
        write_out(&log.0, Goal::Written).await.unwrap();
        {
            let state = log.0.state.borrow();
            assert_eq!((state.evictable(), state.synced), (state.tail.end(), state.tail.end()));
        }
        store.durable(ticket).await.unwrap();
    })
    .unwrap();
}
