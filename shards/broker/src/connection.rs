//! One client's connection: frames in, answers out in the order of asking.
//!
//! Two tasks a connection. The reader takes a frame, and either begins a produce (whose records are appended at once and
//! whose answer comes when they are durable) and goes on reading, or answers the request before it reads the next, as
//! Kafka does. The writer sends answers in order, as many as are ready in one system call.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ottla_reactor::socket::{Accepted, Piece, Socket};
use ottla_reactor::{Class, Permit, Semaphore, Signal, monotonic, spawn};
use ottla_units::ShardId;
use ottla_wire::frame;

use crate::dispatch;
use crate::shard::Shard;
use crate::shed::HeldAnswer;

/// Bytes of a connection's receive buffer at first; it grows with what arrives.
const RECEIVE_BYTES_MIN: usize = 2 << 10;
/// Bytes of the buffer that a receive is given at most, unless a frame is known to be longer.
const RECEIVE_BYTES_MAX: usize = 128 << 10;
/// Bytes offered where frames are longer than that: their beginning is copied, the rest comes straight to its place.
const RECEIVE_BYTES_HEAD: usize = 4 << 10;
/// Requests of one connection that may be under way; then it is not read from.
const REQUESTS_IN_FLIGHT_MAX: usize = 256;
/// Answers sent in one system call.
const ANSWERS_PER_SEND_MAX: usize = 64;
/// Bytes sent in one system call while the shard's journal is in use: those who produce wait for it to return.
const SEND_BYTES_BESIDE_JOURNAL: usize = 64 << 10;
/// Bytes of answers that a connection may have waiting; with more it is not read from until some are sent.
const ANSWER_BYTES_QUEUED_MAX: u64 = 1 << 20;
/// Frames up to this many bytes are not counted before they are whole.
const RECEIVE_BYTES_UNCOUNTED: usize = 64 << 10;
/// Bytes of a frame received at a time at least.
const RECEIVE_BYTES_STEP: usize = 1 << 20;
/// How many times its bytes a request counts that is decoded into structures: one byte may become many.
const DECODED_WEIGHT: u64 = 8;

/// Why a connection was closed by the broker.
#[derive(Debug)]
pub(crate) enum Closed {
    /// The client closed it, or the network did.
    ByPeer,
    /// The bytes were not the protocol's.
    Invalid(ottla_wire::WireError),
    /// A request without an answer (acks=0) failed: closing is how Kafka says so.
    Unanswerable,
    /// The broker stops.
    Stopping,
    /// A defect of ours, logged where it happened.
    Panicked,
    /// It goes on, on the shard whose partitions it produces to.
    Moving(ShardId),
}

/// A connection on its way to another shard: nothing of it is under way.
pub(crate) struct Departure {
    /// Where it goes.
    pub(crate) to: ShardId,
    /// Its socket.
    pub(crate) socket: Accepted,
    /// What came in and was not looked at yet.
    rest: BytesMut,
    software: Option<(String, String)>,
}

/// Requests in a row that produce to one other shard alone, after which a connection moves there: two fewer wake-ups for each.
const MOVES_AFTER: u32 = 16;

/// Where a connection's requests go.
#[derive(Clone, Copy, Default)]
struct Leaning {
    to: Option<ShardId>,
    /// How many requests in a row.
    run: u32,
    /// Whether something of it is kept by this shard, such as a fetch session.
    bound: bool,
}

/// An answer that is ready, or will be.
pub(crate) enum Answer {
    /// Ready to send.
    Ready(Vec<Piece>),
    /// Comes when records are durable; `Err` closes the connection.
    Coming(Pin<Box<dyn Future<Output = Result<Bytes, Closed>>>>),
}

struct Queued {
    answer: Answer,
    /// The request's bytes, counted until it is answered.
    permit: Permit,
    /// The answer's bytes, counted until they are sent; nothing for one that is still to come.
    held: Option<HeldAnswer>,
}

