//! What an attack costs a client that behaves: its rounds (one record produced with acks=all and read back) before and during it.
//! Only where `OTTLA_HOSTILE_RATIO` says how many times slower its p99 may be (`cargo xtask hostile`): on a machine that others
//! use too, such figures say little.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::client::behave;

/// How long the quiet before is measured, and each attack at least.
const LASTS: Duration = Duration::from_secs(3);

/// Rounds of a client that behaves, during the attack and before it.
pub(crate) struct Rounds {
    pub(crate) during: Vec<Duration>,
    before: Vec<Duration>,
    ratio_max: f64,
}

/// Has `attack` done to the broker beside a client that behaves; where costs are asked for, after a time without it, and again
/// and again. `usual` is what others do in that time, and during the attack, for so long.
pub(crate) fn measure(
    broker: &mut Broker,
    usual: impl Fn(&mut Broker, Duration) + Send,
    attack: impl Fn(&mut Broker) + Send,
) -> Result<Rounds, String> {
    let Ok(ratio_max) = std::env::var("OTTLA_HOSTILE_RATIO") else {
        return Ok(Rounds { during: meanwhile(broker, || {}, attack)?, before: Vec::new(), ratio_max: f64::INFINITY });
    };
    let before = meanwhile(broker, step_forward, |broker| from_behind(broker, move |broker| usual(broker, LASTS)))?;
    let during = meanwhile(broker, step_forward, |broker| from_behind(broker, attack))?;
    Ok(Rounds { during, before, ratio_max: ratio_max.parse().expect("OTTLA_HOSTILE_RATIO is a number") })
}

/// The rounds that a client that behaves gets done while `work` runs, after it has got `ready`.
fn meanwhile(
    broker: &mut Broker,
    ready: impl FnOnce() + Send,
    work: impl FnOnce(&mut Broker),
) -> Result<Vec<Duration>, String> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let address = broker.address.clone();
        let stop = &stop;
        let good = scope.spawn(move || {
            ready();
            behave(&address, "good", stop)
        });
        work(broker);
        stop.store(true, Ordering::Relaxed);
        good.join().expect("it does not panic")
    })
}

/// Does something again and again, in the time that nobody else wants: an attacker has a machine of its own.
fn from_behind(broker: &mut Broker, work: impl Fn(&mut Broker) + Send) {
    let worker = move || {
        step_back();
        let begun = Instant::now();
        while begun.elapsed() < LASTS {
            work(broker);
        }
    };
    std::thread::scope(|scope| scope.spawn(worker).join()).unwrap();
}

/// Puts this thread, and those that it starts, behind all others.
fn step_back() {
    assert!(reschedule(&["--idle", "--pid", "0"]), "chrt is there (apt install util-linux)");
}

/// Puts this thread before all others: a client that behaves has a machine of its own, too. Else, where the broker has as many
/// shards as there are cores, it waits for a core while the broker uses them all, whatever for.
fn step_forward() {
    if !reschedule(&["--fifo", "--pid", "1"]) {
        println!("without the right to chrt --fifo, clients wait for cores that the broker uses: ratios are too large");
    }
}

/// Has this thread scheduled in another way; says whether that was allowed.
fn reschedule(how: &[&str]) -> bool {
    let thread = std::fs::read_link("/proc/thread-self").unwrap();
    let id = thread.file_name().unwrap();
    Command::new("chrt").args(how).arg(id).status().is_ok_and(|status| status.success())
}

impl Rounds {
    /// Prints what the attack cost; it must not be more than was asked for.
    #[track_caller]
    pub(crate) fn tell(mut self, name: &str) {
        let slowest = self.during.iter().max().copied().unwrap_or_default();
        println!("{name}: {} rounds meanwhile, the slowest {slowest:?}", self.during.len());
        if self.before.is_empty() {
            return;
        }
        let (p50, p99) = (quantile(&mut self.during, 0.5), quantile(&mut self.during, 0.99));
        let p99_before = quantile(&mut self.before, 0.99);
        let ratio = p99.as_secs_f64() / p99_before.as_secs_f64();
        println!(
            "cost | {name} | {} | {p50:.1?} | {p99:.1?} | {} | {p99_before:.1?} | {ratio:.2}",
            self.during.len(),
            self.before.len()
        );
        assert!(ratio <= self.ratio_max, "{name}: p99 {p99:.1?}, {ratio:.2} times {p99_before:.1?}");
    }
}

fn quantile(took: &mut [Duration], share: f64) -> Duration {
    took.sort();
    took[((took.len() as f64 * share) as usize).min(took.len() - 1)]
}
