//! The logs of partitions: one journal per core in front, segments in Kafka's format behind it.
//!
//! An append is copied into the log's tail and into the journal's frame. One write and one flush a cycle make the frames of
//! all logs durable; segments are written behind it from the same tails, in large aligned runs, and the journal is recycled.
//! Reads are answered from the tail without a copy, or from the segments past the page cache.
#![forbid(unsafe_code)]

// What a data folder looks like, and whose it is.
mod layout;
mod owner;
pub use layout::{Layout, SegmentFile, partition_folder};

// What may be set, and what can go wrong.
mod error;
mod settings;
pub use error::{Damage, StorageError};
pub use settings::{DiskSettings, LogSettings, StoreConfig};

// One shard's store: opening logs, waiting for cycles.
mod store;
pub use store::{Store, StoreCounters, StoreGauges, Ticket};

// Appending: the log, its end in memory, its leaderships, its indexes.
mod epochs;
mod log;
mod segment;
mod tail;
pub use epochs::{EpochStart, Epochs};
pub use log::{Log, LogObserver, LogSpec, Prefetch};
pub use segment::{INDEX_ENTRY_BYTES, IndexEntry, Latest, Segment, TIME_ENTRY_BYTES, TimeEntry};

// The journal: frames, and the cycle that makes them durable.
mod flush;
mod journal;

// Behind the journal: segments written, the journal recycled, memory and disk watched.
mod join;
mod open_files;
mod write_behind;
mod write_out;

// Deleting, and stopping cleanly.
mod delete;
mod stop;

// Reading: the tail, older data, by offset and by time.
mod cold;
mod lookup;
mod read;
mod reindex;
mod scan;
pub use read::{ColdRead, Read, ReadRequest, Records};
pub use scan::Scan;

// Recovery: checkpoints, journals, the ends of segments.
mod checkpoint;
mod recover;
pub use recover::{LogImage, RecoverOptions, Recovery, RecoveryReport, recover};

// Logs written anew from batches that were found sound.
mod rebuild;
pub use rebuild::{Rebuild, RebuiltLog};

// Defects made on purpose: tests of the simulation.
mod planted;
#[cfg(feature = "planted-faults")]
pub use planted::Planted;
#[cfg(not(feature = "planted-faults"))]
use planted::Planted;

// For people: journals and checkpoints as they lie on disk.
pub mod inspect;
