//! Load from several machines: agents wait for orders, the one who orders shares the schedule out and merges histograms.
//!
//! A message is its length (four bytes, big-endian) and JSON. Each agent gets its part of producers, consumers, partitions and
//! of the schedule, runs the workload on topics of its own, and waits at each stage until all are ready.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::connection::resolve;
use crate::error::{BenchError, During, Result};
use crate::kinds;
use crate::limits::Limits;
use crate::measure::add_counts;
use crate::result::{FORMAT, RunResult, Second, Stage};
use crate::spec::{Spec, check};
use crate::stage::{Control, Moment, Target};
use crate::usage::{Look, Usage};

/// Bytes of an order or a word of the one who orders.
const ORDER_BYTES_MAX: usize = 1 << 20;
/// Bytes of an agent's message: a result with its histograms.
const REPORT_BYTES_MAX: usize = 64 << 20;
/// Agents of one run.
const AGENTS_MAX: usize = 64;
/// How long the other side may be silent. An agent that fills a backlog says nothing meanwhile.
const SILENCE: Duration = Duration::from_secs(900);

/// What an agent is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    format: String,
    workload: Spec,
    label: String,
    bootstrap: String,
    part: (u64, u64),
    seed: u64,
    fail_fast: bool,
    verify_seconds: f64,
}

/// What the one who orders says.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Word {
    Begin(Box<Order>),
    Go,
    Stop,
}

/// What an agent says.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Report {
    Ready { stage: String },
    Second { counts: bool, progress: (f64, f64), second: Second },
    Done(Box<RunResult>),
    Failed { why: String },
}

fn send(socket: &mut TcpStream, message: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(message).map_err(|why| BenchError::Codec { why: why.to_string() })?;
    let length = u32::try_from(text.len()).map_err(|_| BenchError::Malformed { what: "a message too long to send" })?;
    socket.write_all(&length.to_be_bytes())?;
    Ok(socket.write_all(&text)?)
}

fn receive<T: for<'de> Deserialize<'de>>(socket: &mut TcpStream, bytes_max: usize) -> Result<T> {
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        return Err(BenchError::Malformed { what: "a message longer than any of ours" });
    }
    // Memory grows with what really comes.
    let mut text = Vec::new();
    socket.take(length as u64).read_to_end(&mut text)?;
    if text.len() < length {
        return Err(BenchError::Closed);
    }
    serde_json::from_slice(&text)
        .map_err(|why| BenchError::Codec { why: format!("a message of the other side: {why}") })
}

