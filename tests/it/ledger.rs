use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{BrokerId, FetchRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla::client::{ClientError, Cluster};
use ottla_batch::{Batch, Builder, records};
use ottla_units::Timestamp;

use crate::harness::{Broker, PATIENCE};
use crate::wait::let_pass;

/// Newest versions that name topics.
const PRODUCE_VERSION_MAX: i16 = 12;
const FETCH_VERSION_MAX: i16 = 12;
/// How long a test's own client waits for an answer: longer than anything should take, even on a busy machine.
const ANSWER: Duration = Duration::from_secs(45);

/// What Kafka answers when a disk refuses.
pub(crate) const STORAGE_ERROR: i16 = 56;

pub(crate) fn connect(broker: &Broker) -> Cluster {
    connect_to(&broker.address)
}

pub(crate) fn connect_to(address: &str) -> Cluster {
    Cluster::connect(address, ANSWER).expect("it listens")
}

/// What was acknowledged of one topic: every batch is one record that is known by its number.
#[derive(Default)]
pub(crate) struct Ledger {
    topic: String,
    next: u64,
    acked: BTreeMap<(i32, i64), u64>,
    /// Bytes of each record from here on.
    pub(crate) bytes: usize,
}

impl Ledger {
    pub(crate) fn new(topic: &str, bytes: usize) -> Ledger {
        Ledger { topic: topic.to_owned(), bytes, ..Ledger::default() }
    }

    /// Records that were acknowledged.
    pub(crate) fn acked(&self) -> usize {
        self.acked.len()
    }

    /// Writes one record to each of `partitions` in one request with acks=all: the code for each.
    pub(crate) fn write(&mut self, cluster: &mut Cluster, partitions: &[i32]) -> Result<Vec<i16>, ClientError> {
        let mut data = Vec::new();
        let mut numbers = Vec::new();
        for partition in partitions {
            let batch = Builder::new();
            let mut batch = batch;
            batch.push(Timestamp::new(1), None, Some(&value(self.next, self.bytes)), &[]);
            numbers.push(self.next);
            self.next += 1;
            let records = Some(Bytes::from(batch.build()));
            data.push(PartitionProduceData::default().with_index(*partition).with_records(records));
        }
        let topic = TopicProduceData::default().with_name(self.name()).with_partition_data(data);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        let leader = cluster.leader(&self.topic, partitions[0])?;
        let (_, answer) = leader.call(PRODUCE_VERSION_MAX, |_| request)?;
        let mut codes = Vec::new();
        let answers: Vec<_> = answer.responses.into_iter().flat_map(|topic| topic.partition_responses).collect();
        for (partition, number) in partitions.iter().zip(numbers) {
            let answer = answers.iter().find(|answer| answer.index == *partition).expect("each partition is answered");
            if answer.error_code == 0 {
                self.acked.insert((*partition, answer.base_offset), number);
            }
            codes.push(answer.error_code);
        }
        Ok(codes)
    }

    /// Writes until a partition's answer is `code`, at most `most` times.
    #[track_caller]
    pub(crate) fn write_until(&mut self, cluster: &mut Cluster, partition: i32, code: i16, most: usize) {
        let mut last = 0;
        for _ in 0..most {
            last = self.write(cluster, &[partition]).expect("an answer")[0];
            if last == code {
                return;
            }
            // A broker that has just started may not lead yet.
            assert!([0, 3, 5, 6, STORAGE_ERROR].contains(&last), "code {last}");
            if last != 0 {
                // What is waited for comes with time, not with more requests.
                let_pass(Duration::from_millis(50));
            }
        }
        panic!("no answer was {code}, the last {last}");
    }

    /// Reads partitions back: everything acknowledged must be where it was said to be.
    #[track_caller]
    pub(crate) fn check(&self, broker: &Broker, partitions: &[i32]) {
        let mut cluster = connect(broker);
        for partition in partitions {
            let there =
                self.read(&mut cluster, *partition).unwrap_or_else(|code| panic!("partition {partition}: {code}"));
            for ((_, offset), number) in self.acked.range((*partition, 0)..(*partition + 1, 0)) {
                let found = there.get(offset);
                assert_eq!(found, Some(number), "{}-{partition}@{offset}; it said:\n{}", self.topic, broker.log());
            }
        }
    }

    /// Every record of a partition from the first acknowledged one on by its offset, or the code that a fetch met.
    pub(crate) fn read(&self, cluster: &mut Cluster, partition: i32) -> Result<BTreeMap<i64, u64>, i16> {
        let mut there = BTreeMap::new();
        let first = self.acked.range((partition, 0)..(partition + 1, 0)).next();
        let mut next = first.map_or(0, |((_, offset), _)| *offset);
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "partition {partition} is not read to its end");
            let asked = FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(next)
                .with_partition_max_bytes(1 << 20);
            let topic = FetchTopic::default().with_topic(self.name()).with_partitions(vec![asked]);
            let request = FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_wait_ms(0)
                .with_min_bytes(0)
                .with_max_bytes(8 << 20);
            let request = request.with_session_epoch(-1).with_topics(vec![topic]);
            let leader = cluster.leader(&self.topic, partition).expect("a leader");
            let (_, answer) = leader.call(FETCH_VERSION_MAX, |_| request).expect("an answer");
            let found = answer.responses.into_iter().flat_map(|topic| topic.partitions).next().expect("the partition");
            if found.error_code != 0 {
                return Err(found.error_code);
            }
            let before = next;
            let bytes = found.records.unwrap_or_default();
            let mut rest = &bytes[..];
            while let Ok((batch, behind)) = Batch::parse(rest) {
                take(&batch, &mut there);
                next = batch.next_offset().get();
                rest = behind;
            }
            if next == before {
                assert_eq!(next, found.high_watermark, "nothing more is given before the end");
                return Ok(there);
            }
        }
    }

    fn name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.topic.clone()))
    }
}

fn take(batch: &Batch<'_>, there: &mut BTreeMap<i64, u64>) {
    assert!(batch.crc_matches(), "checksum");
    let mut read = records(batch, 64 << 20).expect("readable");
    while let Some(record) = read.next() {
        let record = record.expect("readable");
        let found = record.value.expect("a value");
        let number = u64::from_be_bytes(*found.first_chunk().expect("a number"));
        assert_eq!(found, value(number, found.len()), "the value of record {number}");
        there.insert(record.offset.get(), number);
    }
}

/// A record's value: its number, then bytes that follow from it.
fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    let mut state = number | 1;
    while value.len() < bytes {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        value.extend_from_slice(&state.to_be_bytes());
    }
    value.truncate(bytes.max(8));
    value
}
