use ottla_units::{PartitionIndex, ShardId, TopicId};

/// Which of `shards` shards owns a partition: consecutive partitions of a topic lie on consecutive shards, and topics begin
/// at shards that their ids choose evenly. The same on every start with the same number of shards.
///
/// `shards` of 0 counts as 1.
pub fn owner(topic: TopicId, partition: PartitionIndex, shards: usize) -> ShardId {
    let shards = shards.clamp(1, ottla_units::limits::SHARDS_MAX) as u64;
    let bits = u128::from_be_bytes(topic.to_bytes());
    // Fibonacci hashing: ids made by a client library are random, ids chosen by hand are not.
    let mixed = (bits as u64 ^ (bits >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let index = (mixed + u64::from(partition.get().unsigned_abs())) % shards;
    ShardId::new(u16::try_from(index).unwrap_or(0))
}
