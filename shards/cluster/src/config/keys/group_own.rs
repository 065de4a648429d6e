//! A group's own settings (`GroupConfig`).

use super::effects::{NO_MODERN_GROUPS, NO_SHARE_GROUPS, NO_STREAMS_GROUPS};
use crate::config::Rule::{Any, AtLeast, OffsetReset, OneOf};
use crate::config::key::keys;

keys! { pub(crate) GROUP_OWN of Group {
    "consumer.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, NO_MODERN_GROUPS;
        "Time between two assignments, at least."
            <- Same "group.consumer.assignment.interval.ms";
    "consumer.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, NO_MODERN_GROUPS;
        "How often members report."
            <- Same "group.consumer.heartbeat.interval.ms";
    "consumer.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, NO_MODERN_GROUPS;
        "How long a silent member stays."
            <- Same "group.consumer.session.timeout.ms";
    "share.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, NO_SHARE_GROUPS;
        "Time between two assignments, at least."
            <- Same "group.share.assignment.interval.ms";
    "share.auto.offset.reset": String = "latest", OffsetReset, ClusterWide, NO_SHARE_GROUPS;
        "Where a new share group begins to read.";
    "share.delivery.count.limit": Int = "5", AtLeast(2), ClusterWide, NO_SHARE_GROUPS;
        "How often a record is delivered before it is given up."
            <- Same "group.share.delivery.count.limit";
    "share.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, NO_SHARE_GROUPS;
        "How often members report."
            <- Same "group.share.heartbeat.interval.ms";
    "share.isolation.level": String = "read_uncommitted",
        OneOf(&["read_committed", "read_uncommitted"]), ClusterWide, NO_SHARE_GROUPS;
        "Whether records of open and aborted transactions are delivered.";
    "share.partition.max.record.locks": Int = "2000", AtLeast(100), ClusterWide, NO_SHARE_GROUPS;
        "Records of one partition that may be with consumers at once."
            <- Same "group.share.partition.max.record.locks";
    "share.record.lock.duration.ms": Int = "30000", AtLeast(1000), ClusterWide, NO_SHARE_GROUPS;
        "How long a delivered record stays with its consumer."
            <- Same "group.share.record.lock.duration.ms";
    "share.renew.acknowledge.enable": Boolean = "true", Any, ClusterWide, NO_SHARE_GROUPS;
        "Whether a consumer may prolong its hold on a record.";
    "share.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, NO_SHARE_GROUPS;
        "How long a silent member stays."
            <- Same "group.share.session.timeout.ms";
    "streams.assignment.interval.ms": Int = "1000", AtLeast(0), ClusterWide, NO_STREAMS_GROUPS;
        "Time between two assignments, at least."
            <- Same "group.streams.assignment.interval.ms";
    "streams.heartbeat.interval.ms": Int = "5000", AtLeast(1), ClusterWide, NO_STREAMS_GROUPS;
        "How often members report."
            <- Same "group.streams.heartbeat.interval.ms";
    "streams.initial.rebalance.delay.ms": Int = "3000", AtLeast(0), ClusterWide, NO_STREAMS_GROUPS;
        "How long an empty group waits for more members."
            <- Same "group.streams.initial.rebalance.delay.ms";
    "streams.num.standby.replicas": Int = "0", AtLeast(0), ClusterWide, NO_STREAMS_GROUPS;
        "Standby copies of each task."
            <- Same "group.streams.num.standby.replicas";
    "streams.session.timeout.ms": Int = "45000", AtLeast(1), ClusterWide, NO_STREAMS_GROUPS;
        "How long a silent member stays."
            <- Same "group.streams.session.timeout.ms";
} }
