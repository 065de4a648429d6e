//! Closed-loop produce load: each connection keeps a window of requests in flight.
//!
//! One thread drives all connections by edge-triggered epoll. Under load it wakes to several answers at once and refills
//! the window with one vectored write, so that the client's cost per request falls as the broker gets busier.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::answers::Answers;
use crate::connection::connect;
use crate::error::{BenchError, Result};
use crate::frames::{Frame, PREFIX_BYTES, read_produced};
use crate::measure::{Phase, Tally};

/// How long answers in flight may take once the load has stopped.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Buffers given to one vectored write (Linux takes at most 1,024).
const SLICES_MAX: usize = 64;

/// What one connection sends, in turn.
#[derive(Clone, Debug)]
pub struct Share {
    /// The leader of all partitions in the frames.
    pub addr: SocketAddr,
    /// The requests.
    pub frames: Vec<Frame>,
    /// Bytes of batches in each request.
    pub batch_bytes: usize,
    /// Requests in flight.
    pub window: usize,
}

/// A request that has not left completely.
#[derive(Debug)]
struct Leaving {
    prefix: [u8; PREFIX_BYTES],
    frame: usize,
    sent: usize,
}

/// *Lives on: one load thread.*
#[derive(Debug)]
struct Pipeline<'a> {
    share: &'a Share,
    socket: TcpStream,
    correlation: i32,
    leaving: VecDeque<Leaving>,
    /// When each request in flight was queued, oldest first.
    in_flight: VecDeque<Instant>,
    answers: Answers,
}

/// Drives some connections until the phase stops, then waits for what is in flight.
///
/// # Errors
/// The first error of any connection; `failed` is set then so that the others end too.
pub fn drive(shares: &[Share], phase: &Phase, failed: &AtomicBool) -> Result<Tally> {
    let outcome = drive_all(shares, phase, failed);
    if outcome.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    outcome
}

fn drive_all(shares: &[Share], phase: &Phase, failed: &AtomicBool) -> Result<Tally> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut pipelines = shares.iter().map(Pipeline::open).collect::<Result<Vec<_>>>()?;
    for (at, pipeline) in pipelines.iter().enumerate() {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&epoll, &pipeline.socket, epoll::EventData::new_u64(at as u64), flags)?;
    }
    let mut tally = Tally::new()?;
    let mut counting = false;
    while !phase.stopped() && !failed.load(Ordering::Relaxed) {
        if !counting && phase.counts() {
            counting = true;
            tally = Tally { errors: std::mem::take(&mut tally.errors), ..Tally::new()? };
        }
        turn(&epoll, &mut pipelines, &mut tally, true)?;
    }
    drain(&epoll, &mut pipelines, &mut tally)?;
    Ok(tally)
}

/// Waits for what is in flight; only errors are counted still.
fn drain(epoll: &OwnedFd, pipelines: &mut [Pipeline<'_>], tally: &mut Tally) -> Result<()> {
    let mut late = Tally::new()?;
    let deadline = Instant::now() + DRAIN_TIMEOUT;
    while pipelines.iter().any(|pipeline| !pipeline.in_flight.is_empty()) {
        if Instant::now() > deadline {
            return Err(BenchError::TimedOut { what: "answers to produce requests in flight".to_owned() });
        }
        turn(epoll, pipelines, &mut late, false)?;
    }
    for (code, count) in late.errors {
        *tally.errors.entry(code).or_default() += count;
    }
    Ok(())
}

fn turn(epoll: &OwnedFd, pipelines: &mut [Pipeline<'_>], tally: &mut Tally, refill: bool) -> Result<()> {
    let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 64];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let ready = match epoll::wait(epoll, &mut events[..], Some(&timeout)) {
        Ok(ready) => ready,
        Err(rustix::io::Errno::INTR) => 0,
        Err(errno) => return Err(errno.into()),
    };
    for event in &events[..ready] {
        let (flags, data) = (event.flags, event.data);
        let pipeline = &mut pipelines[data.u64() as usize];
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ERR) {
            pipeline.receive(tally)?;
        }
        if refill {
            pipeline.refill();
        }
        pipeline.send()?;
    }
    Ok(())
}

impl<'a> Pipeline<'a> {
    fn open(share: &'a Share) -> Result<Pipeline<'a>> {
        let socket = connect(share.addr)?;
        socket.set_nonblocking(true)?;
        Ok(Pipeline {
            share,
            socket,
            correlation: 0,
            leaving: VecDeque::new(),
            in_flight: VecDeque::with_capacity(share.window),
            answers: Answers::default(),
        })
    }

    fn refill(&mut self) {
        if self.in_flight.len() >= self.share.window {
            return;
        }
        let now = Instant::now();
        while self.in_flight.len() < self.share.window {
            self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
            let frame = self.correlation as usize % self.share.frames.len();
            let prefix = self.share.frames[frame].prefix(self.correlation);
            self.leaving.push_back(Leaving { prefix, frame, sent: 0 });
            self.in_flight.push_back(now);
        }
    }

    /// Writes as much as the socket takes.
    fn send(&mut self) -> Result<()> {
        while !self.leaving.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut used = 0;
            for leaving in self.leaving.iter().take(SLICES_MAX / 2) {
                let body = self.share.frames[leaving.frame].body();
                for (part, from) in [(&leaving.prefix[..], 0), (body, PREFIX_BYTES)] {
                    slices[used] = IoSlice::new(&part[leaving.sent.saturating_sub(from).min(part.len())..]);
                    used += 1;
                }
            }
            match self.socket.write_vectored(&slices[..used]) {
                Ok(written) => self.left(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn left(&mut self, mut written: usize) {
        while let Some(first) = self.leaving.front_mut() {
            let rest = self.share.frames[first.frame].total_len() - first.sent;
            if written < rest {
                first.sent += written;
                return;
            }
            written -= rest;
            self.leaving.pop_front();
        }
    }

    /// Reads what is there and counts the whole answers in it.
    fn receive(&mut self, tally: &mut Tally) -> Result<()> {
        let Pipeline { share, socket, correlation, in_flight, answers, .. } = self;
        answers.receive(socket, |answer| {
            // The window holds the latest requests, so the oldest one's id follows from its length.
            let expected = correlation.wrapping_sub(in_flight.len() as i32 - 1) & i32::MAX;
            let queued = in_flight.pop_front().ok_or(BenchError::Malformed { what: "answer without a request" })?;
            let batches = check_answer(answer, expected, tally)?;
            tally.requests += 1;
            tally.took(queued.elapsed());
            tally.batches += batches.good;
            tally.bytes += (share.batch_bytes as u64 * batches.good).checked_div(batches.all).unwrap_or(0);
            Ok(())
        })
    }
}

struct Batches {
    good: u64,
    all: u64,
}

fn check_answer(mut answer: &[u8], expected: i32, tally: &mut Tally) -> Result<Batches> {
    use crate::source::Source;
    let got = answer.i32()?;
    if got != expected {
        return Err(BenchError::WrongCorrelation { expected, got });
    }
    let mut batches = Batches { good: 0, all: 0 };
    read_produced(&mut answer, |produced| {
        batches.all += 1;
        if produced.error == 0 {
            batches.good += 1;
        } else {
            tally.error(produced.error);
        }
    })?;
    Ok(batches)
}
