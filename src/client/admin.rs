//! Topics made, changed and removed.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest,
};
use kafka_protocol::protocol::StrBytes;
use ottla_wire::ApiKey;

use super::cluster::topic_name;
use super::{ClientError, Cluster};

/// Kafka's number for a topic as the owner of settings (`ConfigResource.Type`).
const TOPIC_RESOURCE: i8 = 2;
/// Kafka's number for a setting made on the topic itself (`DescribeConfigsResponse.ConfigSource`).
const SOURCE_TOPIC: i8 = 1;

/// A topic to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; the broker's default without.
    pub partitions: Option<i32>,
    /// How many copies; the broker's default without.
    pub replication_factor: Option<i16>,
    /// Its settings.
    pub configs: Vec<(String, String)>,
}

/// What was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    /// How many partitions; `None` when the broker is too old to say.
    pub partitions: Option<i32>,
    /// How many copies; `None` when the broker is too old to say.
    pub replication_factor: Option<i16>,
}

/// A topic's setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicConfig {
    /// Its key.
    pub name: String,
    /// Its value; `None` when it is secret.
    pub value: Option<String>,
    /// Whether it was set on the topic, rather than taken from the broker.
    pub is_set: bool,
}

/// A change of one setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConfigChange {
    /// Sets it.
    Set(String, String),
    /// Takes it back to the broker's value.
    Delete(String),
}

/// Makes a topic, or only asks whether it could be made.
pub fn create(cluster: &mut Cluster, topic: &NewTopic, dry_run: bool) -> Result<CreatedTopic, ClientError> {
    let configs = topic
        .configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value))));
    let wanted = CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(configs.collect());
    let timeout_ms = millis(cluster);
    let (version, answer) = cluster.controller()?.call(i16::MAX, |_| {
        CreateTopicsRequest::default().with_topics(vec![wanted]).with_timeout_ms(timeout_ms).with_validate_only(dry_run)
    })?;
    let subject = format!("topic {}", topic.name);
    let Some(made) = answer.topics.into_iter().next() else {
        return Err(ClientError::refused(ApiKey::CreateTopics, subject, -1, None));
    };
    accepted(ApiKey::CreateTopics, subject, made.error_code, made.error_message)?;
    let says = version >= 5;
    Ok(CreatedTopic {
        partitions: Some(made.num_partitions).filter(|count| says && *count > 0),
        replication_factor: Some(made.replication_factor).filter(|count| says && *count > 0),
    })
}

/// Removes a topic and everything in it.
pub fn delete(cluster: &mut Cluster, name: &str) -> Result<(), ClientError> {
    let timeout_ms = millis(cluster);
    let (_, answer) = cluster.controller()?.call(i16::MAX, |version| {
        let request = DeleteTopicsRequest::default().with_timeout_ms(timeout_ms);
        match version {
            6.. => request.with_topics(vec![DeleteTopicState::default().with_name(Some(topic_name(name)))]),
            _ => request.with_topic_names(vec![topic_name(name)]),
        }
    })?;
    let subject = format!("topic {name}");
    match answer.responses.into_iter().next() {
        Some(gone) => accepted(ApiKey::DeleteTopics, subject, gone.error_code, gone.error_message),
        None => Err(ClientError::refused(ApiKey::DeleteTopics, subject, -1, None)),
    }
}

/// Gives a topic more partitions.
pub fn grow(cluster: &mut Cluster, name: &str, count: i32) -> Result<(), ClientError> {
    let timeout_ms = millis(cluster);
    let wanted = CreatePartitionsTopic::default().with_name(topic_name(name)).with_count(count).with_assignments(None);
    let (_, answer) = cluster
        .controller()?
        .call(i16::MAX, |_| CreatePartitionsRequest::default().with_topics(vec![wanted]).with_timeout_ms(timeout_ms))?;
    let subject = format!("topic {name}");
    match answer.results.into_iter().next() {
        Some(grown) => accepted(ApiKey::CreatePartitions, subject, grown.error_code, grown.error_message),
        None => Err(ClientError::refused(ApiKey::CreatePartitions, subject, -1, None)),
    }
}

/// A topic's settings, by key.
pub fn configs(cluster: &mut Cluster, name: &str) -> Result<Vec<TopicConfig>, ClientError> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let (_, answer) =
        cluster.any()?.call(i16::MAX, |_| DescribeConfigsRequest::default().with_resources(vec![resource]))?;
    let subject = format!("topic {name}");
    let Some(described) = answer.results.into_iter().next() else {
        return Err(ClientError::refused(ApiKey::DescribeConfigs, subject, -1, None));
    };
    accepted(ApiKey::DescribeConfigs, subject, described.error_code, described.error_message)?;
    let mut configs: Vec<TopicConfig> = (described.configs.into_iter())
        .map(|config| TopicConfig {
            name: config.name.to_string(),
            value: config.value.map(|value| value.to_string()),
            is_set: config.config_source == SOURCE_TOPIC,
        })
        .collect();
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(configs)
}

/// Changes a topic's settings: all of them, or none.
pub fn alter_configs(cluster: &mut Cluster, name: &str, changes: &[ConfigChange]) -> Result<(), ClientError> {
    let configs = changes.iter().map(|change| match change {
        ConfigChange::Set(key, value) => {
            AlterableConfig::default().with_name(text(key)).with_config_operation(0).with_value(Some(text(value)))
        }
        ConfigChange::Delete(key) => {
            AlterableConfig::default().with_name(text(key)).with_config_operation(1).with_value(None)
        }
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    let (_, answer) = cluster
        .controller()?
        .call(i16::MAX, |_| IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))?;
    let subject = format!("topic {name}");
    match answer.responses.into_iter().next() {
        Some(changed) => accepted(ApiKey::IncrementalAlterConfigs, subject, changed.error_code, changed.error_message),
        None => Err(ClientError::refused(ApiKey::IncrementalAlterConfigs, subject, -1, None)),
    }
}

fn accepted(api: ApiKey, subject: String, code: i16, message: Option<StrBytes>) -> Result<(), ClientError> {
    match code {
        0 => Ok(()),
        _ => Err(ClientError::refused(api, subject, code, message.map(|message| message.to_string()))),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// How long the broker may take, so that it gives up before we do.
fn millis(cluster: &Cluster) -> i32 {
    i32::try_from(cluster.timeout().as_millis() * 9 / 10).unwrap_or(i32::MAX)
}
