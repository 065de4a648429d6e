use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ottla_batch::{Builder, HEADER_BYTES};
use ottla_cluster::config::BrokerSettings;
use ottla_coordinator::{Append, AppendId, Event, Groups, Reply, Request};
use ottla_partition::{AppendError, Produce};
use ottla_reactor::{Class, Signal, sleep, spawn, timeout, wall_clock};
use ottla_storage::{StorageError, Ticket};
use ottla_units::{ErrorCode, TopicId};

use super::answers::Answers;
use crate::hosted::Host;
use crate::metrics::GroupGauges;
use crate::shard::Shard;

/// How long to wait before a log that could not be read is tried again.
const LOAD_RETRY: Duration = Duration::from_secs(5);
/// How long the clock stands still at a time while a record waits for room.
const ROOM_PAUSE: Duration = Duration::from_millis(10);
/// Milliseconds that the clock's task sleeps at most.
const SLEEP_MS_MAX: u64 = 60 * 60 * 1000;
/// Bytes that a record takes in a batch beside its key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// The coordinator of one partition of `__consumer_offsets`.
///
/// Events are taken one by one: a step, its answers, its records appended; only then the next. Three tasks serve it: one
/// loads it, one tells it the time, one tells it what has become durable while something has not.
///
/// *Lives on: the shard that owns the partition. Talks by: [`Seat::ask`].*
pub(super) struct Seat {
    host: Rc<Host>,
    /// `None` until the log has been read, and after the end.
    groups: RefCell<Option<Groups>>,
    closed: Cell<bool>,
    answers: Rc<Answers>,
    /// Events that wait because a record waits for room.
    events: RefCell<VecDeque<Event>>,
    writing: RefCell<Option<Writing>>,
    /// Appends that are not durable yet.
    undurable: RefCell<VecDeque<(AppendId, Ticket)>>,
    /// Whether a task waits for them.
    telling: Cell<bool>,
    settings: RefCell<Rc<BrokerSettings>>,
    /// When the clock's task wakes up next, in milliseconds of uptime.
    sleeps_until: Cell<u64>,
    earlier: Signal,
}

/// Records on their way into the log.
struct Writing {
    id: AppendId,
    batches: VecDeque<Vec<u8>>,
    ticket: Option<Ticket>,
}

impl Seat {
    /// Begins to load. What holds nothing yet is ready at once.
    pub(super) fn open(shard: &Rc<Shard>, host: Rc<Host>) -> Rc<Seat> {
        let seat = Rc::new(Seat {
            host,
            groups: RefCell::new(None),
            closed: Cell::new(false),
            answers: Rc::default(),
            events: RefCell::default(),
            writing: RefCell::default(),
            undurable: RefCell::default(),
            telling: Cell::new(false),
            settings: RefCell::new(shard.settings()),
            sleeps_until: Cell::new(u64::MAX),
            earlier: Signal::new(),
        });
        if seat.host.partition.log_start() == seat.host.partition.log_end() {
            seat.begin(shard, Groups::new(super::settings(shard)));
        } else {
            spawn(Class::Cold, Rc::clone(&seat).load(Rc::clone(shard))).detach();
        }
        seat
    }

    /// Hands in a request; its answer may come now or much later.
    pub(super) fn ask(self: Rc<Self>, shard: &Rc<Shard>, request: Request) -> impl Future<Output = Reply> + use<> {
        let asked = match self.refusal() {
            Some(error) => Err(request.refuse(error)),
            None => {
                let (token, answer) = self.answers.expect();
                self.take(shard, Event::Request(token, request));
                Ok(answer)
            }
        };
        async move {
            match asked {
                Ok(answer) => answer.await,
                Err(refusal) => refusal,
            }
        }
    }

    fn refusal(&self) -> Option<ErrorCode> {
        if self.closed.get() {
            return Some(ErrorCode::NotCoordinator);
        }
        self.groups.borrow().is_none().then_some(ErrorCode::CoordinatorLoadInProgress)
    }

    /// Takes an event, and those that it brings about.
    pub(super) fn take(self: &Rc<Self>, shard: &Rc<Shard>, event: Event) {
        self.events.borrow_mut().push_back(event);
        self.work(shard);
    }

