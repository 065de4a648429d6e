//! What follows from the measurements: pure.

use super::{Measured, Rate};
use crate::profile::{DiskProfile, Flush, JournalProfile, SegmentProfile};

/// One operation instead of two spares a system call and a wake-up: it may take this much longer.
const DSYNC_WORTH: f64 = 1.05;
/// What reaches this share of the best is as good.
const AS_GOOD: f64 = 0.95;
/// What the broker takes: see its own bounds.
const WRITE_BYTES: std::ops::RangeInclusive<usize> = (64 << 10)..=(512 << 10);
/// What it has without a profile.
const WRITE_BYTES_DEFAULT: usize = 256 << 10;
/// Fewer logs at once, and one that waits for a flush holds up the others.
const WRITE_DEPTH_MIN: usize = 4;
const WRITE_DEPTH_MAX: usize = 64;

/// Chooses how the disk is to be written to.
pub fn choose(measured: &Measured) -> DiskProfile {
    let journal = journal(measured);
    let segments = SegmentProfile { write_bytes: write_bytes(measured), write_depth: write_depth(measured) };
    DiskProfile::new(journal, segments, toml::Table::try_from(measured).ok())
}

/// In one operation, up to the size from which on two are faster.
fn journal(measured: &Measured) -> JournalProfile {
    let mut sizes = measured.durable.clone();
    sizes.sort_by_key(|durable| durable.bytes);
    let wins = sizes.iter().take_while(|both| both.dsync.median_us <= both.fdatasync.median_us * DSYNC_WORTH);
    match wins.last() {
        Some(largest) => JournalProfile { flush: Flush::Dsync, dsync_bytes_max: largest.bytes },
        None => JournalProfile { flush: Flush::Fdatasync, dsync_bytes_max: 0 },
    }
}

/// The best rate of those.
fn best<'a>(rates: impl Iterator<Item = &'a Rate>) -> f64 {
    rates.map(|rate| rate.mib_per_second).fold(0.0, f64::max)
}

/// The smallest size that is as good as the best: small ones leave room for others between them.
fn write_bytes(measured: &Measured) -> usize {
    let usable = || measured.writes.iter().filter(|rate| WRITE_BYTES.contains(&rate.bytes));
    let enough = best(usable()) * AS_GOOD;
    let mut good: Vec<usize> = usable().filter(|rate| rate.mib_per_second >= enough).map(|rate| rate.bytes).collect();
    good.sort_unstable();
    good.first().copied().unwrap_or(WRITE_BYTES_DEFAULT)
}

/// As many logs at once as the disk is faster for, shared out to the shards.
fn write_depth(measured: &Measured) -> usize {
    let enough = best(measured.files.iter()) * AS_GOOD;
    let good = measured.files.iter().filter(|rate| rate.mib_per_second >= enough).map(|rate| rate.depth);
    let together = good.min().unwrap_or(WRITE_DEPTH_MIN);
    together.div_ceil(measured.shards.max(1)).clamp(WRITE_DEPTH_MIN, WRITE_DEPTH_MAX)
}
