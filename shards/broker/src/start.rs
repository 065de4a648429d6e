//! Bringing the shards up and down.

use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla_cluster::config::BrokerSettings;
use ottla_cluster::{Image, Overrides};
use ottla_reactor::mesh::{self, Doorbell, Inbox, Inflow, Letters, Outlet};
use ottla_reactor::socket::{Accepted, Listener};
use ottla_reactor::{Class, Shards, monotonic, sleep, spawn, timeout};
use ottla_storage::{DiskSettings, Layout, LogImage, Recovery, Store, StoreConfig};
use ottla_units::{ShardId, TopicPartition};

use crate::census::Census;
use crate::connection::Connection;
use crate::control::{Controller, LETTERS_MAX, Letter, Letterboxes};
use crate::links::{Links, MESSAGES_MAX, Message};
use crate::scrape::watch_stalls;
use crate::shard::{Parts, Shard};
use crate::shed::shed;

/// How often connections are looked at for being idle, as a part of the idle time.
const IDLE_CHECKS_PER_TIMEOUT: u32 = 10;
/// How long to wait after the process has run out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A larger journal has more files, not larger ones: one is the least that can be used again.
const JOURNAL_FILE_BYTES: u64 = 64 << 20;

/// What shards are started with.
pub struct Launch {
    /// What the broker was started with: file, flags, environment.
    pub started_with: Arc<Overrides>,
    /// The same, read.
    pub settings: BrokerSettings,
    /// Where data lies.
    pub layout: Layout,
    /// The cluster's state, this broker registered in it.
    pub image: Arc<Image>,
    /// What the data folder held.
    pub recovery: Recovery,
    /// How its disk is written to.
    pub disk: DiskSettings,
    /// The core of each shard; `None` leaves it to the kernel.
    pub cores: Vec<Option<usize>>,
    /// Where to take connections, by the listeners' names.
    pub listeners: Vec<(String, Listener)>,
    /// Bytes of requests under way, in each shard.
    pub request_memory_bytes: u64,
    /// Bytes of answers not sent yet, in each shard.
    pub answer_memory_bytes: u64,
    /// Makes each shard's way to the controller.
    pub controller: Box<dyn Fn() -> Box<dyn Controller> + Send + Sync>,
    /// Called when nothing can be acknowledged any more; the process should say so and exit.
    pub on_failure: Arc<dyn Fn(String) + Send + Sync>,
    /// Called by each shard when it serves, or with the reason why it cannot.
    pub on_ready: Arc<dyn Fn(Result<ShardId, String>) + Send + Sync>,
}

/// Shards that run.
pub struct Running {
    /// Where to write to them.
    pub letterboxes: Letterboxes,
    /// Their threads.
    pub shards: Shards<()>,
}

/// One shard's things, until its thread takes them.
struct Seat {
    inbox: Inbox<Letter>,
    lines: Lines,
    logs: HashMap<TopicPartition, LogImage>,
    config: ConfigSeed,
    listeners: Vec<(String, Listener)>,
}

/// What all shards are started with alike.
struct Shared {
    started_with: Arc<Overrides>,
    settings: BrokerSettings,
    layout: Layout,
    image: Arc<Image>,
    request_memory_bytes: u64,
    answer_memory_bytes: u64,
    controller: Box<dyn Fn() -> Box<dyn Controller> + Send + Sync>,
    on_failure: Arc<dyn Fn(String) + Send + Sync>,
    on_ready: Arc<dyn Fn(Result<ShardId, String>) + Send + Sync>,
    letterboxes: Letterboxes,
    census: Arc<Census>,
}

/// What a [`StoreConfig`] is made from on the shard's own thread.
#[derive(Clone, Copy)]
struct ConfigSeed {
    generation: u64,
    disk: DiskSettings,
}

