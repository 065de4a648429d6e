use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Wakes everybody who waits at the moment it is given.
///
/// *Lives on:* one shard. Whoever wakes looks again at what it waited for.
#[derive(Default, Debug)]
pub struct Signal {
    /// Goes up at each notification; a waiter is done when it has changed.
    turn: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// A signal that nobody waits for.
    pub fn new() -> Signal {
        Signal::default()
    }

    /// Done at the next [`Signal::notify`] after this call.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let since = self.turn.get();
        poll_fn(move |context| {
            if self.turn.get() != since {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Wakes all who wait now.
    pub fn notify(&self) {
        self.turn.set(self.turn.get().wrapping_add(1));
        let mut woken = self.waiting.take();
        for waker in woken.drain(..) {
            waker.wake();
        }
        // Give the emptied vector back, so that a steady rhythm of waits allocates nothing.
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            *waiting = woken;
        }
    }
}

/// A budget of permits, handed out in the order of asking.
///
/// *Lives on:* one shard.
#[derive(Clone, Debug)]
pub struct Semaphore(Rc<Budget>);

#[derive(Debug)]
struct Budget {
    total: u64,
    free: Cell<u64>,
    /// Numbers tickets: the lowest one still waiting is served first.
    next: Cell<u64>,
    queue: RefCell<VecDeque<(u64, u64, Option<Waker>)>>,
}

impl Semaphore {
    /// A budget of `total` permits, all free.
    pub fn new(total: u64) -> Semaphore {
        Semaphore(Rc::new(Budget {
            total,
            free: Cell::new(total),
            next: Cell::new(0),
            queue: RefCell::new(VecDeque::new()),
        }))
    }

    /// Permits free now.
    pub fn free(&self) -> u64 {
        self.0.free.get()
    }

    /// Permits in all.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// Whether anybody waits for permits.
    pub fn is_short(&self) -> bool {
        !self.0.queue.borrow().is_empty()
    }

    /// Takes `count` permits if nobody waits and they are free. A count above the total is taken as the total.
    pub fn try_acquire(&self, count: u64) -> Option<Permit> {
        let count = count.min(self.0.total);
        if !self.0.queue.borrow().is_empty() || self.0.free.get() < count {
            return None;
        }
        self.0.free.set(self.0.free.get() - count);
        Some(Permit { budget: Rc::clone(&self.0), count })
    }

    /// Waits for `count` permits, in turn. A count above the total is taken as the total, so that it is served one day.
    pub fn acquire(&self, count: u64) -> impl Future<Output = Permit> + 'static {
        Acquire { budget: Rc::clone(&self.0), count: count.min(self.0.total), ticket: None }
    }
}

impl Budget {
    fn give_back(&self, count: u64) {
        self.free.set(self.free.get() + count);
        self.wake_first();
    }

    fn wake_first(&self) {
        let mut queue = self.queue.borrow_mut();
        let Some((_, count, waker)) = queue.front_mut() else { return };
        if *count > self.free.get() {
            return;
        }
        let waker = waker.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

struct Acquire {
    budget: Rc<Budget>,
    count: u64,
    ticket: Option<u64>,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let budget = Rc::clone(&self.budget);
        let mut queue = budget.queue.borrow_mut();
        let first = match self.ticket {
            None => queue.is_empty(),
            Some(ticket) => queue.front().is_some_and(|(front, ..)| *front == ticket),
        };
        if first && budget.free.get() >= self.count {
            if self.ticket.take().is_some() {
                queue.pop_front();
            }
            budget.free.set(budget.free.get() - self.count);
            drop(queue);
            // The next in line may fit into what is left.
            budget.wake_first();
            return Poll::Ready(Permit { count: self.count, budget });
        }
        let waker = Some(context.waker().clone());
        match self.ticket {
            None => {
                let ticket = budget.next.get();
                budget.next.set(ticket + 1);
                self.ticket = Some(ticket);
                queue.push_back((ticket, self.count, waker));
            }
            Some(ticket) => {
                if let Some(entry) = queue.iter_mut().find(|(waiting, ..)| *waiting == ticket) {
                    entry.2 = waker;
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        self.budget.queue.borrow_mut().retain(|(waiting, ..)| *waiting != ticket);
        self.budget.wake_first();
    }
}

/// Permits of a [`Semaphore`]; dropping gives them back.
#[derive(Debug)]
pub struct Permit {
    budget: Rc<Budget>,
    count: u64,
}

impl Permit {
    /// How many permits it holds.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Gives back all but `keep` permits now.
    pub fn shrink_to(&mut self, keep: u64) {
        if keep < self.count {
            let back = self.count - keep;
            self.count = keep;
            self.budget.give_back(back);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give_back(self.count);
    }
}
