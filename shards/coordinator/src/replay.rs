//! From records back to state.

use std::rc::Rc;

use crate::event::Protocol;
use crate::group::{Group, State};
use crate::groups::Groups;
use crate::member::Member;
use crate::records::{GroupValue, Key, MemberValue, RecordError, read_group, read_key, read_offset};
use crate::timers::Alarm;

impl Groups {
    /// Takes one record of the partition, in the order of the log. Records of newer group types are skipped.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        match read_key(key)? {
            Key::Group(id) => match value {
                Some(value) => self.replay_group(&id, read_group(value)?),
                None => {
                    self.groups.remove(id.as_str());
                }
            },
            Key::Offset { group, topic, partition } => {
                let committed = value.map(read_offset).transpose()?;
                if committed.is_some() && !self.groups.contains_key(group.as_str()) {
                    let simple = Group::new(&group, self.now.wall);
                    self.groups.insert(Rc::clone(&simple.id), simple);
                }
                if let Some(group) = self.groups.get_mut(group.as_str()) {
                    group.offsets.restore(&topic, partition, committed);
                }
            }
            Key::Other(_) => {}
        }
        Ok(())
    }

    fn replay_group(&mut self, id: &str, value: GroupValue) {
        let mut group = Group::new(id, value.state_since);
        if let Some(before) = self.groups.remove(id) {
            group.offsets = before.offsets;
        }
        group.generation = value.generation;
        group.protocol = value.protocol;
        group.state = if value.members.is_empty() { State::Empty } else { State::Stable };
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in value.members {
            group.add(restored(member, &protocol), &value.protocol_type);
        }
        group.protocol_type = Some(value.protocol_type).filter(|text| !text.is_empty());
        group.leader = value.leader.map(|leader| leader.as_str().into());
        group.subscribed = group.compute_subscribed();
        self.groups.insert(Rc::clone(&group.id), group);
    }

    /// The log has been read: members have their whole session to be heard of, groups above the limit shrink.
    pub(crate) fn loaded(&mut self) {
        self.take_stock();
        let ids: Vec<Rc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            let Some((group, mut turn)) = self.group(&id) else { continue };
            let members: Vec<Rc<str>> = group.members.keys().cloned().collect();
            for member in &members {
                group.renew_session(&mut turn, member);
            }
            if members.len() > turn.settings.members_max {
                group.prepare_rebalance(&mut turn);
            }
        }
        let delay = self.settings.retention_check_interval_ms.max(1);
        let turn = self.turn();
        let due = turn.in_ms(delay);
        turn.timers.set(&mut None, due, || Alarm::Retention);
    }
}

fn restored(value: MemberValue, protocol: &str) -> Member {
    let rebalance =
        if value.rebalance_timeout_ms == -1 { value.session_timeout_ms } else { value.rebalance_timeout_ms };
    Member {
        id: value.member.as_str().into(),
        instance: value.instance,
        client_id: value.client_id,
        client_host: value.client_host,
        rebalance_timeout_ms: rebalance,
        session_timeout_ms: value.session_timeout_ms,
        protocols: vec![Protocol { name: protocol.to_owned(), metadata: value.subscription }],
        assignment: value.assignment,
        joining: None,
        syncing: None,
        is_new: false,
        session: None,
    }
}
