use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};
use kafka_protocol::protocol::StrBytes;

use crate::connection::Connection;
use crate::coordinator::{self, NOT_READY};
use crate::error::{BenchError, Result};
use crate::topics::topic_name;

/// How often something that is not ready is asked again.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(20);
/// How long a coordinator may take to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// The commits of one group outside any generation, as a consumer that assigns partitions itself makes them.
#[derive(Debug)]
pub(super) struct Commits {
    group: String,
    connection: Option<Connection>,
    /// The last that was acknowledged.
    acked: BTreeMap<i32, i64>,
    /// Those that were tried since, oldest first: what was not acknowledged may still have been written.
    tried: BTreeMap<i32, Vec<i64>>,
    pub(super) count: u64,
}

impl Commits {
    pub(super) fn new(group: String) -> Commits {
        Commits { group, connection: None, acked: BTreeMap::new(), tried: BTreeMap::new(), count: 0 }
    }

    /// The broker is gone.
    pub(super) fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Commits one offset and remembers the answer.
    pub(super) fn commit(&mut self, bootstrap: SocketAddr, topic: &str, partition: i32, offset: i64) -> Result<()> {
        self.tried.entry(partition).or_default().push(offset);
        let part = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_metadata(Some(self.metadata(offset)));
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![
                OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![part]),
            ]);
        let answer = self.coordinator(bootstrap)?.call(7, &request)?;
        match answer.topics.iter().flat_map(|topic| &topic.partitions).map(|part| part.error_code).next() {
            Some(0) => {
                self.acked.insert(partition, offset);
                self.tried.insert(partition, Vec::new());
                self.count += 1;
                Ok(())
            }
            Some(code) if NOT_READY.contains(&code) => Ok(()),
            Some(code) => Err(BenchError::Refused { api: "OffsetCommit", code }),
            None => Err(BenchError::Malformed { what: "OffsetCommit without its partition" }),
        }
    }

    /// Compares what the broker holds with what it acknowledged; says each difference.
    pub(super) fn check(&mut self, bootstrap: SocketAddr, topic: &str) -> Result<Vec<String>> {
        if self.tried.is_empty() {
            return Ok(Vec::new());
        }
        let mut wrong = Vec::new();
        let held = self.held(bootstrap, topic)?;
        for (partition, tried) in &self.tried {
            let acked = self.acked.get(partition).copied().unwrap_or(-1);
            let (offset, metadata) = held.get(partition).cloned().unwrap_or((-1, None));
            let place = format!("group {} partition {partition}", self.group);
            if offset != acked && !tried.contains(&offset) {
                wrong.push(format!("{place}: commit of {acked} acknowledged, then {tried:?} tried; {offset} is there"));
            } else if offset >= 0 && metadata.as_ref() != Some(&self.metadata(offset)) {
                wrong.push(format!("{place}: metadata of {offset} is {metadata:?}"));
            }
        }
        // What was under way is decided now.
        for (partition, (offset, _)) in held {
            self.acked.insert(partition, offset);
            self.tried.insert(partition, Vec::new());
        }
        Ok(wrong)
    }

    fn held(&mut self, bootstrap: SocketAddr, topic: &str) -> Result<BTreeMap<i32, (i64, Option<StrBytes>)>> {
        let indexes = self.tried.keys().copied().collect();
        let asked = OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(indexes);
        let request = OffsetFetchRequest::default().with_group_id(self.group_id()).with_topics(Some(vec![asked]));
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let answer = self.coordinator(bootstrap)?.call(5, &request)?;
            let parts: Vec<&OffsetFetchResponsePartition> =
                answer.topics.iter().flat_map(|topic| &topic.partitions).collect();
            let code =
                [answer.error_code].into_iter().chain(parts.iter().map(|part| part.error_code)).find(|code| *code != 0);
            match code {
                None => {
                    let held = |part: &&OffsetFetchResponsePartition| {
                        (part.partition_index, (part.committed_offset, part.metadata.clone()))
                    };
                    return Ok(parts.iter().map(held).collect());
                }
                Some(code) if NOT_READY.contains(&code) && Instant::now() < deadline => {
                    self.disconnect();
                    std::thread::sleep(RETRY_EVERY);
                }
                Some(code) => return Err(BenchError::Refused { api: "OffsetFetch", code }),
            }
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }

    fn metadata(&self, offset: i64) -> StrBytes {
        StrBytes::from_string(format!("{}@{offset}", self.group))
    }

    fn coordinator(&mut self, bootstrap: SocketAddr) -> Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => coordinator::connect(bootstrap, coordinator::Of::Group, &self.group)?,
        };
        Ok(self.connection.insert(connection))
    }
}
