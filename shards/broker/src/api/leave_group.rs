//! LeaveGroup (key 13). Version 3 lets several leave at once, also static members by their instance id; 4 is flexible, 5
//! carries a reason (KIP-800).

use std::rc::Rc;

use ottla_coordinator::{LeaveRequest, Leaver, Left, Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::leave_group_response::MemberResponse;
use ottla_wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::fields;
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const SEVERAL_FROM: i16 = 3;

pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let group = request.group_id.0.to_string();
    match groups::ask(shard, &group, Request::Leave(leave(context.version, request))).await {
        Reply::Leave(outcome) => respond(context.version, outcome),
        _ => respond(context.version, Err(ErrorCode::UnknownServerError)),
    }
}

fn leave(version: i16, request: LeaveGroupRequest) -> LeaveRequest {
    let members = if version < SEVERAL_FROM {
        vec![Leaver { member: request.member_id.to_string(), instance: None }]
    } else {
        let leavers = request.members.into_iter();
        let text = |text: ottla_wire::messages::StrBytes| text.to_string();
        leavers
            .map(|leaver| Leaver { member: text(leaver.member_id), instance: leaver.group_instance_id.map(text) })
            .collect()
    };
    LeaveRequest { group: request.group_id.0.to_string(), members }
}

fn respond(version: i16, outcome: Result<Vec<Left>, ErrorCode>) -> LeaveGroupResponse {
    let left = match outcome {
        Ok(left) => left,
        Err(error) => return LeaveGroupResponse::default().with_error_code(error.code()),
    };
    if version < SEVERAL_FROM {
        let error = left.first().map_or(ErrorCode::None, |left| left.error);
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let member = |left: Left| {
        MemberResponse::default()
            .with_member_id(fields::owned_text(left.member))
            .with_group_instance_id(left.instance.map(fields::owned_text))
            .with_error_code(left.error.code())
    };
    LeaveGroupResponse::default().with_members(left.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests;
