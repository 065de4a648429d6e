//! What a broker costs when little happens: starting, idling, holding many partitions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::batches::{batch_of, wall_clock};
use crate::broker::{BrokerCommand, RunningBroker};
use crate::connection::Connection;
use crate::error::{BenchError, Result};
use crate::frames::{FetchTerms, fetch_frame, produce_frame, read_fetched, read_produced};
use crate::process::{cpu_seconds, resident_bytes};
use crate::random::Random;
use crate::source::Source;
use crate::topics;

/// Partitions of one topic, and of one produce request.
const PER_TOPIC: usize = 1_000;
const PER_REQUEST: usize = 125;
/// How long a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a partition may take to be readable after a start.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// What an idle broker costs.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    /// From its start to its first answer, in milliseconds.
    pub first_answer_ms: f64,
    /// Resident memory after idling, in 2²⁰ bytes.
    pub resident_mib: f64,
    /// CPU while idling, as a share of one core in percent.
    pub cpu_percent: f64,
    /// From SIGTERM to its end, in milliseconds.
    pub stop_ms: f64,
}

/// Starts a broker, lets it idle, stops it.
///
/// # Errors
/// A broker that does not start, answer or stop.
pub fn idle(command: &BrokerCommand, start_timeout: Duration, settle: Duration, length: Duration) -> Result<Idle> {
    let mut broker = command.start(&[])?;
    let first_answer = broker.await_answer(start_timeout)?;
    std::thread::sleep(settle);
    let (before, begun) = (cpu_seconds(broker.pid())?, Instant::now());
    std::thread::sleep(length);
    let cpu = (cpu_seconds(broker.pid())? - before) / begun.elapsed().as_secs_f64();
    let resident = resident_bytes(broker.pid())?;
    let stop = stop(&mut broker)?;
    Ok(Idle {
        first_answer_ms: ms(first_answer),
        resident_mib: mib(resident),
        cpu_percent: cpu * 100.0,
        stop_ms: ms(stop),
    })
}

/// What ended a broker whose start is the hardest: everything written since the last start must be found again.
pub const KILLED: &str = "kill -9 after writing";

/// One start of a broker that holds data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// What ended the broker before.
    pub after: String,
    /// From its start to its first answer, in milliseconds.
    pub first_answer_ms: f64,
    /// From its start to the first fetch that brought its record, in milliseconds.
    pub first_fetch_ms: f64,
    /// From its start until one partition of every topic has been read, in milliseconds.
    pub all_topics_ms: f64,
    /// Resident memory then, in 2²⁰ bytes.
    pub resident_mib: f64,
}

/// What many partitions cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Partitions {
    /// How many.
    pub partitions: usize,
    /// Time to create them, in seconds.
    pub create_seconds: f64,
    /// Time to write to each, in seconds.
    pub write_seconds: f64,
    /// Resident memory then, in 2²⁰ bytes.
    pub resident_mib: f64,
    /// From SIGTERM to the end, in milliseconds.
    pub stop_ms: f64,
    /// Starts afterwards.
    pub starts: Vec<Start>,
}

/// Creates partitions, writes about 1 KiB to each, then restarts the broker cleanly and after kill -9.
///
/// # Errors
/// A broker that does not start, answer, stop, or keep what it acknowledged.
pub fn partitions(
    command: &BrokerCommand,
    count: usize,
    start_timeout: Duration,
    mut tell: impl FnMut(&str),
) -> Result<Partitions> {
    let topics: Vec<(String, usize)> = (0..count.div_ceil(PER_TOPIC))
        .map(|at| (format!("partitions-{at}"), PER_TOPIC.min(count - at * PER_TOPIC)))
        .collect();
    let mut broker = command.start(&[])?;
    broker.await_answer(start_timeout)?;
    let create_seconds = seconds(|| create(command.addr, &topics))?;
    tell(&format!("created {count} partitions in {create_seconds:.1} s"));
    let write_seconds = seconds(|| topics.iter().try_for_each(|(topic, count)| fill(command.addr, topic, *count)))?;
    let resident_mib = mib(resident_bytes(broker.pid())?);
    tell(&format!("wrote to each in {write_seconds:.1} s; {resident_mib:.0} MiB resident"));
    let stop_ms = ms(stop(&mut broker)?);
    tell(&format!("stopped in {:.1} s", stop_ms / 1000.0));
    let mut starts = Vec::new();
    for after in ["a clean stop", "kill -9", KILLED] {
        broker = command.start(&[])?;
        let start = look_after_start(&mut broker, command.addr, &topics, after, start_timeout)?;
        tell(&format!(
            "after {after}: first answer {:.0} ms, first fetch {:.0} ms, every topic {:.0} ms, {:.0} MiB resident",
            start.first_answer_ms, start.first_fetch_ms, start.all_topics_ms, start.resident_mib
        ));
        starts.push(start);
        if after == "kill -9" {
            topics.iter().try_for_each(|(topic, count)| fill(command.addr, topic, *count))?;
        }
        broker.kill()?;
    }
    Ok(Partitions { partitions: count, create_seconds, write_seconds, resident_mib, stop_ms, starts })
}

