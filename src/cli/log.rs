//! `ottla log`: the files of a data folder, read without a broker.
use clap::{Args, Subcommand};

use super::Failure;

/// Look into the files of a data folder
#[derive(Subcommand, Debug)]
pub(super) enum Log {
    Dump(Dump),
}

/// Print a file
#[derive(Args, Debug)]
pub(super) struct Dump {}

impl Log {
    pub(super) fn run(&self) -> Result<(), Failure> {
        Ok(())
    }
}
