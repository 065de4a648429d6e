//! The highest rate that holds a latency target, by bisection.

use crate::error::{BenchError, Result};
use crate::kinds;
use crate::limits::Limits;
use crate::result::RunResult;
use crate::spec::{Kind, Rate, Spec};
use crate::stage::{Control, Target};

/// How near to the true rate the search ends, as a share of it.
const TOLERANCE: f64 = 0.04;
/// Probes after the ceiling.
const PROBES_MAX: usize = 12;
/// Share of the due batches that must have been done in time.
const DONE_MIN: f64 = 0.98;

/// The highest of rates up to `ceiling` for which `holds` is true, if it is for any that is not negligible.
/// What holds at one rate is taken to hold at lower ones.
///
/// # Errors
/// Those of `holds`.
pub fn bisect(ceiling: f64, mut holds: impl FnMut(f64) -> Result<bool>) -> Result<Option<f64>> {
    let (mut good, mut bad) = (0.0, ceiling * (1.0 + TOLERANCE));
    // Most brokers hold a good part of their ceiling: begin there instead of in the middle.
    let mut next = ceiling * 0.7;
    for _ in 0..PROBES_MAX {
        if holds(next)? {
            good = next;
        } else {
            bad = next;
        }
        if good > 0.0 && bad / good - 1.0 <= TOLERANCE {
            break;
        }
        next = if good > 0.0 { f64::midpoint(good, bad) } else { bad / 2.0 };
    }
    Ok((good > 0.0).then_some(good))
}

/// Finds the highest rate whose p99 (from due) stays at most `p99_ms`. The result is that of the rate found, or of the last try when
/// none holds; its notes tell every probe.
///
/// # Errors
/// [`BenchError::BadArgument`] for a workload without a rate; those of its runs.
pub fn find_rate(
    spec: &Spec,
    target: &Target,
    control: &Control<'_>,
    limits: Option<&Limits>,
    p99_ms: f64,
    mut tell: impl FnMut(&str),
) -> Result<RunResult> {
    if !matches!(spec.kind, Kind::Produce | Kind::EndToEnd | Kind::Mixed) {
        let why = "--find-rate needs a workload with producers: produce, end-to-end or mixed".to_owned();
        return Err(BenchError::BadArgument { why });
    }
    let run = |rate: Rate| {
        let mut spec = spec.clone();
        spec.produce.rate = rate;
        kinds::run(&spec, target, control, limits.cloned())
    };
    let closed = run(Rate::Max)?;
    let ceiling = closed.stages.last().map_or(0.0, |stage| stage.produced.batches_per_second);
    let mut notes = vec![format!("closed loop: {ceiling:.0} batches/s")];
    tell(&notes[0]);
    let (mut best, mut last) = (None, None);
    let found = bisect(ceiling, |rate| {
        if control.stopped() {
            return Ok(false);
        }
        let result = run(Rate::Batches(rate.round().max(1.0)))?;
        let (holds, note) = verdict(&result, rate, p99_ms);
        tell(&note);
        notes.push(note);
        if holds {
            best = Some(result);
        } else {
            last = Some(result);
        }
        Ok(holds)
    })?;
    notes.push(match found {
        Some(rate) => format!("highest rate with p99 ≤ {p99_ms} ms: {rate:.0} batches/s"),
        None => format!("no rate held p99 ≤ {p99_ms} ms"),
    });
    let mut result = best.or(last).unwrap_or(closed);
    if let (Some(rate), Some(stage)) = (found, result.stages.last_mut()) {
        stage.extra.insert("found_batches_per_second".to_owned(), rate);
    }
    result.notes.extend(notes);
    Ok(result)
}

/// Whether a run held, and in words.
fn verdict(result: &RunResult, rate: f64, p99_ms: f64) -> (bool, String) {
    let Some(stage) = result.stages.last() else { return (false, "nothing ran".to_owned()) };
    let p99 = stage.latency.first().map_or(f64::INFINITY, |latency| latency.corrected_ms.p99);
    let done = stage.produced.batches_per_second / rate;
    let holds = p99 <= p99_ms && done >= DONE_MIN && result.is_clean();
    let words = if holds { "holds" } else { "does not hold" };
    (holds, format!("{rate:.0} batches/s: p99 {p99:.2} ms, {:.0} % done in time: {words}", done.min(1.0) * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ceiling: f64, truth: f64) -> (Option<f64>, usize) {
        let mut probes = 0;
        let found = bisect(ceiling, |rate| {
            probes += 1;
            Ok(rate <= truth)
        });
        (found.unwrap(), probes)
    }

    #[test]
    fn finds_the_edge() {
        for truth in [95_000.0, 70_000.0, 31_000.0, 5_000.0, 700.0] {
            let (rate, probes) = found(100_000.0, truth);
            let rate = rate.unwrap();
            assert!(rate <= truth && rate >= truth * 0.94, "{rate} for {truth}");
            assert!(probes <= PROBES_MAX, "{probes} probes");
        }
    }

    #[test]
    fn the_ceiling_itself_may_hold() {
        let (rate, _) = found(100_000.0, 1e9);
        assert!(rate.unwrap() >= 99_000.0);
    }

    #[test]
    fn says_when_nothing_holds() {
        assert_eq!(found(100_000.0, 0.0).0, None);
    }
}
