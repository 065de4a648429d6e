//! The one table of metrics: `/metrics`, `ottla metrics list` and docs/metrics.md derive from it.
//!
//! Where Apache Kafka has a metric, ours has the name under which Prometheus' JMX exporter and Strimzi's dashboards know it
//! (`kafka_…`); consumer lag has the names of `kafka_exporter`; what only Ottla has begins with `ottla_`.

use ottla_broker::metrics::{ApiSnapshot, Snapshot, TopicSnapshot};
use ottla_units::ErrorCode;
use ottla_units::measure::LatencySnapshot;
use ottla_wire::ApiKey;

use super::Report;
use super::exposition::Samples;
use super::process::Process;

/// What may be done with a metric's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows: take its rate.
    Counter,
    /// Goes up and down: take it as it is.
    Gauge,
    /// Quantiles since the start, with sum and count.
    Summary,
    /// Buckets with sum and count: take rates, then quantiles over any time.
    Histogram,
}

impl Kind {
    /// Prometheus' word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What may be done with its numbers.
    pub kind: Kind,
    /// What its numbers count.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in one sentence.
    pub help: &'static str,
    /// How it is computed.
    pub(super) read: fn(&Report, &mut Samples<'_>),
}

/// Builds the table from lines of `name kind unit [labels] help => how`.
macro_rules! metrics {
    ($($name:ident: $kind:ident of $unit:literal [$($label:ident),*] $help:literal => $read:expr;)*) => {
        /// Every metric there is, in the order in which they are written.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: stringify!($name),
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$(stringify!($label)),*],
            help: $help,
            read: $read,
        }),*];
    };
}

