//! What a comparison has found: every run, medians and ratios with what of them is noise.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{BenchError, During, Result};
use crate::exercise::Partitions;
use crate::goals::{self, Goal};
use crate::host::Host;
use crate::limits::Limits;
use crate::noise::{Judged, Said, judge, median, spread};
use crate::result::{RunResult, Stage};
use crate::tell::{figure, trouble};

/// What only brokers of our own can show.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Own {
    /// Starts and memory, by partitions.
    pub starts: Vec<Partitions>,
    /// The same load on one shard, label `1`, and on two.
    pub shards: Vec<RunResult>,
}

/// What came out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// Where.
    pub host: Host,
    /// What the machine could do at best, right before.
    pub limits: Option<Limits>,
    /// Labels of the brokers, the one first that ratios are to.
    pub brokers: Vec<String>,
    /// Every counted run, in order.
    pub runs: Vec<RunResult>,
    /// Runs that a broker could not carry.
    pub failures: Vec<Failure>,
    /// Runs that were to be made.
    #[serde(default)]
    pub planned: usize,
    /// It was ended before its time.
    #[serde(default)]
    pub interrupted: bool,
    /// While one broker was measured, the others on this machine stood still.
    #[serde(default)]
    pub paused: bool,
    /// What brokers of our own have shown.
    #[serde(default)]
    pub own: Own,
    /// What was to be reached, and whether it was; empty where that was not asked.
    #[serde(default)]
    pub goals: Vec<Goal>,
}

/// A run that was given up, such as an open loop at a rate beyond the broker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The workload.
    pub workload: String,
    /// The broker.
    pub broker: String,
    /// What happened.
    pub why: String,
}

