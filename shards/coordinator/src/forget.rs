//! DeleteGroups, OffsetDelete, and what goes by itself: offsets past their retention, groups that hold nothing,
//! offsets of deleted topics.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use ottla_units::{ErrorCode, TopicId};

use crate::effect::{PartitionResult, Reply, TopicResult};
use crate::event::{DeleteOffsetsRequest, Token};
use crate::group::{Group, State};
use crate::groups::{Groups, Turn};
use crate::limits::EXPIRED_RECORDS_PER_TURN_MAX;
use crate::offsets::Committed;
use crate::records::group_record;
use crate::timers::Alarm;

impl Groups {
    pub(crate) fn delete(&mut self, token: Token, groups: Vec<String>) {
        let mut outcome = Vec::with_capacity(groups.len());
        for id in groups {
            let error = self.delete_one(&id).err().unwrap_or(ErrorCode::None);
            outcome.push((id, error));
        }
        self.turn().reply_when_durable(token, Reply::Delete(outcome));
    }

    fn delete_one(&mut self, id: &str) -> Result<(), ErrorCode> {
        let (group, mut turn) = self.group(id).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state != State::Empty {
            return Err(ErrorCode::NonEmptyGroup);
        }
        turn.split();
        group.forget_offsets(&mut turn, |_, _| true);
        turn.record(group_record(id, None));
        self.remove(id);
        Ok(())
    }

    pub(crate) fn delete_offsets(&mut self, token: Token, request: &DeleteOffsetsRequest) {
        let result = self.delete_offsets_of(request);
        self.turn().reply_when_durable(token, Reply::DeleteOffsets(result));
    }

    fn delete_offsets_of(&mut self, request: &DeleteOffsetsRequest) -> Result<Vec<TopicResult>, ErrorCode> {
        if request.group.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        let (group, mut turn) = self.group(&request.group).ok_or(ErrorCode::GroupIdNotFound)?;
        if group.state != State::Empty && !group.is_consumer() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        Ok(request.topics.iter().map(|(topic, of)| group.delete_offsets(&mut turn, topic, of)).collect())
    }

    /// Forgets the offsets of topics that are gone.
    pub(crate) fn forget_topics(&mut self, topics: &[(String, TopicId)]) {
        let mut gone: BTreeMap<&str, Vec<TopicId>> = BTreeMap::new();
        for (name, id) in topics {
            gone.entry(name).or_default().push(*id);
        }
        let ids: Vec<Rc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            let Some((group, mut turn)) = self.group(&id) else { continue };
            turn.split();
            group.forget_offsets(&mut turn, |topic, committed| {
                gone.get(topic).is_some_and(|ids| committed.topic_id.is_zero() || ids.contains(&committed.topic_id))
            });
        }
    }

    /// One turn of looking for what is past its retention, and when the next one is.
    pub(crate) fn expire(&mut self) {
        let from = self.retention_from.take();
        let range = (from.as_deref().map_or(Bound::Unbounded, Bound::Included), Bound::Unbounded);
        let ids: Vec<Rc<str>> = self.groups.range::<str, _>(range).map(|(id, _)| Rc::clone(id)).collect();
        let mut delay = self.settings.retention_check_interval_ms.max(1);
        for id in ids {
            if self.turn().records() >= EXPIRED_RECORDS_PER_TURN_MAX {
                self.retention_from = Some(id);
                delay = 1;
                break;
            }
            self.expire_group(&id);
        }
        let turn = self.turn();
        let due = turn.in_ms(delay);
        turn.timers.set(&mut None, due, || Alarm::Retention);
    }

    fn expire_group(&mut self, id: &Rc<str>) {
        let Some((group, mut turn)) = self.group(id) else { return };
        turn.split();
        group.expire_offsets(&mut turn);
        let is_over = group.state == State::Empty && group.pending_joins.is_empty() && group.offsets.is_empty();
        if is_over {
            turn.record(group_record(id, None));
            self.remove(id);
        }
    }
}

impl Group {
    fn delete_offsets(&mut self, turn: &mut Turn<'_>, topic: &str, partitions: &[i32]) -> TopicResult {
        let is_read = self.reads(topic);
        let error = if is_read { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
        for partition in partitions {
            if !is_read && self.offsets.latest(topic, *partition).is_some() {
                self.write_offset(turn, topic, *partition, None);
            }
        }
        let partitions = partitions.iter().map(|partition| PartitionResult { partition: *partition, error }).collect();
        TopicResult { name: topic.to_owned(), id: TopicId::ZERO, partitions }
    }

    fn forget_offsets(&mut self, turn: &mut Turn<'_>, which: impl Fn(&str, &Committed) -> bool) {
        let all = self.offsets.all_latest().filter(|(topic, _, committed)| which(topic, committed));
        let all: Vec<(String, i32)> = all.map(|(topic, partition, _)| (topic.to_owned(), partition)).collect();
        for (topic, partition) in all {
            self.write_offset(turn, &topic, partition, None);
        }
    }

    /// Offsets go when their time is over and nobody reads their topic. Their time runs from when the group became
    /// empty; in a stable group, and in one that never had members, from the commit (`offsetExpirationCondition`).
    fn expire_offsets(&mut self, turn: &mut Turn<'_>) {
        let emptied = match (&self.protocol_type, self.state) {
            (None, _) => None,
            (Some(_), State::Empty) => Some(self.since).filter(|since| since.get() >= 0),
            (Some(_), State::Stable) if self.is_consumer() && self.subscribed.is_some() => None,
            _ => return,
        };
        let (now, retention) = (turn.now.wall, turn.settings.offsets_retention_ms);
        let is_over = |committed: &Committed| match committed.expires_at {
            at if at.get() >= 0 => now >= at,
            _ => now.since(emptied.unwrap_or(committed.committed_at)) >= retention,
        };
        let subscribed = self.subscribed.clone();
        let reads_anything = subscribed.is_none() && self.is_consumer();
        let reads = |topic: &str| subscribed.as_ref().map_or(reads_anything, |topics| topics.contains(topic));
        self.forget_offsets(turn, |topic, committed| !reads(topic) && is_over(committed));
    }
}