metrics! {
    // What clients bring and take.
    kafka_server_brokertopicmetrics_messagesin_total: Counter of "records" [topic]
        "Records appended; without a label for all topics together." => |r, s| topics(r, s, |t| t.records_in);
    kafka_server_brokertopicmetrics_bytesin_total: Counter of "bytes" [topic]
        "Bytes of record batches appended; without a label for all topics together." => |r, s| topics(r, s, |t| t.bytes_in);
    kafka_server_brokertopicmetrics_bytesout_total: Counter of "bytes" [topic]
        "Bytes of record batches sent to consumers; without a label for all topics together." => |r, s| topics(r, s, |t| t.bytes_out);
    ottla_topic_records_out_total: Counter of "records" [topic]
        "Records sent to consumers, by the offsets that the sent batches span; without a label for all topics together."
        => |r, s| topics(r, s, |t| t.records_out);
    kafka_server_brokertopicmetrics_bytesrejected_total: Counter of "bytes" [topic]
        "Bytes of record batches refused because of their size." => |r, s| topics(r, s, |t| t.bytes_rejected);
    kafka_server_brokertopicmetrics_totalproducerequests_total: Counter of "appends" [topic]
        "Appends asked for: one for each partition of a Produce request." => |r, s| topics(r, s, |t| t.produces);
    kafka_server_brokertopicmetrics_failedproducerequests_total: Counter of "appends" [topic]
        "Appends that were refused." => |r, s| topics(r, s, |t| t.failed_produces);
    kafka_server_brokertopicmetrics_totalfetchrequests_total: Counter of "reads" [topic]
        "Reads asked for: one for each partition of a Fetch request." => |r, s| topics(r, s, |t| t.fetches);
    kafka_server_brokertopicmetrics_failedfetchrequests_total: Counter of "reads" [topic]
        "Reads that were refused." => |r, s| topics(r, s, |t| t.failed_fetches);

    // Requests.
    kafka_network_requestmetrics_requests_total: Counter of "requests" [request, version]
        "Requests answered; Fetch counts under FetchConsumer too, as in Kafka." => requests;
    kafka_network_requestmetrics_errors_total: Counter of "errors" [request, error]
        "Errors answered, at any level of an answer; Fetch counts under FetchConsumer too." => errors;
    kafka_network_requestmetrics_totaltimems: Summary of "milliseconds" [request]
        "From a request's last byte received to its answer handed to the socket, since the start." => request_summary;
    ottla_request_duration_seconds: Histogram of "seconds" [request]
        "From a request's last byte received to its answer handed to the socket." => request_histogram;

    // Connections.
    kafka_server_socket_server_metrics_connection_count: Gauge of "connections" [shard]
        "Connections open." => |r, s| gauge(r, s, |shard| shard.connections.open);
    ottla_connections_accepted_total: Counter of "connections" [shard]
        "Connections accepted." => |r, s| counter(r, s, |shard| shard.connections.accepted);
    ottla_connections_moved_total: Counter of "connections" [shard]
        "Connections that left the shard for the one whose partitions they produce to." => |r, s| counter(r, s, |shard| shard.connections.moved);
    ottla_connections_refused_total: Counter of "connections" [reason]
        "Connections refused: the process (total) or one client address (per_address) has as many as it may." => refused;
    ottla_connections_closed_total: Counter of "connections" [reason]
        "Connections that the broker closed: silent for connections.max.idle.ms (idle), not the Kafka protocol (invalid), or standing still with memory that others waited for (shed)." => closed;
    ottla_received_bytes_total: Counter of "bytes" [shard]
        "Bytes received from clients, with framing." => |r, s| counter(r, s, |shard| shard.connections.received_bytes);
    ottla_sent_bytes_total: Counter of "bytes" [shard]
        "Bytes sent to clients, with framing." => |r, s| counter(r, s, |shard| shard.connections.sent_bytes);

    // What waits.
    kafka_network_requestchannel_requestqueuesize: Gauge of "requests" []
        "Requests read and not answered yet, on all shards." => |r, s| s.put(&[], sum(r, |shard| shard.queues.requests));
    ottla_requests_in_flight: Gauge of "requests" [shard]
        "Requests read and not answered yet." => |r, s| gauge(r, s, |shard| shard.queues.requests);
    ottla_request_bytes_in_flight: Gauge of "bytes" [shard]
        "Bytes of requests in work, counted as they come." => |r, s| gauge(r, s, |shard| shard.queues.bytes);
    ottla_answer_bytes_in_flight: Gauge of "bytes" [shard]
        "Bytes of answers that are being made or not sent yet." => |r, s| gauge(r, s, |shard| shard.queues.answer_bytes);
    ottla_mesh_queue_messages: Gauge of "messages" [shard]
        "Messages from other shards not taken up yet." => |r, s| gauge(r, s, |shard| shard.queues.mesh);
    kafka_server_delayedoperationpurgatory_purgatorysize: Gauge of "requests" [delayedOperation]
        "Requests that wait: Produce for stable storage, Fetch for records." => purgatory;
    kafka_server_fetchsessioncache_numincrementalfetchsessions: Gauge of "sessions" []
        "Fetch sessions kept (KIP-227)." => |r, s| s.put(&[], sum(r, |shard| shard.queues.fetch_sessions));

    // The journal, and segments behind it.
    ottla_journal_write_duration_seconds: Histogram of "seconds" [shard]
        "How long the write of one journal frame took; with its flush where a small frame needs only one operation for both." => |r, s| histogram(r, s, |shard| &shard.store.write);
    ottla_journal_flush_duration_seconds: Histogram of "seconds" [shard]
        "How long one flush of the journal took, where it was an operation of its own." => |r, s| histogram(r, s, |shard| &shard.store.flush);
    kafka_log_logflushstats_logflushrateandtimems: Summary of "milliseconds" []
        "How long one flush of a journal took, where it was an operation of its own, all shards together, since the start." => flush_summary;
    ottla_journal_bytes_total: Counter of "bytes" [shard]
        "Bytes written to the journal, padding included." => |r, s| counter(r, s, |shard| shard.store.journal_bytes);
    ottla_journal_cycles_total: Counter of "cycles" [shard]
        "Flush cycles: each makes everything durable that came since the one before." => |r, s| counter(r, s, |shard| shard.store.cycles);
    ottla_journal_bypass_bytes_total: Counter of "bytes" [shard]
        "Bytes written straight to segments because one partition brought many at once." => |r, s| counter(r, s, |shard| shard.store.bypass_bytes);
    ottla_journal_pending_bytes: Gauge of "bytes" [shard]
        "Bytes in journal files that may not be recycled yet." => |r, s| counter(r, s, |shard| shard.store.pending_bytes);
    ottla_segment_bytes_total: Counter of "bytes" [shard]
        "Bytes written to segments." => |r, s| counter(r, s, |shard| shard.store.segment_bytes);
    ottla_write_outs_total: Counter of "writes" [shard]
        "Times that a log's newest records were written to its segment." => |r, s| counter(r, s, |shard| shard.store.write_outs);
    ottla_segment_flushes_total: Counter of "flushes" [shard]
        "Times that a segment was made durable." => |r, s| counter(r, s, |shard| shard.store.segment_flushes);
    ottla_write_outs_waiting: Gauge of "logs" [shard]
        "Logs that wait for being written to their segments." => |r, s| counter(r, s, |shard| shard.store.write_outs_waiting);
    ottla_disk_full: Gauge of "1" [shard]
        "1 while appends are refused for want of disk space." => |r, s| counter(r, s, |shard| u64::from(shard.store.disk_full));

    // Reads.
    ottla_tail_reads_total: Counter of "reads" [shard]
        "Reads answered from the newest records in memory: cache hits." => |r, s| counter(r, s, |shard| shard.store.tail_reads);
    ottla_ahead_reads_total: Counter of "reads" [shard]
        "Reads answered from what an earlier read had brought in ahead: cache hits too." => |r, s| counter(r, s, |shard| shard.store.ahead_reads);
    ottla_cold_reads_total: Counter of "reads" [shard]
        "Reads that went to the disk: cache misses." => |r, s| counter(r, s, |shard| shard.store.cold_reads);
    ottla_cold_read_bytes_total: Counter of "bytes" [shard]
        "Bytes read from the disk for consumers." => |r, s| counter(r, s, |shard| shard.store.cold_bytes);
    ottla_tail_bytes: Gauge of "bytes" [shard]
        "Bytes of recent records held in memory." => |r, s| counter(r, s, |shard| shard.store.tail_bytes);
    ottla_open_segment_files: Gauge of "files" [shard]
        "Segment files open." => |r, s| counter(r, s, |shard| shard.store.open_files);

    // The shards' loops.
    ottla_loop_stalls_total: Counter of "stalls" [shard]
        "Times that a timer, set four times a second, fired more than 10 ms late: one task kept all others waiting." => |r, s| counter(r, s, |shard| shard.stalls.count);
    ottla_loop_stall_seconds_total: Counter of "seconds" [shard]
        "How late those timers were, together." => |r, s| seconds(r, s, |shard| shard.stalls.nanos as f64);
    ottla_shard_busy_seconds_total: Counter of "seconds" [shard]
        "How long the shard's loop has worked; the rest of the time it slept." => |r, s| seconds(r, s, |shard| shard.stalls.busy_nanos as f64);
    ottla_ring_enters_total: Counter of "calls" [shard]
        "System calls into the shard's ring." => |r, s| counter(r, s, |shard| shard.ring.enters);
    ottla_ring_submitted_total: Counter of "operations" [shard]
        "Operations handed to the shard's ring; over the enters, how many share a system call." => |r, s| counter(r, s, |shard| shard.ring.submitted);
    ottla_ring_completed_total: Counter of "operations" [shard]
        "Operations that the shard's ring has completed." => |r, s| counter(r, s, |shard| shard.ring.completed);
    ottla_ring_sleeps_total: Counter of "sleeps" [shard]
        "Times that the shard slept in its ring for want of work." => |r, s| counter(r, s, |shard| shard.ring.sleeps);

    // Partitions.
    kafka_log_log_size: Gauge of "bytes" [topic, partition]
        "Bytes kept." => |r, s| partitions(r, s, |place| place.bytes as f64);
    kafka_log_log_numlogsegments: Gauge of "segments" [topic, partition]
        "Segments kept." => |r, s| partitions(r, s, |place| place.segments as f64);
    kafka_log_log_logstartoffset: Gauge of "offset" [topic, partition]
        "The first offset kept." => |r, s| partitions(r, s, |place| place.log_start as f64);
    kafka_log_log_logendoffset: Gauge of "offset" [topic, partition]
        "The offset after the last record appended." => |r, s| partitions(r, s, |place| place.log_end as f64);
    kafka_topic_partition_current_offset: Gauge of "offset" [topic, partition]
        "The offset after the last record that consumers may see." => |r, s| partitions(r, s, |place| place.high_watermark as f64);
    kafka_topic_partition_oldest_offset: Gauge of "offset" [topic, partition]
        "The first offset kept." => |r, s| partitions(r, s, |place| place.log_start as f64);
    kafka_topic_partitions: Gauge of "partitions" [topic]
        "Partitions of a topic on this broker." => topic_partitions;
    kafka_server_replicamanager_partitioncount: Gauge of "partitions" []
        "Partitions on this broker." => |r, s| s.count(&[], r.partitions().count() as u64);
    kafka_server_replicamanager_leadercount: Gauge of "partitions" []
        "Partitions that this broker leads: all of them while there is one node." => |r, s| s.count(&[], r.partitions().count() as u64);
    kafka_server_replicamanager_offlinereplicacount: Gauge of "partitions" []
        "Partitions whose log is damaged, so that they answer with a storage error." => |r, s| s.count(&[], failed(r));
    kafka_controller_kafkacontroller_offlinepartitionscount: Gauge of "partitions" []
        "Partitions that nobody serves." => |r, s| s.count(&[], failed(r));
    kafka_server_replicamanager_produceridcount: Gauge of "producers" []
        "Idempotent producers remembered, counted once for each partition." => |r, s| s.count(&[], r.partitions().map(|place| place.producers).sum());

    // Groups.
    kafka_coordinator_group_groupmetadatamanager_numgroups: Gauge of "groups" []
        "Consumer groups." => |r, s| s.count(&[], r.groups().count() as u64);
    kafka_coordinator_group_groupmetadatamanager_numgroupsempty: Gauge of "groups" []
        "Consumer groups without members." => |r, s| s.count(&[], in_state(r, "Empty"));
    kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance: Gauge of "groups" []
        "Consumer groups that wait for members to join." => |r, s| s.count(&[], in_state(r, "PreparingRebalance"));
    kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance: Gauge of "groups" []
        "Consumer groups that wait for their leader's assignment." => |r, s| s.count(&[], in_state(r, "CompletingRebalance"));
    kafka_coordinator_group_groupmetadatamanager_numgroupsstable: Gauge of "groups" []
        "Consumer groups that consume." => |r, s| s.count(&[], in_state(r, "Stable"));
    kafka_coordinator_group_groupmetadatamanager_numgroupsdead: Gauge of "groups" []
        "Consumer groups about to be forgotten." => |r, s| s.count(&[], in_state(r, "Dead"));
    kafka_coordinator_group_groupmetadatamanager_numoffsets: Gauge of "offsets" []
        "Offsets committed." => |r, s| s.count(&[], r.groups().map(|group| group.committed.len() as u64).sum());
    kafka_consumergroup_members: Gauge of "members" [consumergroup]
        "Members of a group." => |r, s| r.groups().for_each(|group| s.count(&[&group.group], group.members as u64));
    kafka_consumergroup_current_offset: Gauge of "offset" [consumergroup, topic, partition]
        "The offset that a group committed: the next it reads." => committed;
    kafka_consumergroup_lag: Gauge of "records" [consumergroup, topic, partition]
        "Records that a group has not committed yet." => lag;
    kafka_consumergroup_lag_sum: Gauge of "records" [consumergroup, topic]
        "Records of a topic that a group has not committed yet." => lag_sum;

    // The cluster.
    kafka_brokers: Gauge of "brokers" []
        "Brokers of the cluster." => |r, s| s.count(&[], r.cluster.brokers);
    kafka_controller_kafkacontroller_activebrokercount: Gauge of "brokers" []
        "Brokers of the cluster." => |r, s| s.count(&[], r.cluster.brokers);
    kafka_controller_kafkacontroller_activecontrollercount: Gauge of "controllers" []
        "Whether this broker is the controller: it is, while there is one node." => |_, s| s.count(&[], 1);
    kafka_controller_kafkacontroller_globaltopiccount: Gauge of "topics" []
        "Topics of the cluster, internal ones included." => |r, s| s.count(&[], r.cluster.topics);
    kafka_controller_kafkacontroller_globalpartitioncount: Gauge of "partitions" []
        "Partitions of the cluster, of internal topics included." => |r, s| s.count(&[], r.cluster.partitions);
    kafka_server_kafkaserver_brokerstate: Gauge of "state" []
        "What the broker does: 0 not running, 2 recovering, 3 running, 7 stopping." => |r, s| s.put(&[], r.cluster.state.code() as f64);
    ottla_build_info: Gauge of "1" [version, cluster_id, node_id]
        "Always 1; its labels say which build and which broker this is." => build_info;

    // The process.
    process_cpu_seconds_total: Counter of "seconds" []
        "CPU time used, in user and kernel." => |_, s| s.put(&[], Process::read().cpu_seconds);
    process_resident_memory_bytes: Gauge of "bytes" []
        "Memory in use." => |_, s| s.put(&[], Process::read().resident_bytes);
    process_virtual_memory_bytes: Gauge of "bytes" []
        "Address space in use." => |_, s| s.put(&[], Process::read().virtual_bytes);
    process_threads: Gauge of "threads" []
        "Threads." => |_, s| s.put(&[], Process::read().threads);
    process_open_fds: Gauge of "files" []
        "Open file descriptors." => |_, s| s.put(&[], Process::read().open_files);
    process_max_fds: Gauge of "files" []
        "File descriptors that may be open." => |_, s| s.put(&[], Process::read().open_files_max);
    process_start_time_seconds: Gauge of "seconds" []
        "When the process started, since 1970." => |_, s| s.put(&[], Process::read().start_seconds);
}

