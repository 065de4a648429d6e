//! ListConfigResources (key 74): what has settings (KIP-1142; before it, metrics subscriptions alone, KIP-1000).
//!
//! | version | what it added |
//! |---|---|
//! | 0 | flexible; metrics subscriptions |
//! | 1 | kinds of resources, chosen by the client |

use std::rc::Rc;

use ottla_cluster::{Image, Resource};
use ottla_units::ErrorCode;
use ottla_wire::messages::list_config_resources_response::ConfigResource;
use ottla_wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use super::config_resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version that asks for kinds and names them.
const KINDS_FROM: i16 = 1;
/// Every kind there is, in the order they are listed.
const KINDS: [i8; 5] = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let asked = &request.resource_types;
    if asked.iter().any(|kind| !KINDS.contains(kind)) {
        return ListConfigResourcesResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let image = shard.image();
    let is_wanted = |kind: &i8| match context.version {
        ..KINDS_FROM => *kind == CLIENT_METRICS,
        _ => asked.is_empty() || asked.contains(kind),
    };
    let kinds = KINDS.into_iter().filter(is_wanted);
    let resources = kinds.flat_map(|kind| {
        let named = names(&image, kind).into_iter();
        named
            .map(move |name| ConfigResource::default().with_resource_name(fields::text(&name)).with_resource_type(kind))
    });
    ListConfigResourcesResponse::default().with_config_resources(resources.collect())
}

fn names(image: &Image, kind: i8) -> Vec<String> {
    let set = |wanted: fn(&Resource) -> Option<&String>| {
        image.resources().filter_map(|(resource, _)| wanted(resource)).cloned().collect()
    };
    match kind {
        GROUP => set(|resource| if let Resource::Group(name) = resource { Some(name) } else { None }),
        CLIENT_METRICS => set(|resource| if let Resource::ClientMetrics(name) = resource { Some(name) } else { None }),
        TOPIC => image.topics_sorted().into_iter().map(|topic| topic.name.to_string()).collect(),
        _ => image.brokers().map(|broker| broker.id.to_string()).collect(),
    }
}