    /// The partition moves away or the broker stops.
    pub(super) fn close(self: &Rc<Self>, shard: &Rc<Shard>) {
        // Whatever still waits for room will not be appended.
        if let Some(writing) = self.writing.take() {
            self.events.borrow_mut().push_front(Event::Failed(writing.id, ErrorCode::NotLeaderOrFollower));
        }
        self.closed.set(true);
        self.take(shard, Event::Unload(ErrorCode::NotCoordinator));
        self.groups.take();
        self.earlier.notify();
    }

    pub(super) fn gauges(&self) -> Vec<GroupGauges> {
        let groups = self.groups.borrow();
        let summaries = groups.iter().flat_map(Groups::summaries);
        let gauges = summaries.map(|group| {
            let mut topic: Arc<str> = Arc::from("");
            let committed = group.committed().map(|committed| {
                if *topic != *committed.topic {
                    topic = Arc::from(committed.topic);
                }
                (Arc::clone(&topic), committed.partition, committed.offset.get())
            });
            let committed = committed.collect();
            GroupGauges { group: Arc::from(group.group()), state: group.state(), members: group.members(), committed }
        });
        gauges.collect()
    }

    fn work(self: &Rc<Self>, shard: &Rc<Shard>) {
        self.refresh_settings(shard);
        while self.writing.borrow().is_none() {
            let Some(event) = self.events.borrow_mut().pop_front() else { break };
            let Some(effects) = self.groups.borrow_mut().as_mut().map(|groups| groups.step(shard.groups.now(), event))
            else {
                break;
            };
            for (token, reply) in effects.replies {
                self.answers.give(token, reply);
            }
            if let Some(append) = effects.append {
                self.begin_append(shard, append);
            }
        }
        let due = self.groups.borrow().as_ref().and_then(Groups::next_deadline);
        if due.is_some_and(|due| due < self.sleeps_until.get()) {
            self.earlier.notify();
        }
    }

    fn refresh_settings(&self, shard: &Rc<Shard>) {
        let current = shard.settings();
        if !Rc::ptr_eq(&current, &self.settings.borrow()) {
            *self.settings.borrow_mut() = current;
            if let Some(groups) = self.groups.borrow_mut().as_mut() {
                groups.set_settings(super::settings(shard));
            }
        }
    }

    fn begin_append(self: &Rc<Self>, shard: &Rc<Shard>, append: Append) {
        let id = append.id;
        match batches(append, self.host.rules.get().max_message_bytes) {
            Ok(batches) => {
                *self.writing.borrow_mut() = Some(Writing { id, batches, ticket: None });
                if !self.write(shard) {
                    spawn(Class::Data, Rc::clone(self).write_with_room(Rc::clone(shard))).detach();
                }
            }
            Err(error) => self.events.borrow_mut().push_front(Event::Failed(id, error)),
        }
    }

    /// Appends what is to be written. `false`: there is no room now.
    fn write(self: &Rc<Self>, shard: &Rc<Shard>) -> bool {
        let Some(mut writing) = self.writing.take() else { return true };
        while let Some(batch) = writing.batches.front() {
            let rules = self.host.rules.get();
            match self.host.partition.append(batch, &rules, &Produce::COORDINATOR, wall_clock()) {
                Ok(appended) => {
                    writing.ticket = Some(appended.ticket);
                    writing.batches.pop_front();
                }
                Err(AppendError::Storage(StorageError::Busy)) => {
                    *self.writing.borrow_mut() = Some(writing);
                    return false;
                }
                Err(error) => {
                    tracing::warn!(%error, topic = %self.host.topic, "a coordinator's records were refused");
                    self.events.borrow_mut().push_front(Event::Failed(writing.id, error.code()));
                    return true;
                }
            }
        }
        if let Some(ticket) = writing.ticket {
            self.watch(shard, writing.id, ticket);
        }
        true
    }

    async fn write_with_room(self: Rc<Self>, shard: Rc<Shard>) {
        loop {
            let writing = self.writing.borrow().as_ref().and_then(|writing| writing.batches.front().map(Vec::len));
            shard.store.room(writing.unwrap_or(0)).await;
            if self.write(&shard) {
                break;
            }
        }
        self.work(&shard);
    }

    /// Sees to it that the groups hear when an append is durable.
    fn watch(self: &Rc<Self>, shard: &Rc<Shard>, id: AppendId, ticket: Ticket) {
        self.undurable.borrow_mut().push_back((id, ticket));
        if !self.telling.replace(true) {
            spawn(Class::Data, Rc::clone(self).tell_durable(Rc::clone(shard))).detach();
        }
    }

