//! The process around the shards: command line, configuration, controller, and what a person sees of a running broker.
//!
//! A library so that tests and the documentation's tables reach what the binary is made of.
#![forbid(unsafe_code)]

// What a person types.
pub mod cli;

// What a broker is started with.
pub mod config;

// What the command line speaks to a broker with.
pub mod client;

// What a person watches.
pub mod admin;

// Who decides what the cluster is.
pub mod controller;

// A data folder without a broker.
pub mod offline;

// The process, from its configuration to its last checkpoint.
pub mod server;
