//! SyncGroup (key 14): the leader hands in who reads what, everyone gets their part.
//!
//! Version 3 added static members, 4 is flexible, 5 names the protocol's type and name (KIP-559), both then obligatory.

use std::rc::Rc;

use ottla_coordinator::{Reply, Request, SyncReply, SyncRequest};
use ottla_units::ErrorCode;
use ottla_wire::messages::{SyncGroupRequest, SyncGroupResponse};

use super::fields;
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const PROTOCOL_FROM: i16 = 5;

pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    let lacks_protocol = request.protocol_type.is_none() || request.protocol_name.is_none();
    if context.version >= PROTOCOL_FROM && lacks_protocol {
        return respond(SyncReply::error(ErrorCode::InconsistentGroupProtocol));
    }
    let group = request.group_id.0.to_string();
    match groups::ask(shard, &group, Request::Sync(sync(request))).await {
        Reply::Sync(reply) => respond(reply),
        _ => respond(SyncReply::error(ErrorCode::UnknownServerError)),
    }
}

fn sync(request: SyncGroupRequest) -> SyncRequest {
    let assignments = request.assignments.iter();
    SyncRequest {
        group: request.group_id.0.to_string(),
        member: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id,
        protocol_type: request.protocol_type.map(|text| text.to_string()),
        protocol: request.protocol_name.map(|text| text.to_string()),
        assignments: assignments.map(|to| (to.member_id.to_string(), fields::own(&to.assignment))).collect(),
    }
}

fn respond(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_protocol_type(reply.protocol_type.map(fields::owned_text))
        .with_protocol_name(reply.protocol.map(fields::owned_text))
        .with_assignment(reply.assignment)
}
