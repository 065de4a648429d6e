//! RecordBatch v2 (magic 2, KIP-98) as bytes: what a client sends, what the log stores, what a consumer reads.
//!
//! The bytes are the client's. A batch is looked at through [`Batch`], a view that owns nothing; the few header fields that
//! belong to the broker are rewritten by [`stamped_header`]; records are decoded by [`records`] only where a rule needs them.
//! Everything here is total: bytes from a client, a peer or the disk give an error, never a panic, and no length that they
//! claim reserves memory before the bytes behind it have been seen.
//!
//! ```text
//!  0 base offset i64 │ 8 length i32 (of what follows it) │ 12 partition leader epoch i32 │ 16 magic i8 │ 17 crc u32 (of what follows it)
//! 21 attributes i16 │ 23 last offset delta i32 │ 27 base timestamp i64 │ 35 max timestamp i64
//! 43 producer id i64 │ 51 producer epoch i16 │ 53 base sequence i32 │ 57 record count i32 │ 61 records, compressed or not
//! ```
#![forbid(unsafe_code)]

// What can be wrong with a batch.
mod error;
pub use error::{BatchError, RecordError, RecordFault, RejectedRecords};

// The view over one batch, and over several in a row.
mod header;
pub use header::{Attributes, Batch, Batches, CHECKSUMMED_FROM, HEADER_BYTES, TimestampType, checksum};

// The fields that the broker owns.
mod stamp;
pub use stamp::{Stamp, stamped_header};

// A checksum out of checksums.
mod checksum;
pub use checksum::Joint;

// The four compressions.
mod codec;
pub use codec::Codec;

// Variable-length integers.
pub mod varint;

// The records in a batch.
mod records;
pub use records::{Headers, Record, Records, records};

// What a broker checks of a client's batch.
mod validate;
pub use validate::{Checked, Checking, Checks, Depth, ValidateError, repack, validate, validate_at_once};

// Making batches: tests, tools, the internal topics.
mod builder;
pub use builder::{Builder, ControlKind};

#[cfg(test)]
mod tests;
