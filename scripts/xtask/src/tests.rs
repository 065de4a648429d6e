use std::path::PathBuf;
use std::time::Duration;

use crate::shell::{Failure, Step, cargo, heading, is_there, program, target};
use crate::tally::Tally;

/// How long all of our own tests may take, building included.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// Runs our own tests: unit, model, simulation, golden bytes, and the binary from outside.
pub(crate) fn run(tally: &mut Tally) -> Result<(), Failure> {
    if !is_root() {
        // They pass without doing anything: that must not look like success. Not even CI has to be root.
        println!("   skipped tests of disks in trouble: they mount file systems, which needs root");
        tally.add(0, 0, 1);
    }
    match nextest() {
        Some(runner) => {
            let step = runner.args(["nextest", "run", "--workspace", "--no-fail-fast", "--hide-progress-bar"]);
            let step = step.args(["--config-file", "scripts/nextest.toml"]);
            follow(step.args(["--status-level", "slow", "--final-status-level", "fail"]), "tests", LIMIT, tally)?;
            follow(cargo(&["test", "--workspace", "--doc", "--no-fail-fast"]), "documentation tests", LIMIT, tally)
        }
        None => follow(cargo(&["test", "--workspace", "--no-fail-fast"]), "tests", LIMIT, tally),
    }
}

fn is_root() -> bool {
    program("id").args(["-u"]).quietly("id").is_ok_and(|id| id.trim() == "0")
}

/// The test runner, installed below target/ if the machine has none; nothing if that does not work out.
fn nextest() -> Option<Step> {
    if is_there("cargo-nextest") {
        return Some(program("cargo-nextest"));
    }
    let tools: PathBuf = target().join("tools");
    let installed = tools.join("bin/cargo-nextest");
    if !installed.is_file() {
        let step = cargo(&["install", "cargo-nextest", "--locked", "--debug", "--quiet", "--root"]).args([&tools]);
        // Into a folder of its own: what it builds has nothing in common with ours.
        let step = step.env("CARGO_TARGET_DIR", tools.join("build"));
        if let Err(failure) = step.run("install cargo-nextest (once, some minutes)") {
            println!("   {failure}; cargo test runs the tests instead");
            return None;
        }
    }
    Some(program(installed))
}

/// Runs a test runner, shows what it says of failures, and counts.
pub(crate) fn follow(step: Step, what: &str, limit: Duration, tally: &mut Tally) -> Result<(), Failure> {
    heading(what);
    let mut counts = Counts::default();
    let skipped = target().join("skipped-tests");
    // What an earlier run has left there is no matter.
    let _ = std::fs::remove_file(&skipped);
    let step = step.env("OTTLA_SKIPPED_TESTS", &skipped);
    let status = step.lines(what, limit, |line| {
        println!("{line}");
        counts.read(line);
    })?;
    // A runner cannot say that a test found nothing to test on: such a test passes, and writes down why.
    let lacking = std::fs::read_to_string(&skipped).unwrap_or_default();
    lacking.lines().for_each(|line| println!("   skipped {line}"));
    let lacking = lacking.lines().count() as u64;
    tally.add(counts.passed.saturating_sub(lacking), counts.failed, counts.ignored + lacking);
    if !status.success() && counts.failed == 0 {
        tally.fail(format!("{what}: {status} without a failed test: does it build?"));
    }
    Ok(())
}

/// What a runner's summary lines say.
#[derive(Default, PartialEq, Debug)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Reads `test result: ok. 8 passed; 0 failed; 1 ignored; …` and `Summary [ 1.0s] 8 tests run: 7 passed, 1 failed, 1 skipped`.
    fn read(&mut self, line: &str) {
        // Set in, such a line is what one test of a larger run has said: it is counted in that run's summary.
        let counts = match line.strip_prefix("test result: ") {
            Some(counts) => counts,
            None if line.trim().starts_with("Summary [") => line.rsplit("run: ").next().unwrap_or_default(),
            None => return,
        };
        for part in counts.split([';', ',', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" | "timed" => self.failed += count,
                "ignored" | "skipped" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod counting {
    use super::Counts;

    #[test]
    fn summaries_of_both_runners_are_understood() {
        let mut counts = Counts::default();
        counts
            .read("test result: FAILED. 8 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s");
        assert_eq!(counts, Counts { passed: 8, failed: 2, ignored: 1 });
        counts.read("     Summary [   1.234s] 10 tests run: 7 passed (1 slow), 2 failed, 1 timed out, 5 skipped");
        assert_eq!(counts, Counts { passed: 15, failed: 5, ignored: 6 });
        counts.read("running 8 tests");
        counts.read(
            "    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 69 filtered out; finished in 0.1s",
        );
        assert_eq!(counts, Counts { passed: 15, failed: 5, ignored: 6 });
    }
}
