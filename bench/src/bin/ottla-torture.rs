//! The command line of the crash verifier: `cargo xtask torture` builds a broker and runs this.
#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use ottla_bench::broker::BrokerCommand;
use ottla_bench::random::Random;
use ottla_bench::verify::{self, FileSystem, Image, Plan, Summary, foreign};

/// Ends a broker under load again and again and proves that nothing acknowledged is lost or doubled.
#[derive(Debug, Parser)]
#[command(name = "ottla-torture", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// kill -9 at random moments, also while it starts and stops; SIGSTOP; another number of shards at each start.
    Kill(Kill),
    /// Power cuts: the file system of the data folder is shut off under load. Needs root and loop devices.
    Power(Power),
}

#[derive(Debug, Args)]
struct Terms {
    /// The broker's binary
    #[arg(long)]
    binary: PathBuf,
    /// Folder for data, images and logs; made, and emptied when all went well
    #[arg(long)]
    folder: PathBuf,
    /// Rounds
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// What everything random follows from; a round's own seed is this plus its number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most partitions of a round's topic; most rounds have few
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..))]
    partitions_max: u16,
    /// Producers, a connection each: acks 1 and all, idempotent or not, all codecs, small and large batches
    #[arg(long, default_value_t = 16)]
    writers: u32,
    /// Earliest end, milliseconds after the load's start
    #[arg(long, default_value_t = 50)]
    after_min_ms: u64,
    /// Latest end
    #[arg(long, default_value_t = 2_000)]
    after_max_ms: u64,
    /// MiB acknowledged after which the end comes at once
    #[arg(long, default_value_t = 96)]
    mib_max: u64,
    /// One restart in so many is ended too, before it is done; 0 for none
    #[arg(long, default_value_t = 3)]
    cut_start_one_in: u64,
    /// The most shards; each start draws a number up to this
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    shards_max: u16,
    /// Seconds that a start may take
    #[arg(long, default_value_t = 60)]
    start_timeout: u64,
    /// Settings of the broker; several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
struct Kill {
    #[command(flatten)]
    terms: Terms,
    /// Rounds in which the broker is frozen (SIGSTOP) under load before it is killed
    #[arg(long, default_value_t = 1)]
    freezes: u64,
    /// Seconds that it is frozen
    #[arg(long, default_value_t = 30)]
    freeze_seconds: u64,
    /// Apache Kafka's dump tool, as in /opt/kafka/bin/kafka-dump-log.sh, to read every segment after the last round
    #[arg(long, value_name = "COMMAND")]
    foreign_check: Option<String>,
}

#[derive(Debug, Args)]
struct Power {
    #[command(flatten)]
    terms: Terms,
    /// File systems, with commas between: ext4, ext4-writeback, xfs [default: all]; the rounds are spread over them
    #[arg(long, value_delimiter = ',', value_parser = file_system)]
    file_systems: Vec<FileSystem>,
    /// Size of each file system in MiB
    #[arg(long, default_value_t = 3_072)]
    image_mib: u64,
    /// The broker flushes nothing: each round is on an empty file system, and loss must be found
    #[arg(long)]
    control: bool,
    /// No broker: what each file system answers to durable writes while its power is cut, and what is there of them
    #[arg(long)]
    probe: bool,
}

fn file_system(name: &str) -> Result<FileSystem, String> {
    let known = FileSystem::ALL.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| "there are ext4, ext4-writeback and xfs".to_owned())
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Kill(kill) => run_kill(&kill),
        Command::Power(power) => run_power(&power),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_kill(kill: &Kill) -> anyhow::Result<bool> {
    let terms = &kill.terms;
    std::fs::create_dir_all(&terms.folder).context("make the folder")?;
    let mut plan = terms.plan(&terms.folder.join("data"), "kill")?;
    plan.freezes = (kill.freezes, Duration::from_secs(kill.freeze_seconds));
    plan.keep = kill.foreign_check.is_some();
    let summary = verify::run(&plan, None, |round| println!("{round}"))?;
    let mut passed = summary.failed == 0;
    if let Some(command) = &kill.foreign_check {
        let report = foreign::check(&plan.data, command)?;
        println!("{report}");
        passed &= report.passed();
    }
    println!("{summary}");
    if passed {
        std::fs::remove_dir_all(&plan.data).context("remove the data")?;
    }
    Ok(passed)
}

