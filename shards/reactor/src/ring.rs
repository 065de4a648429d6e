//! One io_uring per shard: operations in flight, and the task that submits, reaps and sleeps.
//!
//! The shard sleeps in its own ring, not in glommio's: one system call submits, waits and reaps. Measured against a sleep
//! in glommio, woken through an eventfd: a third less CPU for a produce, see the change log. For that the driver must know that
//! no other task of the shard can run, so every task is spawned through [`crate::spawn`], which counts those that can.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use crate::executor::{self, Runnable};
use crate::mesh::Doorbell;
use crate::simulation;
use crate::time::Timers;

/// Entries of the submission queue; a full one is submitted at once, so this bounds a batch, not what is in flight.
const SUBMISSION_ENTRIES: u32 = 1024;
/// Entries of the completion queue; the kernel keeps what overflows.
const COMPLETION_ENTRIES: u32 = 8192;
/// Slots in the table of registered buffers.
const REGISTERED_BUFFERS_MAX: u32 = 256;
/// Kernel workers for what cannot be done without blocking (flushes, allocation, names): bounded, unbounded.
const KERNEL_WORKERS_MAX: [u32; 2] = [8, 16];
/// `IORING_ENTER_GETEVENTS`: run deferred completions while entering.
const ENTER_GET_EVENTS: u32 = 1;
/// Marks completions that nobody waits for, such as those of cancellations.
const UNWATCHED: u64 = u64::MAX;
/// Marks the read of the doorbell.
const DOORBELL: u64 = u64::MAX - 1;
/// How often the ring is asked, at shutdown, whether cancelled operations have ended.
const DRAIN_TURNS_MAX: usize = 1000;

/// What the shard's ring has done since it started.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct RingCounters {
    /// System calls into the ring.
    pub enters: u64,
    /// Operations submitted.
    pub submitted: u64,
    /// Operations completed.
    pub completed: u64,
    /// Times the shard went to sleep for want of work.
    pub sleeps: u64,
    /// How long it slept, together.
    pub slept: Duration,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Ring>>> = const { RefCell::new(None) };
}

/// The ring of this thread.
///
/// # Panics
/// On a thread that is not a shard's: no public function of this crate that needs it can be called there sensibly.
pub(crate) fn current() -> Rc<Ring> {
    CURRENT.with(|ring| match &*ring.borrow() {
        Some(ring) => Rc::clone(ring),
        None => panic!("no reactor runs on this thread"),
    })
}

/// Counters of this thread's ring.
pub fn ring_counters() -> RingCounters {
    current().counters.get()
}

/// Something that other threads feed, looked at once a turn.
pub(crate) trait Inlet {
    /// Wakes whoever waits if there is something for them; says whether it did.
    fn poll_inlet(&self) -> bool;
}

/// *Lives on:* each shard. *Talks by:* its doorbell, which other threads ring.
pub(crate) struct Ring {
    uring: RefCell<IoUring>,
    operations: RefCell<Operations>,
    doorbell: Arc<Doorbell>,
    /// Where the kernel puts the doorbell's count; lives as long as the ring.
    rung: Box<Cell<u64>>,
    /// Whether a read of the doorbell is in flight.
    listening: Cell<bool>,
    pub(crate) timers: Rc<Timers>,
    inlets: RefCell<Vec<Weak<dyn Inlet>>>,
    free_slots: RefCell<Vec<u16>>,
    counters: Cell<RingCounters>,
    started: Instant,
    /// Whether the buffer table could be made at all.
    registers_buffers: bool,
}

impl Ring {
    /// Makes this thread's ring and installs it.
    pub(crate) fn install(doorbell: Arc<Doorbell>) -> io::Result<Rc<Ring>> {
        let uring = build()?;
        // A worker limit that an older kernel does not know is no reason not to start.
        let _ = uring.submitter().register_iowq_max_workers(&mut KERNEL_WORKERS_MAX.clone());
        let registers_buffers = uring.submitter().register_buffers_sparse(REGISTERED_BUFFERS_MAX).is_ok();
        let ring = Rc::new(Ring {
            uring: RefCell::new(uring),
            operations: RefCell::new(Operations::default()),
            doorbell,
            rung: Box::new(Cell::new(0)),
            listening: Cell::new(false),
            timers: Rc::default(),
            inlets: RefCell::new(Vec::new()),
            free_slots: RefCell::new((0..REGISTERED_BUFFERS_MAX as u16).rev().collect()),
            counters: Cell::new(RingCounters::default()),
            started: Instant::now(),
            registers_buffers,
        });
        CURRENT.with(|current| *current.borrow_mut() = Some(Rc::clone(&ring)));
        Ok(ring)
    }

