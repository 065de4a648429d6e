//! One measured window: load threads run, figures are taken each second, everything is brought together.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::driver::{self, Done, Loop, Manner};
use crate::error::{BenchError, Result};
use crate::measure::{Latency, Phase, Role, Sample, Sampler, Tally};
use crate::prepared::Share;
use crate::reader::{self, Meeting, Reading};
use crate::result::{Flow, Second, Stage};
use crate::schedule::Schedule;
use crate::topics::{self, Topic};
use crate::usage::{Look, Usage};
use crate::verifier::{Ledger, Sightings};

/// How long readers may take to stand at the tail.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the stage looks around.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often threads are looked for that are to be ready, or to end.
const AWAIT: Duration = Duration::from_millis(1);
/// From when everybody is ready to the first request that is due.
const LEAD_NS: u64 = 2_000_000;

/// A broker under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// What tables call it.
    pub label: String,
    /// Where it listens, as it was said.
    pub bootstrap: String,
    /// The same, resolved.
    pub addr: SocketAddr,
    /// Its process, if it is on this machine.
    pub pid: Option<u32>,
}

/// What is told while a stage runs, once a second.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    /// The stage.
    pub stage: &'a str,
    /// Whether it counts or still warms up.
    pub counts: bool,
    /// Seconds since its begin, and all of them.
    pub progress: (f64, f64),
    /// Figures of the last second; its `at` counts from the window's begin.
    pub second: Second,
}

/// How a run is steered from outside.
pub struct Control<'a> {
    /// Set: end now, with what there is.
    pub stop: Arc<AtomicBool>,
    /// The first lost connection ends the run.
    pub fail_fast: bool,
    /// This machine's number among those that share the load, and how many they are.
    pub part: (u64, u64),
    /// Seed of contents and choices.
    pub seed: u64,
    /// How long reading back after the load may take.
    pub verify_seconds: f64,
    /// Hears each moment.
    pub live: &'a (dyn Fn(&Moment<'_>) + Sync),
    /// Where a stage waits before its load begins, until other machines are ready too.
    pub gate: Gate<'a>,
}

/// A place to wait, told the stage's name.
pub type Gate<'a> = &'a (dyn Fn(&str) -> Result<()> + Sync);

/// No place to wait.
///
/// # Errors
/// Never.
pub fn no_gate(_: &str) -> Result<()> {
    Ok(())
}

impl Control<'_> {
    /// Whether the run is to end.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// A consumer of a stage.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// What it counts as.
    pub role: Role,
    /// Its group: each is judged by itself.
    pub group: usize,
    /// What it reads.
    pub reading: Reading,
}

/// A window to measure.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is special about it.
    pub name: String,
    /// The topics.
    pub topics: &'a [Topic],
    /// What producers send; none: only readers.
    pub shares: Vec<Share>,
    /// Requests a second over all producers and machines; `None`: a closed loop.
    pub requests_per_second: Option<f64>,
    /// Load threads of the producers.
    pub threads: usize,
    /// Connections renewed a second.
    pub churn: f64,
    /// Consumers.
    pub consumers: Vec<Consumer>,
    /// Seconds before the window.
    pub warm_seconds: f64,
    /// Seconds of the window.
    pub seconds: f64,
}

/// What a stage leaves to be judged.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What was sent.
    pub ledgers: Vec<Ledger>,
    /// What was seen: role, group, each pass.
    pub seen: Vec<(Role, usize, Vec<Sightings>)>,
}

/// What all parts of a stage see.
struct Scene<'a> {
    plan: &'a Plan<'a>,
    target: &'a Target,
    control: &'a Control<'a>,
    phase: &'a Phase,
    meeting: &'a Meeting,
}