/// *Lives on:* the shard it was given to. *Talks by:* calls to the shards that own what is asked for.
pub(crate) struct Connection {
    socket: Socket,
    /// The listener that it came by.
    pub(crate) listener: Rc<str>,
    queue: RefCell<VecDeque<Queued>>,
    /// Rung when an answer was queued, sent, or the connection is over.
    changed: Signal,
    /// Rung when the connection is over, or about to be.
    ending: Signal,
    closed: Cell<bool>,
    /// No more requests are read.
    stopping: Cell<bool>,
    pub(crate) last_active: Cell<Instant>,
    /// Bytes of the shard's memory that wait for the client: a long request that comes, one that is held back, answers not
    /// sent.
    held: Cell<u64>,
    /// Of those, answers that are ready and not sent.
    unsent: Cell<u64>,
    leaning: Cell<Leaning>,
    /// What came in before it was on this shard.
    arrived: RefCell<BytesMut>,
    /// What ApiVersions told about the client's software: name, version.
    pub(crate) software: RefCell<Option<(String, String)>>,
    /// The last fetch, whose memory is used again.
    pub(crate) fetch: RefCell<ottla_wire::fetch::Fetch>,
}

impl Connection {
    /// Requests that were read and not answered yet.
    pub(crate) fn queued(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(crate) fn new(socket: Socket, listener: Rc<str>) -> Rc<Connection> {
        Rc::new(Connection {
            socket,
            listener,
            queue: RefCell::new(VecDeque::new()),
            changed: Signal::new(),
            ending: Signal::new(),
            closed: Cell::new(false),
            stopping: Cell::new(false),
            last_active: Cell::new(monotonic()),
            held: Cell::new(0),
            unsent: Cell::new(0),
            leaning: Cell::default(),
            arrived: RefCell::default(),
            software: RefCell::new(None),
            fetch: RefCell::default(),
        })
    }

    /// A connection that comes from another shard.
    pub(crate) fn arrived(departure: Departure, listener: Rc<str>) -> Rc<Connection> {
        let connection = Connection::new(departure.socket.into_socket(), listener);
        *connection.arrived.borrow_mut() = departure.rest;
        *connection.software.borrow_mut() = departure.software;
        connection
    }

    /// Takes note that a request produced to `to` alone; `None` when it did something else.
    pub(crate) fn lean(&self, to: Option<ShardId>) {
        let leaning = self.leaning.get();
        let run = if to.is_some() && to == leaning.to { leaning.run.saturating_add(1) } else { 1 };
        self.leaning.set(Leaning { to, run, ..leaning });
    }

    /// This shard keeps something of it: it stays.
    pub(crate) fn bind(&self) {
        self.leaning.set(Leaning { bound: true, ..self.leaning.get() });
    }

    /// The shard where it belongs rather than here.
    fn better_home(&self, shard: &Shard) -> Option<ShardId> {
        let leaning = self.leaning.get();
        let to = leaning
            .to
            .filter(|to| *to != shard.id && !leaning.bound && leaning.run >= MOVES_AFTER && !shard.stopping.get())?;
        // Looked at again after as many requests.
        self.leaning.set(Leaning { run: 0, ..leaning });
        shard.census.may_move(shard.id, to).then_some(to)
    }

    /// Bytes of the shard's memory that it holds and that its client could set free by sending, reading or asking.
    pub(crate) fn held(&self) -> u64 {
        self.held.get()
    }

    fn hold(&self, bytes: u64) {
        self.held.set(self.held.get() + bytes);
    }

    fn let_go(&self, bytes: u64) {
        self.held.set(self.held.get() - bytes);
    }

    /// Bytes that its client has sent or taken so far.
    pub(crate) fn moved(&self) -> u64 {
        self.socket.moved_bytes()
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> std::net::SocketAddr {
        self.socket.peer()
    }

    /// Serves it until it ends, or is to go on elsewhere.
    pub(crate) async fn serve(self: Rc<Self>, shard: Rc<Shard>) -> Option<Departure> {
        let writer = spawn(Class::Data, Rc::clone(&self).write(Rc::clone(&shard)));
        let mut frames = Frames { buffer: self.arrived.take(), wanted: RECEIVE_BYTES_MIN, least: RECEIVE_BYTES_MIN };
        let reason = self.read(&shard, &mut frames).await;
        match &reason {
            Closed::Invalid(error) => {
                shard.metrics.connections.closed_invalid.increment();
                tracing::debug!(peer = %self.peer(), %error, "closed a connection");
            }
            Closed::Panicked | Closed::Unanswerable => {
                tracing::debug!(peer = %self.peer(), ?reason, "closed a connection")
            }
            Closed::ByPeer | Closed::Stopping | Closed::Moving(_) => {}
        }
        // What was acknowledged by the log is still answered when the broker stops.
        if !matches!(reason, Closed::Stopping | Closed::Moving(_)) {
            self.close();
        }
        self.finish();
        writer.await;
        let departure = match reason {
            Closed::Moving(to) if !self.closed.get() => self.depart(to, frames.buffer),
            _ => None,
        };
        if departure.is_none() {
            self.close();
        }
        departure
    }

    fn depart(&self, to: ShardId, rest: BytesMut) -> Option<Departure> {
        let socket = self.socket.duplicate().ok()?;
        Some(Departure { to, socket, rest, software: self.software.take() })
    }

    /// Whether nothing came or went for `limit`, and nothing is under way.
    pub(crate) fn is_idle(&self, limit: std::time::Duration) -> bool {
        self.last_active.get().elapsed() >= limit && self.queue.borrow().is_empty()
    }

    /// Ends the connection now.
    pub(crate) fn close(&self) {
        if !self.closed.replace(true) {
            self.socket.shut_down();
            self.changed.notify();
            self.ending.notify();
        }
    }

    /// Reads no further request, and ends when all are answered.
    pub(crate) fn finish(&self) {
        self.stopping.set(true);
        self.changed.notify();
        self.ending.notify();
    }

    async fn read(&self, shard: &Rc<Shard>, frames: &mut Frames) -> Closed {
        loop {
            if let Some(to) = self.better_home(shard) {
                return Closed::Moving(to);
            }
            let next = {
                let mut next = std::pin::pin!(frames.next(self, shard));
                let mut stop = std::pin::pin!(self.until_stopping());
                poll_fn(|context| {
                    if stop.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Err(Closed::Stopping));
                    }
                    next.as_mut().poll(context)
                })
                .await
            };
            let (request, permit) = match next {
                Ok(request) => request,
                Err(reason) => return reason,
            };
            self.last_active.set(monotonic());
            if let Err(reason) = self.answer(shard, request, permit).await {
                return reason;
            }
        }
    }

