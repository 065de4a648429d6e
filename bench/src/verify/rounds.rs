use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::content::Content;
use super::ground::{Image, Switch};
use super::observer::Observer;
use super::outcome::{Round, Summary};
use super::reader::{Findings, is_gone, verify};
use super::writer::{Signals, Writer};
use crate::broker::{BrokerCommand, RunningBroker};
use crate::connection::Connection;
use crate::error::{BenchError, Result};
use crate::process::signal;
use crate::random::Random;
use crate::topics;

/// How many partitions a round's topic may have; most rounds have few.
const PARTITIONS: [usize; 8] = [1, 3, 12, 12, 24, 60, 300, 1_000];
/// A start that is ended on the way is ended within this time: recovery is under way then, or has just ended.
const START_CUT_AFTER_MAX: Duration = Duration::from_millis(200);
/// The same for a stop.
const STOP_CUT_AFTER_MAX: Duration = Duration::from_millis(300);
/// How long a broker works on after its power was cut: what it says then must not be believed.
const DOOMED_MAX: Duration = Duration::from_millis(30);
/// Starts that may be ended on the way in one round.
const CUT_STARTS_MAX: u64 = 3;
/// How long a broker that was told to stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long the load goes on after the restart, and after a freeze.
const GO_ON: Duration = Duration::from_millis(200);

/// What to do to a broker, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to start it.
    pub broker: BrokerCommand,
    /// Its data folder.
    pub data: PathBuf,
    /// Rounds.
    pub rounds: u64,
    /// What everything random follows from; a round's own seed is this plus its number.
    pub seed: u64,
    /// The most partitions that a round's topic has.
    pub partitions_max: usize,
    /// Producers, a connection each.
    pub writers: u32,
    /// The earliest and the latest end after the load's start.
    pub end_after: (Duration, Duration),
    /// The end comes at once when so many bytes have been acknowledged, so that reading back stays short.
    pub bytes_max: u64,
    /// One restart in so many is ended too, before it is done; 0 for none.
    pub cut_start_one_in: u64,
    /// The most shards; each start has another number of them.
    pub shards_max: u64,
    /// Rounds in which the broker is frozen (SIGSTOP) under load, and for how long.
    pub freezes: (u64, Duration),
    /// Whether the topics of all rounds stay.
    pub keep: bool,
    /// How long a start may take.
    pub start_timeout: Duration,
}

impl Plan {
    /// Whether this round is one of the freezes, which are spread over all rounds.
    fn freezes_in(&self, number: u64) -> bool {
        let (freezes, _) = self.freezes;
        let every = (self.rounds / freezes.max(1)).max(1);
        number.is_multiple_of(every) && number / every < freezes
    }
}

/// How a round ends where the power cannot be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Killed,
    KilledStopping,
    Stopped,
    Frozen,
}

impl End {
    fn choose(plan: &Plan, number: u64, random: &mut Random) -> End {
        // Drawn in any case: a round must be the same when it is played alone.
        let drawn = random.below(100);
        if plan.freezes_in(number) {
            return End::Frozen;
        }
        match drawn {
            0..75 => End::Killed,
            75..90 => End::KilledStopping,
            _ => End::Stopped,
        }
    }

    fn name(self) -> &'static str {
        match self {
            End::Killed => "killed",
            End::KilledStopping => "killed while stopping",
            End::Stopped => "stopped",
            End::Frozen => "frozen, then killed",
        }
    }
}

/// What one round wrote and read along, kept for one more crash.
pub(super) struct Written {
    pub(super) topic: String,
    pub(super) content: Content,
    pub(super) writers: Vec<Writer>,
    pub(super) observer: Observer,
    /// When the power was cut under it first, if it was.
    pub(super) cut_at: Option<Instant>,
}

/// *Lives on: the main thread.*
struct Rounds<'a> {
    plan: &'a Plan,
    /// Where the data folder is, when its power can be cut.
    image: Option<&'a Image>,
    shards: u64,
    previous: Option<Written>,
}

/// Plays the rounds and tells each; the broker is stopped cleanly at the end.
///
/// # Errors
/// A broker that does not start, or ends by itself, or cannot be spoken with.
pub fn run(plan: &Plan, image: Option<&Image>, mut tell: impl FnMut(&Round)) -> Result<Summary> {
    let mut rounds = Rounds { plan, image, shards: 0, previous: None };
    let mut random = Random::new(plan.seed);
    let mut broker = rounds.start(&mut random)?;
    broker.await_answer(plan.start_timeout)?;
    let mut summary = Summary::default();
    for number in 0..plan.rounds {
        let round = rounds.play(number, &mut broker)?;
        summary.add(&round);
        tell(&round);
    }
    stop(&mut broker)?;
    Ok(summary)
}

