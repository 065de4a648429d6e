//! The hand-written codecs beside the `kafka-protocol` crate's, on the same bytes: a request for 1,000 partitions.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kafka_protocol::messages::{FetchRequest, ProduceRequest};
use kafka_protocol::protocol::Decodable;
use ottla_units::{Offset, PartitionIndex, TopicId};
use ottla_wire::fetch::{self, Fetch, FetchPartition};
use ottla_wire::produce::{self, Produce};
use ottla_wire::{ApiKey, TopicRef, frame};

const PARTITIONS: usize = 1000;
const RECORDS: [u8; 1024] = [7; 1024];
/// The same partitions in one topic, in a hundred, in a thousand.
const TOPICS: [usize; 3] = [1, 100, 1000];

/// What cannot fail on input of our own; a bench that fails to make it should stop.
fn made<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(made) => made,
        Err(why) => panic!("{why:?}"),
    }
}

fn topic(name: &str) -> TopicRef<'_> {
    TopicRef { name, id: TopicId::ZERO }
}

fn index(partition: usize) -> PartitionIndex {
    PartitionIndex::new(partition as i32)
}

fn produce_body(version: i16, topics: usize) -> Bytes {
    let mut body = BytesMut::new();
    let mut writer = produce::RequestWriter::begin(&mut body, version, None, -1, 30_000, topics);
    for number in 0..topics {
        writer.topic(topic(&format!("topic-{number}")), PARTITIONS / topics);
        (0..PARTITIONS / topics).for_each(|partition| writer.partition(index(partition), &RECORDS));
    }
    writer.finish();
    body.freeze()
}

fn fetch_body(version: i16, topics: usize) -> Bytes {
    let mut body = BytesMut::new();
    let mut writer = fetch::RequestWriter::begin(&mut body, version, &Fetch::default(), topics);
    for number in 0..topics {
        writer.topic(topic(&format!("topic-{number}")), PARTITIONS / topics);
        for partition in 0..PARTITIONS / topics {
            writer.partition(&FetchPartition::from_consumer(index(partition), Offset::ZERO, 1 << 20));
        }
    }
    writer.finish(&[], "");
    body.freeze()
}

fn produce_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode of a Produce v9, 1000 partitions");
    for topics in TOPICS {
        let body = produce_body(9, topics);
        let mut request = Produce::default();
        group.bench_with_input(BenchmarkId::new("ours", topics), &body, |bencher, body| {
            bencher.iter(|| made(request.decode(body, 9)));
        });
        group.bench_with_input(BenchmarkId::new("kafka-protocol", topics), &body, |bencher, body| {
            bencher.iter(|| made(ProduceRequest::decode(&mut body.clone(), 9)));
        });
    }
}

fn fetch_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode of a Fetch v12, 1000 partitions");
    for topics in TOPICS {
        let body = fetch_body(12, topics);
        let mut request = Fetch::default();
        group.bench_with_input(BenchmarkId::new("ours", topics), &body, |bencher, body| {
            bencher.iter(|| made(request.decode(body, 12)));
        });
        group.bench_with_input(BenchmarkId::new("kafka-protocol", topics), &body, |bencher, body| {
            bencher.iter(|| made(FetchRequest::decode(&mut body.clone(), 12)));
        });
    }
}

/// The head of a Fetch answer for 1,000 partitions: everything but the records.
fn fetch_answer(criterion: &mut Criterion) {
    let (mut out, mut gaps) = (BytesMut::new(), Vec::new());
    criterion.bench_function("head of a Fetch v12 answer, 1000 partitions", |bencher| {
        bencher.iter(|| {
            out.clear();
            gaps.clear();
            let open = frame::begin_response(&mut out, ApiKey::Fetch, 12, 1);
            let mut writer = fetch::ResponseWriter::begin(&mut out, 12, &mut gaps, 0, 0, 0, 1);
            writer.topic(topic("topic"), PARTITIONS);
            for partition in 0..PARTITIONS {
                let answer = fetch::PartitionAnswer::refused(index(partition), 0);
                writer.partition(&fetch::PartitionAnswer { records_bytes: RECORDS.len(), ..answer });
            }
            let records = writer.finish(&[]);
            open.close(&mut out, records);
        });
    });
}

criterion_group!(benches, produce_decode, fetch_decode, fetch_answer);
criterion_main!(benches);
