//! The Kafka protocol as bytes: which APIs there are, how requests are framed, and every message's codec.
//!
//! Produce and Fetch are decoded by hand, borrowing from the frame; everything else goes through the `kafka-protocol` crate,
//! behind a walk that checks every count and length first. Pure: no clock, no I/O, and nothing that a peer sends can panic
//! or reserve memory that the frame does not pay for.
#![forbid(unsafe_code)]

// What there is to speak.
pub mod apis;
pub use apis::ApiKey;

// What can be wrong with it.
mod error;
pub use error::WireError;

// The bytes one after the other.
mod read;
pub use read::{Reader, Span};
mod write;

// What every request and response starts with.
pub mod frame;
pub mod header;
pub use header::RequestHeader;

// The two that carry records.
mod topic;
pub use topic::{NodeEndpoint, Topic, TopicRef};
pub mod fetch;
pub mod produce;

// All the others.
pub mod messages;
mod schema;

// What fuzzers feed.
pub mod fuzz;
