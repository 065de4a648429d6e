use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ottla_units::Timestamp;

use super::disk::Disk;
use super::random::Random;
use crate::time::Timers;

/// The task that [`run`] was called with.
const MAIN: usize = usize::MAX;
/// A run that takes more steps than this goes round in a circle.
const STEPS_MAX: u64 = 1_000_000;
/// When the first simulated day begins, in milliseconds since 1970.
const EPOCH_MS: i64 = 1_700_000_000_000;
/// What a step takes at most, in virtual nanoseconds.
const STEP_NS_MAX: usize = 40_000;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// Whether this thread is in a simulation.
#[inline]
pub(crate) fn active() -> bool {
    ACTIVE.get()
}

/// The simulation of this thread.
///
/// # Panics
/// Outside of [`run`].
pub(crate) fn world() -> Rc<World> {
    WORLD.with(|world| match &*world.borrow() {
        Some(world) => Rc::clone(world),
        None => panic!("no simulation runs on this thread"),
    })
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended<T> {
    /// The future was done.
    Done(T),
    /// The disk's crash was reached.
    Crashed,
}

/// One run: its tasks, its clock, its disk.
pub(crate) struct World {
    pub(super) random: RefCell<Random>,
    pub(super) disk: Disk,
    pub(super) crashed: Cell<bool>,
    /// Operations that wait to be chosen.
    pub(super) flying: RefCell<Vec<Rc<Flight>>>,
    tasks: RefCell<Vec<Option<Slot>>>,
    ready: RefCell<Vec<usize>>,
    cancelled: RefCell<Vec<usize>>,
    timers: Rc<Timers>,
    /// The virtual time of earlier runs on this disk.
    before: Duration,
    started: Instant,
    now: Cell<Instant>,
    /// How readily operations end, in a hundred, while tasks can run.
    disk_speed: usize,
}

/// An operation on the disk that has not happened yet.
#[derive(Default)]
pub(super) struct Flight {
    pub(super) chosen: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
}

struct Slot {
    /// Taken while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    wake: Arc<Woken>,
    /// Where it was spawned.
    from: &'static Location<'static>,
}

/// Puts a task into the line of those that can run.
struct Woken {
    task: usize,
    waiting: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if active() && !self.waiting.swap(true, Ordering::Relaxed) {
            world().ready.borrow_mut().push(self.task);
        }
    }
}

/// Takes the simulation off the thread, however the run ends.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        let world = WORLD.with(|world| world.borrow_mut().take());
        // What a panic left behind is dropped while the thread still counts as simulated.
        if let Some(world) = &world {
            let _ = WORLD.with(|place| place.borrow_mut().replace(Rc::clone(world)));
            world.drop_all();
            let _ = WORLD.with(|place| place.borrow_mut().take());
        }
        ACTIVE.set(false);
    }
}

/// Runs `future` on this thread until it is done or `disk` crashes. `seed` decides what happens in which order.
///
/// # Panics
/// When nothing can run any more although the future is not done, or when the run never ends.
pub fn run<F: Future>(disk: &Disk, seed: u64, future: F) -> Ended<F::Output> {
    assert!(!active(), "a simulation within a simulation");
    let mut random = Random::new(seed);
    let started = Instant::now();
    let disk_speed = [5, 20, 50, 90][random.below(4)];
    let world = Rc::new(World {
        random: RefCell::new(random),
        disk: disk.clone(),
        crashed: Cell::new(false),
        flying: RefCell::default(),
        tasks: RefCell::default(),
        ready: RefCell::default(),
        cancelled: RefCell::default(),
        timers: Rc::default(),
        before: disk.with(|state| state.clock),
        started,
        now: Cell::new(started),
        disk_speed,
    });
    WORLD.with(|place| *place.borrow_mut() = Some(Rc::clone(&world)));
    ACTIVE.set(true);
    let installed = Installed;
    let ended = {
        let main = pin!(future);
        world.drive(main)
    };
    world.drop_all();
    disk.with(|state| state.clock = world.elapsed());
    drop(installed);
    ended
}

/// Adds a line to the trace of this run; `line` is called only when there is one.
pub fn note(line: impl FnOnce() -> String) {
    if active() {
        world().disk.note(line);
    }
}

