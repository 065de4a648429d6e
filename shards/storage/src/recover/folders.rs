//! The partitions' folders: which belong to whom.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ottla_reactor::{file, random_bytes};
use ottla_units::{TopicId, TopicPartition};

use super::RecoveryReport;
use crate::layout::{DELETED, Layout, STRAY, SegmentFile};
use crate::log::LogSpec;
use crate::{StorageError, owner};

/// Removes the folders of deleted logs and sets those aside that no topic owns; gives the partitions that have a folder.
pub(super) async fn sort_out(
    layout: &Layout,
    specs: &[LogSpec],
    report: &mut RecoveryReport,
) -> Result<HashSet<TopicPartition>, StorageError> {
    let wanted: HashMap<String, &LogSpec> = specs.iter().map(|spec| (spec.folder(), spec)).collect();
    let topics = layout.topics();
    let mut found = HashSet::new();
    let mut doomed = Vec::new();
    for entry in file::list(&topics).await.map_err(StorageError::io(&topics, "list"))? {
        if !entry.is_dir || entry.name.ends_with(STRAY) {
            continue;
        }
        if entry.name.ends_with(DELETED) {
            doomed.push(topics.join(&entry.name));
        } else if let Some(spec) = wanted.get(&entry.name) {
            found.insert(spec.key);
        } else {
            report.strays.push(set_aside(layout, &entry.name).await?);
        }
    }
    // What was found is so for good: a process that died may have renamed a folder and not have come to the flush. Unflushed,
    // the folder could be back under its old name when nobody remembers that its log was deleted.
    file::sync_dir(&topics).await.map_err(StorageError::io(&topics, "flush"))?;
    for path in &doomed {
        file::remove_dir_all(path).await.map_err(StorageError::io(path, "remove"))?;
        report.removed += 1;
    }
    Ok(found)
}

/// Whether the folder is another topic's of the same name, which was deleted and made again; or nobody's: one that holds
/// segments but does not say whose. A topic's first write-out ends only when that is durable, so nothing is lost with it.
pub(crate) async fn is_foreign(folder: &Path, topic: TopicId) -> Result<bool, StorageError> {
    let path = folder.join(owner::FILE);
    match file::read(&path).await {
        Ok(bytes) => match owner::names(&String::from_utf8_lossy(&bytes), topic) {
            Some(ours) => Ok(!ours),
            None => has_segments(folder).await,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => has_segments(folder).await,
        Err(error) => Err(StorageError::io(&path, "read")(error)),
    }
}

async fn has_segments(folder: &Path) -> Result<bool, StorageError> {
    let entries = file::list(folder).await.map_err(StorageError::io(folder, "list"))?;
    Ok(entries.iter().any(|entry| SegmentFile::parse(&entry.name).is_some()))
}

/// Renames a folder that no topic owns; gives its new name, which is not flushed. It is never removed: were the metadata lost,
/// it would be all that is left.
pub(crate) async fn set_aside(layout: &Layout, name: &str) -> Result<String, StorageError> {
    let from = layout.partition(name);
    let stray = format!("{name}.{}{STRAY}", uuid::Uuid::from_bytes(random_bytes()).simple());
    file::rename(&from, &layout.partition(&stray)).await.map_err(StorageError::io(&from, "rename"))?;
    tracing::warn!(folder = name, renamed = stray, "no topic owns this folder; it is set aside");
    Ok(stray)
}
