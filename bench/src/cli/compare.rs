use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::run::Shape;
use super::{KEEPS, Probe, Trouble, interrupts, target, workload, write_text};
use crate::compare::{News, On, OwnPlan, Plan, Work, compare};
use crate::comparison::Comparison;
use crate::goals;
use crate::own::{OwnBroker, SELF};
use crate::spec::{DEEP, FLUSHED, GOALS, GROWTH, Spec};
use crate::stage::{Control, Moment, Target, no_gate};
use crate::tell::{Live, comparison_page};

/// Run the same workloads against several brokers in turn, and say what really differs
///
/// A B, then B A, and so on, each run on fresh topics. Medians, ratios to the first broker with their range; a difference smaller than the
/// runs' own variation is not called one. NAME.json has every run, NAME.md the table, NAME.html the page; NAME.json is written anew
/// after each run, and all three when it is interrupted (exit status 130). A broker called self is one of our own, started for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench compare --a ottla=127.0.0.1:9092 --b kafka=127.0.0.1:19092 produce-16x64k end-to-end-2k
  ottla bench compare --a ottla=self --b kafka=:19092 --suite goals       the whole speed table, within 12 minutes
  ottla bench compare --a before=:9092 --b after=:9192 --suite growth --rounds 5 --name growth")]
pub(super) struct Compare {
    /// Workloads: names or files
    #[arg(required_unless_present = "suite")]
    workloads: Vec<String>,
    /// A set of workloads
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// How long all of it may take: runs are as long as fits, a second at least [default: 12m for --suite goals and two brokers]
    #[arg(long, value_name = "LENGTH", value_parser = super::seconds, conflicts_with = "duration")]
    time_budget: Option<f64>,
    /// The first broker, NAME=HOST:PORT or NAME=self: ratios are to it
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
    /// While one broker is measured, the others on this machine stand still (SIGSTOP): an idle JVM is not quiet
    ///
    /// Who goes on again has 3 s and a load of a second that counts for nothing before it is measured.
    /// Brokers go on in the end, after Ctrl-C too; if this program is killed, or ended at once by a second Ctrl-C, say kill -CONT to them.
    #[arg(long)]
    pause: bool,
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
    /// The speed table, each goal reached or missed; growth, starts and shards of the first broker.
    Goals,
    /// Cost over partitions and connections; with a broker `self` also starts and memory by partitions, and shards.
    Growth,
    /// Every workload of ours, briefly.
    All,
}

/// Seconds counted and before where the time is not shared out.
const GROWTH_SECONDS: (f64, f64) = (4.0, 1.5);
const ALL_SECONDS: (f64, f64) = (2.0, 0.5);
/// Seconds for the goals, for each broker beside the first.
const GOALS_TIME: f64 = 720.0;
/// What a broker that goes on again gets first, and for how many seconds.
const WAKING_LOAD: (&str, f64) = ("produce-16x1k", 1.0);
/// Partitions with which brokers of our own start.
const STARTS: [usize; 4] = [1, 100, 1_000, 10_000];

