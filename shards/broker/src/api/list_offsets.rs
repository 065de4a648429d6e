//! ListOffsets (key 2): offsets by time, and the log's ends.
//!
//! | version | what it added |
//! |---|---|
//! | 1 | one offset, with its time |
//! | 2 | isolation level |
//! | 4 | leader epochs, both ways |
//! | 6 | flexible |
//! | 7 | −3: the record with the largest time (KIP-734) |
//! | 8 | −4: where the log starts on this broker's own disk (KIP-405) |
//! | 9 | −5: the end of what was moved to remote storage (KIP-1005) |
//! | 10 | how long to wait for remote storage |
//! | 11 | −6: the start of what waits to be moved there (KIP-1023) |

use std::collections::HashSet;
use std::rc::Rc;

use ottla_cluster::Image;
use ottla_partition::{Isolation, OffsetFound, OffsetQuery};
use ottla_units::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicPartition};
use ottla_wire::messages::list_offsets_request::ListOffsetsPartition;
use ottla_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use ottla_wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::owners;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version with leader epochs.
const EPOCHS_FROM: i16 = 4;
/// The isolation level of a reader of committed records.
const READ_COMMITTED: i8 = 1;

/// What a timestamp stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    /// A place in the log.
    InLog(OffsetQuery),
    /// An end of remote storage, of which there is none.
    Remote,
}

/// One partition's question.
#[derive(Clone, Copy, Debug)]
struct Question {
    wanted: Wanted,
    isolation: Isolation,
    /// The leader's epoch as the client knows it, or −1.
    leader_epoch: LeaderEpoch,
}

/// There is no such record.
const NOTHING: OffsetFound =
    OffsetFound { offset: Offset::NONE, timestamp: Timestamp::NONE, leader_epoch: LeaderEpoch::NONE };

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let image = shard.image();
    let isolation = isolation(&request);
    let repeated = repeated(&request);
    let mut questions = Vec::new();
    let mut outcomes = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let again = repeated.contains(&(&*topic.name.0, partition.partition_index));
            let checked = check(&image, context.version, &topic.name.0, partition, again);
            outcomes.push(checked.map(|(key, wanted)| {
                let leader_epoch = LeaderEpoch::new(partition.current_leader_epoch);
                questions.push((key, Question { wanted, isolation, leader_epoch }));
            }));
        }
    }
    let mut answers = owners::ask(shard, questions, find).await.into_iter();
    let mut outcomes = outcomes.into_iter().map(|checked| match checked {
        Ok(()) => answers.next().unwrap_or(Err(ErrorCode::UnknownServerError)),
        Err(code) => Err(code),
    });
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut outcomes);
        let partitions = partitions.map(|(asked, outcome)| respond(context.version, asked.partition_index, outcome));
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn isolation(request: &ListOffsetsRequest) -> Isolation {
    if request.isolation_level == READ_COMMITTED { Isolation::ReadCommitted } else { Isolation::ReadUncommitted }
}

/// Partitions that are named more than once.
fn repeated(request: &ListOffsetsRequest) -> HashSet<(&str, i32)> {
    let mut seen = HashSet::new();
    let all = request
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (&*topic.name.0, partition.partition_index)));
    all.filter(|partition| !seen.insert(*partition)).collect()
}

/// What can be said without looking at the log.
fn check(
    image: &Image,
    version: i16,
    topic: &str,
    partition: &ListOffsetsPartition,
    repeated: bool,
) -> Result<(TopicPartition, Wanted), ErrorCode> {
    if repeated {
        return Err(ErrorCode::InvalidRequest);
    }
    let wanted = wanted(version, partition.timestamp).ok_or(ErrorCode::UnsupportedVersion)?;
    let topic = image.topic_named(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let index = PartitionIndex::new(partition.partition_index);
    topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok((TopicPartition::new(topic.id, index), wanted))
}

/// `None` for a special value that the version does not have (`ReplicaManager.isListOffsetsTimestampUnsupported`).
fn wanted(version: i16, timestamp: i64) -> Option<Wanted> {
    match timestamp {
        0.. => Some(Wanted::InLog(OffsetQuery::ByTime(Timestamp::new(timestamp)))),
        -1 => Some(Wanted::InLog(OffsetQuery::Latest)),
        -2 => Some(Wanted::InLog(OffsetQuery::Earliest)),
        -3 if version >= 7 => Some(Wanted::InLog(OffsetQuery::MaxTimestamp)),
        -4 if version >= 8 => Some(Wanted::InLog(OffsetQuery::Earliest)),
        -5 if version >= 9 => Some(Wanted::Remote),
        -6 if version >= 11 => Some(Wanted::Remote),
        _ => None,
    }
}

/// On the partition's shard.
async fn find(shard: Rc<Shard>, key: TopicPartition, question: Question) -> Result<OffsetFound, ErrorCode> {
    let host = shard.hosts.get(key).ok_or(ErrorCode::NotLeaderOrFollower)?;
    host.partition.check_epoch(question.leader_epoch).map_err(|error| error.code())?;
    match question.wanted {
        Wanted::Remote => Ok(NOTHING),
        Wanted::InLog(query) => {
            let found = host.partition.offset_for(query, question.isolation).await;
            found.map(|found| found.unwrap_or(NOTHING)).map_err(|error| error.code())
        }
    }
}

fn respond(version: i16, partition: i32, outcome: Result<OffsetFound, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (code, found) = match outcome {
        Ok(found) => (ErrorCode::None, found),
        Err(code) => (code, NOTHING),
    };
    // Older versions have no place for it, and the encoder refuses what it cannot carry.
    let epoch = if version >= EPOCHS_FROM { found.leader_epoch } else { LeaderEpoch::NONE };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(partition)
        .with_error_code(code.code())
        .with_timestamp(found.timestamp.get())
        .with_offset(found.offset.get())
        .with_leader_epoch(epoch.get())
}

#[cfg(test)]
mod tests;
