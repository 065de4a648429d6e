//! Raw load for any Kafka-compatible broker, and proofs of what it promises.
//!
//! The client sends ready-made frames and reads of an answer only what says whether it was good, because it runs beside its
//! broker on the same cores: what it saves is the broker's. It knows brokers by their protocol alone.
#![forbid(unsafe_code)]

// What can go wrong.
mod error;
pub use error::{BenchError, During, Result, error_name};

// The machine and the processes on it.
pub mod host;
pub mod process;

// Bytes of the protocol, as a client makes and reads them.
pub mod answers;
pub mod batches;
pub mod frames;
pub mod random;
pub mod source;

// Speaking with a broker.
pub mod connection;
pub mod topics;

// Load: what is counted, the three kinds, the table.
pub mod end_to_end;
pub mod measure;
pub mod produce;
pub mod tail_fetch;
pub mod workload;

// Proof: a broker's process, and what it must keep through a crash.
pub mod broker;
pub mod exercise;
pub mod verify;

// Telling.
pub mod compare;
pub mod report;
