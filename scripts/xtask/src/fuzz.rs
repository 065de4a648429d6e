use std::path::{Path, PathBuf};

use crate::shell::{Failure, cargo, heading, is_there, program, root, target};
use crate::tally::Tally;

/// How long each target runs unless somebody says otherwise.
const SECONDS: &str = "60";
const HELP: &str = "\
cargo xtask fuzz [--seconds N] [--only TARGET] [--corpus]

Every parser of bytes from outside under libFuzzer, N seconds each (60; or OTTLA_FUZZ_SECONDS). Needs the nightly toolchain and cargo-fuzz
(cargo install cargo-fuzz). What breaks one is kept in target/fuzz/artifacts; put it into tests/fuzz/corpus/TARGET once it is mended.
  --only T   one target
  --corpus   write what fuzzers begin with (tests/fuzz/corpus) anew";

/// Runs every target for a while.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let value = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    if has("--help") {
        println!("{HELP}");
        return Ok(());
    }
    if has("--corpus") {
        let write = cargo(&["test", "--quiet", "--package", "ottla", "--test", "found"]);
        return write.env("OTTLA_FUZZ_CORPUS", "anew").run("the corpus");
    }
    let seconds = value("--seconds").or_else(|| std::env::var("OTTLA_FUZZ_SECONDS").ok()).unwrap_or(SECONDS.into());
    let targets = targets(value("--only").as_deref())?;
    if let Some(missing) = missing() {
        return Err(Failure(missing));
    }
    let folder = root().join("tests/fuzz");
    fuzz(&["build"], &folder).run("build the fuzz targets")?;
    let mut tally = Tally::default();
    for name in targets {
        match fuzz_one(&folder, &name, &seconds) {
            Ok(()) => tally.pass(),
            Err(failure) => tally.fail(failure.to_string()),
        }
    }
    tally.finish()
}

/// As [`run`] in CI: only where `OTTLA_FUZZ_SECONDS` is set.
pub(crate) fn run_if_asked() -> Result<(), Failure> {
    match std::env::var("OTTLA_FUZZ_SECONDS") {
        Ok(_) => run(&[]),
        Err(_) => {
            heading("fuzzing: OTTLA_FUZZ_SECONDS is not set; known inputs are replayed by tests/found.rs");
            Ok(())
        }
    }
}

fn targets(only: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/fuzz/fuzz_targets"))? {
        let path: PathBuf = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    names.retain(|name| only.is_none_or(|only| only == name));
    if names.is_empty() {
        Err(Failure(format!("there is no target '{}'", only.unwrap_or_default())))
    } else {
        Ok(names)
    }
}

fn missing() -> Option<String> {
    if !is_there("cargo-fuzz") {
        return Some("cargo-fuzz is not on the PATH: cargo install cargo-fuzz".into());
    }
    let nightly = program("cargo").args(["+nightly", "--version"]).quietly("nightly");
    nightly.is_err().then(|| "the nightly toolchain is not there: rustup toolchain install nightly".into())
}

fn fuzz(arguments: &[&str], folder: &Path) -> crate::shell::Step {
    let target = target().join("fuzz");
    program("cargo")
        .args(["+nightly", "fuzz"])
        .args(arguments)
        .args(["--fuzz-dir", "."])
        .within(folder)
        .env("CARGO_TARGET_DIR", target)
}

/// New inputs go to a folder that is not kept; those of the corpus are only read.
fn fuzz_one(folder: &Path, name: &str, seconds: &str) -> Result<(), Failure> {
    let (grown, broken) = (target().join("fuzz/corpus").join(name), target().join("fuzz/artifacts").join(name));
    std::fs::create_dir_all(&grown)?;
    std::fs::create_dir_all(&broken)?;
    let step = fuzz(&["run"], folder).args([name]).args([&grown, &folder.join("corpus").join(name)]);
    let limits = [
        "-rss_limit_mb=2048",
        "-malloc_limit_mb=600",
        "-timeout=30",
        "-max_len=4096",
        "-close_fd_mask=1",
        "-verbosity=0",
    ];
    step.args(["--"])
        .args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={}/", broken.display())])
        .args(limits)
        .run(&format!("fuzz {name}"))
}
