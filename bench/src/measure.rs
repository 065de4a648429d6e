//! The clock of a run, its window, and what load threads count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::batches::wall_clock;
use crate::error::{BenchError, Result};

/// Where a run is. Read by every load thread at each turn.
#[derive(Debug)]
pub struct Phase {
    origin: Instant,
    wall_ms: i64,
    began_ns: AtomicU64,
    stopped_ns: AtomicU64,
    /// Seconds of the window that have begun; 0 before it.
    second: AtomicU64,
}

impl Default for Phase {
    fn default() -> Phase {
        Phase {
            origin: Instant::now(),
            wall_ms: wall_clock().get(),
            began_ns: AtomicU64::new(u64::MAX),
            stopped_ns: AtomicU64::new(u64::MAX),
            second: AtomicU64::new(0),
        }
    }
}

impl Phase {
    /// Nanoseconds since the phase was made: the clock of one run.
    pub fn now_ns(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    /// The wall clock, in milliseconds, when the run's clock was 0.
    pub fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    /// Whether counting has begun and not ended.
    pub fn counts(&self) -> bool {
        self.began_ns.load(Ordering::Relaxed) != u64::MAX && !self.stopped()
    }

    /// Whether no more is to be sent.
    pub fn stopped(&self) -> bool {
        self.stopped_ns.load(Ordering::Relaxed) != u64::MAX
    }

    /// Whether something that was due then belongs to the window.
    pub fn covers(&self, due_ns: u64) -> bool {
        (self.began_ns.load(Ordering::Relaxed)..self.stopped_ns.load(Ordering::Relaxed)).contains(&due_ns)
    }

    /// Which second of the window it is, from 1; 0 before it.
    pub fn second(&self) -> u64 {
        self.second.load(Ordering::Relaxed)
    }

    /// Counting begins.
    pub fn begin(&self) {
        self.began_ns.store(self.now_ns(), Ordering::Relaxed);
        self.second.store(1, Ordering::Relaxed);
    }

    /// The next second begins.
    pub fn tick(&self) {
        self.second.fetch_add(1, Ordering::Relaxed);
    }

    /// The end, if it has not come yet.
    pub fn stop(&self) {
        self.stopped_ns.fetch_min(self.now_ns(), Ordering::Relaxed);
    }
}

/// The longest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 600_000_000;

/// An empty histogram of microseconds, three digits exact.
///
/// # Errors
/// Never, with these bounds.
pub fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_max(LATENCY_MAX_US, 3)
        .map_err(|why| BenchError::BadArgument { why: format!("histogram: {why}") })
}

/// What load threads have counted in one second, or in all.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests answered inside the window.
    pub requests: u64,
    /// Batches acknowledged or read inside the window.
    pub batches: u64,
    /// Their records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes written to sockets and read from them, requests and answers whole, warm-up included.
    pub wire: (u64, u64),
    /// Partitions answered with an error, by Kafka's code, warm-up included.
    pub errors: BTreeMap<i16, u64>,
    /// Partitions that did not take their first batch yet, before the clock ran, by Kafka's code: they got it again.
    pub postponed: BTreeMap<i16, u64>,
    /// Requests of the load that were answered after the window, and how long the longest of them took, in microseconds.
    pub late: (u64, u64),
    /// Connections lost, warm-up included.
    pub outages: u64,
    /// Requests that were due and could not even be kept waiting.
    pub shed: u64,
    /// From due to done, in microseconds, of what was due inside the window.
    pub corrected: Histogram<u64>,
    /// From sent to done.
    pub raw: Histogram<u64>,
}

impl Tally {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never.
    pub fn new() -> Result<Tally> {
        Ok(Tally {
            requests: 0,
            batches: 0,
            records: 0,
            bytes: 0,
            wire: (0, 0),
            errors: BTreeMap::new(),
            postponed: BTreeMap::new(),
            late: (0, 0),
            outages: 0,
            shed: 0,
            corrected: histogram()?,
            raw: histogram()?,
        })
    }

