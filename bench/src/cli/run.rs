use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Connect, KEEPS, Probe, Trouble, interrupts, milliseconds, workload, write_json, write_text};
use crate::result::RunResult;
use crate::spec::{Acks, Bytes, Compression, Fault, Keys, Rate, Sizes, Spec, Verify, check};
use crate::stage::{Control, no_gate};
use crate::tell::{Live, page, quiet_line, summary};
use crate::{agent, kinds, search};

/// Run workloads against one broker
///
/// A workload is one of `ottla bench list`, or a TOML file (begin with `ottla bench show NAME`).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench run produce-16x64k                           one workload, as it is
  ottla bench run end-to-end --rate '50000 records' --duration 1m --out results
  ottla bench run produce --max --record-bytes 100..4000 --compression zstd --keys zipf:10000:0.99
  ottla bench run end-to-end --find-rate --p99 10ms        the highest rate that holds it
  ottla bench run my.toml --json - --quiet                 the result on standard output
  ottla bench run produce --agents host1:7171,host2:7171   load from two machines (ottla bench agent)")]
pub(super) struct Run {
    /// Workloads: names or files
    #[arg(required = true)]
    workloads: Vec<String>,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    probe: Probe,
    /// Closed loop: as fast as answers come
    #[arg(long, conflicts_with_all = ["rate", "find_rate"])]
    max: bool,
    /// Search the highest rate whose p99 stays within --p99
    #[arg(long, requires = "p99", conflicts_with_all = ["rate", "agents"])]
    find_rate: bool,
    /// The p99 to hold, such as 10ms
    #[arg(long, value_parser = milliseconds, requires = "find_rate")]
    p99: Option<f64>,
    /// Machines that bring the load, HOST:PORT each (see `ottla bench agent`)
    #[arg(long, value_delimiter = ',')]
    agents: Vec<String>,
    /// Which client: raw frames, or librdkafka (when built with that feature)
    #[arg(long, value_enum, default_value_t = Client::Raw)]
    client: Client,
    /// End with the first lost connection instead of waiting for the broker
    #[arg(long)]
    fail_fast: bool,
    /// Seconds that reading back after the load may take
    #[arg(long, default_value_t = 5.0)]
    verify_seconds: f64,
    /// Seed of contents
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write NAME.json and NAME.html into this folder
    #[arg(long, short = 'o', value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the result as JSON to this file, `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one line for each workload, and nothing while it runs
    #[arg(long, short = 'q')]
    quiet: bool,
    #[command(flatten)]
    shape: Shape,
}

/// What drives the load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Client {
    /// Ready-made frames on few threads: costs less than the broker.
    Raw,
    /// What people really use.
    Librdkafka,
}

/// Settings other than the workload's.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings other than the workload's")]
pub(super) struct Shape {
    /// Rate: max, 2000 (batches a second), '50000 records', '100 MB'
    #[arg(long)]
    rate: Option<Rate>,
    /// How long it is counted: 10s, 500ms, 5m
    #[arg(long, alias = "seconds", value_name = "LENGTH", value_parser = super::seconds)]
    duration: Option<f64>,
    /// How long the same load runs before, not counted
    #[arg(long, value_name = "LENGTH", value_parser = super::seconds)]
    warm_up: Option<f64>,
    /// As short and small as it makes sense: does everything work?
    #[arg(long)]
    brief: bool,
    /// Topics
    #[arg(long)]
    topics: Option<u32>,
    /// Partitions of each topic
    #[arg(long)]
    partitions: Option<u32>,
    /// Replicas of each topic
    #[arg(long)]
    replication: Option<i16>,
    /// A setting of the topics, KEY=VALUE; several times
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Producers of each topic
    #[arg(long)]
    producers: Option<u32>,
    /// Requests in flight of each producer
    #[arg(long)]
    in_flight: Option<u32>,
    /// Bytes of a batch, such as 64KiB
    #[arg(long)]
    batch_bytes: Option<Bytes>,
    /// A batch holds what is due in so many milliseconds
    #[arg(long)]
    linger_ms: Option<f64>,
    /// Bytes of a record's value: 1024, 100..2000, or 100:9,4096:1 with weights
    #[arg(long)]
    record_bytes: Option<Sizes>,
    /// Partitions, a batch each, in one request
    #[arg(long)]
    partitions_per_request: Option<u32>,
    /// Acknowledgements: all, 1, 0
    #[arg(long, allow_negative_numbers = true)]
    acks: Option<Acks>,
    /// Compression: none, gzip, snappy, lz4, zstd
    #[arg(long)]
    compression: Option<Compression>,
    /// Share of a value that compression can squeeze out, 0 to 1
    #[arg(long)]
    compressibility: Option<f64>,
    /// Keys: none, uniform:10000, zipf:10000:0.99
    #[arg(long)]
    keys: Option<Keys>,
    /// Load threads
    #[arg(long)]
    threads: Option<u32>,
    /// Connections closed and opened anew each second
    #[arg(long)]
    churn: Option<f64>,
    /// Consumers of each topic in each group
    #[arg(long)]
    consumers: Option<u32>,
    /// Groups of consumers: each reads everything
    #[arg(long)]
    groups: Option<u32>,
    /// Readers from the earliest record
    #[arg(long)]
    catch_up: Option<u32>,
    /// Bytes produced before the clock runs, such as 1GiB
    #[arg(long)]
    backlog: Option<Bytes>,
    /// How much consumers look at
    #[arg(long, value_enum)]
    verify: Option<Verify>,
    /// Stages, such as 10,100,1000
    #[arg(long, value_delimiter = ',')]
    steps: Option<Vec<u32>>,
}

