use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::content::Content;
use super::observer::Observer;
use super::reader::{Findings, is_gone, verify};
use super::writer::{Signals, Writer};
use crate::broker::{BrokerCommand, RunningBroker};
use crate::connection::Connection;
use crate::error::{BenchError, Result, error_name};
use crate::random::Random;
use crate::topics;

/// What to do to a broker, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to start it.
    pub broker: BrokerCommand,
    /// More arguments on every second start, such as another number of cores.
    pub alternate: Vec<String>,
    /// Crashes.
    pub rounds: u64,
    /// What everything random follows from.
    pub seed: u64,
    /// Partitions of each round's topic.
    pub partitions: usize,
    /// Producers, a connection each.
    pub writers: u32,
    /// The earliest and the latest moment of a crash after the load's start.
    pub kill_after: (Duration, Duration),
    /// A crash comes at once when so many bytes have been acknowledged, so that reading back stays short.
    pub bytes_max: u64,
    /// One round in so many ends with SIGTERM instead of SIGKILL; 0 for none.
    pub stop_one_in: u64,
    /// One restart in so many is killed too, while it recovers; 0 for none.
    pub kill_recovery_one_in: u64,
    /// How long a start may take.
    pub start_timeout: Duration,
}

/// How one round went.
#[derive(Clone, Debug)]
pub struct Round {
    /// Which.
    pub number: u64,
    /// Its seed.
    pub seed: u64,
    /// How the broker ended.
    pub end: &'static str,
    /// When it was killed, after the load's start.
    pub killed_after: Duration,
    /// Starts that were killed before they were done.
    pub killed_starts: u64,
    /// From the last start to its first answer.
    pub recovery: Duration,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes acknowledged.
    pub bytes: u64,
    /// Records read back.
    pub records: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Batches that idempotent producers sent again after the crash.
    pub resent: u64,
    /// Acknowledged records that are gone.
    pub lost: u64,
    /// Records that are there twice.
    pub doubled: u64,
    /// Everything else that is wrong.
    pub wrong: u64,
    /// The first findings in words.
    pub words: Vec<String>,
    /// Errors that writers were answered with.
    pub errors: BTreeMap<i16, u64>,
}

impl Round {
    /// Whether nothing was wrong.
    pub fn passed(&self) -> bool {
        self.lost + self.doubled + self.wrong == 0
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "round {:>3} {}: {} after {:.2} s, {} killed starts, answered after {:.0} ms; {} batches ({:.1} MB), {} commits acknowledged; \
             {} records read, {} batches resent; {} lost, {} doubled, {} wrong",
            self.number,
            if self.passed() { "passed" } else { "FAILED" },
            self.end,
            self.killed_after.as_secs_f64(),
            self.killed_starts,
            self.recovery.as_secs_f64() * 1000.0,
            self.batches,
            self.bytes as f64 / 1e6,
            self.commits,
            self.records,
            self.resent,
            self.lost,
            self.doubled,
            self.wrong,
        )?;
        for (code, count) in &self.errors {
            write!(f, "; {count} × {code} {}", error_name(*code))?;
        }
        for words in &self.words {
            write!(f, "\n    {words}")?;
        }
        if self.passed() { Ok(()) } else { write!(f, "\n    again: --seed {} --rounds 1", self.seed) }
    }
}

/// How all rounds went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Rounds without a finding.
    pub passed: u64,
    /// Rounds with one.
    pub failed: u64,
}

/// What one round wrote and read along, kept for one more crash.
pub(super) struct Written {
    pub(super) topic: String,
    pub(super) content: Content,
    pub(super) writers: Vec<Writer>,
    pub(super) observer: Observer,
}

/// *Lives on: the main thread.*
struct Rounds<'a> {
    plan: &'a Plan,
    starts: usize,
    previous: Option<Written>,
}

