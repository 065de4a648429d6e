//! What a shard stands on: executor, ring, buffers, files, sockets, timers and the mesh between shards.
//!
//! The only crate of the data plane that names glommio, io-uring or libc, and the only one with `unsafe` code. Its public
//! interface shows nothing of rings, so that another backend can stand behind it.
//!
//! Each shard thread runs a glommio executor (pinning, task queues with shares) and one io_uring of our own for sockets and
//! disk, in which an idle shard sleeps. glommio neither sleeps nor preempts.

// Starting threads and running futures on them.
mod executor;
pub use executor::{Class, Shards, Task, block_on, busy, cores, is_running, spawn, stand_back, start, yield_now};

// Time.
mod time;
pub use time::{monotonic, random_bytes, sleep, timeout, wall_clock};

// Waiting for one another on one shard.
mod sync;
pub use sync::{Permit, Semaphore, Signal};

// Memory that the disk can read and write directly.
mod buffer;
pub use buffer::{AlignedBuffer, BLOCK, Blocks, Chunk, Slice, prefetch, stream};

// The ring: operations in flight and what drives them.
mod ring;
pub use ring::{RingCounters, ring_counters};

// Files and folders.
pub mod file;

// Sockets.
pub mod socket;

// Messages between shards, and from other threads to a shard.
pub mod mesh;

// A disk in memory and an executor that a seed decides: for tests.
pub mod simulation;

// What this kernel and these limits allow.
pub mod probe;

#[cfg(test)]
mod tests;
