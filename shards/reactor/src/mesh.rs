//! Messages between threads: bounded channels from shard to shard, and inboxes that any thread may fill.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::ring::{self, Inlet};

/// Wakes a shard that sleeps. Costs one load when it is awake.
#[derive(Debug)]
pub struct Doorbell {
    eventfd: OwnedFd,
    asleep: AtomicBool,
}

impl Doorbell {
    /// A new bell.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Doorbell> {
        // SAFETY: no pointers involved.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Doorbell { eventfd, asleep: AtomicBool::new(false) })
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    pub(crate) fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep, Ordering::SeqCst);
        if asleep {
            // Pairs with the fence in `ring`: either the sleeper sees the message or the sender sees the sleeper.
            fence(Ordering::SeqCst);
        }
    }

    /// Wakes the shard if it sleeps.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: writes eight bytes from a local array to a descriptor that `self` owns.
            let written = unsafe { libc::write(self.eventfd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
            debug_assert_eq!(written, 8, "an eventfd takes eight bytes");
        }
    }
}

/// A bounded queue with one thread at each end.
struct Pipe<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// Next to read; written by the reader.
    head: AtomicUsize,
    /// Next to write; written by the writer.
    tail: AtomicUsize,
    /// Whether the writer waits for room.
    wants_room: AtomicBool,
    /// Whether one end is gone.
    closed: AtomicBool,
}

// SAFETY: a slot is touched by the writer only while it lies outside head..tail and by the reader only while inside;
// the release stores of `tail` and `head` hand it over.
unsafe impl<T: Send> Sync for Pipe<T> {}
// SAFETY: it owns its messages, which may move between threads.
unsafe impl<T: Send> Send for Pipe<T> {}

impl<T> Pipe<T> {
    fn new(capacity: usize) -> Pipe<T> {
        let slots = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
        Pipe {
            slots,
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            wants_room: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire) == self.tail.load(Ordering::Acquire)
    }

    fn push(&self, message: T) -> Result<(), T> {
        let tail = self.tail.load(Ordering::Relaxed);
        if tail.wrapping_sub(self.head.load(Ordering::Acquire)) == self.slots.len() {
            return Err(message);
        }
        let slot = &self.slots[tail & (self.slots.len() - 1)];
        // SAFETY: the slot lies outside head..tail, so only this one writer touches it.
        unsafe { (*slot.get()).write(message) };
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    fn pop(&self) -> Option<T> {
        let head = self.head.load(Ordering::Relaxed);
        if head == self.tail.load(Ordering::Acquire) {
            return None;
        }
        let slot = &self.slots[head & (self.slots.len() - 1)];
        // SAFETY: the slot lies inside head..tail, so it was written and only this one reader touches it.
        let message = unsafe { (*slot.get()).assume_init_read() };
        self.head.store(head.wrapping_add(1), Ordering::Release);
        Some(message)
    }
}

impl<T> Drop for Pipe<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// The sending half of a channel, not yet bound to the thread that will use it.
pub struct Outlet<T> {
    pipe: Arc<Pipe<T>>,
    reader: Arc<Doorbell>,
}

/// The receiving half of a channel, not yet bound to the thread that will use it.
pub struct Inflow<T> {
    pipe: Arc<Pipe<T>>,
    writer: Arc<Doorbell>,
}

/// A bounded channel from the shard of `writer` to the shard of `reader`, for `capacity` messages, rounded up to a power of two.
pub fn channel<T: Send + 'static>(
    capacity: usize,
    writer: &Arc<Doorbell>,
    reader: &Arc<Doorbell>,
) -> (Outlet<T>, Inflow<T>) {
    let pipe = Arc::new(Pipe::new(capacity));
    (Outlet { pipe: Arc::clone(&pipe), reader: Arc::clone(reader) }, Inflow { pipe, writer: Arc::clone(writer) })
}

impl<T: Send + 'static> Outlet<T> {
    /// Binds this half to the shard that runs on this thread.
    pub fn bind(self) -> Sender<T> {
        let end = Rc::new(SendEnd { pipe: self.pipe, reader: self.reader, waiting: RefCell::new(Vec::new()) });
        let weak: Weak<SendEnd<T>> = Rc::downgrade(&end);
        ring::current().watch(weak);
        Sender(end)
    }
}

impl<T: Send + 'static> Inflow<T> {
    /// Binds this half to the shard that runs on this thread.
    pub fn bind(self) -> Receiver<T> {
        let end = Rc::new(ReceiveEnd { pipe: self.pipe, writer: self.writer, waiting: Cell::new(None) });
        let weak: Weak<ReceiveEnd<T>> = Rc::downgrade(&end);
        ring::current().watch(weak);
        Receiver(end)
    }
}

/// Sends to another shard, in order.
///
/// *Lives on:* the sending shard.
pub struct Sender<T: Send + 'static>(Rc<SendEnd<T>>);

struct SendEnd<T> {
    pipe: Arc<Pipe<T>>,
    reader: Arc<Doorbell>,
    waiting: RefCell<Vec<Waker>>,
}

