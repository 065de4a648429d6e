use crate::broker;
use crate::shell::{Failure, cargo};

/// How many times slower a client that behaves may be during an attack, at its p99.
const RATIO_MAX: &str = "3";
const HELP: &str = "\
cargo xtask hostile [--debug] [--only ATTACK] [--ratio R] [--seeds N] [--shot API:VERSION:SEED]

What attacks cost a client that behaves: its latency before and during each, and the broker's memory. Its p99 during an attack may be
3 times that before; more is a failure. Means little on a machine that does other things, too.
  --debug    the debug build instead of the release build
  --only A   attacks with A in their names
  --ratio R  another ratio than 3
  --seeds N  instead: N damaged requests of every version of every API (an ordinary test run sends 8)
  --shot S   instead: one of those again, as a failure names it";

/// Measures attacks, or sends more of them than a test run does.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).map(String::as_str)
    };
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    let binary = broker::build(!arguments.iter().any(|argument| argument == "--debug"))?;
    let test = |filter: &[&str]| {
        cargo(&["test", "--quiet", "--package", "ottla", "--test", "hostile", "--"])
            .args(filter)
            .args(["--nocapture", "--test-threads", "1"])
            .env("OTTLA_HOSTILE_BINARY", &binary)
    };
    let damaged = test(&["--exact", "the_broker_outlives_damaged_requests"]);
    match (value("--shot"), value("--seeds")) {
        (Some(shot), _) => damaged.env("OTTLA_HOSTILE_SHOT", shot).run("one damaged request"),
        (_, Some(seeds)) => damaged.env("OTTLA_HOSTILE_SEEDS", seeds).run("damaged requests"),
        _ => test(&[value("--only").unwrap_or_default()])
            .env("OTTLA_HOSTILE_RATIO", value("--ratio").unwrap_or(RATIO_MAX))
            .run("what attacks cost others"),
    }
}
