use clap::Args;

use super::{Trouble, interrupts};
use crate::agent;

/// Wait for orders of a `run --agents` on another machine, and load brokers for it
///
/// Whoever reaches this port can make this machine send load anywhere: listen where only your own machines are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ottla bench agent --listen 10.0.0.5:7171                           on each load machine
  ottla bench run produce --agents 10.0.0.5:7171,10.0.0.6:7171 -b broker:9092")]
pub(super) struct Agent {
    /// Where to listen, HOST:PORT
    #[arg(long, default_value = "127.0.0.1:7171", value_name = "HOST:PORT")]
    listen: String,
}

impl Agent {
    pub(super) fn run(&self) -> Result<(), Trouble> {
        Ok(agent::serve(&self.listen, &interrupts("ending the order under way")?, |line| println!("{line}"))?)
    }
}
