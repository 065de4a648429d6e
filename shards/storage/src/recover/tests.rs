use std::fs::OpenOptions;
use std::future::poll_fn;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::Poll;

use ottla_batch::{Batch, Stamp};
use ottla_reactor::simulation::{self, Disk, Ended, Kept};
use ottla_reactor::{Class, file, spawn};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};

use crate::store::tests::{append, batch, begin, config, offsets, produce, spec};
use crate::write_out::{Goal, write_out, write_plain};
use crate::*;

const STRICT: RecoverOptions = RecoverOptions { accept_loss: false };
const LENIENT: RecoverOptions = RecoverOptions { accept_loss: true };
/// The file in a folder that says to be another topic's.
const OLD_OWNER: &str = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";

/// Runs one life of a broker with one log: recovery, some work, a crash or a clean stop.
fn life(
    folder: &Path,
    options: RecoverOptions,
    clean: bool,
    work: impl AsyncFnOnce(&Store, &Log),
) -> Result<RecoveryReport, StorageError> {
    let layout = Layout::below(folder);
    let specs = [spec(0)];
    ottla_reactor::block_on(async {
        let mut recovery = recover(&layout, &specs, &options).await?;
        let store = Store::start(&layout, config(recovery.generation)).await?;
        let log = store.open_log(&specs[0], recovery.logs.remove(&specs[0].key), LogSettings::default());
        work(&store, &log).await;
        if clean {
            store.stop().await?;
        }
        drop((store, log));
        for class in [Class::Data, Class::Background, Class::Data, Class::Background] {
            spawn(class, async {}).await;
        }
        Ok(recovery.report)
    })
    .unwrap()
}

async fn append_durably(store: &Store, log: &Log, batches: usize) {
    for i in 0..batches {
        let ticket = produce(store, log, &batch(1, 500, i as i64)).await;
        store.durable(ticket).await.unwrap();
    }
}

fn journal_file(folder: &Path) -> PathBuf {
    folder.join("journal/0/000.journal")
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_torn_last_frame_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 3).await).unwrap();
    // Each frame takes one block behind the header; the third is damaged as a torn write would leave it.
    overwrite(&journal_file(folder.path()), 4096 * 3 + 200, &[0; 100]);
    let report =
        life(folder.path(), STRICT, false, async |_, log| assert_eq!(offsets(log, Offset::ZERO).await, [0, 1]))
            .unwrap();
    assert_eq!((report.frames, report.torn_frames, report.batches_restored), (2, 1, 2));
}

#[test]
fn a_bad_frame_before_good_ones_is_refused_unless_accepted() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 4).await).unwrap();
    overwrite(&journal_file(folder.path()), 4096 * 2 + 200, &[0; 100]);
    let refused = life(folder.path(), STRICT, false, async |_, _| {}).unwrap_err();
    let StorageError::Corrupt { file, at, damage } = &refused else { panic!("{refused}") };
    assert_eq!((file, *at, *damage), (&journal_file(folder.path()), 8192, Damage::FrameAmongValid));
    assert!(refused.to_string().contains("ottla log verify") && refused.to_string().contains("accept.loss=true"));
    let report =
        life(folder.path(), LENIENT, true, async |_, log| assert_eq!(offsets(log, Offset::ZERO).await, [0])).unwrap();
    assert_eq!(report.losses.len(), 2, "the frame, and the gap it leaves: {:?}", report.losses);
    life(folder.path(), STRICT, false, async |_, log| assert_eq!(log.end().get(), 1)).unwrap();
}

#[test]
fn frames_behind_a_header_that_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 3).await).unwrap();
    overwrite(&journal_file(folder.path()), 0, &[0; 4096]);
    let refused = life(folder.path(), STRICT, false, async |_, _| {}).unwrap_err();
    let named = matches!(&refused, StorageError::Corrupt { file, at: 0, damage: Damage::JournalHeader } if *file == journal_file(folder.path()));
    assert!(named, "{refused}");
    let report = life(folder.path(), LENIENT, true, async |_, log| assert_eq!(log.end().get(), 0)).unwrap();
    assert_eq!(report.losses.len(), 1, "{:?}", report.losses);
}

