//! One load thread: all its producers behind one epoll, in an open or a closed loop.
//!
//! Under load it wakes to several answers at once and refills with one vectored write for each connection, so that the client's cost
//! for a request falls as the broker gets busier.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::error::{BenchError, Result, error_name};
use crate::measure::{Phase, Sampler};
use crate::pipeline::{Away, Pipeline};
use crate::prepared::Share;
use crate::random::Random;
use crate::reader::Meeting;
use crate::schedule::Schedule;
use crate::verifier::Ledger;

/// How long answers in flight may take once the load has stopped.
const DRAIN_NS: u64 = 30_000_000_000;
/// The same when somebody is impatient.
const HURRY_NS: u64 = 500_000_000;
/// How long partitions may take to accept a first batch.
const PRIME_NS: u64 = 120_000_000_000;
/// Longest sleep: the end of the phase is looked for that often.
const SLEEP_NS: u64 = 20_000_000;
/// How often the start is looked for.
const AWAIT: Duration = Duration::from_micros(500);
/// Events taken at once.
const EVENTS: usize = 256;

/// What decides when a request leaves.
#[derive(Clone, Debug)]
pub enum Loop {
    /// Open: when it is due, from the meeting's start on.
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

/// What a thread is at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Doing {
    /// Every partition takes a first batch, before the clock runs.
    Priming,
    /// The load.
    Load,
    /// Answers are waited for.
    Draining,
}

/// *Lives on: one load thread. Talks by: the phase, the meeting, the sampler's channel.*
struct Driver<'a> {
    epoll: OwnedFd,
    pipelines: Vec<Pipeline>,
    order: Order,
    turn: Loop,
    doing: Doing,
    phase: &'a Phase,
    meeting: &'a Meeting,
    sampler: Sampler,
    manner: Manner,
    /// Pipelines without a connection.
    down: usize,
    /// Some pipeline sends nothing for a while.
    resting: bool,
    touched: Vec<usize>,
    /// When the next connection is renewed, and which.
    renew: (u64, usize),
}

/// Lets every partition take a first batch, waits for the meeting's start, then runs producers until the phase stops or every partition
/// has got its rounds, and waits for what is in flight.
///
/// # Errors
/// Connections that cannot be opened at first, with `fail_fast` also those lost later; partitions that do not take a first batch. The
/// meeting has failed then.
pub fn drive(
    shares: Vec<Share>,
    turn: Loop,
    phase: &Phase,
    meeting: &Meeting,
    sampler: Sampler,
    manner: Manner,
) -> Result<Done> {
    let again = matches!(turn, Loop::Open(_));
    let opened = shares.into_iter().map(|share| Pipeline::open(share, again)).collect::<Result<Vec<_>>>();
    let driver = opened.and_then(|pipelines| Driver::open(pipelines, turn, phase, meeting, sampler, manner));
    let outcome = driver.and_then(Driver::run);
    if outcome.is_err() {
        meeting.failed.store(true, Ordering::Relaxed);
    }
    outcome
}

impl<'a> Driver<'a> {
    fn open(
        pipelines: Vec<Pipeline>,
        turn: Loop,
        phase: &'a Phase,
        meeting: &'a Meeting,
        sampler: Sampler,
        manner: Manner,
    ) -> Result<Driver<'a>> {
        // The kernel may wake a sleeper 50 µs late unless told otherwise.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        let driver = Driver {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            order: Order::of(&pipelines, manner.seed),
            pipelines,
            turn,
            doing: Doing::Priming,
            phase,
            meeting,
            sampler,
            manner,
            down: 0,
            resting: false,
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

