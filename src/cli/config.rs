//! `ottla config`: every setting there is.

use clap::{Args, Subcommand};

use super::Failure;

/// See the settings of brokers, topics and groups
#[derive(Subcommand, Debug)]
pub(super) enum Config {
    List(List),
}

impl Config {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Config::List(command) => command.run(),
        }
    }
}

/// Print the table of settings
#[derive(Args, Debug)]
pub(super) struct List {}

impl List {
    fn run(&self) -> Result<(), Failure> {
        Ok(())
    }
}

pub(super) fn check_topic_key(_key: &str) -> Result<(), String> {
    Ok(())
}