    /// Sees to one request; `received` counts what of it was counted while it came.
    async fn answer(&self, shard: &Rc<Shard>, request: Bytes, received: Option<Permit>) -> Result<(), Closed> {
        // From here on it is not the client that is waited for.
        self.let_go(received.as_ref().map_or(0, Permit::count));
        let permit = self.unless_closed(self.admit(shard, weight(shard, &request))).await?;
        drop(received);
        // Produces wait for the disk; whatever else is held back waits for clients.
        let waits = if is_for(ottla_wire::ApiKey::Produce, &request) { 0 } else { permit.count() };
        self.hold(waits);
        let answer = self.unless_closed(dispatch::dispatch(shard, self, request)).await??;
        self.let_go(waits);
        let held = match &answer {
            Answer::Ready(pieces) => {
                let bytes = pieces.iter().map(|piece| piece.as_ref().len() as u64).sum();
                self.unsent.set(self.unsent.get() + bytes);
                self.hold(bytes);
                Some(shard.answer_memory.hold(bytes))
            }
            Answer::Coming(_) => None,
        };
        self.queue.borrow_mut().push_back(Queued { answer, permit, held });
        self.changed.notify();
        Ok(())
    }

    /// Does `work`, unless the connection is closed before it is done.
    async fn unless_closed<T>(&self, work: impl Future<Output = T>) -> Result<T, Closed> {
        let mut work = std::pin::pin!(work);
        let mut end = std::pin::pin!(self.until_closed());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => end.as_mut().poll(context).map(|()| Err(Closed::ByPeer)),
        })
        .await
    }

    async fn until_closed(&self) {
        while !self.closed.get() {
            self.ending.wait().await;
        }
    }

    async fn until_stopping(&self) {
        while !self.stopping.get() && !self.closed.get() {
            self.ending.wait().await;
        }
    }

    /// Waits until the connection and the shard may take one more request that counts `weight`.
    async fn admit(&self, shard: &Rc<Shard>, weight: u64) -> Permit {
        while self.queue.borrow().len() >= REQUESTS_IN_FLIGHT_MAX || self.unsent.get() >= ANSWER_BYTES_QUEUED_MAX {
            self.changed.wait().await;
        }
        shard.answer_memory.room(|| self.unsent.get()).await;
        take(&shard.request_memory, weight).await
    }

    async fn write(self: Rc<Self>, shard: Rc<Shard>) {
        let mut pieces = Vec::new();
        let mut counted = Vec::new();
        loop {
            if self.closed.get() {
                break;
            }
            if self.queue.borrow().is_empty() {
                if self.stopping.get() {
                    break;
                }
                self.changed.wait().await;
                continue;
            }
            if self.gather(&mut pieces, &mut counted).await.is_err() {
                self.close();
                break;
            }
            let total: usize = pieces.iter().map(|piece: &Piece| piece.as_ref().len()).sum();
            let at_once = || if shard.store.journal_in_use() { SEND_BYTES_BESIDE_JOURNAL } else { usize::MAX };
            let (sent, emptied) = self.socket.send_by(std::mem::take(&mut pieces), at_once).await;
            pieces = emptied;
            self.release(&mut counted);
            self.changed.notify();
            self.last_active.set(monotonic());
            if sent.is_err() {
                self.close();
                break;
            }
            shard.metrics.connections.sent_bytes.add(total as u64);
        }
        self.queue.borrow_mut().clear();
    }

    /// Gives back what answers that were sent have held.
    fn release(&self, counted: &mut Vec<(Permit, Option<HeldAnswer>)>) {
        for (permit, held) in counted.drain(..) {
            let unsent = held.as_ref().map_or(0, HeldAnswer::bytes);
            self.unsent.set(self.unsent.get() - unsent);
            self.let_go(unsent);
            drop(permit);
        }
    }

    /// Takes the first answer, waiting for it, and those behind it that are ready too.
    async fn gather(
        &self,
        pieces: &mut Vec<Piece>,
        counted: &mut Vec<(Permit, Option<HeldAnswer>)>,
    ) -> Result<(), Closed> {
        let mut answers = 0;
        poll_fn(|context| {
            loop {
                if self.closed.get() {
                    return Poll::Ready(Err(Closed::ByPeer));
                }
                if answers == ANSWERS_PER_SEND_MAX {
                    return Poll::Ready(Ok(()));
                }
                let Some(mut first) = self.queue.borrow_mut().pop_front() else {
                    return if answers > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
                };
                match first.answer {
                    Answer::Ready(ref mut ready) => pieces.append(ready),
                    Answer::Coming(ref mut coming) => match coming.as_mut().poll(context) {
                        Poll::Ready(Ok(bytes)) if bytes.is_empty() => {}
                        Poll::Ready(Ok(bytes)) => pieces.push(Piece::Bytes(bytes)),
                        Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                        Poll::Pending => {
                            self.queue.borrow_mut().push_front(first);
                            return if answers > 0 { Poll::Ready(Ok(())) } else { Poll::Pending };
                        }
                    },
                }
                counted.push((first.permit, first.held));
                answers += 1;
            }
        })
        .await
    }
}