    fn run(mut self) -> Result<Done> {
        self.prime()?;
        self.meeting.primed.fetch_add(1, Ordering::Relaxed);
        self.await_start();
        self.doing = Doing::Load;
        (0..self.pipelines.len()).try_for_each(|at| self.push(at))?;
        while !self.over() && !self.is_done() {
            self.sampler.turn(self.phase)?;
            let wake_ns = self.take_due()?;
            self.trouble()?;
            self.wait(wake_ns)?;
        }
        self.drain()?;
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

    fn over(&self) -> bool {
        self.phase.stopped() || self.meeting.failed.load(Ordering::Relaxed)
    }

    /// A broker that has just made a topic may still elect leaders and make files: figures would tell of that.
    fn prime(&mut self) -> Result<()> {
        let deadline = self.phase.now_ns() + PRIME_NS;
        while !self.over() {
            for at in 0..self.pipelines.len() {
                if !self.pipelines[at].is_primed() {
                    self.push(at)?;
                }
            }
            if self.pipelines.iter().all(|pipeline| pipeline.is_primed() && pipeline.is_idle()) {
                return Ok(());
            }
            let now = self.phase.now_ns();
            if now > deadline {
                return Err(self.not_primed());
            }
            self.trouble()?;
            self.wait(now + SLEEP_NS)?;
        }
        Ok(())
    }

    fn not_primed(&mut self) -> BenchError {
        let lacking = self.pipelines.iter().filter(|pipeline| !pipeline.is_primed()).count();
        let said =
            self.sampler.tally().postponed.iter().map(|(code, count)| format!("{count} × {}", error_name(*code)));
        let said: Vec<String> = said.collect();
        let said = if said.is_empty() { "no answer".to_owned() } else { said.join(", ") };
        let what =
            format!("a first batch taken by each partition; {lacking} producers still wait, the broker said: {said}");
        BenchError::TimedOut { what }
    }

    fn await_start(&mut self) {
        while !self.over() {
            if let Some(start_ns) = self.meeting.start_ns.get() {
                if let Loop::Open(schedule) = &mut self.turn {
                    schedule.begin(*start_ns);
                }
                return;
            }
            std::thread::sleep(AWAIT);
        }
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
            self.push(at)?;
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
        if self.resting {
            self.resume(now)?;
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

    /// Those that have rested send again.
    fn resume(&mut self, now: u64) -> Result<()> {
        self.resting = false;
        for at in 0..self.pipelines.len() {
            if self.pipelines[at].rests(now) {
                self.resting = true;
            } else {
                self.push(at)?;
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
    fn wait(&mut self, wake_ns: u64) -> Result<()> {
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
            let served = self.serve(at, flags);
            self.checked(at, served)?;
        }
        Ok(())
    }

    fn serve(&mut self, at: usize, flags: epoll::EventFlags) -> Result<()> {
        let pipeline = &mut self.pipelines[at];
        if pipeline.socket().is_none() {
            return Ok(());
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ERR) {
            pipeline.receive(self.phase, self.sampler.tally())?;
            self.resting |= pipeline.rests(self.phase.now_ns());
        }
        self.send(at)
    }

    /// Lets leave what may; trouble of the connection is noted.
    fn push(&mut self, at: usize) -> Result<()> {
        let sent = self.send(at);
        self.checked(at, sent)
    }

    fn send(&mut self, at: usize) -> Result<()> {
        let (pipeline, tally) = (&mut self.pipelines[at], self.sampler.tally());
        match (self.doing, &self.turn) {
            (Doing::Priming, _) => pipeline.prime(self.phase, tally),
            (Doing::Draining, Loop::Closed { .. }) => pipeline.refill(self.phase, 0, tally),
            (Doing::Load, Loop::Closed { rounds }) => pipeline.refill(self.phase, *rounds, tally),
            (_, Loop::Open(_)) => pipeline.pump(self.phase, tally),
        }
    }

    /// Waits for what is due or in flight: in an open loop a batch that was due is sent, however late.
    fn drain(&mut self) -> Result<()> {
        self.doing = Doing::Draining;
        let begun = self.phase.now_ns();
        let failed = |meeting: &Meeting| meeting.failed.load(Ordering::Relaxed);
        while !failed(self.meeting) && self.pipelines.iter().any(|pipeline| !pipeline.is_idle()) {
            let now = self.phase.now_ns();
            let hurry = self.meeting.hurry.load(Ordering::Relaxed);
            if now > begun + if hurry { HURRY_NS } else { DRAIN_NS } {
                for pipeline in &mut self.pipelines {
                    pipeline.forget_waiting(self.sampler.tally());
                }
                return Ok(());
            }
            self.trouble()?;
            self.wait(now + SLEEP_NS)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
