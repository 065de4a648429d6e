//! How much memory clients may make the groups of a partition take. Kafka sets no bound.
//!
//! What requests bring is added up; only when that passes the bound is it measured what is really there, because most of what
//! members say replaces what they said before.

use crate::event::{CommitRequest, JoinRequest};
use crate::group::Group;
use crate::groups::Groups;
use crate::member::Member;

/// What a group, a member or an offset takes besides its texts, in bytes: generous.
const FIXED_BYTES: usize = 320;
/// Milliseconds at least between two measurements: each looks at everything.
const MEASURE_MS_MIN: u64 = 500;

/// What is taken, as far as known.
#[derive(Default, Debug)]
pub(crate) struct Room {
    /// Never less than what is really there.
    taken: usize,
    measured_at: Option<u64>,
}

impl Groups {
    /// Whether there is room for `more` bytes, which then count as taken.
    pub(crate) fn has_room_for(&mut self, more: usize) -> bool {
        let max = self.settings.memory_bytes_max;
        let now = self.now.uptime_ms;
        let due = self.room.measured_at.is_none_or(|at| now >= at + MEASURE_MS_MIN);
        if self.room.taken.saturating_add(more) > max && due {
            self.room = Room { taken: self.measure(), measured_at: Some(now) };
        }
        let fits = self.room.taken.saturating_add(more) <= max;
        if fits {
            self.room.taken += more;
        }
        fits
    }

    /// Takes stock after the log was read.
    pub(crate) fn take_stock(&mut self) {
        self.room.taken = self.measure();
    }

    fn measure(&self) -> usize {
        self.groups.values().map(Group::bytes).sum()
    }
}

impl Group {
    fn bytes(&self) -> usize {
        let pending: usize = self.pending_joins.keys().map(|id| id.len() + FIXED_BYTES).sum();
        let members: usize = self.members.values().map(Member::bytes).sum();
        let offsets = self.offsets.all_latest();
        let offsets: usize =
            offsets.map(|(topic, _, committed)| topic.len() + committed.metadata.len() + FIXED_BYTES).sum();
        FIXED_BYTES + self.id.len() + pending + members + offsets
    }
}

impl Member {
    fn bytes(&self) -> usize {
        let protocols: usize = self.protocols.iter().map(|p| p.name.len() + p.metadata.len() + 64).sum();
        let names = self.id.len() + self.client_id.len() + self.instance.as_ref().map_or(0, String::len);
        FIXED_BYTES + names + protocols + self.assignment.len()
    }
}

impl JoinRequest {
    /// What it may make a group take.
    pub(crate) fn bytes(&self) -> usize {
        let protocols: usize = self.protocols.iter().map(|p| p.name.len() + p.metadata.len() + 64).sum();
        let names = self.group.len() + self.client_id.len() + self.instance.as_ref().map_or(0, String::len);
        2 * FIXED_BYTES + names + self.client_id.len().max(self.member.len()) + self.unique.len() + protocols
    }
}

impl CommitRequest {
    /// What it may make a group take.
    pub(crate) fn bytes(&self) -> usize {
        let each = |topic: &crate::event::CommitTopic| -> usize {
            let notes = topic.partitions.iter().map(|offset| offset.metadata.as_ref().map_or(0, String::len));
            notes.map(|note| note + topic.name.len() + FIXED_BYTES).sum()
        };
        FIXED_BYTES + self.group.len() + self.topics.iter().map(each).sum::<usize>()
    }
}
