//! One core's part of the broker.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use ottla_cluster::config::{BrokerSettings, Layers};
use ottla_cluster::{Answer, Command, Image, Overrides, Refusal, Topic};
use ottla_reactor::mesh::Letterbox;
use ottla_reactor::{Semaphore, Signal};
use ottla_storage::Store;
use ottla_units::{BrokerId, ErrorCode, PartitionIndex, ShardId, TopicPartition};

use crate::census::Census;
use crate::connection::Connection;
use crate::control::{Controller, LETTERS_MAX, Letter};
use crate::hosted::Hosts;
use crate::links::{Called, Links};
use crate::metrics::Metrics;
use crate::sessions::Sessions;
use crate::shed::AnswerMemory;

/// Commands to the controller that one shard may have unanswered; more wait. Half of the inbox is left for other letters.
const COMMANDS_MAX: u64 = LETTERS_MAX as u64 / 2;

/// Everything one core has.
///
/// *Lives on: each shard. Talks by: [`Links`] to other shards, letters from the control thread, [`Controller`] to it.*
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) broker_id: BrokerId,
    pub(crate) links: Links,
    pub(crate) store: Store,
    /// What the broker was started with.
    pub(crate) started_with: Arc<Overrides>,
    pub(crate) image: RefCell<Arc<Image>>,
    pub(crate) settings: RefCell<Rc<BrokerSettings>>,
    /// The partitions that this shard owns.
    pub(crate) hosts: Hosts,
    pub(crate) sessions: Sessions,
    pub(crate) groups: crate::groups::Shell,
    pub(crate) metrics: Metrics,
    /// Bytes of long requests of which not all has come. Apart from those in work, so that a frame that never ends is in
    /// nobody's way but that of other long ones.
    pub(crate) receive_memory: Semaphore,
    /// Bytes of requests that are under way.
    pub(crate) request_memory: Semaphore,
    /// Bytes of answers that were not sent yet.
    pub(crate) answer_memory: Rc<AnswerMemory>,
    /// Decoded requests whose memory is used again.
    pub(crate) produce_scratch: RefCell<Vec<ottla_wire::produce::Produce>>,
    pub(crate) connections: RefCell<HashMap<u64, Rc<Connection>>>,
    pub(crate) connections_changed: Signal,
    next_connection: Cell<u64>,
    controller: Box<dyn Controller>,
    letterbox: Letterbox<Letter>,
    commands: RefCell<HashMap<u64, Option<Answer>>>,
    commands_answered: Signal,
    next_command: Cell<u64>,
    /// Commands that may be unanswered at once: their answers have to fit into the inbox.
    command_turns: Semaphore,
    /// Producer ids that the controller gave to this shard and that nobody has yet.
    pub(crate) producer_ids: RefCell<Range<i64>>,
    pub(crate) stopping: Cell<bool>,
    /// Connections of all shards.
    pub(crate) census: Arc<Census>,
}

/// What a shard is made of.
pub(crate) struct Parts {
    pub(crate) id: ShardId,
    pub(crate) links: Links,
    pub(crate) store: Store,
    pub(crate) started_with: Arc<Overrides>,
    pub(crate) settings: BrokerSettings,
    pub(crate) controller: Box<dyn Controller>,
    pub(crate) letterbox: Letterbox<Letter>,
    pub(crate) request_memory_bytes: u64,
    pub(crate) answer_memory_bytes: u64,
    pub(crate) census: Arc<Census>,
}

impl Shard {
    pub(crate) fn new(parts: Parts) -> Rc<Shard> {
        Rc::new(Shard {
            id: parts.id,
            broker_id: parts.settings.node.id,
            sessions: Sessions::new(parts.id),
            links: parts.links,
            store: parts.store,
            started_with: parts.started_with,
            image: RefCell::default(),
            settings: RefCell::new(Rc::new(parts.settings)),
            hosts: Hosts::default(),
            groups: crate::groups::Shell::default(),
            metrics: Metrics::default(),
            receive_memory: Semaphore::new(parts.request_memory_bytes),
            request_memory: Semaphore::new(parts.request_memory_bytes),
            answer_memory: AnswerMemory::new(parts.answer_memory_bytes),
            produce_scratch: RefCell::default(),
            connections: RefCell::default(),
            connections_changed: Signal::new(),
            next_connection: Cell::new(0),
            controller: parts.controller,
            letterbox: parts.letterbox,
            commands: RefCell::default(),
            commands_answered: Signal::new(),
            next_command: Cell::new(0),
            command_turns: Semaphore::new(COMMANDS_MAX),
            producer_ids: RefCell::new(0..0),
            stopping: Cell::new(false),
            census: parts.census,
        })
    }

    /// The cluster's state as this shard knows it.
    pub(crate) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    /// This broker's settings as they are now.
    pub(crate) fn settings(&self) -> Rc<BrokerSettings> {
        Rc::clone(&self.settings.borrow())
    }

    /// The shard that owns a partition.
    pub(crate) fn owner(&self, key: TopicPartition) -> ShardId {
        ottla_cluster::owner(key.topic, key.partition, self.links.shards())
    }

    /// Does something on the shard `to`. The first part of it, up to the future, happens at once where `to` is this
    /// shard, and else in the order of such calls.
    pub(crate) fn on<T, F, B>(self: &Rc<Self>, to: ShardId, begin: B) -> On<T, F>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
        B: FnOnce(Rc<Shard>) -> F + Send + 'static,
    {
        if to == self.id {
            On::Here(Box::pin(begin(Rc::clone(self))))
        } else {
            On::There(self.links.call(self, to, begin))
        }
    }

