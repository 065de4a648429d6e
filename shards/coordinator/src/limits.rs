//! The maximum of what clients may make a coordinator keep.

/// Groups on one partition of `__consumer_offsets`.
pub const GROUPS_PER_PARTITION_MAX: usize = 200_000;
/// Committed offsets of one group.
pub const OFFSETS_PER_GROUP_MAX: usize = 1_000_000;
/// Members of one group that were given an id and have not joined with it.
pub const PENDING_MEMBERS_PER_GROUP_MAX: usize = 10_000;
/// Bytes of any name in a record: a string's length is a signed 16-bit number there.
pub const NAME_BYTES_MAX: usize = i16::MAX as usize;
/// Records that one turn of expiry appends; the rest waits for the next turn.
pub const EXPIRED_RECORDS_PER_TURN_MAX: usize = 10_000;
/// Milliseconds after which a new member's first join is given up (`CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 5 * 60 * 1000;
/// Milliseconds at least between two attempts to complete a rebalance that nobody rejoins.
pub const REBALANCE_RETRY_MS_MIN: u64 = 100;
