//! What a run has shown: the JSON that is written, and what is derived from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{BenchError, During, Result};
use crate::host::Host;
use crate::limits::Limits;
use crate::measure::{Latency, Quantiles, Tally};
use crate::spec::{Headline, Spec};
use crate::usage::Usage;
use crate::verifier::Verdict;

/// Version of the format, the first field of every result.
pub const FORMAT: &str = "ottla-bench/1";
/// Bytes of a result file believed at most.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Throughput.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// 10⁶ bytes of batches a second.
    pub mb_per_second: f64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// Batches a second.
    pub batches_per_second: f64,
    /// Records a second.
    pub records_per_second: f64,
}

impl Flow {
    /// Of what was counted in so many seconds.
    pub fn of(tally: &Tally, seconds: f64) -> Flow {
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        Flow {
            mb_per_second: rate(tally.bytes) / 1e6,
            requests_per_second: rate(tally.requests),
            batches_per_second: rate(tally.batches),
            records_per_second: rate(tally.records),
        }
    }

    /// Together with another machine's.
    pub fn add(&mut self, other: &Flow) {
        self.mb_per_second += other.mb_per_second;
        self.requests_per_second += other.requests_per_second;
        self.batches_per_second += other.batches_per_second;
        self.records_per_second += other.records_per_second;
    }
}

/// What the broker's work cost. `None`: it was not seen, or nothing was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Its CPU-seconds for 10⁹ bytes, written and read together.
    pub cpu_seconds_per_gb: Option<f64>,
    /// For 10⁶ requests.
    pub cpu_seconds_per_million_requests: Option<f64>,
    /// For 10⁶ batches.
    pub cpu_seconds_per_million_batches: Option<f64>,
    /// The client's CPU-seconds for each of the broker's.
    pub client_share: Option<f64>,
    /// Bytes that the broker wrote to the disk for each byte produced.
    pub disk_written_per_byte: Option<f64>,
}

/// How near a run came to what the machine can do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LimitShare {
    /// Percent of it.
    pub percent: f64,
    /// Of what.
    pub of: String,
}

/// One second of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its end, in seconds from the window's begin.
    pub at: f64,
    /// 10⁶ bytes produced in it.
    pub produced_mb: f64,
    /// 10⁶ bytes read.
    pub read_mb: f64,
    /// Batches produced, or read where none are.
    pub batches: f64,
    /// The main latency's median, in milliseconds.
    pub p50_ms: f64,
    /// Its 99th percentile.
    pub p99_ms: f64,
    /// Its 99.9th percentile.
    pub p999_ms: f64,
    /// CPUs that the broker kept busy.
    pub broker_cpus: f64,
    /// CPUs that the client kept busy.
    pub client_cpus: f64,
    /// Errors.
    pub errors: u64,
}

/// One measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// What is special about it.
    pub name: String,
    /// Partitions, connections or members, where stages differ by that.
    #[serde(default)]
    pub scale: Option<u64>,
    /// Seconds counted.
    pub seconds: f64,
    /// Batches a second that were due, in an open loop.
    pub due_batches_per_second: Option<f64>,
    /// What was produced.
    pub produced: Flow,
    /// What was read.
    pub read: Flow,
    /// Latencies, the main one first.
    pub latency: Vec<Latency>,
    /// The broker's process, if it was seen.
    pub broker: Option<Usage>,
    /// This process.
    pub client: Usage,
    /// Bytes to the broker and from it: requests and answers whole, warm-up included.
    pub network_bytes: (u64, u64),
    /// What it cost.
    pub cost: Cost,
    /// Percent of the limit.
    pub limit: Option<LimitShare>,
    /// Partitions answered with an error, by Kafka's code; warm-up included.
    pub errors: BTreeMap<i16, u64>,
    /// Partitions that did not take their first batch at once, before the clock ran, by Kafka's code: they got it again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub postponed: BTreeMap<i16, u64>,
    /// Requests of the load that were answered after the window.
    #[serde(default)]
    pub late: u64,
    /// How long the longest of them took.
    #[serde(default)]
    pub late_seconds: f64,
    /// Connections lost.
    pub outages: u64,
    /// Seconds without a connection, over all of them.
    pub away_seconds: f64,
    /// Requests that were due and never sent.
    pub shed: u64,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// Figures of this kind of workload alone.
    #[serde(default)]
    pub extra: BTreeMap<String, f64>,
}

