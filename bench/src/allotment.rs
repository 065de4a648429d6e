//! Sharing out the time that a comparison may take: the same window for all runs that are still to come.

use std::time::{Duration, Instant};

use crate::spec::{Kind, Spec};

/// Warm-up before a window, as a share of it.
const WARM: f64 = 0.35;
/// Warm-up at least, in seconds: a load's first second has its topics' folders made and its connections set up, and a stall of 40 ms in it is
/// the p99 of a short window.
const WARM_MIN: f64 = 1.0;
/// Windows are at least so long, whatever the time: shorter ones say nothing.
const WINDOW_MIN: f64 = 1.0;
/// What guesses of overheads are trusted for before runs have been seen, in seconds.
const TRUST: f64 = 10.0;

/// A run's work beside its windows, in seconds: topics made, content prepared, old records written, read back, deleted. A guess, corrected
/// by what runs really take.
fn overhead(spec: &Spec) -> f64 {
    let steps: f64 = spec.steps.iter().map(|step| f64::from(*step)).sum();
    let backlog = spec.consume.backlog.0 as f64 / 300e6;
    match spec.kind {
        Kind::Produce | Kind::EndToEnd | Kind::Transactions => 2.0 + f64::from(spec.topics.partitions) / 500.0,
        Kind::Consume => 3.0 + backlog,
        Kind::Mixed | Kind::ColdRead => 3.0 + backlog,
        Kind::Connections => 2.0 + steps / 1_500.0,
        Kind::Groups => 3.0,
        Kind::Partitions => 2.0 + steps / 2_000.0,
    }
}

/// How many windows a run has.
fn windows(spec: &Spec) -> f64 {
    match spec.kind {
        Kind::ColdRead => 2.0,
        _ => spec.steps.len().max(1) as f64,
    }
}

/// Time for runs. *Lives on: the thread that makes a comparison.*
#[derive(Debug)]
pub struct Allotment {
    /// All of it; `None`: windows are as long as workloads say.
    time: Option<Duration>,
    begun: Instant,
    /// Seconds of overhead seen, and as they were guessed.
    seen: (f64, f64),
}

impl Allotment {
    /// From now on.
    pub fn new(time: Option<Duration>) -> Allotment {
        Allotment { time, begun: Instant::now(), seen: (TRUST, TRUST) }
    }

    /// How long it has been.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The workload with its window and warm-up, when these runs, itself included, are still to come.
    pub fn fit<'s>(&self, spec: &Spec, left: impl IntoIterator<Item = (&'s Spec, usize)>) -> Spec {
        let mut spec = spec.clone();
        let Some(time) = self.time else { return spec };
        let room = time.saturating_sub(self.elapsed()).as_secs_f64();
        let (mut overheads, mut counted) = (0.0, 0.0);
        for (each, runs) in left {
            overheads += self.overhead(each) * runs as f64;
            counted += windows(each) * runs as f64;
        }
        let longest = spec.seconds.max(WINDOW_MIN);
        let each = (room - overheads) / counted.max(1.0);
        spec.seconds = (each / (1.0 + WARM)).min(each - WARM_MIN).clamp(WINDOW_MIN, longest);
        // Tenths of a second: shown in every table.
        spec.seconds = (spec.seconds * 10.0).floor() / 10.0;
        spec.warm_seconds = (spec.seconds * WARM * 10.0).ceil().max(WARM_MIN * 10.0) / 10.0;
        spec
    }

    fn overhead(&self, spec: &Spec) -> f64 {
        overhead(spec) * self.seen.0 / self.seen.1
    }

    /// How long a run will take.
    pub fn expected(&self, spec: &Spec) -> f64 {
        windows(spec) * (spec.seconds + spec.warm_seconds) + self.overhead(spec)
    }

    /// A run has taken so many seconds.
    pub fn took(&mut self, spec: &Spec, seconds: f64) {
        self.seen.0 += (seconds - windows(spec) * (spec.seconds + spec.warm_seconds)).max(0.1);
        self.seen.1 += overhead(spec);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: Kind) -> Spec {
        Spec { kind, ..Spec::default() }
    }

    #[test]
    fn all_runs_together_take_the_time_that_there_is() {
        let (produce, cold) = (spec(Kind::Produce), spec(Kind::ColdRead));
        let allotment = Allotment::new(Some(Duration::from_secs(120)));
        let left = [(&produce, 10), (&cold, 5)];
        let fit = |spec| allotment.fit(spec, left);
        let all = 10.0 * allotment.expected(&fit(&produce)) + 5.0 * allotment.expected(&fit(&cold));
        assert!((110.0..=124.0).contains(&all), "{all} of 120 s");
    }

    #[test]
    fn what_runs_really_take_shortens_those_to_come() {
        let produce = spec(Kind::Produce);
        let mut allotment = Allotment::new(Some(Duration::from_secs(120)));
        let before = allotment.fit(&produce, [(&produce, 10)]);
        allotment.took(&before, allotment.expected(&before) * 3.0);
        assert!(allotment.fit(&produce, [(&produce, 10)]).seconds < before.seconds);
    }

    #[test]
    fn a_window_is_never_too_short_nor_longer_than_the_workloads_own() {
        let produce = spec(Kind::Produce);
        let fit = |seconds, runs| {
            let allotment = Allotment::new(Some(Duration::from_secs(seconds)));
            allotment.fit(&produce, [(&produce, runs)])
        };
        let shortest = fit(1, 100);
        assert!((shortest.seconds - WINDOW_MIN).abs() < 1e-9);
        assert!((shortest.warm_seconds - WARM_MIN).abs() < 1e-9, "{}", shortest.warm_seconds);
        assert!((fit(10_000, 1).seconds - produce.seconds).abs() < 1e-9);
        assert_eq!(Allotment::new(None).fit(&produce, []), produce, "no time to share out: as it is");
    }
}