    /// Counts an error code if it is one.
    pub fn error(&mut self, code: i16) {
        if code != 0 {
            *self.errors.entry(code).or_default() += 1;
        }
    }

    /// Counts a latency on both clocks.
    pub fn took(&mut self, now_ns: u64, due_ns: u64, sent_ns: u64) {
        self.corrected.saturating_record(now_ns.saturating_sub(due_ns) / 1000);
        self.raw.saturating_record(now_ns.saturating_sub(sent_ns) / 1000);
    }

    /// Takes another's figures in.
    ///
    /// # Errors
    /// Never, with equal bounds.
    pub fn add(&mut self, other: &Tally) -> Result<()> {
        self.requests += other.requests;
        self.batches += other.batches;
        self.records += other.records;
        self.bytes += other.bytes;
        self.wire = (self.wire.0 + other.wire.0, self.wire.1 + other.wire.1);
        self.outages += other.outages;
        self.shed += other.shed;
        self.late = (self.late.0 + other.late.0, self.late.1.max(other.late.1));
        add_counts(&mut self.errors, &other.errors);
        add_counts(&mut self.postponed, &other.postponed);
        let added = self.corrected.add(&other.corrected).and_then(|()| self.raw.add(&other.raw));
        added.map_err(|why| BenchError::BadArgument { why: format!("histogram: {why}") })
    }
}

/// Adds counts by error code.
pub fn add_counts(own: &mut BTreeMap<i16, u64>, other: &BTreeMap<i16, u64>) {
    for (code, count) in other {
        *own.entry(*code).or_default() += count;
    }
}

/// Who counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Producers: latency to the acknowledgement.
    Produce,
    /// Readers at the tail: latency from due to arrived.
    Tail,
    /// Readers of old records: latency of a fetch.
    Old,
}

/// A second's tally of one load thread.
#[derive(Debug)]
pub struct Sample {
    /// Who counted.
    pub role: Role,
    /// Which second of the window; 0 is before it.
    pub second: u64,
    /// What was counted.
    pub tally: Tally,
}

/// Hands a thread's tally over each second. *Lives on: one load thread. Talks by: a channel to the stage.*
#[derive(Debug)]
pub struct Sampler {
    role: Role,
    second: u64,
    tally: Tally,
    out: Sender<Sample>,
}

impl Sampler {
    /// For a thread of this role.
    ///
    /// # Errors
    /// Never.
    pub fn new(role: Role, out: Sender<Sample>) -> Result<Sampler> {
        Ok(Sampler { role, second: 0, tally: Tally::new()?, out })
    }

    /// What to count into.
    pub fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Hands over when a new second has begun.
    ///
    /// # Errors
    /// Never.
    pub fn turn(&mut self, phase: &Phase) -> Result<()> {
        let second = phase.second();
        if second != self.second {
            self.hand_over()?;
            self.second = second;
        }
        Ok(())
    }

    /// Hands over what there is.
    ///
    /// # Errors
    /// Never.
    pub fn hand_over(&mut self) -> Result<()> {
        let tally = std::mem::replace(&mut self.tally, Tally::new()?);
        // A stage that has given up listens no more.
        let _ = self.out.send(Sample { role: self.role, second: self.second, tally });
        Ok(())
    }
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the quantile that it is named for")]
pub struct Quantiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
}

impl Quantiles {
    /// Of nothing: no figure is a number.
    pub const NONE: Quantiles = Quantiles {
        count: 0,
        mean: f64::NAN,
        p50: f64::NAN,
        p90: f64::NAN,
        p99: f64::NAN,
        p999: f64::NAN,
        p9999: f64::NAN,
        max: f64::NAN,
    };

