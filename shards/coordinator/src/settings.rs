/// What an operator can set, under Kafka's keys. Times in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members to come.
    pub initial_rebalance_delay_ms: u64,
    /// `group.max.size`
    pub members_max: usize,
    /// Bytes that the groups of one partition may take; see the crate's `room`.
    pub memory_bytes_max: usize,
    /// `offset.metadata.max.bytes`, counted as Kafka counts it: in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval_ms: u64,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Settings {
        Settings {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            members_max: i32::MAX as usize,
            memory_bytes_max: 64 << 20,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_check_interval_ms: 600_000,
        }
    }
}
