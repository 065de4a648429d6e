//! JoinGroup (key 11): a member enters a group, and waits until all have.
//!
//! | version | what it added |
//! |---|---|
//! | 1 | a rebalance timeout of its own |
//! | 4 | a new member is first told its id (KIP-394) |
//! | 5 | static members (KIP-345) |
//! | 6 | flexible |
//! | 7 | the protocol's type and a null name (KIP-559) |
//! | 8 | a reason (KIP-800) |
//! | 9 | skipping the assignment (KIP-814) |

use std::rc::Rc;

use bytes::Bytes;
use ottla_coordinator::{JoinReply, JoinRequest, JoinedMember, Protocol, Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::join_group_response::JoinGroupResponseMember;
use ottla_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use uuid::Uuid;

use super::{fields, find_coordinator};
use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

const REBALANCE_TIMEOUT_FROM: i16 = 1;
const KNOWN_MEMBER_FROM: i16 = 4;
const NULL_PROTOCOL_FROM: i16 = 7;
const SKIP_ASSIGNMENT_FROM: i16 = 9;

pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    // Whoever joins without having looked for the coordinator finds one.
    find_coordinator::offsets_topic(shard).await;
    let group = request.group_id.0.to_string();
    match groups::ask(shard, &group, Request::Join(join(context, request))).await {
        Reply::Join(reply) => respond(context.version, reply),
        _ => respond(context.version, JoinReply::error(ErrorCode::UnknownServerError, String::new())),
    }
}

fn join(context: &Context<'_>, request: JoinGroupRequest) -> JoinRequest {
    let has_own_timeout = context.version >= REBALANCE_TIMEOUT_FROM;
    // The bytes are kept as long as the member lives: a slice would keep the whole receive buffer.
    let protocol = |name: &str, metadata: &Bytes| Protocol { name: name.to_owned(), metadata: fields::own(metadata) };
    JoinRequest {
        group: request.group_id.0.to_string(),
        member: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        client_id: context.client_id.to_owned(),
        client_host: context.client_host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if has_own_timeout { request.rebalance_timeout_ms } else { request.session_timeout_ms },
        protocol_type: request.protocol_type.to_string(),
        protocols: request.protocols.iter().map(|offered| protocol(&offered.name, &offered.metadata)).collect(),
        requires_known_member: context.version >= KNOWN_MEMBER_FROM,
        can_skip_assignment: context.version >= SKIP_ASSIGNMENT_FROM,
        unique: Uuid::new_v4().to_string(),
    }
}

fn respond(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let member = |joined: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(fields::owned_text(joined.member))
            .with_group_instance_id(joined.instance.map(fields::owned_text))
            .with_metadata(joined.metadata)
    };
    let protocol = match reply.protocol {
        None if version < NULL_PROTOCOL_FROM => Some(String::new()),
        other => other,
    };
    JoinGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_generation_id(reply.generation)
        .with_protocol_type(reply.protocol_type.map(fields::owned_text))
        .with_protocol_name(protocol.map(fields::owned_text))
        .with_leader(fields::owned_text(reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(fields::owned_text(reply.member))
        .with_members(reply.members.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests;
