use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::{self, Broker};
use crate::shell::{Failure, heading, is_there, program, root, target};
use crate::tally::Tally;

/// Where the suite is, from the checkout's root.
const SUITE: &str = "../shared/suites/oracle";
/// Scenarios that pass, one a line.
const LIST: &str = "tests/oracle.passing";
/// How long all scenarios together may take.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// What its broker is started with, beside Kafka's defaults.
const SETTINGS: [&str; 4] =
    ["num.partitions=4", "group.initial.rebalance.delay.ms=0", "broker.rack=RACK1", "min.insync.replicas=1"];

/// Plays every scenario. One on the list that does not pass is a failure; `--refresh` writes the list anew instead, and
/// `--if-there` passes over a missing suite.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let suite = root().join(SUITE);
    if !suite.join("main.go").is_file() {
        let missing = format!("the oracle is not beside this checkout ({SUITE})");
        if !has("--if-there") {
            return Err(Failure(missing));
        }
        heading(&missing);
        return Ok(());
    }
    if !is_there("go") {
        return Err(Failure("the oracle is written in Go, and go is not on the PATH".into()));
    }
    let player = build(&suite)?;
    let binary = broker::build(has("--release"))?;
    let passing = play(&player, &suite, &binary, arguments)?;
    let list = root().join(LIST);
    if has("--refresh") {
        let lines: Vec<&str> = passing.iter().map(String::as_str).collect();
        std::fs::write(&list, format!("{}\n", lines.join("\n")))?;
        println!("   {LIST}: {} scenarios", passing.len());
        return Ok(());
    }
    compare(&std::fs::read_to_string(&list).unwrap_or_default(), &passing)
}

fn build(suite: &Path) -> Result<PathBuf, Failure> {
    let player = target().join("oracle").join("oracle");
    program("go").args(["build", "-o"]).args([&player]).args(["."]).within(suite).run("build the oracle")?;
    Ok(player)
}

/// Plays every scenario against a fresh broker; gives those that pass at every version that the broker offers.
fn play(player: &Path, suite: &Path, binary: &Path, arguments: &[String]) -> Result<BTreeSet<String>, Failure> {
    let broker = Broker::start(binary, "oracle", &SETTINGS)?;
    heading("recorded answers of Apache Kafka");
    let only = arguments.iter().find_map(|argument| argument.strip_prefix("--only="));
    let only: Vec<&str> = only.into_iter().flat_map(|only| ["-only", only]).collect();
    let step =
        program(player).args(["check", "-broker", &broker.address, "-v", "-diffs", "0"]).args(only).within(suite);
    let mut passing = BTreeSet::new();
    step.lines("oracle", LIMIT, |line| match passed(line) {
        Some(name) => {
            passing.insert(name.to_owned());
        }
        None => println!("{line}"),
    })?;
    Ok(passing)
}

/// The scenario of a line that says that it passes.
fn passed(line: &str) -> Option<&str> {
    line.strip_prefix("PASS")?.split_whitespace().next()
}

fn compare(list: &str, passing: &BTreeSet<String>) -> Result<(), Failure> {
    let mut tally = Tally::default();
    let listed: BTreeSet<&str> = list.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for name in &listed {
        if passing.contains(*name) { tally.pass() } else { tally.fail(format!("{name} passed before")) }
    }
    let new = passing.iter().filter(|name| !listed.contains(name.as_str())).count();
    if new > 0 {
        println!("   {new} more pass now: `cargo xtask oracle --refresh` keeps them");
    }
    tally.finish()
}
