//! Every workload of the load generator for a second: results' shape and verification, never speed.

use std::path::Path;

use crate::broker::{self, Broker};
use crate::shell::{Failure, program, target};

/// What a broker without transactions is told.
const NO_TRANSACTIONS: &str = "offers no AddPartitionsToTxn";

pub(crate) fn smoke() -> Result<(), Failure> {
    let binary = broker::build(false)?;
    let folder = target().join("bench-smoke");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let broker = Broker::start(&binary, "bench-smoke", &[])?;
    let names = workloads(&binary)?;
    let mut done = 0;
    for name in &names {
        println!("   {name}");
        done += usize::from(run(&binary, &broker.address, name, &folder)?);
    }
    broker.stop()?;
    look_at(&binary, &folder, done)?;
    println!("   {done} workloads, nothing lost, doubled, reordered or damaged");
    Ok(())
}

/// Names as `ottla bench list` shows them.
fn workloads(binary: &Path) -> Result<Vec<String>, Failure> {
    let listed = program(binary).args(["bench", "list"]).quietly("list workloads")?;
    let names = listed.lines().take_while(|line| !line.starts_with("and "));
    let names: Vec<String> = names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    if names.len() < 20 {
        return Err(Failure(format!("only {} workloads are listed", names.len())));
    }
    Ok(names)
}

/// Whether it ran; a broker without transactions must say so of that workload. Anything lost, doubled or refused is a failure.
fn run(binary: &Path, address: &str, name: &str, folder: &Path) -> Result<bool, Failure> {
    let mut said = String::new();
    let status = program(binary)
        .args(["bench", "run", name, "--brief", "--no-probe", "--quiet", "--bootstrap", address, "--out"])
        .args([folder])
        .lines(name, std::time::Duration::from_secs(120), |line| said.push_str(line))?;
    match status.success() {
        true => Ok(true),
        false if name == "transactions" && said.contains(NO_TRANSACTIONS) => Ok(false),
        false => Err(Failure(format!("{name}: {said}"))),
    }
}

/// Results are read back by the program itself; every one must have looked at something.
fn look_at(binary: &Path, folder: &Path, done: usize) -> Result<(), Failure> {
    let mut results = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(&path)?;
            if !text.contains("\"format\": \"ottla-bench/1\"") || text.contains("\"checked\": 0,") {
                return Err(Failure(format!("{}: no result in which anything was verified", path.display())));
            }
            results.push(path);
        }
    }
    let page = folder.join("all.html");
    let said = program(binary)
        .args(["bench", "report"])
        .args(&results)
        .args(["--html"])
        .args([&page])
        .quietly("read the results back")?;
    let page = std::fs::read_to_string(&page)?;
    if !said.starts_with(&format!("{done} runs")) || !page.contains("<svg") || page.contains("NaN") {
        return Err(Failure(format!("{done} workloads ran, but the page says: {said}")));
    }
    Ok(())
}