/// A figure of a run, and its unit.
type Pick = (fn(&RunResult) -> f64, &'static str);

fn p50(run: &RunResult) -> f64 {
    run.shown().p50
}

fn p99(run: &RunResult) -> f64 {
    run.shown().p99
}

fn p999(run: &RunResult) -> f64 {
    run.shown().p999
}

fn cost(run: &RunResult) -> f64 {
    run.headline_cost().map_or(f64::NAN, |it| it.0)
}

/// How brokers of one machine were kept from disturbing each other.
const PAUSED: &str = ", the others standing still";

impl Comparison {
    /// What to add to "brokers in turn".
    pub(crate) fn how(&self) -> &'static str {
        if self.paused { PAUSED } else { "" }
    }

    /// Notes what could not be done; the line to tell.
    pub(crate) fn failed(&mut self, workload: &str, broker: &str, why: &BenchError) -> String {
        let line = format!("{workload:<24} {broker:<12} failed: {why}");
        self.failures.push(Failure { workload: workload.to_owned(), broker: broker.to_owned(), why: why.to_string() });
        line
    }

    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.runs.iter().chain(&self.own.shards).all(RunResult::is_clean)
    }

    /// Writes NAME.json, so that it is there whole or not at all; its path.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn keep(&self, folder: &Path, name: &str, whole: bool) -> Result<PathBuf> {
        fs::create_dir_all(folder).during(|| format!("create {}", folder.display()))?;
        let (path, fresh) = (folder.join(format!("{name}.json")), folder.join(format!(".{name}.json.new")));
        let text = self.json(whole).map_err(|why| BenchError::Codec { why: why.to_string() })?;
        fs::write(&fresh, text).during(|| format!("write {}", fresh.display()))?;
        fs::rename(&fresh, &path).during(|| format!("write {}", path.display()))?;
        Ok(path)
    }

    /// Facts on top, then a line for each run. Histograms and seconds only when it is to be `whole`.
    fn json(&self, whole: bool) -> serde_json::Result<String> {
        let line = |run: &RunResult| {
            let mut run = run.clone();
            if !whole {
                run.stages.iter_mut().for_each(Stage::slim);
            }
            serde_json::to_string(&run)
        };
        let lines = |runs: &[RunResult]| Ok(runs.iter().map(line).collect::<serde_json::Result<Vec<_>>>()?.join(",\n"));
        Ok(format!(
            "{{\n\"host\": {},\n\"limits\": {},\n\"brokers\": {},\n\"planned\": {},\n\"interrupted\": {},\n\"goals\": {},\n\"failures\": {},\n\
             \"own\": {{\"starts\": {}, \"shards\": [\n{}\n]}},\n\"runs\": [\n{}\n]\n}}\n",
            serde_json::to_string(&self.host)?,
            serde_json::to_string(&self.limits)?,
            serde_json::to_string(&self.brokers)?,
            self.planned,
            self.interrupted,
            serde_json::to_string_pretty(&self.goals)?,
            serde_json::to_string(&self.failures)?,
            serde_json::to_string(&self.own.starts)?,
            lines(&self.own.shards)?,
            lines(&self.runs)?
        ))
    }

    /// Reads one that was written.
    ///
    /// # Errors
    /// [`BenchError::Io`], [`BenchError::Codec`].
    pub fn load(path: &Path) -> Result<Comparison> {
        let text = fs::read_to_string(path).during(|| format!("read {}", path.display()))?;
        serde_json::from_str(&text).map_err(|why| BenchError::Codec { why: format!("{}: {why}", path.display()) })
    }

    fn of(&self, workload: &str, broker: &str) -> Vec<&RunResult> {
        let of = |run: &&RunResult| run.workload.name == workload && run.broker.label == broker && !run.interrupted;
        self.runs.iter().filter(of).collect()
    }

    /// Runs of a workload on a broker, by its place in the list, that were not cut short.
    pub fn whole_runs(&self, workload: &str, broker: usize) -> Vec<&RunResult> {
        self.brokers.get(broker).map_or_else(Vec::new, |broker| self.of(workload, broker))
    }

    fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let failed = self.failures.iter().map(|failure| failure.workload.as_str());
        for name in self.runs.iter().map(|run| run.workload.name.as_str()).chain(failed) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Medians and ratios, as a page.
    pub fn markdown(&self, name: &str) -> String {
        let seconds = self.runs.first().map_or((0.0, 0.0), |run| (run.workload.seconds, run.workload.warm_seconds));
        let mut out = format!("# {name}\n\n{}.\n", self.host.line());
        if let Some(limits) = &self.limits {
            let _ = writeln!(
                out,
                "At best, right before: disk {:.0} MB/s with O_DIRECT, {:.0} flushes/s one after the other; loopback {:.0} MB/s.",
                limits.disk_mb_per_second, limits.flushes_per_second, limits.loopback_mb_per_second
            );
        }
        let _ = writeln!(
            out,
            "Each run {} s after {} s of the same load; medians, lowest–highest in parentheses; brokers in turn{}. Every run: `{name}.json`.\n",
            seconds.0,
            seconds.1,
            self.how()
        );
        if self.interrupted {
            let _ = writeln!(
                out,
                "Ended before its time, {} of {} runs: not more is known than this.\n",
                self.runs.len(),
                self.planned
            );
        }
        if !self.goals.is_empty() {
            let _ = writeln!(out, "{}", goals::table(&self.goals));
        }
        out.push_str(&self.table());
        let (checked, bad) = self.runs.iter().fold((0, 0), |(checked, bad), run| {
            (checked + run.verification.checked, bad + u64::from(!run.verification.is_good()))
        });
        let _ = writeln!(
            out,
            "\n{} runs, {} batches looked at; runs with anything lost, doubled, reordered or damaged: {bad}.",
            self.runs.len(),
            crate::tell::thousands(checked as f64)
        );
        for words in self.remarks() {
            let _ = writeln!(out, "- {words}");
        }
        out
    }

    /// What else is to be known of runs: what failed, was cut short or was not clean.
    pub fn remarks(&self) -> Vec<String> {
        let failed = self.failures.iter().map(|it| format!("{} on {} failed: {}", it.workload, it.broker, it.why));
        let not_clean = |run: &RunResult| {
            let words = if run.interrupted { vec!["cut short, and not counted".to_owned()] } else { trouble(run) };
            let round = run.round.unwrap_or_default() + 1;
            (!words.is_empty())
                .then(|| format!("{} on {}, round {round}: {}", run.workload.name, run.broker.label, words.join("; ")))
        };
        failed.chain(self.runs.iter().filter_map(not_clean)).collect()
    }

    /// The medians alone, as rows.
    pub fn rows(&self) -> (Vec<&'static str>, Vec<Vec<String>>) {
        let heads = HEADS.to_vec();
        let mut rows = Vec::new();
        for workload in self.workloads() {
            let first = self.brokers.first().map(|broker| self.of(workload, broker)).unwrap_or_default();
            for (at, broker) in self.brokers.iter().enumerate() {
                let runs = self.of(workload, broker);
                if !runs.is_empty() {
                    rows.push(row(workload, broker, &runs, (at > 0 && !first.is_empty()).then_some(&first[..])));
                }
            }
        }
        (heads, rows)
    }

    /// The medians alone.
    pub fn table(&self) -> String {
        let (heads, rows) = self.rows();
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads: Vec<String> = heads.into_iter().map(str::to_owned).collect();
        let rule = format!("|{}\n", "---|".repeat(heads.len()));
        line(&heads) + &rule + &rows.iter().map(|cells| line(cells)).collect::<String>()
    }
}

