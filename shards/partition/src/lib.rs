//! One replica of one partition: what may be appended to its log, by whom, and what may be read from it.
//!
//! Storage keeps bytes; this crate knows what they mean. An append runs in one plain function, nothing in it waits:
//! validate → producer check → stamp → log → producer state. What is appended becomes visible when storage says that it is
//! durable: that moves the high watermark, and the watermark wakes the fetches that wait for it.
#![forbid(unsafe_code)]

// What a topic asks of what is appended.
mod rules;
pub use rules::Rules;

// Idempotent producers: which batch comes next, which was here before, and whose transaction is open.
mod producers;
pub use producers::{
    Arrival, EndMarker, Origin, PRODUCERS_MAX, ProducerError, ProducerState, ProducerTable, RETAINED_BATCHES,
    RetainedBatch, SnapshotError,
};

// The partition: appending and watermarks.
mod partition;
pub use partition::{Acks, Appended, Partition, Produce, Role};

// Reading it.
mod read;
pub use read::{Fetch, Fetched, OffsetFound, OffsetQuery};

// Waiting for what is not there yet.
mod waiting;
pub use waiting::{DataWaiter, Isolation};

// What is refused, and why.
mod error;
pub use error::{AppendError, ReadError, storage_code};

#[cfg(test)]
mod tests;