/// What a request counts in the shard's memory: its bytes, and those that it is decoded into.
fn weight(shard: &Shard, request: &Bytes) -> u64 {
    let bytes = request.len() as u64;
    if is_for(ottla_wire::ApiKey::Produce, request) || is_for(ottla_wire::ApiKey::Fetch, request) {
        return bytes;
    }
    // Half at most: more would have to wait until nobody else holds anything.
    (bytes * DECODED_WEIGHT).min(shard.request_memory.total() / 2).max(bytes)
}

/// Whether a request is for this API.
fn is_for(api: ottla_wire::ApiKey, request: &Bytes) -> bool {
    request.starts_with(&api.code().to_be_bytes())
}

/// Takes `bytes` of a budget, waiting for them.
async fn take(memory: &Semaphore, bytes: u64) -> Permit {
    match memory.try_acquire(bytes) {
        Some(permit) => permit,
        None => memory.acquire(bytes).await,
    }
}

/// Cuts what arrives into frames.
struct Frames {
    buffer: BytesMut,
    /// How much room to make when there is too little.
    wanted: usize,
    /// How much room is enough: about one more frame.
    least: usize,
}

impl Frames {
    /// The next frame's content, without its length, and the memory that was taken for it while it came.
    async fn next(&mut self, connection: &Connection, shard: &Rc<Shard>) -> Result<(Bytes, Option<Permit>), Closed> {
        loop {
            if let Some(field) = self.buffer.first_chunk::<{ frame::LENGTH_BYTES }>() {
                let max = shard.settings.borrow().network.request_bytes_max as usize;
                let length = frame::length(*field, max).map_err(Closed::Invalid)?;
                let whole = length + frame::LENGTH_BYTES;
                let permit = if self.buffer.len() < whole { self.fill(connection, shard, whole).await? } else { None };
                self.expect(whole);
                let mut content = self.buffer.split_to(whole);
                let _ = content.split_to(frame::LENGTH_BYTES);
                return Ok((content.freeze(), permit));
            }
            self.receive(connection, shard).await?;
        }
    }

