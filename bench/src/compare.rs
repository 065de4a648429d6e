//! Several brokers, the same workloads, turn by turn: only figures of one run beside each other mean something.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::allotment::Allotment;
use crate::comparison::Comparison;
use crate::error::Result;
use crate::exercise::{self, Partitions};
use crate::goals;
use crate::host::{Host, load_average};
use crate::kinds;
use crate::limits::Limits;
use crate::own::{self, OwnBroker, Scratch};
use crate::rest::{Resting, WAKING};
use crate::result::RunResult;
use crate::spec::Spec;
use crate::stage::{Control, Target};
use crate::tell::quiet_line;

/// Which brokers a workload is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum On {
    /// All.
    All,
    /// The one that ratios are to.
    First,
    /// The others.
    Others,
}

/// A workload of a comparison.
#[derive(Clone, Debug)]
pub struct Work {
    /// What.
    pub spec: Spec,
    /// On whom.
    pub on: On,
}

/// A comparison to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The brokers; ratios are to the first.
    pub targets: Vec<Target>,
    /// The workloads, with the length of each run, which is shorter where time is short.
    pub work: Vec<Work>,
    /// Rounds that count.
    pub rounds: usize,
    /// Rounds before, which warm brokers up and are thrown away.
    pub warm_rounds: usize,
    /// Time for the disk to settle before each run.
    pub settle: Duration,
    /// While one broker is measured, the processes of the others on this machine stand still; with the load that one which goes
    /// on gets first, and that counts for nothing.
    pub pause: Option<Spec>,
    /// Results keep histograms and seconds; otherwise only what tables need.
    pub whole: bool,
    /// How long all of it may take; `None`: as long as it takes.
    pub time: Option<Duration>,
    /// What is shown by brokers of our own, and where their data lie.
    pub own: Option<OwnPlan>,
    /// The result is held against the goals.
    pub judged: bool,
}

/// What brokers of our own are to show.
#[derive(Clone, Debug)]
pub struct OwnPlan {
    /// Below it their data lie; a usual place when there is none.
    pub folder: Option<PathBuf>,
    /// Starts with so many partitions.
    pub partitions: Vec<usize>,
    /// A load on one shard and on two.
    pub shards: Spec,
}

/// What a comparison tells while it is made.
#[derive(Clone, Debug)]
pub enum News<'a> {
    /// What begins.
    Doing(String),
    /// What came out of it; the whole so far.
    Done(String, &'a Comparison),
}

/// Makes the comparison, telling each run as it ends. A run that a broker cannot carry is noted, and the others go on.
pub fn compare(
    plan: &Plan,
    control: &Control<'_>,
    limits: Option<Limits>,
    tell: &mut dyn FnMut(News<'_>),
) -> Comparison {
    let folder = limits.as_ref().filter(|limits| !limits.disk.is_empty()).map_or("/", |limits| &limits.disk);
    let comparison = Comparison {
        host: Host::look(folder),
        brokers: plan.targets.iter().map(|target| target.label.clone()).collect(),
        planned: plan.runs().sum(),
        limits,
        paused: plan.pause.is_some(),
        ..Comparison::default()
    };
    let allotment = Allotment::new(plan.time);
    let mut course =
        Course { plan, control, allotment, comparison, at: 0, slow: HashMap::new(), resting: Resting::default(), tell };
    course.run();
    let mut comparison = course.comparison;
    comparison.interrupted = control.stopped();
    if plan.judged {
        comparison.goals = goals::judge(&comparison);
    }
    comparison
}

impl Plan {
    /// How many runs each workload means, then the load on shards.
    fn runs(&self) -> impl Iterator<Item = usize> + '_ {
        let rounds = self.warm_rounds + self.rounds;
        let brokers = |on: On| match on {
            On::All => self.targets.len(),
            On::First => 1,
            On::Others => self.targets.len().saturating_sub(1),
        };
        self.work.iter().map(move |work| rounds * brokers(work.on)).chain(self.own.iter().map(|_| 2 * self.rounds))
    }

    /// Workloads and their runs, from one workload on.
    fn left(&self, from: usize) -> impl Iterator<Item = (&Spec, usize)> {
        let specs = self.work.iter().map(|work| &work.spec).chain(self.own.iter().map(|own| &own.shards));
        specs.zip(self.runs()).skip(from)
    }
}

