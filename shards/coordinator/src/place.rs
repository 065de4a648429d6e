/// Java's `String.hashCode`: over UTF-16 code units, wrapping.
pub fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition of `__consumer_offsets` that keeps `group`, as `GroupCoordinatorService.partitionFor` chooses it
/// (`Utils.abs`: the minimum has no absolute value and counts as 0). `partitions` is at least 1.
pub fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = java_hash(group).checked_abs().unwrap_or(0);
    hash % partitions.max(1)
}