fn topics(report: &Report, samples: &mut Samples<'_>, number: fn(&TopicSnapshot) -> u64) {
    let topics = report.by_topic(number);
    samples.count(&[], topics.values().sum());
    for (topic, count) in topics {
        samples.count(&[topic], count);
    }
}

/// Each shard's part of something, under its number.
fn each_shard(report: &Report, mut put: impl FnMut(&str, &Snapshot)) {
    for shard in &report.shards {
        put(&shard.shard.to_string(), shard);
    }
}

fn counter(report: &Report, samples: &mut Samples<'_>, number: fn(&Snapshot) -> u64) {
    each_shard(report, |name, shard| samples.count(&[name], number(shard)));
}

fn gauge(report: &Report, samples: &mut Samples<'_>, number: fn(&Snapshot) -> i64) {
    each_shard(report, |name, shard| samples.put(&[name], number(shard) as f64));
}

fn seconds(report: &Report, samples: &mut Samples<'_>, nanos: fn(&Snapshot) -> f64) {
    each_shard(report, |name, shard| samples.put(&[name], nanos(shard) / 1e9));
}

fn histogram(report: &Report, samples: &mut Samples<'_>, latency: fn(&Snapshot) -> &LatencySnapshot) {
    each_shard(report, |name, shard| samples.histogram(&[name], latency(shard)));
}

