use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};
use ottla_units::ShardId;

use crate::mesh::Doorbell;
use crate::ring::{Driver, Ring};

/// Memory, in bytes, that glommio reserves for its own I/O; ours does not use it.
const EXECUTOR_IO_MEMORY: usize = 64 << 10;
/// Depth of glommio's own rings: they carry timers and one eventfd read.
const EXECUTOR_RING_DEPTH: usize = 32;
/// How long a queue may run while others wait.
const PREEMPT_AFTER: Duration = Duration::from_millis(5);

/// What kind of work a task does: its share of the shard when several want to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Producing, tail fetches, coordination: goes first.
    Data,
    /// Reads of older data.
    Cold,
    /// Flushing of tails, recycling, checkpoints, retention.
    Background,
}

#[derive(Clone, Copy)]
struct Queues {
    data: TaskQueueHandle,
    cold: TaskQueueHandle,
    background: TaskQueueHandle,
}

thread_local! {
    static QUEUES: Cell<Option<Queues>> = const { Cell::new(None) };
}

/// A task on this shard: await it for its output; dropping it cancels it.
#[must_use = "a task is cancelled when dropped; `detach` lets it run on"]
pub struct Task<T>(glommio::Task<T>);

impl<T: 'static> Task<T> {
    /// Lets it run to its end with nobody waiting.
    pub fn detach(self) {
        drop(self.0.detach());
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(context)
    }
}

/// Runs `future` on this shard beside the caller.
///
/// # Panics
/// On a thread that no reactor runs on.
pub fn spawn<T: 'static>(class: Class, future: impl Future<Output = T> + 'static) -> Task<T> {
    let Some(queues) = QUEUES.get() else { panic!("no reactor runs on this thread") };
    let queue = match class {
        Class::Data => queues.data,
        Class::Cold => queues.cold,
        Class::Background => queues.background,
    };
    match glommio::spawn_local_into(future, queue) {
        Ok(task) => Task(task),
        Err(error) => panic!("a task queue that lives as long as its executor is gone: {error}"),
    }
}

/// Lets other tasks of this shard run first.
pub async fn yield_now() {
    glommio::executor().yield_now().await;
}

/// How long this thread's executor has run tasks since it began.
pub fn busy() -> Duration {
    glommio::executor().executor_stats().total_runtime()
}

/// The cores that this process may use, in order.
pub fn cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Runs `future` with an executor and a ring on this thread: for tests, tools and recovery.
///
/// # Errors
/// When the kernel or its limits refuse a ring; see [`crate::probe::explain`].
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let bell = Arc::new(Doorbell::new()?);
    run(Placement::Unbound, bell, future)
}

fn run<F: Future>(placement: Placement, bell: Arc<Doorbell>, future: F) -> io::Result<F::Output> {
    let executor = LocalExecutorBuilder::new(placement)
        .io_memory(EXECUTOR_IO_MEMORY)
        .ring_depth(EXECUTOR_RING_DEPTH)
        .preempt_timer(PREEMPT_AFTER)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    executor.run(async {
        let ring = Ring::install(bell)?;
        let create =
            |shares, name| glommio::executor().create_task_queue(Shares::Static(shares), Latency::NotImportant, name);
        let queues =
            Queues { data: create(1000, "data"), cold: create(200, "cold"), background: create(100, "background") };
        QUEUES.set(Some(queues));
        let driver = Driver::new(std::rc::Rc::clone(&ring))?;
        let driver = spawn(Class::Data, async move {
            let error = driver.await;
            // Without its ring the shard can neither answer nor write: nothing would ever finish.
            tracing::error!(%error, "the ring cannot be entered any more; giving up");
            std::process::abort();
        });
        let output = future.await;
        drop(driver);
        ring.uninstall();
        QUEUES.set(None);
        Ok(output)
    })
}

/// The shard threads of a process.
pub struct Shards<T> {
    threads: Vec<JoinHandle<io::Result<T>>>,
}

impl<T> Shards<T> {
    /// Waits until every shard has ended; their outputs in order.
    ///
    /// # Errors
    /// The first shard that could not start, or that panicked.
    pub fn join(self) -> io::Result<Vec<T>> {
        self.threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a shard thread panicked"))))
            .collect()
    }
}

/// Starts one thread a seat, pinned to the seat's core if it names one, each running the future that `make` gives.
///
/// # Errors
/// When a thread cannot be started. A ring that is refused shows at [`Shards::join`].
pub fn start<T, F, M>(seats: Vec<(Option<usize>, Arc<Doorbell>)>, make: M) -> io::Result<Shards<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    M: Fn(ShardId) -> F + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let mut threads = Vec::with_capacity(seats.len());
    for (index, (core, bell)) in seats.into_iter().enumerate() {
        let make = Arc::clone(&make);
        let id = ShardId::new(u16::try_from(index).unwrap_or(u16::MAX));
        let placement = core.map_or(Placement::Unbound, Placement::Fixed);
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || run(placement, bell, async move { make(id).await }))?;
        threads.push(thread);
    }
    Ok(Shards { threads })
}
