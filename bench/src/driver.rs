//! One load thread: all its producers behind one epoll, in an open or a closed loop.
//!
//! Under load it wakes to several answers at once and refills with one vectored write for each connection, so that the client's cost
//! for a request falls as the broker gets busier.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::error::{BenchError, Result};
use crate::measure::{Phase, Sampler};
use crate::pipeline::{Away, Pipeline};
use crate::prepared::Share;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::verifier::Ledger;

/// How long answers in flight may take once the load has stopped.
const DRAIN_NS: u64 = 30_000_000_000;
/// Longest sleep: the end of the phase is looked for that often.
const SLEEP_NS: u64 = 20_000_000;
/// Events taken at once.
const EVENTS: usize = 256;

/// What decides when a request leaves.
#[derive(Clone, Debug)]
pub enum Loop {
    /// Open: when it is due.
    Open(Schedule),
    /// Closed: when an answer makes room, so many to each partition at most.
    Closed {
        /// Requests to each partition.
        rounds: u64,
    },
}

/// How a thread treats trouble, and what it does beside.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The first lost connection ends the run.
    pub fail_fast: bool,
    /// Connections renewed each second.
    pub churn: f64,
    /// Seed of choices by weight.
    pub seed: u64,
}

/// What a thread has done.
#[derive(Debug, Default)]
pub struct Done {
    /// What was sent.
    pub ledgers: Vec<Ledger>,
    /// Time without connections, over all of them.
    pub away: Away,
}

/// Which producer and which of its groups is next.
#[derive(Debug)]
enum Order {
    Turns { groups: Vec<(u32, u32)>, next: usize },
    Weights { sums: Vec<f64>, groups: Vec<(u32, u32)>, random: Random },
}

impl Order {
    fn of(pipelines: &[Pipeline], seed: u64) -> Order {
        let mut ranked = Vec::new();
        for (at, pipeline) in pipelines.iter().enumerate() {
            ranked.extend(pipeline.weights().enumerate().map(|(group, weight)| (group as u32, at as u32, weight)));
        }
        // One producer after the other, so that each gets its requests evenly.
        ranked.sort_by_key(|(group, at, _)| (*group, *at));
        let groups = ranked.iter().map(|(group, at, _)| (*at, *group)).collect();
        if ranked.iter().all(|(_, _, weight)| (weight - 1.0).abs() < f64::EPSILON) {
            return Order::Turns { groups, next: 0 };
        }
        let mut sum = 0.0;
        let sums = ranked.iter().map(|(_, _, weight)| {
            sum += weight;
            sum
        });
        Order::Weights { sums: sums.collect(), groups, random: Random::new(seed) }
    }

    fn next(&mut self) -> (u32, u32) {
        match self {
            Order::Turns { groups, next } => {
                let at = *next;
                *next = (at + 1) % groups.len();
                groups[at]
            }
            Order::Weights { sums, groups, random } => {
                let whole = sums.last().copied().unwrap_or(0.0);
                let at = random.below(1 << 53) as f64 / (1u64 << 53) as f64 * whole;
                groups[sums.partition_point(|sum| *sum <= at).min(groups.len() - 1)]
            }
        }
    }
}

/// *Lives on: one load thread. Talks by: the phase, the sampler's channel.*
struct Driver<'a> {
    epoll: OwnedFd,
    pipelines: Vec<Pipeline>,
    order: Order,
    turn: Loop,
    phase: &'a Phase,
    sampler: Sampler,
    manner: Manner,
    down: usize,
    touched: Vec<usize>,
    /// When the next connection is renewed, and which.
    renew: (u64, usize),
}

/// Runs producers until the phase stops or every partition has got its rounds, then waits for what is in flight.
///
/// # Errors
/// Connections that cannot be opened at first; with `fail_fast` also those lost later. `failed` is set then.
pub fn drive(
    shares: Vec<Share>,
    turn: Loop,
    phase: &Phase,
    sampler: Sampler,
    manner: Manner,
    failed: &AtomicBool,
) -> Result<Done> {
    let outcome = Driver::open(shares, turn, phase, sampler, manner).and_then(|driver| driver.run(failed));
    if outcome.is_err() {
        failed.store(true, Ordering::Relaxed);
    }
    outcome
}

impl<'a> Driver<'a> {
    fn open(shares: Vec<Share>, turn: Loop, phase: &'a Phase, sampler: Sampler, manner: Manner) -> Result<Driver<'a>> {
        // The kernel may wake a sleeper 50 µs late unless told otherwise.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let pipelines = shares.into_iter().map(Pipeline::open).collect::<Result<Vec<_>>>()?;
        let driver = Driver {
            order: Order::of(&pipelines, manner.seed),
            epoll,
            pipelines,
            turn,
            phase,
            sampler,
            manner,
            down: 0,
            touched: Vec::new(),
            renew: (0, 0),
        };
        (0..driver.pipelines.len()).try_for_each(|at| driver.watch(at))?;
        Ok(driver)
    }

    fn watch(&self, at: usize) -> Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if let Some(socket) = self.pipelines[at].socket() {
            epoll::add(&self.epoll, socket, epoll::EventData::new_u64(at as u64), flags)?;
        }
        Ok(())
    }