/// A comparison under way. *Lives on: the thread that makes it.*
struct Course<'a> {
    plan: &'a Plan,
    control: &'a Control<'a>,
    allotment: Allotment,
    comparison: Comparison,
    /// Runs begun.
    at: usize,
    /// Windows for brokers that did not answer within one, by workload and broker.
    slow: HashMap<(String, String), f64>,
    resting: Resting,
    tell: &'a mut dyn FnMut(News<'_>),
}

impl Course<'_> {
    fn run(&mut self) {
        let plan = self.plan;
        // First, while nothing else has used the disk; their time is what is left to the others.
        if let Some(own) = &plan.own {
            self.starts(own);
        }
        for (number, work) in plan.work.iter().enumerate() {
            let spec = self.allotment.fit(&work.spec, plan.left(number));
            for round in 0..plan.warm_rounds + plan.rounds {
                for target in in_turn(&plan.targets, round).filter(|target| plan.is_for(work.on, target)) {
                    if self.control.stopped() {
                        return;
                    }
                    self.one(number, &spec, target, round);
                }
            }
        }
        self.resting.wake_all();
        if let Some(own) = &plan.own {
            self.shards(own);
        }
    }

    /// What begins, how far that is, and how long it will take still.
    fn begin(&mut self, number: usize, spec: &Spec, whose: &str) {
        self.at += 1;
        let done = self.plan.runs().take(number).sum::<usize>();
        let own = self.plan.left(number).next().map_or(0, |(_, runs)| (done + runs).saturating_sub(self.at - 1));
        let later: f64 = self
            .plan
            .left(number + 1)
            .map(|(each, runs)| {
                runs as f64 * self.allotment.expected(&self.allotment.fit(each, self.plan.left(number + 1)))
            })
            .sum();
        let seconds = later + own as f64 * self.allotment.expected(spec);
        let left = if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) };
        let line = format!("{}/{} {} {whose}, about {left} to go", self.at, self.comparison.planned, spec.name);
        (self.tell)(News::Doing(line));
    }

    fn one(&mut self, number: usize, spec: &Spec, target: &Target, round: usize) {
        self.begin(number, spec, &target.label);
        let key = (spec.name.clone(), target.label.clone());
        let mut spec = spec.clone();
        spec.seconds = self.slow.get(&key).copied().unwrap_or(spec.seconds);
        let before = self.comparison.runs.len();
        let line = self.run_once(&spec, target, round);
        (self.tell)(News::Done(line, &self.comparison));
        let longer = self.comparison.runs.get(before).and_then(longer);
        if let Some(seconds) = longer.filter(|_| !self.control.stopped()) {
            self.comparison.runs.pop();
            self.slow.insert(key, seconds);
            spec.seconds = seconds;
            let line = self.run_once(&spec, target, round);
            (self.tell)(News::Done(format!("{line}  (again, {seconds:.1} s long)"), &self.comparison));
        }
    }

    fn run_once(&mut self, spec: &Spec, target: &Target, round: usize) -> String {
        let begun = Instant::now();
        if let Some(load) = &self.plan.pause
            && self.resting.all_but(&self.plan.targets, target)
        {
            std::thread::sleep(WAKING);
            // Threads, buffers and compiled code are cold after a rest. Who cannot carry it says so in the run that counts.
            let _ = kinds::run(load, target, self.control, None);
        }
        rustix::fs::sync();
        std::thread::sleep(self.plan.settle);
        let line = self.comparison.add(self.plan, spec, target, self.control, round);
        self.allotment.took(spec, begun.elapsed().as_secs_f64());
        line
    }

    /// What partitions cost a broker that starts.
    fn starts(&mut self, own: &OwnPlan) {
        for count in &own.partitions {
            if self.control.stopped() {
                return;
            }
            (self.tell)(News::Doing(format!("starts with {count} partitions")));
            let line = match start(own, *count) {
                Ok(found) => {
                    let line = start_line(&found);
                    self.comparison.own.starts.push(found);
                    line
                }
                Err(why) => self.comparison.failed(&format!("starts with {count} partitions"), own::SELF, &why),
            };
            (self.tell)(News::Done(line, &self.comparison));
        }
    }

    /// The same load on one shard and on two.
    fn shards(&mut self, own: &OwnPlan) {
        let number = self.plan.work.len();
        let spec = self.allotment.fit(&own.shards, self.plan.left(number));
        for round in 0..self.plan.rounds {
            for shards in ["1", "2"] {
                if self.control.stopped() {
                    return;
                }
                self.begin(number, &spec, &format!("{shards} shards"));
                let setting = format!("ottla.shards={shards}");
                let run = OwnBroker::start(own.folder.as_deref(), &["--set", &setting]).and_then(|broker| {
                    kinds::run(&spec, &broker.target(shards), self.control, self.comparison.limits.clone())
                });
                let line = match run {
                    Ok(mut run) => {
                        run.round = Some(round as u32);
                        let line = quiet_line(&run);
                        self.comparison.own.shards.push(run);
                        line
                    }
                    Err(why) => self.comparison.failed(&spec.name, &format!("{shards} shards"), &why),
                };
                (self.tell)(News::Done(line, &self.comparison));
            }
        }
    }
}

