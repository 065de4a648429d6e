//! DescribeTopicPartitions (key 75): topics by name, a page at a time (KIP-966).

use std::collections::BTreeSet;
use std::rc::Rc;

use ottla_cluster::{Image, Topic, name};
use ottla_units::{ErrorCode, PartitionIndex};
use ottla_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let limit_max = shard.settings().network.described_partitions_max;
    respond(&shard.image(), limit_max as usize, &request)
}

/// `limit_max`: partitions in one answer (`max.request.partition.size.limit`).
pub(crate) fn respond(
    image: &Image,
    limit_max: usize,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let (from, first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.0.as_str(), usize::try_from(cursor.partition_index)),
        None => ("", Ok(0)),
    };
    let Ok(first) = first else { return refused(request) };
    let all = request.topics.is_empty();
    let names: BTreeSet<&str> = if all {
        image.topics().map(|topic| &*topic.name).filter(|name| *name >= from).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.0.as_str()).filter(|name| *name >= from).collect()
    };
    if !all && request.cursor.is_some() && !names.contains(from) {
        return refused(request);
    }
    let limit = usize::try_from(request.response_partition_limit).unwrap_or(0).min(limit_max).max(1);
    page(image, &names, (from, first), limit)
}

/// The topics of `names` in order, the first beginning where the cursor says, until `limit` partitions are told.
fn page(
    image: &Image,
    names: &BTreeSet<&str>,
    (from, first): (&str, usize),
    limit: usize,
) -> DescribeTopicPartitionsResponse {
    let mut topics = Vec::new();
    let mut left = limit;
    for name in names {
        if left == 0 {
            return whole(topics, Some((name, 0)));
        }
        let Some(topic) = image.topic_named(name) else {
            topics.push(unknown(name));
            continue;
        };
        let begin = if *name == from { first } else { 0 };
        let end = begin.saturating_add(left).min(topic.partitions.len());
        topics.push(described(topic, begin, end));
        if end < topic.partitions.len() {
            return whole(topics, Some((name, end)));
        }
        left -= end.saturating_sub(begin);
    }
    whole(topics, None)
}

fn whole(
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<(&str, usize)>,
) -> DescribeTopicPartitionsResponse {
    let next = next.map(|(topic, partition)| {
        let cursor = Cursor::default().with_topic_name(fields::topic_name(topic));
        cursor.with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
    });
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next)
}

/// The cursor names no partition, or no topic that is asked for.
fn refused(request: &DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_name(Some(topic.name.clone()))
            .with_topic_authorized_operations(fields::OPERATIONS_NOT_ASKED)
    });
    whole(topics.collect(), None)
}

fn unknown(topic: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match name::validate(topic) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(fields::topic_name(topic)))
        .with_is_internal(name::is_internal(topic))
        .with_topic_authorized_operations(fields::TOPIC_OPERATIONS)
}

fn described(topic: &Topic, begin: usize, end: usize) -> DescribeTopicPartitionsResponseTopic {
    let some = topic.indexed().skip(begin).take(end.saturating_sub(begin));
    let partitions = some.map(|(index, partition)| described_partition(index, partition));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(fields::topic_name(&topic.name)))
        .with_topic_id(fields::uuid(topic.id))
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(fields::TOPIC_OPERATIONS)
}

fn described_partition(
    index: PartitionIndex,
    partition: &ottla_cluster::Partition,
) -> DescribeTopicPartitionsResponsePartition {
    let error = if partition.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index.get())
        .with_leader_id(fields::optional_broker(partition.leader))
        .with_leader_epoch(partition.leader_epoch.get())
        .with_replica_nodes(fields::broker_ids(&partition.replicas))
        .with_isr_nodes(fields::broker_ids(&partition.isr))
        // Not null: the tools print "N/A" then.
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
}

#[cfg(test)]
mod tests;
