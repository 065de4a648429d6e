//! Heartbeat (key 12): a member lives. Version 3 added static members, 4 is flexible.

use std::rc::Rc;

use ottla_coordinator::{Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::dispatch::Context;
use crate::groups;
use crate::shard::Shard;

pub(crate) async fn answer(shard: &Rc<Shard>, _context: &Context<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let group = request.group_id.0.to_string();
    let heartbeat = ottla_coordinator::HeartbeatRequest {
        group: group.clone(),
        member: request.member_id.to_string(),
        instance: request.group_instance_id.map(|instance| instance.to_string()),
        generation: request.generation_id,
    };
    match groups::ask(shard, &group, Request::Heartbeat(heartbeat)).await {
        Reply::Heartbeat(error) => HeartbeatResponse::default().with_error_code(error.code()),
        _ => HeartbeatResponse::default().with_error_code(ErrorCode::UnknownServerError.code()),
    }
}
