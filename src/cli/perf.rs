//! `ottla perf`: where a broker's time goes.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ottla_perf::{Graph, Link, Page, Perf as Tool, PerfError, Recorded, Stacks, brokers, write_graphs, write_page};
use serde::Serialize;

use super::Failure;

// Its load, and what several of its commands take.
mod load;

// System calls and rings.
mod syscalls;

// All of it under one workload.
mod session;

/// See where a broker's time goes: flame graphs by shard, waits, system calls
#[derive(Subcommand, Debug)]
pub(super) enum Perf {
    Flame(Flame),
    Diff(Diff),
    Offcpu(Offcpu),
    Syscalls(syscalls::Syscalls),
    Session(session::Session),
}

impl Perf {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Perf::Flame(command) => command.run(),
            Perf::Diff(command) => command.run(),
            Perf::Offcpu(command) => command.run(),
            Perf::Syscalls(command) => command.run(),
            Perf::Session(command) => command.run(),
        }
    }
}

impl From<PerfError> for Failure {
    fn from(error: PerfError) -> Failure {
        let next = error.next_step();
        Failure::runtime(error).next(next)
    }
}

/// Which process is looked at.
#[derive(Args, Debug)]
struct Target {
    /// The process to look at [default: the one `ottla start` that runs]
    #[arg(long, value_name = "PID", conflicts_with = "self_start")]
    pid: Option<u32>,
    /// Start a broker of its own in a scratch folder, and put load on it
    #[arg(long)]
    self_start: bool,
    /// With --self-start: what `ottla bench run` puts on it
    #[arg(long, value_name = "WORKLOAD", default_value = load::WORKLOAD, requires = "self_start")]
    workload: String,
    /// For how many seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

impl Target {
    /// Calls `look` with the process, load on it where it is one of our own.
    fn look<T>(&self, look: impl FnOnce(u32) -> Result<T, PerfError>) -> Result<T, Failure> {
        if self.self_start {
            return load::under_load(&self.workload, self.seconds, look);
        }
        Ok(look(self.find()?)?)
    }

    fn find(&self) -> Result<u32, Failure> {
        if let Some(pid) = self.pid {
            return Ok(pid);
        }
        match brokers().as_slice() {
            [one] => Ok(*one),
            [] => Err(Failure::runtime("no `ottla start` runs on this host")
                .next("start one, or add --self-start; --pid PID looks at any process")),
            several => {
                let list: Vec<String> = several.iter().map(u32::to_string).collect();
                Err(Failure::usage(format!("several brokers run: {}", list.join(", "))).next("choose one: --pid PID"))
            }
        }
    }
}

/// Draw where processors spend their time: one flame graph a shard, one for all
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla perf flame                              the broker that runs, 10 s, into ./flame
  ottla perf flame --pid 4242 -s 30 --out before
  ottla perf flame --self-start                 a broker of its own, under load
  ottla perf diff before/all.folded after/all.folded

The folder gets index.html, an SVG to click and search in for each shard, and the folded stacks for `ottla perf diff`. Kernel
functions are included and end on _[k]. It works for any process; threads of one name count together. Hardware cycles are sampled
where there are counters, else the kernel's clock; needs Linux perf, and root or perf_event_paranoid of at most 1.")]
pub(super) struct Flame {
    #[command(flatten)]
    target: Target,
    /// Folder for graphs and stacks; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "flame")]
    out: PathBuf,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Flames<'a> {
    recorded: &'a Recorded,
    graphs: &'a [Graph],
}

impl Flame {
    fn run(&self) -> Result<(), Failure> {
        let tool = Tool::find()?;
        make_folder(&self.out)?;
        let (recorded, graphs) = self.target.look(|pid| draw_flames(&tool, pid, self.target.seconds, &self.out))?;
        let page = write_page(&flame_page(&recorded, &graphs), &self.out)?;
        let mut out = io::stdout().lock();
        if self.json {
            return print_json(&mut out, &Flames { recorded: &recorded, graphs: &graphs });
        }
        tell_graphs(&mut out, &graphs, "samples")?;
        if !recorded.kernel_names {
            eprintln!(
                "note: the kernel's functions have no names: sysctl -w kernel.kptr_restrict=0, or run it as root"
            );
        }
        Ok(writeln!(
            io::stderr(),
            "{} samples of {} in {} s: open {}",
            recorded.samples,
            recorded.event,
            recorded.seconds,
            page.display()
        )?)
    }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| {
        Failure::runtime(format!("cannot make {}: {error}", folder.display())).next("choose another: --out DIR")
    })
}

/// Records and draws into a folder, which holds the samples only meanwhile.
fn draw_flames(tool: &Tool, pid: u32, seconds: u64, folder: &Path) -> Result<(Recorded, Vec<Graph>), PerfError> {
    let data = folder.join("perf.data");
    let outcome = ottla_perf::flame(tool, pid, seconds, &data);
    remove_samples(&data);
    let (profile, recorded) = outcome?;
    let title = format!("{} s of {}", recorded.seconds, recorded.event);
    Ok((recorded, write_graphs(&profile, &title, "samples", false, folder)?))
}

/// Samples are large, and of no use without the very binary; a file that was never made is no error.
fn remove_samples(data: &Path) {
    let _ = fs::remove_file(data);
    let _ = fs::remove_file(data.with_extension("data.old"));
}

