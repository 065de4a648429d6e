//! The table of workloads, and how each is run against one broker.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_batch::Batch;

use crate::batches::{batch_of, wall_clock};
use crate::connection::Connection;
use crate::end_to_end::{self, Progress};
use crate::error::{BenchError, Result};
use crate::frames::{Frame, produce_frame, read_produced};
use crate::measure::{Outcome, Phase, Tally, Timing, window};
use crate::produce;
use crate::random::Random;
use crate::tail_fetch;
use crate::topics::{self, Topic, spread};

/// How a workload loads a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Closed-loop produce.
    Produce,
    /// Open-loop produce and a consumer at the tail.
    EndToEnd,
    /// Fetches of what was just produced.
    TailFetch,
}

/// Which figure of a workload is compared first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Headline {
    /// Bytes a second, CPU per byte.
    Bytes,
    /// Requests a second, CPU per request.
    Requests,
    /// Batches a second, CPU per batch.
    Batches,
    /// Latency, CPU per batch.
    Latency,
}

/// One workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How it is called on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What it is compared by.
    pub headline: Headline,
    /// Partitions of its one topic.
    pub partitions: usize,
    /// Bytes of a batch, its header included.
    pub batch_bytes: usize,
    /// Bytes of a record's value; a batch holds as many records as fit.
    pub value_bytes: usize,
    /// Connections that carry the load.
    pub connections: usize,
    /// Requests in flight on each.
    pub in_flight: usize,
    /// Partitions, one batch each, in a produce request.
    pub partitions_per_request: usize,
    /// Batches a second (open loop).
    pub rate: u64,
    /// Acks of produce requests.
    pub acks: i16,
}

const BASE: Workload = Workload {
    name: "",
    what: "",
    kind: Kind::Produce,
    headline: Headline::Bytes,
    partitions: 16,
    batch_bytes: 1 << 10,
    value_bytes: 1 << 10,
    connections: 4,
    in_flight: 5,
    partitions_per_request: 1,
    rate: 0,
    acks: -1,
};

/// The workloads by which brokers are compared.
pub const TABLE: [Workload; 7] = [
    Workload {
        name: "produce-1x64k",
        what: "1 partition, 64 KiB batches, 1 connection, 5 in flight",
        partitions: 1,
        batch_bytes: 64 << 10,
        connections: 1,
        ..BASE
    },
    Workload {
        name: "produce-16x64k",
        what: "16 partitions, 64 KiB batches, 4 connections × 5 in flight",
        batch_bytes: 64 << 10,
        ..BASE
    },
    Workload {
        name: "produce-16x1k",
        what: "16 partitions, one 1 KiB batch a request, 4 connections × 5 in flight",
        headline: Headline::Requests,
        ..BASE
    },
    Workload {
        name: "produce-1000x1k",
        what: "1000 partitions × 1 KiB, 8 connections × 125 partitions a request, 5 in flight",
        headline: Headline::Batches,
        partitions: 1000,
        connections: 8,
        partitions_per_request: 125,
        ..BASE
    },
    Workload {
        name: "end-to-end-2k",
        what: "end to end, open loop, 2,000 batches/s of 1 KiB, 16 partitions",
        kind: Kind::EndToEnd,
        headline: Headline::Latency,
        rate: 2_000,
        ..BASE
    },
    Workload {
        name: "end-to-end-10k",
        what: "end to end, open loop, 10,000 batches/s of 1 KiB, 16 partitions",
        kind: Kind::EndToEnd,
        headline: Headline::Latency,
        rate: 10_000,
        ..BASE
    },
    Workload {
        name: "tail-fetch",
        what: "tail fetch, 16 partitions, 4 connections, 1 MiB a partition",
        kind: Kind::TailFetch,
        batch_bytes: 64 << 10,
        in_flight: 1,
        ..BASE
    },
];

