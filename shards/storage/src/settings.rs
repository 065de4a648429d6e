use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use ottla_reactor::Chunk;
use ottla_reactor::file::File;

use crate::{Recovery, StorageError};

/// How a disk is best written to: `ottla tune probe` measures it. The defaults are right for a disk that nobody measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DiskSettings {
    /// A journal frame of at most this many bytes is written and made durable in one operation; a larger one is written, then
    /// flushed. At [`DiskSettings::DURABLE_WRITE_BYTES_MAX`], the most, a larger one is written in several such operations, side
    /// by side; 0 flushes always.
    pub durable_write_bytes: usize,
    /// Bytes of the largest single write to a segment, a power of two within [`DiskSettings::WRITE_BYTES`].
    pub write_bytes: usize,
    /// Logs written out at once by one shard, within [`DiskSettings::WRITE_DEPTH`].
    pub write_depth: usize,
}

impl DiskSettings {
    /// What one operation can write and make durable.
    pub const DURABLE_WRITE_BYTES_MAX: usize = File::DURABLE_WRITE_BYTES;
    /// Smaller writes cost too much each; larger ones the kernel hands to a worker thread.
    pub const WRITE_BYTES: RangeInclusive<usize> = (64 << 10)..=(512 << 10);
    /// More than this only queues.
    pub const WRITE_DEPTH: RangeInclusive<usize> = 1..=64;

    /// Whether a frame of so many bytes is made durable as it is written.
    pub(crate) fn writes_durably(&self, frame_bytes: usize) -> bool {
        frame_bytes <= self.durable_write_bytes || self.durable_write_bytes == DiskSettings::DURABLE_WRITE_BYTES_MAX
    }
}

impl Default for DiskSettings {
    fn default() -> DiskSettings {
        DiskSettings {
            durable_write_bytes: DiskSettings::DURABLE_WRITE_BYTES_MAX,
            write_bytes: Chunk::KEPT_BYTES,
            write_depth: 16,
        }
    }
}

/// What one shard's store may use. Sizes are in bytes.
#[derive(Clone)]
pub struct StoreConfig {
    /// Which core: names the journal's folder.
    pub core: u16,
    /// Counts starts: see [`Recovery::generation`].
    pub generation: u64,
    /// Bytes of one journal file.
    pub journal_file_bytes: u64,
    /// How many journal files there are.
    pub journal_files: usize,
    /// Bytes of a frame's buffer at the start.
    pub frame_bytes: usize,
    /// Bytes that a frame's buffer may grow to.
    pub frame_bytes_max: usize,
    /// A log that brings more than this into one cycle goes past the journal.
    pub bulk_bytes: usize,
    /// What all logs may bring past the journal in one cycle.
    pub bulk_bytes_max: usize,
    /// A log with this much that is not yet in its segment is written out.
    pub write_out_bytes: u64,
    /// With this much of all logs not yet in segments, writing out hurries, at the cost of the journal's latency.
    pub hurry_bytes: u64,
    /// How the disk is written to.
    pub disk: DiskSettings,
    /// Memory for tails; what is written out already is dropped beyond it, oldest first.
    pub cache_bytes: usize,
    /// Memory for reads of older data.
    pub cold_bytes: usize,
    /// Bytes that one read of older data brings in at once, read-ahead included.
    pub read_ahead_bytes: usize,
    /// Descriptors kept open.
    pub files_max: usize,
    /// Space on the disk that is left alone: with less, appends are refused.
    pub reserve_bytes: u64,
    /// How often a full disk is looked at again.
    pub retry_after: Duration,
    /// Told when nothing can be acknowledged any more; the process should say so and exit.
    pub on_failure: Rc<dyn Fn(&StorageError)>,
}

impl StoreConfig {
    /// The defaults for one core after `recovery`.
    pub fn new(core: u16, recovery: &Recovery) -> StoreConfig {
        StoreConfig::with_generation(core, recovery.generation)
    }

    /// The defaults for one core in the start that recovery counted as `generation`.
    pub fn with_generation(core: u16, generation: u64) -> StoreConfig {
        StoreConfig {
            core,
            generation,
            journal_file_bytes: 64 << 20,
            journal_files: 4,
            frame_bytes: 512 << 10,
            frame_bytes_max: 4 << 20,
            bulk_bytes: 256 << 10,
            bulk_bytes_max: 32 << 20,
            write_out_bytes: 4 << 20,
            hurry_bytes: 48 << 20,
            disk: DiskSettings::default(),
            cache_bytes: 96 << 20,
            cold_bytes: 32 << 20,
            read_ahead_bytes: 1 << 20,
            files_max: 512,
            reserve_bytes: 128 << 20,
            retry_after: Duration::from_millis(500),
            on_failure: Rc::new(|_| {}),
        }
    }
}

/// What a topic says about its logs; names are those of Kafka's topic settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms` less the log's share of `segment.jitter.ms`.
    pub segment_ms: i64,
    /// `segment.index.bytes`.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
}

impl Default for LogSettings {
    /// Kafka's.
    fn default() -> LogSettings {
        LogSettings {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3600 * 1000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
        }
    }
}
