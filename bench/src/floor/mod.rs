//! The cost floor of a machine: a server that receives records, makes them durable, answers, and does nothing that makes a broker.
//!
//! Shards, sockets and disk are those of the broker (`ottla_reactor`). Records are copied once, from where they were received into the
//! block that the disk reads, and written over the same file again and again: no checksum, no validation, no log, no index. What a
//! broker costs beyond this under the same load is its own doing; what this costs, any broker pays here.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_reactor::mesh::{self, Doorbell, Inbox, Letterbox};
use ottla_reactor::socket::{Accepted, Listener};
use ottla_reactor::{Class, Semaphore, Shards, probe, sleep, spawn};

use crate::error::{BenchError, During, Result};

// From a socket, to the disk, back.
mod connection;
mod journal;
// What is answered: produces, and what a client asks before.
mod answer;
mod topics;

use connection::Connection;
use journal::Journal;
use topics::{Topics, View};

/// Connections and words on their way to a shard; with more, connections are refused.
const LETTERS_MAX: usize = 65_536;
/// Bytes of long requests that a shard receives at once; with more, they are not read from.
const REQUEST_BYTES_IN_ALL_MAX: u64 = 256 << 20;
/// How long to wait after the process has run out of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// How long shards may take to fill their files.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// Hears what a user should know, a line each.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Where it listens and writes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A folder on the disk that is measured; made if it is not there.
    pub data: PathBuf,
    /// How many threads.
    pub shards: usize,
}

/// What a shard is told.
enum Letter {
    /// A connection to serve.
    Serve(Accepted),
    /// The end.
    Stop,
}

/// What all shards have in common.
struct Shared {
    data: PathBuf,
    topics: Topics,
    letterboxes: Vec<Letterbox<Letter>>,
    say: Say,
    /// Set by a shard that cannot go on.
    broken: AtomicBool,
}

/// One shard. *Lives on:* its thread. *Talks by:* letters; topics are shared.
struct Shard {
    journal: Journal,
    topics: View,
    /// Bytes of long requests under way.
    memory: Semaphore,
    shared: Arc<Shared>,
}

/// A floor that runs. *Lives on:* the thread that started it.
pub struct Floor {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Shards<()>,
}

impl Floor {
    /// Starts its threads; done when they serve.
    ///
    /// # Errors
    /// [`BenchError::Io`], [`BenchError::Missing`] where io_uring cannot be used.
    pub fn start(settings: &Settings, say: Say) -> Result<Floor> {
        probe::kernel().map_err(|error| BenchError::Missing { what: probe::explain(&error) })?;
        probe::raise_nofile();
        let data = settings.data.clone();
        std::fs::create_dir_all(&data).during(|| format!("make {}", data.display()))?;
        let listener = Listener::bind(settings.listen).during(|| format!("listen on {}", settings.listen))?;
        let address = listener.local_address()?;
        let bells = (0..settings.shards).map(|_| Doorbell::new().map(Arc::new)).collect::<io::Result<Vec<_>>>()?;
        let (letterboxes, inboxes): (Vec<_>, Vec<_>) = bells.iter().map(|bell| mesh::inbox(LETTERS_MAX, bell)).unzip();
        let shared = Shared { data, topics: Topics::default(), letterboxes, say, broken: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let threads = start_shards(&shared, bells, inboxes, listener)?;
        Ok(Floor { address, shared, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it cannot go on, such as after a write that failed; that was said.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Ends it: connections are closed, and its files, which have no names, are gone.
    ///
    /// # Errors
    /// [`BenchError::Io`] when a shard could not end.
    pub fn stop(self) -> Result<()> {
        stop_all(&self.shared);
        self.threads.join().during(|| "end the shards".to_owned())?;
        Ok(())
    }
}

/// Tells every shard to end; one whose inbox is full is told again.
fn stop_all(shared: &Shared) {
    for letterbox in &shared.letterboxes {
        while letterbox.post(Letter::Stop).is_err() {
            std::thread::sleep(ACCEPT_RETRY);
        }
    }
}

fn start_shards(
    shared: &Arc<Shared>,
    bells: Vec<Arc<Doorbell>>,
    inboxes: Vec<Inbox<Letter>>,
    listener: Listener,
) -> Result<Shards<()>> {
    let count = inboxes.len();
    // The first one accepts.
    let mut listener = Some(listener);
    let seats: Vec<_> = inboxes.into_iter().map(|inbox| Mutex::new(Some((inbox, listener.take())))).collect();
    let (ready, outcomes) = channel();
    let running = Arc::clone(shared);
    let threads = ottla_reactor::start(bells.into_iter().map(|bell| (None, bell)).collect(), move |id| {
        let seat = seats[id.index()].lock().unwrap_or_else(PoisonError::into_inner).take();
        let (shared, ready) = (Arc::clone(&running), ready.clone());
        async move {
            let Some((inbox, listener)) = seat else { return };
            run(id.index(), inbox, listener, shared, ready).await;
        }
    })?;
    for _ in 0..count {
        let outcome = outcomes.recv_timeout(READY_TIMEOUT);
        let late = |_| BenchError::TimedOut { what: "shards that serve".to_owned() };
        if let Err(error) = outcome.map_err(late).and_then(|filled| filled.during(|| "fill a file".to_owned())) {
            stop_all(shared);
            return Err(error);
        }
    }
    Ok(threads)
}

/// One shard, from its file's first block to the end.
async fn run(
    number: usize,
    inbox: Inbox<Letter>,
    listener: Option<Listener>,
    shared: Arc<Shared>,
    ready: Sender<io::Result<()>>,
) {
    let letters = inbox.bind();
    let journal = match Journal::create(&shared.data, number, &shared.say).await {
        Ok(journal) => journal,
        // Whoever started it knows why when nobody hears.
        Err(error) => return drop(ready.send(Err(error))),
    };
    let topics = View::default();
    let shard = Rc::new(Shard { journal, topics, memory: Semaphore::new(REQUEST_BYTES_IN_ALL_MAX), shared });
    spawn(Class::Data, write(Rc::clone(&shard))).detach();
    if let Some(listener) = listener {
        spawn(Class::Data, accept(listener, Arc::clone(&shard.shared))).detach();
    }
    let _ = ready.send(Ok(()));
    while let Letter::Serve(accepted) = letters.recv().await {
        let connection = Connection::new(accepted.into_socket());
        spawn(Class::Data, connection.serve(Rc::clone(&shard))).detach();
    }
}

async fn write(shard: Rc<Shard>) {
    if let Err(error) = shard.journal.write().await {
        (shard.shared.say)(&format!("a write failed, nothing is answered any more: {error}"));
        shard.shared.broken.store(true, Ordering::Relaxed);
    }
}

/// Gives connections to the shards in turn.
async fn accept(listener: Listener, shared: Arc<Shared>) {
    for letterbox in shared.letterboxes.iter().cycle() {
        let accepted = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) => {
                    (shared.say)(&format!("cannot accept a connection: {error}"));
                    sleep(ACCEPT_RETRY).await;
                }
            }
        };
        // A shard with so many letters gets no more: the connection is closed.
        let _ = letterbox.post(Letter::Serve(accepted));
    }
}

#[cfg(test)]
mod tests;
