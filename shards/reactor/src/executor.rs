use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::{Latency, LocalExecutorBuilder, Placement, Shares, TaskQueueHandle};
use ottla_units::ShardId;

use crate::mesh::Doorbell;
use crate::ring::Ring;
use crate::simulation;

/// Memory, in bytes, that glommio reserves for its own I/O; ours does not use it.
const EXECUTOR_IO_MEMORY: usize = 64 << 10;
/// Depth of glommio's own rings: they carry timers and one eventfd read.
const EXECUTOR_RING_DEPTH: usize = 32;
/// How long the driver's queue may run while others wait.
pub(crate) const PREEMPT_AFTER: Duration = Duration::from_millis(5);
/// glommio's own preemption, which must never happen. It looks at its timer before it runs the first task, and if the timer
/// has fired by then (the thread was off its core that long) it takes its queues for empty and sleeps in its own ring, where
/// nothing of ours wakes it: the shard hangs. So queues give way by themselves, see [`give_way`] and `Ring::drive`.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long glommio may park although tasks can run, should anything but that timer make it (the cancellation of one, say): a
/// timer of its own gets it out again. A shard that sleeps in its ring does not notice this timer at all.
const PARK_MAX: Duration = Duration::from_millis(1);

thread_local! {
    /// Long work that lets others go first.
    static STANDING_BACK: RefCell<VecDeque<Waker>> = const { RefCell::new(VecDeque::new()) };
    /// Whether nobody else could run when the last of it went on.
    static RESTED: Cell<bool> = const { Cell::new(true) };
}

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

/// Long work goes on after so much time even if others could run without end.
const LONG_WORK_WAITS_MAX: Duration = Duration::from_micros(500);

#[derive(Clone, Copy)]
struct Queues {
    data: TaskQueueHandle,
    cold: TaskQueueHandle,
    background: TaskQueueHandle,
}

