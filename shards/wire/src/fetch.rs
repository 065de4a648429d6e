//! Fetch, versions 4 to 18 (`FetchRequest.json`, `FetchResponse.json`).
//!
//! | version | what it added |
//! |---|---|
//! | 4 | isolation level, aborted transactions |
//! | 5 | log start offset, both ways |
//! | 7 | sessions (KIP-227) |
//! | 9 | current leader epoch (KIP-320) |
//! | 10 | zstd allowed |
//! | 11 | rack id and preferred read replica (KIP-392) |
//! | 12 | flexible; last fetched epoch, diverging epoch (KIP-595) |
//! | 13 | topics by id (KIP-516) |
//! | 15 | replica state instead of replica id (KIP-903) |
//! | 16 | leaders' endpoints in the answer (KIP-951) |
//! | 17 | replica directory id (KIP-853) |
//! | 18 | high watermark of the follower (KIP-1166) |

mod request;
pub use request::{Decoding, Fetch, FetchPartition, ForgottenPartition, RequestWriter};

mod response;
pub use response::{AbortedTransaction, DivergingEpoch, Gap, PartitionAnswer, Piece, ResponseWriter, pieces};

mod fetched;
pub use fetched::{Fetched, FetchedPartition};

/// The first version with compact lengths.
const FLEXIBLE: i16 = 12;
/// The first version that names topics by id.
const BY_ID: i16 = 13;

#[cfg(test)]
mod tests;
