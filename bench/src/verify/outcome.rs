use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::error::error_name;

/// How one round went.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Which.
    pub number: u64,
    /// Its seed.
    pub seed: u64,
    /// The file system under it, where that was cut off its power.
    pub file_system: Option<&'static str>,
    /// How the broker ended.
    pub end: &'static str,
    /// When that was, after the load's start.
    pub ended_after: Duration,
    /// Starts that were ended before they were done.
    pub cut_starts: u64,
    /// Partitions of its topic.
    pub partitions: usize,
    /// Shards before and after.
    pub shards: (u64, u64),
    /// From the last start to its first answer: recovery is done then.
    pub recovery: Duration,
    /// Bytes of the journals' files that recovery met.
    pub journal_bytes: u64,
    /// Batches acknowledged.
    pub batches: u64,
    /// Bytes acknowledged.
    pub bytes: u64,
    /// Records read back.
    pub records: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Batches that idempotent producers sent again afterwards.
    pub resent: u64,
    /// Acknowledged records that are gone.
    pub lost: u64,
    /// Records acknowledged with acks=1 that a power cut took: allowed.
    pub lost_unflushed: u64,
    /// Records whose acknowledgement was read after the power cut had begun, and which are gone: allowed.
    pub answered_late: u64,
    /// Records that are there twice.
    pub doubled: u64,
    /// Everything else that is wrong.
    pub wrong: u64,
    /// The first findings in words.
    pub words: Vec<String>,
    /// Errors that writers were answered with.
    pub errors: BTreeMap<i16, u64>,
}

impl Round {
    /// Whether nothing was wrong.
    pub fn passed(&self) -> bool {
        self.lost + self.doubled + self.wrong == 0
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {:>3} ", self.number)?;
        if let Some(file_system) = self.file_system {
            write!(f, "{file_system} ")?;
        }
        write!(
            f,
            "{}: {} partitions, {} after {:.2} s, {} cut starts, {} -> {} shards; answered after {:.0} ms ({} MiB of journal); \
             {} batches ({:.1} MB), {} commits acknowledged; {} records read, {} batches resent; {} lost, {} doubled, {} wrong",
            if self.passed() { "passed" } else { "FAILED" },
            self.partitions,
            self.end,
            self.ended_after.as_secs_f64(),
            self.cut_starts,
            self.shards.0,
            self.shards.1,
            self.recovery.as_secs_f64() * 1000.0,
            self.journal_bytes >> 20,
            self.batches,
            self.bytes as f64 / 1e6,
            self.commits,
            self.records,
            self.resent,
            self.lost,
            self.doubled,
            self.wrong,
        )?;
        if self.lost_unflushed > 0 {
            write!(f, "; {} of acks=1 lost, as may be", self.lost_unflushed)?;
        }
        if self.answered_late > 0 {
            write!(f, "; {} answered after the cut and gone", self.answered_late)?;
        }
        for (code, count) in &self.errors {
            write!(f, "; {count} × {code} {}", error_name(*code))?;
        }
        for words in &self.words {
            write!(f, "\n    {words}")?;
        }
        match self.file_system {
            _ if self.passed() => Ok(()),
            Some(kind) => write!(f, "\n    again: power --seed {} --rounds 1 --file-systems {kind}", self.seed),
            None => write!(f, "\n    again: kill --seed {} --rounds 1 --freezes 0", self.seed),
        }
    }
}

/// How all rounds went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Rounds without a finding.
    pub passed: u64,
    /// Rounds with one.
    pub failed: u64,
    /// Starts that were ended on the way.
    pub cut_starts: u64,
    /// Records lost, of all rounds.
    pub lost: u64,
    /// Records acknowledged with acks=1 that power cuts took.
    pub lost_unflushed: u64,
    /// Batches and bytes acknowledged, records read back.
    pub batches: u64,
    /// Bytes acknowledged.
    pub bytes: u64,
    /// Records read back.
    pub records: u64,
    /// How often each kind of end came.
    pub ends: BTreeMap<&'static str, u64>,
    /// Recovery times in seconds with the GiB of journal that each met.
    recoveries: Vec<(f64, f64)>,
}

/// What recovery may take for each GiB of journal, in seconds.
const RECOVERY_SECONDS_PER_GIB: f64 = 2.0;

impl Summary {
    /// Counts a round in.
    pub fn add(&mut self, round: &Round) {
        if round.passed() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.cut_starts += round.cut_starts;
        self.lost += round.lost;
        self.lost_unflushed += round.lost_unflushed;
        self.batches += round.batches;
        self.bytes += round.bytes;
        self.records += round.records;
        *self.ends.entry(round.end).or_default() += 1;
        self.recoveries.push((round.recovery.as_secs_f64(), round.journal_bytes as f64 / f64::from(1 << 30)));
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: Summary) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.cut_starts += other.cut_starts;
        self.lost += other.lost;
        self.lost_unflushed += other.lost_unflushed;
        self.batches += other.batches;
        self.bytes += other.bytes;
        self.records += other.records;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        self.recoveries.extend(other.recoveries);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends: Vec<String> = self.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        writeln!(
            f,
            "{}; {} starts ended on the way; {} batches ({:.2} GB) acknowledged, {} records read back, {} lost",
            ends.join(", "),
            self.cut_starts,
            self.batches,
            self.bytes as f64 / 1e9,
            self.records,
            self.lost
        )?;
        if self.lost_unflushed > 0 {
            writeln!(f, "{} records of acks=1 lost to power cuts, as may be", self.lost_unflushed)?;
        }
        let mut times: Vec<f64> = self.recoveries.iter().map(|(seconds, _)| *seconds).collect();
        times.sort_by(f64::total_cmp);
        if let (Some(middle), Some(longest)) = (times.get(times.len() / 2), times.last()) {
            let ratios = self.recoveries.iter().filter(|(_, gib)| *gib > 0.0).map(|(seconds, gib)| seconds / gib);
            let worst = ratios.fold(0.0, f64::max);
            let journal = self.recoveries.iter().map(|(_, gib)| *gib).fold(0.0, f64::max);
            let holds = if worst <= RECOVERY_SECONDS_PER_GIB { "holds" } else { "MISSED" };
            writeln!(
                f,
                "recovery: median {:.0} ms, longest {:.0} ms; journal up to {:.2} GiB; worst {worst:.2} s per GiB of journal \
                 (bound {RECOVERY_SECONDS_PER_GIB} s per GiB: {holds})",
                middle * 1000.0,
                longest * 1000.0,
                journal
            )?;
        }
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}
