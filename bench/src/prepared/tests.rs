use ottla_batch::{Batch, Codec};

use super::*;
use crate::spec::{Acks, Bytes, Compression};

fn spec(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = Spec::default();
    change(&mut spec);
    spec
}

fn made(spec: &Spec) -> Vec<Share> {
    let topic =
        Topic { name: "t".to_owned(), leaders: vec![([127, 0, 0, 1], 1).into(); spec.topics.partitions as usize] };
    shares(spec, &[topic], 0, 1).unwrap()
}

#[test]
fn a_batch_is_as_large_as_asked() {
    for bytes in [1 << 10, 32 << 10, 64 << 10] {
        let shares = made(&spec(|spec| spec.produce.batch_bytes = Bytes(bytes)));
        let got = shares[0].groups[0].slots[0].bytes;
        assert!(got <= bytes && got * 100 >= bytes * 97, "{got} bytes where {bytes} were asked for");
    }
}

#[test]
fn every_batch_is_one_that_a_broker_takes() {
    for change in [
        |spec: &mut Spec| spec.produce.compression = Compression(Codec::Lz4),
        |spec: &mut Spec| spec.produce.record_bytes = Sizes::Uniform(20, 900),
        |spec: &mut Spec| spec.produce.keys = Keys::Zipf(100, 0.99),
        |spec: &mut Spec| spec.produce.acks = Acks(1),
    ] {
        for share in &mut made(&spec(change)) {
            let slot = &mut share.groups[0].slots[0];
            let stamp = Stamp { producer: 3, sequence: 4, due_ns: 5_000, sent_ns: 5_000, rest_crc: None };
            slot.stamp(9, &stamp, 1_700_000_000_000);
            let (range, _) = slot.parts[0].clone();
            let (batch, rest) = Batch::parse(&slot.frame.bytes_mut()[range]).unwrap();
            assert!(batch.crc_matches() && rest.is_empty());
            assert_eq!(batch.record_count() as u64, slot.records);
            let mut records = ottla_batch::records(&batch, 1 << 20).unwrap();
            while let Some(record) = records.next() {
                record.unwrap();
            }
        }
    }
}

#[test]
fn skewed_keys_load_partitions_unevenly_and_even_ones_evenly() {
    let spread_of = |keys| {
        let shares = made(&spec(|spec| spec.produce.keys = keys));
        let weights: Vec<f64> = shares.iter().flat_map(|share| share.groups.iter().map(|group| group.weight)).collect();
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        weights.iter().copied().fold(0.0, f64::max) / mean
    };
    assert!(spread_of(Keys::Uniform(10_000)) < 1.2);
    assert!(spread_of(Keys::Zipf(10_000, 1.2)) > 2.0);
}

#[test]
fn more_producers_than_partitions_share_them() {
    let shares = made(&spec(|spec| {
        spec.topics.partitions = 2;
        spec.produce.producers = 5;
    }));
    let partitions: Vec<i32> = shares.iter().map(|share| share.groups[0].partitions[0]).collect();
    assert_eq!(partitions, [0, 1, 0, 1, 0]);
    assert_eq!(shares.iter().map(|share| share.producer).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn memory_is_bounded() {
    let huge = spec(|spec| {
        spec.produce.batch_bytes = Bytes(16 << 20);
        spec.produce.record_bytes = Sizes::Fixed(1 << 20);
        spec.topics.partitions = 100;
    });
    let topic = Topic { name: "t".to_owned(), leaders: vec![([127, 0, 0, 1], 1).into(); 100] };
    assert!(matches!(shares(&huge, &[topic], 0, 1), Err(BenchError::BadArgument { .. })));
}