    /// Cancels what is in flight, waits for it to end, and takes the ring off this thread.
    pub(crate) fn uninstall(self: &Rc<Ring>) {
        let _ = self.enter();
        let limit = std::time::Duration::from_secs(5).into();
        let _ = self.uring.borrow().submitter().register_sync_cancel(Some(limit), CancelBuilder::any());
        for _ in 0..DRAIN_TURNS_MAX {
            let _ = self.enter();
            self.reap();
            if self.operations.borrow().in_flight == 0 {
                break;
            }
            std::thread::yield_now();
        }
        if self.operations.borrow().in_flight > 0 {
            // The kernel may still write into these buffers: never free them.
            std::mem::forget(self.operations.take());
        }
        CURRENT.with(|current| current.borrow_mut().take());
    }

    /// Looks at `inlet` once a turn for as long as it lives.
    pub(crate) fn watch(&self, inlet: Weak<dyn Inlet>) {
        let mut inlets = self.inlets.borrow_mut();
        inlets.retain(|known| known.strong_count() > 0);
        inlets.push(inlet);
    }

    /// Starts an operation. `resource` owns all memory that `entry` points to, at addresses that a move does not change.
    pub(crate) fn submit<R: 'static>(self: &Rc<Ring>, entry: squeue::Entry, resource: R) -> Operation<R> {
        let key = self.operations.borrow_mut().insert();
        self.push(entry.user_data(key as u64));
        Operation { ring: Rc::clone(self), key, resource: Some(resource) }
    }

    fn push(&self, entry: squeue::Entry) {
        let mut uring = self.uring.borrow_mut();
        // SAFETY: whatever the entry points to is owned by its `Operation`, or kept by the table once that is dropped,
        // until the completion has been reaped.
        while unsafe { uring.submission().push(&entry) }.is_err() {
            if let Err(error) = uring.submit() {
                tracing::warn!(%error, "submission queue is full and cannot be submitted; trying again");
                std::thread::yield_now();
            }
        }
    }

    /// Has the kernel tell when another thread rings.
    fn listen(&self) {
        if !self.listening.replace(true) {
            let read = opcode::Read::new(Fd(self.doorbell.as_raw_fd()), self.rung.as_ptr().cast(), 8);
            self.push(read.build().user_data(DOORBELL));
        }
    }

    /// Submits what is queued and lets the kernel post completions.
    fn enter(&self) -> io::Result<()> {
        let mut uring = self.uring.borrow_mut();
        let queued = uring.submission().len() as u32;
        let mut counters = self.counters.get();
        counters.enters += 1;
        counters.submitted += u64::from(queued);
        self.counters.set(counters);
        // SAFETY: no argument structure is passed.
        match unsafe { uring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GET_EVENTS, None) } {
            Ok(_) => Ok(()),
            // Too little memory for the moment, or completions to reap first: the next turn goes on.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hands completions to those who wait; says how many there were.
    fn reap(&self) -> usize {
        let mut count = 0;
        loop {
            let Some(entry) = self.uring.borrow_mut().completion().next() else { break };
            count += 1;
            match entry.user_data() {
                UNWATCHED => continue,
                DOORBELL => {
                    self.listening.set(false);
                    continue;
                }
                _ => {}
            }
            let orphan = self.operations.borrow_mut().complete(entry.user_data() as usize, entry.result());
            // Dropped outside the borrow: it may own buffers whose drop comes back here.
            drop(orphan);
        }
        let mut counters = self.counters.get();
        counters.completed += count as u64;
        self.counters.set(counters);
        count
    }

    /// Whether a turn would find something to submit or to reap.
    fn has_work(&self) -> bool {
        let mut uring = self.uring.borrow_mut();
        let submission = uring.submission();
        if !submission.is_empty() || submission.taskrun() || submission.cq_overflow() {
            return true;
        }
        drop(submission);
        !uring.completion().is_empty()
    }

    fn poll_inlets(&self) -> bool {
        let mut woke = false;
        for inlet in self.inlets.borrow().iter() {
            if let Some(inlet) = inlet.upgrade() {
                woke |= inlet.poll_inlet();
            }
        }
        woke
    }

    /// Submits and reaps what there is, without waiting.
    fn turn(&self) -> io::Result<()> {
        if self.has_work() {
            self.enter()?;
            self.reap();
        }
        Ok(())
    }

    /// Submits what is queued and sleeps until something completes, another thread rings, or a timer is due.
    fn sleep(&self) -> io::Result<()> {
        self.listen();
        self.doorbell.set_asleep(true);
        // Said first, looked afterwards: what came before is seen here, what comes later rings.
        if self.poll_inlets() {
            self.doorbell.set_asleep(false);
            return self.turn();
        }
        let slept = self.wait(self.timers.next());
        self.doorbell.set_asleep(false);
        slept?;
        self.reap();
        Ok(())
    }

    fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        let mut uring = self.uring.borrow_mut();
        let mut counters = self.counters.get();
        counters.enters += 1;
        counters.sleeps += 1;
        counters.submitted += uring.submission().len() as u64;
        let began = Instant::now();
        let left = until.map(|until| until.saturating_duration_since(began).max(Duration::from_nanos(1)));
        let waited = match left {
            None => uring.submit_and_wait(1),
            Some(left) => {
                let left = Timespec::from(left);
                uring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&left))
            }
        };
        counters.slept += began.elapsed();
        self.counters.set(counters);
        match waited {
            Ok(_) => Ok(()),
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EAGAIN | libc::EBUSY)) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// How long the shard has been at work since its ring was made.
    pub(crate) fn busy(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.counters.get().slept)
    }

    /// Has long work go on if nobody else can run, after the core's other threads and what they complete, or if the last of it was
    /// too long ago; says whether it does.
    fn go_on_with_long_work(&self, ago: Duration) -> io::Result<bool> {
        if executor::runnable() == Runnable::Nobody {
            std::thread::yield_now();
            self.turn()?;
        }
        Ok(executor::go_on_with_long_work(ago))
    }

    /// Drives the ring for as long as the executor runs; ends only with an error.
    pub(crate) async fn drive(self: Rc<Ring>) -> io::Error {
        let mut gave_way = Instant::now();
        let mut went_on = gave_way;
        loop {
            self.poll_inlets();
            let now = Instant::now();
            self.timers.fire(now);
            let long_work = executor::has_long_work();
            let done = match executor::runnable() {
                Runnable::Nobody if !long_work => self.sleep(),
                _ => self.turn(),
            };
            if let Err(error) = done {
                return error;
            }
            if long_work {
                match self.go_on_with_long_work(now.duration_since(went_on)) {
                    Ok(true) => went_on = now,
                    Ok(false) => {}
                    Err(error) => return error,
                }
            }
            // Others first: those of this queue, until those of other queues have waited long enough.
            match executor::runnable() {
                Runnable::Elsewhere => {
                    gave_way = now;
                    executor::let_others_run().await;
                }
                Runnable::Everywhere if now.duration_since(gave_way) >= executor::PREEMPT_AFTER => {
                    gave_way = now;
                    glommio::executor().yield_task_queue_now().await;
                }
                _ => executor::yield_now().await,
            }
        }
    }
}

