use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ottla_units::Offset;

/// Which records a reader may see (`isolation.level`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// All below the high watermark.
    #[default]
    ReadUncommitted,
    /// Only those of transactions that have ended: all below the last stable offset.
    ReadCommitted,
}

/// How far a partition can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Visible {
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable: Offset,
}

impl Visible {
    pub(crate) fn end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadUncommitted => self.high_watermark,
            Isolation::ReadCommitted => self.last_stable,
        }
    }
}

/// Waits for records at any of several partitions of one shard. A fetch keeps one and uses it again: registering and letting
/// go take no memory once the lists have grown.
///
/// *Lives on:* the shard of the partitions.
#[derive(Default)]
pub struct DataWaiter {
    state: Rc<WaiterState>,
    watched: Vec<(Rc<WatchList>, usize)>,
}

#[derive(Default)]
struct WaiterState {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl WaiterState {
    fn wake(&self) {
        if self.woken.replace(true) {
            return;
        }
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl DataWaiter {
    /// Waits for nothing yet.
    pub fn new() -> DataWaiter {
        DataWaiter::default()
    }

    pub(crate) fn watch_list(&mut self, list: &Rc<WatchList>, from: Offset, isolation: Isolation) {
        let slot = list.add(Watch { from, isolation, waiter: Rc::clone(&self.state) });
        self.watched.push((Rc::clone(list), slot));
    }

    pub(crate) fn wake(&self) {
        self.state.wake();
    }

    /// Whether something has come, at any of the partitions, since the last [`DataWaiter::clear`].
    pub fn is_woken(&self) -> bool {
        self.state.woken.get()
    }

    /// Done when something has come. Whoever waits bounds it by time itself, and then looks at its partitions again.
    pub async fn woken(&self) {
        poll_fn(|context| self.poll_woken(context)).await;
    }

    fn poll_woken(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.state.woken.get() {
            return Poll::Ready(());
        }
        let mut waker = self.state.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Lets go of all partitions and is asleep again.
    pub fn clear(&mut self) {
        for (list, slot) in self.watched.drain(..) {
            list.remove(slot);
        }
        self.state.woken.set(false);
        self.state.waker.take();
    }

    /// Lets go of `count` partitions at most, for good; says whether none is left. For waiters at very many, which take long to
    /// let go of in one go.
    pub fn release(&mut self, count: usize) -> bool {
        self.state.waker.take();
        let kept = self.watched.len().saturating_sub(count);
        for (list, slot) in self.watched.drain(kept..) {
            list.remove(slot);
        }
        kept == 0
    }

    /// Asleep again at the same partitions: what has come so far was not enough.
    pub fn rearm(&self) {
        self.state.woken.set(false);
    }
}

impl Drop for DataWaiter {
    fn drop(&mut self) {
        self.clear();
    }
}

struct Watch {
    from: Offset,
    isolation: Isolation,
    waiter: Rc<WaiterState>,
}

/// Who waits at one partition.
#[derive(Default)]
pub(crate) struct WatchList {
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    watches: Vec<Option<Watch>>,
    free: Vec<usize>,
}

impl WatchList {
    fn add(&self, watch: Watch) -> usize {
        let mut slots = self.slots.borrow_mut();
        match slots.free.pop() {
            Some(slot) => {
                slots.watches[slot] = Some(watch);
                slot
            }
            None => {
                slots.watches.push(Some(watch));
                slots.watches.len() - 1
            }
        }
    }

    fn remove(&self, slot: usize) {
        let mut slots = self.slots.borrow_mut();
        slots.watches[slot] = None;
        if slots.free.len() + 1 == slots.watches.len() {
            // The last one: the next waiter starts at the front again.
            slots.watches.clear();
            slots.free.clear();
        } else {
            slots.free.push(slot);
        }
    }

    /// Wakes those for whom there is something to read now.
    pub(crate) fn moved(&self, visible: &Visible) {
        for watch in self.slots.borrow().watches.iter().flatten() {
            if visible.end(watch.isolation) > watch.from {
                watch.waiter.wake();
            }
        }
    }

    /// Wakes all: the partition is not what it was.
    pub(crate) fn changed(&self) {
        for watch in self.slots.borrow().watches.iter().flatten() {
            watch.waiter.wake();
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        let slots = self.slots.borrow();
        slots.watches.len() - slots.free.len()
    }
}
