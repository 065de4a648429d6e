//! What one shard counts, and the copy of it that leaves the shard.
//!
//! A shard owns one [`Metrics`] (in an `Rc`) and counts into plain cells. The control thread asks for a [`Snapshot`] when somebody
//! scrapes; that is the only moment anything is copied. Names, units and explanations are in the control plane's catalogue.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ottla_reactor::RingCounters;
use ottla_storage::Store;
use ottla_units::measure::{Counter, Gauge, Latency, LatencySnapshot};
use ottla_units::{ErrorCode, ShardId};
use ottla_wire::ApiKey;

/// API keys that have a place of their own: all up to this, and what is above shares the last.
const API_KEYS: usize = 96;
/// Versions of one API that are told apart.
const VERSIONS: usize = 24;
/// Error codes that are told apart: −1 and up.
const ERRORS: usize = 136;

/// Everything that one shard counts.
///
/// *Lives on: each shard. Talks by: [`Metrics::snapshot`], whose result goes to the control thread by message.*
#[derive(Debug)]
pub struct Metrics {
    /// Connections.
    pub connections: Connections,
    /// What waits, and how much of it.
    pub queues: Queues,
    /// The executor's loop.
    pub stalls: Stalls,
    apis: [OnceCell<Box<ApiCounts>>; API_KEYS],
    topics: RefCell<HashMap<Arc<str>, Rc<Traffic>>>,
}

/// Connections of one shard.
#[derive(Default, Debug)]
pub struct Connections {
    /// Open now.
    pub open: Gauge,
    /// Accepted since the start.
    pub accepted: Counter,
    /// Gone to another shard, whose partitions they produce to.
    pub moved: Counter,
    /// Refused because the process has as many as it may.
    pub refused_total: Counter,
    /// Refused because the client's address has as many as it may.
    pub refused_per_address: Counter,
    /// Closed by the broker because nothing came for `connections.max.idle.ms`.
    pub closed_idle: Counter,
    /// Closed by the broker because the bytes were not the protocol's.
    pub closed_invalid: Counter,
    /// Closed by the broker because it held memory that others waited for, and stood still.
    pub closed_shed: Counter,
    /// Bytes received, with framing.
    pub received_bytes: Counter,
    /// Bytes sent, with framing.
    pub sent_bytes: Counter,
}

/// What waits on one shard.
#[derive(Default, Debug)]
pub struct Queues {
    /// Messages from other shards that were not taken up yet.
    pub mesh: Gauge,
    /// Requests that were read and not answered yet.
    pub requests: Gauge,
    /// Bytes of those requests, as far as they were received.
    pub bytes: Gauge,
    /// Bytes of answers that are being made or not sent yet.
    pub answer_bytes: Gauge,
    /// Produce requests that wait for stable storage.
    pub waiting_produces: Gauge,
    /// Fetch requests that wait for records.
    pub waiting_fetches: Gauge,
    /// Fetch sessions that are kept.
    pub fetch_sessions: Gauge,
}

/// Times that one task kept the loop from all others.
#[derive(Default, Debug)]
pub struct Stalls {
    /// How many.
    pub count: Counter,
    /// How long they took together, in nanoseconds.
    pub nanos: Counter,
    /// How long the loop has worked, in nanoseconds.
    pub busy_nanos: Gauge,
}

/// What clients did with one topic, counted on the shards that own its partitions.
#[derive(Default, Debug)]
pub struct Traffic {
    /// Records appended.
    pub records_in: Counter,
    /// Bytes of record batches appended.
    pub bytes_in: Counter,
    /// Records sent to consumers, by the offsets that the sent batches span.
    pub records_out: Counter,
    /// Bytes of record batches sent to consumers.
    pub bytes_out: Counter,
    /// Bytes of record batches refused because of their size.
    pub bytes_rejected: Counter,
    /// Appends asked for: one for each partition of a Produce request.
    pub produces: Counter,
    /// Of those, the refused ones.
    pub failed_produces: Counter,
    /// Reads asked for: one for each partition of a Fetch request.
    pub fetches: Counter,
    /// Of those, the refused ones.
    pub failed_fetches: Counter,
}