fn run_power(power: &Power) -> anyhow::Result<bool> {
    if let Some(lack) = verify::lacks() {
        println!("skipped power cuts: {lack}");
        println!("0 passed, 0 failed, {} skipped", power.terms.rounds);
        return Ok(true);
    }
    std::fs::create_dir_all(&power.terms.folder).context("make the folder")?;
    let kinds = if power.file_systems.is_empty() { &FileSystem::ALL[..] } else { &power.file_systems };
    if power.control {
        return run_control(power, kinds);
    }
    if power.probe {
        return run_probe(power, kinds);
    }
    let mut all = Summary::default();
    for (index, kind) in kinds.iter().enumerate() {
        let (image, mut plan) = power.on(*kind)?;
        plan.rounds = share(power.terms.rounds, index, kinds.len());
        all.merge(verify::run(&plan, Some(&image), |round| println!("{round}"))?);
    }
    println!("{all}");
    Ok(all.failed == 0)
}

/// The test of the test: loss must be found on every file system.
fn run_control(power: &Power, kinds: &[FileSystem]) -> anyhow::Result<bool> {
    let mut found = 0;
    for kind in kinds {
        let (image, plan) = power.on(*kind)?;
        let losses = verify::control(&plan, &image, |line| println!("{line}"))?;
        println!("{}: {} of {} rounds without flushes show loss", kind.name(), losses.len(), plan.rounds);
        found += usize::from(!losses.is_empty());
    }
    println!("{found} passed, {} failed", kinds.len() - found);
    Ok(found == kinds.len())
}

/// Fails where a file system lost what it had answered before the cut: then nothing can be proven on it.
fn run_probe(power: &Power, kinds: &[FileSystem]) -> anyhow::Result<bool> {
    let mut lost = 0;
    for kind in kinds {
        let (image, _) = power.on(*kind)?;
        for number in 0..power.terms.rounds {
            let probed = verify::probe(&image)?;
            println!("probe {number:>3} {}: {probed}", kind.name());
            lost += probed.lost;
        }
    }
    Ok(lost == 0)
}

impl Power {
    fn on(&self, kind: FileSystem) -> anyhow::Result<(Image, Plan)> {
        let image = Image::make(&self.terms.folder, kind, self.image_mib << 20)?;
        let plan = self.terms.plan(&image.folder().join("data"), kind.name())?;
        Ok((image, plan))
    }
}

/// How many of `all` the part at `index` of so many gets.
fn share(all: u64, index: usize, parts: usize) -> u64 {
    let (parts, index) = (parts as u64, index as u64);
    all / parts + u64::from(index < all % parts)
}

impl Terms {
    fn plan(&self, data: &Path, name: &str) -> anyhow::Result<Plan> {
        let addr = free_address()?;
        let word = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
        let mut words = vec![word(&self.binary)?, "start".to_owned(), "--data".to_owned(), word(data)?];
        words.extend(["--listen".to_owned(), addr.to_string()]);
        let settings = ["ottla.admin.listen=127.0.0.1:0".to_owned()];
        words.extend(settings.iter().chain(&self.set).flat_map(|set| ["--set".to_owned(), set.clone()]));
        Ok(Plan {
            broker: BrokerCommand { words, addr, log: self.folder.join(format!("{name}.log")), apart: false },
            data: data.to_owned(),
            rounds: self.rounds,
            seed: self.seed,
            partitions_max: self.partitions_max.into(),
            writers: self.writers,
            end_after: (Duration::from_millis(self.after_min_ms), Duration::from_millis(self.after_max_ms)),
            bytes_max: self.mib_max << 20,
            cut_start_one_in: self.cut_start_one_in,
            shards_max: self.shards_max.into(),
            freezes: (0, Duration::ZERO),
            keep: false,
            start_timeout: Duration::from_secs(self.start_timeout),
        })
    }
}

/// A port that no client is given by chance: below the range from which the kernel takes those.
fn free_address() -> anyhow::Result<SocketAddr> {
    let mut random = Random::new(u64::from(std::process::id()));
    (0..100)
        .map(|_| SocketAddr::from((Ipv4Addr::LOCALHOST, random.between(10_000, 30_000) as u16)))
        .find(|addr| TcpListener::bind(addr).is_ok())
        .context("no free port was found")
}