/// A broker under load.
#[derive(Clone, Debug)]
pub struct Target {
    /// What tables call it.
    pub label: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// Settings of every topic under load: its files go as soon as it is deleted, so that the disk does not fill.
const TOPIC_SETTINGS: [(&str, &str); 1] = [("file.delete.delay.ms", "0")];

/// Runs a workload on a topic of its own, which is deleted afterwards.
///
/// # Errors
/// The first that stopped the load. Kafka's error codes in answers to load are counted in the outcome instead.
pub fn run(workload: &Workload, target: &Target, timing: Timing, seed: u64) -> Result<Outcome> {
    let shape = [workload.partitions, workload.connections, workload.in_flight, workload.partitions_per_request];
    if shape.contains(&0) || (workload.kind == Kind::EndToEnd && workload.rate == 0) {
        return Err(BenchError::BadArgument {
            why: format!("{}: every count and rate must be at least 1", workload.name),
        });
    }
    let mut control = Connection::open(target.addr)?;
    let name =
        format!("bench-{}-{:08x}", workload.name, Random::new(seed ^ u64::from(std::process::id())).bits() >> 32);
    let topic = topics::create(&mut control, &name, workload.partitions, &TOPIC_SETTINGS)?;
    let outcome = match workload.kind {
        Kind::Produce => run_produce(workload, target, &topic, timing, seed),
        Kind::EndToEnd => run_end_to_end(workload, target, &topic, timing, seed),
        Kind::TailFetch => run_tail_fetch(workload, target, &topic, timing, seed),
    };
    // The load may have outlasted the control connection's idle limit.
    let deleted = Connection::open(target.addr).and_then(|mut control| topics::delete(&mut control, &[&name]));
    outcome.and_then(|outcome| deleted.map(|()| outcome))
}

fn produce_shares(workload: &Workload, topic: &Topic, seed: u64) -> Vec<produce::Share> {
    let mut random = Random::new(seed);
    let now = wall_clock();
    let share = |(addr, partitions): (SocketAddr, Vec<i32>)| {
        let mut batch_bytes = 0;
        let frames = partitions
            .chunks(workload.partitions_per_request)
            .map(|chunk| {
                let batch =
                    |index: &i32| (*index, batch_of(workload.batch_bytes, workload.value_bytes, now, &mut random));
                let batches: Vec<(i32, Vec<u8>)> = chunk.iter().map(batch).collect();
                let parts: Vec<(i32, &[u8])> = batches.iter().map(|(index, batch)| (*index, &batch[..])).collect();
                batch_bytes = parts.iter().map(|(_, batch)| batch.len()).sum();
                produce_frame(&topic.name, workload.acks, &parts).0
            })
            .collect();
        produce::Share { addr, frames, batch_bytes, window: workload.in_flight }
    };
    spread(topic, workload.connections).into_iter().map(share).collect()
}

/// Bytes that every partition gets before the clock runs: more than one index interval of Kafka, whose first index entries
/// cost a page fault each in a memory-mapped file.
const PRIMING_BYTES: usize = 8 << 10;

fn prime(workload: &Workload, shares: &mut [produce::Share]) -> Result<()> {
    for share in shares {
        let mut connection = Connection::open(share.addr)?;
        for _ in 0..PRIMING_BYTES.div_ceil(workload.batch_bytes) {
            for frame in &mut share.frames {
                send_one(&mut connection, frame)?;
            }
        }
    }
    Ok(())
}

fn send_one(connection: &mut Connection, frame: &mut Frame) -> Result<()> {
    let mut error = 0;
    let source = connection.exchange(frame)?;
    read_produced(source, |produced| error = produced.error.max(error))?;
    if error == 0 { Ok(()) } else { Err(BenchError::Refused { api: "Produce", code: error }) }
}

fn run_produce(workload: &Workload, target: &Target, topic: &Topic, timing: Timing, seed: u64) -> Result<Outcome> {
    let mut shares = produce_shares(workload, topic, seed);
    prime(workload, &mut shares)?;
    let (phase, failed) = (Phase::default(), AtomicBool::new(false));
    let (usage, tally) = std::thread::scope(|scope| {
        let load = scope.spawn(|| produce::drive(&shares, &phase, &failed));
        let usage = window(&phase, timing, target.pid, || failed.load(Ordering::Relaxed));
        (usage, joined(load))
    });
    Ok(Outcome::of(workload.name, &target.label, &tally?, usage?, 0))
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(BenchError::Missing { what: "a load thread, which panicked".to_owned() }))
}

