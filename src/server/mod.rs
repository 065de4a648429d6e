//! `ottla start`: the process from its configuration to its last checkpoint.
//!
//! The main thread recovers the data folder, binds the listeners, starts the shards, and is then the control thread: the
//! controller, the admin endpoint and signals.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_broker::{Launch, Letter, Letterboxes, Running, launch};
use ottla_cluster::config::{BrokerSettings, Catalogue, Endpoint, SecurityProtocol};
use ottla_cluster::decide::Rules;
use ottla_cluster::{Broker, Command, Image, Listener as Announced};
use ottla_reactor::file::FileLock;
use ottla_reactor::probe::{self, Kernel};
use ottla_reactor::socket::Listener;
use ottla_storage::{Layout, LogSpec, RecoverOptions, Recovery, RecoveryReport};
use ottla_units::{ByteSize, TopicPartition};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::admin;
use crate::config::{Loaded, announced};
use crate::controller::{self, COMMANDS_WAITING_MAX, Controller, Identity};

// The shards' way to the controller, and back.
mod bridge;
use bridge::Bridge;

// What was measured of the disk.
mod disk;

// What the admin endpoint is told.
mod observe;

// Logs.
mod logging;
pub use logging::init as init_logging;

/// Memory for requests under way, in each shard, in bytes, where `queued.max.request.bytes` says nothing.
const REQUEST_MEMORY: u64 = 128 << 20;
/// Fewer descriptors than this, and a broker with a few thousand partitions and clients runs into the limit.
const NOFILE_WANTED: u64 = 4096;

/// Why a broker did not start, or ended.
#[derive(Debug)]
pub struct Stopped {
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Stopped {
    fn because(what: impl std::fmt::Display) -> Stopped {
        Stopped { what: what.to_string(), next: None }
    }

    fn next(mut self, next: impl Into<String>) -> Stopped {
        self.next = Some(next.into());
        self
    }
}

/// Runs a broker until it is told to stop.
///
/// # Errors
/// What kept it from starting, or made it end.
pub fn run(loaded: Loaded) -> Result<(), Stopped> {
    let begun = Instant::now();
    let kernel = probe::kernel().map_err(|error| Stopped::because(probe::explain(&error)))?;
    let nofile = probe::raise_nofile();
    if nofile < NOFILE_WANTED {
        tracing::warn!(
            nofile,
            "few files may be open: run `ulimit -n 1048576`, or `LimitNOFILE=1048576` in the unit file"
        );
    }
    let ground = Ground::prepare(&loaded)?;
    let (listeners, bound) = bind(&loaded.settings.node.listeners)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Stopped::because)?;
    runtime.block_on(serve(loaded, kernel, ground, listeners, bound, begun))
}

/// The data folder, taken and read.
struct Ground {
    layout: Layout,
    _lock: FileLock,
    controller: Controller,
    recovery: Recovery,
}

impl Ground {
    fn prepare(loaded: &Loaded) -> Result<Ground, Stopped> {
        let settings = &loaded.settings;
        let mut layout = Layout::below(&settings.node.data);
        if let Some(journal) = &settings.own.journal {
            layout.journal.clone_from(journal);
        }
        for folder in [&layout.data, &layout.topics(), &layout.metadata(), &layout.journal] {
            std::fs::create_dir_all(folder).map_err(|error| {
                Stopped::because(format!("cannot make {}: {error}", folder.display())).next(format!(
                    "choose a folder that this user may write to: --data DIR (now {})",
                    layout.data.display()
                ))
            })?;
        }
        let lock = layout
            .lock()
            .map_err(|error| Stopped::because(error).next("stop that broker, or use another folder: --data DIR"))?;
        let identity =
            Identity::load_or_create(&layout.meta_properties(), settings.node.id).map_err(Stopped::because)?;
        let options = controller::Options {
            folder: layout.metadata(),
            cluster_id: identity.cluster_id,
            rules: Rules::new(&settings.creation, cores(settings).len()),
            settings: Box::new(Catalogue::new(settings.node.id, Arc::clone(&loaded.started_with))),
        };
        let controller = Controller::open(options).map_err(Stopped::because)?;
        let specs = logs(controller.image());
        let options = RecoverOptions { accept_loss: accepts_loss(loaded) };
        let recovery = on_reactor(ottla_storage::recover(&layout, &specs, &options))?.map_err(|error| {
            Stopped::because(error)
                .next(format!("look closer with `ottla log verify {}`; nothing was changed", layout.data.display()))
        })?;
        Ok(Ground { layout, _lock: lock, controller, recovery })
    }
}