    /// The next frame will be about as long as this one.
    fn expect(&mut self, whole: usize) {
        let next = whole + whole / 16;
        if next > RECEIVE_BYTES_MAX {
            (self.least, self.wanted) = (RECEIVE_BYTES_MIN, RECEIVE_BYTES_HEAD);
        } else {
            self.least = next.max(RECEIVE_BYTES_MIN);
            self.wanted = self.wanted.max(self.least.next_power_of_two());
        }
    }

    async fn receive(&mut self, connection: &Connection, shard: &Rc<Shard>) -> Result<(), Closed> {
        let offered = self.buffer.capacity() - self.buffer.len();
        if offered < self.least {
            self.buffer.reserve(self.wanted);
        }
        let offered = self.buffer.capacity() - self.buffer.len();
        let (result, buffer) = connection.socket.receive(std::mem::take(&mut self.buffer)).await;
        self.buffer = buffer;
        let count = result.map_err(|_| Closed::ByPeer)?;
        if count == 0 {
            return Err(Closed::ByPeer);
        }
        if count == offered && self.wanted != RECEIVE_BYTES_HEAD {
            self.wanted = (self.wanted * 2).min(RECEIVE_BYTES_MAX);
        }
        shard.metrics.connections.received_bytes.add(count as u64);
        Ok(())
    }

    /// Receives until `whole` bytes are there.
    async fn fill(
        &mut self,
        connection: &Connection,
        shard: &Rc<Shard>,
        whole: usize,
    ) -> Result<Option<Permit>, Closed> {
        let mut permit = None;
        if whole > RECEIVE_BYTES_UNCOUNTED {
            // All of it at once: parts could leave everybody waiting for the rest. A client that then does not send is closed
            // when others wait.
            let taken = take(&shard.receive_memory, whole as u64).await;
            connection.hold(taken.count());
            permit = Some(taken);
        }
        while self.buffer.len() < whole {
            let missing = whole - self.buffer.len();
            // Pages are taken as bytes arrive, not as the length promises.
            let step = missing.min(self.buffer.len().max(RECEIVE_BYTES_STEP));
            self.buffer.reserve(step);
            let (result, buffer) = connection.socket.receive_all(std::mem::take(&mut self.buffer), step).await;
            self.buffer = buffer;
            let count = result.map_err(|_| Closed::ByPeer)?;
            if count < step {
                return Err(Closed::ByPeer);
            }
            shard.metrics.connections.received_bytes.add(count as u64);
        }
        Ok(permit)
    }
}
