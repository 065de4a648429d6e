//! What each shard's ring does: system calls, operations, sleeps.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::Sample;

/// Counters of one shard's ring since its start.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct RingTotals {
    /// System calls into the ring.
    pub enters: f64,
    /// Operations submitted.
    pub submitted: f64,
    /// Operations completed.
    pub completed: f64,
    /// Times that the shard went to sleep.
    pub sleeps: f64,
    /// Seconds that its loop worked.
    pub busy_seconds: f64,
}

/// What a ring did within some time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RingRates {
    /// The shard's number.
    pub shard: u32,
    /// System calls into the ring, a second.
    pub enters_per_second: f64,
    /// Operations that one such call hands over.
    pub submissions_per_enter: f64,
    /// Operations that one such call finds done.
    pub completions_per_enter: f64,
    /// Operations submitted, a second.
    pub submissions_per_second: f64,
    /// Sleeps a second.
    pub sleeps_per_second: f64,
    /// Share of the time that the loop worked, of 1.
    pub busy: f64,
    /// Operations that the kernel gave to a worker thread, a second; nothing where tracepoints cannot be read.
    pub punted_per_second: Option<f64>,
    /// All system calls of the shard's thread, a second; nothing where tracepoints cannot be read.
    pub syscalls_per_second: Option<f64>,
}

/// The rings' counters among the samples, by shard.
pub fn totals(samples: &[Sample]) -> BTreeMap<u32, RingTotals> {
    let mut totals: BTreeMap<u32, RingTotals> = BTreeMap::new();
    for sample in samples {
        let Some(shard) = sample.label("shard").and_then(|shard| shard.parse().ok()) else { continue };
        let mut set = |place: fn(&mut RingTotals) -> &mut f64| *place(totals.entry(shard).or_default()) = sample.value;
        match sample.name.as_str() {
            "ottla_ring_enters_total" => set(|totals| &mut totals.enters),
            "ottla_ring_submitted_total" => set(|totals| &mut totals.submitted),
            "ottla_ring_completed_total" => set(|totals| &mut totals.completed),
            "ottla_ring_sleeps_total" => set(|totals| &mut totals.sleeps),
            "ottla_shard_busy_seconds_total" => set(|totals| &mut totals.busy_seconds),
            _ => {}
        }
    }
    totals.retain(|_, totals| totals.enters > 0.0);
    totals
}

/// What happened between two readings, `seconds` apart.
pub fn rates(before: &BTreeMap<u32, RingTotals>, after: &BTreeMap<u32, RingTotals>, seconds: f64) -> Vec<RingRates> {
    let seconds = if seconds > 0.0 { seconds } else { 1.0 };
    let of = |(shard, after): (&u32, &RingTotals)| {
        let before = before.get(shard).copied().unwrap_or_default();
        let enters = after.enters - before.enters;
        let per_enter = |count: f64| if enters > 0.0 { count / enters } else { 0.0 };
        let submitted = after.submitted - before.submitted;
        RingRates {
            shard: *shard,
            enters_per_second: enters / seconds,
            submissions_per_enter: per_enter(submitted),
            completions_per_enter: per_enter(after.completed - before.completed),
            submissions_per_second: submitted / seconds,
            sleeps_per_second: (after.sleeps - before.sleeps) / seconds,
            busy: (after.busy_seconds - before.busy_seconds) / seconds,
            punted_per_second: None,
            syscalls_per_second: None,
        }
    };
    after.iter().map(of).collect()
}

/// A table for people.
pub fn table(rates: &[RingRates]) -> String {
    let mut text = format!(
        "{:>5} {:>10} {:>12} {:>12} {:>12} {:>10} {:>10} {:>10} {:>6}\n",
        "SHARD", "ENTERS/S", "SUBMITTED/S", "SUBM/ENTER", "COMPL/ENTER", "PUNTED/S", "SYSCALLS/S", "SLEEPS/S", "BUSY"
    );
    for rate in rates {
        let maybe = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| format!("{value:.0}"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>5} {:>10.0} {:>12.0} {:>12.2} {:>12.2} {:>10} {:>10} {:>10.0} {:>5.0}%",
            rate.shard,
            rate.enters_per_second,
            rate.submissions_per_second,
            rate.submissions_per_enter,
            rate.completions_per_enter,
            maybe(rate.punted_per_second),
            maybe(rate.syscalls_per_second),
            rate.sleeps_per_second,
            rate.busy * 100.0
        );
    }
    text
}

#[cfg(test)]
mod tests;
