//! The kinds of workloads: which topics, which stages, and how their content is judged.

use std::time::Duration;

use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::protocol::StrBytes;

use crate::connection::Connection;
use crate::error::{BenchError, Result};
use crate::host::Host;
use crate::limits::Limits;
use crate::measure::Role;
use crate::prepared;
use crate::random::Random;
use crate::reader::{Path, Reading};
use crate::result::{BrokerFacts, FORMAT, RunResult, Stage};
use crate::spec::{Kind, Spec};
use crate::stage::{self, Consumer, Control, Evidence, Plan, Target};
use crate::topics::{self, Topic, spread};
use crate::verifier::{Ledger, Sightings, Verdict, judge};

// What was produced before is there: filling and reading back.
mod fill;
// Consumers alone.
mod consume;
// Producers with consumers: end to end, mixed, cold reads.
mod flow;
// Connections, partitions: the same in steps.
mod steps;
// Consumer groups.
mod groups;
// Transactions.
mod transactions;

/// Runs a workload on topics of its own, which are deleted afterwards.
///
/// # Errors
/// What stopped it. Kafka's error codes in answers to load are counted in the result instead.
pub fn run(spec: &Spec, target: &Target, control: &Control<'_>, limits: Option<Limits>) -> Result<RunResult> {
    raise_descriptors();
    let facts = facts(target)?;
    let mut run = Run { spec, target, control, prefix: prefix(spec, control), notes: Vec::new(), facts };
    let outcome = run.stages();
    let deleted = run.delete();
    let (mut stages, verification) = outcome?;
    if let Err(why) = deleted {
        run.notes.push(format!("topics {}* could not be deleted: {why}", run.prefix));
    }
    if let Some(limits) = &limits {
        stages.iter_mut().for_each(|stage| stage.hold_against(limits));
    }
    Ok(RunResult {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: run.facts,
        host: Host::look(limits.as_ref().map_or("/", |limits| if limits.disk.is_empty() { "/" } else { &limits.disk })),
        limits,
        workload: spec.clone(),
        seed: control.seed,
        round: None,
        agents: Vec::new(),
        stages,
        verification,
        interrupted: control.stopped(),
        notes: run.notes,
    })
}

/// Names of a run's topics begin with this.
fn prefix(spec: &Spec, control: &Control<'_>) -> String {
    let unique = Random::new(control.seed ^ u64::from(std::process::id()) ^ crate::batches::wall_clock().get() as u64)
        .bits()
        >> 32;
    let name: String = spec.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(80).collect();
    format!("bench-{name}-{unique:08x}-{}", control.part.0)
}

/// As many descriptors as this process may have: each connection is one.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Too few are told by the connection that cannot be opened.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn facts(target: &Target) -> Result<BrokerFacts> {
    let mut connection = Connection::open(target.addr)?;
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("ottla-bench"))
        .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    let answer = connection.call(3, &request)?;
    let newest = |key: i16| answer.api_keys.iter().find(|api| api.api_key == key).map_or(-1, |api| api.max_version);
    let command = target.pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok()).unwrap_or_default();
    let words: Vec<String> =
        command.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    Ok(BrokerFacts {
        label: target.label.clone(),
        bootstrap: target.bootstrap.clone(),
        pid: target.pid,
        // A Java command line names every jar.
        command: words.join(" ").trim().chars().take(400).collect(),
        produce_version: newest(0),
        fetch_version: newest(1),
        transactions: newest(24) >= 0 && newest(26) >= 0,
    })
}

/// Consumers of one stage: each is a thread.
const CONSUMERS_MAX: usize = 1_024;

/// One run under way.
struct Run<'a> {
    spec: &'a Spec,
    target: &'a Target,
    control: &'a Control<'a>,
    prefix: String,
    notes: Vec<String>,
    facts: BrokerFacts,
}

type Outcome = Result<(Vec<Stage>, Verdict)>;

