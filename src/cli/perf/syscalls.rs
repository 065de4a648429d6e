//! `ottla perf syscalls`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;
use ottla_perf::{
    Counted, Perf as Tool, PerfError, RingRates, RingTotals, TRACEPOINTS, count, get, metrics_address, parse, rates,
    table, thread_names, totals,
};
use serde::Serialize;

use super::{Target, print_json};
use crate::cli::Failure;

/// Count system calls, ring operations and sleeps, shard by shard
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla perf syscalls                           the broker that runs, 10 s
  ottla perf syscalls --pid 4242 -s 2
  ottla perf syscalls --metrics 10.0.0.5:9644   a broker elsewhere: without tracepoints
  ottla perf syscalls --self-start --json

SUBM/ENTER is how many operations share a system call: the higher under load, the less each costs. PUNTED/S are operations that
the kernel could not do at once and gave to a worker thread: each costs two switches. Rings are counted by the broker itself;
PUNTED and SYSCALLS by tracepoints, where those are permitted.")]
pub(in crate::cli) struct Syscalls {
    #[command(flatten)]
    target: Target,
    /// The broker's metrics endpoint [default: found by its process]
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["pid", "self_start"])]
    metrics: Option<String>,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

/// What was counted, and why something was not.
#[derive(Serialize)]
pub(super) struct Counts {
    seconds: f64,
    pub(super) shards: Vec<RingRates>,
    /// Why punted operations and system calls are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    tracepoints: Option<String>,
}

impl Syscalls {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let seconds = self.target.seconds;
        let counts = match &self.metrics {
            Some(address) => counted(address, seconds, None)?,
            None => self.target.look(|pid| of_process(pid, seconds))?,
        };
        let mut out = io::stdout().lock();
        if self.json {
            return print_json(&mut out, &counts);
        }
        write!(out, "{}", counts.text())?;
        Ok(())
    }
}

impl Counts {
    /// For people.
    pub(super) fn text(&self) -> String {
        let why = self.tracepoints.as_ref().map_or_else(String::new, |why| format!("\nno tracepoints: {why}\n"));
        table(&self.shards) + &why
    }
}

/// Counts a process for some seconds.
pub(super) fn of_process(pid: u32, seconds: u64) -> Result<Counts, PerfError> {
    let address = metrics_address(pid).ok_or_else(|| PerfError::Metrics {
        address: format!("any port of process {pid}"),
        why: "none answers as a broker's metrics do, or /proc may not be read: are you its user, or root?".to_owned(),
    })?;
    counted(&address, seconds, Some(pid))
}

fn counted(address: &str, seconds: u64, pid: Option<u32>) -> Result<Counts, PerfError> {
    let before = read(address)?;
    let begun = Instant::now();
    let traced = match pid {
        Some(pid) => Tool::find().and_then(|tool| count(&tool, pid, seconds)).map_err(|error| {
            let next = error.next_step();
            format!("{error}; {next}")
        }),
        None => Err("the broker's process is not known: --pid PID".to_owned()),
    };
    // Where nothing is traced, nobody has waited yet.
    std::thread::sleep(Duration::from_secs(seconds).saturating_sub(begun.elapsed()));
    let after = read(address)?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut shards = rates(&before, &after, seconds);
    if let (Ok(traced), Some(pid)) = (&traced, pid) {
        add_traced(&mut shards, traced, &thread_names(pid), seconds);
    }
    Ok(Counts { seconds, shards, tracepoints: traced.err() })
}

fn read(address: &str) -> Result<BTreeMap<u32, RingTotals>, PerfError> {
    let totals = totals(&parse(&get(address)?));
    if totals.is_empty() {
        let why = "it says nothing of rings".to_owned();
        return Err(PerfError::Metrics { address: address.to_owned(), why });
    }
    Ok(totals)
}

/// Adds what tracepoints counted for each shard's thread: the first of its name is the shard.
fn add_traced(shards: &mut [RingRates], traced: &Counted, names: &BTreeMap<u32, String>, seconds: f64) {
    for rate in shards {
        let name = format!("shard-{}", rate.shard);
        let Some((tid, _)) = names.iter().find(|(_, found)| **found == name) else { continue };
        let per_second = |tracepoint: &str| Some(traced.of(*tid, tracepoint) as f64 / seconds);
        rate.punted_per_second = per_second(TRACEPOINTS[0]);
        rate.syscalls_per_second = per_second(TRACEPOINTS[1]);
    }
}
