//! Metadata (key 3): who leads what, and where to connect.
//!
//! | version | what it added |
//! |---|---|
//! | 0 | an empty list stands for all topics |
//! | 1 | null stands for all topics; controller, rack, internal flag |
//! | 2 | cluster id |
//! | 4 | the client says whether topics may be created |
//! | 5 | offline replicas |
//! | 7 | leader epochs |
//! | 8 | permitted operations; those of the cluster up to 10 |
//! | 9 | flexible |
//! | 10 | topic ids in the answer; 12: in the question too |
//! | 13 | an error for the whole answer |

use std::collections::HashSet;
use std::rc::Rc;

use ottla_cluster::{Answer, Broker, Command, Image, NewTopic, Topic, name};
use ottla_units::{ErrorCode, TopicId};
use ottla_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_wire::messages::{self, MetadataRequest, MetadataResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version in which a topic may be asked for by its id.
const TOPIC_IDS_FROM: i16 = 12;

pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, request: MetadataRequest) -> MetadataResponse {
    let asking = Asking {
        version: context.version,
        listener: &context.connection.listener,
        may_create: shard.settings().creation.automatic,
    };
    let (response, missing) = respond(&shard.image(), asking, &request);
    if !missing.is_empty() {
        create(shard, missing).await;
    }
    response
}

/// Creates topics that were asked for. The answer does not tell what came of it; the client will see when it asks again.
async fn create(shard: &Rc<Shard>, names: Vec<String>) {
    let creation = &shard.settings().creation;
    let brokers = shard.image().brokers().count();
    let topics = names.into_iter().map(|name| NewTopic::on_demand(name, creation, brokers)).collect();
    match shard.control(Command::CreateTopics { topics, validate_only: false }).await {
        Answer::TopicsCreated(outcomes) => {
            for (topic, outcome) in outcomes {
                if let Err(refusal) = outcome {
                    tracing::debug!(topic, %refusal, "not created on demand");
                }
            }
        }
        Answer::Failed(refusal) => tracing::warn!(%refusal, "topics not created on demand"),
        _ => tracing::error!("the controller answered something else than was asked"),
    }
}

/// Whom an answer is for.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// The version of the request.
    pub(crate) version: i16,
    /// The listener by which it came: others may have other addresses.
    pub(crate) listener: &'a str,
    /// Whether `auto.create.topics.enable` is on.
    pub(crate) may_create: bool,
}

/// An answer, and which topics have to be created because it was asked for them. They are answered as unknown, as with
/// KRaft: the client asks again.
pub(crate) fn respond(image: &Image, asking: Asking<'_>, request: &MetadataRequest) -> (MetadataResponse, Vec<String>) {
    let Some(asked) = Asked::read(asking.version, request) else {
        return (refused(asking.version, request), Vec::new());
    };
    let operations = match request.include_topic_authorized_operations {
        true => fields::TOPIC_OPERATIONS,
        false => fields::OPERATIONS_NOT_ASKED,
    };
    let mut missing = Vec::new();
    let topics = match asked {
        Asked::All => image.topics_sorted().into_iter().map(|topic| found(topic, operations)).collect(),
        Asked::Ids(ids) => ids
            .into_iter()
            .map(|id| image.topic(id).map_or_else(|| unknown_id(id, operations), |topic| found(topic, operations)))
            .collect(),
        Asked::Names(names) => {
            let create = asking.may_create && request.allow_auto_topic_creation;
            let one = |name: &str| match image.topic_named(name) {
                Some(topic) => found(topic, operations),
                None => {
                    let topic = unknown_name(name, operations);
                    if create && topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
                        missing.push(name.to_owned());
                    }
                    topic
                }
            };
            names.into_iter().map(one).collect()
        }
    };
    (whole(image, asking, request, topics), missing)
}