impl Shape {
    /// Whether everything is to be short and small.
    pub(super) fn is_brief(&self) -> bool {
        self.brief
    }

    /// Whether it says how long a run is.
    pub(super) fn has_length(&self) -> bool {
        self.duration.is_some() || self.brief
    }

    /// The workload with these settings.
    pub(super) fn apply(&self, spec: &Spec) -> Result<Spec, Trouble> {
        fn set<T: Clone>(place: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                *place = value.clone();
            }
        }
        let mut spec = spec.clone();
        if self.brief {
            shorten(&mut spec);
        }
        set(&mut spec.seconds, self.duration.as_ref());
        set(&mut spec.warm_seconds, self.warm_up.as_ref());
        set(&mut spec.steps, self.steps.as_ref());
        set(&mut spec.topics.count, self.topics.as_ref());
        set(&mut spec.topics.partitions, self.partitions.as_ref());
        set(&mut spec.topics.replication, self.replication.as_ref());
        for setting in &self.config {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| Trouble::Usage(format!("--config {setting}: say KEY=VALUE")))?;
            spec.topics.config.insert(key.to_owned(), value.to_owned());
        }
        let produce = &mut spec.produce;
        set(&mut produce.rate, self.rate.as_ref());
        set(&mut produce.producers, self.producers.as_ref());
        set(&mut produce.in_flight, self.in_flight.as_ref());
        set(&mut produce.batch_bytes, self.batch_bytes.as_ref());
        set(&mut produce.linger_ms, self.linger_ms.map(Some).as_ref());
        set(&mut produce.record_bytes, self.record_bytes.as_ref());
        set(&mut produce.partitions_per_request, self.partitions_per_request.as_ref());
        set(&mut produce.acks, self.acks.as_ref());
        set(&mut produce.compression, self.compression.as_ref());
        set(&mut produce.compressibility, self.compressibility.as_ref());
        set(&mut produce.keys, self.keys.as_ref());
        set(&mut produce.threads, self.threads.as_ref());
        set(&mut produce.churn, self.churn.as_ref());
        let consume = &mut spec.consume;
        set(&mut consume.consumers, self.consumers.as_ref());
        set(&mut consume.groups, self.groups.as_ref());
        set(&mut consume.catch_up, self.catch_up.as_ref());
        set(&mut consume.backlog, self.backlog.as_ref());
        set(&mut consume.verify, self.verify.as_ref());
        let fault = |fault: Fault| Trouble::Usage(format!("{} {}: {}", spec.name, fault.key, fault.why));
        check(&spec).map_err(fault)?;
        Ok(spec)
    }
}

/// A second, little before it, little to read, few steps.
fn shorten(spec: &mut Spec) {
    (spec.seconds, spec.warm_seconds) = (1.0, 0.2);
    spec.consume.backlog.0 = spec.consume.backlog.0.min(16 << 20);
    spec.consume.drop_caches = false;
    let most = [3, 10, 30];
    spec.steps.truncate(most.len());
    spec.steps.iter_mut().zip(most).for_each(|(step, most)| *step = (*step).min(most));
}

