//! A data folder without a broker: proved file by file, and copied as far as it is sound. Nothing is ever written into it.
//!
//! Both begin alike: the folder is taken (no broker may run on it), its metadata say which logs there are, its checkpoints and
//! journals what each must hold. Then every log is looked through by itself, several at once.

// What may be wrong, and what to do about it.
mod finding;
pub use finding::{Finding, Kind};

// The folder as a whole: whose it is, which logs there are, what the journals hold.
mod folder;
mod journals;
mod topics;
pub use folder::{Folder, OpenError};

// One segment: its batches, sound or not.
mod reader;
mod segment;

// One log: its segments in order, and the files beside them.
mod beside;
mod log;

// All logs, several at once.
mod crew;
pub use crew::Progress;

// The two uses.
mod salvage;
mod verify;
pub use salvage::{LeftOut, SalvageError, Salvaged, salvage};
pub use verify::{Verified, verify};

#[cfg(test)]
mod tests;
