//! `ottla start`: a broker in the foreground.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::{self, ConfigError, Given};
use crate::server;

/// Run a broker, in the foreground, until SIGTERM or Ctrl-C
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla start                                                  127.0.0.1:9092, data in ./data
  ottla start --data /var/lib/ottla --listen 0.0.0.0:9092
  ottla start --listen 127.0.0.1:0                             any free port; the line on standard output says which
  ottla start --config server.properties --set num.partitions=6
  OTTLA_NUM_PARTITIONS=6 ottla start

Later ones win: the file, the environment, --set, then --data and --listen. Settings bear Kafka's names; `ottla config list` shows
all of them. One line on standard output says where clients connect; the log goes to standard error.

Stopping: SIGTERM or Ctrl-C finishes what is in flight, flushes, and exits with status 0. kill -9 loses nothing that was acknowledged.")]
pub(super) struct Start {
    /// Folder of everything that is kept; made if it is not there [default: data]
    #[arg(short, long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where clients connect; port 0 takes a free one [default: 127.0.0.1:9092]
    #[arg(short, long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// A file in Kafka's server.properties format
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting; may be repeated. `ottla config list` shows all
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Start {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let given = Given {
            file: self.config.clone(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            set: self.set.clone(),
            data: self.data.clone(),
            listen: self.listen.clone(),
        };
        let loaded = config::load(&given).map_err(|error| match error {
            ConfigError::Unreadable { .. } => {
                Failure::runtime(error).next("check the path and its permissions: --config FILE")
            }
            other => Failure::usage(other).next("`ottla config list` shows every setting and what it takes"),
        })?;
        server::init_logging(&loaded.settings);
        for note in &loaded.notes {
            if note.kind.is_warning() { tracing::warn!("{note}") } else { tracing::info!("{note}") }
        }
        server::run(loaded).map_err(|stopped| {
            let failure = Failure::runtime(stopped.what);
            match stopped.next {
                Some(next) => failure.next(next),
                None => failure,
            }
        })
    }
}