    /// Of a histogram in microseconds.
    pub fn of(latency: &Histogram<u64>) -> Quantiles {
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Quantiles {
            count: latency.len(),
            mean: latency.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: latency.max() as f64 / 1000.0,
        }
    }
}

/// A histogram as it stands in a result: microseconds and how often. Whole histograms are merged, never percentiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts(pub Vec<(u64, u64)>);

/// Values of one histogram believed at most: more than one of three digits can have.
const COUNTS_MAX: usize = 40_000;

impl Counts {
    /// Of a histogram.
    pub fn of(latency: &Histogram<u64>) -> Counts {
        Counts(latency.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value())).collect())
    }

    /// The histogram.
    ///
    /// # Errors
    /// [`BenchError::Malformed`] for more values than one can have.
    pub fn histogram(&self) -> Result<Histogram<u64>> {
        if self.0.len() > COUNTS_MAX {
            return Err(BenchError::Malformed { what: "histogram with too many values" });
        }
        let mut histogram = histogram()?;
        self.0.iter().for_each(|(value, count)| histogram.saturating_record_n(*value, *count));
        Ok(histogram)
    }
}

/// One kind of latency, as a result tells it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From what to what.
    pub what: String,
    /// How what was not sent in time is counted.
    pub corrected_by: String,
    /// Corrected for coordinated omission, in milliseconds.
    pub corrected_ms: Quantiles,
    /// Only what was really waited for, in milliseconds.
    pub raw_ms: Quantiles,
    /// The corrected histogram, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected: Option<Counts>,
    /// The raw one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Counts>,
}

impl Latency {
    /// Of an open loop: counted from when it was due.
    pub fn scheduled(what: &str, tally: &Tally) -> Latency {
        Latency::of(what, "schedule", &tally.corrected, &tally.raw)
    }

    /// Of a closed loop, in which a request goes out every `interval_us` while nothing stalls: a stall hides those that
    /// would have gone out meanwhile, so they are put in.
    pub fn closed(what: &str, raw: &Histogram<u64>, interval_us: u64) -> Latency {
        let corrected = if interval_us == 0 { raw.clone() } else { raw.clone_correct(interval_us) };
        Latency::of(what, "expected interval", &corrected, raw)
    }

    fn of(what: &str, by: &str, corrected: &Histogram<u64>, raw: &Histogram<u64>) -> Latency {
        Latency {
            what: what.to_owned(),
            corrected_by: by.to_owned(),
            corrected_ms: Quantiles::of(corrected),
            raw_ms: Quantiles::of(raw),
            corrected: Some(Counts::of(corrected)),
            raw: Some(Counts::of(raw)),
        }
    }

    /// The figures that mean something: from due in an open loop, of what was waited for in a closed one.
    pub fn shown(&self) -> &Quantiles {
        if self.corrected_by == "schedule" { &self.corrected_ms } else { &self.raw_ms }
    }

    /// The histogram of [`Latency::shown`].
    pub fn shown_counts(&self) -> Option<&Counts> {
        if self.corrected_by == "schedule" { self.corrected.as_ref() } else { self.raw.as_ref() }
    }

    /// Merges another machine's histograms in.
    ///
    /// # Errors
    /// [`BenchError::Malformed`] for histograms that cannot be.
    pub fn add(&mut self, other: &Latency) -> Result<()> {
        let merged = |mine: &Option<Counts>, theirs: &Option<Counts>| -> Result<Histogram<u64>> {
            let mut sum = mine.as_ref().map_or_else(histogram, Counts::histogram)?;
            let theirs = theirs.as_ref().map_or_else(histogram, Counts::histogram)?;
            sum.add(&theirs).map_err(|_| BenchError::Malformed { what: "histogram out of range" })?;
            Ok(sum)
        };
        let corrected = merged(&self.corrected, &other.corrected)?;
        let raw = merged(&self.raw, &other.raw)?;
        *self = Latency::of(&self.what, &self.corrected_by, &corrected, &raw);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
