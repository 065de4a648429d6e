//! OffsetDelete (key 47): a group forgets offsets of topics that its members do not read.

use std::rc::Rc;

use ottla_cluster::Image;
use ottla_coordinator::{DeleteOffsetsRequest, Reply, Request};
use ottla_units::{ErrorCode, PartitionIndex};
use ottla_wire::messages::offset_delete_request::OffsetDeleteRequestTopic;
use ottla_wire::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use ottla_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let known: Vec<Vec<i32>> = {
        let image = shard.image();
        request.topics.iter().map(|topic| known_partitions(&image, topic)).collect()
    };
    let group = request.group_id.0.to_string();
    let topics = request.topics.iter().zip(&known);
    let topics = topics.map(|(topic, known)| (topic.name.0.to_string(), known.clone())).collect();
    let delete = DeleteOffsetsRequest { group: group.clone(), topics };
    let results = match groups::ask(shard, &group, Request::DeleteOffsets(delete)).await {
        Reply::DeleteOffsets(Ok(results)) => results,
        Reply::DeleteOffsets(Err(error)) => return OffsetDeleteResponse::default().with_error_code(error.code()),
        _ => return OffsetDeleteResponse::default().with_error_code(ErrorCode::UnknownServerError.code()),
    };
    let topics = request.topics.into_iter().zip(known).zip(results).map(|((asked, known), result)| {
        let refused = asked.partitions.iter().map(|partition| partition.partition_index);
        let refused = refused.filter(|index| !known.contains(index));
        let refused = refused.map(|index| partition(index, ErrorCode::UnknownTopicOrPartition));
        let deleted = result.partitions.iter().map(|result| partition(result.partition, result.error));
        OffsetDeleteResponseTopic::default().with_partitions(refused.chain(deleted).collect()).with_name(asked.name)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}

fn known_partitions(image: &Image, asked: &OffsetDeleteRequestTopic) -> Vec<i32> {
    let Some(topic) = image.topic_named(&asked.name.0) else { return Vec::new() };
    let indexes = asked.partitions.iter().map(|partition| partition.partition_index);
    indexes.filter(|index| topic.partition(PartitionIndex::new(*index)).is_some()).collect()
}

fn partition(index: i32, error: ErrorCode) -> OffsetDeleteResponsePartition {
    OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(error.code())
}
