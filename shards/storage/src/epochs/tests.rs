use super::*;

fn epochs(entries: &[(i32, i64)]) -> Epochs {
    Epochs::new(
        entries.iter().map(|(epoch, start)| EpochStart { epoch: LeaderEpoch::new(*epoch), start: Offset::new(*start) }),
    )
}

#[test]
fn ends_are_kafkas() {
    // LeaderEpochFileCacheTest: epochs 2 from 6 and 4 from 9, the log ends at 20.
    let epochs = epochs(&[(2, 6), (4, 9)]);
    let end = |epoch| {
        let (found, offset) = epochs.end_of(LeaderEpoch::new(epoch), Offset::new(20));
        (found.get(), offset.get())
    };
    assert_eq!(end(4), (4, 20));
    assert_eq!(end(3), (2, 9));
    assert_eq!(end(2), (2, 9));
    assert_eq!(end(1), (1, 6));
    assert_eq!(end(5), (-1, -1));
    assert_eq!(end(-1), (-1, -1));
    assert_eq!(epochs.of(Offset::new(5)), LeaderEpoch::NONE);
    assert_eq!(epochs.of(Offset::new(8)).get(), 2);
    assert_eq!(epochs.of(Offset::new(9)).get(), 4);
}

#[test]
fn file_is_kafkas_and_survives_the_round() {
    let epochs = epochs(&[(0, 0), (3, 17)]);
    assert_eq!(epochs.to_file(), "0\n2\n0 0\n3 17\n");
    assert_eq!(Epochs::from_file(&epochs.to_file()), Some(epochs));
    for torn in ["", "0\n", "0\n2\n0 0\n", "1\n0\n", "0\n1\nx y\n"] {
        assert_eq!(Epochs::from_file(torn), None, "{torn:?}");
    }
}

#[test]
fn a_leadership_that_wrote_nothing_is_forgotten() {
    let mut epochs = epochs(&[(1, 0), (2, 10)]);
    assert!(epochs.note(LeaderEpoch::new(3), Offset::new(10)));
    assert!(!epochs.note(LeaderEpoch::new(3), Offset::new(11)));
    assert!(!epochs.note(LeaderEpoch::NONE, Offset::new(12)));
    assert_eq!(epochs.to_file(), "0\n2\n1 0\n3 10\n");
    assert!(epochs.cut_front(Offset::new(12)));
    assert_eq!(epochs.to_file(), "0\n1\n3 12\n");
}
