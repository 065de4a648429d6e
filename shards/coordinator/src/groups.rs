use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use ottla_units::{ErrorCode, Offset, Timestamp, TopicId};

use crate::effect::{Append, AppendId, Effects, Record, Reply};
use crate::event::{Event, Now, Protocol, Request, Token};
use crate::group::Group;
use crate::room::Room;
use crate::settings::Settings;
use crate::timers::{Alarm, Timers};

/// The groups of one partition of `__consumer_offsets`.
///
/// *Lives on: the shard that leads the partition. Talks by: [`Event`]s in, [`Effects`] out.*
#[derive(Debug)]
pub struct Groups {
    pub(crate) settings: Settings,
    pub(crate) groups: BTreeMap<Rc<str>, Group>,
    pub(crate) timers: Timers,
    pub(crate) now: Now,
    /// Where a turn of expiry that grew too long goes on.
    pub(crate) retention_from: Option<Rc<str>>,
    pub(crate) room: Room,
    out: Outbox,
    /// The last append asked for.
    appended: AppendId,
    /// Appends that are not durable yet, oldest first.
    pending: VecDeque<Pending>,
}

/// A group at a glance, for whoever measures.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a>(&'a Group);

/// One committed offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommittedOffset<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Topic id; zero when the commit did not say.
    pub topic_id: TopicId,
    /// Partition index.
    pub partition: i32,
    /// Where the group goes on reading.
    pub offset: Offset,
}

impl<'a> Summary<'a> {
    /// Group id.
    pub fn group(&self) -> &'a str {
        &self.0.id
    }

    /// `Empty`, `PreparingRebalance`, `CompletingRebalance` or `Stable`.
    pub fn state(&self) -> &'static str {
        self.0.state.name()
    }

    /// How many members it has.
    pub fn members(&self) -> usize {
        self.0.members.len()
    }

    /// Its durable offsets, topic by topic. Allocates nothing.
    pub fn committed(&self) -> impl Iterator<Item = CommittedOffset<'a>> + use<'a> {
        self.0.offsets.all_durable().map(|(topic, partition, committed)| CommittedOffset {
            topic,
            topic_id: committed.topic_id,
            partition,
            offset: committed.offset,
        })
    }
}

/// What a step has decided so far.
#[derive(Default, Debug)]
pub(crate) struct Outbox {
    replies: Vec<(Token, Reply)>,
    records: Vec<Record>,
    splittable: bool,
    with_append: Pending,
}

/// What waits for an append, and how to take back what was done ahead of it.
#[derive(Default, Debug)]
struct Pending {
    id: AppendId,
    held: Vec<(Token, Reply)>,
    after: Vec<After>,
    offsets: Vec<(Rc<str>, String, i32)>,
    created: Vec<Rc<str>>,
    removed: Vec<Group>,
}

/// A change that is made once its record is durable.
#[derive(Debug)]
pub(crate) enum After {
    /// The leader's assignment goes to the members.
    Assigned { group: Rc<str>, generation: i32, assignments: BTreeMap<String, Bytes> },
    /// A static member's new id takes its place.
    Replaced(Replaced),
}

/// A static member that came back under a new id while its group is stable.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) group: Rc<str>,
    pub(crate) generation: i32,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) leader_before: String,
    pub(crate) can_skip_assignment: bool,
    pub(crate) protocols_before: Vec<Protocol>,
    pub(crate) rebalance_ms_before: i32,
    pub(crate) session_ms_before: i32,
}

/// What a group may use during a step.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a Settings,
    pub(crate) timers: &'a mut Timers,
    /// The append that this step's records will be.
    pub(crate) append: AppendId,
    out: &'a mut Outbox,
}

impl Turn<'_> {
    /// Answers now.
    pub(crate) fn reply(&mut self, token: Token, reply: Reply) {
        self.out.replies.push((token, reply));
    }

    /// Answers when everything appended so far, this step included, is durable.
    pub(crate) fn reply_when_durable(&mut self, token: Token, reply: Reply) {
        self.out.with_append.held.push((token, reply));
    }

    /// Appends a record.
    pub(crate) fn record(&mut self, record: Record) {
        self.out.records.push(record);
    }

    /// Allows this step's records to go in several batches.
    pub(crate) fn split(&mut self) {
        self.out.splittable = true;
    }

    /// How many records this step has so far.
    pub(crate) fn records(&self) -> usize {
        self.out.records.len()
    }

    /// Does this once the step's records are durable.
    pub(crate) fn after(&mut self, after: After) {
        self.out.with_append.after.push(after);
    }

    /// Notes that the step's records hold this offset.
    pub(crate) fn wrote_offset(&mut self, group: &Rc<str>, topic: &str, partition: i32) {
        self.out.with_append.offsets.push((Rc::clone(group), topic.to_owned(), partition));
    }

    /// When it is `delay_ms` from now.
    pub(crate) fn in_ms(&self, delay_ms: u64) -> u64 {
        self.now.uptime_ms.saturating_add(delay_ms)
    }
}

