//! Where everything lies in a data folder.

use std::path::{Path, PathBuf};

use ottla_reactor::file::{self, FileLock};
use ottla_units::{Offset, PartitionIndex};

use crate::StorageError;

/// The folders of one broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The data folder: `meta.properties`, `topics`, `metadata`.
    pub data: PathBuf,
    /// The journals' folder; `<data>/journal` unless it has a device of its own.
    pub journal: PathBuf,
}

/// Ends the name of a folder that is being deleted, as Kafka's does.
pub(crate) const DELETED: &str = "-delete";
/// Ends the name of a folder that no topic owns, as Kafka's does.
pub(crate) const STRAY: &str = "-stray";

impl Layout {
    /// The layout with everything below `data`.
    pub fn below(data: impl Into<PathBuf>) -> Layout {
        let data = data.into();
        Layout { journal: data.join("journal"), data }
    }

    /// The folder of all partitions' folders.
    pub fn topics(&self) -> PathBuf {
        self.data.join("topics")
    }

    /// The folder of the cluster's metadata log.
    pub fn metadata(&self) -> PathBuf {
        self.data.join("metadata")
    }

    /// The file that says whose folder this is.
    pub fn meta_properties(&self) -> PathBuf {
        self.data.join("meta.properties")
    }

    /// The folder of one partition.
    pub fn partition(&self, folder: &str) -> PathBuf {
        self.topics().join(folder)
    }

    /// The journal folder of one core.
    pub fn core_journal(&self, core: u16) -> PathBuf {
        self.journal.join(core.to_string())
    }

    /// What the last recovery knew of all partitions.
    pub(crate) fn recovered_checkpoint(&self) -> PathBuf {
        self.journal.join("checkpoint")
    }

    /// What one core knew of its partitions when it stopped.
    pub(crate) fn core_checkpoint(&self, core: u16) -> PathBuf {
        self.core_journal(core).join("checkpoint")
    }

    /// Makes the folders that are missing, durably.
    ///
    /// # Errors
    /// [`StorageError::Io`].
    pub async fn create(&self) -> Result<(), StorageError> {
        for folder in [&self.data, &self.topics(), &self.metadata(), &self.journal] {
            file::create_dir_all(folder).await.map_err(StorageError::io(folder, "create"))?;
        }
        // One that is there may have been made by a process that died before it could flush the name.
        for folder in [&self.data, &self.topics(), &self.journal] {
            match file::sync_parent(folder).await {
                // The folder above may be another user's.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                other => other.map_err(StorageError::io(folder, "flush the name of"))?,
            }
        }
        Ok(())
    }

    /// Takes the data folder for this process; held until dropped.
    ///
    /// # Errors
    /// [`StorageError::Locked`] with the holder's process id, [`StorageError::Io`].
    pub fn lock(&self) -> Result<FileLock, StorageError> {
        let path = self.data.join(".lock");
        file::lock(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                StorageError::Locked { folder: self.data.clone(), holder: error.to_string() }
            } else {
                StorageError::io(&path, "lock")(error)
            }
        })
    }
}

/// The name of a partition's folder: `<topic>-<partition>`.
pub fn partition_folder(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic}-{partition}")
}

/// The files of a segment, by Kafka's names (`org.apache.kafka.storage.internals.log.LogFileUtils`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentFile {
    /// The batches.
    Log,
    /// Offsets to positions.
    Index,
    /// Timestamps to offsets.
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    /// The producers' state below the offset in the name.
    Snapshot,
}

impl SegmentFile {
    const ALL: [(SegmentFile, &str); 5] = [
        (SegmentFile::Log, ".log"),
        (SegmentFile::Index, ".index"),
        (SegmentFile::TimeIndex, ".timeindex"),
        (SegmentFile::TransactionIndex, ".txnindex"),
        (SegmentFile::Snapshot, ".snapshot"),
    ];

    /// The end of the file's name.
    pub fn suffix(self) -> &'static str {
        SegmentFile::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, suffix)| suffix)
    }

    /// The file's name: 20 digits of the base offset and the suffix.
    pub fn name(self, base: Offset) -> String {
        format!("{:020}{}", base.get(), self.suffix())
    }

    /// What a file of this name is.
    pub fn parse(name: &str) -> Option<(SegmentFile, Offset)> {
        let (digits, suffix) = name.split_at_checked(20)?;
        let kind = SegmentFile::ALL.iter().find(|(_, known)| *known == suffix)?.0;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().map(|base| (kind, Offset::new(base)))
    }

    /// The file's path in a partition's folder.
    pub fn path(self, folder: &Path, base: Offset) -> PathBuf {
        folder.join(self.name(base))
    }
}
