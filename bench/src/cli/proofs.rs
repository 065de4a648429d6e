use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Trouble, write_json};
use crate::broker::BrokerCommand;
use crate::connection::resolve;
use crate::exercise;

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
    fn command(&self) -> Result<BrokerCommand, Trouble> {
        let (words, addr) = (self.command.clone(), resolve(&self.listen)?);
        Ok(BrokerCommand { words, addr, log: self.log.clone(), apart: false })
    }
}

/// Create many partitions, write to each; tell memory and start-up times, clean and after kill -9
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench partitions --listen 127.0.0.1:29092 --count 10000 -- ottla start --data /tmp/many --listen 127.0.0.1:29092")]
pub(super) struct Partitions {
    /// How many
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Write the figures as JSON to this file, `-` for standard output
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    broker: Broker,
}

/// Start a broker and let it idle; tell time to first answer, memory and CPU
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench idle --listen 127.0.0.1:29092 -- ottla start --data /tmp/idle --listen 127.0.0.1:29092")]
pub(super) struct Idle {
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

impl Partitions {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let timeout = Duration::from_secs(self.broker.start_timeout);
        let tell = |line: &str| eprintln!("{line}");
        let outcome = exercise::partitions(&self.broker.command()?, self.count as usize, timeout, tell)?;
        if let Some(path) = &self.json {
            write_json(path, &outcome)?;
        }
        Ok(())
    }
}

impl Idle {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        let timeout = Duration::from_secs(self.broker.start_timeout);
        let length = |seconds: f64| {
            Duration::try_from_secs_f64(seconds).map_err(|_| Trouble::Usage("seconds must not be negative".to_owned()))
        };
        let outcome = exercise::idle(&self.broker.command()?, timeout, length(self.settle)?, length(self.seconds)?)?;
        eprintln!(
            "first answer {:.1} ms, {:.1} MiB resident, {:.2} % of a core idle, stopped in {:.0} ms",
            outcome.first_answer_ms, outcome.resident_mib, outcome.cpu_percent, outcome.stop_ms
        );
        if let Some(path) = &self.json {
            write_json(path, &outcome)?;
        }
        Ok(())
    }
}
