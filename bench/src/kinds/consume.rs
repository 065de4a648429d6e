use super::{Outcome, Run, judge_old};
use crate::error::Result;
use crate::measure::Role;
use crate::reader::Path;
use crate::spec::{From, Verify};
use crate::stage::{self, Plan};
use crate::topics::Topic;
use crate::verifier::{Ledger, Verdict};

/// How many different places of a partition's end are read in turn.
const PLACES: u64 = 8;

impl Run<'_> {
    pub(super) fn consume(&mut self) -> Outcome {
        let topics = self.create()?;
        let partitions = u64::from(self.spec.topics.count) * u64::from(self.spec.topics.partitions);
        let recent = self.spec.consume.from == From::Recent;
        let each = match self.spec.consume.backlog.0 {
            0 => self.spec.consume.partition_bytes.0 * PLACES,
            backlog => backlog / partitions,
        };
        let filled = self.fill(&topics, each)?;
        if recent { self.recent(&topics, each, &filled) } else { self.catch_up(&topics, &filled) }
    }

    /// The newest records, again and again.
    fn recent(&mut self, topics: &[Topic], each: u64, filled: &[Ledger]) -> Outcome {
        // Looked at whole, once, before the clock runs: the load itself may skip over content.
        let verdict = self.read_back_with(topics, filled, Verify::Full)?;
        let ends = self.ends(topics)?;
        let places = (each / self.spec.consume.partition_bytes.0).clamp(1, 64) as i64;
        let path = |topic: usize, partitions: &[i32]| {
            let end = |partition: &i32| ends[topic][*partition as usize];
            Path::Places(
                (0..places).map(|place| partitions.iter().map(|it| end(it) * place / places).collect()).collect(),
            )
        };
        let consumers = self.consumers(topics, Role::Old, self.spec.consume.consumers, path)?;
        let (stage, evidence) = stage::run(Plan { consumers, ..self.plan("", topics) }, self.target, self.control)?;
        let damaged = evidence.seen.iter().flat_map(|(_, _, passes)| passes).map(|pass| pass.damaged).sum::<u64>();
        Ok((vec![stage], Verdict { damaged: verdict.damaged + damaged, ..verdict }))
    }

    /// From the earliest record to the end, again and again.
    fn catch_up(&mut self, topics: &[Topic], filled: &[Ledger]) -> Outcome {
        self.drop_caches();
        let consumers = self.consumers(topics, Role::Old, self.spec.consume.consumers, self.since_earliest(topics)?)?;
        let (stage, evidence) = stage::run(Plan { consumers, ..self.plan("", topics) }, self.target, self.control)?;
        Ok((vec![stage], judge_old(&evidence, filled)))
    }

    /// From the earliest record to where the end is now.
    pub(super) fn since_earliest(&self, topics: &[Topic]) -> Result<impl Fn(usize, &[i32]) -> Path + use<>> {
        let ends = self.ends(topics)?;
        Ok(move |topic: usize, partitions: &[i32]| {
            let to: Vec<i64> = partitions.iter().map(|partition| ends[topic][*partition as usize]).collect();
            Path::Between { from: vec![0; to.len()], to, once: false }
        })
    }
}
