//! `ottla metrics`: what a broker's metrics endpoint shows.
use clap::{Args, Subcommand};

use super::Failure;

/// See the metrics that a broker exposes
#[derive(Subcommand, Debug)]
pub(super) enum Metrics {
    List(List),
}

/// Print the table of metrics
#[derive(Args, Debug)]
pub(super) struct List {}

impl Metrics {
    pub(super) fn run(&self) -> Result<(), Failure> {
        Ok(())
    }
}
