use super::*;

/// One producer that sent `sent` batches to partition 0, and a reader who saw these.
fn verdict_of(sent: u64, doubts: &[u64], seen: &[u64], to_the_end: bool) -> Verdict {
    let mut ledger = Ledger { producer: 7, partitions: vec![0], sent, ..Ledger::default() };
    doubts.iter().for_each(|doubt| ledger.doubt(*doubt));
    let mut track = Track::default();
    seen.iter().for_each(|sequence| track.see(*sequence));
    let reader = Sightings { tracks: HashMap::from([((0, 0, 7), track)]), damaged: 0, to_the_end };
    judge(&[ledger], &[reader], "")
}

#[test]
fn everything_in_order_is_good() {
    let verdict = verdict_of(4, &[], &[0, 1, 2, 3], true);
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!((verdict.checked, verdict.acknowledged), (4, 4));
}

#[test]
fn a_planted_loss_is_seen() {
    assert_eq!(verdict_of(6, &[], &[0, 1, 4, 5], true).lost, 2, "in the middle");
    assert_eq!(verdict_of(6, &[], &[0, 1, 2], true).lost, 3, "at the end");
    assert_eq!(verdict_of(6, &[], &[0, 1, 2], false).lost, 0, "not read yet is not lost");
    assert_eq!(verdict_of(6, &[], &[], true).lost, 6, "all of it");
}

#[test]
fn what_was_never_answered_may_miss() {
    let verdict = verdict_of(6, &[2, 3, 5], &[0, 1, 4], true);
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(verdict.in_doubt, 3);
    assert_eq!(verdict_of(6, &[2], &[0, 1, 4, 5], true).lost, 1, "3 was acknowledged");
    assert!(verdict_of(6, &[2], &[0, 1, 2, 3, 4, 5], true).is_good(), "it may be there as well");
}

#[test]
fn a_planted_double_is_seen() {
    let verdict = verdict_of(4, &[], &[0, 1, 1, 2, 0, 3], true);
    assert_eq!((verdict.doubled, verdict.lost, verdict.reordered), (2, 0, 0));
}

#[test]
fn a_planted_swap_is_seen() {
    let verdict = verdict_of(5, &[], &[0, 2, 1, 4, 3], true);
    assert_eq!((verdict.reordered, verdict.lost, verdict.doubled), (2, 0, 0));
    let late = verdict_of(5, &[], &[3, 0, 1, 2, 4], true);
    assert_eq!((late.reordered, late.lost), (3, 0));
}

#[test]
fn a_partition_that_nobody_saw_is_lost_whole() {
    let ledger = Ledger { producer: 1, partitions: vec![0, 1], sent: 3, ..Ledger::default() };
    let mut track = Track::default();
    (0..3).for_each(|sequence| track.see(sequence));
    let tracks = HashMap::from([((0, 0, 1), track)]);
    let reader = |to_the_end| Sightings { tracks: tracks.clone(), damaged: 0, to_the_end };
    assert_eq!(judge(std::slice::from_ref(&ledger), &[reader(true)], "").lost, 3);
    assert_eq!(judge(&[ledger], &[reader(false)], "").lost, 0);
}
