//! A small blocking Kafka client: what `ottla topic`, `ottla produce` and `ottla consume` speak to a broker with.
//!
//! It negotiates versions, follows metadata to the leaders, and works against any Kafka-compatible broker of 2018 or later.
//! One request at a time on each connection; not made for load.

// What can go wrong, and what to do about it.
mod error;
pub use error::ClientError;

// One connection to one broker.
mod connection;
pub use connection::Connection;

// All brokers, and who leads what.
mod cluster;
pub use cluster::{Cluster, Partition, Topic};

// What is asked of it.
pub mod admin;
pub mod consumer;
pub mod offsets;
pub mod producer;