impl Compare {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let work = self.work()?;
        let stop = interrupts(KEEPS)?;
        // Stopped when this ends.
        let mut own = Vec::new();
        let plan = self.plan(work, self.targets(&mut own)?)?;
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
        let mut unkept = None;
        let comparison = compare(&plan, &control, limits, &mut |news| match news {
            News::Doing(what) => live.doing(&what),
            News::Done(line, so_far) => {
                // What is told is kept already, whatever comes next.
                unkept = so_far.keep(&self.out, &self.name, self.whole).err();
                if !self.quiet {
                    live.say(&line);
                }
            }
        });
        live.done();
        if let Some(why) = unkept {
            eprintln!("note: {why}");
        }
        self.write(&comparison)
    }

    fn write(&self, comparison: &Comparison) -> Result<(), Trouble> {
        let path = comparison.keep(&self.out, &self.name, self.whole)?;
        let text = comparison.markdown(&self.name);
        write_text(&path.with_extension("md"), &text)?;
        write_text(&path.with_extension("html"), &comparison_page(comparison, &self.name))?;
        println!("{text}");
        if !comparison.goals.is_empty() {
            println!("goals: {}", goals::counts(&comparison.goals));
        }
        println!("written to {}, .md and .html", path.display());
        if comparison.interrupted {
            let runs = comparison.runs.iter().filter(|run| !run.interrupted).count() + comparison.own.shards.len();
            let what =
                format!("interrupted after {runs} of {} runs; they are in {}", comparison.planned, path.display());
            return Err(Trouble::Interrupted(what));
        }
        if comparison.is_clean() {
            return Ok(());
        }
        Err(Trouble::Run("not every run was clean: see above".to_owned(), None))
    }

    /// The workloads, each with those that it is for.
    fn work(&self) -> Result<Vec<Work>, Trouble> {
        let on = |name: &str| match name {
            FLUSHED => On::Others,
            name if GROWTH.contains(&name) => On::First,
            _ => On::All,
        };
        let (own, ours) = crate::spec::names();
        let suite: Vec<(&str, On)> = match self.suite {
            Some(Suite::Goals) => GOALS.iter().chain(GROWTH).map(|name| (*name, on(name))).collect(),
            Some(Suite::Growth) => GROWTH.iter().map(|name| (*name, On::All)).collect(),
            Some(Suite::All) => own.into_iter().take(ours).map(|name| (name, On::All)).collect(),
            None => Vec::new(),
        };
        let lengths = match self.suite {
            Some(Suite::Growth) => Some(GROWTH_SECONDS),
            Some(Suite::All) => Some(ALL_SECONDS),
            Some(Suite::Goals) | None => None,
        };
        let named = self.workloads.iter().map(|word| (word.as_str(), On::All));
        let mut work = Vec::new();
        for (word, on) in suite.into_iter().chain(named) {
            let mut spec = workload(word)?;
            if let Some((seconds, warm)) = lengths {
                (spec.seconds, spec.warm_seconds) = (seconds, warm);
            }
            work.push(Work { spec: self.shape.apply(&spec)?, on });
        }
        Ok(work)
    }

    fn plan(&self, work: Vec<Work>, targets: Vec<Target>) -> Result<Plan, Trouble> {
        let settle = Duration::try_from_secs_f64(self.settle);
        let pairs = targets.len().saturating_sub(1).max(1) as f64;
        let usual = (self.suite == Some(Suite::Goals) && !self.shape.has_length()).then_some(GOALS_TIME * pairs);
        let shown_by_own = self.first_is_own() && matches!(self.suite, Some(Suite::Goals | Suite::Growth));
        let waking = Spec { seconds: WAKING_LOAD.1, warm_seconds: 0.0, ..workload(WAKING_LOAD.0)? };
        let mut load = self.shape.apply(&workload(DEEP)?)?;
        "shards".clone_into(&mut load.name);
        Ok(Plan {
            targets,
            work,
            rounds: self.rounds.into(),
            warm_rounds: self.warm_rounds.unwrap_or(0).into(),
            settle: settle.map_err(|_| Trouble::Usage("--settle must not be negative".to_owned()))?,
            pause: self.pause.then_some(waking),
            whole: self.whole,
            time: self.time_budget.or(usual).map(Duration::from_secs_f64),
            own: shown_by_own.then(|| OwnPlan {
                folder: self.probe.data.clone(),
                partitions: if self.shape.is_brief() { STARTS[..2].to_vec() } else { STARTS.to_vec() },
                shards: load,
            }),
            judged: self.suite == Some(Suite::Goals),
        })
    }

    fn first_is_own(&self) -> bool {
        let first = self.a.iter().chain(&self.b).chain(&self.broker).next();
        first.and_then(|word| word.split_once('=')).is_some_and(|(_, place)| place == SELF)
    }

    fn targets(&self, own: &mut Vec<OwnBroker>) -> Result<Vec<Target>, Trouble> {
        let mut targets: Vec<Target> = Vec::new();
        for word in self.a.iter().chain(&self.b).chain(&self.broker) {
            let (label, place) =
                word.split_once('=').ok_or_else(|| Trouble::Usage(format!("'{word}': say NAME=HOST:PORT")))?;
            if targets.iter().any(|target| target.label == label) {
                return Err(Trouble::Usage(format!("two brokers are called '{label}'")));
            }
            if place == SELF {
                let broker = OwnBroker::start(self.probe.data.as_deref(), &[])?;
                targets.push(broker.target(label));
                own.push(broker);
            } else {
                targets.push(target(label, place, None)?);
            }
        }
        Ok(targets)
    }
}
