use ottla_batch::{Checks, Depth, TimestampType};
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;

/// What a topic's settings ask of what is appended to its partitions. Built by the broker when settings change; names are
/// those of Kafka's topic settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `max.message.bytes`: bytes that a batch may have, as sent.
    pub max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// Whether `cleanup.policy` holds `compact`: each record needs a key then.
    pub compaction: bool,
    /// `min.insync.replicas`. What counts is at most the number of replicas.
    pub min_insync_replicas: u32,
    /// `segment.bytes`: no batch may be larger than a segment.
    pub segment_bytes: u64,
    /// How far batches are looked into. Anything less than [`Depth::AllRecords`] believes clients more than Kafka does.
    pub depth: Depth,
    /// `producer.id.expiration.ms`: after how long a silent producer is forgotten.
    pub producer_expiration_ms: i64,
}

/// Kafka's defaults.
impl Default for Rules {
    fn default() -> Rules {
        Rules {
            max_message_bytes: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            compaction: false,
            min_insync_replicas: 1,
            segment_bytes: 1 << 30,
            depth: Depth::AllRecords,
            producer_expiration_ms: 86_400_000,
        }
    }
}

impl Rules {
    /// What they ask of a batch that a client sends.
    pub fn checks(&self, zstd_allowed: bool) -> Checks {
        Checks {
            batch_bytes_max: self.max_message_bytes,
            zstd_allowed,
            keys_required: self.compaction,
            timestamp_type: self.timestamp_type,
            before_max_ms: self.before_max_ms,
            after_max_ms: self.after_max_ms,
            depth: self.depth,
            unpacked_bytes_max: UNCOMPRESSED_BATCH_BYTES_MAX,
        }
    }
}
