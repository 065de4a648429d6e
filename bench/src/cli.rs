//! Commands and flags.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use ottla_bench::broker::BrokerCommand;
use ottla_bench::compare::{self, Plan};
use ottla_bench::connection::resolve;
use ottla_bench::measure::Timing;
use ottla_bench::workload::{self, TABLE, Target, Workload};
use ottla_bench::{exercise, process, report};

/// Raw load and comparisons for any Kafka-compatible broker.
#[derive(Debug, Parser)]
#[command(name = "ottla-bench", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the workloads.
    List,
    /// Runs workloads against one broker.
    Run(Box<Run>),
    /// Runs workloads against several brokers in turn; writes every run, medians and ratios.
    Compare(Compare),
    /// Creates many partitions, writes to each; tells memory and start-up times, clean and after kill -9.
    Partitions(Partitions),
    /// Starts a broker and lets it idle; tells time to first answer, memory and CPU.
    Idle(Idle),
}

#[derive(Debug, Args)]
struct Length {
    /// Seconds counted in each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of the same load before, not counted
    #[arg(long, default_value_t = 3.0)]
    warm: f64,
}

impl Length {
    fn timing(&self) -> anyhow::Result<Timing> {
        let length =
            |seconds: f64| Duration::try_from_secs_f64(seconds).context("--seconds and --warm must not be negative");
        Ok(Timing { warm: length(self.warm)?, counted: length(self.seconds)? })
    }
}

#[derive(Debug, Args)]
struct Run {
    /// Workloads by name (see `list`); all of them when none is named
    workloads: Vec<String>,
    /// The broker, HOST:PORT
    #[arg(long, default_value = "127.0.0.1:9092")]
    broker: String,
    /// What to call it in tables
    #[arg(long, default_value = "broker")]
    label: String,
    /// Its process, whose CPU time is counted; found by the port it listens on when not given
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    shape: Shape,
    /// Seed of the batches' content
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the outcomes as JSON to this file, `-` for standard output
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Compare {
    /// Workloads by name (see `list`); all of them when none is named
    workloads: Vec<String>,
    /// A broker, LABEL=HOST:PORT; several times. Ratios are to the first
    #[arg(long = "broker", required = true, value_name = "LABEL=HOST:PORT")]
    brokers: Vec<String>,
    /// Rounds that count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Rounds before that are thrown away
    #[arg(long, default_value_t = 1)]
    warm_rounds: u16,
    #[command(flatten)]
    length: Length,
    /// Seconds for the disk to settle before each run
    #[arg(long, default_value_t = 1.0)]
    settle: f64,
    /// Folder for the results
    #[arg(long, default_value = "perf/results")]
    out: PathBuf,
    /// Name of the results
    #[arg(long, default_value = "comparison")]
    name: String,
    /// A path on the disk that the brokers write to, for the host's facts
    #[arg(long, default_value = "/tmp")]
    data: String,
}

#[derive(Debug, Args)]
struct Broker {
    /// Where the broker will listen, HOST:PORT
    #[arg(long)]
    listen: String,
    /// Where its output goes
    #[arg(long, default_value = "ottla-bench-broker.log")]
    log: PathBuf,
    /// Seconds that a start may take
    #[arg(long, default_value_t = 60)]
    start_timeout: u64,
    /// How to start it: program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Broker {
    fn command(&self) -> anyhow::Result<BrokerCommand> {
        Ok(BrokerCommand { words: self.command.clone(), addr: resolve(&self.listen)?, log: self.log.clone() })
    }
}

#[derive(Debug, Args)]
struct Partitions {
    /// How many
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Write the figures as JSON to this file, `-` for standard output
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    broker: Broker,
}

#[derive(Debug, Args)]
struct Idle {
    /// Seconds before the counting begins
    #[arg(long, default_value_t = 2.0)]
    settle: f64,
    /// Seconds counted
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Write the figures as JSON to this file, `-` for standard output
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    broker: Broker,
}

/// Other sizes than the table's, for every workload that is run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Other sizes than the table's")]
struct Shape {
    /// Partitions
    #[arg(long)]
    partitions: Option<usize>,
    /// Bytes of a batch
    #[arg(long)]
    batch_bytes: Option<usize>,
    /// Bytes of a record's value
    #[arg(long)]
    value_bytes: Option<usize>,
    /// Connections
    #[arg(long)]
    connections: Option<usize>,
    /// Requests in flight on each connection
    #[arg(long)]
    in_flight: Option<usize>,
    /// Partitions in a produce request
    #[arg(long)]
    partitions_per_request: Option<usize>,
    /// Batches a second, open loop
    #[arg(long)]
    rate: Option<u64>,
    /// Acks of produce requests: -1 or 1
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-1..=1))]
    acks: Option<i16>,
}

