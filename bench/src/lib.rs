//! Load for any Kafka-compatible broker, and proofs of what it promises: the library behind `ottla bench`.
//!
//! The client sends ready-made frames and reads of an answer only what says whether it was good, because it may run beside its
//! broker on the same cores: what it saves is the broker's. It knows brokers by their protocol alone.
#![forbid(unsafe_code)]

// What can go wrong.
mod error;
pub use error::{BenchError, During, Result, error_name};

// What to do: workloads.
pub mod spec;

// The machine and the processes on it, and what they could do at best.
pub mod host;
pub mod limits;
pub mod process;
pub mod usage;

// Bytes of the protocol, as a client makes and reads them.
pub mod answers;
pub mod batches;
pub mod frames;
pub mod random;
pub mod source;

// Speaking with a broker.
pub mod connection;
pub mod coordinator;
pub mod topics;

// Load, in the order data passes: prepared, stamped, due, sent, read, judged.
pub mod driver;
pub mod pipeline;
pub mod prepared;
pub mod reader;
pub mod schedule;
pub mod stamp;
pub mod verifier;

// What is counted, one window, and the kinds of workloads.
pub mod kinds;
pub mod measure;
pub mod result;

// The same load by librdkafka, for comparison.
#[cfg(feature = "librdkafka")]
pub mod librdkafka;
pub mod stage;

// More than one run: a rate searched for, brokers compared, several machines.
pub mod agent;
pub mod allotment;
pub mod compare;
pub mod comparison;
pub mod goals;
pub mod noise;
pub mod rest;
pub mod search;

// What any server pays here.
#[cfg(feature = "floor")]
pub mod floor;

// Telling.
pub mod tell;

// What is typed.
pub mod cli;

// Proof: a broker's process, and what it must keep through a crash.
pub mod broker;
pub mod exercise;
pub mod own;
pub mod verify;