/// Starts all shards; each says through `on_ready` when it serves.
///
/// # Errors
/// When a thread or a descriptor cannot be had.
pub fn launch(launch: Launch) -> io::Result<Running> {
    let count = launch.cores.len();
    let bells = (0..count).map(|_| Doorbell::new().map(Arc::new)).collect::<io::Result<Vec<_>>>()?;
    let (letterboxes, inboxes): (Letterboxes, Vec<_>) = bells.iter().map(|bell| mesh::inbox(LETTERS_MAX, bell)).unzip();
    let mut logs: Vec<HashMap<_, _>> = (0..count).map(|_| HashMap::new()).collect();
    let config = ConfigSeed { generation: launch.recovery.generation, disk: launch.disk };
    for (key, log) in launch.recovery.logs {
        logs[ottla_cluster::owner(key.topic, key.partition, count).index()].insert(key, log);
    }
    let mut listeners = launch.listeners;
    let seats = inboxes.into_iter().zip(lines(&bells)).zip(logs).map(|((inbox, lines), logs)| {
        // The first shard accepts, and hands connections to the one that has fewest.
        Mutex::new(Some(Seat { inbox, lines, logs, config, listeners: std::mem::take(&mut listeners) }))
    });
    let seats: Vec<_> = seats.collect();
    let shared = Arc::new(Shared {
        started_with: launch.started_with,
        settings: launch.settings,
        layout: launch.layout,
        image: launch.image,
        request_memory_bytes: launch.request_memory_bytes,
        answer_memory_bytes: launch.answer_memory_bytes,
        controller: launch.controller,
        on_failure: launch.on_failure,
        on_ready: launch.on_ready,
        letterboxes: letterboxes.clone(),
        census: Arc::new(Census::new(count)),
    });
    let shards = ottla_reactor::start(launch.cores.into_iter().zip(bells).collect(), move |id| {
        let seat = seats[id.index()].lock().unwrap_or_else(PoisonError::into_inner).take();
        let shared = Arc::clone(&shared);
        async move {
            let Some(seat) = seat else { return };
            if let Err(reason) = run(id, seat, &shared).await {
                (shared.on_ready)(Err(reason));
            }
        }
    })?;
    Ok(Running { letterboxes, shards })
}

/// The channels of one shard, by the number of the other; none to itself.
type Lines = Vec<Option<(Outlet<Message>, Inflow<Message>)>>;

/// The channels of every shard.
fn lines(bells: &[Arc<Doorbell>]) -> Vec<Lines> {
    let count = bells.len();
    let mut outlets: Vec<Vec<Option<Outlet<Message>>>> =
        (0..count).map(|_| (0..count).map(|_| None).collect()).collect();
    let mut inflows: Vec<Vec<Option<Inflow<Message>>>> =
        (0..count).map(|_| (0..count).map(|_| None).collect()).collect();
    for from in 0..count {
        for to in (0..count).filter(|to| *to != from) {
            let (outlet, inflow) = mesh::channel(MESSAGES_MAX, &bells[from], &bells[to]);
            outlets[from][to] = Some(outlet);
            inflows[to][from] = Some(inflow);
        }
    }
    let pairs = outlets.into_iter().zip(inflows);
    pairs
        .map(|(outlets, inflows)| outlets.into_iter().zip(inflows).map(|(out, inflow)| out.zip(inflow)).collect())
        .collect()
}

