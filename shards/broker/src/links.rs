//! Calls from shard to shard. A call is a closure that runs on the other shard in the order of sending; what it begins
//! may finish later, and its answer finds its way back by the number of the call.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use ottla_reactor::mesh::{Receiver, Sender};
use ottla_reactor::{Class, Task, spawn};
use ottla_units::ShardId;

use crate::shard::Shard;

/// Messages that wait in one direction between two shards; more wait with their sender.
pub(crate) const MESSAGES_MAX: usize = 1024;

/// What runs on the other shard: it does at once what must keep its order, and gives back the rest.
type Begin = Box<dyn FnOnce(Rc<Shard>, Origin) -> Task<()> + Send>;

/// What goes from one shard to another.
pub(crate) enum Message {
    /// Do this.
    Call(u32, Begin),
    /// The answer to a call.
    Answer(u32, Box<dyn Any + Send>),
    /// Nobody waits for the answer to this call any more.
    Cancel(u32),
}

/// Who called, and under which number.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    shard: ShardId,
    call: u32,
}

/// This shard's lines to all others.
///
/// *Lives on: each shard. Talks by: bounded channels, one for each ordered pair of shards.*
pub(crate) struct Links {
    peers: Vec<Option<Peer>>,
    calls: RefCell<Calls>,
}

struct Peer {
    sender: Rc<Outgoing>,
    receiver: Cell<Option<Receiver<Message>>>,
    /// What runs here for that shard, by its number of the call.
    running: RefCell<Vec<Option<Task<()>>>>,
}

/// Keeps order when the channel is full.
struct Outgoing {
    sender: Sender<Message>,
    waiting: RefCell<VecDeque<Message>>,
}

impl Outgoing {
    fn send(self: &Rc<Self>, message: Message) {
        let mut waiting = self.waiting.borrow_mut();
        let message = if waiting.is_empty() {
            match self.sender.try_send(message) {
                Ok(()) => return,
                Err(message) => message,
            }
        } else {
            message
        };
        let first = waiting.is_empty();
        waiting.push_back(message);
        drop(waiting);
        if first {
            spawn(Class::Data, Outgoing::drain(Rc::clone(self))).detach();
        }
    }

    /// Sends what waits; every message there belongs to a call that a connection's limits count.
    async fn drain(self: Rc<Self>) {
        loop {
            self.sender.room().await;
            loop {
                let Some(message) = self.waiting.borrow_mut().pop_front() else { return };
                if let Err(message) = self.sender.try_send(message) {
                    self.waiting.borrow_mut().push_front(message);
                    break;
                }
            }
        }
    }
}

impl Links {
    /// The lines of one shard, by the number of the other; none to itself.
    pub(crate) fn new(lines: Vec<Option<(Sender<Message>, Receiver<Message>)>>) -> Links {
        let peers = lines.into_iter().map(|line| {
            line.map(|(sender, receiver)| Peer {
                sender: Rc::new(Outgoing { sender, waiting: RefCell::new(VecDeque::new()) }),
                receiver: Cell::new(Some(receiver)),
                running: RefCell::new(Vec::new()),
            })
        });
        Links { peers: peers.collect(), calls: RefCell::new(Calls::default()) }
    }

    /// How many shards there are, this one counted.
    pub(crate) fn shards(&self) -> usize {
        self.peers.len()
    }

    /// Messages that wait here because a channel is full.
    pub(crate) fn waiting(&self) -> usize {
        self.peers.iter().flatten().map(|peer| peer.sender.waiting.borrow().len()).sum()
    }

    /// Begins to answer the other shards.
    pub(crate) fn listen(&self, shard: &Rc<Shard>) {
        for (index, peer) in self.peers.iter().enumerate() {
            let Some(receiver) = peer.as_ref().and_then(|peer| peer.receiver.take()) else { continue };
            let shard = Rc::clone(shard);
            let from = ShardId::new(u16::try_from(index).unwrap_or(u16::MAX));
            spawn(Class::Data, async move {
                while let Some(message) = receiver.recv().await {
                    shard.links.take(&shard, from, message);
                    while let Some(message) = receiver.try_recv() {
                        shard.links.take(&shard, from, message);
                    }
                }
            })
            .detach();
        }
    }

    fn take(&self, shard: &Rc<Shard>, from: ShardId, message: Message) {
        match message {
            Message::Call(call, begin) => {
                let task = begin(Rc::clone(shard), Origin { shard: from, call });
                self.note(from, call, task);
            }
            Message::Answer(call, answer) => self.calls.borrow_mut().answer(call, answer),
            Message::Cancel(call) => self.cancel(Origin { shard: from, call }),
        }
    }