    fn run(mut self, failed: &AtomicBool) -> Result<Done> {
        while !self.phase.stopped() && !failed.load(Ordering::Relaxed) && !self.is_done() {
            self.sampler.turn(self.phase)?;
            let wake_ns = self.take_due()?;
            self.trouble()?;
            self.wait(wake_ns, true)?;
        }
        self.drain(failed)?;
        self.sampler.turn(self.phase)?;
        self.sampler.hand_over()?;
        let now = self.phase.now_ns();
        let mut done = Done::default();
        for pipeline in self.pipelines {
            let (ledgers, away) = pipeline.finish(now);
            done.ledgers.extend(ledgers);
            done.away.times += away.times;
            done.away.ns += away.ns;
        }
        Ok(done)
    }

    fn is_done(&self) -> bool {
        match self.turn {
            Loop::Open(_) => false,
            Loop::Closed { rounds } => self.pipelines.iter().all(|it| it.rounds() >= rounds && it.is_idle()),
        }
    }

    /// Lets leave what is due now; until when there is nothing to do.
    fn take_due(&mut self) -> Result<u64> {
        let now = self.phase.now_ns();
        let Loop::Open(schedule) = &mut self.turn else { return Ok(now + SLEEP_NS) };
        self.touched.clear();
        while schedule.due_ns() <= now {
            let (at, group) = self.order.next();
            self.pipelines[at as usize].due(schedule.due_ns(), group, self.sampler.tally());
            self.touched.push(at as usize);
            schedule.advance();
        }
        let wake_ns = schedule.due_ns();
        for at in std::mem::take(&mut self.touched) {
            let sent = self.pipelines[at].pump(self.phase, self.sampler.tally());
            self.checked(at, sent)?;
        }
        Ok(wake_ns)
    }

    /// A lost connection is noted and opened again later, unless the first one is to end the run.
    fn checked(&mut self, at: usize, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(BenchError::Closed | BenchError::Io { .. }) if !self.manner.fail_fast => {
                self.pipelines[at].lose(self.phase.now_ns(), self.sampler.tally());
                self.down += 1;
                Ok(())
            }
            other => other,
        }
    }

    /// Opens lost connections again, closes stuck ones, renews some where that is wanted.
    fn trouble(&mut self) -> Result<()> {
        let now = self.phase.now_ns();
        if self.renew.0 <= now {
            self.renew.0 = now + if self.manner.churn > 0.0 { (1e9 / self.manner.churn) as u64 } else { 1_000_000_000 };
            for at in 0..self.pipelines.len() {
                if self.pipelines[at].is_stuck(now) {
                    self.checked(at, Err(BenchError::Closed))?;
                }
            }
            if self.manner.churn > 0.0 {
                self.renew_one()?;
            }
        }
        if self.down == 0 {
            return Ok(());
        }
        for at in 0..self.pipelines.len() {
            if self.pipelines[at].socket().is_none() && self.pipelines[at].reopen(now) {
                self.down -= 1;
                self.watch(at)?;
            }
        }
        Ok(())
    }

    fn renew_one(&mut self) -> Result<()> {
        let at = self.renew.1 % self.pipelines.len();
        self.renew.1 = at + 1;
        match self.pipelines[at].renew() {
            Ok(true) => self.watch(at),
            Ok(false) => Ok(()),
            Err(error) => self.checked(at, Err(error)),
        }
    }

    /// Sleeps until something comes or the time, and serves what came.
    fn wait(&mut self, wake_ns: u64, refill: bool) -> Result<()> {
        let sleep = Duration::from_nanos(wake_ns.saturating_sub(self.phase.now_ns()).min(SLEEP_NS));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(sleep.subsec_nanos()) };
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; EVENTS];
        let ready = match epoll::wait(&self.epoll, &mut events[..], Some(&timeout)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        for event in &events[..ready] {
            let (flags, data) = (event.flags, event.data);
            let at = data.u64() as usize;
            let served = self.serve(at, flags, refill);
            self.checked(at, served)?;
        }
        Ok(())
    }

    fn serve(&mut self, at: usize, flags: epoll::EventFlags, refill: bool) -> Result<()> {
        let pipeline = &mut self.pipelines[at];
        if pipeline.socket().is_none() {
            return Ok(());
        }
        let tally = self.sampler.tally();
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ERR) {
            pipeline.receive(self.phase, tally)?;
        }
        match self.turn {
            Loop::Closed { rounds } => pipeline.refill(self.phase, if refill { rounds } else { 0 }, tally),
            Loop::Open(_) => pipeline.pump(self.phase, tally),
        }
    }

    /// Waits for what is due or in flight: in an open loop a batch that was due is sent, however late.
    fn drain(&mut self, failed: &AtomicBool) -> Result<()> {
        let deadline = self.phase.now_ns() + DRAIN_NS;
        while !failed.load(Ordering::Relaxed) && self.pipelines.iter().any(|pipeline| !pipeline.is_idle()) {
            let now = self.phase.now_ns();
            if now > deadline {
                for pipeline in &mut self.pipelines {
                    pipeline.forget_waiting(self.sampler.tally());
                }
                return Ok(());
            }
            self.trouble()?;
            self.wait(now + SLEEP_NS, false)?;
        }
        Ok(())
    }
}
