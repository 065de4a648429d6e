//! Several brokers, the same workloads, turn by turn: only figures of one run beside each other mean something.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::error::{During, Result};
use crate::host::{Host, load_average};
use crate::measure::{Outcome, Timing};
use crate::report::{self, figure};
use crate::workload::{Headline, TABLE, Target, Workload, run};

/// A comparison to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The brokers; ratios are to the first.
    pub targets: Vec<Target>,
    /// The workloads.
    pub workloads: Vec<Workload>,
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds before, which warm brokers up and are thrown away.
    pub warm_rounds: usize,
    /// Length of each run.
    pub timing: Timing,
    /// Time for the disk to settle before each run.
    pub settle: Duration,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Where.
    pub host: Host,
    /// Seconds of load before each window, and counted.
    pub warm_seconds: f64,
    /// Seconds counted in each run.
    pub seconds: f64,
    /// Every counted run, in order.
    pub runs: Vec<Run>,
    /// Runs that a broker could not carry.
    pub failures: Vec<Failure>,
}

/// A run that was given up, such as an open loop at a rate beyond the broker.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The workload.
    pub workload: String,
    /// The broker.
    pub broker: String,
    /// What happened.
    pub why: String,
}

/// One counted run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Which round.
    pub round: usize,
    /// Load average over one minute when it began.
    pub load_before: f64,
    /// Its figures.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Makes the comparison, telling each run as it ends. A run that a broker cannot carry is noted, and the others go on.
pub fn compare(plan: &Plan, data: &str, mut tell: impl FnMut(&str)) -> Comparison {
    let mut comparison = Comparison {
        host: Host::look(data),
        warm_seconds: plan.timing.warm.as_secs_f64(),
        seconds: plan.timing.counted.as_secs_f64(),
        runs: Vec::new(),
        failures: Vec::new(),
    };
    tell(&report::head());
    for workload in &plan.workloads {
        for round in 0..plan.warm_rounds + plan.rounds {
            for target in in_turn(&plan.targets, round) {
                rustix::fs::sync();
                std::thread::sleep(plan.settle);
                tell(&comparison.add(plan, workload, target, round));
            }
        }
    }
    comparison
}

/// Who goes first changes with the round.
fn in_turn(targets: &[Target], round: usize) -> impl Iterator<Item = &Target> {
    let (late, early) = targets.split_at(round % targets.len().max(1));
    early.iter().chain(late)
}

impl Comparison {
    /// Makes one run and notes it; the line to tell.
    fn add(&mut self, plan: &Plan, workload: &Workload, target: &Target, round: usize) -> String {
        let load_before = load_average();
        let counted = round >= plan.warm_rounds;
        match run(workload, target, plan.timing, round as u64 + 1) {
            Ok(outcome) => {
                let line = format!("{}{}", report::row(&outcome), if counted { "" } else { "  (warm-up)" });
                if counted {
                    self.runs.push(Run { round: round - plan.warm_rounds, load_before, outcome });
                }
                line
            }
            Err(why) => {
                let line = format!("{:<16} {:<14} failed: {why}", workload.name, target.label);
                let (workload, broker) = (workload.name.to_owned(), target.label.clone());
                self.failures.push(Failure { workload, broker, why: why.to_string() });
                line
            }
        }
    }

