//! What Ottla, durable, must reach beside Apache Kafka that does not flush: each goal with what was found.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::comparison::Comparison;
use crate::exercise::{self, Partitions};
use crate::noise::median;
use crate::result::{RunResult, Stage};
use crate::spec::FLUSHED;
use crate::tell::figure;

/// One goal, and whether it is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The workload that shows it.
    pub workload: String,
    /// What is wanted.
    pub wanted: String,
    /// What was found; why nothing was, where it was not measurable.
    pub found: String,
    /// Whether it is reached.
    pub said: Reached,
}

/// Whether a goal is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reached {
    /// It is.
    Reached,
    /// It is not.
    Missed,
    /// It cannot be told from these runs.
    NotMeasurable,
}

impl Reached {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Reached::Reached => "reached",
            Reached::Missed => "missed",
            Reached::NotMeasurable => "not measurable",
        }
    }
}

/// Whether it is reached, with what was found; or why nothing was.
type Found = Result<(bool, String), String>;

/// A figure of a run.
type Pick = fn(&RunResult) -> Option<f64>;

/// Cost may grow by this much where it should be linear: a straight line, and noise.
const LINEAR: f64 = 1.5;

/// The workload that shows a goal, what is wanted, what was found.
type Row = (&'static str, &'static str, Found);

const PER_GB: &str = "CPU-s/GB";
const PER_MILLION: &str = "CPU-s per million";

/// Holds a comparison against every goal, in the order of the table.
pub fn judge(comparison: &Comparison) -> Vec<Goal> {
    let case = Case { comparison };
    let rows = [produce(&case), read(&case), grow(&case)].into_iter().flatten();
    let goal = |(workload, wanted, found): Row| {
        let (said, found) = match found {
            Ok((true, found)) => (Reached::Reached, found),
            Ok((false, found)) => (Reached::Missed, found),
            Err(why) => (Reached::NotMeasurable, why),
        };
        Goal { workload: workload.to_owned(), wanted: wanted.to_owned(), found, said }
    };
    rows.map(goal).collect()
}

fn produce(case: &Case<'_>) -> Vec<Row> {
    let mb: Pick = |run| Some(last(run)?.flow().mb_per_second);
    let batch_rate: Pick = |run| Some(last(run)?.flow().batches_per_second);
    let request_rate: Pick = |run| Some(last(run)?.flow().requests_per_second);
    let batches: Pick = |run| last(run)?.cost.cpu_seconds_per_million_batches;
    let requests: Pick = |run| last(run)?.cost.cpu_seconds_per_million_requests;
    vec![
        ("produce-1x64k", "at most 0.5 CPU-s/GB", case.at_most("produce-1x64k", 0.5, PER_GB, gb)),
        ("produce-1x64k", "at least 2.5 × Kafka's throughput", case.times("produce-1x64k", 2.5, "MB/s", mb)),
        ("produce-16x64k", "at most 0.4 CPU-s/GB", case.at_most("produce-16x64k", 0.4, PER_GB, gb)),
        ("produce-16x64k", "at least 1.8 × Kafka's throughput", case.times("produce-16x64k", 1.8, "MB/s", mb)),
        (
            "produce-16x64k",
            "at least 80 % of disk or loopback, after the client's CPU",
            case.of_limit("produce-16x64k", 80.0),
        ),
        ("produce-16x1k", "at least 8 × Kafka's requests", case.times("produce-16x1k", 8.0, "req/s", request_rate)),
        (
            "produce-16x1k",
            "at most 8 CPU-s per million requests",
            case.at_most("produce-16x1k", 8.0, PER_MILLION, requests),
        ),
        (
            "produce-1000x1k",
            "at least 5 × Kafka not flushing",
            case.times("produce-1000x1k", 5.0, "batches/s", batch_rate),
        ),
        (
            "produce-1000x1k",
            "at least 150 × Kafka flushing",
            case.times_other("produce-1000x1k", FLUSHED, 150.0, "batches/s", batch_rate),
        ),
        (
            "produce-1000x1k",
            "at most 1.5 CPU-s per million batches",
            case.at_most("produce-1000x1k", 1.5, PER_MILLION, batches),
        ),
    ]
}

