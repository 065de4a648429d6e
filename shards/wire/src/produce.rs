//! Produce, versions 3 to 13 (`ProduceRequest.json`, `ProduceResponse.json`).
//!
//! | version | what it added |
//! |---|---|
//! | 3 | transactional id, RecordBatch v2 only |
//! | 5 | log start offset in the answer |
//! | 7 | zstd allowed |
//! | 8 | errors of single records in the answer (KIP-467) |
//! | 9 | flexible |
//! | 10 | the new leader in the answer (KIP-951) |
//! | 11, 12 | meaning of transaction errors, implicit adding to the transaction (KIP-890) |
//! | 13 | topics by id (KIP-516) |

mod request;
pub use request::{Produce, ProducePartition, RequestWriter};

mod response;
pub use response::{CurrentLeader, PartitionAnswer, Produced, ProducedPartition, RecordError, ResponseWriter};

/// The first version with compact lengths.
const FLEXIBLE: i16 = 9;
/// The first version that names topics by id.
const BY_ID: i16 = 13;

#[cfg(test)]
mod tests;