/// Runs a stage: everybody takes their place, every partition takes a batch, then the clock runs.
///
/// # Errors
/// What ended a load thread.
pub fn run(plan: Plan<'_>, target: &Target, control: &Control<'_>) -> Result<(Stage, Evidence)> {
    let (phase, meeting) = (Phase::default(), Meeting::default());
    let scene = Scene { plan: &plan, target, control, phase: &phase, meeting: &meeting };
    let (out, samples) = channel();
    std::thread::scope(|scope| {
        let crew = Crew { scene: &scene, out };
        let readers = crew.start_readers(scope)?;
        let producers = crew.start_producers(scope)?;
        drop(crew);
        scene.begin(producers.len())?;
        let mut watch = Watch::new(&scene, samples);
        watch.warm_up();
        watch.count();
        phase.stop();
        watch.looked_after();
        scene.await_end(&producers);
        let done = join_producers(producers);
        let ends = done.as_ref().map_or_else(|_| HashMap::new(), |_| ends_of(plan.topics, &plan, target));
        let _ = meeting.ends.set(ends);
        if done.is_err() {
            meeting.failed.store(true, Ordering::Relaxed);
        }
        scene.await_end(&readers);
        let seen = join_readers(readers, &plan);
        let stage = watch.finish(done.as_ref().ok())?;
        Ok((stage, Evidence { ledgers: done?.ledgers, seen: seen? }))
    })
}

impl Scene<'_> {
    fn over(&self) -> bool {
        self.control.stopped() || self.meeting.failed.load(Ordering::Relaxed)
    }

    /// Once every partition has taken a batch, here and on other machines, the load begins.
    fn begin(&self, producers: usize) -> Result<()> {
        while self.meeting.primed.load(Ordering::Relaxed) < producers && !self.over() {
            std::thread::sleep(AWAIT);
        }
        if let Err(error) = (self.control.gate)(&self.plan.name) {
            self.meeting.failed.store(true, Ordering::Relaxed);
            return Err(error);
        }
        // Whoever waits for it looks more often than that.
        let _ = self.meeting.start_ns.set(self.phase.now_ns() + LEAD_NS);
        Ok(())
    }

    /// Until threads have ended by themselves, hurried when the run is to end.
    fn await_end<T>(&self, threads: &[ScopedJoinHandle<'_, T>]) {
        while threads.iter().any(|thread| !thread.is_finished()) {
            if self.control.stopped() {
                self.meeting.hurry.store(true, Ordering::Relaxed);
            }
            std::thread::sleep(AWAIT);
        }
    }
}

/// The threads of a stage, before they run.
struct Crew<'a> {
    scene: &'a Scene<'a>,
    out: Sender<Sample>,
}

type Readers<'scope> = Vec<ScopedJoinHandle<'scope, Result<Vec<Sightings>>>>;
type Producers<'scope> = Vec<ScopedJoinHandle<'scope, Result<Done>>>;