/// Plays the rounds; tells each.
///
/// # Errors
/// A broker that does not start, or ends by itself, or cannot be spoken with.
pub fn run(plan: &Plan, mut tell: impl FnMut(&Round)) -> Result<Summary> {
    let mut rounds = Rounds { plan, starts: 0, previous: None };
    let mut broker = rounds.start()?;
    broker.await_answer(plan.start_timeout)?;
    let mut summary = Summary::default();
    for number in 0..plan.rounds {
        let round = rounds.play(number, &mut broker)?;
        if round.passed() {
            summary.passed += 1;
        } else {
            summary.failed += 1;
        }
        tell(&round);
    }
    Ok(summary)
}

impl Rounds<'_> {
    fn start(&mut self) -> Result<RunningBroker> {
        self.starts += 1;
        let more = if self.starts.is_multiple_of(2) { &self.plan.alternate[..] } else { &[] };
        self.plan.broker.start(more)
    }

    fn play(&mut self, number: u64, broker: &mut RunningBroker) -> Result<Round> {
        let seed = self.plan.seed + number;
        let mut random = Random::new(seed);
        let mut written = self.prepare(seed)?;
        let mut findings = Findings::default();

        let (earliest, latest) = self.plan.kill_after;
        let delay = Duration::from_micros(random.between(earliest.as_micros() as u64, latest.as_micros() as u64));
        let kind = if self.plan.stop_one_in > 0 && random.one_in(self.plan.stop_one_in) { "stopped" } else { "killed" };
        let killed_after = self.load_and_end(&mut written, broker, delay, kind, &mut findings)?;
        let killed_starts = self.restart(broker, &mut random)?;
        let recovery = broker.await_answer(self.plan.start_timeout)?;

        // What was acknowledged, before anything more is written.
        self.check(&mut written, &mut findings)?;
        // Producers go on where they were: what was not answered is sent again.
        let after = Signals::default();
        let stopper = Duration::from_millis(200);
        let ends = self.write(&mut written, &after, |_| std::thread::sleep(stopper));
        for error in ends.into_iter().filter_map(Result::err) {
            findings.wrong(format!("after the restart: {error}"));
        }
        let records = self.check(&mut written, &mut findings)?;
        broker.must_run()?;
        let round = summarise(number, seed, &written, findings);
        let round = Round { end: kind, killed_after, killed_starts, recovery, records, ..round };
        self.retire(written)?;
        Ok(round)
    }

    fn prepare(&self, seed: u64) -> Result<Written> {
        let plan = self.plan;
        let topic = format!("verify-{seed:016x}");
        let mut control = Connection::open(plan.broker.addr)?;
        topics::delete(&mut control, &[&topic])?;
        topics::create(&mut control, &topic, plan.partitions, &[])?;
        let content = Content::new(seed);
        let writer = |number| Writer::new(number, content, &topic, plan.broker.addr, plan.partitions, seed);
        let writers = (0..plan.writers).map(writer).collect();
        let observer = Observer::new(&topic, plan.partitions);
        Ok(Written { topic, content, writers, observer })
    }

    /// Loads the broker, ends it in the midst; when that was.
    fn load_and_end(
        &self,
        written: &mut Written,
        broker: &mut RunningBroker,
        delay: Duration,
        kind: &str,
        findings: &mut Findings,
    ) -> Result<Duration> {
        let begun = Instant::now();
        let mut ended = Ok(());
        let mut killed_after = Duration::ZERO;
        let bytes_max = self.plan.bytes_max;
        let outcomes = self.write(written, &Signals::default(), |signals| {
            while begun.elapsed() < delay && signals.acked_bytes.load(Ordering::Relaxed) < bytes_max {
                std::thread::sleep(Duration::from_millis(1));
            }
            killed_after = begun.elapsed();
            ended = end(broker, kind);
        });
        ended?;
        for error in outcomes.into_iter().filter_map(Result::err).filter(|error| !is_gone(error)) {
            findings.wrong(format!("under load: {error}"));
        }
        Ok(killed_after)
    }

    /// Lets every writer write and the observer read, each on a thread, while `meanwhile` runs; then tells them to stop.
    fn write(&self, written: &mut Written, signals: &Signals, meanwhile: impl FnOnce(&Signals)) -> Vec<Result<()>> {
        let (addr, observer) = (self.plan.broker.addr, &mut written.observer);
        std::thread::scope(|scope| {
            // Its errors are the crash; what it has seen is what counts.
            scope.spawn(|| observer.watch(addr, signals));
            let threads: Vec<_> =
                written.writers.iter_mut().map(|writer| scope.spawn(|| writer.write(signals))).collect();
            meanwhile(signals);
            signals.stop.store(true, Ordering::Relaxed);
            let lost = || BenchError::Missing { what: "a writer thread, which panicked".to_owned() };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(lost()))).collect()
        })
    }

    /// Starts the broker again; some starts are killed on the way. How many.
    fn restart(&mut self, broker: &mut RunningBroker, random: &mut Random) -> Result<u64> {
        let mut killed = 0;
        loop {
            *broker = self.start()?;
            if self.plan.kill_recovery_one_in == 0 || killed == 3 || !random.one_in(self.plan.kill_recovery_one_in) {
                return Ok(killed);
            }
            std::thread::sleep(Duration::from_micros(random.between(0, 60_000)));
            broker.must_run()?;
            broker.kill()?;
            killed += 1;
        }
    }

    /// Reads this round's topic and the one before; how many records this round's has.
    fn check(&mut self, written: &mut Written, findings: &mut Findings) -> Result<u64> {
        let addr = self.plan.broker.addr;
        if let Some(previous) = &self.previous {
            verify(addr, previous, findings)?;
        }
        let records = verify(addr, written, findings)?;
        for written in self.previous.iter_mut().chain([written]) {
            for commits in written.writers.iter_mut().filter_map(|writer| writer.commits.as_mut()) {
                commits.check(addr, &written.topic)?.into_iter().for_each(|words| findings.wrong(words));
                commits.disconnect();
            }
        }
        Ok(records)
    }

    /// Keeps this round's topic for the next crash and drops the one before.
    fn retire(&mut self, written: Written) -> Result<()> {
        if let Some(previous) = self.previous.replace(written) {
            let mut control = Connection::open(self.plan.broker.addr)?;
            topics::delete(&mut control, &[&previous.topic])?;
        }
        Ok(())
    }
}

