//! LeaveGroup.

use ottla_units::ErrorCode;

use crate::effect::{Left, Reply};
use crate::event::{LeaveRequest, Leaver, Token};
use crate::group::{Group, State};
use crate::groups::{Groups, Turn};

impl Groups {
    pub(crate) fn leave(&mut self, token: Token, request: LeaveRequest) {
        if request.group.is_empty() {
            return self.reply(token, Reply::Leave(Err(ErrorCode::InvalidGroupId)));
        }
        let members = request.members;
        match self.group(&request.group) {
            Some((group, mut turn)) => group.leave(&mut turn, token, members),
            None => {
                let unknown = members.into_iter().map(|leaver| left(leaver, ErrorCode::UnknownMemberId)).collect();
                self.reply(token, Reply::Leave(Ok(unknown)));
            }
        }
    }
}

impl Group {
    fn leave(&mut self, turn: &mut Turn<'_>, token: Token, members: Vec<Leaver>) {
        let mut has_left = false;
        let mut outcome = Vec::with_capacity(members.len());
        for leaver in members {
            let error = self.leave_one(turn, &leaver).err().unwrap_or(ErrorCode::None);
            has_left |= !error.is_error();
            outcome.push(left(leaver, error));
        }
        if has_left && self.state != State::Empty {
            self.rebalance(turn);
        }
        turn.reply_when_durable(token, Reply::Leave(Ok(outcome)));
    }

    fn leave_one(&mut self, turn: &mut Turn<'_>, leaver: &Leaver) -> Result<(), ErrorCode> {
        if leaver.member.is_empty() {
            // An administrator removes a static member whose id it need not know.
            let instance = leaver.instance.as_deref().and_then(|instance| self.instances.get(instance));
            let id = instance.cloned().ok_or(ErrorCode::UnknownMemberId)?;
            self.let_go(turn, &id);
            return Ok(());
        }
        if self.forget_pending(turn.timers, &leaver.member) {
            return Ok(());
        }
        self.check_member(&leaver.member, leaver.instance.as_deref())?;
        self.let_go(turn, &leaver.member);
        Ok(())
    }
}

fn left(leaver: Leaver, error: ErrorCode) -> Left {
    Left { member: leaver.member, instance: leaver.instance, error }
}