fn sum(report: &Report, number: fn(&Snapshot) -> i64) -> f64 {
    report.shards.iter().map(number).sum::<i64>() as f64
}

/// The names that an API's requests count under: Kafka tells consumers' fetches from followers', and counts both again as Fetch.
fn request_names(api: ApiKey) -> &'static [&'static str] {
    match api {
        ApiKey::Fetch => &["Fetch", "FetchConsumer"],
        _ => std::slice::from_ref(&api.api().name),
    }
}

/// Every API that was asked for, its shards' parts together, by name.
fn each_api(report: &Report, mut put: impl FnMut(ApiKey, &[&ApiSnapshot])) {
    let mut apis: Vec<&ApiSnapshot> = report.shards.iter().flat_map(|shard| &shard.apis).collect();
    apis.sort_by_key(|counts| counts.api);
    for parts in apis.chunk_by(|a, b| a.api == b.api) {
        put(parts[0].api, parts);
    }
}

/// Counts by number, the shards' parts together.
fn added<'a>(counts: impl Iterator<Item = &'a (i16, u64)>) -> std::collections::BTreeMap<i16, u64> {
    let mut sums = std::collections::BTreeMap::new();
    counts.for_each(|(number, count)| *sums.entry(*number).or_insert(0) += count);
    sums
}

