//! One core, assembled: accept to respond.
#![forbid(unsafe_code)]

// What it counts while it works.
pub mod metrics;