/// Asks for the flags that suit one thread a ring; leaves out what an older kernel does not know.
fn build() -> io::Result<IoUring> {
    let best = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(COMPLETION_ENTRIES)
        .build(SUBMISSION_ENTRIES);
    match best {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::builder()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(COMPLETION_ENTRIES)
            .build(SUBMISSION_ENTRIES),
        other => other,
    }
}

/// The operations that the kernel works on, or whose result was not fetched yet.
#[derive(Default)]
struct Operations {
    slots: Vec<Slot>,
    free: VecDeque<usize>,
    in_flight: usize,
}

enum Slot {
    Free,
    /// The kernel works on it.
    Flying(Option<Waker>),
    /// Nobody waits any more; the resource is kept until the kernel is done with it.
    Orphan(Box<dyn Any>),
    /// The result, not fetched yet.
    Done(i32),
}

impl Operations {
    fn insert(&mut self) -> usize {
        self.in_flight += 1;
        match self.free.pop_front() {
            Some(key) => {
                self.slots[key] = Slot::Flying(None);
                key
            }
            None => {
                self.slots.push(Slot::Flying(None));
                self.slots.len() - 1
            }
        }
    }

    /// Notes a result; gives back what an orphaned operation owned.
    fn complete(&mut self, key: usize, result: i32) -> Option<Box<dyn Any>> {
        self.in_flight -= 1;
        match std::mem::replace(&mut self.slots[key], Slot::Done(result)) {
            Slot::Flying(waker) => {
                if let Some(waker) = waker {
                    waker.wake();
                }
                None
            }
            Slot::Orphan(resource) => {
                self.release(key);
                Some(resource)
            }
            Slot::Free | Slot::Done(_) => {
                debug_assert!(false, "operation {key} completed twice");
                None
            }
        }
    }

