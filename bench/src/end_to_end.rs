//! End to end, open loop: batches leave when they are due, whatever the broker does, and carry that time; a consumer that
//! waits at the tail takes the difference. So a stall counts for every batch that it delays.

use std::io::{self, Write};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::answers::Answers;
use crate::batches::FIRST_VALUE_AT;
use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::{
    FetchTerms, Frame, fetch_frame, produce_frame, read_fetched, read_prefix, read_produced, seal_batch,
};
use crate::measure::{Phase, Tally};
use crate::source::{SocketSource, Source};
use crate::topics::Topic;

/// How long batches may take to arrive once the last has left.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// What the consumer waits for at most in one fetch (`fetch.max.wait.ms`).
const FETCH_WAIT_MS: i32 = 500;

/// What producer and consumer tell each other.
#[derive(Debug, Default)]
pub struct Progress {
    /// Batches sent, all in all.
    sent: AtomicU64,
    /// The producer has sent its last.
    done: AtomicBool,
    /// Someone has given up.
    pub failed: AtomicBool,
    /// The consumer waits at the tail.
    pub ready: AtomicBool,
}

/// *Lives on: the producer's thread.*
struct Sender {
    socket: TcpStream,
    correlation: i32,
    answered: i32,
    out: Vec<u8>,
    written: usize,
    answers: Answers,
}

/// A partition's frame: the batch is changed in place for each send.
struct Stamped {
    sender: usize,
    frame: Frame,
    batch: std::ops::Range<usize>,
}

impl Stamped {
    fn stamp(&mut self, due_ns: u64) {
        let batch = &mut self.frame.bytes_mut()[self.batch.clone()];
        batch[FIRST_VALUE_AT..FIRST_VALUE_AT + 8].copy_from_slice(&due_ns.to_be_bytes());
        seal_batch(batch);
    }
}

/// Sends `rate` batches a second, evenly, partition after partition, until the phase stops. The tally counts answers'
/// errors, and batches and bytes that were due inside the window.
///
/// # Errors
/// Those of the sockets; [`BenchError::TimedOut`] when answers stay out.
pub fn produce(
    topic: &Topic,
    shares: &[(std::net::SocketAddr, Vec<i32>)],
    batch: &[u8],
    rate: u64,
    phase: &Phase,
    progress: &Progress,
) -> Result<Tally> {
    // The kernel may wake a sleeper 50 µs late unless told otherwise.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let mut senders = shares.iter().map(|(addr, _)| Sender::open(*addr)).collect::<Result<Vec<_>>>()?;
    let mut stamped = stamped_frames(topic, shares, batch);
    let mut tally = Tally::new()?;
    let start = phase.now_ns();
    let mut turn = 0u64;
    while !phase.stopped() && !progress.failed.load(Ordering::Relaxed) {
        let due = |turn: u64| start + (u128::from(turn) * 1_000_000_000 / u128::from(rate)) as u64;
        let now = phase.now_ns();
        while due(turn) <= now {
            let at = turn as usize % stamped.len();
            let part = &mut stamped[at];
            part.stamp(due(turn));
            senders[part.sender].queue(&mut part.frame);
            if phase.covers(due(turn)) {
                tally.batches += 1;
                tally.bytes += batch.len() as u64;
            }
            turn += 1;
        }
        senders.iter_mut().try_for_each(Sender::flush)?;
        let wait = due(turn).saturating_sub(phase.now_ns());
        serve(&mut senders, Duration::from_nanos(wait.min(100_000_000)), &mut tally)?;
        if !phase.counts() {
            tally.requests = 0;
        }
    }
    progress.sent.store(turn, Ordering::Relaxed);
    progress.done.store(true, Ordering::Release);
    let requests = tally.requests;
    drain(&mut senders, &mut tally)?;
    Ok(Tally { requests, ..tally })
}

fn stamped_frames(topic: &Topic, shares: &[(std::net::SocketAddr, Vec<i32>)], batch: &[u8]) -> Vec<Stamped> {
    let mut stamped = Vec::new();
    for (sender, (_, partitions)) in shares.iter().enumerate() {
        for (rank, index) in partitions.iter().enumerate() {
            let (frame, places) = produce_frame(&topic.name, -1, &[(*index, batch)]);
            let at = places.first().copied().unwrap_or_default();
            stamped.push((rank, Stamped { sender, frame, batch: at..at + batch.len() }));
        }
    }
    // One connection after the other, so that each gets its batches evenly.
    stamped.sort_by_key(|(rank, part)| (*rank, part.sender));
    stamped.into_iter().map(|(_, part)| part).collect()
}

fn drain(senders: &mut [Sender], tally: &mut Tally) -> Result<()> {
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while senders.iter().any(|sender| sender.answered < sender.correlation) {
        if Instant::now() > deadline {
            return Err(BenchError::TimedOut { what: "answers to produce requests in flight".to_owned() });
        }
        senders.iter_mut().try_for_each(Sender::flush)?;
        serve(senders, Duration::from_millis(20), tally)?;
    }
    Ok(())
}

/// Waits for answers or the time, and takes what came.
fn serve(senders: &mut [Sender], wait: Duration, tally: &mut Tally) -> Result<()> {
    let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    let readable: Vec<bool> = {
        let mut polled: Vec<PollFd<'_>> = senders.iter().map(Sender::polled).collect();
        match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        polled.iter().map(|fd| fd.revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)).collect()
    };
    for (sender, readable) in senders.iter_mut().zip(readable) {
        if readable {
            sender.receive(tally)?;
        }
    }
    Ok(())
}

impl Sender {
    fn open(addr: std::net::SocketAddr) -> Result<Sender> {
        let socket = connect(addr)?;
        socket.set_nonblocking(true)?;
        Ok(Sender { socket, correlation: 0, answered: 0, out: Vec::new(), written: 0, answers: Answers::default() })
    }

