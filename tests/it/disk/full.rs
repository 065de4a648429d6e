use kafka_protocol::messages::InitProducerIdRequest;
use ottla::client::Cluster;

use super::ground::{Disk, can, text};
use super::{create, has_said, refused, says, start, verify};
use crate::harness::{Broker, folder};
use crate::ledger::{Ledger, STORAGE_ERROR, connect};

/// Requests after which anything must have happened that is waited for.
const MOST: usize = 600;
/// Bytes of a record that goes past the journal, and of one that goes through it.
const BULK: usize = 700_000;
const SMALL: usize = 20_000;

/// A topic of two partitions on a small disk whose journal is elsewhere.
struct Scene {
    disk: Disk,
    data: std::path::PathBuf,
    journal: tempfile::TempDir,
}

impl Scene {
    fn new(mib: u64) -> Scene {
        let disk = Disk::new(mib);
        let data = disk.folder().join("data");
        Scene { disk, data, journal: folder() }
    }

    fn start(&self, more: &[&str]) -> Broker {
        let journal = format!("ottla.journal.dir={}", text(self.journal.path()));
        let more: Vec<&str> = more.iter().copied().chain([&*journal]).collect();
        start(&self.data, &more)
    }

    /// Everything acknowledged is there, now and after a kill and a restart; the files are sound after a clean stop.
    #[track_caller]
    fn ends_well(&self, broker: Broker, ledger: &Ledger, partitions: &[i32]) {
        ledger.check(&broker, partitions);
        broker.kill();
        let broker = self.start(&[]);
        ledger.check(&broker, partitions);
        assert!(broker.stop().success());
        verify(&self.data, self.journal.path());
    }
}