/// Waits for orders, one after the other, until `stop`. The address that it listens on is told first.
///
/// # Errors
/// [`BenchError::Io`] when it cannot listen.
pub fn serve(listen: &str, stop: &Arc<AtomicBool>, mut tell: impl FnMut(&str)) -> Result<()> {
    let listener = TcpListener::bind(listen).during(|| format!("listen on {listen}"))?;
    listener.set_nonblocking(true)?;
    tell(&format!("an agent listens on {}", listener.local_addr()?));
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((socket, from)) => {
                tell(&format!("order from {from}"));
                match obey(socket, stop) {
                    Ok(what) => tell(&format!("done: {what}")),
                    Err(why) => tell(&format!("not done: {why}")),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(50)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// One order.
fn obey(mut socket: TcpStream, stop: &Arc<AtomicBool>) -> Result<String> {
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(SILENCE))?;
    let Word::Begin(order) = receive(&mut socket, ORDER_BYTES_MAX)? else {
        return Err(BenchError::Malformed { what: "a first word that is no order" });
    };
    let outcome = run_order(&order, &socket, stop);
    let report = match &outcome {
        Ok(result) => Report::Done(Box::new(result.clone())),
        Err(why) => Report::Failed { why: why.to_string() },
    };
    send(&mut socket, &report)?;
    outcome.map(|result| result.workload.name)
}

fn run_order(order: &Order, socket: &TcpStream, stop: &Arc<AtomicBool>) -> Result<RunResult> {
    if order.format != FORMAT || order.part.1 == 0 || order.part.0 >= order.part.1 {
        return Err(BenchError::Malformed { what: "an order of another version of this program" });
    }
    check(&order.workload).map_err(|fault| BenchError::BadArgument { why: format!("{}: {}", fault.key, fault.why) })?;
    let target = Target {
        label: order.label.clone(),
        bootstrap: order.bootstrap.clone(),
        addr: resolve(&order.bootstrap)?,
        pid: None,
    };
    let ended = Arc::new(AtomicBool::new(false));
    let (words, heard) = std::sync::mpsc::channel();
    let mut ears = socket.try_clone()?;
    let (flag, own) = (ended.clone(), stop.clone());
    // Ends when the other side closes, says stop, or the order is done and the socket shut down.
    let listener = std::thread::spawn(move || {
        loop {
            match receive::<Word>(&mut ears, ORDER_BYTES_MAX) {
                Ok(Word::Go) => {
                    if words.send(()).is_err() {
                        return;
                    }
                }
                _ => {
                    flag.store(true, Ordering::Relaxed);
                    return;
                }
            }
        }
    });
    let mouth = Mutex::new(socket.try_clone()?);
    let say = |report: &Report| match mouth.lock() {
        Ok(mut mouth) => send(&mut mouth, report),
        Err(_) => Err(BenchError::Closed),
    };
    let heard = Mutex::new(heard);
    let gate = |stage: &str| -> Result<()> {
        say(&Report::Ready { stage: stage.to_owned() })?;
        let heard = heard.lock().map_err(|_| BenchError::Closed)?;
        while !ended.load(Ordering::Relaxed) && !own.load(Ordering::Relaxed) {
            if heard.recv_timeout(Duration::from_millis(100)).is_ok() {
                return Ok(());
            }
        }
        Ok(())
    };
    let live = |moment: &Moment<'_>| {
        // The one who orders may have gone: the run ends by its flag then.
        let _ = say(&Report::Second { counts: moment.counts, progress: moment.progress, second: moment.second });
    };
    let control = Control {
        stop: ended.clone(),
        fail_fast: order.fail_fast,
        part: order.part,
        seed: order.seed + order.part.0,
        verify_seconds: order.verify_seconds,
        live: &live,
        gate: &gate,
    };
    let result = kinds::run(&order.workload, &target, &control, None);
    let _ = socket.shutdown(std::net::Shutdown::Read);
    let _ = listener.join();
    result
}

/// One agent's part of a workload: counts divided, the schedule's rate whole, because agents take turns in it.
pub fn part_of(spec: &Spec, at: u64, of: u64) -> Spec {
    let share = |count: u32| {
        let (count, at, of) = (u64::from(count), at, of);
        (((at + 1) * count / of) - (at * count / of)).max(1) as u32
    };
    let mut part = spec.clone();
    part.topics.partitions = share(spec.topics.partitions);
    part.produce.producers = share(spec.produce.producers);
    part.consume.consumers = share(spec.consume.consumers);
    part.consume.catch_up = if spec.consume.catch_up == 0 { 0 } else { share(spec.consume.catch_up) };
    part.consume.backlog.0 = spec.consume.backlog.0 / of;
    part.produce.churn = spec.produce.churn / of as f64;
    part.steps = spec.steps.iter().map(|step| share(*step)).collect();
    part
}

/// Runs a workload on agents and merges what they found.
///
/// # Errors
/// [`BenchError::BadArgument`] for too many agents, those of the connections, the first failure of an agent.
pub fn run(
    agents: &[String],
    spec: &Spec,
    target: &Target,
    control: &Control<'_>,
    limits: Option<&Limits>,
) -> Result<RunResult> {
    if agents.is_empty() || agents.len() > AGENTS_MAX {
        return Err(BenchError::BadArgument { why: format!("from 1 to {AGENTS_MAX} agents, not {}", agents.len()) });
    }
    let addrs = agents.iter().map(|agent| resolve(agent)).collect::<Result<Vec<_>>>()?;
    let meeting = Together { agents: agents.len() as u64, ..Together::default() };
    let (parts, usages) = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (at, addr) in addrs.iter().enumerate() {
            let order = Order {
                format: FORMAT.to_owned(),
                workload: part_of(spec, at as u64, agents.len() as u64),
                label: target.label.clone(),
                bootstrap: target.bootstrap.clone(),
                part: (at as u64, agents.len() as u64),
                seed: control.seed,
                fail_fast: control.fail_fast,
                verify_seconds: control.verify_seconds,
            };
            let meeting = &meeting;
            threads.push(scope.spawn(move || {
                let outcome = conduct(*addr, order, target, control, meeting);
                if outcome.is_err() {
                    meeting.gone.store(true, Ordering::Relaxed);
                }
                outcome
            }));
        }
        let mut parts = Vec::new();
        let mut usages = Vec::new();
        for thread in threads {
            let joined = thread.join();
            let (part, usage) =
                joined.unwrap_or_else(|_| Err(BenchError::Missing { what: "an agent's thread".to_owned() }))?;
            parts.push(part);
            if !usage.is_empty() {
                usages = usage;
            }
        }
        Ok::<_, BenchError>((parts, usages))
    })?;
    let mut merged = merge(parts)?;
    merged.workload = spec.clone();
    merged.agents = agents.to_vec();
    merged.broker.pid = target.pid;
    merged.limits = limits.cloned();
    for (stage, seen) in merged.stages.iter_mut().zip(usages).filter(|(_, seen)| seen.seconds > 0.0) {
        merged.notes.push(format!("the broker's process was seen for {:.1} of {:.1} s", seen.seconds, stage.seconds));
        let mut usage = seen.usage;
        usage.scale(stage.seconds / seen.seconds.max(1e-3));
        stage.broker = Some(usage);
        stage.price();
    }
    if let Some(limits) = limits {
        merged.stages.iter_mut().for_each(|stage| stage.hold_against(limits));
    }
    Ok(merged)
}

