//! The maximum of what comes from outside. Reaching one is a refusal or back-pressure, never growth.

/// Elements in one array of a request; Kafka 4.4 refuses more.
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;
/// Tagged fields in one structure of a request; Kafka 4.4 refuses more.
pub const TAGGED_FIELDS_MAX: usize = 10_000;
/// Bytes of a string in a request, also where its length has more than 16 bits (Kafka's generated messages).
pub const STRING_BYTES_MAX: usize = 0x7fff;
/// Bytes of a topic's name (`org.apache.kafka.common.internals.Topic`).
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Partitions that one shard may own.
pub const PARTITIONS_PER_SHARD_MAX: usize = 100_000;
/// Shards in one process.
pub const SHARDS_MAX: usize = 1024;
/// Bytes that one compressed batch may unpack to where it is read again: more than any that was let in.
pub const UNCOMPRESSED_BATCH_BYTES_MAX: usize = 1 << 30;
/// Bytes that every batch may unpack to.
pub const UNPACKED_BYTES_ALLOWED: usize = 16 << 20;
/// Bytes that a batch may unpack to for each of its own. Only zstd can do more: gzip ends at about 1,030, LZ4 at 255, snappy at
/// 32. Real records stay below 100.
pub const UNPACKED_BYTES_PER_BYTE_MAX: usize = 1024;
/// Bytes that a batch may unpack to for each that `max.message.bytes` lets it have.
pub const UNPACKED_BYTES_PER_ALLOWED_BYTE_MAX: usize = 64;
/// Bytes that are unpacked before others on the shard get a turn.
pub const UNPACKED_AT_ONCE_BYTES_MAX: usize = 4 << 20;
