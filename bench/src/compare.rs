//! Several brokers, the same workloads, turn by turn: only figures of one run beside each other mean something.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{BenchError, During, Result};
use crate::host::{Host, load_average};
use crate::kinds;
use crate::limits::Limits;
use crate::noise::{Judged, Said, judge, median, spread};
use crate::result::RunResult;
use crate::spec::Spec;
use crate::stage::{Control, Target};
use crate::tell::{figure, quiet_line};

/// A comparison to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The brokers; ratios are to the first.
    pub targets: Vec<Target>,
    /// The workloads, with the length of each run.
    pub workloads: Vec<Spec>,
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds before, which warm brokers up and are thrown away.
    pub warm_rounds: usize,
    /// Time for the disk to settle before each run.
    pub settle: Duration,
    /// Results keep histograms and seconds; otherwise only what tables need.
    pub whole: bool,
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

/// Makes the comparison, telling each run as it ends. A run that a broker cannot carry is noted, and the others go on.
pub fn compare(
    plan: &Plan,
    control: &Control<'_>,
    limits: Option<Limits>,
    mut tell: impl FnMut(&str, Option<&str>),
) -> Comparison {
    let folder = limits.as_ref().filter(|limits| !limits.disk.is_empty()).map_or("/", |limits| &limits.disk);
    let mut comparison = Comparison {
        host: Host::look(folder),
        limits,
        brokers: plan.targets.iter().map(|target| target.label.clone()).collect(),
        ..Comparison::default()
    };
    let rounds = plan.warm_rounds + plan.rounds;
    let all = plan.workloads.len() * rounds * plan.targets.len();
    let mut at = 0;
    for workload in &plan.workloads {
        for round in 0..rounds {
            for target in in_turn(&plan.targets, round) {
                if control.stopped() {
                    return comparison;
                }
                at += 1;
                tell(&format!("{at}/{all} {} {}", workload.name, target.label), None);
                rustix::fs::sync();
                std::thread::sleep(plan.settle);
                let line = comparison.add(plan, workload, target, control, round);
                tell("", Some(&line));
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

/// A figure of a run, and its unit.
type Pick = (fn(&RunResult) -> f64, &'static str);

fn p50(run: &RunResult) -> f64 {
    shown(run).map_or(f64::NAN, |it| it.p50)
}

fn p99(run: &RunResult) -> f64 {
    shown(run).map_or(f64::NAN, |it| it.p99)
}

fn p999(run: &RunResult) -> f64 {
    shown(run).map_or(f64::NAN, |it| it.p999)
}

fn cost(run: &RunResult) -> f64 {
    run.headline_cost().map_or(f64::NAN, |it| it.0)
}

fn shown(run: &RunResult) -> Option<crate::measure::Quantiles> {
    Some(*run.stages.last()?.latency.first()?.shown())
}

impl Comparison {
    /// Makes one run and notes it; the line to tell.
    fn add(&mut self, plan: &Plan, workload: &Spec, target: &Target, control: &Control<'_>, round: usize) -> String {
        let load_before = load_average();
        let counted = round >= plan.warm_rounds;
        match kinds::run(workload, target, control, self.limits.clone()) {
            Ok(mut run) => {
                let line = format!("{}{}", quiet_line(&run), if counted { "" } else { "  (warm-up)" });
                run.round = Some((round.saturating_sub(plan.warm_rounds)) as u32);
                run.host.load_before = load_before;
                if !plan.whole {
                    run.stages.iter_mut().for_each(crate::result::Stage::slim);
                }
                if counted {
                    self.runs.push(run);
                }
                line
            }
            Err(why) => {
                let line = format!("{:<20} {:<12} failed: {why}", workload.name, target.label);
                let (workload, broker) = (workload.name.clone(), target.label.clone());
                self.failures.push(Failure { workload, broker, why: why.to_string() });
                line
            }
        }
    }

    /// Whether every run was carried, and clean.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.runs.iter().all(RunResult::is_clean)
    }

    /// Writes `NAME.json`, with every run, and `NAME.md`, with medians and ratios; where the latter is.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(folder).during(|| format!("create {}", folder.display()))?;
        let json = folder.join(format!("{name}.json"));
        let text = self.json().map_err(|why| BenchError::Codec { why: format!("{}: {why}", json.display()) })?;
        fs::write(&json, text).during(|| format!("write {}", json.display()))?;
        let table = folder.join(format!("{name}.md"));
        fs::write(&table, self.markdown(name)).during(|| format!("write {}", table.display()))?;
        Ok(table)
    }

    /// Facts on top, then a line for each run.
    fn json(&self) -> serde_json::Result<String> {
        let lines = self.runs.iter().map(serde_json::to_string).collect::<serde_json::Result<Vec<_>>>()?;
        Ok(format!(
            "{{\n\"host\": {},\n\"limits\": {},\n\"brokers\": {},\n\"failures\": {},\n\"runs\": [\n{}\n]\n}}\n",
            serde_json::to_string(&self.host)?,
            serde_json::to_string(&self.limits)?,
            serde_json::to_string(&self.brokers)?,
            serde_json::to_string(&self.failures)?,
            lines.join(",\n")
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
        self.runs.iter().filter(|run| run.workload.name == workload && run.broker.label == broker).collect()
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
            "Each run {} s after {} s of the same load; medians, lowest–highest in parentheses; brokers in turn. Every run: `{name}.json`.\n",
            seconds.0, seconds.1
        );
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
        for failure in &self.failures {
            let _ = writeln!(out, "- {} on {} failed: {}", failure.workload, failure.broker, failure.why);
        }
        out
    }

    /// The table alone.
    pub fn table(&self) -> String {
        let mut out = "| workload | broker | headline | cost | p50 / p99 / p99.9 ms | RSS MiB | CPUs: broker, client | of the limit | against the first: headline; cost; p99 |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
        for workload in self.workloads() {
            let first = self.brokers.first().map(|broker| self.of(workload, broker)).unwrap_or_default();
            for (at, broker) in self.brokers.iter().enumerate() {
                let runs = self.of(workload, broker);
                if !runs.is_empty() {
                    out.push_str(&row(workload, broker, &runs, (at > 0).then_some(&first[..])));
                }
            }
        }
        out
    }
}

fn values(runs: &[&RunResult], pick: impl Fn(&RunResult) -> f64) -> Vec<f64> {
    runs.iter().map(|run| pick(run)).collect()
}

fn row(workload: &str, broker: &str, runs: &[&RunResult], first: Option<&[&RunResult]>) -> String {
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
    let cpus = |pick: fn(&RunResult) -> f64| format!("{:.2}", median(&values(runs, pick)));
    let limit = median(&values(runs, |run| {
        run.stages.last().and_then(|it| it.limit.as_ref()).map_or(f64::NAN, |it| it.percent)
    }));
    format!(
        "| {workload} | {broker} | {} | {} | {} / {} / {} | {} | {}, {} | {} | {} |\n",
        with_range((|run| run.headline().0, unit)),
        with_range((cost, cost_unit)),
        middle(p50),
        middle(p99),
        middle(p999),
        middle(|run| run
            .stages
            .last()
            .and_then(|it| it.broker)
            .map_or(f64::NAN, |it| it.resident_bytes as f64 / 1_048_576.0)),
        cpus(|run| run
            .stages
            .last()
            .map_or(f64::NAN, |it| it.broker.map_or(f64::NAN, |usage| usage.cpu_seconds) / it.seconds)),
        cpus(|run| run.stages.last().map_or(f64::NAN, |it| it.client.cpu_seconds / it.seconds)),
        if limit.is_finite() { format!("{limit:.0} %") } else { "–".to_owned() },
        first.map_or_else(String::new, |first| against(runs, first)),
    )
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