impl Traffic {
    /// Counts one accepted append.
    #[inline]
    pub fn appended(&self, records: u64, bytes: u64) {
        self.produces.increment();
        self.records_in.add(records);
        self.bytes_in.add(bytes);
    }

    /// Counts one read that was answered, with or without records.
    #[inline]
    pub fn sent(&self, records: u64, bytes: u64) {
        self.fetches.increment();
        self.records_out.add(records);
        self.bytes_out.add(bytes);
    }

    /// Counts one refused append; `bytes` is what a client may not send because it is too large, else 0.
    #[inline]
    pub fn refused_append(&self, bytes: u64) {
        self.produces.increment();
        self.failed_produces.increment();
        self.bytes_rejected.add(bytes);
    }

    /// Counts one refused read.
    #[inline]
    pub fn refused_read(&self) {
        self.fetches.increment();
        self.failed_fetches.increment();
    }
}

/// What is counted for one API.
#[derive(Debug)]
struct ApiCounts {
    versions: [Counter; VERSIONS],
    errors: [Counter; ERRORS],
    latency: Latency,
}

impl Default for ApiCounts {
    fn default() -> ApiCounts {
        ApiCounts {
            versions: std::array::from_fn(|_| Counter::default()),
            errors: std::array::from_fn(|_| Counter::default()),
            latency: Latency::default(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            connections: Connections::default(),
            queues: Queues::default(),
            stalls: Stalls::default(),
            apis: [const { OnceCell::new() }; API_KEYS],
            topics: RefCell::default(),
        }
    }
}

impl Metrics {
    /// Counts one answered request: from its last byte received to its answer handed to the socket.
    #[inline]
    pub fn answered(&self, api: ApiKey, version: i16, took: Duration) {
        let counts = self.api(api);
        let version = usize::try_from(version).map_or(VERSIONS - 1, |version| version.min(VERSIONS - 1));
        counts.versions[version].increment();
        counts.latency.observe(took);
    }

    /// Counts one error in an answer, at whatever level of it. [`ErrorCode::None`] is not counted.
    #[inline]
    pub fn failed(&self, api: ApiKey, error: ErrorCode) {
        self.failed_code(api, error.code());
    }

    /// As [`Metrics::failed`], for a code as it stands in an answer.
    #[inline]
    pub fn failed_code(&self, api: ApiKey, code: i16) {
        if code != ErrorCode::None.code() {
            let place = usize::try_from(code + 1).map_or(ERRORS - 1, |place| place.min(ERRORS - 1));
            self.api(api).errors[place].increment();
        }
    }

    /// Where to count what happens to `topic` on this shard. Kept by whoever owns its partitions, so that no name is looked up again.
    pub fn topic(&self, topic: &str) -> Rc<Traffic> {
        let mut topics = self.topics.borrow_mut();
        if let Some(traffic) = topics.get(topic) {
            return Rc::clone(traffic);
        }
        let traffic = Rc::<Traffic>::default();
        topics.insert(topic.into(), Rc::clone(&traffic));
        traffic
    }

    /// Stops showing a topic that was deleted.
    pub fn forget_topic(&self, topic: &str) {
        self.topics.borrow_mut().remove(topic);
    }

    /// A copy of every number counted here. The caller adds what it alone knows: the store, partitions and groups.
    pub fn snapshot(&self, shard: ShardId) -> Snapshot {
        Snapshot {
            shard,
            connections: self.connections.snapshot(),
            queues: self.queues.snapshot(),
            store: StoreSnapshot::default(),
            stalls: self.stalls.snapshot(),
            ring: RingCounters::default(),
            apis: self.api_snapshots(),
            topics: self.topics.borrow().iter().map(|(name, traffic)| traffic.snapshot(name)).collect(),
            partitions: Vec::new(),
            groups: Vec::new(),
        }
    }

    #[inline]
    fn api(&self, api: ApiKey) -> &ApiCounts {
        let place = usize::try_from(api.code()).map_or(API_KEYS - 1, |key| key.min(API_KEYS - 1));
        self.apis[place].get_or_init(Box::default)
    }