#[test]
fn old_frames_in_a_recycled_file_never_verify() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 5).await).unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 1).await).unwrap();
    let report = life(folder.path(), STRICT, false, async |_, log| assert_eq!(log.end().get(), 6)).unwrap();
    assert_eq!((report.frames, report.torn_frames), (1, 0));
}

#[test]
fn damage_in_what_was_written_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| {
        while store.counters().write_outs.get() == 0 {
            append_durably(store, log, 10).await;
        }
        // The mark of what was written out goes with a later frame.
        append_durably(store, log, 20).await;
    })
    .unwrap();
    let segment = folder.path().join("topics/orders-0/00000000000000000000.log");
    overwrite(&segment, 1000, &[0xff]);
    let refused = life(folder.path(), STRICT, false, async |_, _| {}).unwrap_err();
    assert!(matches!(&refused, StorageError::Corrupt { file, .. } if *file == segment), "{refused}");
}

#[test]
fn a_flipped_bit_is_found_when_it_is_read_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, true, async |store, log| append_durably(store, log, 20).await).unwrap();
    let segment = folder.path().join("topics/orders-0/00000000000000000000.log");
    let one = std::fs::metadata(&segment).unwrap().len() / 20;
    overwrite(&segment, one * 7 + 300, &[0xff]);
    life(folder.path(), STRICT, false, async |_, log| {
        let read = |from| {
            let request =
                ReadRequest { from: Offset::new(from), upto: Offset::new(20), bytes_max: 1, at_least_one: true };
            log.read(request).unwrap().records()
        };
        assert_eq!(read(6).await.unwrap().next.get(), 7);
        let error = read(7).await.unwrap_err();
        let StorageError::Corrupt { file, at, damage } = error else { panic!("{error}") };
        assert_eq!((file, at, damage), (segment, one * 7, Damage::BatchChecksum));
        assert_eq!(read(8).await.unwrap().next.get(), 9);
    })
    .unwrap();
}

#[test]
fn a_copy_taken_while_it_runs_recovers_everything_durable() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| {
        for i in 0..400 {
            produce(store, log, &batch(1, 3000, i)).await;
        }
        store.durable(store.latest_ticket()).await.unwrap();
        produce(store, log, &batch(1, 100, 0)).await;
        // The journal first: what is written out after that is there twice, which recovery must not mind.
        copy_folder(&folder.path().join("journal"), &copy.path().join("journal"));
        copy_folder(&folder.path().join("topics"), &copy.path().join("topics"));
    })
    .unwrap();
    life(copy.path(), STRICT, true, async |_, log| {
        assert!(log.end().get() >= 400);
        assert_eq!(offsets(log, Offset::ZERO).await.len() as i64, log.end().get());
    })
    .unwrap();
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn folders_of_nobody_are_set_aside_and_deleted_ones_removed() {
    let folder = tempfile::tempdir().unwrap();
    let topics = folder.path().join("topics");
    std::fs::create_dir_all(topics.join("lost-0")).unwrap();
    std::fs::create_dir_all(topics.join("gone-0.0123-delete")).unwrap();
    // A folder of our topic's name that says to be another topic's: deleted and made again.
    std::fs::create_dir_all(topics.join("orders-0")).unwrap();
    std::fs::write(topics.join("orders-0/partition.metadata"), OLD_OWNER).unwrap();
    let report = life(folder.path(), STRICT, true, async |store, log| append_durably(store, log, 1).await).unwrap();
    assert_eq!((report.removed, report.strays.len()), (1, 2), "{report:?}");
    let names: Vec<_> =
        std::fs::read_dir(&topics).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("-stray")).count(), 2, "{names:?}");
    assert!(names.contains(&"orders-0".to_owned()) && names.len() == 3);
}

