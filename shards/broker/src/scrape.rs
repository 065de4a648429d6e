//! The copy of a shard's counters that the control thread asks for.

use crate::metrics::{PartitionGauges, Snapshot};
use crate::shard::Shard;

impl Shard {
    /// Copies all counters, and what is read off partitions and groups.
    pub(crate) fn scrape(&self) -> Snapshot {
        self.metrics.queues.fetch_sessions.set(self.sessions.len() as i64);
        self.metrics.queues.mesh.set(self.links.waiting() as i64);
        self.metrics.queues.bytes.set((self.request_memory.total() - self.request_memory.free()) as i64);
        let mut snapshot = self.metrics.snapshot(self.id);
        snapshot.partitions = self.partition_gauges();
        snapshot.groups = self.groups.gauges();
        snapshot
    }

    fn partition_gauges(&self) -> Vec<PartitionGauges> {
        let hosts = self.hosts.all();
        let gauges = hosts.into_iter().map(|(key, host)| PartitionGauges {
            topic: host.topic.clone(),
            partition: key.partition.get(),
            log_start: host.partition.log_start().get(),
            high_watermark: host.partition.high_watermark().get(),
            log_end: host.partition.log_end().get(),
            bytes: host.partition.log().size_bytes(),
            segments: host.partition.log().segments().len() as u64,
            failed: false,
            producers: host.partition.producers().len() as u64,
        });
        gauges.collect()
    }
}
