//! The crash verifier: load that remembers what was acknowledged, kill -9 or a power cut, restart, and everything read back.
//!
//! What is promised and checked:
//!
//! * an acknowledged batch (acks=all or acks=1) is where its acknowledgement said, byte for byte, after a kill, and with
//!   acks=all after a power cut;
//! * no record is there twice: idempotent producers resend what was not answered, others never resend;
//! * a producer's records of a partition are in the order in which it sent them;
//! * what a consumer has read before the crash is there after it;
//! * offsets have no gaps, checksums match, nothing is there that nobody sent;
//! * a group's committed offset is the last acknowledged commit or one that was under way.

// What a record holds: all of it follows from seed, writer and number.
mod content;
// Writing, and what was answered.
mod commits;
mod writer;
// Reading along, until the crash.
mod observer;
// Reading back.
mod reader;
// What a power cut needs: a file system that can be shut off.
mod ground;
// What file systems answer while that happens, without a broker.
mod probe;
// What is told of it.
mod outcome;
// One crash after another.
mod rounds;
// The files that remain, read by another's tool.
pub mod foreign;

pub use ground::{FileSystem, Image, lacks};
pub use outcome::{Round, Summary};
pub use probe::{Probed, probe};
pub use rounds::{Plan, control, run};