/// The test of the test: each round on an empty file system of its own, with a broker that flushes nothing. What each round
/// lost, in words; an empty list says that the test would find nothing.
///
/// # Errors
/// What kept a round from being played; a broker that cannot be started after the cut is a loss.
pub fn control(plan: &Plan, image: &Image, mut tell: impl FnMut(&str)) -> Result<Vec<String>> {
    let mut losses = Vec::new();
    for number in 0..plan.rounds {
        image.renew()?;
        let once = Plan { rounds: 1, seed: plan.seed + number, cut_start_one_in: 0, ..plan.clone() };
        let mut rounds = Rounds { plan: &once, image: Some(image), shards: 0, previous: None };
        let mut broker = rounds.start(&mut Random::new(once.seed))?;
        broker.await_answer(plan.start_timeout)?;
        let loss = match rounds.play(0, &mut broker) {
            Ok(round) if round.lost > 0 => Some(format!("{} acknowledged records lost", round.lost)),
            Ok(round) if !round.passed() => Some(round.words.join("; ")),
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        tell(&format!("round {number:>3} {}: {}", image.kind().name(), loss.as_deref().unwrap_or("nothing lost")));
        losses.extend(loss);
    }
    Ok(losses)
}

impl Rounds<'_> {
    fn start(&mut self, random: &mut Random) -> Result<RunningBroker> {
        self.shards = random.between(1, self.plan.shards_max);
        self.plan.broker.start(&["--set".to_owned(), format!("ottla.shards={}", self.shards)])
    }

    fn play(&mut self, number: u64, broker: &mut RunningBroker) -> Result<Round> {
        let plan = self.plan;
        let seed = plan.seed + number;
        let mut random = Random::new(seed);
        let mut written = self.prepare(seed, &mut random)?;
        let mut findings = Findings::default();

        let (earliest, latest) = plan.end_after;
        let delay = moment(&mut random, earliest, latest);
        let end = End::choose(plan, number, &mut random);
        let shards = self.shards;
        let ended_after = self.load_and_end(&mut written, broker, delay, end, &mut random, &mut findings)?;
        let journal_bytes = folder_bytes(&plan.data.join("journal"));
        let cut_starts = self.restart(broker, &mut random)?;
        let recovery = broker.await_answer(plan.start_timeout)?;

        // What was acknowledged, before anything more is written.
        self.check(&mut written, &mut findings)?;
        // Producers go on where they were: what was not answered is sent again.
        let ends = self.write(&mut written, &Signals::default(), |_| std::thread::sleep(GO_ON));
        for error in ends.into_iter().filter_map(Result::err) {
            findings.wrong(format!("after the restart: {error}"));
        }
        let mut again = Findings::default();
        let records = self.check(&mut written, &mut again)?;
        findings.merge(again);
        broker.must_run()?;
        let round = Round {
            number,
            seed,
            file_system: self.image.map(|image| image.kind().name()),
            end: self.image.map_or(end.name(), |_| "power cut"),
            ended_after,
            cut_starts,
            partitions: written.observer.seen.len(),
            shards: (shards, self.shards),
            recovery,
            journal_bytes,
            records,
            ..summarise(&written, findings)
        };
        self.retire(written)?;
        Ok(round)
    }

    fn prepare(&self, seed: u64, random: &mut Random) -> Result<Written> {
        let plan = self.plan;
        let partitions = PARTITIONS[random.below(PARTITIONS.len() as u64) as usize].min(plan.partitions_max);
        let topic = format!("torture-{seed:016x}");
        let mut control = Connection::open(plan.broker.addr)?;
        topics::delete(&mut control, &[&topic])?;
        topics::create(&mut control, &topic, partitions, &[])?;
        let content = Content::new(seed);
        let writer = |number| Writer::new(number, content, &topic, plan.broker.addr, partitions, seed);
        let writers = (0..plan.writers).map(writer).collect();
        let observer = Observer::new(&topic, partitions);
        Ok(Written { topic, content, writers, observer, cut_at: None })
    }

    /// Loads the broker, ends it in the midst; when that was.
    fn load_and_end(
        &self,
        written: &mut Written,
        broker: &mut RunningBroker,
        delay: Duration,
        end: End,
        random: &mut Random,
        findings: &mut Findings,
    ) -> Result<Duration> {
        let switch = self.image.map(Image::arm).transpose()?;
        let begun = Instant::now();
        let mut ended = Ok(None);
        let mut ended_after = Duration::ZERO;
        let bytes_max = self.plan.bytes_max;
        let outcomes = self.write(written, &Signals::default(), |signals| {
            while begun.elapsed() < delay && signals.acked_bytes.load(Ordering::Relaxed) < bytes_max {
                std::thread::sleep(Duration::from_millis(1));
            }
            ended_after = begun.elapsed();
            ended = match switch {
                Some(switch) => self.cut_power(switch, broker, random).map(Some),
                None => self.end(broker, end, random).map(|()| None),
            };
        });
        written.cut_at = ended?;
        // A broker without a disk may refuse anything.
        let excused = |error: &BenchError| {
            is_gone(error) || (self.image.is_some() && matches!(error, BenchError::Refused { .. }))
        };
        for error in outcomes.into_iter().filter_map(Result::err).filter(|error| !excused(error)) {
            findings.wrong(format!("under load: {error}"));
        }
        Ok(ended_after)
    }

    fn end(&self, broker: &mut RunningBroker, end: End, random: &mut Random) -> Result<()> {
        match end {
            End::Killed => broker.kill(),
            End::Stopped => stop(broker),
            End::KilledStopping => {
                signal(broker.pid(), Signal::TERM)?;
                std::thread::sleep(moment(random, Duration::ZERO, STOP_CUT_AFTER_MAX));
                broker.kill()
            }
            End::Frozen => {
                signal(broker.pid(), Signal::STOP)?;
                std::thread::sleep(self.plan.freezes.1);
                signal(broker.pid(), Signal::CONT)?;
                std::thread::sleep(GO_ON);
                // It must have lived through it.
                broker.must_run()?;
                broker.kill()
            }
        }
    }

    /// Cuts the power, ends what is left of the process, and gives the power back. Gives the moment of the cut.
    fn cut_power(&self, switch: Switch, broker: &mut RunningBroker, random: &mut Random) -> Result<Instant> {
        let cut_at = switch.cut()?;
        std::thread::sleep(moment(random, Duration::ZERO, DOOMED_MAX));
        broker.kill()?;
        self.image.map_or(Ok(()), Image::power_up)?;
        Ok(cut_at)
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

    /// Starts the broker again; some starts are ended on the way. How many.
    fn restart(&mut self, broker: &mut RunningBroker, random: &mut Random) -> Result<u64> {
        let mut cut = 0;
        loop {
            *broker = self.start(random)?;
            if self.plan.cut_start_one_in == 0 || cut == CUT_STARTS_MAX || !random.one_in(self.plan.cut_start_one_in) {
                return Ok(cut);
            }
            std::thread::sleep(moment(random, Duration::ZERO, START_CUT_AFTER_MAX));
            broker.must_run()?;
            match self.image {
                Some(image) => _ = self.cut_power(image.arm()?, broker, random)?,
                None => broker.kill()?,
            }
            cut += 1;
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
        match self.previous.replace(written) {
            Some(previous) if !self.plan.keep => {
                let mut control = Connection::open(self.plan.broker.addr)?;
                topics::delete(&mut control, &[&previous.topic])
            }
            _ => Ok(()),
        }
    }
}

fn moment(random: &mut Random, earliest: Duration, latest: Duration) -> Duration {
    Duration::from_micros(random.between(earliest.as_micros() as u64, latest.as_micros() as u64))
}

fn stop(broker: &mut RunningBroker) -> Result<()> {
    let (status, _) = broker.stop(STOP_LIMIT)?;
    if status.success() {
        Ok(())
    } else {
        Err(BenchError::Missing { what: format!("exit status 0 after SIGTERM; it was {status}") })
    }
}

/// Bytes of all files below a folder, as far as they take space on the disk.
fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn summarise(written: &Written, mut findings: Findings) -> Round {
    let mut round = Round::default();
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
    Round {
        lost: findings.lost,
        lost_unflushed: findings.lost_unflushed,
        answered_late: findings.answered_late,
        doubled: findings.doubled,
        wrong: findings.wrong,
        words: findings.words,
        ..round
    }
}