impl<T: Send + 'static> Sender<T> {
    /// Sends now, or gives the message back when the channel is full.
    ///
    /// # Errors
    /// The message itself.
    pub fn try_send(&self, message: T) -> Result<(), T> {
        self.0.pipe.push(message)?;
        self.0.reader.ring();
        Ok(())
    }

    /// Waits until the channel had room at least once; [`Sender::try_send`] may then be tried again.
    pub async fn room(&self) {
        let end = &self.0;
        let mut asked = false;
        poll_fn(|context| {
            if asked && !end.pipe.wants_room.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            asked = true;
            end.waiting.borrow_mut().push(context.waker().clone());
            end.pipe.wants_room.store(true, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if end.pipe.tail.load(Ordering::Relaxed).wrapping_sub(end.pipe.head.load(Ordering::SeqCst))
                < end.pipe.slots.len()
            {
                end.pipe.wants_room.store(false, Ordering::SeqCst);
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    /// Sends, waiting for room. `false` when the other end is gone.
    pub async fn send(&self, message: T) -> bool {
        let mut message = message;
        loop {
            if self.0.pipe.closed.load(Ordering::Acquire) {
                return false;
            }
            match self.try_send(message) {
                Ok(()) => return true,
                Err(back) => message = back,
            }
            self.room().await;
        }
    }
}

impl<T> Inlet for SendEnd<T> {
    fn poll_inlet(&self) -> bool {
        if self.waiting.borrow().is_empty() || self.pipe.wants_room.load(Ordering::Acquire) {
            return false;
        }
        for waker in self.waiting.take() {
            waker.wake();
        }
        true
    }
}

impl<T> Drop for SendEnd<T> {
    fn drop(&mut self) {
        self.pipe.closed.store(true, Ordering::Release);
        self.reader.ring();
    }
}

/// Receives from another shard, in order.
///
/// *Lives on:* the receiving shard.
pub struct Receiver<T: Send + 'static>(Rc<ReceiveEnd<T>>);

struct ReceiveEnd<T> {
    pipe: Arc<Pipe<T>>,
    writer: Arc<Doorbell>,
    waiting: Cell<Option<Waker>>,
}

impl<T: Send + 'static> Receiver<T> {
    /// The next message if one is there.
    pub fn try_recv(&self) -> Option<T> {
        let message = self.0.pipe.pop()?;
        fence(Ordering::SeqCst);
        if self.0.pipe.wants_room.load(Ordering::SeqCst) && self.0.pipe.wants_room.swap(false, Ordering::SeqCst) {
            self.0.writer.ring();
        }
        Some(message)
    }

    /// The next message; `None` when the other end is gone and nothing is left.
    pub async fn recv(&self) -> Option<T> {
        poll_fn(|context| {
            if let Some(message) = self.try_recv() {
                return Poll::Ready(Some(message));
            }
            if self.0.pipe.closed.load(Ordering::Acquire) {
                return Poll::Ready(self.try_recv());
            }
            self.0.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl<T> Inlet for ReceiveEnd<T> {
    fn poll_inlet(&self) -> bool {
        if self.pipe.is_empty() && !self.pipe.closed.load(Ordering::Acquire) {
            return false;
        }
        match self.waiting.take() {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        }
    }
}

impl<T> Drop for ReceiveEnd<T> {
    fn drop(&mut self) {
        self.pipe.closed.store(true, Ordering::Release);
        self.pipe.wants_room.store(false, Ordering::SeqCst);
        self.writer.ring();
    }
}

struct Mailbox<T> {
    messages: Mutex<VecDeque<T>>,
    capacity: usize,
    bell: Arc<Doorbell>,
}

impl<T> Mailbox<T> {
    fn messages(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        // A panic cannot happen between the steps of a queue operation.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts messages into a shard's inbox from any thread. Takes a lock: not for the data path.
pub struct Letterbox<T>(Arc<Mailbox<T>>);

impl<T> Clone for Letterbox<T> {
    fn clone(&self) -> Self {
        Letterbox(Arc::clone(&self.0))
    }
}

impl<T: Send> Letterbox<T> {
    /// Puts a message in, or gives it back when the inbox is full.
    ///
    /// # Errors
    /// The message itself.
    pub fn post(&self, message: T) -> Result<(), T> {
        let mut messages = self.0.messages();
        if messages.len() >= self.0.capacity {
            return Err(message);
        }
        messages.push_back(message);
        drop(messages);
        self.0.bell.ring();
        Ok(())
    }
}

/// Where other threads leave messages for a shard.
pub struct Inbox<T>(Arc<Mailbox<T>>);

/// A bounded inbox for the shard of `reader`, and the handle that fills it.
pub fn inbox<T: Send + 'static>(capacity: usize, reader: &Arc<Doorbell>) -> (Letterbox<T>, Inbox<T>) {
    let mailbox = Arc::new(Mailbox { messages: Mutex::new(VecDeque::new()), capacity, bell: Arc::clone(reader) });
    (Letterbox(Arc::clone(&mailbox)), Inbox(mailbox))
}

impl<T: Send + 'static> Inbox<T> {
    /// Binds the inbox to the shard that runs on this thread.
    pub fn bind(self) -> Letters<T> {
        let end = Rc::new(LetterEnd { mailbox: self.0, waiting: Cell::new(None) });
        let weak: Weak<LetterEnd<T>> = Rc::downgrade(&end);
        ring::current().watch(weak);
        Letters(end)
    }
}

/// The messages of a bound [`Inbox`].
///
/// *Lives on:* the receiving shard.
pub struct Letters<T>(Rc<LetterEnd<T>>);

struct LetterEnd<T> {
    mailbox: Arc<Mailbox<T>>,
    waiting: Cell<Option<Waker>>,
}

impl<T: Send + 'static> Letters<T> {
    /// The next message.
    pub async fn recv(&self) -> T {
        poll_fn(|context| {
            if let Some(message) = self.0.mailbox.messages().pop_front() {
                return Poll::Ready(message);
            }
            self.0.waiting.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl<T> Inlet for LetterEnd<T> {
    fn poll_inlet(&self) -> bool {
        let Some(waker) = self.waiting.take() else { return false };
        if self.mailbox.messages().is_empty() {
            self.waiting.set(Some(waker));
            return false;
        }
        waker.wake();
        true
    }
}
