use std::fmt;

use ottla_batch::{BatchError, RecordError, ValidateError};
use ottla_storage::StorageError;
use ottla_units::{ErrorCode, LeaderEpoch, Offset};

use crate::ProducerError;

/// Why nothing was appended.
#[derive(Clone, Debug)]
pub enum AppendError {
    /// This replica does not lead the partition.
    NotLeader,
    /// The partition is deleted.
    Deleted,
    /// The partition's log could not be opened.
    Unopened,
    /// The batch unpacks to so much that it is to be checked in steps, and then given to
    /// [`Partition::append_checked`](crate::Partition::append_checked).
    Long,
    /// The batch breaks a rule.
    Batch(BatchError),
    /// A transactional batch in a request without a transactional id.
    TransactionalIdMissing,
    /// The batch is larger than a segment may be.
    LargerThanSegment {
        /// Bytes of the batch.
        bytes: usize,
        /// `segment.bytes`.
        segment_bytes: u64,
    },
    /// Too few replicas are in sync for `acks=all`.
    NotEnoughReplicas {
        /// Replicas in sync.
        in_sync: u32,
        /// `min.insync.replicas`, capped at the number of replicas.
        required: u32,
    },
    /// The producer does what it may not.
    Producer(ProducerError),
    /// Storage refused. [`StorageError::Busy`] is for waiting and appending again; the others are for the client.
    Storage(StorageError),
}

impl AppendError {
    /// What Kafka answers for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            AppendError::NotLeader => ErrorCode::NotLeaderOrFollower,
            AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
            AppendError::Unopened => ErrorCode::KafkaStorageError,
            AppendError::Batch(error) => error.code(),
            AppendError::Long => ErrorCode::MessageTooLarge,
            AppendError::TransactionalIdMissing => ErrorCode::TransactionalIdAuthorizationFailed,
            AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            AppendError::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
            AppendError::Producer(error) => error.code(),
            AppendError::Storage(error) => storage_code(error),
        }
    }

    /// Whether the answer carries the partition's log start offset: Kafka gives it where the log was looked at, and −1 where
    /// the request was refused before.
    pub fn tells_log_start(&self) -> bool {
        match self {
            AppendError::Batch(error) => !error.is_early(),
            AppendError::Producer(_) => true,
            _ => false,
        }
    }

    /// The records that were refused one by one; empty when it was not about single records.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            AppendError::Batch(BatchError::Rejected(records)) => &records.shown,
            _ => &[],
        }
    }

    /// The message that Kafka sends along: only where records were refused one by one (KIP-467).
    pub fn message(&self) -> Option<String> {
        (!self.record_errors().is_empty()).then(|| self.to_string())
    }
}

/// What Kafka answers for a failure of storage, to a Produce or a Fetch.
pub fn storage_code(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        StorageError::Deleted => ErrorCode::UnknownTopicOrPartition,
        StorageError::Stopped => ErrorCode::NotLeaderOrFollower,
        StorageError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        StorageError::Busy
        | StorageError::DiskFull
        | StorageError::Failed { .. }
        | StorageError::Removed { .. }
        | StorageError::NotContiguous { .. }
        | StorageError::Corrupt { .. }
        | StorageError::Locked { .. }
        | StorageError::NewerFormat { .. }
        | StorageError::Io { .. } => ErrorCode::KafkaStorageError,
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::NotLeader => f.write_str("this replica does not lead the partition"),
            AppendError::Deleted => f.write_str("the partition is deleted"),
            AppendError::Long => f.write_str("the batch unpacks to more than is checked at once"),
            AppendError::Unopened => f.write_str("the partition's log could not be opened"),
            AppendError::Batch(error) => error.fmt(f),
            AppendError::TransactionalIdMissing => f.write_str("a transactional batch needs a transactional id"),
            AppendError::LargerThanSegment { bytes, segment_bytes } => write!(
                f,
                "The record batch size of {bytes} bytes exceeds the maximum configured segment size of {segment_bytes}."
            ),
            AppendError::NotEnoughReplicas { in_sync, required } => {
                write!(f, "{in_sync} replicas are in sync, {required} are required")
            }
            AppendError::Producer(error) => error.fmt(f),
            AppendError::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> AppendError {
        AppendError::Batch(error)
    }
}

impl From<ValidateError> for AppendError {
    fn from(error: ValidateError) -> AppendError {
        match error {
            ValidateError::Broken(error) => AppendError::Batch(error),
            ValidateError::Long => AppendError::Long,
        }
    }
}

impl From<ProducerError> for AppendError {
    fn from(error: ProducerError) -> AppendError {
        AppendError::Producer(error)
    }
}

impl From<StorageError> for AppendError {
    fn from(error: StorageError) -> AppendError {
        match error {
            StorageError::Deleted => AppendError::Deleted,
            error => AppendError::Storage(error),
        }
    }
}

/// Why nothing could be read.
#[derive(Clone, Debug)]
pub enum ReadError {
    /// This replica does not lead the partition.
    NotLeader,
    /// The reader knows an older leadership than this one.
    FencedEpoch {
        /// What the reader knows.
        asked: LeaderEpoch,
        /// What is.
        current: LeaderEpoch,
    },
    /// The reader knows a newer leadership than this one.
    UnknownEpoch {
        /// What the reader knows.
        asked: LeaderEpoch,
        /// What is.
        current: LeaderEpoch,
    },
    /// No such offset.
    OutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The first that there is.
        start: Offset,
        /// The one after the last.
        end: Offset,
    },
    /// Storage refused.
    Storage(StorageError),
}

impl ReadError {
    /// What Kafka answers for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            ReadError::NotLeader => ErrorCode::NotLeaderOrFollower,
            ReadError::FencedEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            ReadError::UnknownEpoch { .. } => ErrorCode::UnknownLeaderEpoch,
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            ReadError::Storage(error) => storage_code(error),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::NotLeader => f.write_str("this replica does not lead the partition"),
            ReadError::FencedEpoch { asked, current } | ReadError::UnknownEpoch { asked, current } => {
                write!(f, "the reader knows leader epoch {asked}, the partition is in {current}")
            }
            ReadError::OutOfRange { offset, start, end } => write!(f, "offset {offset} is outside {start}..{end}"),
            ReadError::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<StorageError> for ReadError {
    fn from(error: StorageError) -> ReadError {
        match error {
            StorageError::OutOfRange { from, start, end } => ReadError::OutOfRange { offset: from, start, end },
            error => ReadError::Storage(error),
        }
    }
}
