//! Partitions on a simulated disk that crashes, against a model of what was promised. A failure prints the seed; see
//! docs/simulation.md for how to replay it.
//!
//! `OTTLA_SIM_SEEDS=n`: how many; `OTTLA_SIM_FIRST=n`: from which on; `OTTLA_SIM_SEED=n`: only that one, with
//! `OTTLA_SIM_TRACE=1` saying what it does; `OTTLA_SIM_ON=1`: go on after a failure.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod coverage;
mod life;
mod model;
mod rot;
mod seed;
mod work;

#[cfg(feature = "planted-faults")]
mod planted;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use coverage::Coverage;

/// The broker's: buffers come and go a thousand times a seed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds of an ordinary run, without optimisation; `cargo xtask test` asks for many more.
const SEEDS: u64 = 200;
/// So many seeds meet every path.
const ENOUGH_SEEDS: u64 = 20_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// What many seeds gave.
struct Outcome {
    coverage: Coverage,
    /// The first seed that failed, and what it said.
    failed: Option<(u64, String)>,
}

/// Runs seeds on all cores until one fails.
fn run_seeds(first: u64, count: u64) -> Outcome {
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut coverage = Coverage::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            match run_seed(seed, false) {
                Ok(met) => coverage.add(&met),
                Err(why) if number("OTTLA_SIM_ON") == Some(1) => println!("seed {seed}: {why}"),
                Err(why) => {
                    stop.store(true, Ordering::Relaxed);
                    return (coverage, Some((seed, why)));
                }
            }
        }
        (coverage, None)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut outcome = Outcome { coverage: Coverage::default(), failed: None };
        for worker in workers {
            let (coverage, failed) = worker.join().unwrap();
            outcome.coverage.add(&coverage);
            outcome.failed = outcome.failed.or(failed);
        }
        outcome
    })
}

fn run_seed(seed: u64, traced: bool) -> Result<Coverage, String> {
    catch_unwind(AssertUnwindSafe(|| seed::run(seed, traced))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

#[test]
fn nothing_promised_is_lost() {
    if let Some(seed) = number("OTTLA_SIM_SEED") {
        let traced = number("OTTLA_SIM_TRACE") == Some(1);
        match run_seed(seed, traced) {
            Ok(coverage) => println!("seed {seed} is good:\n{coverage}"),
            Err(why) => panic!("seed {seed}: {why}"),
        }
        return;
    }
    let count = number("OTTLA_SIM_SEEDS").unwrap_or(SEEDS);
    let first = number("OTTLA_SIM_FIRST").unwrap_or(1);
    let begun = Instant::now();
    let outcome = run_seeds(first, count);
    if let Some((seed, why)) = outcome.failed {
        panic!("seed {seed}: {why}\nreplay with: cargo xtask sim --seed {seed} --trace");
    }
    println!(
        "{count} seeds from {first} in {:.1} s; what they met:\n{}",
        begun.elapsed().as_secs_f64(),
        outcome.coverage
    );
    let missing = outcome.coverage.missing();
    assert!(count < ENOUGH_SEEDS || missing.is_empty(), "{count} seeds never met {missing:?}");
}

/// A seed that is replayed does what it did.
#[test]
fn a_seed_determines_what_happens() {
    for seed in 1..20 {
        assert_eq!(seed::fingerprint(seed), seed::fingerprint(seed), "seed {seed}");
    }
}