    fn api_snapshots(&self) -> Vec<ApiSnapshot> {
        let used = self.apis.iter().enumerate().filter_map(|(key, counts)| Some((key, counts.get()?)));
        used.filter_map(|(key, counts)| Some(counts.snapshot(ApiKey::from_code(i16::try_from(key).ok()?)?))).collect()
    }
}

impl ApiCounts {
    fn snapshot(&self, api: ApiKey) -> ApiSnapshot {
        let nonzero = |counters: &[Counter], first: i16| -> Vec<(i16, u64)> {
            let numbered = counters.iter().zip(first..).map(|(counter, number)| (number, counter.get()));
            numbered.filter(|(_, count)| *count > 0).collect()
        };
        ApiSnapshot {
            api,
            versions: nonzero(&self.versions, 0),
            errors: nonzero(&self.errors, -1),
            latency: self.latency.snapshot(),
        }
    }
}

/// Builds the copy of a struct of cells: same names, plain numbers.
macro_rules! snapshot {
    ($(#[$about:meta])* $name:ident of $cells:ident { $($number:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Default, PartialEq, Debug)]
        pub struct $name {
            $(#[doc = concat!("See [`", stringify!($cells), "::", stringify!($number), "`].")] pub $number: $kind,)*
        }

        impl $cells {
            fn snapshot(&self) -> $name {
                $name {
                    $($number: self.$number.get(),)*
                }
            }
        }
    };
}

snapshot! {
    /// A copy of [`Connections`].
    ConnectionsSnapshot of Connections {
        open: i64, accepted: u64, moved: u64, refused_total: u64, refused_per_address: u64, closed_idle: u64, closed_invalid: u64,
        closed_shed: u64,
        received_bytes: u64, sent_bytes: u64,
    }
}
snapshot! {
    /// A copy of [`Queues`].
    QueuesSnapshot of Queues {
        mesh: i64, requests: i64, bytes: i64, answer_bytes: i64, waiting_produces: i64, waiting_fetches: i64, fetch_sessions: i64,
    }
}
snapshot! {
    /// A copy of [`Stalls`].
    StallsSnapshot of Stalls { count: u64, nanos: u64, busy_nanos: i64, }
}

impl Traffic {
    fn snapshot(&self, topic: &Arc<str>) -> TopicSnapshot {
        TopicSnapshot {
            topic: Arc::clone(topic),
            records_in: self.records_in.get(),
            bytes_in: self.bytes_in.get(),
            records_out: self.records_out.get(),
            bytes_out: self.bytes_out.get(),
            bytes_rejected: self.bytes_rejected.get(),
            produces: self.produces.get(),
            failed_produces: self.failed_produces.get(),
            fetches: self.fetches.get(),
            failed_fetches: self.failed_fetches.get(),
        }
    }
}

/// One shard's numbers at one moment. `Send`: made on the shard, read on the control thread.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// Whose.
    pub shard: ShardId,
    /// Connections.
    pub connections: ConnectionsSnapshot,
    /// What waits.
    pub queues: QueuesSnapshot,
    /// The journal, segments and reads.
    pub store: StoreSnapshot,
    /// The loop.
    pub stalls: StallsSnapshot,
    /// The ring.
    pub ring: RingCounters,
    /// Every API that was asked for at least once.
    pub apis: Vec<ApiSnapshot>,
    /// Traffic of the topics that have partitions here.
    pub topics: Vec<TopicSnapshot>,
    /// The partitions that this shard owns.
    pub partitions: Vec<PartitionGauges>,
    /// The groups that this shard coordinates.
    pub groups: Vec<GroupGauges>,
}

impl Snapshot {
    /// The numbers of a shard that has done nothing.
    pub fn empty(shard: ShardId) -> Snapshot {
        Metrics::default().snapshot(shard)
    }
}

/// What one shard's store did and how full it is, copied from its own counters.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct StoreSnapshot {
    /// How long a journal frame's write took.
    pub write: LatencySnapshot,
    /// How long a flush took.
    pub flush: LatencySnapshot,
    /// Bytes written to the journal, padding included.
    pub journal_bytes: u64,
    /// Flush cycles.
    pub cycles: u64,
    /// Bytes written straight to segments because one partition brought many at once.
    pub bypass_bytes: u64,
    /// Bytes in journal files that may not be recycled yet.
    pub pending_bytes: u64,
    /// Bytes written to segments.
    pub segment_bytes: u64,
    /// Times that a log's newest records were written to its segment.
    pub write_outs: u64,
    /// Times that a segment was made durable.
    pub segment_flushes: u64,
    /// Logs that wait for being written to their segments.
    pub write_outs_waiting: u64,
    /// Reads answered from a tail in memory.
    pub tail_reads: u64,
    /// Reads answered from what an earlier read brought in beyond its own need.
    pub ahead_reads: u64,
    /// Reads from files.
    pub cold_reads: u64,
    /// Bytes read from files.
    pub cold_bytes: u64,
    /// Bytes that tails hold in memory.
    pub tail_bytes: u64,
    /// Segment files open.
    pub open_files: u64,
    /// Whether appends are refused for want of disk space.
    pub disk_full: bool,
}

impl StoreSnapshot {
    /// A copy of a store's counters.
    pub(crate) fn of(store: &Store) -> StoreSnapshot {
        let (counters, gauges) = (store.counters(), store.gauges());
        StoreSnapshot {
            write: counters.journal_write.snapshot(),
            flush: counters.journal_flush.snapshot(),
            journal_bytes: counters.journal_bytes.get(),
            cycles: counters.cycles.get(),
            bypass_bytes: counters.bulk_bytes.get(),
            pending_bytes: gauges.journal_used,
            segment_bytes: counters.segment_bytes.get(),
            write_outs: counters.write_outs.get(),
            segment_flushes: counters.segment_flushes.get(),
            write_outs_waiting: gauges.write_outs_queued,
            tail_reads: counters.tail_reads.get(),
            ahead_reads: counters.ahead_reads.get(),
            cold_reads: counters.cold_reads.get(),
            cold_bytes: counters.cold_bytes.get(),
            tail_bytes: gauges.tail_memory,
            open_files: gauges.open_files,
            disk_full: gauges.disk_full,
        }
    }
}

/// One API's numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct ApiSnapshot {
    /// Which.
    pub api: ApiKey,
    /// Requests answered, by version.
    pub versions: Vec<(i16, u64)>,
    /// Errors answered, by code.
    pub errors: Vec<(i16, u64)>,
    /// How long answers took.
    pub latency: LatencySnapshot,
}