    /// Writes `NAME.json`, with every run, and `NAME.md`, with medians and ratios; where the latter is.
    ///
    /// # Errors
    /// [`crate::BenchError::Io`].
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(folder).during(|| format!("create {}", folder.display()))?;
        let json = folder.join(format!("{name}.json"));
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|why| crate::BenchError::Codec { why: format!("{}: {why}", json.display()) })?;
        text.push('\n');
        fs::write(&json, text).during(|| format!("write {}", json.display()))?;
        let table = folder.join(format!("{name}.md"));
        fs::write(&table, self.markdown(name)).during(|| format!("write {}", table.display()))?;
        Ok(table)
    }

    fn brokers(&self) -> Vec<&str> {
        let ran = self.runs.iter().map(|run| run.outcome.broker.as_str());
        let mut labels = Vec::new();
        for label in ran.chain(self.failures.iter().map(|failure| failure.broker.as_str())) {
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }

    fn of(&self, workload: &str, broker: &str) -> Vec<&Outcome> {
        let outcomes = self.runs.iter().map(|run| &run.outcome);
        outcomes.filter(|outcome| outcome.workload == workload && outcome.broker == broker).collect()
    }

    /// Medians and ratios as a table.
    pub fn markdown(&self, name: &str) -> String {
        let brokers = self.brokers();
        let mut out = format!("# {name}\n\n{}.\n", self.host.line());
        let _ = writeln!(
            out,
            "Each run {} s after {} s of the same load; medians, lowest–highest run in parentheses; brokers in turn. Every run: `{name}.json`.\n",
            self.seconds, self.warm_seconds
        );
        let _ = writeln!(
            out,
            "| workload | broker | throughput | CPU of the broker | p50 / p99 / p99.9 ms | RSS MiB | CPU: broker, client | errors |"
        );
        out.push_str("|---|---|---|---|---|---|---|---|\n");
        for workload in &TABLE {
            let first = brokers.first().map(|broker| self.of(workload.name, broker)).unwrap_or_default();
            for broker in &brokers {
                let runs = self.of(workload.name, broker);
                if !runs.is_empty() {
                    out.push_str(&markdown_row(workload, broker, &runs, &first));
                }
                let failed = |failure: &&Failure| failure.workload == workload.name && failure.broker == *broker;
                if let Some(failure) = self.failures.iter().find(failed) {
                    let times = self.failures.iter().filter(failed).count();
                    let _ = writeln!(
                        out,
                        "| {} | {broker} | failed {times} × ({}) | | | | | |",
                        workload.name, failure.why
                    );
                }
            }
        }
        out
    }
}

fn markdown_row(workload: &Workload, broker: &str, runs: &[&Outcome], first: &[&Outcome]) -> String {
    let median_of = |pick: fn(&Outcome) -> f64| figure(median(runs, pick));
    let (rate, rate_unit, cost, cost_unit) = picks(workload.headline);
    let ratio = |pick: fn(&Outcome) -> f64| {
        if runs.first().map(|run| &run.broker) == first.first().map(|run| &run.broker) {
            String::new()
        } else {
            format!(", ×{}", figure(median(runs, pick) / median(first, pick)))
        }
    };
    let clean = runs.iter().all(|run| run.is_clean());
    let cores = |pick: fn(&Outcome) -> f64| format!("{:.2}", median(runs, pick));
    format!(
        "| {} | {broker} | {} {rate_unit} ({}{}) | {} {cost_unit}{} | {} / {} / {}{} | {} | {}, {} | {} |\n",
        workload.name,
        median_of(rate),
        range(runs, rate),
        ratio(rate),
        median_of(cost),
        ratio(cost),
        median_of(|run| run.latency_ms.p50),
        median_of(|run| run.latency_ms.p99),
        median_of(|run| run.latency_ms.p999),
        ratio(|run| run.latency_ms.p99).replace(',', "; p99"),
        median_of(|run| run.broker_resident_mib),
        cores(|run| run.broker_cpu_seconds / run.seconds),
        cores(|run| run.client_cpu_seconds / run.seconds),
        if clean { "none" } else { "**yes**" },
    )
}

type Pick = fn(&Outcome) -> f64;

/// Throughput and cost that count for a workload.
fn picks(headline: Headline) -> (Pick, &'static str, Pick, &'static str) {
    match headline {
        Headline::Bytes => (|run| run.mb_per_second, "MB/s", |run| run.cpu_seconds_per_gb, "CPU-s/GB"),
        Headline::Requests => {
            (|run| run.requests_per_second, "req/s", |run| run.cpu_seconds_per_million_requests, "CPU-s/10⁶ req")
        }
        Headline::Batches | Headline::Latency => {
            (|run| run.batches_per_second, "batches/s", |run| run.cpu_seconds_per_million_batches, "CPU-s/10⁶ batches")
        }
    }
}

fn range(runs: &[&Outcome], pick: Pick) -> String {
    let lowest = runs.iter().map(|run| pick(run)).fold(f64::INFINITY, f64::min);
    let highest = runs.iter().map(|run| pick(run)).fold(f64::NEG_INFINITY, f64::max);
    format!("{}–{}", figure(lowest), figure(highest))
}

/// The middle value; the mean of the two in the middle when they are even in number.
pub fn median(runs: &[&Outcome], pick: Pick) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(|run| pick(run)).filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}