impl Stage {
    /// Derives what things cost.
    pub fn price(&mut self) {
        let cpu = self.broker.map(|usage| usage.cpu_seconds);
        let flows = [&self.produced, &self.read];
        let done = |pick: fn(&Flow) -> f64| flows.iter().map(|flow| pick(flow)).sum::<f64>() * self.seconds;
        let per = |amount: f64| cpu.filter(|_| amount > 0.0).map(|cpu| cpu / amount);
        // What was produced and read is the same batch: it is counted once where there are producers.
        let batches = if self.produced.batches_per_second > 0.0 {
            self.produced.batches_per_second * self.seconds
        } else {
            self.read.batches_per_second * self.seconds
        };
        let written = self.produced.mb_per_second * 1e6 * self.seconds;
        self.cost = Cost {
            cpu_seconds_per_gb: per(done(|flow| flow.mb_per_second) / 1e3),
            cpu_seconds_per_million_requests: per(done(|flow| flow.requests_per_second) / 1e6),
            cpu_seconds_per_million_batches: per(batches / 1e6),
            client_share: cpu.filter(|cpu| *cpu > 0.0).map(|cpu| self.client.cpu_seconds / cpu),
            disk_written_per_byte: self
                .broker
                .filter(|_| written > 0.0)
                .map(|usage| usage.disk_written_bytes as f64 / written),
        };
    }

    /// Says what share of the limit was reached.
    pub fn hold_against(&mut self, limits: &Limits) {
        let (produced, read) = (self.produced.mb_per_second, self.read.mb_per_second);
        let loopback = ("loopback", produced + read, limits.loopback_mb_per_second);
        let disk = ("disk", produced, limits.disk_mb_per_second);
        let shares = [loopback, disk].into_iter().filter(|(_, _, limit)| *limit > 0.0);
        let nearest =
            shares.map(|(name, rate, limit)| (rate / limit * 100.0, name, limit)).max_by(|a, b| a.0.total_cmp(&b.0));
        self.limit =
            nearest.map(|(percent, name, limit)| LimitShare { percent, of: format!("{name}, {limit:.0} MB/s") });
    }

    /// Whether every answer was good and all was sent.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.outages == 0 && self.shed == 0 && self.nothing().is_none()
    }

    /// Why it has no figures, if nothing was done in its window.
    pub fn nothing(&self) -> Option<String> {
        let done = self.produced.requests_per_second + self.read.requests_per_second;
        if done > 0.0 || self.latency.iter().any(|latency| latency.raw_ms.count > 0) {
            return None;
        }
        Some(match self.late {
            _ if self.seconds < 0.05 => "ended before anything was counted".to_owned(),
            0 => format!("no request was answered in the {:.1} s that count, nor after them", self.seconds),
            late => format!(
                "no request was answered in the {:.1} s that count; {late} were afterwards, the slowest {:.1} s after it had left",
                self.seconds, self.late_seconds
            ),
        })
    }

    /// The main latency as it is shown.
    pub fn shown(&self) -> Quantiles {
        self.latency.first().map(|latency| *latency.shown()).filter(|shown| shown.count > 0).unwrap_or(Quantiles::NONE)
    }

    /// The main flow: what was produced, or read where nothing was.
    pub fn flow(&self) -> &Flow {
        if self.produced.requests_per_second > 0.0 { &self.produced } else { &self.read }
    }

    /// Leaves out what only a single run's report needs.
    pub fn slim(&mut self) {
        self.timeline.clear();
        for latency in &mut self.latency {
            (latency.corrected, latency.raw) = (None, None);
        }
    }
}

