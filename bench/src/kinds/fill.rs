use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Run, Sightings, judge, pause};
use crate::driver::{self, Loop, Manner};
use crate::error::{BenchError, Result};
use crate::measure::{Phase, Role, Sampler};
use crate::prepared;
use crate::reader::{self, Meeting, Path};
use crate::spec::{Acks, Rate, Spec, Verify};
use crate::stage::Consumer;
use crate::topics::{RETRIABLE, Topic};
use crate::verifier::{Ledger, Verdict};

/// Numbers of the producers that fill begin here.
pub(super) const FILLERS: u32 = 50_000;
/// Producers of each topic that fill.
const FILLING: u32 = 4;

impl Run<'_> {
    /// Produces about so many bytes to each partition, as fast as they go.
    pub(super) fn fill(&self, topics: &[Topic], bytes_each: u64) -> Result<Vec<Ledger>> {
        let mut spec = Spec { ..self.spec.clone() };
        spec.produce.rate = Rate::Max;
        spec.produce.linger_ms = None;
        spec.produce.acks = Acks(-1);
        spec.produce.producers = FILLING.min(self.spec.topics.partitions);
        spec.produce.in_flight = 5;
        // Old records are as a busy producer left them.
        spec.produce.batch_bytes.0 = spec.produce.batch_bytes.0.max(16 << 10);
        let rounds = bytes_each.div_ceil(spec.shape().batch_bytes).max(1);
        let shares = prepared::shares(&spec, topics, FILLERS, self.control.seed + 1)?;
        let (phase, meeting) = (Phase::default(), Meeting { start_ns: 0.into(), ..Meeting::default() });
        let (out, samples) = channel();
        let sampler = Sampler::new(Role::Produce, out)?;
        let manner = Manner { fail_fast: self.control.fail_fast, churn: 0.0, seed: 0 };
        let done = std::thread::scope(|scope| {
            let turn = Loop::Closed { rounds };
            let load = scope.spawn(|| driver::drive(shares, turn, &phase, &meeting, sampler, manner));
            while !load.is_finished() {
                if self.control.stopped() {
                    phase.stop();
                    meeting.hurry.store(true, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            load.join()
                .unwrap_or_else(|_| Err(BenchError::Missing { what: "a load thread, which panicked".to_owned() }))
        })?;
        // What was refused for now is in doubt, and the next batch went there.
        let refused = samples.try_iter().flat_map(|sample| sample.tally.errors);
        match refused.into_iter().find(|(code, _)| !RETRIABLE.contains(code)) {
            Some((code, _)) => Err(BenchError::Refused { api: "Produce", code }),
            None => Ok(done.ledgers),
        }
    }

    /// Reads everything back, as far as the time for that goes, and holds it against what was acknowledged.
    pub(super) fn read_back(&self, topics: &[Topic], ledgers: &[Ledger]) -> Result<Verdict> {
        self.read_back_with(topics, ledgers, self.spec.consume.verify)
    }

    /// The same, looking so closely.
    pub(super) fn read_back_with(&self, topics: &[Topic], ledgers: &[Ledger], verify: Verify) -> Result<Verdict> {
        if verify == Verify::Off || self.control.verify_seconds <= 0.0 || self.control.stopped() {
            let how = "verification was off or cut short".to_owned();
            return Ok(Verdict { how, ..Verdict::default() });
        }
        let ends = self.ends(topics)?;
        let path = |topic: usize, partitions: &[i32]| {
            let to: Vec<i64> = partitions.iter().map(|partition| ends[topic][*partition as usize]).collect();
            Path::Between { from: vec![0; to.len()], to, once: true }
        };
        let Ok(mut consumers) = self.consumers(topics, Role::Old, 2, path) else {
            let how = format!("{} topics are too many to read back", topics.len());
            return Ok(Verdict { how, ..Verdict::default() });
        };
        consumers.iter_mut().for_each(|consumer| consumer.reading.verify = verify);
        let seen = self.read_until(&consumers)?;
        let whole = seen.iter().all(|pass| pass.to_the_end);
        let mut verdict = judge(ledgers, &seen, "");
        verdict.how = if whole {
            "all read back after the load".to_owned()
        } else {
            let share = verdict.checked as f64 / (verdict.acknowledged.max(1)) as f64 * 100.0;
            format!("{share:.0} % read back after the load, in {} s", self.control.verify_seconds)
        };
        Ok(verdict)
    }

    /// Lets consumers go once through, as far as the time for verification goes.
    fn read_until(&self, consumers: &[Consumer]) -> Result<Vec<Sightings>> {
        let (phase, meeting) = (Phase::default(), Meeting::default());
        let (out, samples) = channel();
        drop(samples);
        std::thread::scope(|scope| {
            let mut readers = Vec::new();
            for consumer in consumers {
                let sampler = Sampler::new(Role::Old, out.clone())?;
                let (phase, meeting) = (&phase, &meeting);
                readers.push(scope.spawn(move || reader::read(&consumer.reading, phase, meeting, sampler)));
            }
            let end = Instant::now() + Duration::from_secs_f64(self.control.verify_seconds);
            while readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < end && !self.control.stopped()
            {
                pause(self.control, Duration::from_millis(10));
            }
            phase.stop();
            // A pass that is not at its end would go on to it.
            meeting.failed.store(true, Ordering::Relaxed);
            let mut seen = Vec::new();
            for reader in readers {
                let passes = reader.join();
                let panicked = || Err(BenchError::Missing { what: "a reader, which panicked".to_owned() });
                seen.extend(passes.unwrap_or_else(|_| panicked())?);
            }
            Ok(seen)
        })
    }

    /// Empties the page cache, where the workload wants it and this user may; what came of it.
    pub(super) fn drop_caches(&mut self) {
        if !self.spec.consume.drop_caches {
            return;
        }
        rustix::fs::sync();
        let outcome = std::fs::write("/proc/sys/vm/drop_caches", "1\n");
        self.notes.push(match outcome {
            Ok(()) => "the host's page cache was dropped before old records were read".to_owned(),
            Err(why) => format!("the host's page cache could not be dropped ({why}): old records may come from memory"),
        });
    }
}
