use proptest::prelude::*;

use super::*;

fn sample() -> Checkpoint {
    let mut image = LogImage { start: Offset::new(3), end: Offset::new(90), has_folder: true, ..LogImage::default() };
    image.segments =
        vec![Segment::new(Offset::ZERO, Timestamp::new(5)), Segment::new(Offset::new(50), Timestamp::new(6))];
    image.segments[1].note(Offset::new(89), Timestamp::new(77), 1234);
    image.active.base = Offset::new(50);
    image.active.index.stored = 4;
    image.epochs = Epochs::new([EpochStart { epoch: LeaderEpoch::new(2), start: Offset::ZERO }]);
    image.snapshot = Some((Offset::new(90), b"state".to_vec()));
    let key = TopicPartition::new(TopicId::from_bytes([1; 16]), PartitionIndex::new(2));
    Checkpoint { generation: 7, clean: true, logs: vec![(key, image)] }
}

#[test]
fn survives_the_round() {
    let written = sample();
    let read = Checkpoint::from_bytes(&written.to_bytes()).unwrap();
    assert_eq!((read.generation, read.clean), (7, true));
    let ((key, log), (old_key, old)) = (&read.logs[0], &written.logs[0]);
    assert_eq!(key, old_key);
    assert_eq!((log.start, log.end, &log.segments, &log.epochs), (old.start, old.end, &old.segments, &old.epochs));
    assert_eq!((&log.snapshot, log.active.base, log.active.index.stored), (&old.snapshot, old.active.base, 4));
}

#[test]
fn a_large_snapshot_stays_in_its_file() {
    let mut checkpoint = sample();
    checkpoint.logs[0].1.snapshot = Some((Offset::new(90), vec![1; SNAPSHOT_BYTES_MAX + 1]));
    let read = Checkpoint::from_bytes(&checkpoint.to_bytes()).unwrap();
    assert_eq!(read.logs[0].1.snapshot, Some((Offset::new(90), Vec::new())));
}

proptest! {
    #[test]
    fn damage_is_noticed(at in 0_usize..240, bit in 0_u8..8, cut in 0_usize..240) {
        let good = sample().to_bytes();
        let mut bytes = good.clone();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Checkpoint::from_bytes(&bytes).is_none());
        prop_assert!(Checkpoint::from_bytes(&good[..cut % good.len()]).is_none());
    }
}
