use super::*;
use crate::{DiskProfile, Flush};

fn took(median_us: f64) -> Took {
    Took { median_us, p99_us: median_us * 3.0, count: 1000 }
}

fn measured() -> Measured {
    let rate = |bytes: usize, depth: usize, mib_per_second: f64| Rate { bytes: bytes << 10, depth, mib_per_second };
    let both = |kib: usize, fdatasync: f64, dsync: f64| Durable {
        bytes: kib << 10,
        fdatasync: took(fdatasync),
        dsync: took(dsync),
    };
    Measured {
        direct: true,
        shards: 2,
        idle: took(20.0),
        loaded: took(90.0),
        writes: vec![
            rate(16, 1, 2100.0),
            rate(64, 1, 900.0),
            rate(64, 8, 1500.0),
            rate(128, 8, 1950.0),
            rate(256, 8, 2000.0),
            rate(1024, 8, 2900.0),
        ],
        reads: vec![],
        durable: vec![
            both(64, 80.0, 70.0),
            both(4, 30.0, 20.0),
            both(128, 100.0, 104.0),
            both(256, 200.0, 260.0),
            both(512, 300.0, 200.0),
        ],
        files: vec![rate(256, 1, 300.0), rate(256, 8, 900.0), rate(256, 16, 1190.0), rate(256, 32, 1200.0)],
    }
}

#[test]
fn the_choice_follows_from_what_was_measured() {
    let profile = choose(&measured());
    assert_eq!(
        (profile.journal.flush, profile.journal.dsync_bytes_max),
        (Flush::Dsync, 128 << 10),
        "until two are faster"
    );
    assert_eq!(profile.segments.write_bytes, 128 << 10, "as good as 256 KiB; 16 KiB and 1 MiB are not for the broker");
    assert_eq!(profile.segments.write_depth, 8, "16 files at once, over two shards");
}

#[test]
fn a_disk_that_likes_two_operations_gets_two() {
    let mut measured = measured();
    measured.durable.iter_mut().for_each(|both| both.dsync.median_us = both.fdatasync.median_us * 1.5);
    assert_eq!(choose(&measured).journal.flush, Flush::Fdatasync);
}

#[test]
fn of_nothing_measured_follows_something_safe() {
    let profile = choose(&Measured::default());
    assert_eq!((profile.journal.flush, profile.segments.write_bytes), (Flush::Fdatasync, 256 << 10));
    assert_eq!(profile.segments.write_depth, 4);
}

#[test]
fn what_was_measured_goes_into_the_file_and_back() {
    let folder = tempfile::tempdir().unwrap();
    choose(&measured()).write(folder.path()).unwrap();
    let profile = DiskProfile::read(folder.path()).unwrap().unwrap();
    let again: Measured = profile.measured.unwrap().try_into().unwrap();
    assert_eq!(again, measured());
}

/// A real probe of this machine's disk, as short as can be: every measurement is there and none is nothing.
#[test]
fn a_disk_is_really_measured_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let shards = NonZeroUsize::new(2).unwrap();
    let probe = Probe { folder: folder.path().into(), bytes: 2 << 20, each: Duration::from_millis(1), shards };
    let mut steps = Vec::new();
    let measured = probe.run(&mut |what| steps.push(what.to_owned())).unwrap();
    assert_eq!(steps.len(), Probe::steps());
    assert_eq!((measured.writes.len(), measured.durable.len()), (BLOCK_SIZES.len() * DEPTHS.len(), FRAME_SIZES.len()));
    for rate in measured.writes.iter().chain(&measured.reads).chain(&measured.files) {
        assert!(rate.mib_per_second > 0.0, "{rate:?}");
    }
    for both in &measured.durable {
        assert!(
            both.dsync.count > 0 && both.fdatasync.count > 0 && both.dsync.p99_us >= both.dsync.median_us,
            "{both:?}"
        );
    }
    assert!(measured.idle.count > 0 && measured.loaded.count > 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn too_little_space_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let shards = NonZeroUsize::MIN;
    let probe = Probe { folder: folder.path().into(), bytes: 1 << 60, each: Duration::ZERO, shards };
    let said = probe.run(&mut |_| {}).unwrap_err().to_string();
    assert!(said.contains("MiB are needed"), "{said}");
    let probe = Probe { folder: "/nonexistent".into(), bytes: 1 << 20, ..probe };
    assert!(probe.run(&mut |_| {}).unwrap_err().to_string().contains("/nonexistent"));
}
