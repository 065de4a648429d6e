//! Profiles of a running broker: flame graphs by shard, differences between two, where it waits, what its rings do.
//!
//! Samples come from Linux `perf`, which is run as a program; folding and drawing is inferno's. What a host does not permit is an error that
//! names the remedy.
#![forbid(unsafe_code)]

// What may go wrong, and what to do then.
mod error;
pub use error::PerfError;

// The program that samples.
mod tool;
pub use tool::{Event, Perf};

// Stacks, thread by thread.
mod stacks;
pub use stacks::{Profile, Stacks, Thread};

// Where time is spent, and where it is spent waiting.
mod offcpu;
mod record;
pub use offcpu::{fold_waits, offcpu};
pub use record::{Recorded, flame};

// Graphs, their differences, and pages that link them.
mod draw;
mod page;
pub use draw::{Difference, Graph, diff, draw, write_graphs};
pub use page::{Link, Page, write_page};

// What the rings do.
mod exposition;
mod rings;
mod tracepoints;
pub use exposition::{Sample, get, parse};
pub use rings::{RingRates, RingTotals, rates, table, totals};
pub use tracepoints::{Counted, TRACEPOINTS, count};

// The broker: one that runs, or one of our own.
mod broker;
mod process;
pub use broker::{OwnBroker, await_end};
pub use process::{brokers, metrics_address, thread_names};