fn read(case: &Case<'_>) -> Vec<Row> {
    let p99: Pick = |run| Some(run.shown().p99);
    let p999: Pick = |run| Some(run.shown().p999);
    vec![
        ("end-to-end-2k", "p99 at most 0.5 ms", case.at_most("end-to-end-2k", 0.5, "ms", p99)),
        ("end-to-end-2k", "p99.9 at most 2 ms", case.at_most("end-to-end-2k", 2.0, "ms", p999)),
        ("end-to-end-10k", "p99 at most 2 ms", case.at_most("end-to-end-10k", 2.0, "ms", p99)),
        ("end-to-end-10k", "p99.9 at most 6 ms", case.at_most("end-to-end-10k", 6.0, "ms", p999)),
        ("tail-fetch", "at most 0.20 CPU-s/GB", case.at_most("tail-fetch", 0.2, PER_GB, gb)),
        ("tail-fetch", "below Kafka's CPU-s/GB in the same run", case.below("tail-fetch", PER_GB, gb)),
        (
            "cold-read",
            "producers' p99.9 within 1.1 × of without backfill",
            case.suffering(|run| extra(run, "producers_p999_ratio")),
        ),
        (
            "cold-read",
            "tail readers' p99.9 within 1.1 × of without backfill",
            case.suffering(|run| extra(run, "tail_readers_p999_ratio")),
        ),
        ("connections-5k", "p99 at most 5 ms", case.at_most("connections-5k", 5.0, "ms", p99)),
        ("connections-5k", "at most 20 KiB of memory a connection", case.memory("connections-5k", 20.0)),
    ]
}

fn grow(case: &Case<'_>) -> Vec<Row> {
    vec![
        (
            "growth-partitions",
            "CPU per batch at 10,000 partitions at most 1.2 × that at 100",
            case.growth("growth-partitions", (100, 10_000), 1.2),
        ),
        (
            "growth-connections",
            "CPU per batch at 1,000 connections at most 1.3 × that at 10",
            case.growth("growth-connections", (10, 1_000), 1.3),
        ),
        (
            "starts",
            "time to the first fetch after kill -9 grows no faster than partitions",
            case.linear("ms", |it| killed(it, |start| start.first_fetch_ms)),
        ),
        ("starts", "memory grows no faster than partitions", case.linear("MiB", |it| Some(it.resident_mib))),
        ("shards", "two shards at least 1.8 × one, the client's CPU subtracted", case.shards(1.8)),
    ]
}

fn gb(run: &RunResult) -> Option<f64> {
    last(run)?.cost.cpu_seconds_per_gb
}

/// The goals as a table.
pub fn table(goals: &[Goal]) -> String {
    let mut out = "| goal of | wanted | found | |\n|---|---|---|---|\n".to_owned();
    for goal in goals {
        let _ = writeln!(out, "| {} | {} | {} | {} |", goal.workload, goal.wanted, goal.found, goal.said.words());
    }
    out
}

/// How many are reached, missed, not measurable.
pub fn counts(goals: &[Goal]) -> String {
    let count = |said: Reached| goals.iter().filter(|goal| goal.said == said).count();
    let all = [Reached::Reached, Reached::Missed, Reached::NotMeasurable];
    all.map(|said| format!("{} {}", count(said), said.words())).join(", ")
}

fn last(run: &RunResult) -> Option<&Stage> {
    run.stages.last()
}

fn extra(run: &RunResult, name: &str) -> Option<f64> {
    last(run)?.extra.get(name).copied()
}

fn killed(found: &Partitions, pick: fn(&exercise::Start) -> f64) -> Option<f64> {
    found.starts.iter().find(|start| start.after == exercise::KILLED).map(pick)
}

struct Case<'a> {
    comparison: &'a Comparison,
}

