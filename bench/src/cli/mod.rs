//! The command line of the load generator.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::broker::kill_all;
use crate::connection::{answers, resolve};
use crate::error::BenchError;
use crate::limits::{Limits, folder_beside};
use crate::process;
use crate::spec::{self, Spec, SpecError};
use crate::stage::Target;

// What is run without any word, and one workload.
mod quick;
mod run;
// Several brokers, several machines.
mod agent;
mod compare;
// What any server pays here.
#[cfg(feature = "floor")]
mod floor;
// What there is, and what came out.
mod show;
// Partitions, idling.
mod proofs;

/// Loads any Kafka-compatible broker and says how fast it was, what it cost, and whether anything was lost.
///
/// Without a command: ten seconds of looking at the broker on 127.0.0.1:9092. Load is an open loop unless a workload says
/// otherwise: latency counts from when a request was due. Every batch carries a number and checksums, so a run also proves that
/// nothing was lost, doubled or reordered.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub struct Bench {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    quick: quick::Quick,
}

const EXAMPLES: &str = "\
Examples:
  ottla bench                                              ten seconds against 127.0.0.1:9092
  ottla bench list                                         workloads, with what they are
  ottla bench run produce-16x64k --out results             one workload; JSON and a page with plots
  ottla bench run end-to-end --find-rate --p99 10ms        the highest rate that holds a p99
  ottla bench compare --a ottla=:9092 --b kafka=:19092     turn by turn, medians and ratios
  ottla bench report results/*.json                        several runs in one page";

#[derive(Debug, Subcommand)]
enum Command {
    List(show::List),
    Show(show::Show),
    Run(Box<run::Run>),
    Compare(Box<compare::Compare>),
    Report(show::Report),
    Table(show::Table),
    Agent(agent::Agent),
    #[cfg(feature = "floor")]
    Floor(floor::Serve),
    Partitions(proofs::Partitions),
    Idle(proofs::Idle),
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub enum Trouble {
    /// Typed wrongly.
    Usage(String),
    /// It did not work out: what happened, and what to do next.
    Run(String, Option<String>),
    /// Ctrl-C: what there was has been written. Nothing is said where it is to be quiet.
    Interrupted(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Usage(what) | Trouble::Interrupted(what) | Trouble::Run(what, None) => f.write_str(what),
            Trouble::Run(what, Some(next)) => write!(f, "{what}\n  next: {next}"),
        }
    }
}

/// What a program ends with that SIGINT has ended.
pub const INTERRUPTED: u8 = 130;

impl Trouble {
    /// The exit status.
    pub fn status(&self) -> u8 {
        match self {
            Trouble::Run(..) => 1,
            Trouble::Usage(_) => 2,
            Trouble::Interrupted(_) => INTERRUPTED,
        }
    }
}

impl From<BenchError> for Trouble {
    fn from(error: BenchError) -> Trouble {
        match error {
            BenchError::BadArgument { why } => Trouble::Usage(why),
            other => Trouble::Run(other.to_string(), None),
        }
    }
}

impl From<SpecError> for Trouble {
    fn from(error: SpecError) -> Trouble {
        Trouble::Usage(error.to_string())
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Run(error.to_string(), None)
    }
}

impl Bench {
    /// Does what was typed.
    ///
    /// # Errors
    /// [`Trouble`]: what was typed wrongly, did not work out, or was not clean.
    pub fn run(self) -> Result<(), Trouble> {
        match self.command {
            None => self.quick.run(),
            Some(Command::List(command)) => command.run(),
            Some(Command::Show(command)) => command.run(),
            Some(Command::Run(command)) => command.run(),
            Some(Command::Compare(command)) => command.run(),
            Some(Command::Report(command)) => command.run(),
            Some(Command::Table(command)) => command.run(),
            Some(Command::Agent(command)) => command.run(),
            #[cfg(feature = "floor")]
            Some(Command::Floor(command)) => command.run(),
            Some(Command::Partitions(command)) => command.run(),
            Some(Command::Idle(command)) => command.run(),
        }
    }
}

/// The broker to load.
#[derive(Debug, Args)]
struct Connect {
    /// The broker, HOST:PORT
    #[arg(long, short = 'b', default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    bootstrap: String,
    /// What to call it in tables
    #[arg(long, default_value = "broker")]
    label: String,
    /// Its process, whose cost is counted; found by the port it listens on when not given
    #[arg(long)]
    pid: Option<u32>,
}

impl Connect {
    fn target(&self) -> Result<Target, Trouble> {
        target(&self.label, &self.bootstrap, self.pid)
    }
}

/// A broker that answers.
fn target(label: &str, bootstrap: &str, pid: Option<u32>) -> Result<Target, Trouble> {
    let whole = if bootstrap.starts_with(':') { format!("127.0.0.1{bootstrap}") } else { bootstrap.to_owned() };
    let addr = resolve(&whole).map_err(|why| Trouble::Usage(format!("'{bootstrap}' is no HOST:PORT: {why}")))?;
    if !answers(addr) {
        let next = "start one with: ottla start; or say where it is with --bootstrap HOST:PORT".to_owned();
        return Err(Trouble::Run(format!("no Kafka-compatible broker answers on {whole}"), Some(next)));
    }
    let found = addr.ip().is_loopback().then(|| process::listener_pid(addr.port()).ok()).flatten();
    Ok(Target { label: label.to_owned(), bootstrap: whole, addr, pid: pid.or(found) })
}

/// Measuring the machine before.
#[derive(Debug, Args)]
struct Probe {
    /// A folder on the broker's disk, where the disk's limit is measured before; found by the broker's files when not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Do not measure the machine's limits before
    #[arg(long)]
    no_probe: bool,
}

impl Probe {
    fn limits(&self, target: &Target) -> Option<Limits> {
        let found = || target.pid.and_then(folder_beside);
        (!self.no_probe).then(|| Limits::probe(self.data.clone().or_else(found).as_deref()))
    }
}

/// What Ctrl-C makes of a run.
const KEEPS: &str = "writing what there is";
/// How long after the first Ctrl-C a second one counts: some shells and wrappers send it twice.
const SECOND_AFTER: Duration = Duration::from_millis(500);

/// Set by Ctrl-C, which is answered by these words, if any: the run ends with what it has. A second one ends the program.
fn interrupts(words: &'static str) -> Result<Arc<AtomicBool>, Trouble> {
    let (stop, again) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
        signal_hook::flag::register(signal, again.clone())?;
    }
    let seen = stop.clone();
    std::thread::spawn(move || {
        let until = |flag: &AtomicBool| {
            while !flag.load(Ordering::Relaxed) {
                std::thread::sleep(SECOND_AFTER / 10);
            }
        };
        until(&seen);
        if !words.is_empty() {
            eprintln!("interrupted: {words} (Ctrl-C again to end at once)");
        }
        std::thread::sleep(SECOND_AFTER);
        again.store(false, Ordering::Relaxed);
        until(&again);
        kill_all();
        std::process::exit(INTERRUPTED.into());
    });
    Ok(stop)
}

/// A workload by its name, or from a file.
fn workload(word: &str) -> Result<Spec, Trouble> {
    if let Some(spec) = spec::find(word) {
        return Ok(spec.clone());
    }
    let path = Path::new(word);
    if word.ends_with(".toml") || path.is_file() {
        let text = std::fs::read_to_string(path).map_err(|why| Trouble::Usage(format!("{word}: {why}")))?;
        return Ok(spec::parse(&text, word)?);
    }
    let (names, _) = spec::names();
    let meant = spec::nearest(word, names).map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    Err(Trouble::Usage(format!(
        "there is no workload '{word}'{meant} (ottla bench list shows them; a file ends in .toml)"
    )))
}

/// A length such as `10ms`, `0.5s`, `2m`, in seconds; a bare number is seconds.
fn seconds(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is no length; say 10ms, 0.5s or 2m");
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor = match &text[at..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..at].trim().parse().map_err(|_| wrong())?;
    if (0.0..1e9).contains(&number) { Ok(number * factor) } else { Err(wrong()) }
}

/// The same in milliseconds, above 0.
fn milliseconds(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|it| if it > 0.0 { Ok(it * 1e3) } else { Err(format!("'{text}' is not above 0")) })
}

fn write_text(path: &Path, text: &str) -> Result<(), Trouble> {
    if path.as_os_str() == "-" {
        std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
        return Ok(());
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|why| Trouble::Run(format!("create {}: {why}", folder.display()), None))?;
    }
    std::fs::write(path, text).map_err(|why| Trouble::Run(format!("write {}: {why}", path.display()), None))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), Trouble> {
    let text =
        serde_json::to_string_pretty(value).map_err(|why| Trouble::Run(format!("{}: {why}", path.display()), None))?;
    write_text(path, &(text + "\n"))
}

#[cfg(test)]
mod tests;
