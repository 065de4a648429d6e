//! Which leadership wrote from which offset on (KIP-101), and Kafka's file of it.

use std::fmt::Write;

use ottla_units::{LeaderEpoch, Offset};

/// The version in the first line of `leader-epoch-checkpoint`.
const FILE_VERSION: u32 = 0;

/// The first offset of one leadership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// The leadership.
    pub epoch: LeaderEpoch,
    /// The offset of the first batch that it wrote.
    pub start: Offset,
}

/// The leaderships of one log, both fields ascending.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Epochs(Vec<EpochStart>);

impl Epochs {
    /// Leaderships as found in a file; those that do not ascend are left out.
    pub fn new(entries: impl IntoIterator<Item = EpochStart>) -> Epochs {
        let mut epochs = Epochs::default();
        for entry in entries {
            epochs.note(entry.epoch, entry.start);
        }
        epochs
    }

    /// Takes note of a batch's leadership; says whether it is a new one.
    pub fn note(&mut self, epoch: LeaderEpoch, offset: Offset) -> bool {
        let newer =
            epoch >= LeaderEpoch::ZERO && self.0.last().is_none_or(|last| epoch > last.epoch && offset >= last.start);
        if newer {
            // A leadership that wrote nothing is forgotten, as Kafka does.
            if self.0.last().is_some_and(|last| last.start == offset) {
                self.0.pop();
            }
            self.0.push(EpochStart { epoch, start: offset });
        }
        newer
    }

    /// The leaderships, oldest first.
    pub fn entries(&self) -> &[EpochStart] {
        &self.0
    }

    /// The newest.
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|last| last.epoch)
    }

    /// The leadership that wrote `offset`.
    pub fn of(&self, offset: Offset) -> LeaderEpoch {
        let behind = self.0.partition_point(|entry| entry.start <= offset);
        behind.checked_sub(1).map_or(LeaderEpoch::NONE, |i| self.0[i].epoch)
    }

    /// The newest leadership not above `epoch`, and the offset where it ends in a log that ends at `log_end`
    /// (`LeaderEpochFileCache.endOffsetFor`).
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let unknown = (LeaderEpoch::NONE, Offset::NONE);
        if epoch == LeaderEpoch::NONE {
            return unknown;
        }
        if self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let above = self.0.partition_point(|entry| entry.epoch <= epoch);
        match (above.checked_sub(1), self.0.get(above)) {
            (_, None) => unknown,
            (None, Some(next)) => (epoch, next.start),
            (Some(floor), Some(next)) => (self.0[floor].epoch, next.start),
        }
    }

    /// Forgets leaderships that end at or before `start`; the one that wrote `start` begins there from now on.
    pub(crate) fn cut_front(&mut self, start: Offset) -> bool {
        let behind = self.0.partition_point(|entry| entry.start <= start);
        let Some(kept) = behind.checked_sub(1) else { return false };
        if kept == 0 && self.0[0].start == start {
            return false;
        }
        self.0.drain(..kept);
        self.0[0].start = start;
        true
    }

    /// The leaderships that wrote something before `end`.
    pub(crate) fn before(&self, end: Offset) -> Epochs {
        Epochs(self.0.iter().filter(|entry| entry.start < end).copied().collect())
    }

    /// Forgets leaderships whose records are all behind the log's end: a crash took them, but not the file. The one that begins
    /// where the log does is kept, unless the log never got a record.
    pub(crate) fn cut_back(&mut self, start: Offset, end: Offset) -> bool {
        let before = self.0.len();
        self.0.retain(|entry| entry.start < end || (entry.start <= start && end > Offset::ZERO));
        self.0.len() < before
    }

    /// The content of Kafka's `leader-epoch-checkpoint`.
    pub fn to_file(&self) -> String {
        let mut text = format!("{FILE_VERSION}\n{}\n", self.0.len());
        for entry in &self.0 {
            let _ = writeln!(text, "{} {}", entry.epoch, entry.start);
        }
        text
    }

    /// Reads Kafka's `leader-epoch-checkpoint`; `None` when it is not one.
    pub fn from_file(text: &str) -> Option<Epochs> {
        let mut lines = text.lines();
        if lines.next()?.trim().parse() != Ok(FILE_VERSION) {
            return None;
        }
        let count: usize = lines.next()?.trim().parse().ok()?;
        let mut epochs = Epochs::default();
        for line in lines.filter(|line| !line.trim().is_empty()) {
            let (epoch, start) = line.trim().split_once(' ')?;
            epochs.note(LeaderEpoch::new(epoch.parse().ok()?), Offset::new(start.parse().ok()?));
        }
        (epochs.0.len() == count).then_some(epochs)
    }
}

#[cfg(test)]
mod tests;