/// What a person is told of the recovery.
fn recovered(report: &RecoveryReport) -> String {
    for loss in &report.losses {
        tracing::warn!(%loss, "damage was accepted (ottla.journal.accept.loss)");
    }
    for stray in &report.strays {
        tracing::warn!(folder = stray, "a folder that no topic owns was set aside");
    }
    if report.clean {
        return "clean".to_owned();
    }
    format!(
        "after a crash: {} frames read, {} batches ({}) restored from the journal, {} logs scanned",
        report.frames,
        report.batches_restored,
        ByteSize::new(report.bytes_restored),
        report.logs_scanned
    )
}

fn on_reactor<F: Future>(future: F) -> Result<F::Output, Stopped> {
    ottla_reactor::block_on(future).map_err(|error| Stopped::because(probe::explain(&error)))
}

fn accepts_loss(loaded: &Loaded) -> bool {
    loaded.started_with.get("ottla.journal.accept.loss").is_some_and(|value| value == "true")
}

/// Every log that should be there.
fn logs(image: &Image) -> Vec<LogSpec> {
    let mut specs = Vec::with_capacity(image.partition_count());
    for topic in image.topics() {
        for (index, _) in topic.indexed() {
            specs.push(LogSpec { key: TopicPartition::new(topic.id, index), topic: topic.name.to_string() });
        }
    }
    specs
}

/// Listening sockets by the names of their listeners.
type Named = Vec<(String, Listener)>;

/// Takes every address; where one cannot be had, says which and why.
fn bind(endpoints: &[Endpoint]) -> Result<(Named, Vec<SocketAddr>), Stopped> {
    let mut listeners = Vec::with_capacity(endpoints.len());
    let mut bound = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        if endpoint.protocol != SecurityProtocol::Plaintext {
            return Err(Stopped::because(format!(
                "listener {endpoint}: {} is not served yet",
                endpoint.protocol.name()
            ))
            .next("use a PLAINTEXT listener"));
        }
        let listener = bind_one(endpoint)?;
        bound.push(listener.local_address().map_err(Stopped::because)?);
        listeners.push((endpoint.name.clone(), listener));
    }
    Ok((listeners, bound))
}

