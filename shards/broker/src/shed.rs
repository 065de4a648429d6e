//! Memory that clients can make a shard hold, and who has to go when it is short.
//!
//! Long requests are counted as they are received, all of them while they are in work, answers from when they are made until
//! they are sent; each in a budget of the shard. Reaching one makes others wait. That ends soon if those who hold the memory go on; a connection that holds
//! some and hardly moves meanwhile is closed, the largest first. While memory suffices nobody is closed, however slow.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ottla_reactor::{Signal, monotonic, sleep};

use crate::connection::Connection;
use crate::shard::Shard;

/// How often it is looked whether memory is short.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a connection may hold memory that others wait for without moving [`MOVED_BYTES_MIN`].
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// Who holds less is left alone: waiting for records is no offence.
const HELD_BYTES_MIN: u64 = 1 << 10;
/// Bytes, in either direction, that count as moving.
const MOVED_BYTES_MIN: u64 = 64 << 10;
/// One fetch takes at most this part of what is free for answers.
const FETCH_SHARE: u64 = 4;
/// What a fetch counts as at least while it reads: about one batch of the usual largest size.
const FETCH_BYTES_MIN: u64 = 1 << 20;
/// What it takes at most out of the reserve: about what a socket takes at once.
const RESERVE_FETCH_BYTES_MAX: u64 = 64 << 10;
/// This part of the memory for answers is for connections that took all that they were answered: those who do not read cannot
/// keep them waiting.
const RESERVE_SHARE: u64 = 4;

/// Bytes of answers that are being made or not sent yet.
///
/// *Lives on:* each shard.
#[derive(Debug)]
pub(crate) struct AnswerMemory {
    limit: u64,
    held: Cell<u64>,
    waiting: Cell<usize>,
    room: Signal,
}

impl AnswerMemory {
    pub(crate) fn new(limit: u64) -> Rc<AnswerMemory> {
        Rc::new(AnswerMemory { limit, held: Cell::new(0), waiting: Cell::new(0), room: Signal::new() })
    }

    /// Bytes held now. One answer may go beyond the limit; the next waits.
    pub(crate) fn held(&self) -> u64 {
        self.held.get()
    }

    /// Counts `bytes` until the guard goes.
    pub(crate) fn hold(self: &Rc<Self>, bytes: u64) -> HeldAnswer {
        self.held.set(self.held.get() + bytes);
        HeldAnswer { memory: Rc::clone(self), bytes }
    }

    /// Bytes that may be held for connections which have not taken all that they were answered.
    fn limit_of_many(&self) -> u64 {
        self.limit - self.limit / RESERVE_SHARE
    }

    /// Waits until an answer may be made for a connection of which so many bytes are `unsent`.
    pub(crate) async fn room(&self, unsent: impl Fn() -> u64) {
        while self.held.get() >= if unsent() == 0 { self.limit } else { self.limit_of_many() } {
            self.waiting.set(self.waiting.get() + 1);
            let _waits = Waits(&self.waiting);
            self.room.wait().await;
        }
    }

    /// Waits until there is more than the reserve.
    pub(crate) async fn room_for_many(&self) {
        self.room(|| 1).await;
    }

    /// What a fetch that asks for `bytes_max` may read now.
    pub(crate) fn for_fetch(self: &Rc<Self>, bytes_max: usize) -> FetchShare {
        let free = self.limit_of_many().saturating_sub(self.held.get());
        let share = if free > 0 { (free / FETCH_SHARE).max(FETCH_BYTES_MIN) } else { RESERVE_FETCH_BYTES_MAX };
        let bytes = (bytes_max as u64).min(share);
        FetchShare {
            bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
            at_least_one: free > 0,
            counted: self.hold(bytes),
        }
    }

    fn give_back(&self, bytes: u64) {
        self.held.set(self.held.get() - bytes);
        if self.waiting.get() > 0 {
            self.room.notify();
        }
    }

    fn is_short(&self) -> bool {
        self.waiting.get() > 0
    }
}

/// Takes itself off the count, also when the wait is given up.
struct Waits<'c>(&'c Cell<usize>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// What a fetch may read.
pub(crate) struct FetchShare {
    pub(crate) bytes_max: usize,
    /// Whether a first batch that is larger is given all the same; not out of the reserve.
    pub(crate) at_least_one: bool,
    /// Counts it meanwhile.
    pub(crate) counted: HeldAnswer,
}

/// Bytes of an answer.
#[derive(Debug)]
pub(crate) struct HeldAnswer {
    memory: Rc<AnswerMemory>,
    bytes: u64,
}

impl HeldAnswer {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Counts so many from now on, which are not more.
    pub(crate) fn set(&mut self, bytes: u64) {
        let back = self.bytes.saturating_sub(bytes);
        self.bytes -= back;
        self.memory.give_back(back);
    }
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

/// A connection that holds memory while it is short: since when it has hardly moved, and how far it was then.
struct Seen {
    since: Instant,
    moved: u64,
}

/// Closes those who hold memory that others wait for.
pub(crate) async fn shed(shard: Rc<Shard>) {
    let mut seen: HashMap<u64, Seen> = HashMap::new();
    loop {
        sleep(LOOK_EVERY).await;
        let short =
            shard.request_memory.is_short() || shard.receive_memory.is_short() || shard.answer_memory.is_short();
        if !short {
            seen.clear();
            continue;
        }
        close_some(&shard, stalled(&shard, &mut seen, monotonic()));
    }
}

/// Those who hold memory and have not moved for long, the largest first.
fn stalled(shard: &Shard, seen: &mut HashMap<u64, Seen>, now: Instant) -> Vec<(u64, Rc<Connection>)> {
    let connections = shard.connections.borrow();
    seen.retain(|number, _| connections.contains_key(number));
    let mut found = Vec::new();
    for (number, connection) in connections.iter().filter(|(_, connection)| connection.held() >= HELD_BYTES_MIN) {
        let moved = connection.moved();
        let last = seen.entry(*number).or_insert(Seen { since: now, moved });
        if moved.saturating_sub(last.moved) >= MOVED_BYTES_MIN {
            *last = Seen { since: now, moved };
        } else if now.duration_since(last.since) >= STALLED_AFTER {
            found.push((connection.held(), Rc::clone(connection)));
        }
    }
    found.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
    found
}

/// Closes until a quarter of a budget is on its way back.
fn close_some(shard: &Shard, stalled: Vec<(u64, Rc<Connection>)>) {
    let enough = shard.request_memory.total().max(shard.answer_memory.limit) / 4;
    let mut freed = 0;
    for (held, connection) in stalled {
        if freed >= enough {
            break;
        }
        freed += held;
        shard.metrics.connections.closed_shed.increment();
        tracing::warn!(peer = %connection.peer(), bytes = held, "memory is short: closed a connection that held some and stood still");
        connection.close();
    }
}

#[cfg(test)]
mod tests;
