//! AlterConfigs (key 33): what is given replaces everything that is set.
//!
//! | version | what it added |
//! |---|---|
//! | 0 | |
//! | 2 | flexible |

use std::rc::Rc;

use ottla_cluster::Change;
use ottla_wire::messages::alter_configs_request::AlterConfigsResource;
use ottla_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::config_resources::{self, Wanted};
use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let wanted = request.resources.iter().map(wanted).collect();
    let outcomes = config_resources::alter(shard, wanted, request.validate_only).await;
    let responses = request.resources.into_iter().zip(outcomes).map(|(resource, outcome)| {
        let response = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name);
        match outcome {
            Ok(()) => response.with_error_message(None),
            Err(refusal) => response
                .with_error_code(refusal.code.code())
                .with_error_message(fields::optional_text(refusal.message.as_deref())),
        }
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

fn wanted(resource: &AlterConfigsResource) -> Wanted {
    let given = resource.configs.iter().map(|config| {
        let value = config.value.as_ref().map(|value| value.as_str().to_owned());
        (config.name.as_str().to_owned(), value)
    });
    Wanted {
        kind: resource.resource_type,
        name: resource.resource_name.as_str().to_owned(),
        change: Ok(Change::Replace(given.collect())),
    }
}
