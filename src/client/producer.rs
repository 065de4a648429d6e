//! Records sent: partitioned as the Java client does, batched, and sent again where that is safe.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId as WireProducerId};
use ottla_batch::{Builder, Codec};
use ottla_units::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_wire::ApiKey;

use super::cluster::topic_name;
use super::{ClientError, Cluster};

/// The last version that names topics rather than numbering them.
const VERSION_MAX: i16 = 12;
/// Bytes of records after which a batch is sent.
const BATCH_BYTES: usize = 256 << 10;
/// How long to wait before something is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who has to have a record before it counts as written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Nobody: the broker does not answer at all.
    None,
    /// The leader.
    Leader,
    /// Every in-sync replica.
    All,
}

/// A record to send.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NewRecord {
    /// Where to; chosen by the key, or in turn, without.
    pub partition: Option<i32>,
    /// When, in milliseconds since 1970; now, without.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; without one it deletes its key on a compacted topic.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// How records are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerOptions {
    /// Who has to have them.
    pub acks: Acks,
    /// How they are compressed.
    pub codec: Codec,
    /// The broker makes the topic if it may.
    pub create_topic: bool,
}

/// Sends records to one topic.
///
/// With [`Acks::All`] it is idempotent where the broker offers that: what is sent again after a lost answer is written once.
#[derive(Debug)]
pub struct Producer<'a> {
    cluster: &'a mut Cluster,
    topic: String,
    partitions: i32,
    options: ProducerOptions,
    identity: Option<(ProducerId, ProducerEpoch)>,
    sequences: HashMap<i32, Sequence>,
    pending: HashMap<i32, Builder>,
    turn: i32,
    sent: u64,
}

impl<'a> Producer<'a> {
    /// Looks the topic up, and gets an identity where that helps.
    pub fn new(cluster: &'a mut Cluster, topic: &str, options: ProducerOptions) -> Result<Producer<'a>, ClientError> {
        let found = cluster.topic(topic, options.create_topic)?;
        let identity = match options.acks {
            Acks::All if cluster.any()?.offers(ApiKey::InitProducerId) => Some(identity(cluster)?),
            _ => None,
        };
        let partitions = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX).max(1);
        let (sequences, pending) = (HashMap::new(), HashMap::new());
        Ok(Producer {
            cluster,
            topic: topic.into(),
            partitions,
            options,
            identity,
            sequences,
            pending,
            turn: 0,
            sent: 0,
        })
    }

    /// How many records the broker has (with [`Acks::None`]: how many were sent).
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Takes a record; sends its batch when that is full.
    pub fn push(&mut self, record: &NewRecord) -> Result<(), ClientError> {
        let partition = self.place(record)?;
        let time = Timestamp::new(record.timestamp.unwrap_or_else(now_millis));
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            record.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
        let batch = self.pending.entry(partition).or_insert_with(|| Builder::new().codec(self.options.codec));
        batch.push(time, record.key.as_deref(), record.value.as_deref(), &headers);
        if batch.records_bytes() >= BATCH_BYTES { self.flush_partition(partition) } else { Ok(()) }
    }