fn run_end_to_end(workload: &Workload, target: &Target, topic: &Topic, timing: Timing, seed: u64) -> Result<Outcome> {
    let shares = spread(topic, workload.connections);
    let batch = batch_of(workload.batch_bytes, workload.value_bytes, wall_clock(), &mut Random::new(seed));
    let (phase, progress) = (Phase::default(), Progress::default());
    let guarded = |outcome: Result<Tally>| outcome.inspect_err(|_| progress.failed.store(true, Ordering::Relaxed));
    let (usage, sent, received) = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| guarded(end_to_end::consume(topic, workload.batch_bytes, &phase, &progress)));
        consumer_ready(&progress);
        let producer =
            scope.spawn(|| guarded(end_to_end::produce(topic, &shares, &batch, workload.rate, &phase, &progress)));
        let usage = window(&phase, timing, target.pid, || progress.failed.load(Ordering::Relaxed));
        (usage, joined(producer), joined(consumer))
    });
    let (sent, mut received) = (sent?, received?);
    let missing = sent.batches.saturating_sub(received.batches);
    for (code, count) in &sent.errors {
        *received.errors.entry(*code).or_default() += count;
    }
    received.requests = sent.requests;
    Ok(Outcome::of(workload.name, &target.label, &received, usage?, missing))
}

/// Waits until the consumer has its session, or has failed.
fn consumer_ready(progress: &Progress) {
    while !progress.ready.load(Ordering::Relaxed) && !progress.failed.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn run_tail_fetch(workload: &Workload, target: &Target, topic: &Topic, timing: Timing, seed: u64) -> Result<Outcome> {
    let batch = batch_of(workload.batch_bytes, workload.value_bytes, wall_clock(), &mut Random::new(seed));
    let (view, _) = Batch::parse(&batch).map_err(|_| BenchError::Malformed { what: "own batch" })?;
    let per_fetch = (tail_fetch::PARTITION_BYTES / batch.len()).max(1);
    let batches = per_fetch * tail_fetch::PLACES;
    fill(workload, topic, &batch, batches)?;
    let share = |(addr, partitions): (SocketAddr, Vec<i32>)| tail_fetch::Share {
        addr,
        frames: tail_fetch::frames(&topic.name, &partitions, batches, per_fetch, view.record_count() as usize),
        window: workload.in_flight,
        batch_bytes: batch.len(),
    };
    let shares: Vec<_> = spread(topic, workload.connections).into_iter().map(share).collect();
    let (phase, failed) = (Phase::default(), AtomicBool::new(false));
    let (usage, tallies) = std::thread::scope(|scope| {
        let (phase, failed) = (&phase, &failed);
        let spawn = |share| scope.spawn(move || tail_fetch::drive(share, phase, failed));
        let loads: Vec<_> = shares.iter().map(spawn).collect();
        let usage = window(phase, timing, target.pid, || failed.load(Ordering::Relaxed));
        (usage, loads.into_iter().map(joined).collect::<Result<Vec<_>>>())
    });
    let mut tally = Tally::new()?;
    for part in tallies? {
        tally.add(&part)?;
    }
    Ok(Outcome::of(workload.name, &target.label, &tally, usage?, 0))
}

/// Produces `batches` copies of a batch to each partition.
fn fill(workload: &Workload, topic: &Topic, batch: &[u8], batches: usize) -> Result<()> {
    for (addr, partitions) in spread(topic, workload.connections) {
        let mut connection = Connection::open(addr)?;
        for index in partitions {
            let (mut frame, _) = produce_frame(&topic.name, -1, &[(index, batch)]);
            for _ in 0..batches {
                send_one(&mut connection, &mut frame)?;
            }
        }
    }
    Ok(())
}
