//! Logs written anew, in a folder of their own, from batches that somebody found sound: offsets, leaderships and bytes stay as
//! they are, what is missing is left out between two segments.

use std::rc::Rc;

use ottla_batch::Batch;
use ottla_units::{Offset, TopicPartition};

use crate::checkpoint::Checkpoint;
use crate::layout::Layout;
use crate::log::{LogCore, LogSpec};
use crate::recover::LogImage;
use crate::store::Shared;
use crate::write_out::{Goal, write_out};
use crate::{LogSettings, StorageError, StoreConfig};

/// Bytes of one log that are held in memory before they are written.
const HELD_BYTES_MAX: u64 = 8 << 20;
/// The frame of a store that writes no journal.
const UNUSED_FRAME_BYTES: usize = 64 << 10;
/// The start that a rebuilt folder says it comes from.
const GENERATION: u64 = 1;

/// Writes logs into a folder in which no broker was started yet. For one thread; several may write different logs.
pub struct Rebuild {
    store: Rc<Shared>,
}

/// A log being written. Batches come in the order of their offsets.
pub struct RebuiltLog(Rc<LogCore>);

impl Rebuild {
    /// Makes the folders.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub async fn begin(layout: &Layout) -> Result<Rebuild, StorageError> {
        layout.create().await?;
        let mut config = StoreConfig::with_generation(0, GENERATION);
        (config.frame_bytes, config.frame_bytes_max) = (UNUSED_FRAME_BYTES, UNUSED_FRAME_BYTES);
        Ok(Rebuild { store: Rc::new(Shared::new(layout, config)) })
    }

    /// Begins a log whose first batch has the offset `first`, or a later one.
    pub fn log(&self, spec: &LogSpec, first: Offset) -> RebuiltLog {
        let image = LogImage { start: first, end: first, ..LogImage::default() };
        RebuiltLog(Rc::new(LogCore::new(&self.store, spec, image, LogSettings::default())))
    }

    /// Writes what a start reads first: every log, as after a clean stop. To be called once, when all logs are done.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::DiskFull`].
    pub async fn finish(layout: &Layout, logs: Vec<(TopicPartition, LogImage)>) -> Result<(), StorageError> {
        let folder = layout.core_journal(0);
        ottla_reactor::file::create_dir_all(&folder).await.map_err(StorageError::io(&folder, "create"))?;
        let begun = Checkpoint { generation: GENERATION, clean: false, logs: Vec::new() };
        begun.write(&layout.recovered_checkpoint()).await?;
        let stopped = Checkpoint { generation: GENERATION, clean: true, logs };
        stopped.write(&layout.core_checkpoint(0)).await
    }
}

impl RebuiltLog {
    /// The offset that a batch may have at least.
    pub fn end(&self) -> Offset {
        self.0.end()
    }

    /// Takes a batch as it is, its offset and leadership included. Behind a gap a new segment begins.
    ///
    /// # Errors
    /// [`StorageError::NotContiguous`] for one before the log's end, [`StorageError::Io`], [`StorageError::DiskFull`].
    pub async fn append(&self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let (base, end) = (batch.base_offset(), self.end());
        if base < end {
            return Err(StorageError::NotContiguous { expected: end, found: base });
        }
        if base > end {
            self.begin_segment(base);
        }
        self.0.restore(batch);
        if self.0.state.borrow().unwritten() > HELD_BYTES_MAX {
            self.write_out(Goal::Durable).await?;
        }
        Ok(())
    }

    /// Begins a segment at `base`, if that is not before the log's end.
    pub fn begin_segment(&self, base: Offset) {
        let (end, empty) = (self.end(), self.0.state.borrow().last_segment().bytes == 0);
        if base > end || (base == end && !empty) {
            self.0.restore_from(base);
        }
    }

    /// Brings the files into their final form. Records may be read from `start` on; the log ends at `end` even if its last batch
    /// ends before. `producers` is the content of Kafka's `.snapshot` file for that end.
    ///
    /// # Errors
    /// [`StorageError::Io`], [`StorageError::DiskFull`].
    pub async fn finish(self, start: Offset, end: Offset, producers: Vec<u8>) -> Result<LogImage, StorageError> {
        if end > self.end() {
            self.0.restore_from(end);
        }
        let log = &self.0;
        {
            let mut state = log.state.borrow_mut();
            let end = state.end;
            state.snapshot = Some((end, producers.clone()));
            if producers.len() > crate::checkpoint::SNAPSHOT_BYTES_MAX {
                state.snapshots.push((end, producers));
            }
            let first = state.segments.iter().find(|segment| segment.bytes > 0).map_or(end, |segment| segment.base);
            state.start = start.max(first).min(end);
        }
        self.write_out(Goal::Finished).await?;
        let image = log.state.borrow().image();
        Ok(image)
    }

    async fn write_out(&self, goal: Goal) -> Result<(), StorageError> {
        write_out(&self.0, goal).await?;
        let mut state = self.0.state.borrow_mut();
        let synced = state.synced;
        while state.tail.evict(synced) > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
