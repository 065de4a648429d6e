//! `ottla bench` as a program of its own, for load machines without a broker.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use ottla_bench::cli::Bench;

#[derive(Debug, Parser)]
#[command(name = "ottla-bench", version, max_term_width = 110)]
struct Arguments {
    #[command(flatten)]
    bench: Bench,
}

fn main() -> ExitCode {
    match Arguments::parse().bench.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            let words = trouble.to_string();
            if !words.is_empty() {
                eprintln!("error: {words}");
            }
            ExitCode::from(trouble.status())
        }
    }
}
