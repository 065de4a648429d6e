//! JoinGroup, as `GroupMetadataManager.classicGroupJoinToClassicGroup` decides it.

use std::rc::Rc;

use bytes::Bytes;
use ottla_units::ErrorCode;

use crate::effect::{JoinReply, Reply, SyncReply};
use crate::event::{JoinRequest, Token};
use crate::group::{CONSUMER, Group, State};
use crate::groups::{After, Groups, Replaced, Turn};
use crate::limits::{GROUPS_PER_PARTITION_MAX, NEW_MEMBER_JOIN_TIMEOUT_MS, PENDING_MEMBERS_PER_GROUP_MAX};
use crate::member::Member;
use crate::records::{GroupValue, group_record};
use crate::subscription::subscribed_topics;
use crate::timers::Alarm;

impl Groups {
    pub(crate) fn join(&mut self, token: Token, request: JoinRequest) {
        if let Err(error) = self.check_join(&request) {
            return self.reply(token, Reply::Join(JoinReply::error(error, request.member)));
        }
        if !self.has_room_for(request.bytes()) {
            return self
                .reply(token, Reply::Join(JoinReply::error(ErrorCode::CoordinatorNotAvailable, request.member)));
        }
        let is_new_group = !self.groups.contains_key(request.group.as_str());
        let id = request.group.clone();
        if is_new_group {
            self.create(&id);
        }
        let Some((group, mut turn)) = self.group(&id) else { return };
        group.join(&mut turn, token, request);
        if is_new_group {
            let nothing = GroupValue {
                protocol_type: String::new(),
                generation: 0,
                protocol: None,
                leader: None,
                state_since: turn.now.wall,
                members: Vec::new(),
            };
            turn.record(group_record(&id, Some(&nothing)));
        }
    }

    fn check_join(&self, request: &JoinRequest) -> Result<(), ErrorCode> {
        let timeouts = self.settings.session_timeout_ms_min..=self.settings.session_timeout_ms_max;
        if request.group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if !timeouts.contains(&request.session_timeout_ms) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if !self.groups.contains_key(request.group.as_str()) {
            if !request.member.is_empty() {
                return Err(ErrorCode::UnknownMemberId);
            }
            if self.groups.len() >= GROUPS_PER_PARTITION_MAX {
                return Err(ErrorCode::GroupMaxSizeReached);
            }
        }
        Ok(())
    }
}

impl Group {
    fn join(&mut self, turn: &mut Turn<'_>, token: Token, request: JoinRequest) {
        let refused = if !self.has_room(turn, &request.member) {
            self.forget_pending(turn.timers, &request.member);
            self.let_go(turn, &request.member);
            return refuse(turn, token, ErrorCode::GroupMaxSizeReached, "");
        } else if !self.fits(&request.protocol_type, &request.protocols) || !is_legible(&request) {
            Some(ErrorCode::InconsistentGroupProtocol)
        } else {
            None
        };
        match refused {
            Some(error) => refuse(turn, token, error, &request.member),
            None if request.member.is_empty() => self.join_new(turn, token, request),
            None => self.join_known(turn, token, request),
        }
    }

