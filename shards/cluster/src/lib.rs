//! The cluster's state: one image, the records that change it, and the decisions that make records.
//!
//! Pure: no clock, no I/O, no random source. The controller (on the control thread) decides, writes the records down and
//! hands the new [`Image`] to every shard; a shard only reads.
#![forbid(unsafe_code)]

// What a topic may be called.
pub mod name;

// What everybody reads: brokers, topics, partitions, overrides.
mod image;
mod table;
pub use image::{Broker, CONSUMER_OFFSETS, Image, Listener, Overrides, Partition, Resource, TRANSACTION_STATE, Topic};
pub use table::{ById, IdHasher};

// Which shard owns a partition.
mod ownership;
pub use ownership::owner;

// What settings there are and what they mean.
pub mod config;

// How the image changes, and how those changes look on disk.
mod record;
pub use record::{ApplyError, ConfigTarget, Record};
pub mod frame;

// What shards ask of the controller and what it answers.
mod command;
pub use command::*;

// A command against an image: records and answers.
pub mod decide;

#[cfg(test)]
mod tests;