    fn note(&self, from: ShardId, call: u32, task: Task<()>) {
        let Some(peer) = &self.peers[from.index()] else { return };
        let mut running = peer.running.borrow_mut();
        let index = call as usize;
        if index >= running.len() {
            running.resize_with(index + 1, || None);
        }
        debug_assert!(running[index].is_none(), "a number is used again only after its answer");
        running[index] = Some(task);
    }

    fn running(&self, origin: Origin) -> Option<Task<()>> {
        let peer = self.peers[origin.shard.index()].as_ref()?;
        peer.running.borrow_mut().get_mut(origin.call as usize)?.take()
    }

    /// The last act of a call's task.
    fn finish(&self, origin: Origin, answer: Box<dyn Any + Send>) {
        if let Some(task) = self.running(origin) {
            task.detach();
        }
        self.reply(origin, answer);
    }

    /// Ends a call that still runs, and answers it so that its number is free again. One that has ended was answered already.
    fn cancel(&self, origin: Origin) {
        if let Some(task) = self.running(origin) {
            drop(task);
            self.reply(origin, Box::new(()));
        }
    }

    fn reply(&self, origin: Origin, answer: Box<dyn Any + Send>) {
        if let Some(peer) = &self.peers[origin.shard.index()] {
            peer.sender.send(Message::Answer(origin.call, answer));
        }
    }

    /// Runs `begin` on another shard, where it is called in the order of sending; the future that it gives is run there too.
    ///
    /// # Panics
    /// When `to` is this shard: there is no line to oneself.
    pub(crate) fn call<T, F, B>(&self, shard: &Rc<Shard>, to: ShardId, begin: B) -> Called<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
        B: FnOnce(Rc<Shard>) -> F + Send + 'static,
    {
        let Some(peer) = &self.peers[to.index()] else { panic!("shard {to} called itself") };
        let call = self.calls.borrow_mut().open();
        let begin: Begin = Box::new(move |there, origin| {
            let rest = begin(Rc::clone(&there));
            spawn(Class::Data, async move {
                let answer = rest.await;
                there.links.finish(origin, Box::new(answer));
            })
        });
        peer.sender.send(Message::Call(call, begin));
        Called { shard: Rc::clone(shard), to, call, done: false, answer: std::marker::PhantomData }
    }
}

/// Calls whose answers are awaited here.
#[derive(Default)]
struct Calls {
    slots: Vec<Call>,
    free: Vec<u32>,
}

enum Call {
    Free,
    Open(Option<Waker>),
    /// Cancelled; its number is free again once the other side has answered.
    Cancelled,
    Answered(Box<dyn Any + Send>),
}

impl Calls {
    fn open(&mut self) -> u32 {
        match self.free.pop() {
            Some(call) => {
                self.slots[call as usize] = Call::Open(None);
                call
            }
            None => {
                self.slots.push(Call::Open(None));
                (self.slots.len() - 1) as u32
            }
        }
    }

    fn answer(&mut self, call: u32, answer: Box<dyn Any + Send>) {
        match std::mem::replace(&mut self.slots[call as usize], Call::Answered(answer)) {
            Call::Open(Some(waker)) => waker.wake(),
            Call::Open(None) => {}
            Call::Cancelled => {
                self.slots[call as usize] = Call::Free;
                self.free.push(call);
            }
            Call::Free | Call::Answered(_) => debug_assert!(false, "call {call} was answered twice"),
        }
    }
}

/// A call under way. Dropping it cancels what it began.
pub(crate) struct Called<T> {
    shard: Rc<Shard>,
    to: ShardId,
    call: u32,
    done: bool,
    answer: std::marker::PhantomData<fn() -> T>,
}

impl<T: Send + 'static> Future for Called<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let shard = Rc::clone(&self.shard);
        let mut calls = shard.links.calls.borrow_mut();
        let slot = &mut calls.slots[self.call as usize];
        if let Call::Open(waker) = slot {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let Call::Answered(answer) = std::mem::replace(slot, Call::Free) else {
            panic!("a call was awaited after its answer");
        };
        calls.free.push(self.call);
        self.done = true;
        match answer.downcast::<T>() {
            Ok(answer) => Poll::Ready(*answer),
            Err(_) => panic!("a call was answered with another call's type"),
        }
    }
}

impl<T> Drop for Called<T> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut calls = self.shard.links.calls.borrow_mut();
        let slot = &mut calls.slots[self.call as usize];
        if let Call::Answered(_) = slot {
            *slot = Call::Free;
            calls.free.push(self.call);
            return;
        }
        *slot = Call::Cancelled;
        drop(calls);
        if let Some(peer) = &self.shard.links.peers[self.to.index()] {
            peer.sender.send(Message::Cancel(self.call));
        }
    }
}
