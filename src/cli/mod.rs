//! The command line: what can be typed, what it means, and how it answers.
//!
//! Exit codes: 0 done, 1 it did not work out (the last line says what to do next), 2 it was typed wrongly, 130 a Ctrl-C ended a
//! benchmark, which has written what it had.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

// How it answers when something is wrong.
mod failure;
pub use failure::Failure;

// What several commands take.
mod connect;
mod format;
mod record;
pub(crate) mod suggest;
mod text;

// The commands.
mod bench;
mod completions;
mod config;
mod consume;
mod log;
mod metrics;
mod perf;
mod produce;
mod start;
mod topic;
mod tune;

/// A Kafka-compatible message broker in one binary.
///
/// `ottla start` runs a broker; any Kafka client can use it. The other commands work against any Kafka-compatible broker, or on a
/// data folder.
#[derive(Parser, Debug)]
#[command(name = "ottla", version, max_term_width = 110, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ottla start                                      a broker on 127.0.0.1:9092, data in ./data
  ottla topic create orders --partitions 6
  echo 'hello' | ottla produce orders
  ottla consume orders --from beginning --max 1

Exit status: 0 done, 1 failed (the last line says what to do next), 2 typed wrongly.";

#[derive(Subcommand, Debug)]
enum Command {
    Start(start::Start),
    #[command(subcommand)]
    Topic(topic::Topic),
    Produce(produce::Produce),
    Consume(consume::Consume),
    #[command(subcommand)]
    Log(log::Log),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Metrics(metrics::Metrics),
    #[command(subcommand)]
    Perf(perf::Perf),
    #[command(subcommand)]
    Tune(tune::Tune),
    Bench(Box<ottla_bench::cli::Bench>),
    Completions(completions::Completions),
}

/// Does what was typed. Help and wrong usage are printed by the parser, with the nearest right name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing is left to do if even this cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match arguments.command {
        Command::Start(command) => command.run(),
        Command::Topic(command) => command.run(),
        Command::Produce(command) => command.run(),
        Command::Consume(command) => command.run(),
        Command::Log(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Metrics(command) => command.run(),
        Command::Perf(command) => command.run(),
        Command::Tune(command) => command.run(),
        Command::Bench(command) => bench::run(*command),
        Command::Completions(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

#[cfg(test)]
mod tests;