thread_local! {
    static QUEUES: Cell<Option<Queues>> = const { Cell::new(None) };
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runnable {
    /// No task but the driver can run.
    Nobody,
    /// Tasks of the driver's queue can run, of others none.
    Here,
    /// Tasks of the driver's queue and of others can run.
    Everywhere,
    /// Only tasks of other queues can run.
    Elsewhere,
}

/// Counts tasks of the driver's queue.
const HERE: usize = 0;
/// Counts tasks of all other queues.
const ELSEWHERE: usize = 1;

thread_local! {
    /// Tasks that were woken and not polled yet: in the driver's queue, and in all others.
    static WOKEN: [Cell<usize>; 2] = const { [Cell::new(0), Cell::new(0)] };
}

thread_local! {
    /// The driver, where it waits for a task of another queue to have its turn.
    static DRIVER: Cell<Option<Waker>> = const { Cell::new(None) };
}

/// Ends the driver's turn until a task of another queue has had one. Yielding does not: queues are chosen by the time that they
/// ran, so that the driver's would be chosen again, with nothing to do, until it had wasted its share.
pub(crate) async fn let_others_run() {
    let mut others_ran = false;
    poll_fn(|context| {
        if std::mem::replace(&mut others_ran, true) {
            return Poll::Ready(());
        }
        DRIVER.set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
}

fn wake_driver() {
    if let Some(driver) = DRIVER.take() {
        driver.wake();
    }
}

/// Which tasks of this thread can run.
pub(crate) fn runnable() -> Runnable {
    WOKEN.with(|[here, elsewhere]| match (here.get(), elsewhere.get()) {
        (0, 0) => Runnable::Nobody,
        (0, _) => Runnable::Elsewhere,
        (_, 0) => Runnable::Here,
        _ => Runnable::Everywhere,
    })
}

/// Counts a task as runnable from its waking to its polling.
struct Counted {
    queue: usize,
    woken: AtomicBool,
    /// The executor's own waker.
    inner: RefCell<Option<Waker>>,
}

// SAFETY: wakers of a shard stay on its thread: everything that wakes a task of another shard rings that shard's doorbell
// instead (see `mesh`), so `inner` is touched by one thread only.
unsafe impl Sync for Counted {}
// SAFETY: as above.
unsafe impl Send for Counted {}

impl Counted {
    fn count(&self) {
        if !self.woken.swap(true, Ordering::Relaxed) {
            WOKEN.with(|woken| woken[self.queue].set(woken[self.queue].get() + 1));
        }
    }

    fn uncount(&self) {
        if self.woken.swap(false, Ordering::Relaxed) {
            WOKEN.with(|woken| woken[self.queue].set(woken[self.queue].get() - 1));
        }
    }
}

impl Wake for Counted {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let inner = self.inner.borrow();
        // A task that is over has none: nobody polls it any more.
        if let Some(inner) = &*inner {
            self.count();
            inner.wake_by_ref();
        }
    }
}

/// Takes a task out of the count however it ends.
struct Over(Arc<Counted>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.inner.borrow_mut().take();
        self.0.uncount();
    }
}

/// Runs `future` so that it is known when it can run.
fn counted<F: Future>(queue: usize, future: F) -> impl Future<Output = F::Output> {
    let count = Arc::new(Counted { queue, woken: AtomicBool::new(false), inner: RefCell::new(None) });
    // It is spawned, so it will be polled, or dropped.
    count.count();
    let over = Over(count);
    async move {
        let waker = Waker::from(Arc::clone(&over.0));
        let mut future = pin!(future);
        poll_fn(|context| {
            over.0.uncount();
            if QUEUES.get().is_none() {
                // The reactor has ended; the executor still takes what was in line, and drops it next.
                return Poll::Pending;
            }
            {
                let mut inner = over.0.inner.borrow_mut();
                if !inner.as_ref().is_some_and(|inner| inner.will_wake(context.waker())) {
                    *inner = Some(context.waker().clone());
                }
            }
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if queue == ELSEWHERE {
                wake_driver();
                give_way();
            }
            polled
        })
        .await
    }
}

/// Ends the turn of the queue that runs, once its task has been polled: the next queue is chosen by shares. After each task of
/// the queues that are not the driver's, so that none of them keeps the driver waiting for more than one task.
fn give_way() {
    let executor = glommio::executor();
    // Polled once, it has said so; what wakes it is of no interest.
    let _ = pin!(executor.yield_task_queue_now()).poll(&mut Context::from_waker(Waker::noop()));
}

/// A task on this shard: await it for its output; dropping it cancels it.
#[must_use = "a task is cancelled when dropped; `detach` lets it run on"]
pub struct Task<T>(Running<T>);

/// By which executor a task runs.
enum Running<T> {
    Shard(glommio::Task<T>),
    Simulation(simulation::Join<T>),
}

impl<T: 'static> Task<T> {
    /// Lets it run to its end with nobody waiting.
    pub fn detach(self) {
        match self.0 {
            Running::Shard(task) => drop(task.detach()),
            Running::Simulation(task) => task.detach(),
        }
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            Running::Shard(task) => Pin::new(task).poll(context),
            Running::Simulation(task) => task.poll_output(context),
        }
    }
}

/// Runs `future` on this shard beside the caller.
///
/// # Panics
/// On a thread that no reactor runs on.
#[track_caller]
pub fn spawn<T: 'static>(class: Class, future: impl Future<Output = T> + 'static) -> Task<T> {
    if simulation::active() {
        return Task(Running::Simulation(simulation::spawn(future)));
    }
    let Some(queues) = QUEUES.get() else { panic!("no reactor runs on this thread") };
    let (queue, counter) = match class {
        Class::Data => (queues.data, HERE),
        Class::Cold => (queues.cold, ELSEWHERE),
        Class::Background => (queues.background, ELSEWHERE),
    };
    match glommio::spawn_local_into(counted(counter, future), queue) {
        Ok(task) => Task(Running::Shard(task)),
        Err(error) => panic!("a task queue that lives as long as its executor is gone: {error}"),
    }
}

/// Whether a reactor runs on this thread, so that [`spawn`] may be called. Tasks that are dropped with it find none.
pub fn is_running() -> bool {
    simulation::active() || QUEUES.get().is_some()
}

