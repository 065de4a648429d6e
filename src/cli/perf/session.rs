//! `ottla perf session`: a workload, and everything that can be seen of it, in one folder.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ottla_perf::{Graph, Link, OwnBroker, Page, Perf as Tool, PerfError, Recorded, write_page};

use super::load::{Load, Scratch, own_program};
use super::{draw_flames, draw_waits, graph_links, hottest_text, make_folder, recorded_facts, syscalls};
use crate::cli::Failure;

/// For how long waits are recorded: each sleep is an event.
const WAIT_SECONDS: u64 = 1;
/// How long the load may take to end after it has been counted: it reads back and verifies.
const FINISH_PATIENCE: Duration = Duration::from_secs(180);

/// Run a workload, record all that can be seen of the broker meanwhile, link it on one page
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla perf session produce-16x64k                     a broker of its own, into ./session
  ottla perf session end-to-end-2k --out before         then change something, build, and:
  ottla perf session end-to-end-2k --out after
  ottla perf diff before/flame/all.folded after/flame/all.folded
  ottla perf session mixed --pid 4242 --bootstrap 127.0.0.1:9092

The folder gets index.html, the benchmark's result and page, flame graphs of each shard, waits, and counts of system calls and ring
operations. `ottla bench list` names workloads. Recording costs the broker a few percent: compare a session's speed only with another
session's. What is not permitted on this host is left out, and the page says so.")]
pub(in crate::cli) struct Session {
    /// What is put on the broker: a name or a file, as for `ottla bench run`
    workload: String,
    /// A broker that runs [default: one of its own, in a scratch folder]
    #[arg(long, value_name = "PID", requires = "bootstrap")]
    pid: Option<u32>,
    /// Where that broker is reached
    #[arg(long, value_name = "HOST:PORT", requires = "pid")]
    bootstrap: Option<String>,
    /// For how many seconds processors are sampled, and then calls are counted
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Folder for all of it; made if it is not there
    #[arg(short, long, value_name = "DIR", default_value = "session")]
    out: PathBuf,
}

/// What a session has seen; what was not permitted says why.
struct Seen {
    flames: Result<(Recorded, Vec<Graph>), PerfError>,
    waits: Result<Vec<Graph>, PerfError>,
    counts: Result<syscalls::Counts, PerfError>,
}

impl Session {
    pub(super) fn run(&self) -> Result<(), Failure> {
        make_folder(&self.out)?;
        let seen = match (self.pid, &self.bootstrap) {
            (Some(pid), Some(bootstrap)) => self.look(pid, bootstrap)?,
            _ => {
                let scratch = Scratch::make()?;
                let broker = OwnBroker::start(&own_program()?, scratch.path())?;
                eprintln!("a broker of its own at {}, process {}", broker.bootstrap, broker.pid());
                self.look(broker.pid(), &broker.bootstrap)?
            }
        };
        let page = write_page(&self.page(&seen)?, &self.out)?;
        let mut out = io::stdout().lock();
        if let Ok(counts) = &seen.counts {
            write!(out, "{}", counts.text())?;
        }
        for error in seen.failures() {
            eprintln!("left out: {error}\n  next: {}", error.next_step());
        }
        Ok(writeln!(io::stderr(), "open {}", page.display())?)
    }

    /// Puts the workload on the broker and looks, one thing after the other: they would see one another.
    fn look(&self, pid: u32, bootstrap: &str) -> Result<Seen, Failure> {
        let result = |name: &str| self.out.join(name).to_string_lossy().into_owned();
        let more = [
            "--pid".to_owned(),
            pid.to_string(),
            "--json".to_owned(),
            result("bench.json"),
            "--html".to_owned(),
            result("bench.html"),
        ];
        let counted = 2 * self.seconds + WAIT_SECONDS;
        let mut load = Load::start(&self.workload, bootstrap, counted, &more)?;
        load.await_work(pid)?;
        eprintln!("sampling for {} s", self.seconds);
        let flames = Tool::find().and_then(|tool| draw_flames(&tool, pid, self.seconds, &self.folder("flame")?));
        eprintln!("counting for {} s", self.seconds);
        let counts = syscalls::of_process(pid, self.seconds);
        let waits = Tool::find().and_then(|tool| draw_waits(&tool, pid, WAIT_SECONDS, &self.folder("offcpu")?));
        load.finish(FINISH_PATIENCE)?;
        Ok(Seen { flames, waits, counts })
    }

    fn folder(&self, name: &str) -> Result<PathBuf, PerfError> {
        let folder = self.out.join(name);
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(folder),
            Err(error) => Err(PerfError::Io { what: "make", path: folder, error }),
        }
    }

    fn page(&self, seen: &Seen) -> Result<Page, Failure> {
        let mut page = Page { title: format!("Session: {}", self.workload), ..Page::default() };
        let link =
            |file: &str, name: &str, tells: &str| Link { file: file.into(), name: name.into(), tells: tells.into() };
        let bench = [
            link("bench.html", "plots", "speed, latency, cost, verification"),
            link("bench.json", "figures", "the same, with the host's facts"),
        ];
        let there = bench.into_iter().filter(|link| self.out.join(&link.file).exists()).collect();
        page.groups.push(("Benchmark".to_owned(), there));
        if let Ok((recorded, graphs)) = &seen.flames {
            page.facts.extend(recorded_facts(recorded));
            page.groups
                .push(("Where processors spend their time".to_owned(), below("flame", graph_links(graphs, "samples"))));
            page.texts.push(("Innermost functions of all threads".to_owned(), hottest_text(graphs)));
        }
        if let Ok(graphs) = &seen.waits {
            page.groups.push(("Where threads wait".to_owned(), below("offcpu", graph_links(graphs, "µs"))));
        }
        if let Ok(counts) = &seen.counts {
            self.write_counts(counts)?;
            page.groups.push((
                "Counters".to_owned(),
                vec![link("syscalls.json", "rings and system calls", "by shard, as JSON")],
            ));
            page.texts.push(("Rings and system calls, by shard".to_owned(), counts.text()));
        }
        let left_out: String =
            seen.failures().map(|error| format!("{error}\n  next: {}\n", error.next_step())).collect();
        if !left_out.is_empty() {
            page.texts.push(("Left out".to_owned(), left_out));
        }
        Ok(page)
    }

    fn write_counts(&self, counts: &syscalls::Counts) -> Result<(), Failure> {
        let path = self.out.join("syscalls.json");
        let text = serde_json::to_string_pretty(counts).map_err(Failure::runtime)?;
        fs::write(&path, text + "\n")
            .map_err(|error| Failure::runtime(format!("cannot write {}: {error}", path.display())))
    }
}

impl Seen {
    fn failures(&self) -> impl Iterator<Item = &PerfError> {
        let flames = self.flames.as_ref().err();
        flames.into_iter().chain(self.counts.as_ref().err()).chain(self.waits.as_ref().err())
    }
}

/// Links into a folder below the page's.
fn below(folder: &str, links: Vec<Link>) -> Vec<Link> {
    let of = |link: Link| Link { file: Path::new(folder).join(link.file).to_string_lossy().into_owned(), ..link };
    links.into_iter().map(of).collect()
}