impl Run {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let mut specs = Vec::new();
        for word in &self.workloads {
            let mut spec = self.shape.apply(&workload(word)?)?;
            if self.max {
                spec.produce.rate = Rate::Max;
            }
            specs.push(spec);
        }
        let target = self.connect.target()?;
        let stop = interrupts(if self.quiet { "" } else { KEEPS })?;
        let live = Live::new(self.quiet);
        live.doing("limits");
        let limits = self.probe.limits(&target);
        let hear = |moment: &crate::stage::Moment<'_>| live.moment(moment);
        let control = Control {
            stop,
            fail_fast: self.fail_fast,
            part: (0, 1),
            seed: self.seed,
            verify_seconds: self.verify_seconds,
            live: &hear,
            gate: &no_gate,
        };
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        for spec in specs {
            if control.stopped() {
                break;
            }
            live.doing(&spec.name);
            match self.one(&spec, &target, &control, limits.as_ref(), &live) {
                Ok(result) => {
                    self.tell(&result, &live)?;
                    results.push(result);
                }
                // The others go on.
                Err(trouble) => failures.push(format!("{}: {trouble}", spec.name)),
            }
        }
        live.done();
        if !results.is_empty() {
            self.write(&results)?;
        }
        if control.stopped() {
            let what = format!("{} of {} workloads, the last one cut short", results.len(), self.workloads.len());
            return Err(Trouble::Interrupted(if self.quiet { String::new() } else { format!("interrupted: {what}") }));
        }
        if !failures.is_empty() {
            return Err(Trouble::Run(failures.join("\n"), None));
        }
        clean(&results)
    }

    fn one(
        &self,
        spec: &Spec,
        target: &crate::stage::Target,
        control: &Control<'_>,
        limits: Option<&crate::limits::Limits>,
        live: &Live,
    ) -> Result<RunResult, Trouble> {
        if self.client == Client::Librdkafka {
            return librdkafka(spec, target, control, limits);
        }
        if let Some(p99) = self.p99.filter(|_| self.find_rate) {
            let tell = |line: &str| {
                if !self.quiet {
                    live.say(line)
                }
            };
            return Ok(search::find_rate(spec, target, control, limits, p99, tell)?);
        }
        if self.agents.is_empty() {
            Ok(kinds::run(spec, target, control, limits.cloned())?)
        } else {
            Ok(agent::run(&self.agents, spec, target, control, limits)?)
        }
    }

    /// With JSON on standard output everything else goes to the other.
    fn tell(&self, result: &RunResult, live: &Live) -> Result<(), Trouble> {
        let text = if self.quiet { quiet_line(result) + "\n" } else { summary(result) };
        if self.json.as_ref().is_some_and(|path| path.as_os_str() == "-") {
            live.say(text.trim_end());
            return Ok(());
        }
        write_text(std::path::Path::new("-"), &text)
    }

    fn write(&self, results: &[RunResult]) -> Result<(), Trouble> {
        if let Some(folder) = &self.out {
            for result in results {
                let path =
                    |ending: &str| folder.join(format!("{}-{}.{ending}", result.workload.name, result.broker.label));
                write_json(&path("json"), result)?;
                write_text(&path("html"), &page(std::slice::from_ref(result)))?;
                if !self.quiet {
                    eprintln!("written to {} and {}", path("json").display(), path("html").display());
                }
            }
        }
        if let Some(path) = &self.html {
            write_text(path, &page(results))?;
        }
        match (&self.json, results) {
            (Some(path), [one]) => write_json(path, one),
            (Some(path), many) => write_json(path, &many),
            (None, _) => Ok(()),
        }
    }
}

/// All well, or what was not.
pub(super) fn clean(results: &[RunResult]) -> Result<(), Trouble> {
    let bad: Vec<String> = results.iter().filter(|result| !result.is_clean()).map(quiet_line).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Trouble::Run(format!("not clean:\n  {}", bad.join("\n  ")), Some("look at the broker's log".to_owned())))
}

#[cfg(feature = "librdkafka")]
fn librdkafka(
    spec: &Spec,
    target: &crate::stage::Target,
    control: &Control<'_>,
    limits: Option<&crate::limits::Limits>,
) -> Result<RunResult, Trouble> {
    Ok(crate::librdkafka::run(spec, target, control, limits.cloned())?)
}

#[cfg(not(feature = "librdkafka"))]
fn librdkafka(
    _: &Spec,
    _: &crate::stage::Target,
    _: &Control<'_>,
    _: Option<&crate::limits::Limits>,
) -> Result<RunResult, Trouble> {
    let what = "this program was built without librdkafka".to_owned();
    Err(Trouble::Run(what, Some("build it with: cargo build --release --features librdkafka".to_owned())))
}
