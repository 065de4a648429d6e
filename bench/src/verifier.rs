//! Was anything lost, doubled, reordered or damaged? Consumers note the numbers that they see of each producer; the producers
//! say afterwards what was acknowledged and of what they do not know.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Gaps remembered for one producer and partition; more are counted as lost at once.
const GAPS_MAX: usize = 4_096;

/// What a reader has seen of one producer's batches in one partition.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// The number that comes next.
    next: u64,
    /// Numbers passed over so far.
    gaps: Vec<Range<u64>>,
    seen: u64,
    doubled: u64,
    reordered: u64,
    /// Gaps beyond what is remembered.
    overflow: u64,
}

impl Track {
    /// The number that comes next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// A batch has come.
    pub fn see(&mut self, sequence: u64) {
        self.seen += 1;
        if sequence == self.next {
            self.next += 1;
        } else if sequence > self.next {
            self.gap(self.next..sequence);
            self.next = sequence + 1;
        } else {
            self.late(sequence);
        }
    }

    fn gap(&mut self, gap: Range<u64>) {
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(gap);
        } else {
            self.overflow += gap.end - gap.start;
        }
    }

    fn late(&mut self, sequence: u64) {
        match self.gaps.iter().position(|gap| gap.contains(&sequence)) {
            Some(at) => {
                let gap = self.gaps.swap_remove(at);
                self.reordered += 1;
                for part in [gap.start..sequence, sequence + 1..gap.end] {
                    if !part.is_empty() {
                        self.gaps.push(part);
                    }
                }
            }
            None => self.doubled += 1,
        }
    }
}

/// What a producer says of the batches that it sent in rounds, one to each of some partitions at a time.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Which topic.
    pub topic: usize,
    /// The producer.
    pub producer: u32,
    /// Its partitions.
    pub partitions: Vec<i32>,
    /// Rounds sent: numbers 0 up to this.
    pub sent: u64,
    /// Numbers that were not acknowledged: they may be there or not.
    pub doubts: Vec<Range<u64>>,
    /// Doubts beyond what is remembered: nothing can be said of this producer's losses then.
    pub doubts_overflow: bool,
}

impl Ledger {
    /// Notes a number that was not acknowledged.
    pub fn doubt(&mut self, sequence: u64) {
        if let Some(last) = self.doubts.last_mut() {
            if last.contains(&sequence) {
                return;
            }
            if last.end == sequence {
                last.end += 1;
                return;
            }
        }
        if self.doubts.len() < GAPS_MAX {
            self.doubts.push(sequence..sequence + 1);
        } else {
            self.doubts_overflow = true;
        }
    }

    fn doubted(&self, sequence: &Range<u64>) -> u64 {
        let overlap = |doubt: &Range<u64>| doubt.end.min(sequence.end).saturating_sub(doubt.start.max(sequence.start));
        self.doubts.iter().map(overlap).sum()
    }
}

/// Topic, partition, producer.
pub type Key = (usize, i32, u32);

/// What one reader has seen.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// Of each producer in each partition.
    pub tracks: HashMap<Key, Track>,
    /// Batches whose stamp or checksum does not match.
    pub damaged: u64,
    /// Whether the reader went on until the end of each partition. Otherwise what is missing at the end may just not be read yet.
    pub to_the_end: bool,
}

/// What verification has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Batches looked at.
    pub checked: u64,
    /// Batches that were acknowledged, over all partitions.
    pub acknowledged: u64,
    /// Acknowledged batches that never came.
    pub lost: u64,
    /// Batches that came twice.
    pub doubled: u64,
    /// Batches that came after a later one.
    pub reordered: u64,
    /// Batches whose content is not what was sent.
    pub damaged: u64,
    /// Batches that were never answered or refused: they may be there or not.
    pub in_doubt: u64,
    /// How it was looked at, in words.
    pub how: String,
}

impl Verdict {
    /// Nothing lost, doubled, reordered or damaged.
    pub fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.reordered == 0 && self.damaged == 0
    }

    /// Takes another verdict in.
    pub fn add(&mut self, other: &Verdict) {
        self.checked += other.checked;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.in_doubt += other.in_doubt;
        if self.how.is_empty() {
            self.how.clone_from(&other.how);
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        if self.checked == 0 && self.is_good() {
            return format!("nothing looked at ({})", self.how);
        }
        let mut line = format!(
            "{} batches looked at: {} lost, {} doubled, {} reordered, {} damaged",
            self.checked, self.lost, self.doubled, self.reordered, self.damaged
        );
        if self.in_doubt > 0 {
            line.push_str(&format!(", {} never answered", self.in_doubt));
        }
        if !self.how.is_empty() {
            line.push_str(&format!(" ({})", self.how));
        }
        line
    }
}

/// Holds what readers of one group saw against what producers sent.
pub fn judge(ledgers: &[Ledger], readers: &[Sightings], how: &str) -> Verdict {
    let mut verdict = Verdict { how: how.to_owned(), ..Verdict::default() };
    let sent: HashMap<Key, &Ledger> = ledgers.iter().flat_map(keys_of).collect();
    for (_, ledger) in sent.iter() {
        let doubts = ledger.doubted(&(0..ledger.sent));
        verdict.in_doubt += doubts;
        verdict.acknowledged += ledger.sent - doubts;
    }
    let mut met = std::collections::HashSet::new();
    for reader in readers {
        verdict.damaged += reader.damaged;
        for (key, track) in &reader.tracks {
            let Some(ledger) = sent.get(key) else { continue };
            met.insert(*key);
            judge_track(track, ledger, reader.to_the_end, &mut verdict);
        }
    }
    if !readers.is_empty() && readers.iter().all(|reader| reader.to_the_end) {
        for (_, ledger) in sent.iter().filter(|(key, _)| !met.contains(*key)) {
            verdict.lost += if ledger.doubts_overflow { 0 } else { ledger.sent - ledger.doubted(&(0..ledger.sent)) };
        }
    }
    verdict
}

fn keys_of(ledger: &Ledger) -> impl Iterator<Item = (Key, &Ledger)> {
    ledger.partitions.iter().map(move |partition| ((ledger.topic, *partition, ledger.producer), ledger))
}

fn judge_track(track: &Track, ledger: &Ledger, to_the_end: bool, verdict: &mut Verdict) {
    verdict.checked += track.seen;
    verdict.doubled += track.doubled;
    verdict.reordered += track.reordered;
    if ledger.doubts_overflow {
        return;
    }
    let rest = if to_the_end { track.next..ledger.sent.max(track.next) } else { 0..0 };
    for gap in track.gaps.iter().chain(std::iter::once(&rest)) {
        verdict.lost += (gap.end - gap.start) - ledger.doubted(gap);
    }
    verdict.lost += track.overflow;
}

#[cfg(test)]
mod tests;