    fn polled(&self) -> PollFd<'_> {
        let flags = if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        PollFd::new(&self.socket, flags)
    }

    fn queue(&mut self, frame: &mut Frame) {
        self.correlation += 1;
        self.out.extend_from_slice(frame.with_correlation(self.correlation));
    }

    fn flush(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        let answered = &mut self.answered;
        self.answers.receive(&mut self.socket, |mut answer| {
            *answered += 1;
            let got = answer.i32()?;
            if got != *answered {
                return Err(BenchError::WrongCorrelation { expected: *answered, got });
            }
            tally.requests += 1;
            read_produced(&mut answer, |produced| tally.error(produced.error))
        })
    }
}

/// *Lives on: the consumer's thread.*
struct Tail<'a> {
    topic: &'a str,
    source: SocketSource,
    correlation: i32,
    /// Where each partition is to be read from.
    next: Vec<i64>,
    /// Partitions that the session does not know the place of yet.
    moved: Vec<i32>,
    session_id: i32,
    session_epoch: i32,
}

/// Waits at the tail of every partition from offset 0 on, with an incremental session (KIP-227) as clients do, until all
/// that was sent has come. The tally counts what was due inside the window.
///
/// # Errors
/// Those of the socket.
pub fn consume(topic: &Topic, batch_bytes: usize, phase: &Phase, progress: &Progress) -> Result<Tally> {
    let addr = topic.leaders.first().copied().ok_or(BenchError::Missing { what: "partitions".to_owned() })?;
    let socket = connect(addr)?;
    socket.set_read_timeout(Some(DRAIN_TIMEOUT))?;
    let partitions = topic.leaders.len();
    let mut tail = Tail {
        topic: &topic.name,
        source: SocketSource::new(socket),
        correlation: 0,
        next: vec![0; partitions],
        moved: (0..partitions as i32).collect(),
        session_id: 0,
        session_epoch: 0,
    };
    let (mut tally, mut received) = (Tally::new()?, 0);
    let mut drained_by = None;
    loop {
        received += tail.fetch(batch_bytes, phase, &mut tally)?;
        progress.ready.store(true, Ordering::Relaxed);
        if progress.done.load(Ordering::Acquire) {
            let deadline = *drained_by.get_or_insert_with(|| Instant::now() + DRAIN_TIMEOUT);
            if received >= progress.sent.load(Ordering::Relaxed) || Instant::now() > deadline {
                return Ok(tally);
            }
        }
        if progress.failed.load(Ordering::Relaxed) {
            return Ok(tally);
        }
    }
}

impl Tail<'_> {
    /// One fetch; how many batches it brought.
    fn fetch(&mut self, batch_bytes: usize, phase: &Phase, tally: &mut Tally) -> Result<u64> {
        let terms = FetchTerms {
            // The first answer, which may be empty, tells that the session stands.
            max_wait_ms: if self.correlation == 0 { 0 } else { FETCH_WAIT_MS },
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_max_bytes: 1 << 20,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
        };
        let parts: Vec<(i32, i64)> = self.moved.iter().map(|index| (*index, self.next[*index as usize])).collect();
        let (mut frame, _) = fetch_frame(self.topic, terms, &parts);
        self.correlation += 1;
        self.source.socket().write_all(frame.with_correlation(self.correlation))?;
        read_prefix(&mut self.source, self.correlation)?;
        self.moved.clear();
        let mut dues = Vec::new();
        let (next, moved) = (&mut self.next, &mut self.moved);
        let session = read_fetched(&mut self.source, |fetched, source| {
            tally.error(fetched.error);
            if fetched.records_bytes > 0 {
                next[fetched.partition as usize] = read_dues(source, fetched.records_bytes, &mut dues)?;
                moved.push(fetched.partition);
            }
            Ok(())
        })?;
        tally.requests += 1;
        tally.error(session.error);
        self.follow(session.error, session.session_id);
        let now = phase.now_ns();
        for due in dues.iter().filter(|due| phase.covers(**due)) {
            tally.took(Duration::from_nanos(now.saturating_sub(*due)));
            tally.batches += 1;
            tally.bytes += batch_bytes as u64;
        }
        Ok(dues.len() as u64)
    }

    fn follow(&mut self, error: i16, session_id: i32) {
        if error != 0 || session_id == 0 {
            // No session, or it is gone: name all partitions again.
            (self.session_id, self.session_epoch) = (0, 0);
            self.moved = (0..self.next.len() as i32).collect();
        } else {
            self.session_id = session_id;
            self.session_epoch = self.session_epoch.wrapping_add(1).max(1);
        }
    }
}

/// Reads the due times of some batches; the offset after them.
fn read_dues(source: &mut SocketSource, bytes: usize, dues: &mut Vec<u64>) -> Result<i64> {
    let mut left = bytes;
    let mut next = -1;
    while left > FIRST_VALUE_AT + 8 {
        let head: [u8; FIRST_VALUE_AT + 8] = source.take()?;
        let mut fields = &head[..];
        let base = fields.i64()?;
        let total = fields.i32()? as usize + 12;
        if total < head.len() || total > left {
            // Cut off by the answer's size limit: it comes again with the next fetch.
            source.skip(left - head.len())?;
            return if next < 0 { Err(BenchError::Malformed { what: "batch length" }) } else { Ok(next) };
        }
        let mut delta = &head[23..27];
        next = base + i64::from(delta.i32()?) + 1;
        let mut due = &head[FIRST_VALUE_AT..];
        dues.push(due.i64()? as u64);
        source.skip(total - head.len())?;
        left -= total;
    }
    source.skip(left)?;
    Ok(next)
}