#[test]
fn records_fill_the_disk_and_space_returns() {
    if !can("a disk full of records") {
        return;
    }
    let scene = Scene::new(96);
    let broker = scene.start(&[]);
    create(&broker, "t", "2", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", 200_000);
    let ballast = scene.disk.fill(40 << 20);
    ledger.write_until(&mut cluster, 0, STORAGE_ERROR, MOST);
    let before = ledger.acked();
    assert!(before > 10, "only {before} records fit");
    says(&broker, &["the disk is full; appends are refused"]);
    // Reads go on.
    ledger.check(&broker, &[0, 1]);
    drop(ballast);
    ledger.write_until(&mut cluster, 1, 0, MOST);
    says(&broker, &["the disk has space again"]);
    scene.ends_well(broker, &ledger, &[0, 1]);
}

/// Another program takes all space while large batches come, which are nowhere but in their segments.
#[test]
fn a_large_batch_meets_a_full_disk_and_others_go_on() {
    if !can("a large batch on a full disk") {
        return;
    }
    let scene = Scene::new(128);
    let broker = scene.start(&[]);
    create(&broker, "t", "3", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", BULK);
    ledger.write_until(&mut cluster, 0, 0, MOST);
    let ballast = scene.disk.fill(0);
    // Whether it is taken or refused: it is answered, and so is what comes after it. The broker looks at the disk only once in a
    // while, so the first ones are taken.
    ledger.write(&mut cluster, &[0]).expect("an answer while the disk is full");
    ledger.bytes = SMALL;
    ledger.write(&mut cluster, &[1, 2]).expect("an answer while the disk is full");
    ledger.bytes = BULK;
    ledger.write_until(&mut cluster, 0, STORAGE_ERROR, MOST);
    says(&broker, &["no space for a large append: it goes through the journal"]);
    ledger.check(&broker, &[0, 1, 2]);
    drop(ballast);
    ledger.write_until(&mut cluster, 0, 0, MOST);
    ledger.bytes = SMALL;
    ledger.write_until(&mut cluster, 2, 0, MOST);
    scene.ends_well(broker, &ledger, &[0, 1, 2]);
}

/// A kill while the disk is full: what was acknowledged then is only in the journal.
#[test]
fn what_was_acknowledged_on_a_full_disk_survives_a_kill() {
    if !can("a kill on a full disk") {
        return;
    }
    let scene = Scene::new(128);
    let broker = scene.start(&[]);
    create(&broker, "t", "2", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", BULK);
    ledger.write_until(&mut cluster, 0, 0, MOST);
    let ballast = scene.disk.fill(0);
    ledger.write(&mut cluster, &[0]).expect("an answer while the disk is full");
    ledger.write_until(&mut cluster, 1, STORAGE_ERROR, MOST);
    broker.kill();
    drop(ballast);
    let broker = scene.start(&[]);
    scene.ends_well(broker, &ledger, &[0, 1]);
}

/// Segments that roll need index files, for which there is no space.
#[test]
fn an_index_meets_a_full_disk() {
    if !can("an index on a full disk") {
        return;
    }
    let scene = Scene::new(96);
    let broker = scene.start(&[]);
    create(&broker, "t", "2", &["segment.bytes=1048576"]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", SMALL);
    // Nearly a segment in each; the next records roll them.
    for _ in 0..48 {
        assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
    }
    let ballast = scene.disk.fill(0);
    ledger.write_until(&mut cluster, 0, STORAGE_ERROR, MOST);
    ledger.check(&broker, &[0, 1]);
    drop(ballast);
    ledger.write_until(&mut cluster, 0, 0, MOST);
    ledger.write_until(&mut cluster, 1, 0, MOST);
    for _ in 0..60 {
        assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
    }
    scene.ends_well(broker, &ledger, &[0, 1]);
}

#[test]
fn a_journal_that_does_not_fit_is_refused_with_its_folder() {
    if !can("a disk too small for a journal") {
        return;
    }
    let disk = Disk::new(32);
    let data = folder();
    let journal = format!("ottla.journal.dir={}", text(disk.folder()));
    let ballast = disk.fill(2 << 20);
    let said = refused(data.path(), &[&journal]);
    has_said(&said, &["cannot reserve space for the journal in", "no storage space", text(disk.folder())]);
    drop(ballast);
    let broker = start(data.path(), &[&journal]);
    create(&broker, "t", "1", &[]);
    assert!(broker.stop().success());
}

/// The journal has its space from the start on: somebody else who takes the rest of its disk does it no harm.
#[test]
fn a_full_disk_does_not_stop_a_journal_that_has_its_space() {
    if !can("a journal on a full disk") {
        return;
    }
    let disk = Disk::new(160);
    let data = folder();
    let journal = format!("ottla.journal.dir={}", text(disk.folder()));
    let broker = start(data.path(), &[&journal]);
    create(&broker, "t", "2", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", SMALL);
    ledger.write_until(&mut cluster, 0, 0, MOST);
    let _ballast = disk.fill(0);
    // Several times the journal's size: its files are used again and again.
    ledger.bytes = 200_000;
    for _ in 0..400 {
        assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
    }
    ledger.check(&broker, &[0, 1]);
    broker.kill();
    let broker = start(data.path(), &[&journal]);
    ledger.check(&broker, &[0, 1]);
    assert!(broker.stop().success());
}

/// The code that an idempotent producer is answered with when it asks who it is.
fn producer_id(cluster: &mut Cluster) -> i16 {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX);
    cluster.any().expect("a connection").call(4, |_| request).expect("an answer").1.error_code
}

#[test]
fn topics_cannot_be_made_on_a_full_disk_and_can_again() {
    if !can("metadata on a full disk") {
        return;
    }
    let scene = Scene::new(64);
    let broker = scene.start(&[]);
    create(&broker, "before", "1", &[]);
    let ballast = scene.disk.fill(0);
    let mut made = 0;
    let refusal = loop {
        // The log's last block has some room.
        let said = broker.say(&["topic", "create", &format!("full-{made}"), "-p", "100"]);
        if said.status != Some(0) {
            break said.err;
        }
        made += 1;
        assert!(made < 200, "two hundred topics are made on a full disk");
    };
    has_said(&refusal, &["KAFKA_STORAGE_ERROR"]);
    says(&broker, &["metadata not changed", "No space left"]);
    let mut cluster = connect(&broker);
    let mut code = 0;
    // This shard's block of ids lasts for a while, and the log's last block as well.
    for _ in 0..100_000 {
        code = producer_id(&mut cluster);
        if code != 0 {
            break;
        }
    }
    assert_eq!(code, STORAGE_ERROR, "a client tries again after this code");
    drop(ballast);
    assert_eq!(producer_id(&mut cluster), 0);
    create(&broker, "after", "1", &[]);
    let listed = broker.say(&["topic", "list"]).ok();
    broker.kill();
    let broker = scene.start(&[]);
    assert_eq!(broker.say(&["topic", "list"]).ok(), listed);
    assert!(listed.contains("after") && !listed.contains(&format!("full-{made} ")), "{listed}");
    assert!(broker.stop().success());
}
