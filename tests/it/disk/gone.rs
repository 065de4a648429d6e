use super::{create, has_given_up, has_said, refused, says, start, verify};
use crate::harness::folder;
use crate::ledger::{Ledger, STORAGE_ERROR, connect};

const MOST: usize = 600;

/// The right partition says so, others go on, and a start is refused until somebody decides.
#[test]
fn a_partitions_folder_that_is_removed_fails_that_partition_alone() {
    let place = folder();
    let data = place.path().join("data");
    let broker = start(&data, &[]);
    create(&broker, "t", "2", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", 200_000);
    for _ in 0..30 {
        assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
    }
    std::fs::remove_dir_all(data.join("topics/t-1")).expect("removed");
    ledger.write_until(&mut cluster, 1, STORAGE_ERROR, MOST);
    says(&broker, &["topics/t-1", "was removed"]);
    for _ in 0..200 {
        assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, STORAGE_ERROR]);
    }
    assert_eq!(ledger.read(&mut cluster, 1), Err(STORAGE_ERROR));
    ledger.check(&broker, &[0]);
    broker.kill();
    has_said(&refused(&data, &[]), &["t-1", "missing"]);
    // The loss accepted, the partition begins anew.
    let broker = start(&data, &["ottla.journal.accept.loss=true"]);
    ledger.check(&broker, &[0]);
    let mut cluster = connect(&broker);
    let mut anew = Ledger::new("t", 1_000);
    anew.write_until(&mut cluster, 1, 0, MOST);
    anew.check(&broker, &[1]);
    assert!(broker.stop().success());
    verify(&data, &data.join("journal"));
}

#[test]
fn a_topic_whose_folder_is_removed_can_be_deleted() {
    let place = folder();
    let data = place.path().join("data");
    let broker = start(&data, &[]);
    create(&broker, "t", "1", &[]);
    create(&broker, "u", "1", &[]);
    let mut cluster = connect(&broker);
    let (mut gone, mut stays) = (Ledger::new("t", 200_000), Ledger::new("u", 200_000));
    for _ in 0..60 {
        gone.write_until(&mut cluster, 0, 0, 1);
    }
    std::fs::remove_dir_all(data.join("topics/t-0")).expect("removed");
    gone.write_until(&mut cluster, 0, STORAGE_ERROR, MOST);
    broker.say(&["topic", "delete", "t"]).ok();
    for _ in 0..100 {
        stays.write_until(&mut cluster, 0, 0, 1);
    }
    broker.kill();
    let broker = start(&data, &[]);
    stays.check(&broker, &[0]);
    assert!(broker.stop().success());
    verify(&data, &data.join("journal"));
}

/// What is only in a removed journal's files would be gone with the process: it is put into the segments first.
#[test]
fn a_journal_that_is_removed_ends_the_broker_and_nothing_is_lost() {
    let place = folder();
    let data = place.path().join("data");
    let broker = start(&data, &[]);
    create(&broker, "t", "2", &[]);
    let mut cluster = connect(&broker);
    let mut ledger = Ledger::new("t", 20_000);
    assert_eq!(ledger.write(&mut cluster, &[0, 1]).expect("an answer"), [0, 0]);
    std::fs::remove_dir_all(data.join("journal")).expect("removed");
    ledger.bytes = 200_000;
    for _ in 0..MOST {
        match ledger.write(&mut cluster, &[0, 1]) {
            Ok(codes) if codes == [0, 0] => {}
            _ => break,
        }
    }
    has_given_up(broker, &["journal", "was removed"]);
    let broker = start(&data, &[]);
    ledger.check(&broker, &[0, 1]);
    assert!(broker.stop().success());
    verify(&data, &data.join("journal"));
}