    /// Sends everything that was taken.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let mut waiting: Vec<i32> = self.pending.keys().copied().collect();
        waiting.sort_unstable();
        for partition in waiting {
            self.flush_partition(partition)?;
        }
        Ok(())
    }

    fn place(&self, record: &NewRecord) -> Result<i32, ClientError> {
        match (record.partition, &record.key) {
            (Some(partition), _) if (0..self.partitions).contains(&partition) => Ok(partition),
            (Some(partition), _) => Err(ClientError::NoSuchPartition {
                topic: self.topic.clone(),
                partition,
                count: self.partitions as usize,
            }),
            (None, Some(key)) => Ok((murmur2(key) & 0x7fff_ffff) as i32 % self.partitions),
            (None, None) => Ok(self.turn),
        }
    }

    fn flush_partition(&mut self, partition: i32) -> Result<(), ClientError> {
        let Some(mut batch) = self.pending.remove(&partition) else { return Ok(()) };
        let (count, mut sequence) = (batch.count(), None);
        if let Some((id, epoch)) = self.identity {
            let first = *self.sequences.entry(partition).or_insert(Sequence::new(0));
            batch = batch.producer(id, epoch, first);
            sequence = Some(first.plus(count));
        }
        self.send(partition, Bytes::from(batch.build()))?;
        if let Some(next) = sequence {
            self.sequences.insert(partition, next);
        }
        self.sent += u64::from(count.unsigned_abs());
        if partition == self.turn {
            // Records without a key go to the next partition from here on.
            self.turn = (self.turn + 1) % self.partitions;
        }
        Ok(())
    }

    /// Sends until it is accepted, refused for good, or the time is over. Only an idempotent batch is sent again after a broken
    /// connection or a missing answer: another one might be written twice.
    fn send(&mut self, partition: i32, records: Bytes) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.cluster.timeout();
        loop {
            let Err(error) = self.send_once(partition, records.clone()) else { return Ok(()) };
            let again = error.may_pass() && (self.identity.is_some() || error.refusal().is_some());
            if !again || Instant::now() > deadline {
                return Err(error);
            }
            std::thread::sleep(PAUSE);
            self.cluster.forget_connections();
            // Another leader may have taken over; if even this fails, the next round says so.
            let _ = self.cluster.topic(&self.topic, false);
        }
    }

    fn send_once(&mut self, partition: i32, records: Bytes) -> Result<(), ClientError> {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
        let topic = TopicProduceData::default().with_name(topic_name(&self.topic)).with_partition_data(vec![data]);
        let acks = match self.options.acks {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        };
        let timeout_ms = i32::try_from(self.cluster.timeout().as_millis() * 9 / 10).unwrap_or(i32::MAX);
        let request =
            ProduceRequest::default().with_acks(acks).with_timeout_ms(timeout_ms).with_topic_data(vec![topic]);
        let leader = self.cluster.leader(&self.topic, partition)?;
        if self.options.acks == Acks::None {
            return leader.tell(VERSION_MAX, |_| request);
        }
        let (_, answer) = leader.call(VERSION_MAX, |_| request)?;
        let place = answer.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
        let (code, message) = place.map_or((-1, None), |place| (place.error_code, place.error_message));
        // A batch that the broker already has was written by an attempt whose answer was lost.
        match code {
            0 | DUPLICATE_SEQUENCE_NUMBER => Ok(()),
            _ => Err(ClientError::refused(
                ApiKey::Produce,
                format!("{}-{partition}", self.topic),
                code,
                message.map(|message| message.to_string()),
            )),
        }
    }
}

const DUPLICATE_SEQUENCE_NUMBER: i16 = ottla_units::ErrorCode::DuplicateSequenceNumber.code();

fn identity(cluster: &mut Cluster) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let deadline = Instant::now() + cluster.timeout();
    loop {
        let (_, answer) = cluster.any()?.call(i16::MAX, |version| {
            let request =
                InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(i32::MAX);
            match version {
                3.. => request.with_producer_id(WireProducerId(-1)).with_producer_epoch(-1),
                _ => request,
            }
        })?;
        if answer.error_code == 0 {
            return Ok((ProducerId::new(answer.producer_id.0), ProducerEpoch::new(answer.producer_epoch)));
        }
        let error = ClientError::refused(ApiKey::InitProducerId, "producer id", answer.error_code, None);
        if !error.may_pass() || Instant::now() > deadline {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Milliseconds since 1970.
fn now_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Kafka's hash of a key (`org.apache.kafka.common.utils.Utils.murmur2`): equal keys meet in one partition whatever client wrote them.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_java() {
        // From org.apache.kafka.common.utils.UtilsTest.
        for (key, hash) in [
            ("21", -973932308),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
