//! CreateTopics (key 19).
//!
//! | version | what it added |
//! |---|---|
//! | 2 | the lowest that Kafka 4 serves |
//! | 4 | −1 for the broker's default number of partitions and replicas |
//! | 5 | flexible; the topic's settings, partitions and replicas in the answer |
//! | 7 | topic id in the answer |

use ottla_cluster::{Command, NewTopic, Refusal, TopicCreated};
use ottla_units::BrokerId;
use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::fields;

/// The first version whose answer carries the topic's settings and counts.
const SETTINGS_FROM: i16 = 5;

pub(crate) fn command(request: &CreateTopicsRequest) -> Command {
    Command::CreateTopics {
        topics: request.topics.iter().map(new_topic).collect(),
        validate_only: request.validate_only,
    }
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
            Ok(created) if version < SETTINGS_FROM => result.with_topic_id(fields::uuid(created.id)).with_error_message(None),
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
