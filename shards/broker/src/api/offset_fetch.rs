//! OffsetFetch (key 9): where groups go on reading.
//!
//! | version | what it added |
//! |---|---|
//! | 1 | the lowest that Kafka 4 serves; errors in each partition |
//! | 2 | one error for all; null asks for every topic |
//! | 5 | leader epochs |
//! | 6 | flexible |
//! | 7 | waiting for stable offsets (KIP-447) |
//! | 8 | several groups |
//! | 9 | member epochs (KIP-848) |
//! | 10 | topics by id |

use std::rc::Rc;

use ottla_cluster::Image;
use ottla_coordinator::{FetchRequest, FetchTopic, FetchedOffset, FetchedTopic, Reply, Request};
use ottla_units::{ErrorCode, LeaderEpoch, Offset};
use ottla_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use ottla_wire::messages::{OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::fields;
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const TOP_LEVEL_ERROR_FROM: i16 = 2;
const SEVERAL_GROUPS_FROM: i16 = 8;
const TOPIC_IDS_FROM: i16 = 10;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if context.version < SEVERAL_GROUPS_FROM {
        return answer_one(shard, context.version, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(answer_group(shard, context.version, group, request.require_stable).await);
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn fetch(
    shard: &Rc<Shard>,
    group: &str,
    topics: Option<Vec<FetchTopic>>,
    require_stable: bool,
) -> Result<Vec<FetchedTopic>, ErrorCode> {
    let request = FetchRequest { group: group.to_owned(), topics, require_stable };
    match groups::ask(shard, group, Request::Fetch(request)).await {
        Reply::Fetch(fetched) => fetched,
        _ => Err(ErrorCode::UnknownServerError),
    }
}

/// One group, as asked up to version 7.
async fn answer_one(shard: &Rc<Shard>, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let topics = request.topics.as_ref().map(|topics| {
        let image = shard.image();
        let wanted = |topic: &OffsetFetchRequestTopic| by_name(&image, &topic.name, &topic.partition_indexes);
        topics.iter().map(wanted).collect::<Vec<_>>()
    });
    match fetch(shard, &request.group_id.0, topics, request.require_stable).await {
        Ok(topics) => OffsetFetchResponse::default().with_topics(topics.into_iter().map(topic_of_one).collect()),
        Err(error) if version >= TOP_LEVEL_ERROR_FROM => OffsetFetchResponse::default().with_error_code(error.code()),
        Err(error) => {
            let failed = request.topics.into_iter().flatten().map(|topic| failed_topic(&topic, error));
            OffsetFetchResponse::default().with_topics(failed.collect())
        }
    }
}

fn by_name(image: &Image, name: &TopicName, partitions: &[i32]) -> FetchTopic {
    let id = image.topic_named(&name.0).map(|topic| topic.id).unwrap_or_default();
    FetchTopic { name: name.0.to_string(), id, partitions: partitions.to_vec() }
}

fn topic_of_one(fetched: FetchedTopic) -> OffsetFetchResponseTopic {
    let partition = |fetched: FetchedOffset| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset.get())
            .with_committed_leader_epoch(fetched.leader_epoch.get())
            .with_metadata(Some(fields::owned_text(fetched.metadata)))
    };
    OffsetFetchResponseTopic::default()
        .with_name(fields::topic_name(&fetched.name))
        .with_partitions(fetched.partitions.into_iter().map(partition).collect())
}

fn failed_topic(topic: &OffsetFetchRequestTopic, error: ErrorCode) -> OffsetFetchResponseTopic {
    let partition = |index: &i32| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(*index)
            .with_committed_offset(Offset::NONE.get())
            .with_committed_leader_epoch(LeaderEpoch::NONE.get())
            .with_metadata(Some(fields::text("")))
            .with_error_code(error.code())
    };
    OffsetFetchResponseTopic::default()
        .with_name(topic.name.clone())
        .with_partitions(topic.partition_indexes.iter().map(partition).collect())
}

/// One group of several, as asked from version 8.
async fn answer_group(
    shard: &Rc<Shard>,
    version: i16,
    asked: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone());
    let by_id = version >= TOPIC_IDS_FROM;
    let mut unknown = Vec::new();
    let topics = asked.topics.as_ref().map(|topics| {
        let image = shard.image();
        let mut known = Vec::new();
        for topic in topics {
            match find(&image, by_id, topic) {
                Some(topic) => known.push(topic),
                None => unknown.push(unknown_topic(topic)),
            }
        }
        known
    });
    match fetch(shard, &asked.group_id.0, topics, require_stable).await {
        Ok(fetched) => {
            let image = shard.image();
            let fetched = fetched.into_iter().filter_map(|topic| topic_of_group(&image, by_id, topic));
            response.with_topics(fetched.chain(unknown).collect())
        }
        Err(error) => response.with_error_code(error.code()),
    }
}

fn find(image: &Image, by_id: bool, asked: &OffsetFetchRequestTopics) -> Option<FetchTopic> {
    if !by_id {
        return Some(by_name(image, &asked.name, &asked.partition_indexes));
    }
    let topic = image.topic(fields::topic_id(asked.topic_id))?;
    Some(FetchTopic { name: topic.name.to_string(), id: topic.id, partitions: asked.partition_indexes.clone() })
}

fn unknown_topic(asked: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partition = |index: &i32| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*index)
            .with_committed_offset(Offset::NONE.get())
            .with_committed_leader_epoch(LeaderEpoch::NONE.get())
            .with_metadata(Some(fields::text("")))
            .with_error_code(ErrorCode::UnknownTopicId.code())
    };
    OffsetFetchResponseTopics::default()
        .with_topic_id(asked.topic_id)
        .with_partitions(asked.partition_indexes.iter().map(partition).collect())
}

/// `None` for a topic that is gone and so has no id to be named by.
fn topic_of_group(image: &Image, by_id: bool, fetched: FetchedTopic) -> Option<OffsetFetchResponseTopics> {
    let response = if by_id {
        let topic = image.topic_named(&fetched.name)?;
        OffsetFetchResponseTopics::default().with_topic_id(fields::uuid(topic.id))
    } else {
        OffsetFetchResponseTopics::default().with_name(fields::topic_name(&fetched.name))
    };
    let partition = |fetched: FetchedOffset| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset.get())
            .with_committed_leader_epoch(fetched.leader_epoch.get())
            .with_metadata(Some(fields::owned_text(fetched.metadata)))
    };
    Some(response.with_partitions(fetched.partitions.into_iter().map(partition).collect()))
}