/// What the broker's process used in a part of a stage's window.
struct Seen {
    seconds: f64,
    usage: Usage,
}

/// What the threads that each lead one agent share.
#[derive(Default)]
struct Together {
    agents: u64,
    /// How often an agent was ready for a stage.
    ready: AtomicU64,
    gone: AtomicBool,
    seconds: Mutex<std::collections::BTreeMap<u64, Second>>,
}

/// Leads one agent through its order. The first one's thread looks at the broker in each stage's window.
fn conduct(
    addr: SocketAddr,
    order: Order,
    target: &Target,
    control: &Control<'_>,
    meeting: &Together,
) -> Result<(RunResult, Vec<Seen>)> {
    let mut socket = crate::connection::connect(addr)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let first = order.part.0 == 0;
    let number = order.part.0;
    send(&mut socket, &Word::Begin(Box::new(order)))?;
    let mut eye = target.pid.filter(|_| first).map(|pid| Eye { pid, begun: None, seen: Vec::new() });
    let (mut stopped, mut rounds) = (false, 0);
    loop {
        if (control.stopped() || meeting.gone.load(Ordering::Relaxed)) && !stopped {
            stopped = true;
            send(&mut socket, &Word::Stop)?;
        }
        match await_report(&mut socket)? {
            None => {}
            Some(Report::Ready { .. }) => {
                rounds += 1;
                meeting.await_all(rounds, control);
                send(&mut socket, &Word::Go)?;
                eye.iter_mut().for_each(Eye::open);
            }
            Some(Report::Second { counts, progress, second }) => {
                eye.iter_mut().for_each(|eye| eye.look(counts));
                let sum = meeting.sum(number, second);
                if first {
                    (control.live)(&Moment { stage: "", counts, progress, second: sum });
                }
            }
            Some(Report::Done(result)) => return Ok((*result, eye.map_or_else(Vec::new, |eye| eye.seen))),
            Some(Report::Failed { why }) => return Err(BenchError::Missing { what: format!("agent {addr}: {why}") }),
        }
    }
}

/// Looks at the broker's process from the end of each stage's warm-up to the last second that is told. *Lives on: the first agent's thread.*
struct Eye {
    pid: u32,
    begun: Option<(Instant, Look)>,
    seen: Vec<Seen>,
}

impl Eye {
    /// A stage begins.
    fn open(&mut self) {
        self.begun = Some((Instant::now(), Look::at(self.pid)));
        self.seen.push(Seen { seconds: 0.0, usage: Usage::default() });
    }

    /// A second of it has passed.
    fn look(&mut self, counts: bool) {
        let now = Look::at(self.pid);
        match (&self.begun, self.seen.last_mut()) {
            (Some((begun, look)), Some(seen)) if counts => {
                *seen = Seen { seconds: begun.elapsed().as_secs_f64(), usage: now.since(look) };
            }
            _ => self.begun = Some((Instant::now(), now)),
        }
    }
}

