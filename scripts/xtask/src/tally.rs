use crate::shell::{Failure, is_ci};

/// What passed, failed and was skipped so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
    failures: Vec<String>,
}

impl Tally {
    /// Adds tests that a runner has counted itself.
    pub(crate) fn add(&mut self, passed: u64, failed: u64, skipped: u64) {
        self.passed += passed;
        self.failed += failed;
        self.skipped += skipped;
    }

    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    /// Something that failed, and how, to be told again at the end.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("   FAILED {what}");
        self.failed += 1;
        self.failures.push(what);
    }

    /// Something that this machine lacks: told in one line; on a CI machine it is a failure.
    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        if is_ci() {
            return self.fail(format!("{what}: {why} (CI is set: nothing may be skipped)"));
        }
        println!("   skipped {what}: {why}");
        self.skipped += 1;
    }

    /// The last lines: what failed, then the counts alone on a line.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure(format!("{failed} failed; each is named above"))),
        }
    }
}
