use crate::broker;
use crate::shell::{Failure, cargo};

const HELP: &str = "\
cargo xtask hostile [--debug] [--seeds N] [--shot API:VERSION:SEED]

What attacks cost a client that behaves: its latency before and during each, and the broker's memory.
  --debug    the debug build instead of the release build
  --seeds N  instead: N damaged requests of every version of every API (an ordinary test run sends 8)
  --shot S   instead: one of those again, as a failure names it";

/// Measures attacks, or sends more of them than a test run does.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    let binary = broker::build(!arguments.iter().any(|argument| argument == "--debug"))?;
    let test = |name: &str, ignored: bool| {
        let filter =
            ["test", "--quiet", "--package", "ottla", "--test", "hostile", "--", "--exact", name, "--nocapture"];
        cargo(&filter).args(ignored.then_some("--ignored")).env("OTTLA_HOSTILE_BINARY", &binary)
    };
    const DAMAGED: &str = "the_broker_outlives_damaged_requests";
    match (value("--shot"), value("--seeds")) {
        (Some(shot), _) => test(DAMAGED, false).env("OTTLA_HOSTILE_SHOT", shot).run("one damaged request"),
        (_, Some(seeds)) => test(DAMAGED, false).env("OTTLA_HOSTILE_SEEDS", seeds).run("damaged requests"),
        _ => test("cost::what_attacks_cost_others", true).run("what attacks cost others"),
    }
}
