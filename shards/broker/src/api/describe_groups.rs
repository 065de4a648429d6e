//! DescribeGroups (key 15). Version 3 tells what one may do with a group, 4 instance ids, 5 is flexible, 6 has an error for an
//! unknown group (KIP-1043); before, it is shown as dead.

use std::rc::Rc;

use ottla_coordinator::{Described, DescribedMember, Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use ottla_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::fields;
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const OPERATIONS_FROM: i16 = 3;
const UNKNOWN_GROUP_FROM: i16 = 6;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let tells_operations = context.version >= OPERATIONS_FROM && request.include_authorized_operations;
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let group = group.0.to_string();
        let described = match groups::ask(shard, &group, Request::Describe(vec![group.clone()])).await {
            Reply::Describe(mut described) => described.pop(),
            _ => None,
        };
        let described = described.unwrap_or_else(|| Described::error(group, ErrorCode::UnknownServerError));
        groups.push(respond(context.version, tells_operations, described));
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

fn respond(version: i16, tells_operations: bool, described: Described) -> DescribedGroup {
    let (error, message) = match described.error {
        ErrorCode::GroupIdNotFound if version < UNKNOWN_GROUP_FROM => (ErrorCode::None, None),
        ErrorCode::GroupIdNotFound => (described.error, Some(format!("Group {} not found.", described.group))),
        other => (other, None),
    };
    let may_all = tells_operations && !error.is_error();
    DescribedGroup::default()
        .with_error_code(error.code())
        .with_error_message(message.map(fields::owned_text))
        .with_group_id(GroupId(fields::owned_text(described.group)))
        .with_group_state(fields::text(described.state))
        .with_protocol_type(fields::owned_text(described.protocol_type))
        .with_protocol_data(fields::owned_text(described.protocol))
        .with_members(described.members.into_iter().map(member).collect())
        .with_authorized_operations(if may_all { fields::GROUP_OPERATIONS } else { fields::OPERATIONS_NOT_ASKED })
}

fn member(described: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(fields::owned_text(described.member))
        .with_group_instance_id(described.instance.map(fields::owned_text))
        .with_client_id(fields::owned_text(described.client_id))
        .with_client_host(fields::owned_text(described.client_host))
        .with_member_metadata(described.metadata)
        .with_member_assignment(described.assignment)
}

#[cfg(test)]
mod tests;