/// The file is not flushed where the first batch tells the same: a power cut may leave what it was before.
#[test]
fn a_file_of_no_leaderships_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let file = written_segments(folder.path(), false).join("leader-epoch-checkpoint");
    std::fs::write(&file, "0\n0\n").unwrap();
    let first = EpochStart { epoch: LeaderEpoch::new(3), start: Offset::ZERO };
    life(folder.path(), STRICT, false, async |_, log| assert_eq!(log.epochs().entries(), [first])).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "0\n1\n3 0\n");
}

#[test]
fn leaderships_of_records_that_are_gone_go_too() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, true, async |_, _| {}).unwrap();
    let old = folder.path().join("topics/orders-0");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("partition.metadata"), crate::owner::to_file(spec(0).key.topic)).unwrap();
    std::fs::write(old.join("leader-epoch-checkpoint"), "0\n1\n2 0\n").unwrap();
    life(folder.path(), STRICT, true, async |_, log| {
        assert_eq!(log.epochs().entries(), []);
        assert!(!old.join("leader-epoch-checkpoint").exists());
    })
    .unwrap();
}

/// What a deleted topic of our topic's name left: its folder, which says whose it is, and a segment.
fn leave_old_topic(topics: &Path) {
    std::fs::create_dir_all(topics.join("orders-0")).unwrap();
    std::fs::write(topics.join("orders-0/partition.metadata"), OLD_OWNER).unwrap();
    std::fs::write(topics.join("orders-0/00000000000000000000.log"), [7; 10_000]).unwrap();
}

#[test]
fn a_folder_that_appears_after_a_log_was_found_without_one_is_set_aside() {
    for clean in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        // After the second start the checkpoint of recovery knows the log as well.
        life(folder.path(), STRICT, true, async |_, _| {}).unwrap();
        life(folder.path(), STRICT, clean, async |_, _| {}).unwrap();
        leave_old_topic(&folder.path().join("topics"));
        let report =
            life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 3).await).unwrap();
        assert_eq!((report.clean, report.strays.len()), (false, 1), "{report:?}");
        let found =
            life(folder.path(), STRICT, true, async |_, log| assert_eq!(offsets(log, Offset::ZERO).await, [0, 1, 2]));
        assert_eq!(found.unwrap().strays.len(), 0);
    }
}

#[test]
fn a_folder_that_a_failed_deletion_left_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, true, async |store, log| {
        append_durably(store, log, 3).await;
        leave_old_topic(&folder.path().join("topics"));
    })
    .unwrap();
    let topics = std::fs::read_dir(folder.path().join("topics")).unwrap();
    let mut bytes: Vec<_> = topics.map(|entry| segment_bytes(&entry.unwrap().path())).collect();
    bytes.sort_unstable();
    assert!(bytes.len() == 2 && bytes[0] < 10_000 && bytes[1] == 10_000, "{bytes:?}");
    let report =
        life(folder.path(), STRICT, true, async |_, log| assert_eq!(offsets(log, Offset::ZERO).await, [0, 1, 2]));
    assert!(report.unwrap().clean);
}

fn segment_bytes(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("00000000000000000000.log")).unwrap().len()
}

/// A process that died may have renamed a deleted log's folder and not have flushed that: recovery does, before it removes
/// what would tell the next one.
#[test]
fn a_deleted_folder_that_recovery_removed_does_not_come_back_under_its_old_name() {
    for seed in 0..50 {
        let disk = Disk::new(seed, 1 << 30);
        let layout = Layout::below("/data");
        let topics = layout.topics();
        on_disk(&disk, seed, async {
            layout.create().await.unwrap();
            let old = topics.join("orders-0");
            file::create_dir_all(&old).await.unwrap();
            write_plain(&old.join("partition.metadata"), OLD_OWNER.as_bytes(), true).await.unwrap();
            file::sync_dir(&old).await.unwrap();
            file::rename(&old, &topics.join("orders-0.0123-delete")).await.unwrap();
        });
        disk.crash(Kept::AllDone);
        let report = on_disk(&disk, seed, async { recover(&layout, &[spec(0)], &STRICT).await.unwrap().report });
        assert_eq!((report.clean, report.removed), (true, 1));
        disk.crash(Kept::Flushed);
        let report = on_disk(&disk, seed, async { recover(&layout, &[spec(0)], &STRICT).await.unwrap().report });
        assert_eq!((report.clean, report.strays.len()), (true, 0), "seed {seed}");
    }
}

