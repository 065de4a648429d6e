use super::{Outcome, Run, judge_old, judge_tails};
use crate::error::Result;
use crate::measure::Role;
use crate::prepared;
use crate::reader::Path;
use crate::result::Stage;
use crate::stage::{self, Consumer, Evidence, Plan};
use crate::topics::Topic;

/// Numbers of a second stage's producers begin here.
const SECOND_STAGE: u32 = 20_000;

impl Run<'_> {
    pub(super) fn end_to_end(&mut self) -> Outcome {
        let topics = self.create()?;
        if self.spec.consume.backlog.0 > 0 {
            self.fill(&topics, self.backlog_each())?;
        }
        let (stage, evidence) = self.flow("", &topics, 0, Vec::new())?;
        Ok((vec![stage], judge_tails(&evidence)))
    }

    /// Producers, tail readers, and readers that catch up, all at once.
    pub(super) fn mixed(&mut self) -> Outcome {
        let topics = self.create()?;
        if self.spec.consume.backlog.0 == 0 {
            return self.end_to_end();
        }
        let filled = self.fill(&topics, self.backlog_each())?;
        let old =
            self.consumers(&topics, Role::Old, self.spec.consume.catch_up.max(1), self.since_earliest(&topics)?)?;
        let (stage, evidence) = self.flow("", &topics, 0, old)?;
        let mut verdict = judge_tails(&evidence);
        verdict.add(&judge_old(&evidence, &filled));
        Ok((vec![stage], verdict))
    }

    /// Producers and tail readers without, then with a backfill.
    pub(super) fn cold_read(&mut self) -> Outcome {
        let topics = self.create()?;
        let filled = self.fill(&topics, self.backlog_each())?;
        let since_earliest = self.since_earliest(&topics)?;
        self.drop_caches();
        let (alone, evidence) = self.flow("without backfill", &topics, 0, Vec::new())?;
        let mut verdict = judge_tails(&evidence);
        let mut stages = vec![alone];
        if !self.control.stopped() {
            let old = self.consumers(&topics, Role::Old, self.spec.consume.catch_up.max(1), since_earliest)?;
            let (mut with, evidence) = self.flow("with backfill", &topics, SECOND_STAGE, old)?;
            verdict.add(&judge_tails(&evidence));
            verdict.add(&judge_old(&evidence, &filled));
            suffering(&mut with, &stages[0]);
            stages.push(with);
        }
        Ok((stages, verdict))
    }

    fn backlog_each(&self) -> u64 {
        let partitions = u64::from(self.spec.topics.count) * u64::from(self.spec.topics.partitions);
        self.spec.consume.backlog.0 / partitions.max(1)
    }

    /// One stage with producers and tail readers, and these beside.
    fn flow(&self, name: &str, topics: &[Topic], first: u32, more: Vec<Consumer>) -> Result<(Stage, Evidence)> {
        let ends = self.ends(topics)?;
        let path = |topic: usize, partitions: &[i32]| {
            Path::Tail(partitions.iter().map(|partition| ends[topic][*partition as usize]).collect())
        };
        let mut consumers = self.consumers(topics, Role::Tail, self.spec.consume.consumers, path)?;
        consumers.extend(more);
        let shares = prepared::shares(self.spec, topics, first, self.control.seed)?;
        stage::run(Plan { shares, consumers, ..self.plan(name, topics) }, self.target, self.control)
    }
}

/// How much worse latencies became, as ratios.
fn suffering(with: &mut Stage, without: &Stage) {
    let pairs: Vec<(String, f64)> = with
        .latency
        .iter()
        .filter_map(|latency| {
            let before = without.latency.iter().find(|before| before.what == latency.what)?;
            let whose = if latency.what.starts_with("produce") { "producers" } else { "tail_readers" };
            Some((format!("{whose}_p999_ratio"), latency.corrected_ms.p999 / before.corrected_ms.p999.max(1e-3)))
        })
        .collect();
    with.extra.extend(pairs);
}