    async fn tell_durable(self: Rc<Self>, shard: Rc<Shard>) {
        loop {
            let Some((id, ticket)) = self.undurable.borrow().front().copied() else { break };
            let event = match shard.store.durable(ticket).await {
                Ok(()) => Event::Durable(self.settled(&shard, id)),
                Err(error) => {
                    self.undurable.borrow_mut().clear();
                    Event::Failed(id, ottla_partition::storage_code(&error))
                }
            };
            self.take(&shard, event);
        }
        self.telling.set(false);
    }

    /// The last of the appends that are durable by now, `first` at least; they are not waited for any more.
    fn settled(&self, shard: &Rc<Shard>, first: AppendId) -> AppendId {
        let mut undurable = self.undurable.borrow_mut();
        let mut last = first;
        while let Some((id, _)) =
            undurable.front().copied().filter(|(id, ticket)| *id <= first || shard.store.is_durable(*ticket))
        {
            last = id;
            undurable.pop_front();
        }
        last
    }

    async fn load(self: Rc<Self>, shard: Rc<Shard>) {
        let groups = loop {
            let mut groups = Groups::new(super::settings(&shard));
            match super::load::replay(&self.host.partition, &mut groups).await {
                Ok(()) => break groups,
                Err(error) => tracing::error!(topic = %self.host.topic, error, "groups cannot be loaded"),
            }
            sleep(LOAD_RETRY).await;
            if self.closed.get() {
                return;
            }
        };
        if !self.closed.get() {
            self.begin(&shard, groups);
        }
    }

    /// Serves with these groups from now on.
    fn begin(self: &Rc<Self>, shard: &Rc<Shard>, groups: Groups) {
        let orphans = orphans(shard, &groups);
        *self.groups.borrow_mut() = Some(groups);
        self.take(shard, Event::Loaded);
        if !orphans.is_empty() {
            self.take(shard, Event::TopicsDeleted(orphans));
        }
        spawn(Class::Data, Rc::clone(self).keep_time(Rc::clone(shard))).detach();
    }

    /// Wakes the groups when something is due.
    async fn keep_time(self: Rc<Self>, shard: Rc<Shard>) {
        while !self.closed.get() {
            let due = self.groups.borrow().as_ref().and_then(Groups::next_deadline).unwrap_or(u64::MAX);
            let now = shard.groups.now().uptime_ms;
            if self.writing.borrow().is_some() {
                // While a record waits for room, time stands still.
                sleep(ROOM_PAUSE).await;
                continue;
            }
            if due <= now {
                self.take(&shard, Event::Tick);
                continue;
            }
            self.sleeps_until.set(due);
            let pause = Duration::from_millis((due - now).min(SLEEP_MS_MAX));
            timeout(pause, self.earlier.wait()).await;
            self.sleeps_until.set(0);
        }
    }
}

/// Topics with offsets that are not there any more: they were deleted, and the process ended before that was recorded.
fn orphans(shard: &Rc<Shard>, groups: &Groups) -> Vec<(String, TopicId)> {
    let image = shard.image();
    let mut orphans = Vec::new();
    for committed in groups.summaries().flat_map(|group| group.committed()) {
        let is_there = match image.topic_named(committed.topic) {
            Some(topic) => committed.topic_id.is_zero() || committed.topic_id == topic.id,
            None => false,
        };
        let is_known = orphans.last().is_some_and(|(name, id)| name == committed.topic && *id == committed.topic_id);
        if !is_there && !is_known {
            orphans.push((committed.topic.to_owned(), committed.topic_id));
        }
    }
    orphans
}

/// Makes batches of records: one if they belong together, else as many as the topic's largest message asks for.
fn batches(append: Append, bytes_max: usize) -> Result<VecDeque<Vec<u8>>, ErrorCode> {
    let now = wall_clock();
    let mut batches = VecDeque::new();
    let mut builder = Builder::new();
    for record in &append.records {
        let bytes = RECORD_OVERHEAD_BYTES + record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
        let is_full = HEADER_BYTES + builder.records_bytes() + bytes > bytes_max;
        if !append.atomic && builder.count() > 0 && is_full {
            batches.push_back(std::mem::take(&mut builder).build());
        }
        builder = builder.record(now, Some(&record.key), record.value.as_deref());
    }
    batches.push_back(builder.build());
    if batches.iter().any(|batch| batch.len() > bytes_max) {
        return Err(ErrorCode::MessageTooLarge);
    }
    Ok(batches)
}

#[cfg(test)]
mod tests;
