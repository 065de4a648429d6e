//! The group coordinators of a shard: one [`ottla_coordinator::Groups`] for each partition of `__consumer_offsets` that
//! lives here, with what it lacks: a log, a clock, and the clients that wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ottla_cluster::{CONSUMER_OFFSETS, Topic};
use ottla_coordinator::{Event, Now, Reply, Request, Settings, partition_of};
use ottla_reactor::{monotonic, wall_clock};
use ottla_units::{ErrorCode, PartitionIndex, TopicPartition};

use crate::metrics::GroupGauges;
use crate::shard::Shard;

// One partition's coordinator: its state machine, and the loop around it.
mod seat;
use seat::Seat;

// Answers that are waited for.
mod answers;

// Reading a partition's records back.
mod load;

/// All coordinators of a shard.
///
/// *Lives on: each shard. Talks by: [`ask`], from any shard.*
pub(crate) struct Shell {
    seats: RefCell<HashMap<TopicPartition, Rc<Seat>>>,
    started: Instant,
}

impl Default for Shell {
    fn default() -> Shell {
        Shell { seats: RefCell::default(), started: monotonic() }
    }
}

impl Shell {
    /// Begins to load every partition of `__consumer_offsets` that this shard has.
    pub(crate) fn start(&self, shard: &Rc<Shard>) {
        let Some(topic) = shard.image().topic_named(CONSUMER_OFFSETS).cloned() else { return };
        for (index, _) in topic.indexed() {
            self.seat(shard, TopicPartition::new(topic.id, index));
        }
    }

    /// Answers everyone who waits; nothing is coordinated here any more.
    pub(crate) fn stop(&self, shard: &Rc<Shard>) {
        for seat in self.seats.take().into_values() {
            seat.close(shard);
        }
    }

    /// A topic is gone, and with it its offsets; `__consumer_offsets` itself takes all groups with it.
    pub(crate) fn topic_deleted(&self, shard: &Rc<Shard>, topic: &Topic) {
        let mut gone = Vec::new();
        self.seats.borrow_mut().retain(|key, seat| {
            let stays = key.topic != topic.id;
            if !stays {
                gone.push(Rc::clone(seat));
            }
            stays
        });
        gone.iter().for_each(|seat| seat.close(shard));
        if gone.is_empty() {
            for seat in self.all() {
                seat.take(shard, Event::TopicsDeleted(vec![(topic.name.to_string(), topic.id)]));
            }
        }
    }

    /// Where every group of this shard stands, for the metrics.
    pub(crate) fn gauges(&self) -> Vec<GroupGauges> {
        self.all().iter().flat_map(|seat| seat.gauges()).collect()
    }

    /// Asks all coordinators of this shard the same; their answers.
    pub(crate) fn ask_all(&self, shard: &Rc<Shard>, request: &Request) -> impl Future<Output = Vec<Reply>> + use<> {
        let asked: Vec<_> = self.all().iter().map(|seat| Rc::clone(seat).ask(shard, request.clone())).collect();
        async move {
            let mut replies = Vec::with_capacity(asked.len());
            for answer in asked {
                replies.push(answer.await);
            }
            replies
        }
    }

    fn all(&self) -> Vec<Rc<Seat>> {
        self.seats.borrow().values().cloned().collect()
    }

    /// The coordinator of one partition; it begins to load when it is first looked for.
    fn seat(&self, shard: &Rc<Shard>, key: TopicPartition) -> Option<Rc<Seat>> {
        if let Some(seat) = self.seats.borrow().get(&key) {
            return Some(Rc::clone(seat));
        }
        let host = shard.hosts.get(key).filter(|_| !shard.stopping.get())?;
        let seat = Seat::open(shard, host);
        self.seats.borrow_mut().insert(key, Rc::clone(&seat));
        Some(seat)
    }

    fn now(&self) -> Now {
        let uptime = self.started.elapsed().as_millis();
        Now { wall: wall_clock(), uptime_ms: u64::try_from(uptime).unwrap_or(u64::MAX) }
    }
}

/// Asks the coordinator of `group`, wherever it is.
pub(crate) async fn ask(shard: &Rc<Shard>, group: &str, request: Request) -> Reply {
    let Some(key) = keeper(shard, group) else { return request.refuse(ErrorCode::NotCoordinator) };
    let asked = shard.on(shard.owner(key), move |there| {
        let seat = there.groups.seat(&there, key).ok_or_else(|| request.refuse(ErrorCode::NotCoordinator));
        let asked = seat.map(|seat| seat.ask(&there, request));
        async move {
            match asked {
                Ok(answer) => answer.await,
                Err(refusal) => refusal,
            }
        }
    });
    asked.await
}

/// The partition that keeps `group`; `None` while there is no `__consumer_offsets`.
pub(crate) fn keeper(shard: &Shard, group: &str) -> Option<TopicPartition> {
    let image = shard.image();
    let topic: &Arc<Topic> = image.topic_named(CONSUMER_OFFSETS)?;
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    Some(TopicPartition::new(topic.id, PartitionIndex::new(partition_of(group, partitions))))
}

/// Bytes that the groups of a shard may take together.
const MEMORY_BYTES_MAX: usize = 512 << 20;
/// What each partition of `__consumer_offsets` may have of it at least.
const MEMORY_BYTES_MIN: usize = 32 << 20;

/// A partition's share of the memory for groups.
fn memory_of_one(shard: &Shard) -> usize {
    let partitions = shard.image().topic_named(CONSUMER_OFFSETS).map_or(1, |topic| topic.partitions.len());
    let here = partitions.div_ceil(shard.links.shards()).max(1);
    (MEMORY_BYTES_MAX / here).max(MEMORY_BYTES_MIN)
}

/// The broker's settings as a coordinator wants them.
fn settings(shard: &Shard) -> Settings {
    let settings = shard.settings();
    let groups = &settings.groups;
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let short = |time| i32::try_from(millis(time)).unwrap_or(i32::MAX);
    Settings {
        session_timeout_ms_min: short(groups.session_timeout_min),
        session_timeout_ms_max: short(groups.session_timeout_max),
        initial_rebalance_delay_ms: millis(groups.initial_rebalance_delay),
        members_max: groups.members_max as usize,
        memory_bytes_max: memory_of_one(shard),
        offset_metadata_max: groups.offset_metadata_bytes_max as usize,
        offsets_retention_ms: i64::try_from(millis(groups.offsets_retention)).unwrap_or(i64::MAX),
        retention_check_interval_ms: millis(groups.offsets_retention_check_interval),
    }
}