/// The broker that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerFacts {
    /// What tables call it.
    pub label: String,
    /// Where it listens.
    pub bootstrap: String,
    /// Its process, if it is on this machine.
    pub pid: Option<u32>,
    /// How it was started.
    pub command: String,
    /// The newest Produce that it knows.
    pub produce_version: i16,
    /// The newest Fetch that it knows.
    pub fetch_version: i16,
    /// Whether it offers transactions.
    #[serde(default)]
    pub transactions: bool,
}

/// One run of one workload against one broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// [`FORMAT`].
    pub format: String,
    /// Version of this program.
    pub version: String,
    /// The broker.
    pub broker: BrokerFacts,
    /// The machine.
    pub host: Host,
    /// What it could do at best.
    pub limits: Option<Limits>,
    /// The workload, with all its settings.
    pub workload: Spec,
    /// Seed of contents.
    pub seed: u64,
    /// Which round of a comparison it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// Load machines.
    pub agents: Vec<String>,
    /// Windows.
    pub stages: Vec<Stage>,
    /// Whether all that was acknowledged came once, in order and whole.
    pub verification: Verdict,
    /// It was ended before its time.
    pub interrupted: bool,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl RunResult {
    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.verification.is_good() && self.stages.iter().all(Stage::is_clean)
    }

    /// The figure that the workload is compared by, what it is, and whether more is better. Of the last stage.
    pub fn headline(&self) -> (f64, &'static str, bool) {
        let stage = self.stages.last().filter(|stage| stage.nothing().is_none());
        let flow = |pick: fn(&Flow) -> f64| stage.map_or(f64::NAN, |stage| pick(stage.flow()));
        match self.workload.headline {
            Headline::Bytes => (flow(|flow| flow.mb_per_second), "MB/s", true),
            Headline::Requests => (flow(|flow| flow.requests_per_second), "req/s", true),
            Headline::Batches => (flow(|flow| flow.batches_per_second), "batches/s", true),
            Headline::Latency => (self.shown().p99, "ms p99", false),
        }
    }

    /// The main latency of the last stage.
    pub fn shown(&self) -> Quantiles {
        self.stages.last().map_or(Quantiles::NONE, Stage::shown)
    }

    /// What the headline cost.
    pub fn headline_cost(&self) -> Option<(f64, &'static str)> {
        let cost = self.stages.last()?.cost;
        match self.workload.headline {
            Headline::Bytes => cost.cpu_seconds_per_gb.map(|it| (it, "CPU-s/GB")),
            Headline::Requests => cost.cpu_seconds_per_million_requests.map(|it| (it, "CPU-s/10⁶ req")),
            Headline::Batches | Headline::Latency => {
                cost.cpu_seconds_per_million_batches.map(|it| (it, "CPU-s/10⁶ batches"))
            }
        }
    }

    /// Reads results from a file: one, or several in a list or a comparison.
    ///
    /// # Errors
    /// [`BenchError::Io`], [`BenchError::Codec`].
    pub fn load(path: &std::path::Path) -> Result<Vec<RunResult>> {
        let size = std::fs::metadata(path).during(|| format!("read {}", path.display()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(BenchError::BadArgument { why: format!("{}: {size} bytes are too many", path.display()) });
        }
        let text = std::fs::read_to_string(path).during(|| format!("read {}", path.display()))?;
        let codec = |why: serde_json::Error| BenchError::Codec { why: format!("{}: {why}", path.display()) };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(codec)?;
        let runs = match value {
            serde_json::Value::Array(runs) => runs,
            serde_json::Value::Object(mut one) if one.contains_key("runs") => match one.remove("runs") {
                Some(serde_json::Value::Array(runs)) => runs,
                _ => Vec::new(),
            },
            one => vec![one],
        };
        let known = |run: serde_json::Value| -> Result<RunResult> {
            if run.get("format").and_then(serde_json::Value::as_str) != Some(FORMAT) {
                let why = format!("{}: is no result of this program (format {FORMAT})", path.display());
                return Err(BenchError::BadArgument { why });
            }
            serde_json::from_value(run).map_err(codec)
        };
        runs.into_iter().map(known).collect()
    }
}