impl Together {
    /// Waits until all agents are ready for this stage, or one of them is gone.
    fn await_all(&self, rounds: u64, control: &Control<'_>) {
        self.ready.fetch_add(1, Ordering::Relaxed);
        while self.ready.load(Ordering::Relaxed) < rounds * self.agents
            && !self.gone.load(Ordering::Relaxed)
            && !control.stopped()
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All agents' latest seconds together.
    fn sum(&self, agent: u64, second: Second) -> Second {
        let Ok(mut seconds) = self.seconds.lock() else { return second };
        seconds.insert(agent, second);
        seconds.values().copied().reduce(together).unwrap_or_default()
    }
}

/// Two machines' same second: throughput added, of latencies the worse one, because percentiles cannot be merged.
fn together(a: Second, b: Second) -> Second {
    Second {
        at: a.at,
        produced_mb: a.produced_mb + b.produced_mb,
        read_mb: a.read_mb + b.read_mb,
        batches: a.batches + b.batches,
        p50_ms: a.p50_ms.max(b.p50_ms),
        p99_ms: a.p99_ms.max(b.p99_ms),
        p999_ms: a.p999_ms.max(b.p999_ms),
        broker_cpus: a.broker_cpus.max(b.broker_cpus),
        client_cpus: a.client_cpus + b.client_cpus,
        errors: a.errors + b.errors,
    }
}

/// The next report, if one begins soon.
fn await_report(socket: &mut TcpStream) -> Result<Option<Report>> {
    let mut first = [0; 1];
    match socket.peek(&mut first) {
        Ok(0) => Err(BenchError::Closed),
        Ok(_) => {
            socket.set_read_timeout(Some(SILENCE))?;
            let report = receive(socket, REPORT_BYTES_MAX);
            socket.set_read_timeout(Some(Duration::from_millis(200)))?;
            report.map(Some)
        }
        // Interrupted: this process was stopped for a while, and goes on.
        Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted].contains(&error.kind()) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// All parts as one: throughput added, histograms merged.
///
/// # Errors
/// [`BenchError::Missing`] for no parts, or parts with different stages.
pub fn merge(parts: Vec<RunResult>) -> Result<RunResult> {
    let mut parts = parts.into_iter();
    let mut whole = parts.next().ok_or_else(|| BenchError::Missing { what: "an agent's result".to_owned() })?;
    for part in parts {
        if part.stages.len() != whole.stages.len() {
            return Err(BenchError::Missing { what: "a stage of one of the agents".to_owned() });
        }
        for (stage, other) in whole.stages.iter_mut().zip(&part.stages) {
            merge_stage(stage, other)?;
        }
        whole.verification.add(&part.verification);
        whole.interrupted |= part.interrupted;
        whole.notes.extend(part.notes);
    }
    Ok(whole)
}

fn merge_stage(stage: &mut Stage, other: &Stage) -> Result<()> {
    stage.produced.add(&other.produced);
    stage.read.add(&other.read);
    stage.seconds = stage.seconds.max(other.seconds);
    stage.client.add(&other.client);
    stage.network_bytes.0 += other.network_bytes.0;
    stage.network_bytes.1 += other.network_bytes.1;
    stage.outages += other.outages;
    stage.away_seconds += other.away_seconds;
    stage.shed += other.shed;
    stage.scale = stage.scale.zip(other.scale).map(|(a, b)| a + b);
    stage.late += other.late;
    stage.late_seconds = stage.late_seconds.max(other.late_seconds);
    add_counts(&mut stage.errors, &other.errors);
    add_counts(&mut stage.postponed, &other.postponed);
    for latency in &other.latency {
        match stage.latency.iter_mut().find(|own| own.what == latency.what) {
            Some(own) => own.add(latency)?,
            None => stage.latency.push(latency.clone()),
        }
    }
    let seconds = stage.timeline.len().max(other.timeline.len());
    let at = |line: &[Second], second: usize| line.get(second).copied();
    stage.timeline = (0..seconds)
        .filter_map(|second| match (at(&stage.timeline, second), at(&other.timeline, second)) {
            (Some(a), Some(b)) => Some(together(a, b)),
            (a, b) => a.or(b),
        })
        .collect();
    Ok(())
}

#[cfg(test)]
mod tests;