fn flame_page(recorded: &Recorded, graphs: &[Graph]) -> Page {
    Page {
        title: "Where processors spend their time".to_owned(),
        facts: recorded_facts(recorded),
        groups: vec![("Flame graphs".to_owned(), graph_links(graphs, "samples"))],
        texts: vec![("Innermost functions of all threads".to_owned(), hottest_text(graphs))],
    }
}

fn recorded_facts(recorded: &Recorded) -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    vec![
        fact("process", recorded.pid.to_string()),
        fact("sampled", format!("{} for {} s, {} samples", recorded.event, recorded.seconds, recorded.samples)),
        fact("by", recorded.perf.clone()),
    ]
}

fn graph_links(graphs: &[Graph], unit: &str) -> Vec<Link> {
    let of = |graph: &Graph| Link {
        file: graph.svg.to_string_lossy().into_owned(),
        name: graph.name.clone(),
        tells: format!("{} {unit}; stacks: {}", graph.total, graph.folded.display()),
    };
    graphs.iter().map(of).collect()
}

fn hottest_text(graphs: &[Graph]) -> String {
    let Some(all) = graphs.first() else { return String::new() };
    let line =
        |(name, count): &(String, u64)| format!("{:5.1} %  {name}\n", *count as f64 * 100.0 / all.total.max(1) as f64);
    all.hottest.iter().map(line).collect()
}

fn tell_graphs(out: &mut impl Write, graphs: &[Graph], unit: &str) -> io::Result<()> {
    for graph in graphs {
        writeln!(out, "{:24} {:>10} {unit}", graph.name, graph.total)?;
    }
    write!(out, "\ninnermost functions, all threads\n{}", hottest_text(graphs))
}

fn print_json(out: &mut impl Write, what: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(what).map_err(Failure::runtime)?;
    Ok(writeln!(out, "{text}")?)
}

/// Draw what changed between two recordings
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla perf diff before/all.folded after/all.folded
  ottla perf diff before/shard-0.folded after/shard-0.folded --out shard-0.diff.svg

Red frames take a larger share of the time than before, blue ones a smaller. Shares are compared, not counts: the two may have run
for different times. Run both under the same load (`ottla bench run` with a fixed rate), or the difference is that of the loads.")]
pub(super) struct Diff {
    /// Folded stacks from before
    before: PathBuf,
    /// Folded stacks from after
    after: PathBuf,
    /// The picture
    #[arg(short, long, value_name = "FILE", default_value = "diff.svg")]
    out: PathBuf,
    /// Print what moved as JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    fn run(&self) -> Result<(), Failure> {
        let (before, after) = (Stacks::read(&self.before)?, Stacks::read(&self.after)?);
        let difference = ottla_perf::diff(&before, &after, &self.out)?;
        let mut out = io::stdout().lock();
        if self.json {
            return print_json(&mut out, &difference);
        }
        let lists =
            [("FUNCTION WITH ALL IT CALLS", &difference.moved_with_callees), ("FUNCTION ITSELF", &difference.moved)];
        for (heading, moved) in lists {
            writeln!(out, "{:>8} {:>8} {:>8}  {heading}", "BEFORE", "AFTER", "CHANGE")?;
            for (name, was, is) in moved {
                writeln!(out, "{:>7.1}% {:>7.1}% {:>+7.1}%  {name}", was * 100.0, is * 100.0, (is - was) * 100.0)?;
            }
        }
        Ok(writeln!(io::stderr(), "open {}", self.out.display())?)
    }
}

/// Draw where threads wait, and for how long
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla perf offcpu                             the broker that runs, 10 s, into ./offcpu
  ottla perf offcpu --pid 4242 -s 3
  ottla perf offcpu --self-start --json

Widths are microseconds away from the processor, below the calls that led there; [preempted] is time in which a thread was ready
and had no processor. Each sleep is recorded: keep it short under load. Needs tracepoints: root, or CAP_PERFMON and a readable
/sys/kernel/tracing.")]
pub(super) struct Offcpu {
    #[command(flatten)]
    target: Target,
    /// Folder for graphs and stacks; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "offcpu")]
    out: PathBuf,
    /// Print what was recorded as JSON
    #[arg(long)]
    json: bool,
}

impl Offcpu {
    fn run(&self) -> Result<(), Failure> {
        let tool = Tool::find()?;
        make_folder(&self.out)?;
        let graphs = self.target.look(|pid| draw_waits(&tool, pid, self.target.seconds, &self.out))?;
        let page = Page {
            title: "Where threads wait".to_owned(),
            facts: vec![("recorded".to_owned(), format!("{} s of sched:sched_switch", self.target.seconds))],
            groups: vec![("Waits".to_owned(), graph_links(&graphs, "µs"))],
            texts: vec![("Innermost functions of all threads".to_owned(), hottest_text(&graphs))],
        };
        let page = write_page(&page, &self.out)?;
        let mut out = io::stdout().lock();
        if self.json {
            return print_json(&mut out, &graphs);
        }
        tell_graphs(&mut out, &graphs, "µs")?;
        Ok(writeln!(io::stderr(), "open {}", page.display())?)
    }
}

fn draw_waits(tool: &Tool, pid: u32, seconds: u64, folder: &Path) -> Result<Vec<Graph>, PerfError> {
    let data = folder.join("perf.data");
    let outcome = ottla_perf::offcpu(tool, pid, seconds, &data);
    remove_samples(&data);
    write_graphs(&outcome?, &format!("{seconds} s of waits"), "µs", true, folder)
}