    /// Does something on every shard; the answers by shard.
    pub(crate) async fn on_all<T, F, B>(self: &Rc<Self>, begin: B) -> Vec<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
        B: FnOnce(Rc<Shard>) -> F + Send + Clone + 'static,
    {
        let shards = 0..u16::try_from(self.links.shards()).unwrap_or(u16::MAX);
        let calls: Vec<_> = shards.map(|index| self.on(ShardId::new(index), begin.clone())).collect();
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            answers.push(call.await);
        }
        answers
    }

    /// Asks the controller for a change; every shard has it when this answers.
    pub(crate) async fn control(&self, command: Command) -> Answer {
        let _turn = self.command_turns.acquire(1).await;
        let number = self.next_command.get();
        self.next_command.set(number + 1);
        self.commands.borrow_mut().insert(number, None);
        let _asked = Asked { shard: self, number };
        let letterbox = self.letterbox.clone();
        let guard = Unanswered(Some((letterbox, number)));
        self.controller.submit(command, Box::new(move |answer| guard.answer(answer)));
        loop {
            let waiting = self.commands_answered.wait();
            if let Some(Some(_)) = self.commands.borrow().get(&number) {
                break;
            }
            waiting.await;
        }
        let answer = self.commands.borrow_mut().get_mut(&number).and_then(Option::take);
        answer.unwrap_or_else(|| Answer::Failed(Refusal::plain(ErrorCode::UnknownServerError)))
    }

    /// A letter came with the answer to a command.
    pub(crate) fn answered(&self, number: u64, answer: Answer) {
        if let Some(slot) = self.commands.borrow_mut().get_mut(&number) {
            *slot = Some(answer);
        }
        self.commands_answered.notify();
    }

    /// Takes the new state: settings first, then topics that came, changed or went.
    pub(crate) async fn apply(self: &Rc<Self>, image: Arc<Image>) {
        let before = self.image();
        let resolved = BrokerSettings::resolve(&Layers::of(&image, self.broker_id, &self.started_with));
        match resolved {
            Ok(settings) => self.use_settings(settings),
            Err(error) => tracing::warn!(%error, "broker settings not applied"),
        }
        *self.image.borrow_mut() = Arc::clone(&image);
        for (old, new) in before.topics_changed(&image) {
            match (old, new) {
                (_, Some(topic)) => self.host_topic(topic, old.map_or(0, |old| old.partitions.len())).await,
                (Some(topic), None) => self.drop_topic(topic).await,
                (None, None) => {}
            }
        }
    }

    fn use_settings(self: &Rc<Self>, settings: BrokerSettings) {
        let defaults_changed = self.settings.borrow().topics != settings.topics;
        *self.settings.borrow_mut() = Rc::new(settings);
        if defaults_changed {
            let image = self.image();
            for topic in image.topics() {
                self.hosts.configure(self, topic);
            }
        }
    }

    async fn host_topic(self: &Rc<Self>, topic: &Arc<Topic>, known: usize) {
        for index in known..topic.partitions.len() {
            let key = TopicPartition::new(topic.id, PartitionIndex::new(i32::try_from(index).unwrap_or(i32::MAX)));
            if self.owner(key) == self.id && self.hosts.get(key).is_none() {
                self.hosts.open(self, topic, key).await;
            }
        }
        self.hosts.configure(self, topic);
    }

    async fn drop_topic(self: &Rc<Self>, topic: &Arc<Topic>) {
        for (index, _) in topic.indexed() {
            let key = TopicPartition::new(topic.id, index);
            if self.owner(key) == self.id {
                self.hosts.close(self, key).await;
            }
        }
        self.metrics.forget_topic(&topic.name);
        self.groups.topic_deleted(self, topic);
    }

    /// Keeps a connection in the shard's list; the number takes it out again.
    pub(crate) fn keep(&self, connection: &Rc<Connection>) -> u64 {
        let number = self.next_connection.get();
        self.next_connection.set(number + 1);
        self.connections.borrow_mut().insert(number, Rc::clone(connection));
        self.metrics.connections.open.add(1);
        number
    }

    pub(crate) fn forget(&self, number: u64) {
        self.connections.borrow_mut().remove(&number);
        self.metrics.connections.open.add(-1);
        self.connections_changed.notify();
    }
}

/// A command that somebody waits for; the answer to one that is given up is dropped when it comes.
struct Asked<'s> {
    shard: &'s Shard,
    number: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.shard.commands.borrow_mut().remove(&self.number);
    }
}

/// Brings the answer to a command back to its shard. Dropped without one, the controller is gone: the metadata log cannot be
/// written, and the process ends. Clients take that code as a reason to ask again.
struct Unanswered(Option<(Letterbox<Letter>, u64)>);

impl Unanswered {
    fn answer(mut self, answer: Answer) {
        self.post(answer);
    }

    fn post(&mut self, answer: Answer) {
        let Some((letterbox, number)) = self.0.take() else { return };
        if letterbox.post(Letter::Answered { number, answer }).is_err() {
            tracing::error!("a shard's inbox is full; the answer to a command is lost");
        }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.post(Answer::Failed(Refusal::plain(ErrorCode::KafkaStorageError)));
    }
}

/// Something under way on this shard or on another.
pub(crate) enum On<T, F> {
    Here(std::pin::Pin<Box<F>>),
    There(Called<T>),
}

impl<T: Send + 'static, F: Future<Output = T>> Future for On<T, F> {
    type Output = T;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<T> {
        match self.get_mut() {
            On::Here(future) => future.as_mut().poll(context),
            On::There(called) => std::pin::Pin::new(called).poll(context),
        }
    }
}
