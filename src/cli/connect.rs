use std::time::Duration;

use clap::Args;

use super::Failure;
use crate::client::Cluster;

/// Which broker, and how patiently.
#[derive(Args, Clone, Debug)]
pub(super) struct Connect {
    /// Brokers to ask first; the others are found from there
    #[arg(short, long, value_name = "HOST:PORT,...", default_value = "127.0.0.1:9092", help_heading = "Connection")]
    bootstrap: String,

    /// How long one answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Connection")]
    timeout: Duration,
}

impl Connect {
    /// Connects.
    pub(super) fn cluster(&self) -> Result<Cluster, Failure> {
        Ok(Cluster::connect(&self.bootstrap, self.timeout)?)
    }
}

/// Seconds, with a fraction if wanted, above 0 and up to an hour.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("not a number of seconds above 0 and up to 3600".into()),
    }
}
