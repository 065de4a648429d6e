//! Tests of the test: defects made on purpose must be found.

use ottla_storage::Planted;

use crate::run_seed;

/// A defect must show within so many seeds.
const SEEDS: u64 = 1_000;

#[test]
fn every_planted_fault_is_found() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = Planted::ALL.map(|defect| {
        Planted::plant(Some(defect));
        (defect, (1..=SEEDS).find_map(|seed| run_seed(seed, false).err().map(|why| (seed, why))))
    });
    Planted::plant(None);
    std::panic::set_hook(quiet);
    for (defect, found) in &found {
        match found {
            Some((seed, why)) => println!("{defect:?}: seed {seed}: {why}"),
            None => println!("{defect:?}: not found by {SEEDS} seeds"),
        }
    }
    assert!(found.iter().all(|(_, found)| found.is_some()), "a planted fault was not found");
}
