//! IncrementalAlterConfigs (key 44): one key at a time (KIP-339).
//!
//! | version | what it added |
//! |---|---|
//! | 0 | |
//! | 1 | flexible |

use std::rc::Rc;

use ottla_cluster::{Change, Op, Refusal};
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::config_resources::{self, Wanted, refuse};
use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
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
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn wanted(resource: &AlterConfigsResource) -> Wanted {
    let steps: Result<Vec<_>, Refusal> = resource.configs.iter().map(step).collect();
    Wanted {
        kind: resource.resource_type,
        name: resource.resource_name.as_str().to_owned(),
        change: steps.map(Change::Incremental),
    }
}

fn step(config: &AlterableConfig) -> Result<(String, Op, Option<String>), Refusal> {
    let op = match config.config_operation {
        0 => Op::Set,
        1 => Op::Delete,
        2 => Op::Append,
        3 => Op::Subtract,
        other => return Err(refuse(format!("Unknown operation {other} for {}", config.name.as_str()))),
    };
    Ok((config.name.as_str().to_owned(), op, config.value.as_ref().map(|value| value.as_str().to_owned())))
}
