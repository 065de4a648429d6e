//! DescribeGroups and ListGroups.

use bytes::Bytes;
use ottla_units::ErrorCode;

use crate::effect::{Described, DescribedMember, Listed, Reply};
use crate::event::{ListRequest, Token};
use crate::group::{Group, State};
use crate::groups::Groups;
use crate::member::Member;

impl Groups {
    pub(crate) fn describe(&mut self, token: Token, groups: Vec<String>) {
        let describe = |id: String| match self.groups.get(id.as_str()) {
            Some(group) => group.describe(),
            None => Described::error(id, ErrorCode::GroupIdNotFound),
        };
        let described = groups.into_iter().map(describe).collect();
        self.reply(token, Reply::Describe(described));
    }

    pub(crate) fn list(&mut self, token: Token, request: &ListRequest) {
        let passes = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let groups = self.groups.values().filter(|group| passes(&request.states, group.state.name()));
        let listed: Vec<Listed> =
            if passes(&request.types, "classic") { groups.map(Group::list).collect() } else { Vec::new() };
        self.reply(token, Reply::List(Ok(listed)));
    }
}

impl Group {
    /// Metadata and protocol are shown only while they are settled.
    fn describe(&self) -> Described {
        let protocol = if self.state == State::Stable { self.protocol.clone() } else { None };
        let member = |member: &Member| DescribedMember {
            member: member.id.to_string(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.as_deref().map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
            assignment: member.assignment.clone(),
        };
        Described {
            group: self.id.to_string(),
            error: ErrorCode::None,
            state: self.state.name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: self.members.values().map(member).collect(),
            protocol: protocol.unwrap_or_default(),
        }
    }

    fn list(&self) -> Listed {
        Listed {
            group: self.id.to_string(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state.name(),
        }
    }
}
