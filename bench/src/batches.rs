//! Batches for load: of an exact size, with content that no compression shrinks.

use ottla_batch::{Builder, HEADER_BYTES};
use ottla_units::Timestamp;

use crate::random::Random;

/// Bytes of a record beside its value when it has no key and no headers: length, attributes, two deltas, two field
/// lengths and a count. Exact for values of 64 to 8,191 bytes in batches of fewer than 64 records made at one time.
const RECORD_OVERHEAD_BYTES: usize = 9;

/// Where the first record's value begins in a batch made by [`batch_of`] whose values are 64 to 8,191 bytes long.
pub const FIRST_VALUE_AT: usize = HEADER_BYTES + RECORD_OVERHEAD_BYTES - 1;

/// A batch of about `bytes` bytes (exactly that when it holds one record of up to 8 KiB) with values of about
/// `value_bytes`, stamped `now`.
pub fn batch_of(bytes: usize, value_bytes: usize, now: Timestamp, random: &mut Random) -> Vec<u8> {
    let room = bytes.saturating_sub(HEADER_BYTES);
    let records = (room / (value_bytes + RECORD_OVERHEAD_BYTES)).max(1);
    let each = (room / records).saturating_sub(RECORD_OVERHEAD_BYTES);
    let mut value = vec![0; each];
    let mut builder = Builder::new();
    for _ in 0..records {
        random.fill(&mut value);
        builder.push(now, None, Some(&value), &[]);
    }
    builder.build()
}

/// The time, for batches.
pub fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since.as_millis() as i64)
}