impl<'a> Crew<'a> {
    /// Readers first: they wait at the tail before the first batch leaves.
    fn start_readers<'scope, 'env>(&self, scope: &'scope Scope<'scope, 'env>) -> Result<Readers<'scope>>
    where
        'a: 'scope,
    {
        let scene = self.scene;
        let mut readers = Vec::new();
        for consumer in &scene.plan.consumers {
            let sampler = Sampler::new(consumer.role, self.out.clone())?;
            readers.push(scope.spawn(move || reader::read(&consumer.reading, scene.phase, scene.meeting, sampler)));
        }
        let deadline = Instant::now() + READY_TIMEOUT;
        while scene.meeting.ready.load(Ordering::Relaxed) < readers.len() && !scene.over() {
            if Instant::now() > deadline {
                scene.meeting.failed.store(true, Ordering::Relaxed);
                return Err(BenchError::TimedOut { what: "consumers at their places".to_owned() });
            }
            std::thread::sleep(AWAIT);
        }
        Ok(readers)
    }

    fn start_producers<'scope, 'env>(&self, scope: &'scope Scope<'scope, 'env>) -> Result<Producers<'scope>>
    where
        'a: 'scope,
    {
        let Scene { plan, control, phase, meeting, .. } = *self.scene;
        let threads = plan.threads.clamp(1, plan.shares.len().max(1));
        let mut parts: Vec<Vec<Share>> = (0..threads).map(|_| Vec::new()).collect();
        for (at, share) in plan.shares.iter().enumerate() {
            parts[at % threads].push(share.clone());
        }
        let mut producers = Vec::new();
        let (part, parts_of) = control.part;
        for (at, shares) in parts.into_iter().enumerate().filter(|(_, shares)| !shares.is_empty()) {
            let turn = match plan.requests_per_second {
                Some(rate) => {
                    let (at, of) = (part * threads as u64 + at as u64, parts_of * threads as u64);
                    Loop::Open(Schedule::new(0, rate, at, of))
                }
                None => Loop::Closed { rounds: u64::MAX },
            };
            let manner = Manner {
                fail_fast: control.fail_fast,
                churn: plan.churn / threads as f64,
                seed: control.seed + at as u64,
            };
            let sampler = Sampler::new(Role::Produce, self.out.clone())?;
            producers.push(scope.spawn(move || driver::drive(shares, turn, phase, meeting, sampler, manner)));
        }
        Ok(producers)
    }
}

fn panicked<T>() -> Result<T> {
    Err(BenchError::Missing { what: "a load thread, which panicked".to_owned() })
}

fn join_producers(producers: Producers<'_>) -> Result<Done> {
    let mut all = Done::default();
    let mut trouble = None;
    for producer in producers {
        match producer.join().unwrap_or_else(|_| panicked()) {
            Ok(done) => {
                all.ledgers.extend(done.ledgers);
                all.away.times += done.away.times;
                all.away.ns += done.away.ns;
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    trouble.map_or(Ok(all), Err)
}

fn join_readers(readers: Readers<'_>, plan: &Plan<'_>) -> Result<Vec<(Role, usize, Vec<Sightings>)>> {
    let joined = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| panicked())).collect::<Vec<_>>();
    let with = |(passes, consumer): (Result<Vec<Sightings>>, &Consumer)| Ok((consumer.role, consumer.group, passes?));
    joined.into_iter().zip(&plan.consumers).map(with).collect()
}

/// The end of every partition, if anyone waits for it. Nothing when the broker cannot be asked: readers stop by time then.
fn ends_of(topics: &[Topic], plan: &Plan<'_>, target: &Target) -> HashMap<(usize, i32), i64> {
    let mut ends = HashMap::new();
    if !plan.consumers.iter().any(|consumer| consumer.role == Role::Tail) {
        return ends;
    }
    let Ok(mut control) = Connection::open(target.addr) else { return ends };
    for (at, topic) in topics.iter().enumerate() {
        let found = topics::ends(&mut control, &topic.name, topic.leaders.len()).unwrap_or_default();
        ends.extend(found.into_iter().enumerate().map(|(partition, end)| ((at, partition as i32), end)));
    }
    ends
}

/// When, in seconds from the window's begin; the broker; this process.
type Looks = (f64, Option<Look>, Look);

/// Takes figures while load runs. *Lives on: the thread that runs the stage.*
struct Watch<'a> {
    scene: &'a Scene<'a>,
    samples: Receiver<Sample>,
    begun: Instant,
    /// Tallies by role and second; second 0 is before the window.
    tallies: HashMap<(u8, u64), Tally>,
    looks: Vec<Looks>,
    window: Option<Instant>,
    seconds: f64,
}

impl<'a> Watch<'a> {
    fn new(scene: &'a Scene<'a>, samples: Receiver<Sample>) -> Watch<'a> {
        Watch {
            scene,
            samples,
            begun: Instant::now(),
            tallies: HashMap::new(),
            looks: Vec::new(),
            window: None,
            seconds: 0.0,
        }
    }

    fn pause(&mut self, until: Instant) {
        while !self.scene.over() {
            self.collect();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn collect(&mut self) {
        while let Ok(sample) = self.samples.try_recv() {
            self.take(sample);
        }
    }

    fn take(&mut self, sample: Sample) {
        match self.tallies.entry((sample.role as u8, sample.second)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(sample.tally);
            }
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                // Equal bounds: it cannot fail.
                let _ = entry.get_mut().add(&sample.tally);
            }
        }
    }

    fn look(&mut self) {
        let at = self.window.map_or(0.0, |window| window.elapsed().as_secs_f64());
        self.looks.push((at, self.scene.target.pid.map(Look::at), Look::at(std::process::id())));
    }

    fn warm_up(&mut self) {
        let end = self.begun + Duration::from_secs_f64(self.scene.plan.warm_seconds);
        while Instant::now() < end && !self.scene.over() {
            self.pause(end.min(Instant::now() + Duration::from_secs(1)));
            self.tell(false, Second::default());
        }
    }

    fn count(&mut self) {
        self.look();
        let window = Instant::now();
        self.window = Some(window);
        self.scene.phase.begin();
        let end = window + Duration::from_secs_f64(self.scene.plan.seconds);
        let mut second = 1;
        while Instant::now() < end && !self.scene.over() {
            self.pause(end.min(window + Duration::from_secs(second)));
            self.look();
            if Instant::now() < end {
                self.scene.phase.tick();
            }
            self.tell_second(second.saturating_sub(1));
            second += 1;
        }
        self.seconds = window.elapsed().as_secs_f64();
    }

    /// The window's last look is at its end, before the load drains.
    fn looked_after(&mut self) {
        if self.looks.len() < 2 {
            self.look();
        }
    }

    fn tell_second(&self, second: u64) {
        if second > 0 {
            self.tell(true, self.second(second));
        }
    }

    fn tell(&self, counts: bool, second: Second) {
        let all = self.scene.plan.warm_seconds + self.scene.plan.seconds;
        let progress = (self.begun.elapsed().as_secs_f64().min(all), all);
        (self.scene.control.live)(&Moment { stage: &self.scene.plan.name, counts, progress, second });
    }

    fn of(&self, role: Role, second: u64) -> Option<&Tally> {
        self.tallies.get(&(role as u8, second))
    }

    /// Whose latency is the main one.
    fn main_role(&self) -> Role {
        let has = |role| self.scene.plan.consumers.iter().any(|consumer| consumer.role == role);
        match (has(Role::Tail), self.scene.plan.shares.is_empty()) {
            (true, _) => Role::Tail,
            (false, false) => Role::Produce,
            (false, true) => Role::Old,
        }
    }

    /// One second's figures, from tallies and looks.
    fn second(&self, second: u64) -> Second {
        let bytes = |role| self.of(role, second).map_or(0, |tally| tally.bytes);
        let (from, to) = (self.looks.get(second as usize - 1), self.looks.get(second as usize));
        let length = from.zip(to).map_or(1.0, |(from, to)| (to.0 - from.0).max(1e-3));
        let cpu = |pick: fn(&Looks) -> f64| from.zip(to).map_or(0.0, |(from, to)| (pick(to) - pick(from)) / length);
        let main = self.of(self.main_role(), second);
        let latency = |quantile: f64| {
            main.map_or(0.0, |tally| {
                let histogram = if tally.corrected.is_empty() { &tally.raw } else { &tally.corrected };
                histogram.value_at_quantile(quantile) as f64 / 1e3
            })
        };
        let roles = [Role::Produce, Role::Tail, Role::Old];
        let flow = if self.scene.plan.shares.is_empty() { Role::Old } else { Role::Produce };
        Second {
            at: to.map_or(second as f64, |to| to.0),
            produced_mb: bytes(Role::Produce) as f64 / 1e6 / length,
            read_mb: (bytes(Role::Tail) + bytes(Role::Old)) as f64 / 1e6 / length,
            batches: self.of(flow, second).map_or(0, |tally| tally.batches) as f64 / length,
            p50_ms: latency(0.5),
            p99_ms: latency(0.99),
            p999_ms: latency(0.999),
            broker_cpus: cpu(|look| look.1.map_or(0.0, |look| look.cpu())),
            client_cpus: cpu(|look| look.2.cpu()),
            errors: roles
                .iter()
                .filter_map(|role| self.of(*role, second))
                .map(|it| it.errors.values().sum::<u64>())
                .sum(),
        }
    }

    /// Everything that one role counted.
    fn whole(&self, role: Role) -> Result<Tally> {
        let mut whole = Tally::new()?;
        for ((of, _), tally) in &self.tallies {
            if *of == role as u8 {
                whole.add(tally)?;
            }
        }
        Ok(whole)
    }

    fn finish(mut self, done: Option<&Done>) -> Result<Stage> {
        while let Ok(sample) = self.samples.recv() {
            self.take(sample);
        }
        let seconds = self.seconds;
        let (produced, tail, old) = (self.whole(Role::Produce)?, self.whole(Role::Tail)?, self.whole(Role::Old)?);
        let mut read = tail.clone();
        read.add(&old)?;
        let mut all = produced.clone();
        all.add(&read)?;
        type Whose = fn(&Looks) -> Option<Look>;
        let usage = |pick: Whose| -> Option<Usage> {
            let (first, last) = (self.looks.first()?, self.looks.last()?);
            Some(pick(last)?.since(&pick(first)?))
        };
        let seconds_counted = self.looks.len().saturating_sub(1) as u64;
        let rate = self.scene.plan.requests_per_second;
        let batches_each =
            self.scene.plan.shares.iter().flat_map(|share| &share.groups).map(|group| group.partitions.len());
        let (sum, groups) = batches_each.fold((0, 0usize), |(sum, count), len| (sum + len, count + 1));
        let mut stage = Stage {
            name: self.scene.plan.name.clone(),
            seconds,
            due_batches_per_second: rate.map(|rate| rate * sum as f64 / groups.max(1) as f64),
            produced: Flow::of(&produced, seconds),
            read: Flow::of(&read, seconds),
            latency: self.latencies(&produced, &tail, &old),
            broker: usage(|look| look.1),
            client: usage(|look| Some(look.2)).unwrap_or_default(),
            network_bytes: all.wire,
            errors: all.errors,
            postponed: all.postponed,
            late: all.late.0,
            late_seconds: all.late.1 as f64 / 1e6,
            outages: all.outages,
            away_seconds: done.map_or(0.0, |done| done.away.ns as f64 / 1e9),
            shed: all.shed,
            timeline: (1..=seconds_counted).map(|second| self.second(second)).collect(),
            ..Stage::default()
        };
        stage.price();
        Ok(stage)
    }

    fn latencies(&self, produced: &Tally, tail: &Tally, old: &Tally) -> Vec<Latency> {
        let mut latencies = Vec::new();
        if !tail.corrected.is_empty() {
            latencies.push(Latency::scheduled("end to end, from due to consumed", tail));
        }
        if !produced.raw.is_empty() {
            let what = "produce, to the acknowledgement";
            latencies.push(match self.scene.plan.requests_per_second {
                Some(_) => Latency::scheduled(what, produced),
                None => {
                    let window: usize = self.scene.plan.shares.iter().map(|share| share.in_flight).sum();
                    Latency::closed(what, &produced.raw, self.interval_us(produced.requests, window))
                }
            });
        }
        if !old.raw.is_empty() {
            let window = self.scene.plan.consumers.iter().map(|consumer| consumer.reading.in_flight).sum();
            latencies.push(Latency::closed("fetch of old records", &old.raw, self.interval_us(old.requests, window)));
        }
        latencies
    }

    /// How long a place in the window takes for one request on average.
    fn interval_us(&self, requests: u64, window: usize) -> u64 {
        if requests == 0 { 0 } else { (self.seconds * 1e6 * window as f64 / requests as f64) as u64 }
    }
}
