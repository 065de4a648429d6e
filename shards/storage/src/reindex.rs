//! Indexes made anew from the batches, where a file of theirs turned out to be damaged. Kafka's index files have no checksums:
//! each entry is compared with the batch that it leads to.

use std::rc::Rc;

use ottla_reactor::file;
use ottla_units::Offset;

use crate::StorageError;
use crate::layout::SegmentFile;
use crate::log::LogCore;
use crate::recover::index_of;
use crate::segment::GrowingIndex;
use crate::write_out::undisturbed;

/// Makes a segment's index files anew, once in the life of an open log: where the batches themselves are damaged the old ones
/// are left, since they lead behind the damage.
pub(crate) async fn reindex(log: &Rc<LogCore>, segment: Offset) -> Result<(), StorageError> {
    if !log.reindexed.borrow_mut().insert(segment) {
        return Ok(());
    }
    undisturbed(log, rebuild(log, segment)).await
}

async fn rebuild(log: &Rc<LogCore>, segment: Offset) -> Result<(), StorageError> {
    let Some(limit) = log.limit_of(segment) else { return Ok(()) };
    let folder = log.path();
    let interval = log.settings.get().index_interval_bytes;
    let Some(index) = index_of(&folder, segment, limit, interval).await? else {
        tracing::warn!(log = ?log, %segment, "the index cannot be made anew: batches are damaged");
        return Ok(());
    };
    if !log.state.borrow_mut().adopt(segment, &index, limit) {
        write(&SegmentFile::Index.path(&folder, segment), index.pending.iter().flat_map(|entry| entry.to_bytes()))
            .await?;
        let times = index.pending_times.iter().flat_map(|entry| entry.to_bytes());
        write(&SegmentFile::TimeIndex.path(&folder, segment), times).await?;
    }
    tracing::info!(log = ?log, %segment, entries = index.pending.len(), "the index was made anew");
    Ok(())
}

async fn write(path: &std::path::Path, bytes: impl Iterator<Item = u8>) -> Result<(), StorageError> {
    let bytes: Vec<u8> = bytes.collect();
    file::write_atomically(path, &bytes).await.map_err(StorageError::io(path, "write"))
}

impl crate::log::State {
    /// Takes over the entries for the first `limit` bytes of a segment that still grows, and writes them anew with the next
    /// ones. Says whether it does grow.
    fn adopt(&mut self, segment: Offset, index: &GrowingIndex, limit: u64) -> bool {
        let growing = self.rolled.iter_mut().chain([&mut self.active]).find(|growing| growing.base == segment);
        let Some(growing) = growing else { return false };
        let (mut entries, mut times) = (index.pending.clone(), index.pending_times.clone());
        let newest = times.last().map(|last| last.timestamp);
        entries.extend(growing.index.pending.iter().filter(|entry| u64::from(entry.position) >= limit));
        times.extend(growing.index.pending_times.iter().filter(|entry| Some(entry.timestamp) > newest));
        growing.index.pending = entries;
        growing.index.pending_times = times;
        (growing.index.stored, growing.index.stored_times) = (0, 0);
        growing.untidy = true;
        true
    }
}