/// One topic's traffic on one shard; the fields are those of [`Traffic`].
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "documented at Traffic, field by field")]
pub struct TopicSnapshot {
    pub topic: Arc<str>,
    pub records_in: u64,
    pub bytes_in: u64,
    pub records_out: u64,
    pub bytes_out: u64,
    pub bytes_rejected: u64,
    pub produces: u64,
    pub failed_produces: u64,
    pub fetches: u64,
    pub failed_fetches: u64,
}

/// Where one partition stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionGauges {
    /// Its topic's name.
    pub topic: Arc<str>,
    /// Its number in the topic.
    pub partition: i32,
    /// Offset of the first record that is kept.
    pub log_start: i64,
    /// Offset after the last record that consumers may see.
    pub high_watermark: i64,
    /// Offset after the last record appended.
    pub log_end: i64,
    /// Bytes kept.
    pub bytes: u64,
    /// Segments kept.
    pub segments: u64,
    /// Producers whose sequences are remembered.
    pub producers: u64,
    /// Whether its log is damaged, so that it answers with a storage error.
    pub failed: bool,
}

/// Where one consumer group stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupGauges {
    /// Its id.
    pub group: Arc<str>,
    /// Its state in Kafka's words: `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable`, `Dead`.
    pub state: &'static str,
    /// Its members.
    pub members: usize,
    /// Offsets it committed: topic, partition, next offset to read.
    pub committed: Vec<(Arc<str>, i32, i64)>,
}

#[cfg(test)]
mod tests;
