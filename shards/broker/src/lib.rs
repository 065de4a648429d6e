//! One core, assembled: accept to respond.
//!
//! A request goes: `start` accepts → `connection` cuts frames → `dispatch` → `api` (one file per API) → `links` to the shard
//! that owns the partition → `hosted` → `ottla-partition`; the answer comes back the same way and leaves in order.
#![forbid(unsafe_code)]

// Bringing shards up and down; accepting.
mod start;
pub use start::{Launch, Running, launch};

// What the control thread and the shards say to each other.
mod control;
pub use control::{Controller, Done, LETTERS_MAX, Letter, Letterboxes};

// Frames in, answers out.
mod census;
mod connection;
mod dispatch;

// What clients may hold of a shard's memory.
mod shed;

// One file per API, and the errors in their answers.
mod api;
mod faults;
mod sessions;

// One core's part of the broker, its partitions and groups, and its lines to the other cores.
mod groups;
mod hosted;
mod links;
mod shard;

// How much it logs.
pub mod loggers;
mod seldom;

// What it counts while it works.
pub mod metrics;
mod scrape;
