//! DeleteGroups (key 42): groups without members go, with their offsets. Version 2 is flexible.

use std::collections::BTreeSet;
use std::rc::Rc;

use ottla_coordinator::{Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::delete_groups_response::DeletableGroupResult;
use ottla_wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse, GroupId};

use super::fields;
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let names: BTreeSet<String> = request.groups_names.iter().map(|group| group.0.to_string()).collect();
    let mut results = Vec::with_capacity(names.len());
    for group in names {
        let outcome = match groups::ask(shard, &group, Request::Delete(vec![group.clone()])).await {
            Reply::Delete(outcome) => outcome.first().map_or(ErrorCode::UnknownServerError, |(_, error)| *error),
            _ => ErrorCode::UnknownServerError,
        };
        let result = DeletableGroupResult::default()
            .with_group_id(GroupId(fields::owned_text(group)))
            .with_error_code(outcome.code());
        results.push(result);
    }
    DeleteGroupsResponse::default().with_results(results)
}
