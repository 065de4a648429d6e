use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::run::Shape;
use super::{Probe, Trouble, interrupts, target, workload, write_text};
use crate::compare::{Plan, compare};
use crate::spec::{GOALS, GROWTH};
use crate::stage::{Control, Moment, Target, no_gate};
use crate::tell::{Live, page};

/// Run the same workloads against several brokers in turn, and say what really differs
///
/// A B, then B A, and so on, each run on fresh topics. Medians, ratios to the first broker with their range; a difference smaller than the
/// runs' own variation is not called one. NAME.json has every run, NAME.md the table, NAME.html the page.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench compare --a ottla=127.0.0.1:9092 --b kafka=127.0.0.1:19092 produce-16x64k end-to-end-2k
  ottla bench compare --a ottla=:9092 --b kafka=:19092 --suite goals      the whole speed table, within 8 minutes
  ottla bench compare --a before=:9092 --b after=:9192 --suite growth --rounds 5 --name growth")]
pub(super) struct Compare {
    /// Workloads: names or files
    #[arg(required_unless_present = "suite")]
    workloads: Vec<String>,
    /// A set of workloads, with lengths that fit
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// The first broker, NAME=HOST:PORT: ratios are to it
    #[arg(long, value_name = "NAME=HOST:PORT", required_unless_present = "broker")]
    a: Option<String>,
    /// The second broker
    #[arg(long, value_name = "NAME=HOST:PORT")]
    b: Option<String>,
    /// Another broker; several times
    #[arg(long, value_name = "NAME=HOST:PORT")]
    broker: Vec<String>,
    /// Rounds that count: fewer than 3 say nothing
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: u16,
    /// Rounds before that are thrown away
    #[arg(long)]
    warm_rounds: Option<u16>,
    /// Seconds for the disk to settle before each run
    #[arg(long, default_value_t = 0.5)]
    settle: f64,
    #[command(flatten)]
    probe: Probe,
    /// Seconds that reading back after each run may take
    #[arg(long, default_value_t = 0.7)]
    verify_seconds: f64,
    /// Folder for the results
    #[arg(long, short = 'o', default_value = "bench/results")]
    out: PathBuf,
    /// Name of the results
    #[arg(long, default_value = "comparison")]
    name: String,
    /// Keep histograms and seconds of every run, for curves in the page
    #[arg(long)]
    whole: bool,
    /// Print nothing while it runs
    #[arg(long, short = 'q')]
    quiet: bool,
    #[command(flatten)]
    shape: Shape,
}

/// Workloads that belong together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Suite {
    /// The speed table: nine workloads.
    Goals,
    /// Cost over partitions and connections.
    Growth,
    /// Every kind of workload, briefly.
    All,
}

/// Seconds counted and before in a suite.
const GOALS_SECONDS: (f64, f64) = (3.5, 1.2);
const GROWTH_SECONDS: (f64, f64) = (4.0, 1.5);
const ALL_SECONDS: (f64, f64) = (2.0, 0.5);

impl Compare {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let plan = self.plan()?;
        let stop = interrupts()?;
        let live = Live::new(self.quiet);
        live.doing("limits");
        let limits = plan.targets.first().and_then(|target| self.probe.limits(target));
        let hear = |moment: &Moment<'_>| live.moment(moment);
        let control = Control {
            stop,
            fail_fast: false,
            part: (0, 1),
            seed: 1,
            verify_seconds: self.verify_seconds,
            live: &hear,
            gate: &no_gate,
        };
        let comparison = compare(&plan, &control, limits, |doing, line| match line {
            Some(line) if !self.quiet => live.say(line),
            Some(_) => {}
            None => live.doing(doing),
        });
        live.done();
        let table = comparison.write(&self.out, &self.name)?;
        write_text(&table.with_extension("html"), &page(&comparison.runs))?;
        println!("{}", std::fs::read_to_string(&table)?);
        println!("written to {}, .json and .html", table.display());
        if comparison.is_clean() {
            return Ok(());
        }
        Err(Trouble::Run("not every run was clean: see above".to_owned(), None))
    }

    fn plan(&self) -> Result<Plan, Trouble> {
        let words: Vec<String> = match self.suite {
            Some(Suite::Goals) => GOALS.iter().map(|name| (*name).to_owned()).collect(),
            Some(Suite::Growth) => GROWTH.iter().map(|name| (*name).to_owned()).collect(),
            Some(Suite::All) => {
                crate::spec::names().0.into_iter().take(crate::spec::names().1).map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        let lengths = self.suite.map(|suite| match suite {
            Suite::Goals => GOALS_SECONDS,
            Suite::Growth => GROWTH_SECONDS,
            Suite::All => ALL_SECONDS,
        });
        let mut workloads = Vec::new();
        for word in words.iter().chain(&self.workloads) {
            let mut spec = workload(word)?;
            if let Some((seconds, warm)) = lengths {
                (spec.seconds, spec.warm_seconds) = (seconds, warm);
            }
            workloads.push(self.shape.apply(&spec)?);
        }
        let length = Duration::try_from_secs_f64(self.settle);
        Ok(Plan {
            targets: self.targets()?,
            workloads,
            rounds: self.rounds.into(),
            warm_rounds: self.warm_rounds.unwrap_or(0).into(),
            settle: length.map_err(|_| Trouble::Usage("--settle must not be negative".to_owned()))?,
            whole: self.whole,
        })
    }

    fn targets(&self) -> Result<Vec<Target>, Trouble> {
        let words = self.a.iter().chain(&self.b).chain(&self.broker);
        let split = |word: &String| {
            let (label, bootstrap) =
                word.split_once('=').ok_or_else(|| Trouble::Usage(format!("'{word}': say NAME=HOST:PORT")))?;
            target(label, bootstrap, None)
        };
        let targets = words.map(split).collect::<Result<Vec<_>, Trouble>>()?;
        let mut labels: Vec<&str> = targets.iter().map(|target| target.label.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.len() < targets.len() {
            return Err(Trouble::Usage("two brokers have the same name".to_owned()));
        }
        Ok(targets)
    }
}
