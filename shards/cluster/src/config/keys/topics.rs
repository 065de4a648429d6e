//! A topic's own settings (`LogConfig`).

use super::effects::{
    HONOURED, JOURNAL_DOES, NO_COMPACTION, NO_QUOTAS, NO_RECOMPRESSION, NO_RETENTION, NO_TIERING, NOT_HERE, ONE_NODE,
};
use crate::config::Rule::{Any, AtLeast, Between, DefaultOr, OneOf, SetOf, Share, ThrottledReplicas};
use crate::config::key::keys;

keys! { pub(crate) TOPICS of Topic {
    "cleanup.policy": List = "delete", SetOf(&["compact", "delete"]), ClusterWide, NO_RETENTION;
        "What happens to old records: delete, compact, both or nothing."
            <- Same "log.cleanup.policy";
    "compression.gzip.level": Int = "-1", DefaultOr(1, 9), ClusterWide, NO_RECOMPRESSION;
        "How hard gzip tries."
            <- Same "compression.gzip.level";
    "compression.lz4.level": Int = "9", Between(1, 17), ClusterWide, NO_RECOMPRESSION;
        "How hard LZ4 tries."
            <- Same "compression.lz4.level";
    "compression.type": String = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide, NO_RECOMPRESSION;
        "The codec records are stored with; producer: as they came."
            <- Same "compression.type";
    "compression.zstd.level": Int = "3", Between(-131072, 22), ClusterWide, NO_RECOMPRESSION;
        "How hard Zstandard tries."
            <- Same "compression.zstd.level";
    "delete.retention.ms": Long = "86400000", AtLeast(0), ClusterWide, NO_COMPACTION;
        "How long the marks of deleted keys are kept."
            <- Same "log.cleaner.delete.retention.ms";
    "file.delete.delay.ms": Long = "60000", AtLeast(0), ClusterWide, NO_RETENTION;
        "How long a deleted file stays before it is removed."
            <- Same "log.segment.delete.delay.ms";
    "flush.messages": Long = "9223372036854775807", AtLeast(1), ClusterWide, HONOURED;
        "Records between two forced flushes; 1: acks=1, too, is answered after the flush."
            <- Same "log.flush.interval.messages";
    "flush.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, HONOURED;
        "Time between two forced flushes; 0: acks=1, too, is answered after the flush."
            <- Same "log.flush.interval.ms"
            <- Same "log.flush.scheduler.interval.ms";
    "follower.replication.throttled.replicas": List = "", ThrottledReplicas, ClusterWide, NO_QUOTAS;
        "Replicas whose reading is throttled: partition:broker, or *.";
    "index.interval.bytes": Int = "4096", AtLeast(0), ClusterWide, HONOURED;
        "Bytes of records between two entries of the offset index."
            <- Same "log.index.interval.bytes";
    "leader.replication.throttled.replicas": List = "", ThrottledReplicas, ClusterWide, NO_QUOTAS;
        "Replicas whose sending is throttled: partition:broker, or *.";
    "local.retention.bytes": Long = "-2", AtLeast(-2), ClusterWide, NO_TIERING;
        "How much of a partition stays here once it is copied; -2: as retention.bytes."
            <- Same "log.local.retention.bytes";
    "local.retention.ms": Long = "-2", AtLeast(-2), ClusterWide, NO_TIERING;
        "How long a segment stays here once it is copied; -2: as retention.ms."
            <- Same "log.local.retention.ms";
    "max.compaction.lag.ms": Long = "9223372036854775807", AtLeast(1), ClusterWide, NO_COMPACTION;
        "How long a record stays as it was written, at most."
            <- Same "log.cleaner.max.compaction.lag.ms";
    "max.message.bytes": Int = "1048588", AtLeast(0), ClusterWide, HONOURED;
        "The largest batch a producer may send, as compressed."
            <- Same "message.max.bytes";
    "message.timestamp.after.max.ms": Long = "3600000", AtLeast(0), ClusterWide, HONOURED;
        "How far a record's time may lie after the broker's."
            <- Same "log.message.timestamp.after.max.ms";
    "message.timestamp.before.max.ms": Long = "9223372036854775807", AtLeast(0), ClusterWide, HONOURED;
        "How far a record's time may lie before the broker's."
            <- Same "log.message.timestamp.before.max.ms";
    "message.timestamp.type": String = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide, HONOURED;
        "Whether records keep the producer's time or get the time of their append."
            <- Same "log.message.timestamp.type";
    "min.cleanable.dirty.ratio": Double = "0.5", Share(0.0, 1.0), ClusterWide, NO_COMPACTION;
        "The part of the log that must be uncompacted before it is compacted."
            <- Same "log.cleaner.min.cleanable.ratio";
    "min.compaction.lag.ms": Long = "0", AtLeast(0), ClusterWide, NO_COMPACTION;
        "How long a record stays as it was written, at least."
            <- Same "log.cleaner.min.compaction.lag.ms";
    "min.insync.replicas": Int = "1", AtLeast(1), ClusterWide, HONOURED;
        "In-sync replicas that acks=all needs; no more than there are replicas."
            <- Same "min.insync.replicas";
    "preallocate": Boolean = "false", Any, ClusterWide, JOURNAL_DOES;
        "Whether a new segment's space is taken at once."
            <- Same "log.preallocate";
    "remote.log.copy.disable": Boolean = "false", Any, ClusterWide, NO_TIERING;
        "Whether copying to tiered storage has stopped.";
    "remote.log.delete.on.disable": Boolean = "false", Any, ClusterWide, NO_TIERING;
        "Whether tiered data goes when tiered storage is turned off.";
    "remote.storage.enable": Boolean = "false", Any, ClusterWide, NO_TIERING;
        "Whether old segments go to tiered storage.";
    "retention.bytes": Long = "-1", Any, ClusterWide, NO_RETENTION;
        "How much of each partition is kept; -1: all."
            <- Same "log.retention.bytes";
    "retention.ms": Long = "604800000", AtLeast(-1), ClusterWide, NO_RETENTION;
        "How long records are kept; -1: for ever."
            <- Same "log.retention.ms"
            <- Minutes "log.retention.minutes"
            <- Hours "log.retention.hours";
    "segment.bytes": Int = "1073741824", AtLeast(1048576), ClusterWide, HONOURED;
        "The size at which a segment file is closed and the next begun."
            <- Same "log.segment.bytes";
    "segment.index.bytes": Int = "10485760", AtLeast(4), ClusterWide, HONOURED;
        "The largest size of an offset index."
            <- Same "log.index.size.max.bytes";
    "segment.jitter.ms": Long = "0", AtLeast(0), ClusterWide, HONOURED;
        "The most by which a segment's age is shortened at random."
            <- Same "log.roll.jitter.ms"
            <- Hours "log.roll.jitter.hours";
    "segment.ms": Long = "604800000", AtLeast(1), ClusterWide, HONOURED;
        "The age at which a segment is closed."
            <- Same "log.roll.ms"
            <- Hours "log.roll.hours";
    "unclean.leader.election.enable": Boolean = "false", Any, ClusterWide, ONE_NODE;
        "Whether a replica that lacks records may lead when no other is there."
            <- Same "unclean.leader.election.enable";
    "internal.segment.bytes" internal: Int = null, Any, ClusterWide, NOT_HERE;
        "The segment size without its lower limit, for Kafka's own tests.";
} }
