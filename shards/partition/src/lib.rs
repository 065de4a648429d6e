//! One replica of one partition: what may be appended to its log, by whom, and what may be read from it.
//!
//! Storage keeps bytes; this crate knows what they mean. An append runs in one plain function, nothing in it waits:
//! validate → producer check → stamp → log → producer state. What is appended becomes visible when storage says that it is
//! durable: that moves the high watermark, and the watermark wakes the fetches that wait for it.
#![forbid(unsafe_code)]

// What a producer is refused, and why.
mod error;
pub use error::ProducerError;

// Idempotent producers: which batch comes next, which was here before, and whose transaction is open.
mod producers;
pub use producers::{
    Arrival, EndMarker, Origin, PRODUCERS_MAX, ProducerState, ProducerTable, RETAINED_BATCHES, RetainedBatch,
};

// The producers' file on disk.
mod snapshot;
pub use snapshot::SnapshotError;

#[cfg(test)]
mod tests;
