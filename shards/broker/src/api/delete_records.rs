//! DeleteRecords (key 21): moves a log's start (KIP-107). Version 2 is flexible.

use std::rc::Rc;

use ottla_cluster::Image;
use ottla_units::{ErrorCode, Offset, PartitionIndex, TopicPartition};
use ottla_wire::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use ottla_wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::owners;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let image = shard.image();
    let mut questions = Vec::new();
    let mut outcomes = Vec::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            let checked = check(shard, &image, &topic.name.0, PartitionIndex::new(asked.partition_index));
            outcomes.push(checked.map(|key| questions.push((key, Offset::new(asked.offset)))));
        }
    }
    let mut answers = owners::ask(shard, questions, delete).await.into_iter();
    let mut outcomes = outcomes.into_iter().map(|checked| match checked {
        Ok(()) => answers.next().unwrap_or(Err(ErrorCode::UnknownServerError)),
        Err(code) => Err(code),
    });
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut outcomes);
        let partitions = partitions.map(|(asked, outcome)| respond(asked.partition_index, outcome));
        DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

fn check(shard: &Shard, image: &Image, topic: &str, index: PartitionIndex) -> Result<TopicPartition, ErrorCode> {
    let topic = image.topic_named(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    // Compaction alone keeps the last of every key: nothing else may go (an empty policy allows it, KIP-1161).
    let cleanup = shard.settings().topics.with(&topic.overrides).cleanup;
    if cleanup.compact && !cleanup.delete {
        return Err(ErrorCode::PolicyViolation);
    }
    Ok(TopicPartition::new(topic.id, index))
}

/// On the partition's shard.
async fn delete(shard: Rc<Shard>, key: TopicPartition, before: Offset) -> Result<Offset, ErrorCode> {
    let host = shard.hosts.get(key).ok_or(ErrorCode::NotLeaderOrFollower)?;
    host.partition.delete_records(before).await.map_err(|error| error.code())
}

fn respond(partition: i32, outcome: Result<Offset, ErrorCode>) -> DeleteRecordsPartitionResult {
    let response = DeleteRecordsPartitionResult::default().with_partition_index(partition);
    match outcome {
        Ok(start) => response.with_low_watermark(start.get()),
        Err(code) => response.with_error_code(code.code()).with_low_watermark(Offset::NONE.get()),
    }
}
