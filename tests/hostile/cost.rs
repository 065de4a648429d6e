//! What attacks cost a client that behaves: its rounds (one record produced with acks=all and read back) before and during each.
//! Figures of a shared machine say little, so nothing is asserted here: `cargo xtask hostile` prints them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::attacks;
use crate::broker::Broker;
use crate::client::{Client, behave};

/// How long the quiet before is measured.
const QUIET: Duration = Duration::from_secs(5);

/// Name and function of an attack, and how often it is repeated so that it lasts.
type Attack = (&'static str, fn(&mut Broker), usize);

const ATTACKS: [Attack; 8] = [
    ("random bytes", attacks::random_bytes, 1),
    ("half open, byte by byte", attacks::half_open_and_slow, 2),
    ("announced frames", attacks::announced_frames, 1),
    ("connections come and go", attacks::churn, 5),
    ("20,000 idle connections", |broker| attacks::idle_connections(broker, attacks::idle_connections_max()), 1),
    ("6,000 in one pipeline", attacks::pipeline, 3),
    ("lists of a million", attacks::long_lists, 1),
    ("members", attacks::members, 1),
];

fn quantile(took: &mut [Duration], share: f64) -> Duration {
    took.sort();
    took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The rounds that a client that behaves gets done while `work` runs.
fn meanwhile(address: &str, work: impl FnOnce()) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let good = scope.spawn(|| behave(address, "good", &stop));
        work();
        stop.store(true, Ordering::Relaxed);
        good.join().expect("it does not panic").expect("it is served")
    })
}

#[test]
#[ignore = "measures: cargo xtask hostile"]
fn what_attacks_cost_others() {
    println!(
        "{:<26} {:>7} {:>10} {:>10} {:>10} {:>8} {:>9}",
        "attack", "rounds", "p50", "p99", "p99 before", "ratio", "peak MiB"
    );
    for (name, attack, times) in ATTACKS {
        let mut broker = Broker::start();
        Client::new(&broker.address).create("good", 1);
        let address = broker.address.clone();
        let mut before = meanwhile(&address, || std::thread::sleep(QUIET));
        let mut during = meanwhile(&address, || (0..times).for_each(|_| attack(&mut broker)));
        broker.is_well(name);
        let (p99, p99_before) = (quantile(&mut during, 0.99), quantile(&mut before, 0.99));
        let ratio = p99.as_secs_f64() / p99_before.as_secs_f64().max(1e-9);
        let p50 = quantile(&mut during, 0.5);
        println!(
            "{name:<26} {:>7} {p50:>10.1?} {p99:>10.1?} {p99_before:>10.1?} {ratio:>8.2} {:>9}",
            during.len(),
            broker.peak() >> 20
        );
    }
}