impl Shape {
    fn apply(&self, workload: &Workload) -> Workload {
        Workload {
            partitions: self.partitions.unwrap_or(workload.partitions),
            batch_bytes: self.batch_bytes.unwrap_or(workload.batch_bytes),
            value_bytes: self.value_bytes.unwrap_or(workload.value_bytes),
            connections: self.connections.unwrap_or(workload.connections),
            in_flight: self.in_flight.unwrap_or(workload.in_flight),
            partitions_per_request: self.partitions_per_request.unwrap_or(workload.partitions_per_request),
            rate: self.rate.unwrap_or(workload.rate),
            acks: self.acks.unwrap_or(workload.acks),
            ..workload.clone()
        }
    }
}

/// Runs a command; whether all was well.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<bool> {
    match arguments.command {
        Command::List => {
            for workload in &TABLE {
                println!("{:<16} {}", workload.name, workload.what);
            }
            Ok(true)
        }
        Command::Run(run) => run_workloads(&run),
        Command::Compare(compare) => run_comparison(&compare),
        Command::Partitions(partitions) => run_partitions(&partitions),
        Command::Idle(idle) => run_idle(&idle),
    }
}

/// The workloads of these names, all for none.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Workload>> {
    if names.is_empty() {
        return Ok(TABLE.iter().collect());
    }
    let find = |name: &String| {
        let known = TABLE.iter().map(|workload| workload.name).collect::<Vec<_>>().join(", ");
        TABLE
            .iter()
            .find(|workload| workload.name == name)
            .with_context(|| format!("no workload {name}; there are {known}"))
    };
    names.iter().map(find).collect()
}

fn run_workloads(run: &Run) -> anyhow::Result<bool> {
    let timing = run.length.timing()?;
    if run.shape.acks == Some(0) {
        bail!("--acks 0 is not answered, so nothing can be counted; say -1 or 1");
    }
    let target = target(&run.label, &run.broker, run.pid)?;
    let mut outcomes = Vec::new();
    // With JSON on standard output the table goes to the other.
    let quiet = run.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
    let say = |line: String| if quiet { eprintln!("{line}") } else { println!("{line}") };
    say(report::head());
    for workload in chosen(&run.workloads)? {
        let outcome = workload::run(&run.shape.apply(workload), &target, timing, run.seed).context(workload.name)?;
        say(report::row(&outcome));
        outcomes.push(outcome);
    }
    if let Some(path) = &run.json {
        write_json(path, &outcomes)?;
    }
    Ok(outcomes.iter().all(ottla_bench::measure::Outcome::is_clean))
}

fn target(label: &str, broker: &str, pid: Option<u32>) -> anyhow::Result<Target> {
    let addr = resolve(broker)?;
    let pid = pid.map_or_else(|| process::listener_pid(addr.port()), Ok)?;
    Ok(Target { label: label.to_owned(), addr, pid })
}

fn run_comparison(flags: &Compare) -> anyhow::Result<bool> {
    let targets = flags.brokers.iter().map(|broker| {
        let (label, broker) =
            broker.split_once('=').with_context(|| format!("--broker {broker}: say LABEL=HOST:PORT"))?;
        target(label, broker, None)
    });
    let plan = Plan {
        targets: targets.collect::<anyhow::Result<Vec<_>>>()?,
        workloads: chosen(&flags.workloads)?.into_iter().cloned().collect(),
        rounds: flags.rounds.into(),
        warm_rounds: flags.warm_rounds.into(),
        timing: flags.length.timing()?,
        settle: Duration::try_from_secs_f64(flags.settle).context("--settle must not be negative")?,
    };
    let comparison = compare::compare(&plan, &flags.data, |line| println!("{line}"));
    let table = comparison.write(&flags.out, &flags.name)?;
    println!("\n{}", std::fs::read_to_string(&table)?);
    println!("written to {}", table.display());
    Ok(comparison.failures.is_empty() && comparison.runs.iter().all(|run| run.outcome.is_clean()))
}

fn run_partitions(flags: &Partitions) -> anyhow::Result<bool> {
    let timeout = Duration::from_secs(flags.broker.start_timeout);
    let tell = |line: &str| eprintln!("{line}");
    let outcome = exercise::partitions(&flags.broker.command()?, flags.count as usize, timeout, tell)?;
    if let Some(path) = &flags.json {
        write_json(path, &outcome)?;
    }
    Ok(true)
}

fn run_idle(flags: &Idle) -> anyhow::Result<bool> {
    let timeout = Duration::from_secs(flags.broker.start_timeout);
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds).context("seconds must not be negative");
    let outcome = exercise::idle(&flags.broker.command()?, timeout, length(flags.settle)?, length(flags.seconds)?)?;
    eprintln!(
        "first answer {:.1} ms, {:.1} MiB resident, {:.2} % of a core idle, stopped in {:.0} ms",
        outcome.first_answer_ms, outcome.resident_mib, outcome.cpu_percent, outcome.stop_ms
    );
    if let Some(path) = &flags.json {
        write_json(path, &outcome)?;
    }
    Ok(true)
}

fn write_json(path: &PathBuf, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    if path.as_os_str() == "-" {
        std::io::stdout().write_all(text.as_bytes())?;
    } else {
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