impl Plan {
    fn is_for(&self, on: On, target: &Target) -> bool {
        let first = self.targets.first().is_some_and(|first| first.label == target.label);
        match on {
            On::All => true,
            On::First => first,
            On::Others => !first,
        }
    }
}

/// Windows are made longer for a slow broker up to this, in seconds.
const WINDOW_MAX: f64 = 20.0;

/// The window in which a run would have had answers, if it had none for want of time.
fn longer(run: &RunResult) -> Option<f64> {
    let stage = run.stages.last()?;
    let seconds = (stage.late_seconds * 2.0).min(WINDOW_MAX);
    (stage.nothing().is_some() && stage.late > 0 && seconds > stage.seconds).then_some(seconds)
}

/// How long a start may take.
const START_TIMEOUT: Duration = Duration::from_secs(120);

fn start(own: &OwnPlan, count: usize) -> Result<Partitions> {
    let scratch = Scratch::make(own.folder.as_deref())?;
    exercise::partitions(&own::command(scratch.path(), &[])?, count, START_TIMEOUT, |_| {})
}

fn start_line(found: &Partitions) -> String {
    let killed = found.starts.iter().find(|start| start.after == exercise::KILLED).cloned().unwrap_or_default();
    format!(
        "{:<24} {:<12} {:>8.0} ms to the first fetch after kill -9, {:.0} MiB",
        format!("{} partitions", found.partitions),
        own::SELF,
        killed.first_fetch_ms,
        found.resident_mib
    )
}

/// Who goes first changes with the round.
fn in_turn(targets: &[Target], round: usize) -> impl Iterator<Item = &Target> {
    let (late, early) = targets.split_at(round % targets.len().max(1));
    early.iter().chain(late)
}

impl Comparison {
    /// Makes one run and notes it; the line to tell.
    fn add(&mut self, plan: &Plan, workload: &Spec, target: &Target, control: &Control<'_>, round: usize) -> String {
        let load_before = load_average();
        let counted = round >= plan.warm_rounds;
        match kinds::run(workload, target, control, self.limits.clone()) {
            Ok(mut run) => {
                let cut = if run.interrupted { "  (cut short)" } else { "" };
                let line = format!("{}{}{cut}", quiet_line(&run), if counted { "" } else { "  (warm-up)" });
                run.round = Some((round.saturating_sub(plan.warm_rounds)) as u32);
                run.host.load_before = load_before;
                if counted {
                    self.runs.push(run);
                }
                line
            }
            Err(why) => self.failed(&workload.name, &target.label, &why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Stage;

    #[test]
    fn a_broker_slower_than_the_window_gets_a_longer_one() {
        let run = |late, late_seconds| RunResult {
            stages: vec![Stage { seconds: 1.0, late, late_seconds, ..Stage::default() }],
            ..RunResult::default()
        };
        assert_eq!(longer(&run(40, 3.0)), Some(6.0));
        assert_eq!(longer(&run(40, 300.0)), Some(WINDOW_MAX));
        assert_eq!(longer(&run(0, 0.0)), None, "one that never answers would not in a longer one");
        let mut good = run(40, 3.0);
        good.stages[0].produced.requests_per_second = 5.0;
        assert_eq!(longer(&good), None);
    }
}