fn bind_one(endpoint: &Endpoint) -> Result<Listener, Stopped> {
    let host = if endpoint.host.is_empty() { "0.0.0.0" } else { &endpoint.host };
    let addresses = (host, endpoint.port).to_socket_addrs().map_err(|error| {
        Stopped::because(format!("listener {endpoint}: {host} is no address of this host: {error}"))
            .next("choose another: --listen HOST:PORT")
    })?;
    let mut last = None;
    for address in addresses {
        match Listener::bind(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    let error = last.map_or_else(|| "no such address".to_owned(), |error| error.to_string());
    Err(Stopped::because(format!("cannot listen on {endpoint}: {error}"))
        .next("stop what uses that port (`ss -ltnp` shows it), or choose another: --listen HOST:PORT"))
}

async fn serve(
    loaded: Loaded,
    kernel: Kernel,
    ground: Ground,
    listeners: Vec<(String, Listener)>,
    bound: Vec<SocketAddr>,
    begun: Instant,
) -> Result<(), Stopped> {
    let Ground { layout, _lock, mut controller, recovery } = ground;
    // From here on a signal means a clean stop: whoever reads that the broker is ready may send one at once.
    let signals = Signals::new()?;
    register(&mut controller, &loaded.settings, &bound)?;
    let image = Arc::clone(controller.image());
    let recovered = recovered(&recovery.report);
    let (commands, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
    let (ready, mut readiness) = mpsc::unbounded_channel();
    let (failed, mut failures) = mpsc::unbounded_channel();
    let cores = cores(&loaded.settings);
    let shards = cores.len();
    let launched = launch(Launch {
        started_with: Arc::clone(&loaded.started_with),
        settings: loaded.settings.clone(),
        layout: layout.clone(),
        image,
        recovery,
        disk: disk::settings(&layout.data),
        cores: cores.clone(),
        listeners,
        answer_memory_bytes: loaded.settings.own.answer_memory_bytes,
        request_memory_bytes: request_memory(&loaded.settings, shards),
        controller: Box::new(move || Box::new(Bridge::new(commands.clone()))),
        on_failure: Arc::new(move |why| drop(failed.send(why))),
        on_ready: Arc::new(move |shard| drop(ready.send(shard))),
    })
    .map_err(Stopped::because)?;
    let Running { letterboxes, shards: threads } = launched;
    let (queries, asked) = mpsc::channel(admin::QUERIES_MAX);
    let admin = admin_endpoint(&loaded.settings, queries).await?;
    for _ in 0..shards {
        match readiness.recv().await {
            Some(Ok(_)) => {}
            Some(Err(why)) => return Err(Stopped::because(why)),
            None => return Err(Stopped::because("a shard ended before it served")),
        }
    }
    summary(&loaded.settings, &kernel, &layout, &cores, &bound, admin, &recovered, begun);
    let outcome = tokio::select! {
        () = signals.wait() => Ok(()),
        why = failures.recv() => Err(Stopped::because(format!("storage failed: {}", why.unwrap_or_default()))
            .next("nothing was acknowledged after the failure; mend the disk and start again: what was acknowledged is recovered")),
        died = control(controller, waiting, asked, letterboxes.clone()) => died,
    };
    // Nothing may be flushed after a failed flush: end at once.
    outcome?;
    stop(letterboxes, threads).await
}

/// Bytes of requests that each shard may have in work: its part of `queued.max.request.bytes`, but always one whole request.
fn request_memory(settings: &BrokerSettings, shards: usize) -> u64 {
    let network = &settings.network;
    let asked = network.queued_bytes_max.map_or(REQUEST_MEMORY, |all| all / shards.max(1) as u64);
    asked.max(u64::from(network.request_bytes_max))
}

/// Tells the cluster where this broker listens.
fn register(controller: &mut Controller, settings: &BrokerSettings, bound: &[SocketAddr]) -> Result<(), Stopped> {
    let listeners: Vec<Announced> = announced(&settings.node, bound);
    let rack = settings.node.rack.as_deref().map(Arc::from);
    let broker = Broker { id: settings.node.id, listeners, rack, fenced: false };
    if controller.image().broker(broker.id) == Some(&broker) {
        return Ok(());
    }
    match controller.handle(Command::RegisterBroker(broker)).0 {
        ottla_cluster::Answer::Failed(refusal) => Err(Stopped::because(refusal)),
        _ => Ok(()),
    }
}

/// The core that each shard stays on, if any: one shard for each core that the process may use, or as many as `ottla.shards`
/// says. Where shards take every core, interrupts and all other threads must share one with a shard: it may step aside.
fn cores(settings: &BrokerSettings) -> Vec<Option<usize>> {
    let cores = ottla_reactor::cores();
    let count = settings.own.shards.map_or(cores.len().max(1), usize::from);
    let pinned = count <= cores.len() && settings.own.pinned.unwrap_or(count < cores.len());
    (0..count).map(|shard| cores.get(shard).copied().filter(|_| pinned)).collect()
}

async fn admin_endpoint(
    settings: &BrokerSettings,
    queries: mpsc::Sender<admin::Query>,
) -> Result<Option<SocketAddr>, Stopped> {
    let Some(address) = &settings.own.admin else { return Ok(None) };
    let listener = match tokio::net::TcpListener::bind(address).await {
        Ok(listener) => listener,
        // A second broker on one host must not fail for a port that nobody chose.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && !settings.own.admin_is_chosen => {
            tracing::warn!("{address} is taken: no metrics are served; say --set ottla.admin.listen=HOST:PORT");
            return Ok(None);
        }
        Err(error) => {
            return Err(Stopped::because(format!("cannot serve metrics on {address}: {error}"))
                .next("choose another: --set ottla.admin.listen=HOST:PORT"));
        }
    };
    let bound = listener.local_addr().map_err(Stopped::because)?;
    tokio::spawn(async move {
        if let Err(error) = admin::serve(listener, queries).await {
            tracing::error!(%error, "the admin endpoint has ended");
        }
    });
    Ok(Some(bound))
}

#[expect(clippy::too_many_arguments, reason = "one line each of what a person is told at the start")]
fn summary(
    settings: &BrokerSettings,
    kernel: &Kernel,
    layout: &Layout,
    cores: &[Option<usize>],
    bound: &[SocketAddr],
    admin: Option<SocketAddr>,
    recovered: &str,
    begun: Instant,
) {
    let pinned: Vec<String> =
        cores.iter().map(|core| core.map_or_else(|| "any".to_owned(), |core| core.to_string())).collect();
    let direct = probe::direct_io(&layout.data);
    if !direct {
        tracing::warn!(folder = %layout.data.display(), "this file system has no O_DIRECT: files go through the page cache");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = settings.node.id.get(),
        shards = cores.len(),
        cores = pinned.join(","),
        data = %layout.data.display(),
        journal = %format!("{} a shard in {}", ByteSize::new(settings.own.journal_bytes), layout.journal.display()),
        durability = "acks=all answers after the flush, acks=1 after the write",
        direct_io = direct,
        %kernel,
        recovered,
        "ottla starts"
    );
    if let Some(admin) = admin {
        tracing::info!("metrics on http://{admin}/metrics");
    }
    for (endpoint, address) in settings.node.listeners.iter().zip(bound) {
        println!("listening on {}://{address}", endpoint.name);
    }
    if let Some(address) = bound.first() {
        let millis = begun.elapsed().as_millis();
        println!("ready after {millis} ms; point a client at bootstrap.servers={address}");
    }
}

/// The signals that ask for a clean stop. One that comes before anybody waits is kept.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Signals, Stopped> {
        let take =
            |kind| signal(kind).map_err(|error| Stopped::because(format!("signals cannot be received: {error}")));
        Ok(Signals { terminate: take(SignalKind::terminate())?, interrupt: take(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
    }
}

/// Decides changes and answers the admin endpoint, until something ends for good.
async fn control(
    controller: Controller,
    commands: mpsc::Receiver<controller::Request>,
    queries: mpsc::Receiver<admin::Query>,
    letterboxes: Letterboxes,
) -> Result<(), Stopped> {
    let (newest, image) = tokio::sync::watch::channel(Arc::clone(controller.image()));
    let boxes = letterboxes.clone();
    let publish = move |image: Arc<Image>| {
        newest.send_replace(Arc::clone(&image));
        publish(boxes.clone(), image)
    };
    tokio::select! {
        ended = controller::run(controller, commands, publish) => match ended {
            Ok(()) => Ok(()),
            Err(error) => Err(Stopped::because(error)),
        },
        () = observe::answer(queries, letterboxes, image) => Ok(()),
    }
}

/// Hands every shard the new image and waits until all have applied it.
async fn publish(letterboxes: Letterboxes, image: Arc<Image>) {
    let mut applied = Vec::with_capacity(letterboxes.len());
    for letterbox in &letterboxes {
        let (done, wait) = oneshot::channel();
        let mut letter = Letter::Image { image: Arc::clone(&image), applied: Box::new(move |()| _ = done.send(())) };
        while let Err(back) = letterbox.post(letter) {
            letter = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        applied.push(wait);
    }
    for wait in applied {
        // A shard that is gone applies nothing any more.
        let _ = wait.await;
    }
}

async fn stop<T: Send + 'static>(letterboxes: Letterboxes, threads: ottla_reactor::Shards<T>) -> Result<(), Stopped> {
    for letterbox in &letterboxes {
        if letterbox.post(Letter::Stop).is_err() {
            return Err(Stopped::because("a shard does not take letters any more"));
        }
    }
    let joined = tokio::task::spawn_blocking(move || threads.join().map(drop)).await;
    match joined {
        Ok(Ok(())) => {
            tracing::info!("stopped cleanly");
            Ok(())
        }
        Ok(Err(error)) => Err(Stopped::because(error)),
        Err(error) => Err(Stopped::because(error)),
    }
}
