//! Records read, partition by partition, from a given place on.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, PartitionData};
use kafka_protocol::messages::{BrokerId, FetchRequest};
use ottla_batch::{Batch, BatchError, ControlKind, Record};
use ottla_units::ErrorCode;
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;
use ottla_wire::ApiKey;

use super::cluster::topic_name;
use super::{ClientError, Cluster};

/// The last version that names topics rather than numbering them.
const VERSION_MAX: i16 = 12;
/// Bytes of records that one answer may bring.
const FETCH_BYTES_MAX: i32 = 16 << 20;
/// Bytes of records of one partition that one answer may bring.
const PARTITION_BYTES_MAX: i32 = 4 << 20;

/// Reads some partitions of one topic.
#[derive(Debug)]
pub struct Consumer<'a> {
    cluster: &'a mut Cluster,
    topic: String,
    positions: BTreeMap<i32, i64>,
    read_committed: bool,
}

/// What to do after a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Give the next one.
    Continue,
    /// That was enough.
    Stop,
}

impl<'a> Consumer<'a> {
    /// Reads `topic` from these offsets on, by partition. With `read_committed`, records of transactions that were aborted or are
    /// still open are left out.
    pub fn new(
        cluster: &'a mut Cluster,
        topic: &str,
        positions: BTreeMap<i32, i64>,
        read_committed: bool,
    ) -> Consumer<'a> {
        Consumer { cluster, topic: topic.into(), positions, read_committed }
    }

    /// The next offset of each partition.
    pub fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// Asks every leader once, waiting up to `wait` for records, and gives each record to `take`.
    pub fn poll<E: From<ClientError>>(
        &mut self,
        wait: Duration,
        mut take: impl FnMut(i32, &Record<'_>) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in self.positions.keys().copied().collect::<Vec<_>>() {
            leaders.entry(self.cluster.leader_id(&self.topic, partition)?).or_default().push(partition);
        }
        // Several leaders are asked one after the other: only the last may keep us waiting.
        let last = leaders.keys().next_back().copied();
        for (leader, partitions) in leaders {
            let wait = if Some(leader) == last { wait } else { Duration::ZERO };
            for answer in self.fetch(leader, &partitions, wait)? {
                if self.deliver(answer, &mut take)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
        }
        Ok(Flow::Continue)
    }

    fn fetch(&mut self, leader: i32, partitions: &[i32], wait: Duration) -> Result<Vec<PartitionData>, ClientError> {
        let asked = partitions.iter().map(|partition| {
            FetchPartition::default()
                .with_partition(*partition)
                .with_fetch_offset(self.positions.get(partition).copied().unwrap_or(0))
                .with_current_leader_epoch(-1)
                .with_partition_max_bytes(PARTITION_BYTES_MAX)
        });
        let topic = FetchTopic::default().with_topic(topic_name(&self.topic)).with_partitions(asked.collect());
        let isolation = i8::from(self.read_committed);
        let (_, answer) = self.cluster.broker(leader)?.call(VERSION_MAX, |_| {
            FetchRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
                .with_min_bytes(1)
                .with_max_bytes(FETCH_BYTES_MAX)
                .with_isolation_level(isolation)
                .with_session_epoch(-1)
                .with_topics(vec![topic])
        })?;
        if answer.error_code != 0 {
            return Err(ClientError::refused(ApiKey::Fetch, self.topic.clone(), answer.error_code, None));
        }
        Ok(answer.responses.into_iter().flat_map(|topic| topic.partitions).collect())
    }

    /// Gives one partition's records to `take` and moves its position behind them.
    fn deliver<E: From<ClientError>>(
        &mut self,
        answer: PartitionData,
        take: &mut impl FnMut(i32, &Record<'_>) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        let partition = answer.partition_index;
        if answer.error_code != 0 {
            let subject = format!("{}-{partition}", self.topic);
            let error = ClientError::refused(ApiKey::Fetch, subject, answer.error_code, None);
            // A leader that moved is found again; anything else ends the reading.
            let moved = matches!(error.refusal(), Some(ErrorCode::NotLeaderOrFollower | ErrorCode::LeaderNotAvailable));
            return if moved { Ok(self.look_again()?) } else { Err(error.into()) };
        }
        let mut aborted = Aborted::new(answer.aborted_transactions.filter(|_| self.read_committed));
        let mut rest = answer.records.as_deref().unwrap_or_default();
        while !rest.is_empty() {
            // A broker may cut the last batch short: the rest comes with the next answer.
            let (batch, behind) = match Batch::parse(rest) {
                Ok(parsed) => parsed,
                Err(BatchError::Truncated { .. }) => break,
                Err(error) => return Err(self.bad_batch(partition, error).into()),
            };
            rest = behind;
            if self.deliver_batch(partition, &batch, &mut aborted, take)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }

    fn deliver_batch<E: From<ClientError>>(
        &mut self,
        partition: i32,
        batch: &Batch<'_>,
        aborted: &mut Aborted,
        take: &mut impl FnMut(i32, &Record<'_>) -> Result<Flow, E>,
    ) -> Result<Flow, E> {
        let from = self.positions.get(&partition).copied().unwrap_or(0);
        if !batch.crc_matches() {
            return Err(self.bad_batch(partition, "its checksum does not match").into());
        }
        let mut records = ottla_batch::records(batch, UNCOMPRESSED_BATCH_BYTES_MAX)
            .map_err(|error| self.bad_batch(partition, error))?;
        let control = batch.attributes().is_control();
        let skip = control || aborted.covers(batch);
        while let Some(record) = records.next() {
            let record = record.map_err(|error| self.bad_batch(partition, error))?;
            if control {
                aborted.end(batch.producer_id().get(), record.key.and_then(ControlKind::from_key));
            }
            if skip || record.offset.get() < from {
                continue;
            }
            self.positions.insert(partition, record.offset.plus(1).get());
            if take(partition, &record)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        self.positions.insert(partition, from.max(batch.next_offset().get()));
        Ok(Flow::Continue)
    }

    fn look_again(&mut self) -> Result<Flow, ClientError> {
        std::thread::sleep(Duration::from_millis(100));
        self.cluster.topic(&self.topic, false)?;
        Ok(Flow::Continue)
    }

    fn bad_batch(&self, partition: i32, what: impl ToString) -> ClientError {
        let offset = self.positions.get(&partition).copied().unwrap_or(0);
        ClientError::BadBatch { topic: self.topic.clone(), partition, offset, what: what.to_string() }
    }
}

/// Transactions that were aborted, as one answer lists them: by producer, the offset from which its records do not count.
#[derive(Debug, Default)]
struct Aborted {
    starts: HashMap<i64, Vec<i64>>,
}

impl Aborted {
    fn new(listed: Option<Vec<AbortedTransaction>>) -> Aborted {
        let mut starts: HashMap<i64, Vec<i64>> = HashMap::new();
        for aborted in listed.unwrap_or_default() {
            starts.entry(aborted.producer_id.0).or_default().push(aborted.first_offset);
        }
        // The earliest last: it is the one that the next abort marker ends.
        starts.values_mut().for_each(|starts| starts.sort_unstable_by(|a, b| b.cmp(a)));
        Aborted { starts }
    }

    fn covers(&self, batch: &Batch<'_>) -> bool {
        let starts = self.starts.get(&batch.producer_id().get());
        let start = starts.and_then(|starts| starts.last());
        batch.attributes().is_transactional() && start.is_some_and(|start| *start <= batch.base_offset().get())
    }

    fn end(&mut self, producer: i64, kind: Option<ControlKind>) {
        if kind == Some(ControlKind::Abort)
            && let Some(starts) = self.starts.get_mut(&producer)
        {
            starts.pop();
        }
    }
}