async fn run(id: ShardId, seat: Seat, shared: &Arc<Shared>) -> Result<(), String> {
    let letters = seat.inbox.bind();
    let store =
        Store::start(&shared.layout, store_config(id, seat.config, shared)).await.map_err(|error| error.to_string())?;
    let links =
        Links::new(seat.lines.into_iter().map(|line| line.map(|(out, inflow)| (out.bind(), inflow.bind()))).collect());
    let shard = Shard::new(Parts {
        id,
        links,
        store,
        started_with: Arc::clone(&shared.started_with),
        settings: shared.settings.clone(),
        controller: (shared.controller)(),
        letterbox: shared.letterboxes[id.index()].clone(),
        request_memory_bytes: shared.request_memory_bytes,
        answer_memory_bytes: shared.answer_memory_bytes,
        census: Arc::clone(&shared.census),
    });
    shard.hosts.recovered(seat.logs);
    shard.apply(Arc::clone(&shared.image)).await;
    shard.hosts.all_recovered();
    shard.links.listen(&shard);
    shard.groups.start(&shard);
    spawn(Class::Background, sweep_idle(Rc::clone(&shard))).detach();
    spawn(Class::Data, watch_stalls(Rc::clone(&shard))).detach();
    spawn(Class::Data, shed(Rc::clone(&shard))).detach();
    let acceptors: Vec<_> = seat
        .listeners
        .into_iter()
        .map(|(name, listener)| spawn(Class::Data, accept(Rc::clone(&shard), name, listener)))
        .collect();
    (shared.on_ready)(Ok(id));
    read_letters(&shard, &letters).await;
    drop(acceptors);
    stop(&shard).await;
    Ok(())
}

fn store_config(id: ShardId, seed: ConfigSeed, shared: &Arc<Shared>) -> StoreConfig {
    let own = &shared.settings.own;
    let on_failure = Arc::clone(&shared.on_failure);
    let mut config = StoreConfig::with_generation(u16::try_from(id.index()).unwrap_or(0), seed.generation);
    let files = (own.journal_bytes / JOURNAL_FILE_BYTES).max(config.journal_files as u64);
    config.journal_file_bytes = (own.journal_bytes / files).max(config.frame_bytes_max as u64 * 2);
    config.journal_files = files as usize;
    config.disk = seed.disk;
    config.bulk_bytes = own.bulk_append_bytes as usize;
    config.cache_bytes = usize::try_from(own.tail_cache_bytes).unwrap_or(usize::MAX);
    config.cold_bytes = usize::try_from(own.cold_read_bytes).unwrap_or(usize::MAX);
    config.files_max = own.open_files_max as usize;
    config.on_failure = Rc::new(move |error| on_failure(error.to_string()));
    config
}

async fn read_letters(shard: &Rc<Shard>, letters: &Letters<Letter>) {
    loop {
        match letters.recv().await {
            Letter::Image { image, applied } => {
                shard.apply(image).await;
                applied(());
            }
            Letter::Answered { number, answer } => shard.answered(number, answer),
            Letter::Scrape(done) => done(shard.scrape()),
            Letter::Stop => return,
        }
    }
}

/// Answers what is in flight, then flushes and writes checkpoints.
async fn stop(shard: &Rc<Shard>) {
    shard.stopping.set(true);
    shard.hosts.close_all();
    shard.groups.stop(shard);
    for connection in shard.connections.borrow().values() {
        connection.finish();
    }
    let limit = shard.settings().own.shutdown_timeout;
    let answered = async {
        loop {
            let changed = shard.connections_changed.wait();
            if shard.connections.borrow().is_empty() {
                break;
            }
            changed.await;
        }
    };
    if timeout(limit, answered).await.is_none() {
        let left: Vec<_> = shard.connections.borrow().values().cloned().collect();
        tracing::warn!(connections = left.len(), "closed connections whose requests were not answered in time");
        for connection in left {
            connection.close();
        }
    }
    shard
        .store
        .stop()
        .await
        .unwrap_or_else(|error| tracing::error!(%error, "not everything was flushed; the next start will recover it"));
}