fn end(broker: &mut RunningBroker, kind: &str) -> Result<()> {
    if kind == "killed" {
        return broker.kill();
    }
    let (status, _) = broker.stop(Duration::from_secs(60))?;
    if status.success() {
        Ok(())
    } else {
        Err(BenchError::Missing { what: format!("exit status 0 after SIGTERM; it was {status}") })
    }
}

fn summarise(number: u64, seed: u64, written: &Written, mut findings: Findings) -> Round {
    let mut round = Round {
        number,
        seed,
        end: "",
        killed_after: Duration::ZERO,
        killed_starts: 0,
        recovery: Duration::ZERO,
        batches: 0,
        bytes: 0,
        records: 0,
        commits: 0,
        resent: 0,
        lost: 0,
        doubled: 0,
        wrong: 0,
        words: Vec::new(),
        errors: BTreeMap::new(),
    };
    for writer in &written.writers {
        round.batches += writer.counts.batches;
        round.bytes += writer.counts.bytes;
        round.resent += writer.counts.resent;
        round.commits += writer.commits.as_ref().map_or(0, |commits| commits.count);
        for (code, count) in &writer.counts.errors {
            *round.errors.entry(*code).or_default() += count;
        }
        writer.offences.iter().for_each(|words| findings.wrong(words.clone()));
    }
    Round { lost: findings.lost, doubled: findings.doubled, wrong: findings.wrong, words: findings.words, ..round }
}
