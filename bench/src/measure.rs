//! The measured window: warm up, count, stop; and what is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::{BenchError, Result};
use crate::process;

/// Where a run is, and when its window was. Read by every load thread at each turn.
#[derive(Debug)]
pub struct Phase {
    origin: Instant,
    began_ns: AtomicU64,
    stopped_ns: AtomicU64,
}

impl Default for Phase {
    fn default() -> Phase {
        Phase { origin: Instant::now(), began_ns: AtomicU64::new(u64::MAX), stopped_ns: AtomicU64::new(u64::MAX) }
    }
}

impl Phase {
    /// Nanoseconds since the phase was made: the clock of one run.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// Whether counting has begun.
    pub fn counts(&self) -> bool {
        self.began_ns.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether no more is to be sent.
    pub fn stopped(&self) -> bool {
        self.stopped_ns.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether something that was due then belongs to the window.
    pub fn covers(&self, due_ns: u64) -> bool {
        (self.began_ns.load(Ordering::Relaxed)..self.stopped_ns.load(Ordering::Relaxed)).contains(&due_ns)
    }

    /// Counting begins.
    pub fn begin(&self) {
        self.began_ns.store(self.now_ns(), Ordering::Relaxed);
    }

    /// The end, if it has not come yet.
    pub fn stop(&self) {
        self.stopped_ns.fetch_min(self.now_ns(), Ordering::Relaxed);
    }
}

/// How long to warm up and to count.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Load that is not counted.
    pub warm: Duration,
    /// Load that is.
    pub counted: Duration,
}

/// CPU and time that one window took.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds by the clock.
    pub seconds: f64,
    /// CPU-seconds of the broker.
    pub broker_cpu: f64,
    /// CPU-seconds of this process.
    pub client_cpu: f64,
    /// Resident memory of the broker at the end, in bytes.
    pub broker_resident: u64,
}

/// Lets the load threads run through the phases and takes the figures at both ends of the window. Ends early, with the
/// phase stopped, when `failed` says that a load thread has given up.
///
/// # Errors
/// Those of reading `/proc`.
pub fn window(phase: &Phase, timing: Timing, pid: u32, failed: impl Fn() -> bool) -> Result<Usage> {
    let outcome = counted_window(phase, timing, pid, failed);
    phase.stop();
    outcome
}

fn counted_window(phase: &Phase, timing: Timing, pid: u32, failed: impl Fn() -> bool) -> Result<Usage> {
    pause(timing.warm, &failed);
    let (broker, client, start) = (process::cpu_seconds(pid)?, process::own_cpu_seconds()?, Instant::now());
    phase.begin();
    pause(timing.counted, &failed);
    phase.stop();
    Ok(Usage {
        seconds: start.elapsed().as_secs_f64(),
        broker_cpu: process::cpu_seconds(pid)? - broker,
        client_cpu: process::own_cpu_seconds()? - client,
        broker_resident: process::resident_bytes(pid)?,
    })
}

fn pause(length: Duration, failed: impl Fn() -> bool) {
    let end = Instant::now() + length;
    while !failed() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

/// What one load thread has seen inside the window; errors also outside it.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests answered.
    pub requests: u64,
    /// Batches acknowledged or read, without error.
    pub batches: u64,
    /// Bytes of those batches.
    pub bytes: u64,
    /// Partitions answered with an error, by Kafka's code.
    pub errors: BTreeMap<i16, u64>,
    /// Latency in microseconds: of a request, or end to end.
    pub latency: Histogram<u64>,
}

/// The longest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 120_000_000;

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never, with these bounds.
    pub fn new() -> Result<Tally> {
        let latency = Histogram::new_with_max(LATENCY_MAX_US, 3)
            .map_err(|why| BenchError::BadArgument { why: format!("histogram: {why}") })?;
        Ok(Tally { requests: 0, batches: 0, bytes: 0, errors: BTreeMap::new(), latency })
    }

    /// Counts one latency.
    pub fn took(&mut self, elapsed: Duration) {
        self.latency.saturating_record(elapsed.as_micros() as u64);
    }

    /// Counts an error code if it is one.
    pub fn error(&mut self, code: i16) {
        if code != 0 {
            *self.errors.entry(code).or_default() += 1;
        }
    }

    /// Takes another thread's figures in.
    ///
    /// # Errors
    /// Never, with equal bounds.
    pub fn add(&mut self, other: &Tally) -> Result<()> {
        self.requests += other.requests;
        self.batches += other.batches;
        self.bytes += other.bytes;
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
        self.latency.add(&other.latency).map_err(|why| BenchError::BadArgument { why: format!("histogram: {why}") })
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are shorter.
    pub p50: f64,
    /// Nine of ten are shorter.
    pub p90: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
    /// 999 of 1,000 are shorter.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Of a histogram in microseconds.
    pub fn of(latency: &Histogram<u64>) -> Quantiles {
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Quantiles { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: latency.max() as f64 / 1000.0 }
    }
}

/// What one run of one workload against one broker has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The workload's name.
    pub workload: String,
    /// The broker's label.
    pub broker: String,
    /// Seconds counted.
    pub seconds: f64,
    /// 10⁶ bytes of batches a second.
    pub mb_per_second: f64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Batches a second.
    pub batches_per_second: f64,
    /// Latencies, in milliseconds.
    pub latency_ms: Quantiles,
    /// CPU-seconds of the broker in the window.
    pub broker_cpu_seconds: f64,
    /// The same for each 10⁹ bytes.
    pub cpu_seconds_per_gb: f64,
    /// The same for each 10⁶ requests.
    pub cpu_seconds_per_million_requests: f64,
    /// The same for each 10⁶ batches.
    pub cpu_seconds_per_million_batches: f64,
    /// CPU-seconds of the client in the window.
    pub client_cpu_seconds: f64,
    /// Resident memory of the broker at the end, in 2²⁰ bytes.
    pub broker_resident_mib: f64,
    /// Answers with an error, by Kafka's code; warm-up included.
    pub errors: BTreeMap<i16, u64>,
    /// Batches sent that never came back to the consumer (end to end only).
    pub missing: u64,
}

impl Outcome {
    /// Derives the figures.
    pub fn of(workload: &str, broker: &str, tally: &Tally, usage: Usage, missing: u64) -> Outcome {
        let rate = |count: u64| count as f64 / usage.seconds;
        let per = |count: f64| if count > 0.0 { usage.broker_cpu / count } else { f64::NAN };
        Outcome {
            workload: workload.to_owned(),
            broker: broker.to_owned(),
            seconds: usage.seconds,
            mb_per_second: rate(tally.bytes) / 1e6,
            requests_per_second: rate(tally.requests),
            batches_per_second: rate(tally.batches),
            latency_ms: Quantiles::of(&tally.latency),
            broker_cpu_seconds: usage.broker_cpu,
            cpu_seconds_per_gb: per(tally.bytes as f64 / 1e9),
            cpu_seconds_per_million_requests: per(tally.requests as f64 / 1e6),
            cpu_seconds_per_million_batches: per(tally.batches as f64 / 1e6),
            client_cpu_seconds: usage.client_cpu,
            broker_resident_mib: usage.broker_resident as f64 / f64::from(1 << 20),
            errors: tally.errors.clone(),
            missing,
        }
    }

    /// Whether every answer was good and nothing got lost.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.missing == 0
    }
}