    /// Whether there is room for this member: during a rebalance those count who have joined already, so that the
    /// last to come are the ones left out.
    fn has_room(&self, turn: &Turn<'_>, member: &str) -> bool {
        let max = turn.settings.members_max;
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                self.members.get(member).is_some_and(|member| member.joining.is_some()) || self.joining() < max
            }
            State::CompletingRebalance | State::Stable => self.members.contains_key(member) || self.members.len() < max,
        }
    }

    fn join_new(&mut self, turn: &mut Turn<'_>, token: Token, request: JoinRequest) {
        let name = request.instance.as_deref().unwrap_or(&request.client_id);
        let new_id = format!("{name}-{}", request.unique);
        let current = request.instance.as_deref().and_then(|instance| self.instances.get(instance)).cloned();
        match current {
            Some(current) => self.replace(turn, token, request, &current, new_id),
            None if request.instance.is_none() && request.requires_known_member => {
                self.name_newcomer(turn, token, request.session_timeout_ms, new_id);
            }
            None => self.add_joining(turn, token, request, new_id),
        }
    }

    /// Tells a new dynamic member its id, with which it has to come again (KIP-394).
    fn name_newcomer(&mut self, turn: &mut Turn<'_>, token: Token, session_timeout_ms: i32, new_id: String) {
        if self.pending_joins.len() >= PENDING_MEMBERS_PER_GROUP_MAX {
            return refuse(turn, token, ErrorCode::GroupMaxSizeReached, "");
        }
        let id: Rc<str> = new_id.as_str().into();
        let due = turn.in_ms(session_timeout_ms.max(0) as u64);
        let session = self.pending_joins.entry(Rc::clone(&id)).or_default();
        turn.timers.set(session, due, || Alarm::Session(Rc::clone(&self.id), id));
        refuse(turn, token, ErrorCode::MemberIdRequired, &new_id);
    }

    fn join_known(&mut self, turn: &mut Turn<'_>, token: Token, request: JoinRequest) {
        if self.pending_joins.contains_key(request.member.as_str()) {
            if request.instance.is_some() {
                return refuse(turn, token, ErrorCode::UnknownMemberId, &request.member);
            }
            let id = request.member.clone();
            return self.add_joining(turn, token, request, id);
        }
        if let Err(error) = self.check_member(&request.member, request.instance.as_deref()) {
            return refuse(turn, token, error, &request.member);
        }
        let is_same = self.members.get(request.member.as_str()).is_some_and(|m| m.protocols == request.protocols);
        let is_retry = match self.state {
            State::PreparingRebalance => false,
            // The answer was lost, or the member forgot: the generation has not changed.
            State::CompletingRebalance => is_same,
            // A leader that joins again wants a new assignment.
            State::Stable => is_same && !self.is_leader(&request.member),
            State::Empty => return refuse(turn, token, ErrorCode::UnknownMemberId, &request.member),
        };
        if is_retry {
            return turn.reply(token, Reply::Join(self.join_reply(&request.member)));
        }
        let JoinRequest { member, protocols, rebalance_timeout_ms, session_timeout_ms, .. } = request;
        self.update(&member, protocols, rebalance_timeout_ms, session_timeout_ms);
        self.hold(turn, &member, token);
        self.rebalance(turn);
    }

    fn add_joining(&mut self, turn: &mut Turn<'_>, token: Token, request: JoinRequest, id: String) {
        self.forget_pending(turn.timers, &id);
        let id: Rc<str> = id.into();
        let member = Member {
            id: Rc::clone(&id),
            instance: request.instance,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: Bytes::new(),
            joining: Some(token),
            syncing: None,
            is_new: true,
            session: None,
        };
        if self.state == State::PreparingRebalance && self.previous == State::Empty {
            self.newcomer = true;
        }
        self.add(member, &request.protocol_type);
        // It cannot send heartbeats while it waits, and whether it still lives cannot be seen either: give it a bound.
        self.set_session(turn, &id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance(turn);
    }

    /// A static member starts anew (KIP-345): it takes its place under a new id, and the old id is fenced. While the
    /// group is stable and its protocol stays, nobody else notices.
    fn replace(&mut self, turn: &mut Turn<'_>, token: Token, request: JoinRequest, old: &str, new: String) {
        let leader_before = self.leader_name();
        self.fence(turn, old);
        self.rename(old, &new);
        let Some(member) = self.members.get(new.as_str()) else { return };
        let replaced = Replaced {
            group: Rc::clone(&self.id),
            generation: self.generation,
            old: old.to_owned(),
            new: new.clone(),
            leader_before,
            can_skip_assignment: request.can_skip_assignment,
            protocols_before: member.protocols.clone(),
            rebalance_ms_before: member.rebalance_timeout_ms,
            session_ms_before: member.session_timeout_ms,
        };
        self.renew_session(turn, &new);
        self.update(&new, request.protocols, request.rebalance_timeout_ms, request.session_timeout_ms);
        self.hold(turn, &new, token);
        match self.state {
            State::Stable if self.vote() == self.protocol => {
                turn.record(group_record(&self.id, Some(&self.value(|member| member.assignment.clone()))));
                turn.after(After::Replaced(replaced));
            }
            State::Stable => self.rebalance(turn),
            // The leader may be assigning to the old id right now.
            State::CompletingRebalance => self.prepare_rebalance(turn),
            State::PreparingRebalance | State::Empty => self.complete_join_if_ready(turn),
        }
    }

    /// Tells whoever speaks for this member id that another instance has taken over.
    fn fence(&mut self, turn: &mut Turn<'_>, id: &str) {
        if let Some(token) = self.release_join(id) {
            turn.reply(token, Reply::Join(JoinReply::error(ErrorCode::FencedInstanceId, id.to_owned())));
        }
        let Some(member) = self.members.get_mut(id) else { return };
        turn.timers.cancel(&mut member.session);
        if let Some(token) = member.syncing.take() {
            turn.reply(token, Reply::Sync(SyncReply::error(ErrorCode::FencedInstanceId)));
        }
    }

    /// The new id is on record: the member goes on where it was.
    pub(crate) fn replaced(&mut self, turn: &mut Turn<'_>, replaced: &Replaced) {
        // Unless a rebalance has begun meanwhile: it answers the join that is held.
        if self.state != State::Stable || self.generation != replaced.generation {
            return;
        }
        let Some(token) = self.release_join(&replaced.new) else { return };
        // Its session may have run out while it waited.
        self.renew_session(turn, &replaced.new);
        let mut reply = self.join_reply(&replaced.new);
        if replaced.can_skip_assignment {
            reply.skip_assignment = self.is_leader(&replaced.new);
        } else {
            // Older clients cannot skip the assignment: they are told that another one leads.
            reply.leader = replaced.leader_before.clone();
            reply.members = Vec::new();
        }
        turn.reply(token, Reply::Join(reply));
    }

    /// The new id could not be recorded: the old one is valid again.
    pub(crate) fn replace_failed(&mut self, turn: &mut Turn<'_>, replaced: Replaced, error: ErrorCode) {
        if let Some(token) = self.release_join(&replaced.new) {
            turn.reply(token, Reply::Join(JoinReply::error(error, String::new())));
        }
        let Some(member) = self.members.get_mut(replaced.new.as_str()) else { return };
        turn.timers.cancel(&mut member.session);
        let Replaced { protocols_before, rebalance_ms_before, session_ms_before, .. } = replaced;
        self.update(&replaced.new, protocols_before, rebalance_ms_before, session_ms_before);
        self.rename(&replaced.new, &replaced.old);
        self.renew_session(turn, &replaced.old);
    }

    /// Holds a JoinGroup until the next generation. A member asks on one connection at a time: an earlier request that
    /// is still held is told to join again.
    fn hold(&mut self, turn: &mut Turn<'_>, id: &str, token: Token) {
        if let Some(earlier) = self.hold_join(id, token) {
            refuse(turn, earlier, ErrorCode::RebalanceInProgress, id);
        }
    }
}

/// Whether at least one of a consumer's subscriptions can be read. (Kafka never answers a join whose chosen
/// subscription ends too early.)
fn is_legible(request: &JoinRequest) -> bool {
    request.protocol_type != CONSUMER
        || request.protocols.iter().any(|protocol| subscribed_topics(&protocol.metadata).is_some())
}

fn refuse(turn: &mut Turn<'_>, token: Token, error: ErrorCode, member: &str) {
    turn.reply(token, Reply::Join(JoinReply::error(error, member.to_owned())));
}
