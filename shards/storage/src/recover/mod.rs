//! Recovery: one phase for the whole process, before any shard serves, so that the number of cores may have changed.
//!
//! 1. The checkpoints of the last start tell what each log's files held.
//! 2. The journals of cores that did not stop cleanly are verified and read for marks: what was durable later on.
//! 3. The end of each affected log's last segment is scanned from the last known good place.
//! 4. The journals are read again: what the segments lack is appended to them. A gap is damage.
//! 5. Files are cut to their exact length, and a new checkpoint of a new generation makes the old journals void.
//!
//! Until the last step nothing of the old state is lost, so a crash during recovery is recovered from in the same way.

mod folders;
mod image;
mod journals;
mod replay;
mod segments;

pub use image::LogImage;

use std::collections::{HashMap, HashSet};

use ottla_reactor::file;
use ottla_units::TopicPartition;

use crate::StorageError;
use crate::checkpoint::Checkpoint;
use crate::layout::Layout;
use crate::log::LogSpec;
use journals::{JournalScan, journal_files};

pub(crate) use folders::{is_foreign, set_aside};
pub(crate) use journals::JournalFrame;
pub(crate) use segments::index_of;

/// How to recover.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RecoverOptions {
    /// Start without what is damaged, instead of refusing.
    pub accept_loss: bool,
}

/// What recovery found and did.
#[derive(Clone, Default, Debug)]
pub struct RecoveryReport {
    /// Whether every shard had stopped cleanly.
    pub clean: bool,
    /// Frames read from journals.
    pub frames: u64,
    /// Batches that only a journal had.
    pub batches_restored: u64,
    /// Bytes of those.
    pub bytes_restored: u64,
    /// Logs whose last segment was scanned.
    pub logs_scanned: u64,
    /// Journals that ended in a frame that was never finished, hence never acknowledged.
    pub torn_frames: u64,
    /// Damage that was accepted.
    pub losses: Vec<StorageError>,
    /// Folders that no topic owns, set aside under these names.
    pub strays: Vec<String>,
    /// Folders of deleted logs whose removal was finished.
    pub removed: u64,
}

/// The logs as found, to be given to the shards that own them now.
#[derive(Debug)]
pub struct Recovery {
    /// By partition; a partition that never got a record has none.
    pub logs: HashMap<TopicPartition, LogImage>,
    /// Counts starts: ties this start's journals to its checkpoint.
    pub generation: u64,
    /// What happened.
    pub report: RecoveryReport,
}

/// What the checkpoints say.
struct Known {
    generation: u64,
    logs: HashMap<TopicPartition, LogImage>,
    /// Logs of shards that stopped cleanly.
    clean: HashSet<TopicPartition>,
    clean_cores: HashSet<u16>,
}

impl Known {
    /// Whether nothing happened to a log since a shard that stopped cleanly took note of it; `found`: whether it has a folder.
    fn is_clean(&self, key: TopicPartition, found: bool) -> bool {
        // A folder that appeared since then is not this log's.
        self.clean.contains(&key) && self.logs.get(&key).is_some_and(|log| log.has_folder || !found)
    }
}

/// Brings all logs of a data folder into a state to go on from. `specs` are the partitions that there should be.
///
/// # Errors
/// [`StorageError::Corrupt`] where damage would lose acknowledged records, unless that is accepted;
/// [`StorageError::NewerFormat`], [`StorageError::Io`], [`StorageError::DiskFull`].
pub async fn recover(layout: &Layout, specs: &[LogSpec], options: &RecoverOptions) -> Result<Recovery, StorageError> {
    layout.create().await?;
    let mut report = RecoveryReport::default();
    let cores = journal_cores(layout).await?;
    let known = read_checkpoints(layout, &cores, options, &mut report).await?;
    let found = folders::sort_out(layout, specs, &mut report).await?;
    let mut scans = Vec::new();
    for core in cores.iter().filter(|core| !known.clean_cores.contains(core)) {
        let files = journal_files(layout, *core, Some(known.generation), options, &mut report).await?;
        scans.push(JournalScan::read(files, options, &mut report).await?);
    }
    let all_clean = specs.iter().all(|spec| {
        let (there, noted) = (found.contains(&spec.key), known.logs.contains_key(&spec.key));
        known.is_clean(spec.key, there) || !(there || noted)
    });
    let generation = known.generation + 1;
    report.clean = all_clean && scans.iter().all(JournalScan::is_empty);
    let logs = if report.clean {
        let wanted: HashSet<_> = specs.iter().map(|spec| spec.key).collect();
        known.logs.into_iter().filter(|(key, _)| wanted.contains(key)).collect()
    } else {
        replay::replay(layout, specs, known, &found, &scans, options, &mut report).await?
    };
    let logs = image::with_snapshots(layout, specs, logs).await?;
    write_checkpoint(layout, generation, &logs).await?;
    Ok(Recovery { logs, generation, report })
}

/// The cores that have a journal folder.
async fn journal_cores(layout: &Layout) -> Result<Vec<u16>, StorageError> {
    let entries = file::list(&layout.journal).await.map_err(StorageError::io(&layout.journal, "list"))?;
    Ok(entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| entry.name.parse().ok()).collect())
}

/// Reads the last recovery's checkpoint and those that shards wrote when they stopped.
async fn read_checkpoints(
    layout: &Layout,
    cores: &[u16],
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Known, StorageError> {
    let path = layout.recovered_checkpoint();
    let whole = accept(Checkpoint::read(&path).await, options, report)?.flatten();
    let generation = match &whole {
        Some(checkpoint) => checkpoint.generation,
        None => journals::newest_generation(layout, cores).await?,
    };
    let mut known = Known { generation, logs: HashMap::new(), clean: HashSet::new(), clean_cores: HashSet::new() };
    if let Some(checkpoint) = whole {
        known.logs.extend(checkpoint.logs);
    }
    for core in cores {
        let checkpoint = accept(Checkpoint::read(&layout.core_checkpoint(*core)).await, options, report)?.flatten();
        let Some(checkpoint) = checkpoint.filter(|found| found.generation == generation && found.clean) else {
            continue;
        };
        known.clean_cores.insert(*core);
        known.clean.extend(checkpoint.logs.iter().map(|(key, _)| *key));
        known.logs.extend(checkpoint.logs);
    }
    Ok(known)
}

/// Passes a result on, unless it is damage and that is accepted.
fn accept<T>(
    result: Result<T, StorageError>,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error @ StorageError::Corrupt { .. }) if options.accept_loss => {
            tracing::warn!(%error, "damage accepted");
            report.losses.push(error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn write_checkpoint(
    layout: &Layout,
    generation: u64,
    logs: &HashMap<TopicPartition, LogImage>,
) -> Result<(), StorageError> {
    let mut logs: Vec<_> = logs.iter().map(|(key, log)| (*key, log.clone())).collect();
    logs.sort_unstable_by_key(|(key, _)| *key);
    let checkpoint = Checkpoint { generation, clean: false, logs };
    checkpoint.write(&layout.recovered_checkpoint()).await
}

#[cfg(test)]
mod tests;