/// Runs something on a simulated disk to its end.
fn on_disk<T>(disk: &Disk, seed: u64, work: impl Future<Output = T>) -> T {
    match simulation::run(disk, seed, work) {
        Ended::Done(done) => done,
        Ended::Crashed => panic!("nobody asked for a crash"),
    }
}

/// A leadership whose records a crash took leaves the file that told of it. Were that file only written over, a power cut could
/// bring back what it said, and the records that came in their place would be of a leadership that never wrote them.
#[test]
fn a_leadership_whose_records_are_gone_does_not_come_back() {
    let only = EpochStart { epoch: LeaderEpoch::new(3), start: Offset::ZERO };
    for seed in 0..50 {
        let disk = Disk::new(seed, 1 << 30);
        let layout = Layout::below("/data");
        let file = layout.topics().join("orders-0/leader-epoch-checkpoint");
        on_disk(&disk, seed, async {
            written_out(&layout).await;
            write_plain(&file, b"0\n2\n3 0\n5 20\n", true).await.unwrap();
        });
        disk.crash(Kept::AllDone);
        on_disk(&disk, seed, async { assert_eq!(written_out(&layout).await.1.epochs().entries(), [only]) });
        disk.crash(Kept::Flushed);
        on_disk(&disk, seed, async {
            let mut recovered = recover(&layout, &[spec(0)], &STRICT).await.unwrap();
            let image = recovered.logs.remove(&spec(0).key).unwrap();
            assert_eq!((image.epochs.entries(), image.end.get()), ([only].as_slice(), 40), "seed {seed}");
        });
    }
}

/// Else a power cut that takes a new segment's name would leave a file that tells of more than there is.
#[test]
fn a_leadership_is_not_put_down_before_its_records() {
    for seed in 0..50 {
        let (disk, layout) = (Disk::new(seed, 1 << 30), Layout::below("/data"));
        let told =
            || disk.content("/data/topics/orders-0/leader-epoch-checkpoint").is_some_and(|it| it.ends_with(b"5 20\n"));
        on_disk(&disk, seed, async {
            let (_store, log) = written_out(&layout).await;
            log.set_settings(LogSettings { segment_bytes: 1, ..LogSettings::default() });
            // So large that it is not in the journal as well.
            let bytes = batch(1, 40_000, 0);
            let (new, _) = Batch::parse(&bytes).unwrap();
            log.append(&new, &Stamp::at(log.end(), LeaderEpoch::new(5))).unwrap();
            let mut writing = pin!(write_out(&log.0, Goal::Durable));
            poll_fn(|context| match writing.as_mut().poll(context) {
                Poll::Ready(_) => panic!("seed {seed}: the file says nothing of it"),
                Poll::Pending if told() => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            })
            .await;
        });
        disk.crash(Kept::Flushed);
        let told = told();
        let mut recovered = on_disk(&disk, seed, async { recover(&layout, &[spec(0)], &STRICT).await.unwrap() });
        let end = recovered.logs.remove(&spec(0).key).unwrap().end;
        assert!(end.get() == 21 || !told, "seed {seed}: {end}");
    }
}

#[test]
fn leaderships_are_put_down_where_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, true, async |store, log| {
        append_durably(store, log, 20).await;
        write_out(&log.0, Goal::Finished).await.unwrap();
        log.advance_start(Offset::new(10)).await.unwrap();
    })
    .unwrap();
    let file = folder.path().join("topics/orders-0/leader-epoch-checkpoint");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "0\n1\n3 10\n");
}

