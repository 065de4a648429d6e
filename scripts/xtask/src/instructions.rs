//! How many instructions the broker takes for a load: callgrind, where processors have no counters that may be read.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::{self, Broker};
use crate::shell::{Failure, is_there, program, target};

const HELP: &str = "\
cargo xtask instructions [WORKLOAD] [SETTING=VALUE]...

Runs the broker under valgrind (callgrind) with a workload of `ottla bench` that produces, produce-16x1k unless another is named, and
says how many instructions an appended batch takes outside of the kernel: together, and for each of our functions with all
that it calls. Settings are given to the broker; it has one shard. Valgrind knows no AVX-512: checksums and copies take more
instructions there than they do for real.";

/// Makes the system call that waits return at once.
const PRELOADED: &str = include_str!("instructions.c");
/// The load under valgrind: some tens of times slower than for real.
const LOAD: &[&str] = &["--duration", "8s", "--warm-up", "3s", "--verify-seconds", "0", "--no-probe", "--quiet"];
/// What runs before counting begins, and how long is counted.
const BEFORE: Duration = Duration::from_secs(5);
const COUNTED: Duration = Duration::from_secs(4);
/// What is called once for each batch.
const APPEND: &str = "ottla_storage::log::Log::append";
/// Functions shown.
const SHOWN: usize = 30;

pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{HELP}");
        return Ok(());
    }
    for needed in ["valgrind", "callgrind_annotate", "cc"] {
        if !is_there(needed) {
            return Err(Failure(format!("{needed} is missing: apt-get install valgrind gcc")));
        }
    }
    let (settings, workloads): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.contains('='));
    let workload = workloads.first().map_or("produce-16x1k", |word| word.as_str());
    let settings: Vec<&str> = ["ottla.shards=1"].into_iter().chain(settings.iter().map(|word| word.as_str())).collect();

    let binary = broker::build(true)?;
    let folder = target().join("instructions");
    std::fs::create_dir_all(&folder)?;
    let counts = folder.join(format!("{workload}.callgrind"));
    let broker = Broker::start(&wrapper(&folder, &binary, &counts)?, "instructions", &settings)?;
    count(&binary, &folder, &broker, workload)?;
    broker.stop()?;
    tell(workload, &numbered(&counts, 1))
}

/// A program that starts the broker under valgrind.
fn wrapper(folder: &Path, binary: &Path, counts: &Path) -> Result<PathBuf, Failure> {
    let (source, library, script) = (folder.join("wait.c"), folder.join("wait.so"), folder.join("broker"));
    std::fs::write(&source, PRELOADED)?;
    program("cc").args(["-O2", "-shared", "-fPIC", "-o"]).args([&library, &source]).quietly("compile")?;
    let text = format!(
        "LD_PRELOAD='{}' exec valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file='{}' '{}' \"$@\"\n",
        library.display(),
        counts.display(),
        binary.display()
    );
    std::fs::write(&script, format!("#!/bin/sh\n{text}"))?;
    program("chmod").args(["+x"]).args([&script]).quietly("chmod")?;
    Ok(script)
}

/// Counts while the load runs.
fn count(binary: &Path, folder: &Path, broker: &Broker, workload: &str) -> Result<(), Failure> {
    let mut load = program(binary)
        .args(["bench", "run", workload, "--bootstrap", &broker.address, "--out"])
        .args([folder])
        .args(LOAD)
        .spawn()?;
    let pid = broker.pid().to_string();
    let control = |words: &[&str]| program("callgrind_control").args(words).args([&pid]).quietly("callgrind_control");
    std::thread::sleep(BEFORE);
    control(&["-i", "on"])?;
    std::thread::sleep(COUNTED);
    control(&["-i", "off"])?;
    control(&["-d"])?;
    let ended = load.wait()?;
    if ended.success() { Ok(()) } else { Err(Failure(format!("the load: {ended}"))) }
}

