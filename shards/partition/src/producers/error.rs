use std::fmt;

use ottla_units::{ErrorCode, ProducerEpoch, ProducerId, Sequence};

/// What an idempotent or transactional producer did wrong (`ProducerAppendInfo`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProducerError {
    /// A batch that does not follow the producer's last one.
    OutOfOrder {
        /// The producer.
        producer: ProducerId,
        /// The batch's first sequence.
        sequence: Sequence,
        /// The last sequence that is known.
        last: Sequence,
    },
    /// A new epoch must begin with sequence 0.
    NewEpochNotFromZero {
        /// The producer.
        producer: ProducerId,
        /// The new epoch.
        epoch: ProducerEpoch,
        /// The batch's first sequence.
        sequence: Sequence,
        /// The epoch before.
        current: ProducerEpoch,
    },
    /// An epoch from before the producer was fenced.
    StaleEpoch {
        /// The producer.
        producer: ProducerId,
        /// The batch's epoch.
        epoch: ProducerEpoch,
        /// The latest that is known.
        current: ProducerEpoch,
    },
    /// A batch outside of a transaction while the producer has one open.
    TransactionOpen {
        /// The producer.
        producer: ProducerId,
    },
    /// The end of a transaction from a coordinator that has been replaced.
    CoordinatorFenced {
        /// The producer.
        producer: ProducerId,
        /// The coordinator's epoch.
        epoch: i32,
        /// The latest that is known.
        current: i32,
    },
}

impl ProducerError {
    /// What Kafka answers for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            ProducerError::OutOfOrder { .. } | ProducerError::NewEpochNotFromZero { .. } => {
                ErrorCode::OutOfOrderSequenceNumber
            }
            ProducerError::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            ProducerError::TransactionOpen { .. } => ErrorCode::InvalidTxnState,
            ProducerError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        }
    }
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProducerError::OutOfOrder { producer, sequence, last } => write!(
                f,
                "Out of order sequence number for producer {producer}: {sequence} (incoming seq. number), \
                 {last} (current end sequence number)"
            ),
            ProducerError::NewEpochNotFromZero { producer, epoch, sequence, current } => write!(
                f,
                "Invalid sequence number for new epoch of producer {producer}: {epoch} (request epoch), \
                 {sequence} (seq. number), {current} (current producer epoch)"
            ),
            ProducerError::StaleEpoch { producer, epoch, current } => {
                write!(
                    f,
                    "Epoch of producer {producer} is {epoch}, which is smaller than the last seen epoch {current}"
                )
            }
            ProducerError::TransactionOpen { producer } => {
                write!(f, "Expected transactional write from producer {producer}")
            }
            ProducerError::CoordinatorFenced { producer, epoch, current } => {
                write!(f, "Invalid coordinator epoch for producerId {producer}: {epoch} (zombie), {current} (current)")
            }
        }
    }
}

impl std::error::Error for ProducerError {}