/// A start, after which 20 more records are written and flushed where they stay.
async fn written_out(layout: &Layout) -> (Store, Log) {
    layout.create().await.unwrap();
    let mut recovered = recover(layout, &[spec(0)], &STRICT).await.unwrap();
    let store = Store::start(layout, config(recovered.generation)).await.unwrap();
    let log = store.open_log(&spec(0), recovered.logs.remove(&spec(0).key), LogSettings::default());
    append_durably(&store, &log, 20).await;
    write_out(&log.0, Goal::Durable).await.unwrap();
    (store, log)
}

/// A segment that was begun puts down the producers' state for its first offset; a crash may take the records before that.
#[test]
fn a_producers_state_of_records_that_are_gone_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("topics/orders-0/00000000000000000029.snapshot");
    life(folder.path(), STRICT, true, async |store, log| append_durably(store, log, 20).await).unwrap();
    // A life that crashes before anything of it is durable, but for that file.
    life(folder.path(), STRICT, false, async |_, _| std::fs::write(&snapshot, "of another life").unwrap()).unwrap();
    life(folder.path(), STRICT, false, async |store, log| {
        assert!(!snapshot.exists());
        append_durably(store, log, 20).await;
    })
    .unwrap();
    life(folder.path(), STRICT, false, async |_, log| assert_eq!(log.snapshot(), None)).unwrap();
}

#[test]
fn deleting_leaves_nothing_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| {
        append_durably(store, log, 200).await;
        store.delete_log(log.key()).await.unwrap();
        assert!(matches!(append(log, &batch(1, 1, 1)), Err(StorageError::Deleted)));
        let request = ReadRequest { from: Offset::ZERO, upto: Offset::new(1), bytes_max: 1, at_least_one: true };
        assert!(matches!(log.read(request), Err(StorageError::Deleted)));
        assert_eq!(std::fs::read_dir(folder.path().join("topics")).unwrap().count(), 0);
    })
    .unwrap();
}

#[test]
fn removing_the_oldest_records_of_a_deleted_log_spares_the_next_one_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, false, async |store, log| {
        log.set_settings(LogSettings { segment_bytes: 20_000, ..LogSettings::default() });
        append_durably(store, log, 200).await;
        write_out(&log.0, Goal::Durable).await.unwrap();
        let mut trim = pin!(log.advance_start(Offset::new(150)));
        begin(trim.as_mut()).await;
        store.delete_log(log.key()).await.unwrap();
        let key = TopicPartition::new(TopicId::from_bytes([8; 16]), PartitionIndex::new(0));
        let next = store.open_log(&LogSpec { key, ..spec(0) }, None, LogSettings::default());
        append_durably(store, &next, 200).await;
        write_out(&next.0, Goal::Durable).await.unwrap();
        assert!(matches!(trim.await, Err(StorageError::Deleted)));
        assert!(folder.path().join("topics/orders-0/00000000000000000000.log").exists());
    })
    .unwrap();
}

