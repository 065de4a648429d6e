use super::key::Key;
use super::keys::{topic_key, topic_keys};
use super::layers::Layers;
use super::value::Value;
use crate::image::Overrides;
use std::time::Duration;

/// Whose time a record bears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's at the append.
    LogAppendTime,
}

/// How batches are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    /// As they came.
    Producer,
    /// Without.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// What happens to old records. Neither: they stay for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleanup {
    /// Old segments are deleted.
    pub delete: bool,
    /// Only the newest record of each key is kept.
    pub compact: bool,
}

/// A topic's settings as the data path uses them: read and checked, once for each change.
///
/// *Lives on: each shard, shared by the topic's partitions there.*
#[derive(Clone, PartialEq, Debug)]
pub struct TopicSettings {
    /// `max.message.bytes`: bytes of the largest batch, as compressed.
    pub max_message_bytes: u32,
    /// `cleanup.policy`
    pub cleanup: Cleanup,
    /// `retention.ms`; `None`: for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes`; `None`: all.
    pub retention_bytes: Option<u64>,
    /// `segment.bytes`
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_age: Duration,
    /// `segment.jitter.ms`
    pub segment_jitter: Duration,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`
    pub file_delete_delay: Duration,
    /// `preallocate`
    pub preallocate: bool,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `i64::MAX`: any.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`; `i64::MAX`: any.
    pub timestamp_after_max_ms: i64,
    /// `min.insync.replicas`; compare with the smaller of it and the number of replicas.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election: bool,
    /// `compression.type`
    pub compression: Compression,
    /// `compression.gzip.level`; −1: gzip's own default.
    pub gzip_level: i32,
    /// `compression.lz4.level`
    pub lz4_level: i32,
    /// `compression.zstd.level`
    pub zstd_level: i32,
    /// `flush.messages`; `None`: never forced by count.
    pub flush_messages: Option<u64>,
    /// `flush.ms`; `None`: never forced by time.
    pub flush_interval: Option<Duration>,
    /// `delete.retention.ms`
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag: Duration,
    /// `max.compaction.lag.ms`; `None`: no limit.
    pub max_compaction_lag: Option<Duration>,
    /// `min.cleanable.dirty.ratio`, from 0 to 1.
    pub min_cleanable_ratio: f64,
}

impl TopicSettings {
    /// What a topic has that says nothing itself.
    pub fn inherited(layers: &Layers<'_>) -> TopicSettings {
        let mut settings = TopicSettings::kafka();
        for key in topic_keys() {
            if let Some(value) = layers.inherited(key) {
                settings.put(key, &value);
            }
        }
        settings
    }

    /// What a topic has that says this, where `self` is what it has otherwise. A value that is wrong (it was checked
    /// when it was set) counts as not said.
    pub fn with(&self, overrides: &Overrides) -> TopicSettings {
        let mut settings = self.clone();
        for (name, text) in overrides {
            if let Some(key) = topic_key(name)
                && let Ok(value) = Value::parse(key, text)
            {
                settings.put(key, &value);
            }
        }
        settings
    }

    /// Kafka's own defaults, before the table is read.
    fn kafka() -> TopicSettings {
        TopicSettings {
            max_message_bytes: 1_048_588,
            cleanup: Cleanup { delete: true, compact: false },
            retention: Some(Duration::from_hours(168)),
            retention_bytes: None,
            segment_bytes: 1 << 30,
            segment_age: Duration::from_hours(168),
            segment_jitter: Duration::ZERO,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            file_delete_delay: Duration::from_secs(60),
            preallocate: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            min_insync_replicas: 1,
            unclean_leader_election: false,
            compression: Compression::Producer,
            gzip_level: -1,
            lz4_level: 9,
            zstd_level: 3,
            flush_messages: None,
            flush_interval: None,
            delete_retention: Duration::from_hours(24),
            min_compaction_lag: Duration::ZERO,
            max_compaction_lag: None,
            min_cleanable_ratio: 0.5,
        }
    }

    fn put(&mut self, key: &Key, value: &Value) {
        match value {
            Value::Number(number) => self.put_number(key.name, *number),
            Value::Real(number) if key.name == "min.cleanable.dirty.ratio" => self.min_cleanable_ratio = *number,
            Value::Boolean(value) => match key.name {
                "preallocate" => self.preallocate = *value,
                "unclean.leader.election.enable" => self.unclean_leader_election = *value,
                _ => {}
            },
            Value::Text(text) => self.put_text(key.name, text),
            Value::List(parts) if key.name == "cleanup.policy" => {
                let has = |word: &str| parts.iter().any(|part| part == word);
                self.cleanup = Cleanup { delete: has("delete"), compact: has("compact") };
            }
            Value::Real(_) | Value::List(_) => {}
        }
    }

    fn put_number(&mut self, name: &str, number: i64) {
        let size = u32::try_from(number).unwrap_or(0);
        let level = i32::try_from(number).unwrap_or(0);
        match name {
            "max.message.bytes" => self.max_message_bytes = size,
            "retention.ms" => self.retention = unless_negative(number),
            "retention.bytes" => self.retention_bytes = u64::try_from(number).ok(),
            "segment.bytes" => self.segment_bytes = size,
            "segment.ms" => self.segment_age = millis(number),
            "segment.jitter.ms" => self.segment_jitter = millis(number),
            "segment.index.bytes" => self.segment_index_bytes = size,
            "index.interval.bytes" => self.index_interval_bytes = size,
            "file.delete.delay.ms" => self.file_delete_delay = millis(number),
            "message.timestamp.before.max.ms" => self.timestamp_before_max_ms = number,
            "message.timestamp.after.max.ms" => self.timestamp_after_max_ms = number,
            "min.insync.replicas" => self.min_insync_replicas = size,
            "compression.gzip.level" => self.gzip_level = level,
            "compression.lz4.level" => self.lz4_level = level,
            "compression.zstd.level" => self.zstd_level = level,
            "flush.messages" => self.flush_messages = unless_max(number),
            "flush.ms" => self.flush_interval = unless_max(number).map(Duration::from_millis),
            "delete.retention.ms" => self.delete_retention = millis(number),
            "min.compaction.lag.ms" => self.min_compaction_lag = millis(number),
            "max.compaction.lag.ms" => self.max_compaction_lag = unless_max(number).map(Duration::from_millis),
            _ => {}
        }
    }

    fn put_text(&mut self, name: &str, text: &str) {
        match name {
            "message.timestamp.type" => {
                self.timestamp_type = match text {
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => TimestampType::CreateTime,
                };
            }
            "compression.type" => {
                self.compression = match text {
                    "uncompressed" => Compression::Uncompressed,
                    "gzip" => Compression::Gzip,
                    "snappy" => Compression::Snappy,
                    "lz4" => Compression::Lz4,
                    "zstd" => Compression::Zstd,
                    _ => Compression::Producer,
                };
            }
            _ => {}
        }
    }
}

/// The settings of a topic where nobody said anything.
impl Default for TopicSettings {
    fn default() -> TopicSettings {
        let none = Overrides::new();
        TopicSettings::inherited(&Layers::new(&none, &none, &none))
    }
}

pub(super) fn millis(number: i64) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}

fn unless_negative(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_millis)
}

fn unless_max(number: i64) -> Option<u64> {
    if number == i64::MAX { None } else { u64::try_from(number).ok() }
}
