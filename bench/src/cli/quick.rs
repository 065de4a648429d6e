use clap::Args;

use super::{Connect, KEEPS, Probe, Trouble, interrupts, run::clean, workload};
use crate::kinds;
use crate::spec::Rate;
use crate::stage::{Control, Moment, no_gate};
use crate::tell::{Live, figure, page, summary, thousands};

/// What `ottla bench` does without a command.
#[derive(Debug, Args)]
pub(super) struct Quick {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    probe: Probe,
    /// Write the page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
    /// Write the results as JSON to this file, `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    /// Print only the results
    #[arg(long, short = 'q')]
    quiet: bool,
}

/// Seconds counted and before, for each of the two workloads: with the probe and reading back about ten in all.
const LENGTHS: [(f64, f64); 2] = [(2.5, 0.8), (2.5, 0.8)];
/// Share of the ceiling at which latency is looked at.
const SHARE: f64 = 0.2;
/// Batches a second at which latency is looked at, at most.
const RATE_MAX: f64 = 5_000.0;

impl Quick {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let target = self.connect.target()?;
        let stop = interrupts(KEEPS)?;
        let live = Live::new(self.quiet);
        live.doing("limits");
        let limits = self.probe.limits(&target);
        let hear = |moment: &Moment<'_>| live.moment(moment);
        let control =
            Control { stop, fail_fast: false, part: (0, 1), seed: 1, verify_seconds: 0.7, live: &hear, gate: &no_gate };
        let mut results = Vec::new();
        let mut ceiling = f64::INFINITY;
        for (name, (seconds, warm)) in ["produce", "end-to-end-2k"].iter().zip(LENGTHS) {
            if control.stopped() {
                break;
            }
            let mut spec = workload(name)?;
            (spec.seconds, spec.warm_seconds) = (seconds, warm);
            if spec.produce.rate != Rate::Max {
                spec.produce.rate = Rate::Batches((ceiling * SHARE).clamp(10.0, RATE_MAX).round());
                "end-to-end".clone_into(&mut spec.name);
            }
            live.doing(&spec.name);
            let result = kinds::run(&spec, &target, &control, limits.clone())?;
            ceiling = result.stages.last().map_or(ceiling, |stage| stage.flow().batches_per_second);
            results.push(result);
        }
        live.done();
        let to_stdout = self.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let say = |text: &str| if to_stdout { eprint!("{text}") } else { print!("{text}") };
        results.iter().for_each(|result| say(&(summary(result) + "\n")));
        if let Some(path) = &self.html {
            super::write_text(path, &page(&results))?;
        }
        if let Some(path) = &self.json {
            super::write_json(path, &results)?;
        }
        if !self.quiet {
            say(&self.next(&results));
        }
        if control.stopped() {
            return Err(Trouble::Interrupted("interrupted: these are the figures until then".to_owned()));
        }
        clean(&results)
    }

    /// What a person may want now, with their broker's own figures.
    fn next(&self, results: &[crate::result::RunResult]) -> String {
        let at = match self.connect.bootstrap.as_str() {
            "127.0.0.1:9092" => String::new(),
            other => format!(" -b {other}"),
        };
        let stage = |at: usize| results.get(at).and_then(|result| result.stages.last());
        let flow = stage(0).map(|stage| *stage.flow()).unwrap_or_default();
        let p99 = stage(1).map_or(f64::NAN, |stage| stage.shown().p99);
        let target = if p99.is_finite() { (p99 * 2.0).ceil().max(2.0) } else { 10.0 };
        let reached = format!(
            "{} MB/s at most, p99 {} ms at {} batches/s",
            figure(flow.mb_per_second),
            figure(p99),
            thousands(stage(1).map_or(0.0, |it| it.flow().batches_per_second))
        );
        let (all, here) = (crate::spec::names().0.len(), &self.connect.bootstrap);
        let next = [
            (
                format!("run end-to-end{at} --find-rate --p99 {target:.0}ms"),
                format!("how much it carries while p99 stays within {target:.0} ms"),
            ),
            (format!("run produce-16x64k{at} --out results"), "longer, with a page of plots".to_owned()),
            ("list".to_owned(), format!("{all} workloads, the OpenMessaging Benchmark's among them")),
            (format!("compare --a this={here} --b other=HOST:PORT"), "two brokers, turn by turn".to_owned()),
        ];
        let width = next.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
        let lines = next.map(|(command, what)| format!("  ottla bench {command:<width$}   {what}\n"));
        format!("In short: {reached}.\nWhat next:\n{}", lines.concat())
    }
}