fn requests(report: &Report, samples: &mut Samples<'_>) {
    each_api(report, |api, parts| {
        for (version, count) in added(parts.iter().flat_map(|part| &part.versions)) {
            request_names(api).iter().for_each(|name| samples.count(&[name, &version.to_string()], count));
        }
    });
}

fn errors(report: &Report, samples: &mut Samples<'_>) {
    each_api(report, |api, parts| {
        for (code, count) in added(parts.iter().flat_map(|part| &part.errors)) {
            let error = ErrorCode::from_code(code).map_or("UNKNOWN", ErrorCode::name);
            request_names(api).iter().for_each(|name| samples.count(&[name, error], count));
        }
    });
}

fn merged<'a>(parts: impl IntoIterator<Item = &'a LatencySnapshot>) -> LatencySnapshot {
    let mut sum = LatencySnapshot::default();
    parts.into_iter().for_each(|part| sum.merge(part));
    sum
}

fn request_summary(report: &Report, samples: &mut Samples<'_>) {
    each_api(report, |api, parts| {
        let latency = merged(parts.iter().map(|part| &part.latency));
        request_names(api).iter().for_each(|name| samples.summary(&[name], &latency));
    });
}

fn request_histogram(report: &Report, samples: &mut Samples<'_>) {
    each_api(report, |api, parts| {
        samples.histogram(&[api.name()], &merged(parts.iter().map(|part| &part.latency)));
    });
}

