//! One producer's connection: requests wait, leave, are in flight, are answered; and what happens when it breaks.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

use crate::answers::Answers;
use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::read_produced;
use crate::measure::{Phase, Tally};
use crate::prepared::Share;
use crate::source::Source;
use crate::stamp::Stamp;
use crate::topics;
use crate::verifier::Ledger;

/// Buffers given to one vectored write (Linux takes at most 1,024).
const SLICES_MAX: usize = 32;
/// Requests that are due and wait for a connection: beyond that they are shed, and the result says so.
pub const WAITING_MAX: usize = 1 << 20;
/// How long a connection is left alone after it could not be opened.
const RETRY_NS: u64 = 100_000_000;
/// How long nothing is sent after a request that was refused for now.
const REST_NS: u64 = 20_000_000;
/// An answer that takes longer counts as a lost connection.
const ANSWER_NS_MAX: u64 = 60_000_000_000;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Flight {
    due_ns: u64,
    sent_ns: u64,
    group: u32,
    sequence: u64,
    bytes: u64,
    records: u64,
}

/// A request that has not left completely.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    group: usize,
    slot: usize,
    sent: usize,
}

/// What a group will send next.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    slot: usize,
    sequence: u64,
    first: First,
}

/// Whether the partitions of a group have taken their first batch. A broker may need seconds for that: it makes files, elects leaders.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum First {
    #[default]
    Wanted,
    UnderWay,
    Taken,
}

/// The connection, or since when there is none.
#[derive(Debug)]
enum Link {
    Up(TcpStream),
    Down { since_ns: u64, retry_ns: u64 },
}

/// Time without a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Away {
    /// How often it was lost.
    pub times: u64,
    /// For how long in all.
    pub ns: u64,
}

/// *Lives on: one load thread.*
#[derive(Debug)]
pub struct Pipeline {
    share: Share,
    link: Link,
    turns: Vec<Turn>,
    ledgers: Vec<Ledger>,
    correlation: i32,
    /// Due and not yet sent: when, and for which group.
    waiting: VecDeque<(u64, u32)>,
    leaving: VecDeque<Leaving>,
    in_flight: VecDeque<Flight>,
    answers: Answers,
    next_group: usize,
    away: Away,
    /// What is refused for now waits again: there is a schedule that it was due by.
    again: bool,
    rest_until_ns: u64,
}

