//! Quantities that must not be mixed up, Kafka's error codes, and the limits that everything shares.
//!
//! Pure: no clock, no I/O, no allocation beyond names.
#![forbid(unsafe_code)]

// What a record's place is made of.
mod log;
pub use log::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition};

// Who writes.
mod producer;
pub use producer::{ProducerEpoch, ProducerId, Sequence};

// Where things run.
mod place;
pub use place::{BrokerId, ShardId};

// How much.
mod size;
pub use size::ByteSize;

// What a client is told when something is wrong.
mod error;
pub use error::ErrorCode;

// The maximum of everything that comes from outside.
pub mod limits;

// What is counted while it runs.
pub mod measure;
