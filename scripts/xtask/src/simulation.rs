use std::time::Duration;

use crate::shell::{Failure, Step, cargo};
use crate::tally::Tally;
use crate::tests::follow;

/// Seeds of a test run; `OTTLA_SIM_SEEDS` says otherwise where time is short.
const SEEDS: u64 = 100_000;
/// How long they may take, building included, on a busy machine.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Runs seeds, or replays one.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    if has("--planted") {
        return planted().run("planted faults");
    }
    let mut step = seeds();
    let variables = [("--seeds", "OTTLA_SIM_SEEDS"), ("--first", "OTTLA_SIM_FIRST"), ("--seed", "OTTLA_SIM_SEED")];
    for (flag, variable) in variables {
        if let Some(value) = value(flag) {
            value.parse::<u64>().map_err(|_| Failure(format!("{flag} takes a number, not '{value}'")))?;
            step = step.env(variable, value);
        }
    }
    if has("--trace") {
        step = step.env("OTTLA_SIM_TRACE", "1");
    }
    step.run("simulated disk")
}

/// What a test run asks for: many seeds, and that planted faults are found.
pub(crate) fn test(tally: &mut Tally) -> Result<(), Failure> {
    let asked = std::env::var("OTTLA_SIM_SEEDS").unwrap_or_else(|_| SEEDS.to_string());
    follow(seeds().env("OTTLA_SIM_SEEDS", &asked), &format!("simulated disk, {asked} seeds"), LIMIT, tally)?;
    follow(planted(), "planted faults", LIMIT, tally)
}

fn seeds() -> Step {
    cargo(&["test", "--quiet", "--profile", "sim", "--package", "ottla-partition", "--test", "simulation"]).args([
        "--",
        "--nocapture",
        "nothing_promised_is_lost",
    ])
}

fn planted() -> Step {
    cargo(&["test", "--quiet", "--profile", "sim", "--package", "ottla-partition", "--test", "simulation"]).args([
        "--features",
        "planted-faults",
        "--",
        "--nocapture",
        "every_planted_fault_is_found",
    ])
}