fn whole(
    image: &Image,
    asking: Asking<'_>,
    request: &MetadataRequest,
    topics: Vec<MetadataResponseTopic>,
) -> MetadataResponse {
    let brokers = image.brokers().filter(|broker| !broker.fenced);
    let response = MetadataResponse::default()
        .with_brokers(brokers.filter_map(|broker| address(broker, asking.listener)).collect())
        .with_cluster_id(Some(fields::text(image.cluster_id())))
        .with_controller_id(fields::optional_broker(image.controller()))
        .with_topics(topics);
    match request.include_cluster_authorized_operations {
        true => response.with_cluster_authorized_operations(fields::CLUSTER_OPERATIONS),
        false => response,
    }
}

/// What a request is about, each topic once.
enum Asked<'a> {
    All,
    Names(Vec<&'a str>),
    Ids(Vec<TopicId>),
}

impl<'a> Asked<'a> {
    /// Nothing when a topic has no name where it must have one, or an id where it may not.
    fn read(version: i16, request: &'a MetadataRequest) -> Option<Asked<'a>> {
        let topics = match &request.topics {
            None => return Some(Asked::All),
            Some(topics) if version == 0 && topics.is_empty() => return Some(Asked::All),
            Some(topics) => topics,
        };
        let ids: Vec<_> = topics.iter().map(|topic| fields::topic_id(topic.topic_id)).collect();
        let by_id = ids.iter().any(|id| !id.is_zero());
        if version < TOPIC_IDS_FROM && by_id {
            return None;
        }
        if by_id {
            let mut seen = HashSet::new();
            // One id is enough for names without one to be passed over.
            return Some(Asked::Ids(ids.into_iter().filter(|id| !id.is_zero() && seen.insert(*id)).collect()));
        }
        let names: Option<Vec<&str>> =
            topics.iter().map(|topic| topic.name.as_ref().map(|name| name.0.as_str())).collect();
        let mut seen = HashSet::new();
        Some(Asked::Names(names?.into_iter().filter(|name| seen.insert(*name)).collect()))
    }
}

/// An answer to a request that is not right as a whole: its topics, each with the error.
fn refused(version: i16, request: &MetadataRequest) -> MetadataResponse {
    let error = ErrorCode::InvalidRequest.code();
    let topics = request.topics.iter().flatten().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(error)
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
            .with_topic_authorized_operations(fields::OPERATIONS_NOT_ASKED)
    });
    let response = MetadataResponse::default()
        .with_cluster_id(None)
        .with_controller_id(messages::BrokerId(-1))
        .with_topics(topics.collect());
    if version >= 13 { response.with_error_code(error) } else { response }
}

fn address(broker: &Broker, listener: &str) -> Option<MetadataResponseBroker> {
    let listener = broker.listener(listener)?;
    let response = MetadataResponseBroker::default()
        .with_node_id(fields::broker_id(broker.id))
        .with_host(fields::text(&listener.host))
        .with_port(i32::from(listener.port))
        .with_rack(fields::optional_text(broker.rack.as_deref()));
    Some(response)
}

fn found(topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let partitions = topic.indexed().map(|(index, partition)| {
        let error = if partition.leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
        MetadataResponsePartition::default()
            .with_error_code(error.code())
            .with_partition_index(index.get())
            .with_leader_id(fields::optional_broker(partition.leader))
            .with_leader_epoch(partition.leader_epoch.get())
            .with_replica_nodes(fields::broker_ids(&partition.replicas))
            .with_isr_nodes(fields::broker_ids(&partition.isr))
    });
    MetadataResponseTopic::default()
        .with_name(Some(fields::topic_name(&topic.name)))
        .with_topic_id(fields::uuid(topic.id))
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations)
}

fn unknown_name(topic: &str, operations: i32) -> MetadataResponseTopic {
    let error = match name::validate(topic) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(fields::topic_name(topic)))
        .with_is_internal(name::is_internal(topic))
        .with_topic_authorized_operations(operations)
}

fn unknown_id(id: TopicId, operations: i32) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ErrorCode::UnknownTopicId.code())
        .with_name(None)
        .with_topic_id(fields::uuid(id))
        .with_topic_authorized_operations(operations)
}

#[cfg(test)]
pub(crate) mod tests;
