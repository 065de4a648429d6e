//! The files that go with a segment: its indexes, producers' states, leaderships, and the folder that holds all of them.

use std::path::Path;
use std::rc::Rc;

use ottla_reactor::AlignedBuffer;
use ottla_reactor::file::{self, File, Open};

use super::Plan;
use crate::StorageError;
use crate::epochs::Epochs;
use crate::layout::SegmentFile;
use crate::log::LogCore;
use crate::recover::{is_foreign, set_aside};

/// Makes the partition's folder and says in it whose it is.
pub(super) async fn create_folder(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let folder = log.path();
    // One whose removal failed when its topic was deleted: its files are not this log's.
    if file::exists(&folder) && is_foreign(&folder, log.key.topic).await? {
        set_aside(&log.store.layout, &log.folder).await?;
    }
    file::create_dir(&folder).await.map_err(StorageError::io(&folder, "create"))?;
    let owner = crate::owner::to_file(log.key.topic);
    // Recovery takes no segment from a folder that does not say whose it is.
    write_plain(&folder.join(crate::owner::FILE), owner.as_bytes(), true).await?;
    log.state.borrow_mut().has_folder = true;
    Ok(())
}

/// Writes the index entries that are due.
pub(super) async fn write_index(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    let Some(index) = &plan.index else { return Ok(()) };
    let folder = log.path();
    let files = [
        (SegmentFile::Index, u64::from(index.at) * crate::INDEX_ENTRY_BYTES as u64, &index.entries),
        (SegmentFile::TimeIndex, u64::from(index.times_at) * crate::TIME_ENTRY_BYTES as u64, &index.times),
    ];
    for (kind, at, bytes) in files {
        let path = kind.path(&folder, plan.base);
        write_behind_end(&path, at, bytes, plan.finish).await.map_err(StorageError::io(&path, "write"))?;
    }
    if (index.at == 0 || index.times_at == 0) && !plan.create {
        file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
    }
    Ok(())
}

/// Writes `bytes` at `at`, where the file's good content ends, durably; `exact` cuts off what lies behind.
async fn write_behind_end(path: &Path, at: u64, bytes: &[u8], exact: bool) -> std::io::Result<()> {
    let file = File::open(path, Open { write: true, create: true, ..Open::default() }).await?;
    if !bytes.is_empty() {
        let mut buffer = AlignedBuffer::new(bytes.len());
        buffer[..bytes.len()].copy_from_slice(bytes);
        file.write_at(buffer, 0..bytes.len(), at).await.0?;
    }
    let cut = exact && file.size()? != at + bytes.len() as u64;
    if cut {
        file.truncate(at + bytes.len() as u64).await?;
    }
    // An empty index is as good as none; but what was cut off must not come back.
    if at == 0 && bytes.is_empty() && !cut { Ok(()) } else { file.sync_data().await }
}

/// Writes the files that go with a finished segment: producers' states and leaderships.
pub(super) async fn write_companions(log: &Rc<LogCore>, plan: &Plan) -> Result<(), StorageError> {
    let folder = log.path();
    for (offset, bytes) in &plan.snapshots {
        // A small one of a clean stop is in the checkpoint as well.
        let durable = plan.rolled || !plan.finish || bytes.len() > crate::checkpoint::SNAPSHOT_BYTES_MAX;
        write_plain(&SegmentFile::Snapshot.path(&folder, *offset), bytes, durable).await?;
    }
    if let Some(stale) = plan.stale_snapshot {
        remove_snapshot(&SegmentFile::Snapshot.path(&folder, stale)).await?;
    }
    match &plan.epochs {
        Some(epochs) if plan.epochs_told => {
            write_plain(&folder.join(crate::owner::EPOCHS_FILE), epochs.to_file().as_bytes(), false).await
        }
        Some(epochs) => {
            if plan.create {
                // The file must not tell of records that a power cut takes with their segment's name.
                file::sync_dir(&folder).await.map_err(StorageError::io(&folder, "flush"))?;
            }
            write_epochs(&folder, epochs).await
        }
        None => Ok(()),
    }
}

async fn write_epochs(folder: &Path, epochs: &Epochs) -> Result<(), StorageError> {
    let path = folder.join(crate::owner::EPOCHS_FILE);
    file::write_atomically(&path, epochs.to_file().as_bytes()).await.map_err(StorageError::io(&path, "write"))
}

/// Writes leaderships down that changed where nothing else did: the file would go on telling of some whose records are gone, and
/// be believed once others have taken their offsets.
pub(super) async fn finish_epochs(log: &Rc<LogCore>) -> Result<(), StorageError> {
    let due = {
        let state = log.state.borrow();
        let due = state.epochs_stale && state.has_folder && !state.deleted && !state.epochs.entries().is_empty();
        due.then(|| state.epochs.clone())
    };
    let Some(epochs) = due else { return Ok(()) };
    write_epochs(&log.path(), &epochs).await?;
    log.state.borrow_mut().epochs_stale = false;
    Ok(())
}

async fn remove_snapshot(path: &Path) -> Result<(), StorageError> {
    match file::remove(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StorageError::io(path, "remove")(error)),
        _ => Ok(()),
    }
}

/// Writes a small file that the checkpoint can do without: a torn one is noticed when it is read.
pub(crate) async fn write_plain(path: &Path, bytes: &[u8], durable: bool) -> Result<(), StorageError> {
    let how = Open { write: true, create: true, truncate: true, ..Open::default() };
    let file = File::open(path, how).await.map_err(StorageError::io(path, "open"))?;
    let mut buffer = AlignedBuffer::new(bytes.len());
    buffer[..bytes.len()].copy_from_slice(bytes);
    if !bytes.is_empty() {
        file.write_at(buffer, 0..bytes.len(), 0).await.0.map_err(StorageError::io(path, "write"))?;
    }
    if durable {
        file.sync_data().await.map_err(StorageError::io(path, "flush"))?;
    }
    Ok(())
}
