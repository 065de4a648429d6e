//! DescribeConfigs (key 32).
//!
//! | version | what it added |
//! |---|---|
//! | 1 | the lowest that Kafka 4 serves: sources and synonyms |
//! | 3 | kinds and documentation |
//! | 4 | flexible |

use std::rc::Rc;

use ottla_cluster::config::{
    Described, Layers, Source, SynonymValue, describe_all_brokers, describe_broker, describe_client_metrics,
    describe_group, describe_topic,
};
use ottla_cluster::{Refusal, Resource, name};
use ottla_units::ErrorCode;
use ottla_wire::messages::describe_configs_request::DescribeConfigsResource;
use ottla_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse, StrBytes};

use super::config_resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC, refuse};
use super::fields;
use crate::dispatch::Context;
use crate::loggers;
use crate::shard::Shard;

/// The first version that tells what a value is and means.
const KINDS_FROM: i16 = 3;

/// What Kafka says of a resource that it has no name for (`Errors.INVALID_REQUEST`).
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the \
                         message was sent to an incompatible broker. See the broker logs for more details.";

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let shown = Shown {
        synonyms: request.include_synonyms,
        kinds: context.version >= KINDS_FROM,
        documentation: request.include_documentation && context.version >= KINDS_FROM,
    };
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(shard, resource) {
            Ok(entries) => {
                let entries = entries.into_iter().filter(|entry| is_wanted(resource, entry));
                result
                    .with_error_message(Some(fields::text("")))
                    .with_configs(entries.map(|entry| shown.entry(entry)).collect())
            }
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(fields::optional_text(refusal.message.as_deref())),
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn is_wanted(resource: &DescribeConfigsResource, entry: &Described) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| key.as_str() == entry.name)
}

/// What of an entry is to be shown.
struct Shown {
    synonyms: bool,
    kinds: bool,
    documentation: bool,
}

impl Shown {
    fn entry(&self, entry: Described) -> DescribeConfigsResourceResult {
        let synonym = |synonym: SynonymValue| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_string(synonym.name))
                .with_value(synonym.value.map(StrBytes::from_string))
                .with_source(synonym.source.code())
        };
        let synonyms = if self.synonyms { entry.synonyms } else { Vec::new() };
        let kind = entry.kind.filter(|_| self.kinds).map_or(0, |kind| kind.code());
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(entry.name))
            .with_value(entry.value.map(StrBytes::from_string))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source.code())
            .with_is_sensitive(entry.sensitive)
            .with_synonyms(synonyms.into_iter().map(synonym).collect())
            .with_config_type(kind)
            .with_documentation(entry.about.filter(|_| self.documentation).map(StrBytes::from_static_str))
    }
}

fn describe(shard: &Shard, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Refusal> {
    let image = shard.image();
    let layers = Layers::of(&image, shard.broker_id, &shard.started_with);
    let named = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            let refused = |error: name::NameError| Refusal::new(ErrorCode::InvalidTopicException, error.to_string());
            name::validate(named).map_err(refused)?;
            let unknown = || Refusal::new(ErrorCode::UnknownTopicOrPartition, "");
            let topic = image.topic_named(named).ok_or_else(unknown)?;
            Ok(describe_topic(&layers, &topic.overrides))
        }
        BROKER if named.is_empty() => Ok(describe_all_brokers(&layers)),
        BROKER => {
            check_node(shard, named, " or empty string,")?;
            Ok(describe_broker(&layers, shard.broker_id))
        }
        BROKER_LOGGER if named.is_empty() => Err(refuse("Broker id must not be empty")),
        BROKER_LOGGER => {
            check_node(shard, named, "")?;
            Ok(loggers::levels().into_iter().map(|(logger, level)| of_logger(logger, level)).collect())
        }
        CLIENT_METRICS if named.is_empty() => Err(refuse("Client metrics subscription name must not be empty")),
        CLIENT_METRICS => {
            let overrides = image.overrides(&Resource::ClientMetrics(named.to_owned()));
            Ok(describe_client_metrics(&layers, overrides))
        }
        GROUP if named.is_empty() => Err(refuse("Group name must not be empty")),
        GROUP => Ok(describe_group(&layers, image.overrides(&Resource::Group(named.to_owned())))),
        _ => Err(refuse(MALFORMED)),
    }
}

fn check_node(shard: &Shard, named: &str, or: &str) -> Result<(), Refusal> {
    let no_number = |_| refuse(format!("Broker id must be an integer, but it is: {named}"));
    let id: i32 = named.parse().map_err(no_number)?;
    if id == shard.broker_id.get() {
        return Ok(());
    }
    Err(refuse(format!("Unexpected broker id, expected {}{or} but received {named}", shard.broker_id)))
}

fn of_logger(logger: String, level: &'static str) -> Described {
    Described {
        name: logger,
        value: Some(level.to_owned()),
        source: Source::Logger,
        read_only: false,
        sensitive: false,
        kind: None,
        synonyms: Vec::new(),
        about: None,
    }
}