impl Case<'_> {
    fn name(&self, broker: usize) -> &str {
        self.comparison.brokers.get(broker).map_or("a second broker", String::as_str)
    }

    /// The median of a figure over the runs of a broker.
    fn middle(&self, workload: &str, broker: usize, pick: Pick) -> Result<f64, String> {
        let runs = self.comparison.whole_runs(workload, broker);
        if runs.is_empty() {
            return Err(format!("no whole run of {workload} on {}", self.name(broker)));
        }
        let told = runs.iter().filter(|run| run.stages.iter().all(|stage| stage.nothing().is_none()));
        let values: Vec<f64> = told.filter_map(|run| pick(run)).filter(|value| value.is_finite()).collect();
        if values.len() < runs.len().div_ceil(2) {
            let why = runs.iter().flat_map(|run| &run.stages).find_map(Stage::nothing);
            let why = why.unwrap_or_else(|| "its process is not seen on this machine".to_owned());
            return Err(format!("{} on {}: {why}", workload, self.name(broker)));
        }
        Ok(median(&values))
    }

    fn at_most(&self, workload: &str, most: f64, unit: &str, pick: Pick) -> Found {
        let value = self.middle(workload, 0, pick)?;
        let other = self.middle(workload, 1, pick);
        let other = other.map_or_else(|_| String::new(), |other| format!(" ({}: {})", self.name(1), figure(other)));
        Ok((value <= most, format!("{} {unit}{other}", figure(value))))
    }

    fn times(&self, workload: &str, least: f64, unit: &str, pick: Pick) -> Found {
        self.times_other(workload, workload, least, unit, pick)
    }

    /// The first broker's figure by the second's in another workload.
    fn times_other(&self, workload: &str, others: &str, least: f64, unit: &str, pick: Pick) -> Found {
        let (own, other) = (self.middle(workload, 0, pick)?, self.middle(others, 1, pick)?);
        if other <= 0.0 {
            return Err(format!("{others} on {}: nothing was done", self.name(1)));
        }
        let ratio = own / other;
        Ok((ratio >= least, format!("× {} ({} against {} {unit})", figure(ratio), figure(own), figure(other))))
    }

    fn below(&self, workload: &str, unit: &str, pick: Pick) -> Found {
        let (own, other) = (self.middle(workload, 0, pick)?, self.middle(workload, 1, pick)?);
        Ok((own < other, format!("{} against {} {unit}", figure(own), figure(other))))
    }

    /// Share of the machine's limit, had the client not used the broker's processors.
    fn of_limit(&self, workload: &str, least: f64) -> Found {
        let plain = self.middle(workload, 0, |run| Some(last(run)?.limit.as_ref()?.percent));
        let plain = plain.map_err(|_| "the machine's limits were not measured".to_owned())?;
        let freed = self.middle(workload, 0, |run| {
            let stage = last(run)?;
            let client = stage.client.cpu_seconds / stage.seconds / run.host.cpus as f64;
            Some(stage.limit.as_ref()?.percent / (1.0 - client).max(0.1))
        })?;
        let of = self.comparison.whole_runs(workload, 0).into_iter().find_map(|run| last(run)?.limit.clone());
        let of = of.map_or_else(String::new, |limit| format!(" of {}", limit.of));
        Ok((freed >= least, format!("{freed:.0} %{of}; {plain:.0} % before the client's CPU is subtracted")))
    }

    fn suffering(&self, pick: Pick) -> Found {
        let own = self.middle("cold-read", 0, pick)?;
        let other = self.middle("cold-read", 1, pick);
        let other = other.map_or_else(|_| String::new(), |other| format!(" ({}: × {})", self.name(1), figure(other)));
        Ok((own <= 1.1, format!("× {}{other}", figure(own))))
    }

    /// The most of all rounds: memory that one round has left behind costs the next nothing.
    fn memory(&self, workload: &str, most: f64) -> Found {
        let of = |broker: usize| {
            let runs = self.comparison.whole_runs(workload, broker);
            runs.into_iter().filter_map(|run| extra(run, "kib_per_connection")).reduce(f64::max)
        };
        let own = of(0).ok_or_else(|| format!("no whole run of {workload}, or its process is not seen"))?;
        let other = of(1).map_or_else(String::new, |other| format!(" ({}: {})", self.name(1), figure(other)));
        Ok((own <= most, format!("{} KiB{other}", figure(own))))
    }

    /// CPU for each batch at the second scale by that at the first.
    fn growth(&self, workload: &str, scales: (u64, u64), most: f64) -> Found {
        let runs = self.comparison.whole_runs(workload, 0);
        let at = |run: &RunResult, scale: u64| {
            let stage = run.stages.iter().find(|stage| stage.scale == Some(scale))?;
            stage.cost.cpu_seconds_per_million_batches
        };
        let pairs: Vec<(f64, f64)> =
            runs.iter().filter_map(|run| Some((at(run, scales.0)?, at(run, scales.1)?))).collect();
        if pairs.is_empty() {
            return Err(format!("no whole run of {workload}, or its process is not seen"));
        }
        let middle = |pick: fn(&(f64, f64)) -> f64| median(&pairs.iter().map(pick).collect::<Vec<_>>());
        let ratio = middle(|(low, high)| high / low);
        let found = format!(
            "× {} ({} to {} CPU-s per million)",
            figure(ratio),
            figure(middle(|it| it.0)),
            figure(middle(|it| it.1))
        );
        Ok((ratio <= most, found))
    }

    /// Whether what each partition adds is at most a little more at ten thousand than at a thousand.
    fn linear(&self, unit: &str, pick: fn(&Partitions) -> Option<f64>) -> Found {
        let starts = &self.comparison.own.starts;
        let at = |count: usize| starts.iter().find(|found| found.partitions == count).and_then(pick);
        let none = || format!("not tried: it needs --a NAME={}, brokers that it may start and kill", crate::own::SELF);
        let least = starts.first().ok_or_else(none)?;
        let base = pick(least).ok_or_else(none)?;
        let each = |count: usize| Some((at(count)? - base).max(0.0) / (count - least.partitions) as f64);
        let (some, many) = each(1_000).zip(each(10_000)).ok_or("fewer than 10,000 partitions were tried")?;
        let points = starts.iter().filter_map(|it| Some(format!("{}: {}", it.partitions, figure(pick(it)?))));
        let found = format!("{} {unit}", points.collect::<Vec<_>>().join(", "));
        Ok((many <= some * LINEAR, found))
    }

    /// Two shards' requests for each CPU-second, by one's, on twice the processors: the client's own CPU is not theirs.
    fn shards(&self, least: f64) -> Found {
        let of = |shards: &str, pick: Pick| {
            let runs = self.comparison.own.shards.iter().filter(|run| run.broker.label == shards && !run.interrupted);
            let values: Vec<f64> = runs.filter_map(pick).collect();
            let none = || format!("not tried: it needs --a NAME={}, brokers that it may start", crate::own::SELF);
            if values.is_empty() { Err(none()) } else { Ok(median(&values)) }
        };
        let rate: Pick = |run| Some(last(run)?.flow().requests_per_second);
        let cost: Pick = |run| last(run)?.cost.cpu_seconds_per_million_requests;
        let raw = of("2", rate)? / of("1", rate)?;
        let (one, two) = (of("1", cost)?, of("2", cost)?);
        let freed = 2.0 * one / two;
        let found = format!(
            "× {} (as measured × {}; {} and {} CPU-s per million requests)",
            figure(freed),
            figure(raw),
            figure(one),
            figure(two)
        );
        Ok((freed >= least, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Latency, Quantiles};
    use crate::result::{Cost, Flow};

    fn run(workload: &str, broker: &str, mb: f64, cost: f64) -> RunResult {
        let produced = Flow { mb_per_second: mb, requests_per_second: mb, batches_per_second: mb, ..Flow::default() };
        let cost = Cost { cpu_seconds_per_gb: Some(cost), ..Cost::default() };
        let mut run = RunResult {
            stages: vec![Stage { seconds: 1.0, produced, cost, ..Stage::default() }],
            ..RunResult::default()
        };
        run.workload.name = workload.to_owned();
        run.broker.label = broker.to_owned();
        run
    }

    fn comparison(runs: Vec<RunResult>) -> Comparison {
        Comparison { brokers: vec!["ottla".to_owned(), "kafka".to_owned()], runs, ..Comparison::default() }
    }

    fn said(comparison: &Comparison, workload: &str, wanted: &str) -> Goal {
        judge(comparison).into_iter().find(|goal| goal.workload == workload && goal.wanted.contains(wanted)).unwrap()
    }

    #[test]
    fn every_goal_is_told_even_when_nothing_ran() {
        let goals = judge(&comparison(Vec::new()));
        assert_eq!(goals.len(), 25);
        assert!(goals.iter().all(|goal| goal.said == Reached::NotMeasurable && !goal.found.is_empty()), "{goals:?}");
        assert_eq!(counts(&goals), "0 reached, 0 missed, 25 not measurable");
    }

    #[test]
    fn ratios_and_costs_are_held_against_their_bounds() {
        let runs = |own: f64, cost: f64| {
            comparison(vec![run("produce-1x64k", "ottla", own, cost), run("produce-1x64k", "kafka", 100.0, 3.0)])
        };
        assert_eq!(said(&runs(250.0, 0.4), "produce-1x64k", "throughput").said, Reached::Reached);
        assert_eq!(said(&runs(249.0, 0.4), "produce-1x64k", "throughput").said, Reached::Missed);
        assert_eq!(said(&runs(250.0, 0.5), "produce-1x64k", "CPU").said, Reached::Reached);
        let missed = said(&runs(250.0, 0.51), "produce-1x64k", "CPU");
        assert!(missed.said == Reached::Missed && missed.found.contains("kafka: 3"), "{missed:?}");
    }

    #[test]
    fn a_run_that_was_cut_short_counts_for_nothing() {
        let mut cut = run("produce-1x64k", "ottla", 250.0, 0.4);
        cut.interrupted = true;
        let goal = said(&comparison(vec![cut]), "produce-1x64k", "CPU");
        assert_eq!(goal.said, Reached::NotMeasurable);
    }

    #[test]
    fn a_broker_that_answered_nothing_is_told_with_its_reason_and_never_as_nought() {
        let latency = Latency { raw_ms: Quantiles::default(), ..Latency::default() };
        let mut silent = run("end-to-end-2k", "ottla", 0.0, 0.0);
        silent.stages[0].latency = vec![latency];
        silent.stages[0].late = 40;
        let goal = said(&comparison(vec![silent]), "end-to-end-2k", "p99 ");
        assert!(goal.said == Reached::NotMeasurable && goal.found.contains("40 were afterwards"), "{goal:?}");
    }

    #[test]
    fn what_grows_faster_than_partitions_is_missed() {
        let at =
            |partitions: usize, resident_mib: f64| Partitions { partitions, resident_mib, ..Partitions::default() };
        let own = |many: f64| {
            let mut comparison = comparison(Vec::new());
            comparison.own.starts = vec![at(1, 50.0), at(1_000, 60.0), at(10_000, many)];
            said(&comparison, "starts", "memory").said
        };
        assert_eq!(own(150.0), Reached::Reached);
        assert_eq!(own(300.0), Reached::Missed);
    }

    #[test]
    fn two_shards_are_held_against_one_by_what_each_request_costs() {
        let shard = |label: &str, rate: f64, cost: f64| {
            let mut run = run("shards", label, rate, 0.0);
            run.stages[0].cost.cpu_seconds_per_million_requests = Some(cost);
            run
        };
        let mut comparison = comparison(Vec::new());
        comparison.own.shards = vec![shard("1", 50_000.0, 10.0), shard("2", 60_000.0, 11.0)];
        let goal = said(&comparison, "shards", "two");
        assert!(goal.said == Reached::Reached && goal.found.starts_with("× 1.82 (as measured × 1.20"), "{goal:?}");
    }
}