impl Groups {
    /// No groups yet. Next come [`Groups::replay`] for each record, then [`Event::Loaded`].
    pub fn new(settings: Settings) -> Groups {
        Groups {
            settings,
            groups: BTreeMap::new(),
            timers: Timers::default(),
            now: Now { wall: Timestamp::new(0), uptime_ms: 0 },
            retention_from: None,
            room: Room::default(),
            out: Outbox::default(),
            appended: AppendId::default(),
            pending: VecDeque::new(),
        }
    }

    /// Takes an event, says what to do. Records in the effects must be appended, or reported as failed, before the
    /// next step.
    pub fn step(&mut self, now: Now, event: Event) -> Effects {
        self.now = Now { wall: now.wall, uptime_ms: now.uptime_ms.max(self.now.uptime_ms) };
        match event {
            Event::Loaded => self.loaded(),
            Event::Request(token, request) => self.request(token, request),
            Event::Tick => {}
            Event::Durable(upto) => self.settle(upto),
            Event::Failed(from, error) => self.take_back(from, error),
            Event::TopicsDeleted(topics) => self.forget_topics(&topics),
            Event::Unload(error) => self.unload(error),
        }
        self.run_timers();
        self.finish()
    }

    /// When [`Event::Tick`] is wanted, on the scale of [`Now::uptime_ms`].
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next_ms()
    }

    /// New settings; they count from the next event on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Every group at a glance. Allocates nothing.
    pub fn summaries(&self) -> impl Iterator<Item = Summary<'_>> {
        self.groups.values().map(Summary)
    }

    fn request(&mut self, token: Token, request: Request) {
        if request.has_oversize_name() {
            let reply = request.refuse(ErrorCode::InvalidRequest);
            return self.reply(token, reply);
        }
        match request {
            Request::Join(join) => self.join(token, join),
            Request::Sync(sync) => self.sync(token, sync),
            Request::Heartbeat(heartbeat) => self.heartbeat(token, &heartbeat),
            Request::Leave(leave) => self.leave(token, leave),
            Request::Commit(commit) => self.commit(token, commit),
            Request::Fetch(fetch) => self.fetch(token, &fetch),
            Request::DeleteOffsets(delete) => self.delete_offsets(token, &delete),
            Request::Describe(groups) => self.describe(token, groups),
            Request::List(list) => self.list(token, &list),
            Request::Delete(groups) => self.delete(token, groups),
        }
    }

    /// A turn without a group.
    pub(crate) fn turn(&mut self) -> Turn<'_> {
        Turn {
            now: self.now,
            settings: &self.settings,
            timers: &mut self.timers,
            append: AppendId(self.appended.0 + 1),
            out: &mut self.out,
        }
    }

    /// A group and its turn.
    pub(crate) fn group(&mut self, id: &str) -> Option<(&mut Group, Turn<'_>)> {
        let group = self.groups.get_mut(id)?;
        let turn = Turn {
            now: self.now,
            settings: &self.settings,
            timers: &mut self.timers,
            append: AppendId(self.appended.0 + 1),
            out: &mut self.out,
        };
        Some((group, turn))
    }

    /// Makes an empty group, taken back if this step's records fail.
    pub(crate) fn create(&mut self, id: &str) {
        let group = Group::new(id, self.now.wall);
        self.out.with_append.created.push(Rc::clone(&group.id));
        self.groups.insert(Rc::clone(&group.id), group);
    }

    /// Removes a group, put back if this step's records fail. Only empty groups are removed.
    pub(crate) fn remove(&mut self, id: &str) {
        let Some(mut group) = self.groups.remove(id) else { return };
        group.stop(&mut self.timers);
        // Whoever was about to join asks anew, even should the group come back.
        group.pending_joins.clear();
        self.out.with_append.removed.push(group);
    }

    pub(crate) fn reply(&mut self, token: Token, reply: Reply) {
        self.out.replies.push((token, reply));
    }

    fn run_timers(&mut self) {
        while let Some((id, alarm)) = self.timers.pop(self.now.uptime_ms) {
            match alarm {
                Alarm::Retention => self.expire(),
                Alarm::Session(group, member) => {
                    if let Some((group, mut turn)) = self.group(&group) {
                        group.on_session(&mut turn, id, &member);
                    }
                }
                Alarm::Join(group) => {
                    if let Some((group, mut turn)) = self.group(&group) {
                        group.join_timer = None;
                        group.on_join_deadline(&mut turn);
                    }
                }
                Alarm::Sync(group) => {
                    if let Some((group, mut turn)) = self.group(&group) {
                        group.sync_timer = None;
                        group.on_sync_deadline(&mut turn);
                    }
                }
            }
        }
    }

    fn finish(&mut self) -> Effects {
        let Outbox { mut replies, records, splittable, mut with_append } = std::mem::take(&mut self.out);
        let append = if records.is_empty() {
            match self.pending.back_mut() {
                Some(last) => last.held.append(&mut with_append.held),
                None => replies.append(&mut with_append.held),
            }
            None
        } else {
            self.appended = AppendId(self.appended.0 + 1);
            with_append.id = self.appended;
            self.pending.push_back(with_append);
            Some(Append { id: self.appended, records, atomic: !splittable })
        };
        Effects { replies, append }
    }

    fn settle(&mut self, upto: AppendId) {
        while self.pending.front().is_some_and(|pending| pending.id <= upto) {
            let Some(pending) = self.pending.pop_front() else { return };
            for (group, topic, partition) in pending.offsets {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.settle(&topic, partition, pending.id);
                }
            }
            for after in pending.after {
                self.apply(after);
            }
            self.out.replies.extend(pending.held);
        }
    }

    fn apply(&mut self, after: After) {
        match after {
            After::Assigned { group, generation, assignments } => {
                if let Some((group, mut turn)) = self.group(&group) {
                    group.assigned(&mut turn, generation, assignments);
                }
            }
            After::Replaced(replaced) => {
                if let Some((group, mut turn)) = self.group(&Rc::clone(&replaced.group)) {
                    group.replaced(&mut turn, &replaced);
                }
            }
        }
    }

    /// Undoes what was done ahead of records that are not in the log.
    fn take_back(&mut self, from: AppendId, error: ErrorCode) {
        let error = coordinator_error(error);
        let kept = self.pending.iter().take_while(|pending| pending.id < from).count();
        for pending in self.pending.split_off(kept) {
            for group in pending.removed {
                self.groups.entry(Rc::clone(&group.id)).or_insert(group);
            }
            for (group, topic, partition) in pending.offsets {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.offsets.take_back(&topic, partition, pending.id);
                }
            }
            for after in pending.after {
                self.fail(after, error);
            }
            for group in pending.created {
                self.evict(&group, error);
            }
            let failed = pending.held.into_iter().map(|(token, reply)| (token, reply.fail(error)));
            self.out.replies.extend(failed);
        }
    }

    fn fail(&mut self, after: After, error: ErrorCode) {
        match after {
            After::Assigned { group, generation, .. } => {
                if let Some((group, mut turn)) = self.group(&group) {
                    group.assign_failed(&mut turn, generation, error);
                }
            }
            After::Replaced(replaced) => {
                if let Some((group, mut turn)) = self.group(&Rc::clone(&replaced.group)) {
                    group.replace_failed(&mut turn, replaced, error);
                }
            }
        }
    }

    /// Removes a group that should not have come to be, answering all who wait for it.
    fn evict(&mut self, id: &str, error: ErrorCode) {
        let Some(mut group) = self.groups.remove(id) else { return };
        group.answer_all(&mut self.turn(), error);
        group.stop(&mut self.timers);
    }

    fn unload(&mut self, error: ErrorCode) {
        for pending in std::mem::take(&mut self.pending) {
            let failed = pending.held.into_iter().map(|(token, reply)| (token, reply.fail(error)));
            self.out.replies.extend(failed);
        }
        for mut group in std::mem::take(&mut self.groups).into_values() {
            group.answer_all(&mut self.turn(), error);
        }
        self.timers.clear();
    }
}

/// What a client is told when the log refuses a record (`CoordinatorOperationExceptionHelper`).
fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
