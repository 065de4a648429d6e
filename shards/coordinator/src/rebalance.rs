//! From one generation to the next: members are called, join, and wait for the leader's assignment.

use std::rc::Rc;

use bytes::Bytes;
use ottla_units::ErrorCode;

use crate::effect::{JoinReply, Reply, SyncReply};
use crate::group::{Group, JoinPhase, State};
use crate::groups::Turn;
use crate::limits::REBALANCE_RETRY_MS_MIN;
use crate::records::group_record;
use crate::timers::{Alarm, TimerId, Timers};

impl Group {
    /// Calls the members for a new generation, or, when that is under way, goes on if all are there.
    pub(crate) fn rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance {
            self.complete_join_if_ready(turn);
        } else {
            self.prepare_rebalance(turn);
        }
    }

    /// Calls the members for a new generation. One that has just begun is given up: who waits for an assignment is
    /// told to join again.
    pub(crate) fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::CompletingRebalance {
            self.reset_assignments(turn, ErrorCode::RebalanceInProgress);
        }
        self.pending_syncs.clear();
        turn.timers.cancel(&mut self.sync_timer);
        let is_initial = self.state == State::Empty;
        self.enter(State::PreparingRebalance, turn.now.wall);
        if is_initial {
            let delay = turn.settings.initial_rebalance_delay_ms;
            let remaining = self.rebalance_timeout_ms().saturating_sub(delay);
            self.join_phase = JoinPhase::Initial { delay, remaining };
            self.set_join_timer(turn, delay);
        } else if self.has_everyone_joined() {
            self.complete_join(turn);
        } else {
            self.join_phase = JoinPhase::Rebalance;
            self.set_join_timer(turn, self.rebalance_timeout_ms());
        }
    }

    /// Ends the join phase if all members have joined. The first rebalance of a group waits for its delay instead.
    pub(crate) fn complete_join_if_ready(&mut self, turn: &mut Turn<'_>) {
        let is_initial = self.previous == State::Empty;
        if self.state == State::PreparingRebalance && !is_initial && self.has_everyone_joined() {
            self.complete_join(turn);
        }
    }

    /// The join phase has lasted as long as it may; a first one is prolonged while members keep coming.
    pub(crate) fn on_join_deadline(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::PreparingRebalance {
            return;
        }
        if let JoinPhase::Initial { delay, remaining } = self.join_phase
            && self.newcomer
            && remaining != 0
        {
            self.newcomer = false;
            let next_delay = turn.settings.initial_rebalance_delay_ms.min(remaining);
            let next_remaining = remaining.saturating_sub(delay);
            self.join_phase = JoinPhase::Initial { delay: next_delay, remaining: next_remaining };
            // A delay of 0 would come back at once for ever.
            return self.set_join_timer(turn, next_delay.max(1));
        }
        self.complete_join(turn);
    }

    /// Begins the next generation with those who have joined; dynamic members who have not are left behind.
    fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(&mut self.join_timer);
        self.newcomer = false;
        let late = self.members.values().filter(|member| member.joining.is_none() && !member.is_static());
        let late: Vec<Rc<str>> = late.map(|member| Rc::clone(&member.id)).collect();
        for id in late {
            self.let_go(turn, &id);
        }
        if !self.members.is_empty() && !self.elect() {
            // Only static members are left and none came: they keep their places until their sessions end.
            self.join_phase = JoinPhase::Rebalance;
            return self.set_join_timer(turn, self.rebalance_timeout_ms().max(REBALANCE_RETRY_MS_MIN));
        }
        self.begin_generation(turn.now.wall);
        if self.state == State::Empty {
            turn.record(group_record(&self.id, Some(&self.value(|_| Bytes::new()))));
        } else {
            self.tell_generation(turn);
        }
    }

    fn tell_generation(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Rc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(token) = self.release_join(&id) {
                turn.reply(token, Reply::Join(self.join_reply(&id)));
            }
            if let Some(member) = self.members.get_mut(&id) {
                member.is_new = false;
            }
            self.renew_session(turn, &id);
            self.pending_syncs.insert(id);
        }
        let due = turn.in_ms(self.rebalance_timeout_ms());
        turn.timers.set(&mut self.sync_timer, due, || Alarm::Sync(Rc::clone(&self.id)));
    }

    /// Who has not asked for an assignment by now is out, and the others join again.
    pub(crate) fn on_sync_deadline(&mut self, turn: &mut Turn<'_>) {
        let is_syncing = matches!(self.state, State::CompletingRebalance | State::Stable);
        if !is_syncing || self.pending_syncs.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_syncs) {
            self.let_go(turn, &id);
        }
        self.prepare_rebalance(turn);
    }

    /// A session has ended: unless the member waits for us, it is gone.
    pub(crate) fn on_session(&mut self, turn: &mut Turn<'_>, alarm: TimerId, id: &str) {
        if self.pending_joins.get(id).is_some_and(|session| *session == Some(alarm)) {
            self.pending_joins.remove(id);
            if self.state == State::PreparingRebalance && self.has_everyone_joined() {
                self.complete_join(turn);
            }
            return;
        }
        let Some(member) = self.members.get_mut(id) else { return };
        if member.session != Some(alarm) {
            return;
        }
        member.session = None;
        if member.is_waiting() {
            return;
        }
        self.let_go(turn, id);
        match self.state {
            State::Stable | State::CompletingRebalance => self.rebalance(turn),
            State::PreparingRebalance if self.has_everyone_joined() => self.complete_join(turn),
            State::PreparingRebalance | State::Empty => {}
        }
    }

    /// Removes a member. What it waits for is answered with UNKNOWN_MEMBER_ID, so that it joins anew if it lives.
    pub(crate) fn let_go(&mut self, turn: &mut Turn<'_>, id: &str) {
        let Some(mut member) = self.take(id) else { return };
        turn.timers.cancel(&mut member.session);
        if let Some(token) = member.joining {
            turn.reply(token, Reply::Join(JoinReply::error(ErrorCode::UnknownMemberId, String::new())));
        }
        if let Some(token) = member.syncing {
            turn.reply(token, Reply::Sync(SyncReply::error(ErrorCode::UnknownMemberId)));
        }
    }

    /// Forgets an id that was given out.
    pub(crate) fn forget_pending(&mut self, timers: &mut Timers, id: &str) -> bool {
        match self.pending_joins.remove(id) {
            Some(mut session) => {
                timers.cancel(&mut session);
                true
            }
            None => false,
        }
    }

    /// Starts a member's session anew.
    pub(crate) fn renew_session(&mut self, turn: &mut Turn<'_>, id: &str) {
        let timeout = self.members.get(id).map_or(0, |member| member.session_timeout_ms.max(0) as u64);
        self.set_session(turn, id, timeout);
    }

    pub(crate) fn set_session(&mut self, turn: &mut Turn<'_>, id: &str, timeout_ms: u64) {
        let Some(member) = self.members.get_mut(id) else { return };
        let due = turn.in_ms(timeout_ms);
        turn.timers.set(&mut member.session, due, || Alarm::Session(Rc::clone(&self.id), Rc::clone(&member.id)));
    }

    fn set_join_timer(&mut self, turn: &mut Turn<'_>, delay_ms: u64) {
        let due = turn.in_ms(delay_ms);
        turn.timers.set(&mut self.join_timer, due, || Alarm::Join(Rc::clone(&self.id)));
    }

    /// Takes all assignments back and tells those who wait for one.
    pub(crate) fn reset_assignments(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        let ids: Vec<Rc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            if let Some(token) = member.syncing.take() {
                turn.reply(token, Reply::Sync(SyncReply::error(error)));
                self.renew_session(turn, &id);
            }
        }
    }

    /// Answers everyone who waits: the group is not here any more.
    pub(crate) fn answer_all(&mut self, turn: &mut Turn<'_>, error: ErrorCode) {
        for member in self.members.values_mut() {
            if let Some(token) = member.joining.take() {
                turn.reply(token, Reply::Join(JoinReply::error(error, member.id.to_string())));
            }
            if let Some(token) = member.syncing.take() {
                turn.reply(token, Reply::Sync(SyncReply::error(error)));
            }
        }
    }

    /// Stops all alarms.
    pub(crate) fn stop(&mut self, timers: &mut Timers) {
        timers.cancel(&mut self.join_timer);
        timers.cancel(&mut self.sync_timer);
        self.members.values_mut().for_each(|member| timers.cancel(&mut member.session));
        self.pending_joins.values_mut().for_each(|session| timers.cancel(session));
    }
}
