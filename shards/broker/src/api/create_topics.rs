//! CreateTopics (key 19).
//!
//! | version | what it added |
//! |---|---|
//! | 2 | the lowest that Kafka 4 serves |
//! | 4 | −1 for the broker's default number of partitions and replicas |
//! | 5 | flexible; the topic's settings, partitions and replicas in the answer |
//! | 7 | topic id in the answer |

use std::rc::Rc;

use ottla_cluster::config::{Described, Layers, describe_topic};
use ottla_cluster::{Answer, Command, NewTopic, Refusal, Resource, TopicCreated};
use ottla_units::BrokerId;
use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_wire::messages::{CreateTopicsRequest, CreateTopicsResponse, StrBytes};

use super::config_resources::tell_names_without_effect;
use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version whose answer carries the topic's settings and counts.
const SETTINGS_FROM: i16 = 5;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let described = |created: &TopicCreated| settings_of(shard, created);
    match shard.control(command(&request)).await {
        Answer::TopicsCreated(outcomes) => {
            for (name, created) in &outcomes {
                if let Ok(created) = created {
                    tell_names_without_effect(
                        &Resource::Topic(name.clone()),
                        created.overrides.keys().map(String::as_str),
                    );
                }
            }
            respond(context.version, outcomes, described)
        }
        other => {
            let refusal = fields::failure(other);
            let names = request.topics.iter().map(|topic| topic.name.0.as_str().to_owned());
            respond(context.version, names.map(|name| (name, Err(refusal.clone()))).collect(), described)
        }
    }
}

pub(crate) fn command(request: &CreateTopicsRequest) -> Command {
    Command::CreateTopics {
        topics: request.topics.iter().map(new_topic).collect(),
        validate_only: request.validate_only,
    }
}

/// The settings that a created topic has, by name.
fn settings_of(shard: &Shard, created: &TopicCreated) -> Vec<CreatableTopicConfigs> {
    let image = shard.image();
    let layers = Layers::of(&image, shard.broker_id, &shard.started_with);
    let mut described = describe_topic(&layers, &created.overrides);
    described.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let setting = |described: Described| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(described.name))
            .with_value(described.value.filter(|_| !described.sensitive).map(StrBytes::from_string))
            .with_read_only(described.read_only)
            .with_config_source(described.source.code())
            .with_is_sensitive(described.sensitive)
    };
    described.into_iter().map(setting).collect()
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| {
        let brokers = assignment.broker_ids.iter().map(|id| BrokerId::new(id.0)).collect();
        (assignment.partition_index, brokers)
    });
    let settings = topic.configs.iter().map(|config| {
        let value = config.value.as_ref().map(|value| value.as_str().to_owned());
        (config.name.as_str().to_owned(), value)
    });
    NewTopic {
        name: topic.name.0.as_str().to_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        settings: settings.collect(),
    }
}

/// `described`: the settings of a topic with these overrides, for the answer.
pub(crate) fn respond(
    version: i16,
    outcomes: Vec<(String, Result<TopicCreated, Refusal>)>,
    described: impl Fn(&TopicCreated) -> Vec<CreatableTopicConfigs>,
) -> CreateTopicsResponse {
    let topics = outcomes.into_iter().map(|(name, outcome)| {
        let result = CreatableTopicResult::default().with_name(fields::topic_name(&name));
        match outcome {
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(fields::optional_text(refusal.message.as_deref())),
            Ok(created) if version < SETTINGS_FROM => {
                result.with_topic_id(fields::uuid(created.id)).with_error_message(None)
            }
            Ok(created) => result
                .with_topic_id(fields::uuid(created.id))
                .with_error_message(None)
                .with_num_partitions(created.partitions)
                .with_replication_factor(created.replication_factor)
                .with_configs(Some(described(&created))),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests;
