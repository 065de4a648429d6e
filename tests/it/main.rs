//! The binary from outside: started, used, killed, started again, and told nonsense.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, and its helpers with it")]

// A broker and the command line beside it.
mod harness;
mod wait;

// What is typed, and how it is answered.
mod affinity;
mod command_line;

// Records in, records out.
mod records;

// Fetches of very many partitions.
mod wide;

// Stops of every kind, and what is there afterwards.
mod restart;

// What was acknowledged, and whether it is there.
mod ledger;

// Disks in trouble.
mod disk;

// Load, interrupted, from several machines, by another client.
mod bench;

// A clock that jumps.
mod clock;

// What a setting changes.
mod settings;

// Files shown and checked.
mod files;

// Folders damaged, proved and copied.
mod damage;

// Folders that earlier versions left.
mod golden;

// What a person watches.
mod metrics;

// Where the time goes.
mod perf;

// The host, changed and changed back.
mod tune;

// Pages and lists that derive from tables.
mod docs;
mod limits;