/// Lets other tasks of this shard run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Between two parts of long work: lets everybody else run until nobody can, completions that arrive meanwhile included, and lets
/// go of the core for a moment. Of several that stand back one goes on at a time, in turn. Says whether there was such a moment, or it
/// goes on because it has waited long enough.
///
/// A thread that does not sleep keeps others on its core waiting for up to a tick, among them the kernel's workers that complete
/// writes, also those of other shards.
pub async fn stand_back() -> bool {
    if simulation::active() {
        yield_now().await;
        return true;
    }
    let mut stood_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stood_back, true) {
            return Poll::Ready(());
        }
        STANDING_BACK.with_borrow_mut(|waiting| waiting.push_back(context.waker().clone()));
        Poll::Pending
    })
    .await;
    RESTED.get()
}

/// Whether somebody stands back.
pub(crate) fn has_long_work() -> bool {
    STANDING_BACK.with_borrow(|waiting| !waiting.is_empty())
}

/// Has the next one that stands back go on, if nobody else can run or the last one did so long `ago` that it must.
pub(crate) fn go_on_with_long_work(ago: Duration) -> bool {
    let rests = runnable() == Runnable::Nobody;
    if !rests && ago < LONG_WORK_WAITS_MAX {
        return false;
    }
    RESTED.set(rests);
    let next = STANDING_BACK.with_borrow_mut(VecDeque::pop_front);
    next.is_some_and(|next| {
        next.wake();
        true
    })
}

/// How long this thread's executor has been at work since it began, sleep left out.
///
/// # Panics
/// On a thread that no reactor runs on.
pub fn busy() -> Duration {
    crate::ring::current().busy()
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
        .preempt_timer(NEVER)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    executor.run(async {
        let ring = Ring::install(bell)?;
        let create =
            |shares, name| glommio::executor().create_task_queue(Shares::Static(shares), Latency::NotImportant, name);
        let queues =
            Queues { data: create(1000, "data"), cold: create(200, "cold"), background: create(100, "background") };
        QUEUES.set(Some(queues));
        let driven = std::rc::Rc::clone(&ring);
        let drive = async move {
            let error = driven.drive().await;
            // Without its ring the shard can neither answer nor write: nothing would ever finish.
            tracing::error!(%error, "the ring cannot be entered any more; giving up");
            std::process::abort();
        };
        let driver =
            glommio::spawn_local_into(drive, queues.data).map_err(|error| io::Error::other(error.to_string()))?;
        let unpark: glommio::Task<()> = glommio::spawn_local(async {
            loop {
                glommio::timer::sleep(PARK_MAX).await;
                wake_driver();
            }
        });
        let output = counted(ELSEWHERE, future).await;
        drop((unpark, driver));
        DRIVER.take();
        STANDING_BACK.take();
        ring.uninstall();
        QUEUES.set(None);
        Ok(output)
    })
}

/// What a shard asks of the scheduler: turns of this length, in nanoseconds. It has no less of its core for it, but where it shares one,
/// it waits for others, and they for it (clients; the kernel's workers that end durable writes), for such a turn instead of 1 to 3 ms.
const TURN_NS: u64 = 100_000;

/// Asks for turns of [`TURN_NS`] (Linux 6.12; ignored before). Whoever started the process with a policy of its own keeps it.
fn ask_for_short_turns() {
    let Some(mut turns) = scheduling().filter(|now| now.sched_policy == libc::SCHED_OTHER as u32) else { return };
    turns.sched_runtime = TURN_NS;
    // SAFETY: reads the structure, and means this thread only.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const turns, 0) } != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "the scheduler takes no wish for short turns");
    }
}

/// How the kernel schedules this thread.
pub(crate) fn scheduling() -> Option<libc::sched_attr> {
    // SAFETY: a structure of zeros is valid, and the kernel writes no more than its size into it.
    unsafe {
        let mut now = std::mem::zeroed::<libc::sched_attr>();
        let size = size_of::<libc::sched_attr>();
        (libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size, 0) == 0).then_some(now)
    }
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
        let thread = std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            ask_for_short_turns();
            run(placement, bell, async move { make(id).await })
        })?;
        threads.push(thread);
    }
    Ok(Shards { threads })
}
