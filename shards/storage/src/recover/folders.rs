//! The partitions' folders: which belong to whom.

use std::collections::{HashMap, HashSet};

use ottla_reactor::{file, random_bytes};
use ottla_units::TopicPartition;

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
    for entry in file::list(&topics).await.map_err(StorageError::io(&topics, "list"))? {
        if !entry.is_dir || entry.name.ends_with(STRAY) {
            continue;
        }
        if entry.name.ends_with(DELETED) {
            let path = topics.join(&entry.name);
            file::remove_dir_all(&path).await.map_err(StorageError::io(&path, "remove"))?;
            report.removed += 1;
        } else if let Some(spec) = wanted.get(&entry.name) {
            found.insert(spec.key);
        } else {
            set_aside(layout, &entry.name, report).await?;
        }
    }
    Ok(found)
}

/// Whether the folder is another topic's of the same name, which was deleted and made again; or nobody's: one that holds
/// segments but does not say whose. A topic's first write-out ends only when that is durable, so nothing is lost with it.
pub(super) async fn is_foreign(layout: &Layout, spec: &LogSpec) -> Result<bool, StorageError> {
    let path = layout.partition(&spec.folder()).join(owner::FILE);
    match file::read(&path).await {
        Ok(bytes) => match owner::names(&String::from_utf8_lossy(&bytes), spec.key.topic) {
            Some(ours) => Ok(!ours),
            None => has_segments(layout, spec).await,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => has_segments(layout, spec).await,
        Err(error) => Err(StorageError::io(&path, "read")(error)),
    }
}

async fn has_segments(layout: &Layout, spec: &LogSpec) -> Result<bool, StorageError> {
    let folder = layout.partition(&spec.folder());
    let entries = file::list(&folder).await.map_err(StorageError::io(&folder, "list"))?;
    Ok(entries.iter().any(|entry| SegmentFile::parse(&entry.name).is_some()))
}

/// Renames a folder that no topic owns. It is never removed: were the metadata lost, it would be all that is left.
pub(super) async fn set_aside(layout: &Layout, name: &str, report: &mut RecoveryReport) -> Result<(), StorageError> {
    let from = layout.partition(name);
    let stray = format!("{name}.{}{STRAY}", uuid::Uuid::from_bytes(random_bytes()).simple());
    file::rename(&from, &layout.partition(&stray)).await.map_err(StorageError::io(&from, "rename"))?;
    tracing::warn!(folder = name, renamed = stray, "no topic owns this folder; it is set aside");
    report.strays.push(stray);
    Ok(())
}
