//! OffsetCommit (key 8): where a group goes on reading.
//!
//! | version | what it added |
//! |---|---|
//! | 2 | the lowest that Kafka 4 serves; carries a retention time |
//! | 5 | no retention time any more |
//! | 6 | leader epochs |
//! | 7 | static members |
//! | 8 | flexible |
//! | 9 | an unknown group is GROUP_ID_NOT_FOUND (KIP-848) |
//! | 10 | topics by id |

use std::collections::HashMap;
use std::rc::Rc;

use ottla_cluster::{Image, Topic};
use ottla_coordinator::{CommitRequest, CommitTopic, OffsetToCommit, PartitionResult, Reply, Request, TopicResult};
use ottla_units::{ErrorCode, LeaderEpoch, Offset, PartitionIndex};
use ottla_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ottla_wire::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use ottla_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::{fields, find_coordinator};
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const UNKNOWN_GROUP_FROM: i16 = 9;
const TOPIC_IDS_FROM: i16 = 10;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let sorted: Vec<Sorted> = {
        let image = shard.image();
        request.topics.iter().map(|topic| sort(&image, context.version, topic)).collect()
    };
    let topics: Vec<CommitTopic> = sorted.iter().map(|topic| topic.known.clone()).collect();
    if topics.iter().all(|topic| topic.partitions.is_empty()) {
        return respond(request, sorted, Vec::new());
    }
    find_coordinator::offsets_topic(shard).await;
    let group = request.group_id.0.to_string();
    let commit = CommitRequest {
        group: group.clone(),
        member: request.member_id.to_string(),
        instance: request.group_instance_id.as_ref().map(|instance| instance.to_string()),
        generation: request.generation_id_or_member_epoch,
        retention_ms: request.retention_time_ms,
        topics,
        tells_unknown_group: context.version >= UNKNOWN_GROUP_FROM,
    };
    match groups::ask(shard, &group, Request::Commit(commit)).await {
        Reply::Commit(results) => respond(request, sorted, results),
        _ => {
            let failed = sorted.iter().map(|topic| failed(&topic.known)).collect();
            respond(request, sorted, failed)
        }
    }
}

fn failed(topic: &CommitTopic) -> TopicResult {
    let partitions = topic.partitions.iter();
    let partitions =
        partitions.map(|p| PartitionResult { partition: p.partition, error: ErrorCode::UnknownServerError });
    TopicResult { name: topic.name.clone(), id: topic.id, partitions: partitions.collect() }
}

/// A topic of the request: what the coordinator is asked, and what is refused before.
struct Sorted {
    known: CommitTopic,
    refused: Vec<(i32, ErrorCode)>,
}

fn sort(image: &Image, version: i16, asked: &OffsetCommitRequestTopic) -> Sorted {
    let (topic, unknown) = if version >= TOPIC_IDS_FROM {
        (image.topic(fields::topic_id(asked.topic_id)), ErrorCode::UnknownTopicId)
    } else {
        (image.topic_named(&asked.name.0), ErrorCode::UnknownTopicOrPartition)
    };
    let mut sorted = Sorted { known: CommitTopic::default(), refused: Vec::new() };
    let Some(topic) = topic else {
        sorted.refused = asked.partitions.iter().map(|partition| (partition.partition_index, unknown)).collect();
        return sorted;
    };
    sorted.known.name = topic.name.to_string();
    sorted.known.id = topic.id;
    for partition in &asked.partitions {
        if has_partition(topic, partition.partition_index) {
            sorted.known.partitions.push(to_commit(partition));
        } else {
            sorted.refused.push((partition.partition_index, ErrorCode::UnknownTopicOrPartition));
        }
    }
    sorted
}

fn has_partition(topic: &Topic, index: i32) -> bool {
    topic.partition(PartitionIndex::new(index)).is_some()
}

fn to_commit(partition: &OffsetCommitRequestPartition) -> OffsetToCommit {
    OffsetToCommit {
        partition: partition.partition_index,
        offset: Offset::new(partition.committed_offset),
        leader_epoch: LeaderEpoch::new(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.as_ref().map(|note| note.to_string()),
    }
}

/// `results` are those of all topics in `sorted`, or none when the coordinator was not asked. A topic named twice is
/// answered once, with the partitions of both.
fn respond(request: OffsetCommitRequest, sorted: Vec<Sorted>, results: Vec<TopicResult>) -> OffsetCommitResponse {
    let mut results = results.into_iter();
    let mut places = HashMap::new();
    let mut topics: Vec<OffsetCommitResponseTopic> = Vec::with_capacity(request.topics.len());
    for (asked, sorted) in request.topics.into_iter().zip(sorted) {
        let place = *places.entry((asked.name.clone(), asked.topic_id)).or_insert(topics.len());
        if place == topics.len() {
            topics.push(OffsetCommitResponseTopic::default().with_name(asked.name).with_topic_id(asked.topic_id));
        }
        let answered = results.next().into_iter().flat_map(|result| result.partitions);
        let answered = answered.map(|result| (result.partition, result.error));
        topics[place].partitions.extend(sorted.refused.into_iter().chain(answered).map(|(index, error)| {
            OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error.code())
        }));
    }
    OffsetCommitResponse::default().with_topics(topics)
}

#[cfg(test)]
mod tests;