fn create(addr: SocketAddr, topics: &[(String, usize)]) -> Result<()> {
    let mut control = Connection::open(addr)?;
    for (topic, count) in topics {
        topics::create(&mut control, topic, *count, &[])?;
    }
    Ok(())
}

fn fill(addr: SocketAddr, topic: &str, count: usize) -> Result<()> {
    let batch = batch_of(1 << 10, 1 << 10, wall_clock(), &mut Random::new(1));
    let mut connection = Connection::open(addr)?;
    topics::await_ends(&mut connection, topic, count)?;
    let indexes: Vec<i32> = (0..count as i32).collect();
    for chunk in indexes.chunks(PER_REQUEST) {
        let parts: Vec<(i32, &[u8])> = chunk.iter().map(|index| (*index, &batch[..])).collect();
        let (mut frame, _) = produce_frame(topic, -1, &parts);
        let mut refused = 0;
        read_produced(connection.exchange(&mut frame)?, |produced| {
            if produced.error != 0 {
                refused = produced.error;
            }
        })?;
        if refused != 0 {
            return Err(BenchError::Refused { api: "Produce", code: refused });
        }
    }
    Ok(())
}

fn look_after_start(
    broker: &mut RunningBroker,
    addr: SocketAddr,
    topics: &[(String, usize)],
    after: &str,
    start_timeout: Duration,
) -> Result<Start> {
    let first_answer = broker.await_answer(start_timeout)?;
    let mut connection = Connection::open(addr)?;
    let mut first_fetch = None;
    for (topic, count) in topics {
        await_record(&mut connection, topic, (*count / 2) as i32)?;
        first_fetch.get_or_insert(broker.age());
    }
    let all_topics = broker.age();
    Ok(Start {
        after: after.to_owned(),
        first_answer_ms: ms(first_answer),
        first_fetch_ms: ms(first_fetch.unwrap_or_default()),
        all_topics_ms: ms(all_topics),
        resident_mib: mib(resident_bytes(broker.pid())?),
    })
}

/// Fetches from the start of a partition until its record comes.
fn await_record(connection: &mut Connection, topic: &str, partition: i32) -> Result<()> {
    let terms = FetchTerms {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        partition_max_bytes: 1 << 20,
        session_id: 0,
        session_epoch: -1,
    };
    let (mut frame, _) = fetch_frame(topic, terms, &[(partition, 0)]);
    let deadline = Instant::now() + FETCH_TIMEOUT;
    loop {
        let mut bytes = 0;
        let mut error = 0;
        read_fetched(connection.exchange(&mut frame)?, |fetched, source| {
            bytes = fetched.records_bytes;
            error = fetched.error;
            source.skip(fetched.records_bytes)
        })?;
        if bytes > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(match error {
                0 => BenchError::TimedOut { what: format!("a record of {topic}-{partition}, which was acknowledged") },
                code => BenchError::Refused { api: "Fetch", code },
            });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn stop(broker: &mut RunningBroker) -> Result<Duration> {
    let (status, took) = broker.stop(STOP_TIMEOUT)?;
    // A Java process that ends by SIGTERM says 143.
    if status.success() || status.code() == Some(143) {
        Ok(took)
    } else {
        Err(BenchError::Missing { what: format!("exit status 0 after SIGTERM; it was {status}") })
    }
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
