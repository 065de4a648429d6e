use std::collections::HashMap;

use ottla_reactor::file;
use ottla_units::{Offset, TopicPartition};

use crate::StorageError;
use crate::epochs::Epochs;
use crate::layout::{Layout, SegmentFile};
use crate::log::LogSpec;
use crate::segment::{Growing, Segment};

/// A log as recovery found it, with its files in order. May go to another thread.
#[derive(Clone, Debug)]
pub struct LogImage {
    /// The first offset that may be read.
    pub start: Offset,
    /// The offset that the next record gets.
    pub end: Offset,
    /// The segments, oldest first.
    pub segments: Vec<Segment>,
    /// The leaderships that wrote it.
    pub epochs: Epochs,
    /// The producers' state that covers everything below an offset; what follows up to `end` is to be read again.
    pub snapshot: Option<(Offset, Vec<u8>)>,
    pub(crate) active: Growing,
    /// Whether the file of leaderships says something else, and whether no checkpoint ever told of any.
    pub(crate) epochs_stale: bool,
    pub(crate) epochs_new: bool,
    pub(crate) has_folder: bool,
}

impl Default for LogImage {
    /// A log that never got a record.
    fn default() -> LogImage {
        LogImage {
            start: Offset::ZERO,
            end: Offset::ZERO,
            segments: Vec::new(),
            epochs: Epochs::default(),
            snapshot: None,
            active: Growing::new(Offset::ZERO, 0),
            epochs_stale: false,
            epochs_new: true,
            has_folder: false,
        }
    }
}

/// Reads the producers' states that are too large for a checkpoint from their files.
pub(super) async fn with_snapshots(
    layout: &Layout,
    specs: &[LogSpec],
    mut logs: HashMap<TopicPartition, LogImage>,
) -> Result<HashMap<TopicPartition, LogImage>, StorageError> {
    for spec in specs {
        let Some(log) = logs.get_mut(&spec.key) else { continue };
        let Some((offset, bytes)) = &mut log.snapshot else { continue };
        if !bytes.is_empty() {
            continue;
        }
        let path = SegmentFile::Snapshot.path(&layout.partition(&spec.folder()), *offset);
        match file::read(&path).await {
            Ok(found) => *bytes = found,
            // Without it the whole log is read again, which is slower and as good.
            Err(_) => log.snapshot = None,
        }
    }
    Ok(logs)
}