/// What a row of medians holds.
const HEADS: [&str; 9] = [
    "workload",
    "broker",
    "headline",
    "cost",
    "p50 / p99 / p99.9 ms",
    "RSS MiB",
    "CPUs: broker, client",
    "of the limit",
    "against the first: headline; cost; p99",
];

fn values(runs: &[&RunResult], pick: impl Fn(&RunResult) -> f64) -> Vec<f64> {
    runs.iter().map(|run| pick(run)).collect()
}

fn row(workload: &str, broker: &str, runs: &[&RunResult], first: Option<&[&RunResult]>) -> Vec<String> {
    let with_range = |pick: Pick| {
        let values = values(runs, pick.0);
        let (low, high) = spread(&values);
        if values.iter().all(|value| value.is_nan()) {
            return "–".to_owned();
        }
        format!("{} {} ({}–{})", figure(median(&values)), pick.1, figure(low), figure(high))
    };
    let (_, unit, _) = runs[0].headline();
    let cost_unit = runs[0].headline_cost().map_or("", |cost| cost.1);
    let middle = |pick: fn(&RunResult) -> f64| figure(median(&values(runs, pick)));
    let limit = median(&values(runs, |run| {
        run.stages.last().and_then(|it| it.limit.as_ref()).map_or(f64::NAN, |it| it.percent)
    }));
    let last = |pick: fn(&Stage) -> f64| move |run: &RunResult| run.stages.last().map_or(f64::NAN, pick);
    let resident = last(|it| it.broker.map_or(f64::NAN, |usage| usage.resident_bytes as f64 / 1_048_576.0));
    let broker_cpus = last(|it| it.broker.map_or(f64::NAN, |usage| usage.cpu_seconds) / it.seconds);
    let client_cpus = last(|it| it.client.cpu_seconds / it.seconds);
    let cpus = [median(&values(runs, broker_cpus)), median(&values(runs, client_cpus))];
    vec![
        workload.to_owned(),
        broker.to_owned(),
        with_range((|run| run.headline().0, unit)),
        with_range((cost, cost_unit)),
        [middle(p50), middle(p99), middle(p999)].join(" / "),
        figure(median(&values(runs, resident))),
        cpus.map(|cpus| if cpus.is_finite() { format!("{cpus:.2}") } else { "–".to_owned() }).join(", "),
        if limit.is_finite() { format!("{limit:.0} %") } else { "–".to_owned() },
        first.map_or_else(String::new, |first| against(runs, first)),
    ]
}

/// What the comparison with the first broker says.
fn against(runs: &[&RunResult], first: &[&RunResult]) -> String {
    let picks: [fn(&RunResult) -> f64; 3] = [|run| run.headline().0, cost, p99];
    let said = picks.map(|pick| words(&judge(&values(first, pick), &values(runs, pick))));
    said.join("; ")
}

/// A comparison in words.
pub fn words(judged: &Judged) -> String {
    let noise = judged.noise * 100.0;
    match judged.said {
        Said::Differs => {
            format!("×{} ({}–{})", figure(judged.ratio), figure(judged.range.0), figure(judged.range.1))
        }
        Said::WithinNoise => format!("same within noise (±{noise:.0} %)"),
        Said::TooFew => "too few runs to say".to_owned(),
    }
}
