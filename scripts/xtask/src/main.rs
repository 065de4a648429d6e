//! `cargo xtask`: the one gate for everything CI does.
#![forbid(unsafe_code)]

use std::process::ExitCode;

// Commands run, and what they print.
mod shell;

// What passed, failed and was skipped.
mod tally;

// Our own tests.
mod tests;

// Seeds of the simulated disk.
mod simulation;

// A broker to test against.
mod broker;

// Other people's clients against our broker.
mod clients;

// The load generator against our broker.
mod bench;

// Recorded answers of Apache Kafka against our broker's.
mod oracle;

// Our broker, ended again and again.
mod torture;

// What attacks cost others.
mod hostile;

// Parsers under a fuzzer.
mod fuzz;

// What a load takes, instruction by instruction.
mod instructions;

// Pages that are written by the program.
mod docs;

use shell::{Failure, cargo};
use tally::Tally;

/// One command: its name, what it does, and how.
struct Command {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

/// Everything that can be asked for.
const COMMANDS: &[Command] = &[
    Command { name: "fmt", about: "format the code (--check: only look)", run: fmt },
    Command { name: "clippy", about: "lints, warnings are errors", run: |_| clippy() },
    Command { name: "doc", about: "the code's documentation, warnings are errors", run: |_| doc() },
    Command {
        name: "docs",
        about: "write docs/configuration.md and docs/metrics.md from their tables (--check: only look)",
        run: docs,
    },
    Command {
        name: "test",
        about: "every test, other people's clients included (--unit, --clients: only these; --release)",
        run: test,
    },
    Command {
        name: "oracle",
        about: "recorded answers of Kafka against tests/oracle.passing (--refresh: write the list anew)",
        run: oracle::run,
    },
    Command {
        name: "golden",
        about: "make tests/golden/NAME with this version: clean, killed, killed-again or shards, or one of those and _MORE",
        run: golden,
    },
    Command {
        name: "sim",
        about: "crashes of a simulated disk (--seeds N, --first N; --seed N: only that one, --trace: what it does; --planted)",
        run: simulation::run,
    },
    Command { name: "bench-smoke", about: "every bench once, every workload for a second", run: |_| bench_smoke() },
    Command {
        name: "torture",
        about: "kill -9 and power cuts under load, everything read back (kill, power; --help tells more)",
        run: torture::run,
    },
    Command {
        name: "hostile",
        about: "what attacks cost a client that behaves (--help tells more)",
        run: hostile::run,
    },
    Command {
        name: "fuzz",
        about: "every parser under a fuzzer, --seconds N each (--help tells more)",
        run: fuzz::run,
    },
    Command {
        name: "instructions",
        about: "how many instructions a workload's batches take, under valgrind (--help tells more)",
        run: instructions::run,
    },
    Command {
        name: "ci",
        about: "all of the above but torture, hostile and instructions; fuzz where OTTLA_FUZZ_SECONDS is set",
        run: |_| ci(),
    },
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return usage(&name);
    };
    match (command.run)(&rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn usage(name: &str) -> ExitCode {
    let asked_for_help = matches!(name, "" | "help" | "--help" | "-h");
    if !asked_for_help {
        eprintln!("error: there is no command '{name}'\n");
    }
    println!("cargo xtask COMMAND\n");
    for command in COMMANDS {
        println!("  {:<12} {}", command.name, command.about);
    }
    if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn fmt(arguments: &[String]) -> Result<(), Failure> {
    let check = arguments.iter().any(|argument| argument == "--check");
    cargo(&["fmt", "--all"]).args(check.then_some("--check")).run("format")
}

fn clippy() -> Result<(), Failure> {
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]).run("clippy")
}

fn doc() -> Result<(), Failure> {
    cargo(&["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings").run("doc")
}

fn docs(arguments: &[String]) -> Result<(), Failure> {
    docs::run(arguments.iter().any(|argument| argument == "--check"))
}

/// Makes a golden data folder. One that is there already stays: it is what an earlier version wrote.
fn golden(arguments: &[String]) -> Result<(), Failure> {
    let [name] = arguments else {
        return Err(Failure("name the folder: cargo xtask golden clean_0.2".into()));
    };
    let test = "golden::golden_folders_are_opened_with_every_record_and_commit";
    let make = ["test", "--package", "ottla", "--test", "it", "--quiet", "--", "--exact", test];
    cargo(&make).env("OTTLA_GOLDEN", name).run("make a golden folder")
}

fn bench_smoke() -> Result<(), Failure> {
    cargo(&["bench", "--package", "ottla-bench", "--bench", "*", "--quiet", "--", "--test"])
        .run("benches, once each")?;
    shell::heading("every workload for a second");
    bench::smoke()
}

/// Every test. The last line says how it went.
fn test(arguments: &[String]) -> Result<(), Failure> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut tally = Tally::default();
    if !has("--clients") {
        tests::run(&mut tally)?;
        simulation::test(&mut tally)?;
    }
    if !has("--unit") {
        clients::run(&mut tally, has("--release"))?;
    }
    tally.finish()
}

fn ci() -> Result<(), Failure> {
    fmt(&["--check".into()])?;
    clippy()?;
    doc()?;
    docs(&["--check".into()])?;
    bench_smoke()?;
    oracle::run(&["--if-there".into()])?;
    fuzz::run_if_asked()?;
    test(&[])
}