/// Where callgrind puts its dump of this number.
fn numbered(counts: &Path, number: u32) -> PathBuf {
    let mut name = counts.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// What callgrind counted.
#[derive(Default)]
struct Counted {
    instructions: u64,
    /// Calls by the function called.
    calls: HashMap<String, u64>,
}

impl Counted {
    /// Reads callgrind's file: `cfn=(NUMBER) NAME`, the name only at its first mention, then `calls=COUNT …`.
    fn read(text: &str) -> Counted {
        let mut counted = Counted::default();
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut called = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("totals: ") {
                counted.instructions = rest.trim().parse().unwrap_or(0);
            } else if let Some(rest) = line.strip_prefix("calls=") {
                let count = rest.split(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
                let name = names.get(called).copied().unwrap_or_default();
                *counted.calls.entry(name.to_owned()).or_default() += count;
            } else if let Some(rest) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
                let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
                if !name.is_empty() {
                    names.insert(number, name);
                }
                if line.starts_with('c') {
                    called = number;
                }
            }
        }
        counted
    }
}

fn tell(workload: &str, dump: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(dump).map_err(|error| Failure(format!("{}: {error}", dump.display())))?;
    let counted = Counted::read(&text);
    let appends = counted.calls.get(APPEND).copied().unwrap_or(0);
    if appends == 0 {
        return Err(Failure(format!("{workload} appended nothing while it was counted")));
    }
    println!("{workload}: {} instructions for each of {appends} batches", counted.instructions / appends);
    for (name, what) in
        [("mi_malloc_aligned", "allocations"), ("__memcpy_avx_unaligned_erms", "copies"), ("syscall", "system calls")]
    {
        let calls = counted.calls.get(name).copied().unwrap_or(0);
        println!("  {:>10.2} {what}", calls as f64 / appends as f64);
    }
    println!("with all that they call, for each batch:");
    let listed = program("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100"])
        .args([dump])
        .quietly("callgrind_annotate")?;
    // A function is listed once for each file that its code comes from; the first time counts most.
    let mut told = HashSet::new();
    let costs =
        listed.lines().filter_map(|line| cost(line, appends)).filter(|(function, _)| told.insert(function.clone()));
    costs.take(SHOWN).for_each(|(function, cost)| println!("  {cost:>10} {function}"));
    println!("all of it: callgrind_annotate --inclusive=yes {}", dump.display());
    Ok(())
}

/// One of our functions and what it takes for each batch, out of `COUNT (PERCENT)  FILE:FUNCTION [OBJECT]`.
fn cost(line: &str, appends: u64) -> Option<(String, u64)> {
    let count: u64 = line.split_whitespace().next()?.replace(',', "").parse().ok()?;
    let function = line.split_once(")  ")?.1.split_once(".rs:")?.1;
    let function = function.split(" [").next()?;
    function.starts_with("ottla_").then(|| (function.to_owned(), count / appends))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_added_up_by_the_function_called() {
        let text = "totals: 1200\nfn=(1) a\n10 5\ncfn=(2) b::c\ncalls=3 0\n11 60\nfn=(2)\n1 1\ncfn=(1)\ncalls=2 0\n1 9\nfn=(3) d\ncfn=(2)\ncalls=4 +2\n";
        let counted = Counted::read(text);
        assert_eq!(counted.instructions, 1200);
        assert_eq!((counted.calls["b::c"], counted.calls["a"]), (7, 2));
    }

    #[test]
    fn our_functions_are_shown_for_each_batch() {
        let ours = "1,329,604 (51.20%)  /x/shards/broker/src/dispatch.rs:ottla_broker::dispatch::route::{{closure}} [/x/ottla]";
        assert_eq!(cost(ours, 1000), Some(("ottla_broker::dispatch::route::{{closure}}".to_owned(), 1329)));
        assert_eq!(
            cost("37,997,742 ( 5.90%)  ./memmove.S:__memcpy_avx_unaligned_erms [/usr/lib/libc.so.6]", 1000),
            None
        );
        assert_eq!(cost("--------------------------------", 1000), None);
    }
}
