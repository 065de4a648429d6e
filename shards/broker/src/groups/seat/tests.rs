use bytes::Bytes;
use ottla_batch::Batch;
use ottla_coordinator::Record;

use super::*;

fn append(count: usize, atomic: bool) -> Append {
    let record = |n: usize| Record { key: Bytes::from(format!("key {n}")), value: Some(Bytes::from(vec![7; 100])) };
    Append { id: AppendId(1), records: (0..count).map(record).collect(), atomic }
}

#[test]
fn records_that_may_be_parted_fill_as_many_batches_as_the_topic_asks_for() {
    let batches = batches(append(100, false), 1000).unwrap();
    assert!(batches.len() > 10);
    let counts = batches.iter().map(|bytes| {
        assert!(bytes.len() <= 1000);
        let (batch, rest) = Batch::parse(bytes).unwrap();
        assert!(batch.crc_matches() && rest.is_empty());
        batch.record_count()
    });
    assert_eq!(counts.sum::<i32>(), 100);
}

#[test]
fn records_that_belong_together_are_one_batch_or_refused() {
    assert_eq!(batches(append(5, true), 1000).map(|batches| batches.len()), Ok(1));
    assert_eq!(batches(append(100, true), 1000).err(), Some(ErrorCode::MessageTooLarge));
    assert_eq!(batches(append(1, false), 50).err(), Some(ErrorCode::MessageTooLarge));
}
