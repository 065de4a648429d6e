//! The copy of a shard's counters that the control thread asks for.

use std::rc::Rc;
use std::time::Duration;

use ottla_reactor::{Semaphore, busy, monotonic, ring_counters, sleep};

use crate::metrics::{PartitionGauges, Snapshot, StoreSnapshot};
use crate::shard::Shard;

impl Shard {
    /// Copies all counters, and what is read off partitions and groups.
    pub(crate) fn scrape(&self) -> Snapshot {
        self.metrics.queues.fetch_sessions.set(self.sessions.len() as i64);
        self.metrics.queues.mesh.set(self.links.waiting() as i64);
        let taken = |memory: &Semaphore| memory.total() - memory.free();
        self.metrics.queues.bytes.set((taken(&self.request_memory) + taken(&self.receive_memory)) as i64);
        self.metrics.queues.answer_bytes.set(self.answer_memory.held() as i64);
        let queued = self.connections.borrow().values().map(|connection| connection.queued()).sum::<usize>();
        self.metrics.queues.requests.set(queued as i64);
        self.metrics.stalls.busy_nanos.set(busy().as_nanos() as i64);
        let mut snapshot = self.metrics.snapshot(self.id);
        snapshot.store = StoreSnapshot::of(&self.store);
        snapshot.ring = ring_counters();
        snapshot.partitions = self.partition_gauges();
        snapshot.groups = self.groups.gauges();
        snapshot
    }

    fn partition_gauges(&self) -> Vec<PartitionGauges> {
        let failed = self.hosts.failed().into_iter().map(|(key, topic)| PartitionGauges {
            topic,
            partition: key.partition.get(),
            log_start: -1,
            high_watermark: -1,
            log_end: -1,
            bytes: 0,
            segments: 0,
            failed: true,
            producers: 0,
        });
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
        gauges.chain(failed).collect()
    }
}

/// How often it is looked whether the loop comes round in time. Rarely: an idle shard should sleep.
const STALL_PROBE: Duration = Duration::from_millis(250);
/// How late a timer may be before it counts as a stall.
const STALL: Duration = Duration::from_millis(10);

/// Counts the times that one task kept this shard's others waiting: a timer that fires late was kept waiting too.
pub(crate) async fn watch_stalls(shard: Rc<Shard>) {
    loop {
        let due = monotonic() + STALL_PROBE;
        sleep(STALL_PROBE).await;
        let late = monotonic().saturating_duration_since(due);
        if late > STALL {
            shard.metrics.stalls.count.increment();
            shard.metrics.stalls.nanos.add(late.as_nanos() as u64);
        }
    }
}