impl World {
    fn drive<F: Future>(&self, mut main: Pin<&mut F>) -> Ended<F::Output> {
        let wake = Arc::new(Woken { task: MAIN, waiting: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&wake));
        waker.wake_by_ref();
        for _ in 0..STEPS_MAX {
            self.drop_cancelled();
            if self.crashed.get() {
                return Ended::Crashed;
            }
            match self.choose() {
                Some(MAIN) => {
                    wake.waiting.store(false, Ordering::Relaxed);
                    if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Ended::Done(output);
                    }
                }
                Some(task) => self.poll(task),
                None => {}
            }
        }
        panic!("the simulation does not end: {STEPS_MAX} steps");
    }

    /// Lets time pass, and something happen: an operation ends, or the task that is given can run.
    fn choose(&self) -> Option<usize> {
        let mut random = self.random.borrow_mut();
        self.pass(Duration::from_nanos(random.below(STEP_NS_MAX) as u64));
        let mut ready = self.ready.borrow_mut();
        let mut flying = self.flying.borrow_mut();
        if ready.is_empty() && flying.is_empty() {
            drop((ready, flying));
            self.pass_to_timer();
            return None;
        }
        if !flying.is_empty() && (ready.is_empty() || random.chance(self.disk_speed)) {
            let index = random.below(flying.len());
            let flight = flying.swap_remove(index);
            drop((ready, flying));
            flight.chosen.set(true);
            if let Some(waker) = flight.waker.take() {
                waker.wake();
            }
            return None;
        }
        let index = random.below(ready.len());
        Some(ready.swap_remove(index))
    }

    /// The virtual time of all runs on this disk.
    fn elapsed(&self) -> Duration {
        self.before + self.now.get().duration_since(self.started)
    }

    fn pass(&self, time: Duration) {
        let now = self.now.get() + time;
        self.now.set(now);
        if self.timers.next().is_some_and(|due| due <= now) {
            self.timers.fire(now);
        }
    }

    fn pass_to_timer(&self) {
        let Some(due) = self.timers.next() else {
            let tasks = self.tasks.borrow();
            let from: Vec<_> = tasks.iter().flatten().map(|slot| slot.from.to_string()).collect();
            panic!("nothing can run any more: everybody waits, also the tasks spawned at {from:?}");
        };
        self.now.set(due);
        self.timers.fire(due);
    }

    fn poll(&self, task: usize) {
        let taken = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(Some(slot)) = tasks.get_mut(task) else { return };
            slot.wake.waiting.store(false, Ordering::Relaxed);
            slot.future.take().map(|future| (future, Arc::clone(&slot.wake)))
        };
        let Some((mut future, wake)) = taken else { return };
        let done = future.as_mut().poll(&mut Context::from_waker(&Waker::from(wake))).is_ready();
        if done {
            drop(future);
            self.tasks.borrow_mut()[task] = None;
        } else if let Some(Some(slot)) = self.tasks.borrow_mut().get_mut(task) {
            slot.future = Some(future);
        }
    }

    fn drop_cancelled(&self) {
        while let Some(task) = { self.cancelled.borrow_mut().pop() } {
            let slot = self.tasks.borrow_mut().get_mut(task).and_then(Option::take);
            drop(slot);
        }
    }

    /// Drops every task, and what those started while they were dropped.
    fn drop_all(&self) {
        loop {
            let slots = self.tasks.take();
            if slots.is_empty() {
                break;
            }
            drop(slots);
        }
        self.cancelled.borrow_mut().clear();
        self.flying.borrow_mut().clear();
    }
}

/// Waits for a task of the simulation; dropping it cancels the task.
pub(crate) struct Join<T> {
    task: usize,
    output: Rc<Output<T>>,
    detached: bool,
}

struct Output<T> {
    value: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
    done: Cell<bool>,
}

impl<T> Join<T> {
    pub(crate) fn detach(mut self) {
        self.detached = true;
    }

    pub(crate) fn poll_output(&self, context: &Context<'_>) -> Poll<T> {
        match self.output.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.output.waker.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Join<T> {
    fn drop(&mut self) {
        if active() && !self.detached && !self.output.done.get() {
            world().cancelled.borrow_mut().push(self.task);
        }
    }
}

/// Runs `future` beside the others.
#[track_caller]
pub(crate) fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Join<T> {
    let world = world();
    let output = Rc::new(Output { value: RefCell::new(None), waker: RefCell::new(None), done: Cell::new(false) });
    let result = Rc::clone(&output);
    let future = async move {
        let value = future.await;
        *result.value.borrow_mut() = Some(value);
        result.done.set(true);
        if let Some(waker) = result.waker.take() {
            waker.wake();
        }
    };
    let mut tasks = world.tasks.borrow_mut();
    let task = tasks.len();
    let wake = Arc::new(Woken { task, waiting: AtomicBool::new(true) });
    tasks.push(Some(Slot { future: Some(Box::pin(future)), wake, from: Location::caller() }));
    world.ready.borrow_mut().push(task);
    Join { task, output, detached: false }
}

pub(crate) fn timers() -> Rc<Timers> {
    Rc::clone(&world().timers)
}

pub(crate) fn monotonic() -> Instant {
    world().now.get()
}

pub(crate) fn wall_clock() -> Timestamp {
    Timestamp::new(EPOCH_MS + i64::try_from(world().elapsed().as_millis()).unwrap_or(0))
}

pub(crate) fn random_bytes() -> [u8; 16] {
    let world = world();
    let mut random = world.random.borrow_mut();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random.number().to_le_bytes());
    bytes[8..].copy_from_slice(&random.number().to_le_bytes());
    bytes
}