impl Pipeline {
    /// Connects. With `again`, what is refused for now is sent again; otherwise whatever comes next is.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(share: Share, again: bool) -> Result<Pipeline> {
        let socket = connect(share.addr)?;
        socket.set_nonblocking(true)?;
        let ledger = |group: &crate::prepared::Group| Ledger {
            topic: share.topic,
            producer: share.producer,
            partitions: group.partitions.clone(),
            ..Ledger::default()
        };
        Ok(Pipeline {
            turns: vec![Turn::default(); share.groups.len()],
            ledgers: share.groups.iter().map(ledger).collect(),
            share,
            link: Link::Up(socket),
            correlation: 0,
            waiting: VecDeque::new(),
            leaving: VecDeque::new(),
            in_flight: VecDeque::new(),
            answers: Answers::small(),
            next_group: 0,
            away: Away::default(),
            again,
            rest_until_ns: 0,
        })
    }

    /// The socket, when there is one.
    pub fn socket(&self) -> Option<&TcpStream> {
        match &self.link {
            Link::Up(socket) => Some(socket),
            Link::Down { .. } => None,
        }
    }

    /// Weights of its groups.
    pub fn weights(&self) -> impl Iterator<Item = f64> + '_ {
        self.share.groups.iter().map(|group| group.weight)
    }

    /// Nothing is under way or waits.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.waiting.is_empty()
    }

    /// Requests sent so far to the group that has got the fewest.
    pub fn rounds(&self) -> u64 {
        self.turns.iter().map(|turn| turn.sequence).min().unwrap_or(0)
    }

    /// A request of this group is due.
    pub fn due(&mut self, due_ns: u64, group: u32, tally: &mut Tally) {
        if self.waiting.len() >= WAITING_MAX {
            tally.shed += 1;
        } else {
            self.waiting.push_back((due_ns, group));
        }
    }

    /// Whether every partition has taken its first batch.
    pub fn is_primed(&self) -> bool {
        self.turns.iter().all(|turn| turn.first == First::Taken)
    }

    /// Whether it sends nothing for a while, because of what was refused.
    pub fn rests(&self, now_ns: u64) -> bool {
        now_ns < self.rest_until_ns
    }

    /// Before the clock runs: a request leaves to each group that has not taken its first.
    pub fn prime(&mut self, phase: &Phase, tally: &mut Tally) -> Result<()> {
        let now = phase.now_ns();
        for group in 0..self.turns.len() {
            if self.rests(now) || self.in_flight.len() >= self.share.in_flight {
                break;
            }
            if self.turns[group].first == First::Wanted && self.enqueue(group, now, now, phase) {
                self.turns[group].first = First::UnderWay;
            }
        }
        self.send(phase, tally)
    }

    /// What waits is given up.
    pub fn forget_waiting(&mut self, tally: &mut Tally) {
        tally.shed += self.waiting.len() as u64;
        self.waiting.clear();
    }

    /// Closed loop: as many requests leave as may be in flight, each group up to `rounds` of them.
    pub fn refill(&mut self, phase: &Phase, rounds: u64, tally: &mut Tally) -> Result<()> {
        let groups = self.share.groups.len();
        let mut passed = 0;
        let now = phase.now_ns();
        while self.in_flight.len() < self.share.in_flight && passed < groups && !self.rests(now) {
            let group = self.next_group;
            if self.turns[group].sequence >= rounds {
                passed += 1;
            } else if !self.enqueue(group, now, now, phase) {
                break;
            } else {
                passed = 0;
            }
            self.next_group = (group + 1) % groups;
        }
        self.send(phase, tally)
    }

    /// Open loop: what is due leaves, as far as it may.
    pub fn pump(&mut self, phase: &Phase, tally: &mut Tally) -> Result<()> {
        let now = phase.now_ns();
        while self.in_flight.len() < self.share.in_flight && !self.rests(now) {
            let Some((due_ns, group)) = self.waiting.front().copied() else { break };
            if !self.enqueue(group as usize, due_ns, now, phase) {
                break;
            }
            self.waiting.pop_front();
        }
        self.send(phase, tally)
    }

    /// Stamps the group's next request and lets it leave; whether there was a free one.
    fn enqueue(&mut self, group: usize, due_ns: u64, now_ns: u64, phase: &Phase) -> bool {
        if !matches!(self.link, Link::Up(_)) {
            return false;
        }
        let turn = &mut self.turns[group];
        let slots = &mut self.share.groups[group].slots;
        let slot = &mut slots[turn.slot];
        if slot.leaving {
            return false;
        }
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let stamp =
            Stamp { producer: self.share.producer, sequence: turn.sequence, due_ns, sent_ns: now_ns, rest_crc: None };
        slot.stamp(self.correlation, &stamp, phase.wall_ms());
        slot.leaving = true;
        self.leaving.push_back(Leaving { group, slot: turn.slot, sent: 0 });
        self.in_flight.push_back(Flight {
            due_ns,
            sent_ns: now_ns,
            group: group as u32,
            sequence: turn.sequence,
            bytes: slot.bytes,
            records: slot.records,
        });
        turn.slot = (turn.slot + 1) % slots.len();
        turn.sequence += 1;
        true
    }

    /// Writes as much as the socket takes.
    fn send(&mut self, phase: &Phase, tally: &mut Tally) -> Result<()> {
        while !self.leaving.is_empty() {
            let Link::Up(socket) = &mut self.link else { return Ok(()) };
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut used = 0;
            for leaving in self.leaving.iter().take(SLICES_MAX) {
                let bytes = self.share.groups[leaving.group].slots[leaving.slot].frame.bytes();
                slices[used] = IoSlice::new(&bytes[leaving.sent..]);
                used += 1;
            }
            match socket.write_vectored(&slices[..used]) {
                Ok(written) => self.left(written, phase, tally),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn left(&mut self, mut written: usize, phase: &Phase, tally: &mut Tally) {
        tally.wire.0 += written as u64;
        while let Some(first) = self.leaving.front_mut() {
            let slot = &mut self.share.groups[first.group].slots[first.slot];
            let rest = slot.frame.total_len() - first.sent;
            if written < rest {
                first.sent += written;
                return;
            }
            written -= rest;
            slot.leaving = false;
            let batches = self.share.groups[first.group].partitions.len() as u64;
            self.leaving.pop_front();
            // Nobody answers: it is done when it has left.
            if self.share.acks == 0
                && let Some(flight) = self.in_flight.pop_front()
            {
                self.turns[flight.group as usize].first = First::Taken;
                count(&flight, batches, batches, phase, tally);
            }
        }
    }

    /// Takes the answers that have come.
    ///
    /// # Errors
    /// Those of the socket; [`BenchError::WrongCorrelation`], [`BenchError::Malformed`].
    pub fn receive(&mut self, phase: &Phase, tally: &mut Tally) -> Result<()> {
        let Pipeline {
            link,
            answers,
            in_flight,
            share,
            ledgers,
            correlation,
            turns,
            waiting,
            rest_until_ns,
            again,
            ..
        } = self;
        let Link::Up(socket) = link else { return Ok(()) };
        answers.receive(socket, |answer| {
            tally.wire.1 += answer.len() as u64 + 4;
            // The queue holds the latest requests, so the oldest one's id follows from its length.
            let expected = correlation.wrapping_sub(in_flight.len() as i32 - 1) & i32::MAX;
            let flight = in_flight.pop_front().ok_or(BenchError::Malformed { what: "answer without a request" })?;
            let group = flight.group as usize;
            let first = turns[group].first != First::Taken;
            let (good, refused) =
                good_parts(answer, expected, if first { &mut tally.postponed } else { &mut tally.errors })?;
            let parts = share.groups[group].partitions.len() as u64;
            if good < parts {
                ledgers[group].doubt(flight.sequence);
            }
            let for_now = topics::RETRIABLE.contains(&refused);
            if for_now && (good == 0 || first) {
                *rest_until_ns = phase.now_ns() + REST_NS;
            }
            match (first, good == parts, for_now) {
                (true, true, _) => turns[group].first = First::Taken,
                (true, false, true) => turns[group].first = First::Wanted,
                (true, false, false) => return Err(BenchError::Refused { api: "Produce", code: refused }),
                (false, _, true) if good == 0 && *again => {
                    waiting.push_front((flight.due_ns, flight.group));
                    return Ok(());
                }
                (false, ..) => {}
            }
            count(&flight, good, parts, phase, tally);
            Ok(())
        })
    }

    /// The connection is lost: what was in flight may have arrived or not.
    pub fn lose(&mut self, now_ns: u64, tally: &mut Tally) {
        for flight in self.in_flight.drain(..) {
            let group = flight.group as usize;
            self.ledgers[group].doubt(flight.sequence);
            if self.turns[group].first == First::UnderWay {
                self.turns[group].first = First::Wanted;
            }
        }
        for leaving in self.leaving.drain(..) {
            self.share.groups[leaving.group].slots[leaving.slot].leaving = false;
        }
        self.answers = Answers::small();
        tally.outages += 1;
        self.away.times += 1;
        self.link = Link::Down { since_ns: now_ns, retry_ns: now_ns + RETRY_NS };
    }

    /// Tries to connect again when it is time to; whether it did.
    pub fn reopen(&mut self, now_ns: u64) -> bool {
        let Link::Down { since_ns, retry_ns } = &mut self.link else { return false };
        if now_ns < *retry_ns {
            return false;
        }
        *retry_ns = now_ns + RETRY_NS;
        let opened = connect(self.share.addr).and_then(|socket| Ok(socket.set_nonblocking(true).map(|()| socket)?));
        let Ok(socket) = opened else { return false };
        self.away.ns += now_ns - *since_ns;
        self.link = Link::Up(socket);
        true
    }

    /// Churn: a connection without requests under way is closed and opened anew.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn renew(&mut self) -> Result<bool> {
        if !self.in_flight.is_empty() {
            return Ok(false);
        }
        let socket = connect(self.share.addr)?;
        socket.set_nonblocking(true)?;
        self.answers = Answers::small();
        self.link = Link::Up(socket);
        Ok(true)
    }

    /// Whether the oldest answer is overdue.
    pub fn is_stuck(&self, now_ns: u64) -> bool {
        self.in_flight.front().is_some_and(|flight| now_ns.saturating_sub(flight.sent_ns) > ANSWER_NS_MAX)
    }

    /// What it has sent and what it does not know, and how long it had no connection.
    pub fn finish(mut self, now_ns: u64) -> (Vec<Ledger>, Away) {
        for flight in self.in_flight.drain(..) {
            self.ledgers[flight.group as usize].doubt(flight.sequence);
        }
        if let Link::Down { since_ns, .. } = self.link {
            self.away.ns += now_ns.saturating_sub(since_ns);
        }
        for (ledger, turn) in self.ledgers.iter_mut().zip(&self.turns) {
            ledger.sent = turn.sequence;
            ledger.doubts_overflow |= self.share.acks == 0;
        }
        (self.ledgers, self.away)
    }
}

/// Counts an answered request of which `good` of `all` batches were taken.
fn count(flight: &Flight, good: u64, all: u64, phase: &Phase, tally: &mut Tally) {
    let now = phase.now_ns();
    if phase.counts() {
        tally.requests += 1;
        tally.batches += good;
        tally.bytes += (flight.bytes * good).checked_div(all).unwrap_or(0);
        tally.records += (flight.records * good).checked_div(all).unwrap_or(0);
    } else if phase.stopped() {
        tally.late = (tally.late.0 + 1, tally.late.1.max((now - flight.sent_ns) / 1000));
    }
    if phase.covers(flight.due_ns) {
        tally.took(now, flight.due_ns, flight.sent_ns);
    }
}

/// How many partitions took their batch, and Kafka's code of one that did not; codes are counted into `refused`.
fn good_parts(mut answer: &[u8], expected: i32, refused: &mut BTreeMap<i16, u64>) -> Result<(u64, i16)> {
    let got = answer.i32()?;
    if got != expected {
        return Err(BenchError::WrongCorrelation { expected, got });
    }
    let (mut good, mut code) = (0, 0);
    read_produced(&mut answer, |produced| {
        if produced.error == 0 {
            good += 1;
        } else {
            code = produced.error;
            *refused.entry(code).or_default() += 1;
        }
    })?;
    Ok((good, code))
}
