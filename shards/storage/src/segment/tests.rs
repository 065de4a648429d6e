use super::*;

#[test]
fn entries_are_kafkas_bytes() {
    let entry = IndexEntry { offset: 0x0102_0304, position: 0x0a0b_0c0d };
    assert_eq!(entry.to_bytes(), [1, 2, 3, 4, 10, 11, 12, 13]);
    assert_eq!(IndexEntry::from_bytes(&entry.to_bytes()), entry);
    let entry = TimeEntry { timestamp: Timestamp::new(0x0102_0304_0506_0708), offset: 9 };
    assert_eq!(entry.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9]);
    assert_eq!(TimeEntry::from_bytes(&entry.to_bytes()), entry);
}

#[test]
fn index_grows_by_kafkas_rule() {
    let mut index = GrowingIndex::new();
    let base = Offset::new(100);
    // A batch gets an entry when more than 4096 bytes came since the last one's batch.
    for (i, bytes) in [3000, 1096, 1, 5000, 10].into_iter().enumerate() {
        let latest = Latest { timestamp: Timestamp::new(50), offset: base.plus(0) };
        index.note(IndexEntry { offset: i as u32, position: i as u32 }, bytes, 4096, base, latest);
    }
    let found: Vec<_> = index.pending.iter().map(|entry| entry.offset).collect();
    assert_eq!(found, [3, 4]);
    assert_eq!(index.pending_times, [TimeEntry { timestamp: Timestamp::new(50), offset: 0 }], "a time only once");
    assert_eq!(index.entries(), 2);
}

#[test]
fn the_latest_time_is_the_first_batchs_that_has_it() {
    let mut segment = Segment::new(Offset::new(5), Timestamp::new(1));
    for (last, time) in [(5, 70), (7, 90), (9, 90), (10, 80)] {
        segment.note(Offset::new(last), Timestamp::new(time), 100);
    }
    assert_eq!(segment.latest, Latest { timestamp: Timestamp::new(90), offset: Offset::new(7) });
    assert_eq!((segment.first_timestamp.get(), segment.bytes), (70, 400));
}
