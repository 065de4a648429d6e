use std::path::{Path, PathBuf};

use super::ground::{Disk, can, text};
use super::{create, has_given_up, has_said, refused, says, start, verify};
use crate::harness::{Broker, folder};
use crate::ledger::{Ledger, STORAGE_ERROR, connect};

const MOST: usize = 600;

/// A topic of two partitions, the second on a disk of its own; what was written before is on the disks only.
struct Scene {
    _place: tempfile::TempDir,
    data: PathBuf,
    disk: Disk,
    ledger: Ledger,
    broker: Broker,
}

impl Scene {
    fn new() -> Scene {
        let place = folder();
        let data = place.path().join("data");
        let broker = start(&data, &[]);
        create(&broker, "t", "2", &[]);
        let mut ledger = Ledger::new("t", 20_000);
        let mut cluster = connect(&broker);
        for _ in 0..60 {
            assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
        }
        assert!(broker.stop().success());
        let disk = Disk::over(&data.join("topics/t-1"), 64);
        let broker = start(&data, &[]);
        Scene { _place: place, data, disk, ledger, broker }
    }
}

#[test]
fn a_read_that_fails_fails_its_partition_alone() {
    if !can("failing reads") {
        return;
    }
    let scene = Scene::new();
    scene.disk.fail();
    let mut cluster = connect(&scene.broker);
    assert_eq!(scene.ledger.read(&mut cluster, 1), Err(STORAGE_ERROR));
    scene.ledger.check(&scene.broker, &[0]);
    // The line names the file.
    says(&scene.broker, &["a read failed", "t-1/00000000000000000000.", "Input/output error"]);
    // It still serves, and once the disk is well again so is the partition after a restart.
    assert_eq!(scene.ledger.read(&mut cluster, 1), Err(STORAGE_ERROR));
    scene.broker.kill();
    scene.disk.mend();
    let broker = start(&scene.data, &[]);
    scene.ledger.check(&broker, &[0, 1]);
    assert!(broker.stop().success());
}

/// What a segment cannot take is in the journal, which can never be used again then: the broker gives up, and a start on a mended
/// disk has everything.
#[test]
fn a_write_to_a_segment_that_fails_ends_the_broker_and_nothing_is_lost() {
    if !can("failing writes") {
        return;
    }
    let mut scene = Scene::new();
    scene.disk.fail();
    let mut cluster = connect(&scene.broker);
    // Acknowledged: the journal has it. Behind it the segment is written, and that fails.
    scene.ledger.bytes = 200_000;
    for _ in 0..MOST {
        match scene.ledger.write(&mut cluster, &[1]).map(|codes| codes[0]) {
            Ok(0) => {}
            Ok(code) => {
                assert_eq!(code, STORAGE_ERROR);
                break;
            }
            Err(_) => break,
        }
    }
    has_given_up(
        scene.broker,
        &["storage failed", "t-1/00000000000000000000.log", "Input/output error", "mend the disk"],
    );
    has_said(&refused(&scene.data, &[]), &["t-1", "Input/output error"]);
    scene.disk.mend();
    let broker = start(&scene.data, &[]);
    scene.ledger.check(&broker, &[0, 1]);
    assert!(broker.stop().success());
    verify(&scene.data, &scene.data.join("journal"));
}

/// Writes until the broker does not answer well any more.
fn write_until_it_fails(ledger: &mut Ledger, broker: &Broker) {
    let mut cluster = connect(broker);
    for _ in 0..MOST {
        match ledger.write(&mut cluster, &[0]).map(|codes| codes[0]) {
            Ok(0) => {}
            Ok(code) => return assert_eq!(code, STORAGE_ERROR),
            Err(_) => return,
        }
    }
    panic!("{MOST} records were acknowledged on a broken disk; it said:\n{}", broker.log());
}

#[test]
fn a_journal_that_cannot_be_flushed_ends_the_broker() {
    if !can("failing flushes") {
        return;
    }
    let (place, disk) = (folder(), Disk::new(160));
    let data = place.path().join("data");
    let journal = format!("ottla.journal.dir={}", text(disk.folder()));
    let broker = start(&data, &[&journal]);
    create(&broker, "t", "1", &[]);
    let mut ledger = Ledger::new("t", 1_000);
    ledger.write_until(&mut connect(&broker), 0, 0, MOST);
    disk.fail();
    write_until_it_fails(&mut ledger, &broker);
    has_given_up(broker, &["nothing more is acknowledged", text(disk.folder()), "Input/output error", "mend the disk"]);
    has_said(&refused(&data, &[&journal]), &[text(disk.folder()), "Input/output error"]);
    disk.mend();
    let broker = start(&data, &[&journal]);
    ledger.check(&broker, &[0]);
    assert!(broker.stop().success());
}

#[test]
fn a_disk_that_turns_read_only_ends_the_broker() {
    if !can("a read-only disk") {
        return;
    }
    let disk = Disk::new(256);
    let data = disk.folder().join("data");
    let broker = start(&data, &[]);
    create(&broker, "t", "1", &[]);
    let mut ledger = Ledger::new("t", 1_000);
    for _ in 0..50 {
        ledger.write_until(&mut connect(&broker), 0, 0, MOST);
    }
    disk.turn_read_only();
    write_until_it_fails(&mut ledger, &broker);
    has_given_up(broker, &["nothing more is acknowledged", "Read-only file system"]);
    has_said(&refused(&data, &[]), &["Read-only file system"]);
    disk.mend();
    let broker = start(&data, &[]);
    ledger.check(&broker, &[0]);
    assert!(broker.stop().success());
    verify(&data, &data.join("journal"));
}

#[test]
fn metadata_that_cannot_be_flushed_ends_the_broker() {
    if !can("failing flushes of metadata") {
        return;
    }
    let place = folder();
    let data = place.path().join("data");
    let broker = start(&data, &[]);
    create(&broker, "t", "1", &[]);
    let mut ledger = Ledger::new("t", 1_000);
    ledger.write_until(&mut connect(&broker), 0, 0, MOST);
    assert!(broker.stop().success());
    let disk = Disk::over(&data.join("metadata"), 16);
    let broker = start(&data, &[]);
    disk.fail();
    let said = broker.say(&["topic", "create", "u", "--timeout", "5"]);
    assert_ne!(said.status, Some(0), "{said:?}");
    has_given_up(broker, &["metadata", "Input/output error"]);
    has_said(&refused(&data, &[]), &["metadata", "Input/output error"]);
    disk.mend();
    let broker = start(&data, &[]);
    ledger.check(&broker, &[0]);
    assert!(!broker.say(&["topic", "list"]).ok().contains('u'));
    create(&broker, "u", "1", &[]);
    assert!(broker.stop().success());
    assert!(Path::new(&data).exists());
}
