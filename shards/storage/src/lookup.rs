//! From an offset or a time to a position in a file, by the sparse indexes.

use std::path::Path;
use std::rc::Rc;

use ottla_reactor::AlignedBuffer;
use ottla_reactor::file::{File, Open};
use ottla_units::{Offset, Timestamp};

use crate::StorageError;
use crate::cold::{Due, Spot};
use crate::layout::SegmentFile;
use crate::log::LogCore;
use crate::segment::{INDEX_ENTRY_BYTES, IndexEntry, Latest, TIME_ENTRY_BYTES, TimeEntry};

/// Bytes of an index that are read at once.
const PROBE_BYTES: usize = 4096;

/// Where to begin reading for the batch that holds `offset`.
pub(crate) async fn spot(log: &Rc<LogCore>, offset: Offset) -> Result<Spot, StorageError> {
    let segment = {
        let state = log.state.borrow();
        let behind = state.segments.partition_point(|segment| segment.base <= offset);
        behind.checked_sub(1).map(|i| state.segments[i].base)
    };
    let segment = segment.ok_or_else(|| log.gone(offset))?;
    let limit = log.limit_of(segment).ok_or_else(|| log.gone(offset))?;
    let from_start = Spot { segment, position: 0, limit, due: Due::First(segment) };
    let Some(entry) = entry(log, segment, offset, limit).await? else { return Ok(from_start) };
    let due = Due::Last(segment.plus(i64::from(entry.offset)));
    let position = u64::from(entry.position);
    // An entry that points behind the end is found out at the end.
    Ok(Spot { position: position.min(limit.saturating_sub(1)), due, ..from_start })
}

/// The last entry of a segment's index at or before `offset`, of which the file has the batch.
async fn entry(
    log: &Rc<LogCore>,
    segment: Offset,
    offset: Offset,
    limit: u64,
) -> Result<Option<IndexEntry>, StorageError> {
    let relative = u32::try_from(offset.since(segment)).unwrap_or(u32::MAX);
    let stored = {
        let state = log.state.borrow();
        let growing = state.rolled.iter().chain([&state.active]).find(|growing| growing.base == segment);
        if let Some(growing) = growing {
            let pending = &growing.index.pending;
            let behind = pending.partition_point(|entry| entry.offset <= relative);
            let found = pending[..behind].iter().rev().find(|entry| u64::from(entry.position) < limit);
            if let Some(found) = found {
                return Ok(Some(*found));
            }
        }
        growing.map(|growing| growing.index.stored)
    };
    let path = SegmentFile::Index.path(&log.path(), segment);
    let found = floor::<INDEX_ENTRY_BYTES>(&path, stored, |bytes| IndexEntry::from_bytes(bytes).offset <= relative);
    Ok(found.await?.as_ref().map(IndexEntry::from_bytes))
}

/// What a time index knows of a segment: no record before the offset is as late as `timestamp`; the batch that ends there has
/// this time. The file may be damaged: whoever reads on from there compares.
pub(crate) async fn latest_before(
    log: &Rc<LogCore>,
    segment: Offset,
    timestamp: Timestamp,
) -> Result<Option<Latest>, StorageError> {
    let stored = {
        let state = log.state.borrow();
        let growing = state.rolled.iter().chain([&state.active]).find(|growing| growing.base == segment);
        if let Some(growing) = growing {
            let pending = &growing.index.pending_times;
            let behind = pending.partition_point(|entry| entry.timestamp < timestamp);
            if let Some(found) = behind.checked_sub(1) {
                return Ok(Some(latest(segment, &pending[found])));
            }
        }
        growing.map(|growing| growing.index.stored_times)
    };
    let path = SegmentFile::TimeIndex.path(&log.path(), segment);
    let found = floor::<TIME_ENTRY_BYTES>(&path, stored, |bytes| TimeEntry::from_bytes(bytes).timestamp < timestamp);
    Ok(found.await?.map(|bytes| latest(segment, &TimeEntry::from_bytes(&bytes))))
}

fn latest(segment: Offset, entry: &TimeEntry) -> Latest {
    Latest { timestamp: entry.timestamp, offset: segment.plus(i64::from(entry.offset)) }
}

/// The last of a file's ascending entries of which `below` is true. `stored` bounds how many count; without it all do.
async fn floor<const N: usize>(
    path: &Path,
    stored: Option<u32>,
    below: impl Fn(&[u8; N]) -> bool,
) -> Result<Option<[u8; N]>, StorageError> {
    if stored == Some(0) {
        return Ok(None);
    }
    let file = match File::open(path, Open { read: true, ..Open::default() }).await {
        Ok(file) => file,
        // An index that is not there costs time, not correctness.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io(path, "open")(error)),
    };
    let size = file.size().map_err(StorageError::io(path, "look at"))? / N as u64;
    let entries = stored.map_or(size, |stored| size.min(u64::from(stored)));
    let (mut low, mut high) = (0, entries);
    let mut buffer = AlignedBuffer::new(PROBE_BYTES);
    let per_probe = (PROBE_BYTES / N) as u64;
    let mut best = None;
    // Each probe reads a run of entries in the middle of what is left, and either ends there or halves it.
    while low < high {
        let from = low.max(((low + high) / 2).saturating_sub(per_probe / 2));
        let to = high.min(from + per_probe);
        let len = (to - from) as usize * N;
        let (count, back) = file.read_at(buffer, len, from * N as u64).await;
        count.map_err(StorageError::io(path, "read"))?;
        buffer = back;
        let (run, _) = buffer[..len].as_chunks::<N>();
        let behind = run.partition_point(&below);
        if behind > 0 {
            best = Some(run[behind - 1]);
        }
        match behind {
            0 => high = from,
            _ if behind == run.len() => low = to,
            _ => break,
        }
    }
    Ok(best)
}
