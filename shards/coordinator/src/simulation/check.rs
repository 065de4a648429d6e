//! What must hold of the state at any time.

use super::*;

/// Counts agree with what they count, every alarm has an owner, every member a place.
pub(super) fn invariants(groups: &Groups) {
    let mut alarms = 1; // retention
    for group in groups.groups.values() {
        group_holds(group);
        alarms += usize::from(group.join_timer.is_some()) + usize::from(group.sync_timer.is_some());
        alarms += group.members.values().filter(|member| member.session.is_some()).count();
        alarms += group.pending_joins.len();
    }
    assert_eq!(groups.timers.len(), alarms, "alarms without owners");
}

fn group_holds(group: &Group) {
    let joining = group.members.values().filter(|member| member.joining.is_some()).count();
    assert_eq!(group.joining(), joining);
    assert!(group.pending_syncs.iter().all(|member| group.members.contains_key(member)));
    let statics = group.members.values().filter(|member| member.instance.is_some()).count();
    assert_eq!(group.instances.len(), statics);
    for member in group.members.values() {
        assert!(member.session.is_some() || member.is_waiting(), "nobody looks after {member:?}");
        if let Some(instance) = &member.instance {
            assert_eq!(group.instances.get(instance), Some(&member.id));
        }
    }
    match &group.leader {
        Some(leader) => assert!(group.members.contains_key(leader), "the leader is not a member"),
        None => assert!(group.members.is_empty(), "nobody leads"),
    }
    match group.state {
        State::Empty => assert!(group.members.is_empty()),
        State::PreparingRebalance => assert!(group.join_timer.is_some(), "nothing ends the join phase"),
        State::CompletingRebalance => {
            assert!(group.join_timer.is_none() && joining == 0);
            assert!(group.vote().is_some());
        }
        State::Stable => assert!(!group.members.is_empty() && group.join_timer.is_none()),
    }
}

/// A settled group is the one that its records describe.
pub(super) fn same(live: Option<&Group>, read: Option<&Group>) {
    let (Some(live), Some(read)) = (live, read) else {
        assert!(live.is_none() && read.is_none(), "live {live:?}, read {read:?}");
        return;
    };
    if !matches!(live.state, State::Stable | State::Empty) {
        return;
    }
    let told = |group: &Group| {
        let mut value = group.value(|member| member.assignment.clone());
        // When it became stable is not recorded, and nobody asks.
        if group.state == State::Stable || group.protocol_type.is_none() {
            value.state_since = ottla_units::Timestamp::NONE;
        }
        value
    };
    assert_eq!(told(live), told(read));
    assert_eq!(live.subscribed, read.subscribed);
}
