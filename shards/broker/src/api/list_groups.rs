//! ListGroups (key 16): every group that this broker keeps. Version 3 is flexible, 4 tells and filters states (KIP-518), 5 types
//! (KIP-848).

use std::rc::Rc;

use ottla_coordinator::{ListRequest, Listed, Reply, Request};
use ottla_units::ErrorCode;
use ottla_wire::messages::list_groups_response::ListedGroup;
use ottla_wire::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

const STATES_FROM: i16 = 4;
const TYPES_FROM: i16 = 5;
/// The only type there is.
const CLASSIC: &str = "classic";

pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let list = ListRequest {
        states: request.states_filter.iter().map(|state| state.to_string()).collect(),
        types: request.types_filter.iter().map(|kind| kind.to_string()).collect(),
    };
    let ask = Request::List(list);
    let replies = shard.on_all(move |there| there.groups.ask_all(&there, &ask)).await;
    let mut groups = Vec::new();
    for reply in replies.into_iter().flatten() {
        match reply {
            Reply::List(Ok(listed)) => groups.extend(listed.into_iter().map(|group| respond(context.version, group))),
            // It has just moved away.
            Reply::List(Err(ErrorCode::NotCoordinator)) => {}
            Reply::List(Err(error)) => return ListGroupsResponse::default().with_error_code(error.code()),
            _ => {}
        }
    }
    ListGroupsResponse::default().with_groups(groups)
}

fn respond(version: i16, listed: Listed) -> ListedGroup {
    ListedGroup::default()
        .with_group_id(GroupId(fields::owned_text(listed.group)))
        .with_protocol_type(fields::owned_text(listed.protocol_type))
        .with_group_state(fields::text(if version >= STATES_FROM { listed.state } else { "" }))
        .with_group_type(fields::text(if version >= TYPES_FROM { CLASSIC } else { "" }))
}
