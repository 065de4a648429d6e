//! One client's connection: frames in, answers out, as many as are ready in one system call.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use ottla_reactor::socket::{Piece, Socket};
use ottla_reactor::{Class, Permit, Signal, spawn};
use ottla_wire::produce::Produce;
use ottla_wire::{ApiKey, WireError, frame};

use super::{Shard, answer};

/// Bytes of a request at most: the broker's `socket.request.max.bytes`.
const REQUEST_BYTES_MAX: usize = 104_857_600;
/// Requests of one connection that may be under way; then it is not read from.
const REQUESTS_IN_FLIGHT_MAX: usize = 256;
/// Bytes that a receive is given at first, and at most where frames are no longer than that.
const RECEIVE_BYTES_MIN: usize = 2 << 10;
const RECEIVE_BYTES_MAX: usize = 128 << 10;
/// Bytes of longer frames that are received before their length is known.
const RECEIVE_BYTES_HEAD: usize = 4 << 10;
/// Bytes received at a time at least where a frame's length is known: pages are taken as bytes arrive.
const RECEIVE_BYTES_STEP: usize = 1 << 20;

/// Why a connection is closed.
pub(super) enum Closed {
    /// The client closed it, or the network did.
    ByPeer,
    /// The bytes were not the protocol's.
    Invalid(WireError),
    /// A broker serves this; the floor does not.
    NotServed(ApiKey, i16),
}

impl From<WireError> for Closed {
    fn from(error: WireError) -> Closed {
        Closed::Invalid(error)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Closed::ByPeer => f.write_str("the client has closed it"),
            Closed::Invalid(error) => error.fmt(f),
            Closed::NotServed(api, version) => {
                write!(f, "the floor does not serve {api} {version}: it is no broker, and its records cannot be read")
            }
        }
    }
}

/// *Lives on:* the shard that it was given to.
pub(super) struct Connection {
    pub(super) socket: Socket,
    /// Answers to send.
    ready: RefCell<Vec<Piece>>,
    /// Requests that were read and whose answers are not sent.
    under_way: Cell<usize>,
    /// Rung when an answer is ready, answers were sent, or the connection is over.
    changed: Signal,
    closed: Cell<bool>,
}

impl Connection {
    pub(super) fn new(socket: Socket) -> Rc<Connection> {
        Rc::new(Connection {
            socket,
            ready: RefCell::default(),
            under_way: Cell::new(0),
            changed: Signal::new(),
            closed: Cell::new(false),
        })
    }

    /// Serves it until it ends.
    pub(super) async fn serve(self: Rc<Self>, shard: Rc<Shard>) {
        let writer = spawn(Class::Data, Rc::clone(&self).write());
        let reason = match self.read(&shard).await {
            Ok(never) => match never {},
            Err(reason) => reason,
        };
        if !matches!(reason, Closed::ByPeer) {
            (shard.shared.say)(&format!("closed the connection of {}: {reason}", self.socket.peer()));
        }
        self.close();
        writer.await;
    }

    /// Sends an answer after those before it.
    pub(super) fn send(&self, answer: Bytes) {
        if answer.is_empty() {
            self.under_way.set(self.under_way.get() - 1);
        } else {
            self.ready.borrow_mut().push(Piece::Bytes(answer));
        }
        self.changed.notify();
    }

    fn close(&self) {
        if !self.closed.replace(true) {
            self.socket.shut_down();
            self.changed.notify();
        }
    }

    async fn read(self: &Rc<Self>, shard: &Rc<Shard>) -> Result<std::convert::Infallible, Closed> {
        let mut frames = Frames { wanted: RECEIVE_BYTES_MIN, ..Frames::default() };
        let mut scratch = Produce::default();
        loop {
            while self.under_way.get() >= REQUESTS_IN_FLIGHT_MAX && !self.closed.get() {
                self.changed.wait().await;
            }
            let request = frames.next(&self.socket, shard).await?;
            self.under_way.set(self.under_way.get() + 1);
            answer::answer(shard, self, request, &mut scratch).await?;
        }
    }

    async fn write(self: Rc<Self>) {
        let mut sending = Vec::new();
        while !self.closed.get() {
            std::mem::swap(&mut *self.ready.borrow_mut(), &mut sending);
            let count = sending.len();
            if count == 0 {
                self.changed.wait().await;
                continue;
            }
            let (sent, emptied) = self.socket.send(sending).await;
            sending = emptied;
            self.under_way.set(self.under_way.get() - count);
            self.changed.notify();
            if sent.is_err() {
                self.close();
            }
        }
    }
}

/// Cuts what arrives into frames, in memory that is used again: a frame is over when the next one is asked for.
#[derive(Default)]
struct Frames {
    buffer: BytesMut,
    /// Bytes of the last frame, at the buffer's front; 0 when it was a long one.
    over: usize,
    /// A frame that is longer than the buffer gets.
    long: BytesMut,
    /// How much room to make.
    wanted: usize,
    /// What the frame counts in the shard's memory.
    permit: Option<Permit>,
}

impl Frames {
    /// The next frame's content, without its length.
    async fn next(&mut self, socket: &Socket, shard: &Shard) -> Result<&[u8], Closed> {
        self.buffer.advance(std::mem::take(&mut self.over));
        self.permit = None;
        let whole = loop {
            if let Some(field) = self.buffer.first_chunk::<{ frame::LENGTH_BYTES }>() {
                break frame::length(*field, REQUEST_BYTES_MAX)? + frame::LENGTH_BYTES;
            }
            self.buffer.reserve(self.wanted);
            let (received, buffer) = socket.receive(std::mem::take(&mut self.buffer)).await;
            self.buffer = buffer;
            if received.map_err(|_| Closed::ByPeer)? == 0 {
                return Err(Closed::ByPeer);
            }
        };
        let missing = whole.saturating_sub(self.buffer.len());
        if whole > RECEIVE_BYTES_MAX && missing > 0 {
            self.wanted = RECEIVE_BYTES_HEAD;
            self.permit = Some(shard.memory.acquire(whole as u64).await);
            self.long.clear();
            // What lies in the buffer is the beginning of this frame alone.
            self.long.extend_from_slice(&self.buffer);
            self.buffer.clear();
            receive_all(socket, &mut self.long, missing).await?;
            return Ok(&self.long[frame::LENGTH_BYTES..]);
        }
        self.wanted = self.wanted.max((whole + whole / 16).next_power_of_two()).min(RECEIVE_BYTES_MAX);
        receive_all(socket, &mut self.buffer, missing).await?;
        self.over = whole;
        Ok(&self.buffer[frame::LENGTH_BYTES..whole])
    }
}

/// Receives so many bytes more.
async fn receive_all(socket: &Socket, buffer: &mut BytesMut, mut missing: usize) -> Result<(), Closed> {
    while missing > 0 {
        let step = missing.min(buffer.len().max(RECEIVE_BYTES_STEP));
        buffer.reserve(step);
        let (received, back) = socket.receive_all(std::mem::take(buffer), step).await;
        *buffer = back;
        if received.map_err(|_| Closed::ByPeer)? < step {
            return Err(Closed::ByPeer);
        }
        missing -= step;
    }
    Ok(())
}