#[test]
fn another_process_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::below(folder.path());
    ottla_reactor::block_on(async {
        layout.create().await.unwrap();
        let held = layout.lock().unwrap();
        let refused = layout.lock().unwrap_err();
        assert!(refused.to_string().ends_with(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(held);
    })
    .unwrap();
}

/// Overwrites a file with entries that are wrong: each leads to the segment's second byte.
fn ruin(path: &Path) {
    let len = std::fs::metadata(path).unwrap().len();
    assert!(len > 0, "{} has nothing to ruin", path.display());
    overwrite(path, 0, &[0, 0, 0, 1].repeat(len as usize / 4));
}

/// One life that writes finished segments with indexes; gives the folder of the log.
fn written_segments(folder: &Path, clean: bool) -> PathBuf {
    life(folder, STRICT, clean, async |store, log| {
        log.set_settings(LogSettings { segment_bytes: 100_000, ..LogSettings::default() });
        append_durably(store, log, 400).await;
    })
    .unwrap();
    folder.join("topics/orders-0")
}

#[test]
fn a_missing_first_segment_is_refused_also_where_no_checkpoint_knew_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = written_segments(folder.path(), false).join("00000000000000000000.log");
    std::fs::remove_file(&first).unwrap();
    let refused = life(folder.path(), STRICT, false, async |_, _| {}).unwrap_err();
    let missing =
        matches!(&refused, StorageError::Corrupt { file, damage: Damage::SegmentMissing, .. } if *file == first);
    assert!(missing, "{refused}");
    let report = life(folder.path(), LENIENT, true, async |_, log| assert!(log.start().get() > 0)).unwrap();
    assert_eq!(report.losses.len(), 1, "{:?}", report.losses);
    life(folder.path(), STRICT, true, async |_, log| assert_eq!(log.end().get(), 400)).unwrap();
}

#[test]
fn a_damaged_index_costs_time_and_is_made_anew() {
    for missing in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let log_folder = written_segments(folder.path(), true);
        let files = ["00000000000000000000.index", "00000000000000000000.timeindex"].map(|name| log_folder.join(name));
        let sound = files.clone().map(|file| std::fs::read(file).unwrap());
        assert!(sound[0].len() > 3 * INDEX_ENTRY_BYTES);
        for file in &files {
            if missing { std::fs::remove_file(file).unwrap() } else { ruin(file) }
        }
        life(folder.path(), STRICT, true, async |_, log| {
            for offset in [150, 3, 99, 399] {
                let request =
                    ReadRequest { from: Offset::new(offset), upto: Offset::new(400), bytes_max: 1, at_least_one: true };
                let records = log.read(request).unwrap().records().await.unwrap();
                assert_eq!(records.next.get(), offset + 1);
            }
            // Records are a millisecond apart: offset and time are the same.
            let found = log.offset_for_timestamp(ottla_units::Timestamp::new(120), Offset::new(400)).await.unwrap();
            assert_eq!(found.map(|(offset, _)| offset.get()), Some(120));
        })
        .unwrap();
        if !missing {
            assert_eq!(files.clone().map(|file| std::fs::read(file).unwrap()), sound);
        }
    }
}

#[test]
fn a_damaged_index_of_the_active_segment_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("topics/orders-0/00000000000000000000.index");
    life(folder.path(), STRICT, true, async |store, log| append_durably(store, log, 100).await).unwrap();
    let sound = std::fs::read(&index).unwrap();
    ruin(&index);
    life(folder.path(), STRICT, true, async |store, log| {
        let request = ReadRequest { from: Offset::new(90), upto: Offset::new(100), bytes_max: 1, at_least_one: true };
        assert_eq!(log.read(request).unwrap().records().await.unwrap().next.get(), 91);
        append_durably(store, log, 100).await;
        assert_eq!(offsets(log, Offset::ZERO).await.len(), 200);
    })
    .unwrap();
    let grown = std::fs::read(&index).unwrap();
    assert!(grown.len() > sound.len() && grown.starts_with(&sound), "{} bytes, {} before", grown.len(), sound.len());
}

#[test]
fn recovery_does_without_a_damaged_index() {
    let folder = tempfile::tempdir().unwrap();
    life(folder.path(), STRICT, true, async |store, log| append_durably(store, log, 300).await).unwrap();
    life(folder.path(), STRICT, false, async |store, log| append_durably(store, log, 5).await).unwrap();
    ruin(&folder.path().join("topics/orders-0/00000000000000000000.index"));
    let report = life(folder.path(), STRICT, true, async |_, log| {
        assert_eq!(offsets(log, Offset::ZERO).await.len(), 305);
    });
    assert_eq!(report.unwrap().batches_restored, 5);
}