fn flush_summary(report: &Report, samples: &mut Samples<'_>) {
    samples.summary(&[], &merged(report.shards.iter().map(|shard| &shard.store.flush)));
}

fn refused(report: &Report, samples: &mut Samples<'_>) {
    samples.count(&["total"], report.shards.iter().map(|shard| shard.connections.refused_total).sum());
    samples.count(&["per_address"], report.shards.iter().map(|shard| shard.connections.refused_per_address).sum());
}

fn closed(report: &Report, samples: &mut Samples<'_>) {
    samples.count(&["idle"], report.shards.iter().map(|shard| shard.connections.closed_idle).sum());
    samples.count(&["invalid"], report.shards.iter().map(|shard| shard.connections.closed_invalid).sum());
    samples.count(&["shed"], report.shards.iter().map(|shard| shard.connections.closed_shed).sum());
}

fn purgatory(report: &Report, samples: &mut Samples<'_>) {
    samples.put(&["Produce"], sum(report, |shard| shard.queues.waiting_produces));
    samples.put(&["Fetch"], sum(report, |shard| shard.queues.waiting_fetches));
}

fn partitions(report: &Report, samples: &mut Samples<'_>, number: fn(&ottla_broker::metrics::PartitionGauges) -> f64) {
    for place in report.partitions() {
        samples.put(&[&place.topic, &place.partition.to_string()], number(place));
    }
}

fn topic_partitions(report: &Report, samples: &mut Samples<'_>) {
    for (topic, count) in report.partition_counts() {
        samples.count(&[topic], count);
    }
}

fn failed(report: &Report) -> u64 {
    report.partitions().filter(|place| place.failed).count() as u64
}

fn in_state(report: &Report, state: &str) -> u64 {
    report.groups().filter(|group| group.state == state).count() as u64
}

fn committed(report: &Report, samples: &mut Samples<'_>) {
    for commit in report.committed() {
        samples.put(&[commit.group, commit.topic, &commit.partition.to_string()], commit.offset as f64);
    }
}

fn lag(report: &Report, samples: &mut Samples<'_>) {
    for commit in report.committed() {
        if let Some(lag) = commit.lag {
            samples.put(&[commit.group, commit.topic, &commit.partition.to_string()], lag as f64);
        }
    }
}

fn lag_sum(report: &Report, samples: &mut Samples<'_>) {
    let commits = report.committed();
    let mut sums = std::collections::BTreeMap::new();
    for commit in &commits {
        *sums.entry((commit.group, commit.topic)).or_insert(0) += commit.lag.unwrap_or(0);
    }
    for ((group, topic), lag) in sums {
        samples.put(&[group, topic], lag as f64);
    }
}

fn build_info(report: &Report, samples: &mut Samples<'_>) {
    let cluster = &report.cluster;
    samples.count(&[env!("CARGO_PKG_VERSION"), &cluster.cluster_id, &cluster.node_id.to_string()], 1);
}
