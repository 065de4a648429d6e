use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_units::Offset;

/// What can go wrong below a partition. Cheap to clone: one failure may answer many requests.
#[derive(Clone, Debug)]
pub enum StorageError {
    /// The frame being filled or the memory of tails is full. Wait with [`crate::Store::room`] and append again.
    Busy,
    /// The disk has too little space left to accept more. Retriable: reads go on, and appends too once space returns.
    DiskFull,
    /// A write or flush failed earlier: what is on the disk is unknown, so nothing is acknowledged any more.
    Failed {
        /// What failed first.
        why: Arc<str>,
    },
    /// The log's topic was deleted.
    Deleted,
    /// Somebody else removed a file or folder in use. What is written to it would go with the process.
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The store is stopping.
    Stopped,
    /// No such offset in the log.
    OutOfRange {
        /// The offset asked for.
        from: Offset,
        /// The log's first offset.
        start: Offset,
        /// The offset after its last.
        end: Offset,
    },
    /// A batch that does not begin where the log ends.
    NotContiguous {
        /// The log's end.
        expected: Offset,
        /// The batch's base offset.
        found: Offset,
    },
    /// A batch larger than a segment can hold.
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
    },
    /// Bytes on the disk are not what was written.
    Corrupt {
        /// Where.
        file: PathBuf,
        /// The place in the file, in bytes.
        at: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// Another process works in this data folder.
    Locked {
        /// The folder.
        folder: PathBuf,
        /// Its process id.
        holder: String,
    },
    /// The folder was written by a newer version.
    NewerFormat {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program knows.
        supported: u32,
    },
    /// The operating system refused.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was asked, as a verb.
        action: &'static str,
        /// Its answer.
        source: Arc<io::Error>,
    },
}

/// What is wrong with bytes on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// A batch's length, magic or size cannot be.
    Batch,
    /// A batch's checksum differs from its bytes.
    BatchChecksum,
    /// A batch or journal entry does not follow its predecessor.
    Gap {
        /// The offset that should come.
        expected: Offset,
        /// The offset that comes.
        found: Offset,
    },
    /// The file ends before what is known to have been written.
    Short {
        /// Where it ends, in bytes.
        len: u64,
    },
    /// A journal frame does not verify, but later ones do.
    FrameAmongValid,
    /// A journal file's header does not verify.
    JournalHeader,
    /// A journal file between others is missing.
    JournalMissing {
        /// Its sequence.
        sequence: u64,
    },
    /// A frame verifies but its entries make no sense.
    Entry,
    /// A checkpoint does not verify.
    Checkpoint,
    /// A segment that the checkpoint knows is missing.
    SegmentMissing,
    /// An index entry points to no batch with its offset.
    IndexEntry,
    /// A time index entry differs from the batch it names.
    TimeIndexEntry,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Batch => f.write_str("no batch begins here"),
            Damage::BatchChecksum => f.write_str("the batch's checksum does not match its bytes"),
            Damage::Gap { expected, found } => write!(f, "offset {expected} should follow, not {found}"),
            Damage::Short { len } => write!(f, "the file ends at {len}"),
            Damage::FrameAmongValid => f.write_str("the journal frame does not verify, but later ones do"),
            Damage::JournalHeader => f.write_str("the journal file's header does not verify"),
            Damage::JournalMissing { sequence } => write!(f, "the journal file with sequence {sequence} is missing"),
            Damage::Entry => f.write_str("the journal entry makes no sense"),
            Damage::Checkpoint => f.write_str("the checkpoint does not verify"),
            Damage::SegmentMissing => f.write_str("a segment that was written is missing"),
            Damage::IndexEntry => f.write_str("the index entry points to no batch with its offset"),
            Damage::TimeIndexEntry => f.write_str("the time index entry differs from the batch that it names"),
        }
    }
}

impl StorageError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::DiskFull,
            _ => StorageError::Io { path, action, source: Arc::new(source) },
        }
    }

    pub(crate) fn corrupt(file: &Path, at: u64, damage: Damage) -> StorageError {
        StorageError::Corrupt { file: file.to_path_buf(), at, damage }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Busy => f.write_str("the journal frame is full"),
            StorageError::DiskFull => f.write_str("the disk is full"),
            StorageError::Failed { why } => write!(f, "storage failed: {why}"),
            StorageError::Deleted => f.write_str("the log is deleted"),
            StorageError::Removed { path } => write!(f, "{} was removed while it was in use", path.display()),
            StorageError::Stopped => f.write_str("the store is stopping"),
            StorageError::OutOfRange { from, start, end } => write!(f, "offset {from} is outside {start}..{end}"),
            StorageError::NotContiguous { expected, found } => {
                write!(f, "the batch begins at {found}, the log ends at {expected}")
            }
            StorageError::TooLarge { bytes } => write!(f, "a batch of {bytes} bytes is larger than a segment can be"),
            StorageError::Corrupt { file, at, damage } => {
                write!(
                    f,
                    "{} is damaged at byte {at}: {damage}. `ottla log verify DIR` lists all damage; \
                     `--set ottla.journal.accept.loss=true` starts without what is lost",
                    file.display()
                )
            }
            StorageError::Locked { folder, holder } => {
                write!(f, "{} is in use by process {holder}", folder.display())
            }
            StorageError::NewerFormat { file, found, supported } => write!(
                f,
                "{} has format version {found}; this program knows versions up to {supported}: use a newer one",
                file.display()
            ),
            StorageError::Io { path, action, source } => write!(f, "cannot {action} {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for StorageError {}
