//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use ottla_units::ErrorCode;

use crate::effect::{Reply, SyncReply};
use crate::event::{HeartbeatRequest, SyncRequest, Token};
use crate::group::{Group, State};
use crate::groups::{After, Groups, Turn};
use crate::records::group_record;

impl Groups {
    pub(crate) fn sync(&mut self, token: Token, request: SyncRequest) {
        let error = if request.group.is_empty() { ErrorCode::InvalidGroupId } else { ErrorCode::UnknownMemberId };
        match self.group(&request.group) {
            Some((group, mut turn)) if !request.group.is_empty() => group.sync(&mut turn, token, request),
            _ => self.reply(token, Reply::Sync(SyncReply::error(error))),
        }
    }

    pub(crate) fn heartbeat(&mut self, token: Token, request: &HeartbeatRequest) {
        let error = match self.group(&request.group) {
            _ if request.group.is_empty() => ErrorCode::InvalidGroupId,
            Some((group, mut turn)) => group.heartbeat(&mut turn, request).err().unwrap_or(ErrorCode::None),
            None => ErrorCode::UnknownMemberId,
        };
        self.reply(token, Reply::Heartbeat(error));
    }
}

impl Group {
    fn heartbeat(&mut self, turn: &mut Turn<'_>, request: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.check_member(&request.member, request.instance.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.renew_session(turn, &request.member);
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), ErrorCode> {
        if self.state == State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member, request.instance.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |asked: &Option<String>, is: &Option<String>| asked.is_some() && is.is_some() && asked != is;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.state == State::PreparingRebalance { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    fn sync(&mut self, turn: &mut Turn<'_>, token: Token, request: SyncRequest) {
        if let Err(error) = self.check_sync(&request) {
            return turn.reply(token, Reply::Sync(SyncReply::error(error)));
        }
        self.pending_syncs.remove(request.member.as_str());
        if self.pending_syncs.is_empty() {
            turn.timers.cancel(&mut self.sync_timer);
        }
        let Some(member) = self.members.get_mut(request.member.as_str()) else { return };
        if self.state == State::Stable {
            let assignment = member.assignment.clone();
            return turn.reply(token, Reply::Sync(self.sync_reply(assignment)));
        }
        if let Some(earlier) = member.syncing.replace(token) {
            turn.reply(earlier, Reply::Sync(SyncReply::error(ErrorCode::RebalanceInProgress)));
        }
        if self.is_leader(&request.member) {
            self.assign(turn, request.assignments);
        }
    }

    /// Records what the leader decided. The members hear of it when it is durable.
    fn assign(&mut self, turn: &mut Turn<'_>, assignments: Vec<(String, Bytes)>) {
        let assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        let value = self.value(|member| assignments.get(&*member.id).cloned().unwrap_or_default());
        turn.record(group_record(&self.id, Some(&value)));
        turn.after(After::Assigned { group: Rc::clone(&self.id), generation: self.generation, assignments });
    }

    /// The leader's decision is durable: the group is stable, unless it has moved on.
    pub(crate) fn assigned(&mut self, turn: &mut Turn<'_>, generation: i32, mut assignments: BTreeMap<String, Bytes>) {
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        let ids: Vec<Rc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = assignments.remove(&*id).unwrap_or_default();
            if let Some(token) = member.syncing.take() {
                let assignment = member.assignment.clone();
                turn.reply(token, Reply::Sync(self.sync_reply(assignment)));
                self.renew_session(turn, &id);
            }
        }
        self.enter(State::Stable, turn.now.wall);
    }

    /// The leader's decision could not be recorded: everyone joins again.
    pub(crate) fn assign_failed(&mut self, turn: &mut Turn<'_>, generation: i32, error: ErrorCode) {
        if self.state == State::CompletingRebalance && self.generation == generation {
            self.reset_assignments(turn, error);
            self.rebalance(turn);
        }
    }

    fn sync_reply(&self, assignment: Bytes) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }
}