impl Run<'_> {
    fn stages(&mut self) -> Outcome {
        match self.spec.kind {
            Kind::Produce => self.produce(),
            Kind::Consume => self.consume(),
            Kind::EndToEnd => self.end_to_end(),
            Kind::Mixed => self.mixed(),
            Kind::ColdRead => self.cold_read(),
            Kind::Connections => self.connections(),
            Kind::Groups => self.groups(),
            Kind::Transactions => self.transactions(),
            Kind::Partitions => self.partitions(),
        }
    }

    fn topic_name(&self, at: u32) -> String {
        format!("{}-{at}", self.prefix)
    }

    /// Creates the workload's topics.
    fn create(&self) -> Result<Vec<Topic>> {
        (0..self.spec.topics.count).map(|at| self.create_one(at, self.spec.topics.partitions)).collect()
    }

    fn create_one(&self, at: u32, partitions: u32) -> Result<Topic> {
        let mut control = Connection::open(self.target.addr)?;
        // Its files go as soon as it is deleted, so that the disk does not fill.
        let mut settings = vec![("file.delete.delay.ms", "0")];
        let own = self.spec.topics.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        settings.extend(own);
        let replicas = self.spec.topics.replication;
        topics::create_replicated(&mut control, &self.topic_name(at), partitions as usize, replicas, &settings)
    }

    fn delete(&self) -> Result<()> {
        let mut control = Connection::open(self.target.addr)?;
        let most = self.spec.topics.count.max(self.spec.steps.len() as u32);
        let names: Vec<String> = (0..most).map(|at| self.topic_name(at)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.chunks(1_000).try_for_each(|chunk| topics::delete(&mut control, chunk))
    }

    /// A stage of the workload's own length.
    fn plan<'t>(&self, name: &str, topics: &'t [Topic]) -> Plan<'t> {
        Plan {
            name: name.to_owned(),
            topics,
            shares: Vec::new(),
            requests_per_second: self.requests_per_second(),
            threads: self.spec.produce.threads as usize,
            churn: self.spec.produce.churn,
            consumers: Vec::new(),
            warm_seconds: self.spec.warm_seconds,
            seconds: self.spec.seconds,
        }
    }

    fn requests_per_second(&self) -> Option<f64> {
        let each = self.spec.produce.partitions_per_request.min(self.spec.topics.partitions);
        self.spec.shape().batches_per_second.map(|rate| rate / f64::from(each))
    }

    /// Consumers of every topic and group. `path` says from where to where, for a topic and some of its partitions.
    fn consumers(
        &self,
        topics: &[Topic],
        role: Role,
        count: u32,
        path: impl Fn(usize, &[i32]) -> Path,
    ) -> Result<Vec<Consumer>> {
        let groups = if role == Role::Tail { self.spec.consume.groups } else { 1 };
        let most = topics.len() * count as usize * groups as usize;
        if most > CONSUMERS_MAX {
            let why =
                format!("{most} consumers are more than {CONSUMERS_MAX}, each a thread: fewer topics, or --agents");
            return Err(BenchError::BadArgument { why });
        }
        let mut consumers = Vec::new();
        for group in 0..groups as usize {
            for (topic_at, topic) in topics.iter().enumerate() {
                for (addr, partitions) in spread(topic, count as usize) {
                    let path = path(topic_at, &partitions);
                    let reading = self.reading(topic_at, topic, addr, partitions, path);
                    consumers.push(Consumer { role, group, reading });
                }
            }
        }
        Ok(consumers)
    }

    fn reading(
        &self,
        topic_at: usize,
        topic: &Topic,
        addr: std::net::SocketAddr,
        partitions: Vec<i32>,
        path: Path,
    ) -> Reading {
        let consume = &self.spec.consume;
        Reading {
            topic_at,
            topic: topic.name.clone(),
            addr,
            partitions,
            path,
            verify: consume.verify,
            max_wait_ms: consume.max_wait_ms as i32,
            min_bytes: consume.min_bytes.0.min(1 << 30) as i32,
            partition_bytes: consume.partition_bytes.0.min(1 << 30) as i32,
            in_flight: consume.in_flight as usize,
            fail_fast: self.control.fail_fast,
        }
    }

    /// The end of every partition of every topic.
    fn ends(&self, topics: &[Topic]) -> Result<Vec<Vec<i64>>> {
        let mut control = Connection::open(self.target.addr)?;
        topics.iter().map(|topic| topics::await_ends(&mut control, &topic.name, topic.leaders.len())).collect()
    }

    fn produce(&mut self) -> Outcome {
        let topics = self.create()?;
        let plan =
            Plan { shares: prepared::shares(self.spec, &topics, 0, self.control.seed)?, ..self.plan("", &topics) };
        let (stage, evidence) = stage::run(plan, self.target, self.control)?;
        let verdict = self.read_back(&topics, &evidence.ledgers)?;
        Ok((vec![stage], verdict))
    }
}

/// What tail readers saw, each group by itself, against what was sent.
fn judge_tails(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict::default();
    let groups = evidence.seen.iter().filter(|(role, ..)| *role == Role::Tail).map(|(_, group, _)| group + 1).max();
    for group in 0..groups.unwrap_or(0) {
        let own = evidence.seen.iter().filter(|(role, of, _)| *role == Role::Tail && *of == group);
        let seen: Vec<Sightings> = own.flat_map(|(_, _, passes)| passes.iter().cloned()).collect();
        verdict.add(&judge(&evidence.ledgers, &seen, "every batch that tail readers got"));
    }
    verdict
}

/// What readers of old records saw in each pass, against what was put there before.
fn judge_old(evidence: &Evidence, filled: &[Ledger]) -> Verdict {
    let mut verdict = Verdict::default();
    for (_, _, passes) in evidence.seen.iter().filter(|(role, ..)| *role == Role::Old) {
        for pass in passes {
            let mut one = judge_own(filled, pass);
            // Acknowledged once, however often it is read.
            one.acknowledged = 0;
            verdict.add(&one);
        }
    }
    verdict.acknowledged = filled.iter().map(|ledger| ledger.sent * ledger.partitions.len() as u64).sum();
    verdict
}

/// A reader of some partitions is judged by these alone.
fn judge_own(filled: &[Ledger], pass: &Sightings) -> Verdict {
    let seen = |ledger: &&Ledger| {
        ledger.partitions.iter().any(|partition| pass.tracks.contains_key(&(ledger.topic, *partition, ledger.producer)))
    };
    let own: Vec<Ledger> = filled.iter().filter(seen).cloned().collect();
    judge(
        &own,
        std::slice::from_ref(&Sightings { to_the_end: pass.to_the_end, ..pass.clone() }),
        "every batch of each pass",
    )
}

/// Pauses, unless the run is to end.
fn pause(control: &Control<'_>, length: Duration) {
    let end = std::time::Instant::now() + length;
    while !control.stopped() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}