async fn accept(shard: Rc<Shard>, name: String, listener: Listener) {
    let name: Arc<str> = name.into();
    let mut pace = Pace::default();
    loop {
        pace.wait(shard.settings().network.connections_per_second_max).await;
        match listener.accept().await {
            Ok(accepted) => {
                if admit(&shard, &accepted) {
                    set_buffers(&shard, &accepted);
                    hand_over(&shard, accepted, &name);
                }
            }
            Err(error) => {
                // Out of descriptors: those who wait stay in the kernel's queue until some are free.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Keeps accepting to so many connections a second; the others wait in the kernel's queue.
#[derive(Default)]
struct Pace {
    second: Option<Instant>,
    accepted: u32,
}

impl Pace {
    /// Waits until one more may be accepted.
    async fn wait(&mut self, per_second_max: u32) {
        let now = monotonic();
        let left = self.second.map(|began| Duration::from_secs(1).saturating_sub(now.duration_since(began)));
        match left {
            Some(left) if !left.is_zero() => {
                if self.accepted >= per_second_max.max(1) {
                    sleep(left).await;
                    (self.second, self.accepted) = (Some(monotonic()), 0);
                }
            }
            _ => (self.second, self.accepted) = (Some(now), 0),
        }
        self.accepted += 1;
    }
}

/// The kernel's buffers, where somebody chose their sizes.
fn set_buffers(shard: &Rc<Shard>, accepted: &Accepted) {
    let settings = shard.settings();
    if let Err(error) = accepted.set_buffers(settings.network.send_buffer_bytes, settings.network.receive_buffer_bytes)
    {
        tracing::debug!(peer = %accepted.peer(), %error, "the kernel's buffers stay as they are");
    }
}

/// Whether the limits allow one more connection.
fn admit(shard: &Rc<Shard>, accepted: &Accepted) -> bool {
    let census = &shard.census;
    let settings = shard.settings();
    let network = &settings.network;
    let address = accepted.peer().ip();
    let per_address = network.connections_per_address_overrides.get(&address).copied();
    let per_address = per_address.unwrap_or(network.connections_per_address_max);
    if census.total() >= network.connections_max as usize {
        shard.metrics.connections.refused_total.increment();
        tracing::debug!(peer = %accepted.peer(), max.connections = network.connections_max, "refused a connection");
        return false;
    }
    if census.count_of(address) >= per_address as usize {
        shard.metrics.connections.refused_per_address.increment();
        tracing::debug!(peer = %accepted.peer(), max.connections.per.ip = per_address, "refused a connection");
        return false;
    }
    true
}

/// Gives the connection to the shard that has fewest.
fn hand_over(shard: &Rc<Shard>, accepted: Accepted, name: &Arc<str>) {
    let to = shard.census.least_loaded();
    shard.census.enter(to, accepted.peer().ip());
    let name = Arc::clone(name);
    let handed = shard.on(to, move |shard| {
        let connection = Connection::new(accepted.into_socket(), name.as_ref().into());
        shard.metrics.connections.accepted.increment();
        spawn(Class::Data, attend(shard, connection)).detach();
        std::future::ready(())
    });
    spawn(Class::Data, handed).detach();
}

/// Serves a connection until it ends or moves to another shard.
async fn attend(shard: Rc<Shard>, connection: Rc<Connection>) {
    let number = shard.keep(&connection);
    if shard.stopping.get() {
        connection.finish();
    }
    let (address, listener) = (connection.peer().ip(), Arc::<str>::from(&*connection.listener));
    let departure = connection.serve(Rc::clone(&shard)).await;
    shard.forget(number);
    let Some(departure) = departure else { return shard.census.leave(shard.id, address) };
    shard.census.moved(shard.id, departure.to);
    shard.metrics.connections.moved.increment();
    let there = shard.on(departure.to, move |shard| {
        spawn(Class::Data, attend(Rc::clone(&shard), Connection::arrived(departure, (*listener).into()))).detach();
        std::future::ready(())
    });
    there.await;
}

/// Closes connections on which nothing has happened for `connections.max.idle.ms`.
async fn sweep_idle(shard: Rc<Shard>) {
    loop {
        let Some(limit) = shard.settings().network.idle_max else {
            sleep(Duration::from_secs(60)).await;
            continue;
        };
        sleep((limit / IDLE_CHECKS_PER_TIMEOUT).max(Duration::from_millis(100))).await;
        let idle: Vec<_> = {
            let connections = shard.connections.borrow();
            connections.values().filter(|connection| connection.is_idle(limit)).cloned().collect()
        };
        for connection in idle {
            shard.metrics.connections.closed_idle.increment();
            connection.close();
        }
    }
}
