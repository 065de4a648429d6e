//! What a shard counts while it works: plain cells, no atomics, no lock, no allocation after creation.
//!
//! Every type here lives on one thread. Another thread sees copies only ([`LatencySnapshot`], plain numbers), which the owner
//! makes when asked.

use std::cell::Cell;
use std::time::Duration;

/// A number that only grows.
#[derive(Default, Debug)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// Adds `count`; wraps after 2^64.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.set(self.0.get().wrapping_add(count));
    }

    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// The number now.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// A number that goes up and down.
#[derive(Default, Debug)]
pub struct Gauge(Cell<i64>);

impl Gauge {
    /// Adds `amount`, which may be negative.
    #[inline]
    pub fn add(&self, amount: i64) {
        self.0.set(self.0.get().wrapping_add(amount));
    }

    /// Replaces the number.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    /// The number now.
    #[inline]
    pub fn get(&self) -> i64 {
        self.0.get()
    }

    /// Counts one more until what it gives is dropped: also when whoever waits is cancelled.
    #[inline]
    pub fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }
}

/// See [`Gauge::hold`].
#[must_use]
#[derive(Debug)]
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// How many durations one [`Latency`] tells apart: 0 to 3 µs exactly, then four steps for each doubling up to 2^26 µs (67 s),
/// then everything longer.
pub const LATENCY_BUCKETS: usize = 4 + 4 * (OCTAVES - 2) + 1;
/// Doublings of a microsecond that are told apart.
const OCTAVES: usize = 26;

/// How long things took: a histogram with buckets at most a quarter apart, 808 bytes.
#[derive(Debug)]
pub struct Latency {
    counts: [Cell<u64>; LATENCY_BUCKETS],
    sum_nanos: Cell<u64>,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { counts: [const { Cell::new(0) }; LATENCY_BUCKETS], sum_nanos: Cell::new(0) }
    }
}

impl Latency {
    /// Counts one thing that took this long.
    #[inline]
    pub fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let cell = &self.counts[bucket_of(nanos / 1000)];
        cell.set(cell.get() + 1);
        self.sum_nanos.set(self.sum_nanos.get().wrapping_add(nanos));
    }

    /// A copy that may go to another thread.
    pub fn snapshot(&self) -> LatencySnapshot {
        let mut counts = [0; LATENCY_BUCKETS];
        for (copy, cell) in counts.iter_mut().zip(&self.counts) {
            *copy = cell.get();
        }
        LatencySnapshot { counts, sum_nanos: self.sum_nanos.get() }
    }
}

/// The bucket that counts durations of `micros`.
#[inline]
fn bucket_of(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let octave = micros.ilog2() as usize;
    let step = (micros >> (octave - 2)) as usize & 3;
    (4 + (octave - 2) * 4 + step).min(LATENCY_BUCKETS - 1)
}

/// The first duration, in microseconds, that is too long for bucket `index`; none for the last bucket.
fn upper_micros(index: usize) -> Option<u64> {
    match index {
        0..4 => Some(index as u64 + 1),
        _ if index >= LATENCY_BUCKETS - 1 => None,
        _ => {
            let (octave, step) = (2 + (index - 4) / 4, (index - 4) % 4);
            Some((5 + step as u64) << (octave - 2))
        }
    }
}

/// What a [`Latency`] had counted when it was copied. Copies of several shards add up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LatencySnapshot {
    counts: [u64; LATENCY_BUCKETS],
    sum_nanos: u64,
}

impl Default for LatencySnapshot {
    fn default() -> LatencySnapshot {
        LatencySnapshot { counts: [0; LATENCY_BUCKETS], sum_nanos: 0 }
    }
}

impl LatencySnapshot {
    /// Adds what another one counted.
    pub fn merge(&mut self, other: &LatencySnapshot) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The duration that the share `quantile` (0 to 1) did not exceed, rounded up to its bucket's end; zero when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_micros(index).unwrap_or(1 << OCTAVES));
            }
        }
        Duration::ZERO
    }

    /// For each power of two microseconds up to 67 s: that bound, and how many durations were shorter.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let mut seen = 0;
        self.counts.iter().enumerate().filter_map(move |(index, count)| {
            seen += count;
            let upper = upper_micros(index)?;
            upper.is_power_of_two().then_some((Duration::from_micros(upper), seen))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_below_its_buckets_end_and_not_below_the_one_before() {
        for micros in (0..5000).chain((12..40).flat_map(|e| [(1u64 << e) - 1, 1 << e, (1 << e) + 1])) {
            let bucket = bucket_of(micros);
            if let Some(upper) = upper_micros(bucket) {
                assert!(micros < upper, "{micros} in {bucket}");
            }
            if bucket > 0 {
                assert!(upper_micros(bucket - 1).is_some_and(|lower| lower <= micros), "{micros} in {bucket}");
            }
        }
    }

    #[test]
    fn quantiles_are_within_a_quarter() {
        let latency = Latency::default();
        for micros in 1..=1000 {
            latency.observe(Duration::from_micros(micros));
        }
        let copy = latency.snapshot();
        assert_eq!(copy.count(), 1000);
        assert_eq!(copy.sum(), Duration::from_micros(500_500));
        for (quantile, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = copy.quantile(quantile).as_micros() as f64;
            assert!(found >= exact && found <= exact * 1.26, "{quantile}: {found}");
        }
        assert_eq!(LatencySnapshot::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn cumulative_counts_end_with_everything() {
        let latency = Latency::default();
        latency.observe(Duration::from_micros(3));
        latency.observe(Duration::from_millis(70));
        latency.observe(Duration::from_secs(500));
        let mut copy = latency.snapshot();
        copy.merge(&latency.snapshot());
        let bounds: Vec<_> = copy.cumulative().collect();
        assert_eq!(bounds.len(), OCTAVES + 1);
        assert_eq!(bounds[2], (Duration::from_micros(4), 2));
        assert_eq!(bounds[OCTAVES], (Duration::from_micros(1 << OCTAVES), 4));
        assert_eq!(copy.count(), 6);
    }
}