    fn release(&mut self, key: usize) {
        self.slots[key] = Slot::Free;
        self.free.push_back(key);
    }
}

/// An operation in flight. Dropping it cancels it; its memory lives on until the kernel lets go.
pub(crate) struct Operation<R: 'static> {
    ring: Rc<Ring>,
    key: usize,
    /// Taken when the operation is over.
    resource: Option<R>,
}

impl<R: Unpin + 'static> Future for Operation<R> {
    type Output = (io::Result<usize>, R);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ring = Rc::clone(&self.ring);
        let mut operations = ring.operations.borrow_mut();
        // The ring was taken down while this was in flight: nobody will ever know.
        let Some(slot) = operations.slots.get_mut(self.key) else { return Poll::Pending };
        match slot {
            Slot::Done(result) => {
                let result = *result;
                operations.release(self.key);
                drop(operations);
                let result = if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) };
                match self.resource.take() {
                    Some(resource) => Poll::Ready((result, resource)),
                    None => panic!("an operation was polled after its end"),
                }
            }
            Slot::Flying(waker) => {
                if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Slot::Free | Slot::Orphan(_) => panic!("an operation was polled after its end"),
        }
    }
}

impl<R: 'static> Drop for Operation<R> {
    fn drop(&mut self) {
        let Some(resource) = self.resource.take() else { return };
        let mut operations = self.ring.operations.borrow_mut();
        match operations.slots.get_mut(self.key) {
            // The ring was taken down while this was in flight: the kernel may still use the buffer, so it is never freed.
            None => return std::mem::forget(resource),
            Some(Slot::Done(_)) => return operations.release(self.key),
            Some(slot) => *slot = Slot::Orphan(Box::new(resource)),
        }
        drop(operations);
        self.ring.push(opcode::AsyncCancel::new(self.key as u64).build().user_data(UNWATCHED));
    }
}

/// A place in the ring's table of registered buffers; dropping frees it.
#[derive(Debug)]
pub(crate) struct BufferSlot {
    index: u16,
}

impl BufferSlot {
    pub(crate) fn index(&self) -> u16 {
        self.index
    }
}

/// Tells this thread's ring about a buffer; `None` when there is no room or the memlock limit is reached.
pub(crate) fn register_buffer(start: *mut u8, len: usize) -> Option<BufferSlot> {
    if simulation::active() {
        return None;
    }
    let ring = current();
    if !ring.registers_buffers {
        return None;
    }
    let index = ring.free_slots.borrow_mut().pop()?;
    if set_slot(&ring, index, start, len).is_err() {
        ring.free_slots.borrow_mut().push(index);
        return None;
    }
    Some(BufferSlot { index })
}

fn set_slot(ring: &Ring, index: u16, start: *mut u8, len: usize) -> io::Result<()> {
    let place = libc::iovec { iov_base: start.cast(), iov_len: len };
    let uring = ring.uring.borrow();
    // SAFETY: the memory belongs to the caller's buffer, whose `BufferSlot` clears the place before the memory is freed.
    unsafe { uring.submitter().register_buffers_update(u32::from(index), &[place], None) }
}

impl Drop for BufferSlot {
    fn drop(&mut self) {
        CURRENT.with(|current| {
            let current = current.borrow();
            let Some(ring) = &*current else { return };
            // The kernel holds its own reference to the pages while an operation uses them.
            let _ = set_slot(ring, self.index, std::ptr::null_mut(), 0);
            ring.free_slots.borrow_mut().push(self.index);
        });
    }
}
