//! A disk and an executor that exist in memory only: for tests that crash a store thousands of times a second.
//!
//! [`run`] drives a future on this thread without ring and glommio. Which task runs next, and which operation on the disk ends
//! next, a seed decides; time is virtual and passes only then. Everything of this crate but sockets, mesh and locks works
//! inside: `spawn`, `sleep`, `Signal`, `Semaphore`, `file`. A future that reaches the disk's crash is dropped with everything
//! it started; [`Disk::crash`] then keeps what the rules of flushing say, and something of the rest.
//!
//! What it costs a shard on a real disk: one predictable branch on a thread-local flag at each operation, spawn and reading of
//! a clock.

mod crash;
mod disk;
mod executor;
mod files;
mod folders;
mod operation;
mod random;

pub use crash::Kept;
pub use disk::{Disk, DiskCounters, Faults, Within};
pub use executor::{Ended, note, run};
pub use random::Random;

pub(crate) use executor::{Join, active, monotonic, random_bytes, spawn, timers, wall_clock};
pub(crate) use operation::{Handle, exists, list, make_folder, open, rename, space, unlink, write, write_row};
