//! Reading on the shards that own the partitions, and waiting there.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use ottla_cluster::Image;
use ottla_partition::{DataWaiter, Isolation, ReadError};
use ottla_reactor::{Class, Slice, monotonic, sleep, spawn, stand_back};
use ottla_storage::Read;
use ottla_units::{ErrorCode, LeaderEpoch, Offset, ShardId, TopicPartition};
use ottla_wire::ApiKey;
use ottla_wire::fetch::{AbortedTransaction, DivergingEpoch, Fetch};

use super::{BY_ID, PARTITIONS_AT_ONCE, breathe};
use crate::sessions::Wanted;
use crate::shard::Shard;
use crate::shed::FetchShare;

/// How much, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    bytes_max: usize,
    bytes_min: usize,
    /// Whether a first batch that is larger than `bytes_max` is read all the same.
    at_least_one: bool,
    deadline: Option<Instant>,
    isolation: Isolation,
}

impl Limits {
    pub(super) fn of(shard: &Shard, request: &Fetch, wanted: &[Wanted]) -> Limits {
        let bytes_max = usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(shard.settings.borrow().network.fetch_bytes_max as usize);
        let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let waits = wait > 0 && request.min_bytes > 0 && !wanted.is_empty();
        Limits {
            bytes_max,
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
            at_least_one: true,
            deadline: waits.then(|| monotonic() + Duration::from_millis(wait)),
            isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        }
    }

    /// The same within what memory allows now.
    fn within(&self, share: &FetchShare) -> Limits {
        let FetchShare { bytes_max, at_least_one, .. } = *share;
        Limits { bytes_max, bytes_min: self.bytes_min.min(bytes_max), at_least_one, ..*self }
    }
}

/// One partition to read on its shard.
#[derive(Clone, Copy)]
struct Ask {
    place: usize,
    key: TopicPartition,
    from: Offset,
    bytes_max: usize,
    current_epoch: LeaderEpoch,
    last_fetched_epoch: LeaderEpoch,
}

/// What was read of one partition.
#[derive(Clone, Default)]
pub(super) struct Part {
    pub(super) code: i16,
    pub(super) high_watermark: Offset,
    pub(super) last_stable: Offset,
    pub(super) log_start: Offset,
    pub(super) diverging: Option<DivergingEpoch>,
    /// `Some` where the reader asked for committed records only.
    pub(super) aborted: Option<Vec<AbortedTransaction>>,
    pub(super) records: Vec<Slice>,
    pub(super) bytes: usize,
}

impl Part {
    fn refused(code: ErrorCode) -> Part {
        Part {
            code: code.code(),
            high_watermark: Offset::NONE,
            last_stable: Offset::NONE,
            log_start: Offset::NONE,
            ..Part::default()
        }
    }

    /// Whether the answer must not wait for more: an error of reading, or a log that went another way. An unknown
    /// partition does not count, as with Kafka.
    fn is_urgent(&self) -> bool {
        let unknown = [ErrorCode::UnknownTopicOrPartition.code(), ErrorCode::UnknownTopicId.code()];
        (self.code != 0 && !unknown.contains(&self.code)) || self.diverging.is_some()
    }
}

type Parts = Vec<(usize, Part)>;

/// What one shard is asked for.
type Asks = Arc<Vec<Ask>>;

/// Parts that are being read.
type Reading = Pin<Box<dyn Future<Output = Parts>>>;

/// Reads what is wanted, waiting until there is enough or it is time.
pub(super) async fn collect(shard: &Rc<Shard>, limits: &Limits, wanted: &[Wanted], version: i16) -> Vec<Part> {
    let mut parts = Vec::with_capacity(wanted.len());
    let mut owners: Vec<(ShardId, Vec<Ask>)> = Vec::new();
    for some in wanted.chunks(PARTITIONS_AT_ONCE) {
        ask(shard, some, wanted.len(), version, &mut parts, &mut owners);
        breathe(some.len()).await;
    }
    let asks: Vec<(ShardId, Asks)> = owners.into_iter().map(|(owner, asks)| (owner, Arc::new(asks))).collect();
    // What is read is counted before it is there, so that many fetches at once cannot go beyond memory.
    let mut share = shard.answer_memory.for_fetch(limits.bytes_max);
    let mut within = limits.within(&share);
    let mut found = read_all(shard, &asks, &within, &mut parts).await;
    if !share.at_least_one && found.bytes == 0 && lags(&asks, &parts).await {
        // What is next is too large for a time in which memory is short.
        drop(share);
        shard.answer_memory.room_for_many().await;
        share = shard.answer_memory.for_fetch(limits.bytes_max);
        within = limits.within(&share);
        found = read_all(shard, &asks, &within, &mut parts).await;
    }
    let (limits, mut counted) = (within, share.counted);
    while let Some(deadline) = limits.deadline
        && !found.is_enough(limits.bytes_min)
        && !shard.stopping.get()
    {
        counted.set(found.bytes as u64);
        let left = deadline.saturating_duration_since(monotonic());
        if left.is_zero() {
            break;
        }
        match wait_for_more(shard, &asks, &limits, &parts, left).await {
            Some(more) => put(&mut parts, more).await,
            None => break,
        }
        found = Found::of(&parts).await;
    }
    if found.bytes > limits.bytes_max {
        trim(&mut parts, limits.bytes_max).await;
    }
    parts
}

/// Reads once on every shard.
async fn read_all(shard: &Rc<Shard>, asks: &[(ShardId, Asks)], limits: &Limits, parts: &mut [Part]) -> Found {
    let limits = *limits;
    let mut reads: Vec<Reading> = Vec::with_capacity(asks.len());
    for (owner, asks) in asks {
        let asks = Arc::clone(asks);
        reads.push(Box::pin(shard.on(*owner, move |shard| async move { read(&shard, &asks, &limits).await })));
    }
    for read in reads {
        put(parts, read.await).await;
    }
    Found::of(parts).await
}

/// Whether a reader has not seen all that is there.
async fn lags(asks: &[(ShardId, Asks)], parts: &[Part]) -> bool {
    for some in asks.iter().flat_map(|(_, asks)| asks.chunks(PARTITIONS_AT_ONCE)) {
        if some.iter().any(|ask| parts[ask.place].high_watermark > ask.from) {
            return true;
        }
        breathe(some.len()).await;
    }
    false
}

async fn put(parts: &mut [Part], read: Parts) {
    let mut read = read.into_iter();
    while read.len() > 0 {
        let some = read.len().min(PARTITIONS_AT_ONCE);
        for (place, part) in read.by_ref().take(some) {
            parts[place] = part;
        }
        breathe(some).await;
    }
}

/// What all parts come to.
#[derive(Default)]
struct Found {
    bytes: usize,
    urgent: bool,
}

impl Found {
    async fn of(parts: &[Part]) -> Found {
        let mut found = Found::default();
        for some in parts.chunks(PARTITIONS_AT_ONCE) {
            found.bytes += some.iter().map(|part| part.bytes).sum::<usize>();
            found.urgent |= some.iter().any(Part::is_urgent);
            breathe(some.len()).await;
        }
        found
    }

    fn is_enough(&self, bytes_min: usize) -> bool {
        self.urgent || self.bytes >= bytes_min
    }
}

/// Waits on every shard; the first that has something reads it, the others stop waiting.
async fn wait_for_more(
    shard: &Rc<Shard>,
    asks: &[(ShardId, Asks)],
    limits: &Limits,
    parts: &[Part],
    left: Duration,
) -> Option<Parts> {
    let limits = *limits;
    let mut waits: Vec<Reading> = Vec::with_capacity(asks.len());
    for (owner, asks) in asks {
        let seen = seen_ends(asks, parts, limits.isolation).await;
        let asks = Arc::clone(asks);
        waits.push(Box::pin(shard.on(*owner, move |shard| async move {
            wait(&shard, &asks, &seen, limits.isolation).await;
            read(&shard, &asks, &limits).await
        })));
    }
    let mut timer = std::pin::pin!(sleep(left));
    std::future::poll_fn(|context| {
        for wait in &mut waits {
            if let Poll::Ready(parts) = wait.as_mut().poll(context) {
                return Poll::Ready(Some(parts));
            }
        }
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}

/// Up to where a reader has seen the partitions.
async fn seen_ends(asks: &[Ask], parts: &[Part], isolation: Isolation) -> Vec<Offset> {
    let mut seen = Vec::with_capacity(asks.len());
    for some in asks.chunks(PARTITIONS_AT_ONCE) {
        seen.extend(some.iter().map(|ask| seen_end(&parts[ask.place], isolation)));
        breathe(some.len()).await;
    }
    seen
}

/// Up to where a reader has seen a partition.
fn seen_end(part: &Part, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => part.high_watermark,
        Isolation::ReadCommitted => part.last_stable,
    }
}

/// Waits until there is something at one of the partitions that was not seen yet.
async fn wait(shard: &Rc<Shard>, asks: &[Ask], seen: &[Offset], isolation: Isolation) {
    let mut waiter = Watching(DataWaiter::new());
    for (asks, seen) in asks.chunks(PARTITIONS_AT_ONCE).zip(seen.chunks(PARTITIONS_AT_ONCE)) {
        for (ask, seen) in asks.iter().zip(seen) {
            if let Some(host) = shard.hosts.get(ask.key) {
                host.partition.wait_for_data(&mut waiter.0, (*seen).max(ask.from), isolation);
            }
        }
        if waiter.0.is_woken() {
            return;
        }
        breathe(asks.len()).await;
    }
    let _waiting = shard.metrics.queues.waiting_fetches.hold();
    waiter.0.woken().await;
}

/// A waiter that lets go of very many partitions in parts, also where the wait is given up.
struct Watching(DataWaiter);

impl Drop for Watching {
    fn drop(&mut self) {
        if self.0.release(PARTITIONS_AT_ONCE) || !ottla_reactor::is_running() {
            return;
        }
        let mut waiter = std::mem::take(&mut self.0);
        spawn(Class::Data, async move {
            while !waiter.release(PARTITIONS_AT_ONCE) {
                stand_back().await;
            }
        })
        .detach();
    }
}

/// Makes a part for each of some partitions, and finds their owners; what cannot be read at all is refused in its part. `all` is
/// how many are asked for together.
fn ask(
    shard: &Shard,
    wanted: &[Wanted],
    all: usize,
    version: i16,
    parts: &mut Vec<Part>,
    owners: &mut Vec<(ShardId, Vec<Ask>)>,
) {
    let image = shard.image.borrow();
    for wanted in wanted {
        let place = parts.len();
        let key = match resolve(&image, wanted, version) {
            Ok(key) => key,
            Err(code) => {
                // As with Kafka, an empty list where nothing was read at all, null where reading failed.
                parts.push(Part { aborted: Some(Vec::new()), ..Part::refused(code) });
                continue;
            }
        };
        parts.push(Part::default());
        let ask = Ask {
            place,
            key,
            from: wanted.asked.fetch_offset,
            bytes_max: usize::try_from(wanted.asked.max_bytes).unwrap_or(0),
            current_epoch: wanted.asked.current_leader_epoch,
            last_fetched_epoch: wanted.asked.last_fetched_epoch,
        };
        let owner = shard.owner(key);
        match owners.iter_mut().find(|(shard, _)| *shard == owner) {
            Some((_, asks)) => asks.push(ask),
            None => {
                let mut asks = Vec::with_capacity(all - place);
                asks.push(ask);
                owners.push((owner, asks));
            }
        }
    }
}

fn resolve(image: &Image, wanted: &Wanted, version: i16) -> Result<TopicPartition, ErrorCode> {
    let topic = if version >= BY_ID {
        image.topic(wanted.id).ok_or(ErrorCode::UnknownTopicId)?
    } else {
        image.topic_named(&wanted.name).ok_or(ErrorCode::UnknownTopicOrPartition)?
    };
    match topic.partition(wanted.asked.index) {
        Some(_) => Ok(TopicPartition::new(topic.id, wanted.asked.index)),
        None => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

/// Reads on the shard that owns the partitions, in order, until the bytes are used up.
async fn read(shard: &Rc<Shard>, asks: &[Ask], limits: &Limits) -> Parts {
    let mut left = limits.bytes_max;
    let mut any = false;
    let mut parts = Vec::with_capacity(asks.len());
    for some in asks.chunks(PARTITIONS_AT_ONCE) {
        for ask in some {
            let part = read_one(shard, ask, limits, left, limits.at_least_one && !any).await;
            any |= part.bytes > 0;
            left = left.saturating_sub(part.bytes);
            parts.push((ask.place, part));
        }
        breathe(some.len()).await;
    }
    parts
}

async fn read_one(shard: &Rc<Shard>, ask: &Ask, limits: &Limits, left: usize, at_least_one: bool) -> Part {
    let Some(host) = shard.hosts.get(ask.key) else {
        let code = shard.hosts.missing(ask.key);
        shard.metrics.failed(ApiKey::Fetch, code);
        return Part::refused(code);
    };
    host.traffic.fetches.increment();
    let fetch = ottla_partition::Fetch {
        offset: ask.from,
        current_epoch: ask.current_epoch,
        last_fetched_epoch: ask.last_fetched_epoch,
        isolation: limits.isolation,
        bytes_max: ask.bytes_max.min(left),
        at_least_one,
    };
    let read = async {
        let fetched = host.partition.fetch(&fetch)?;
        let records = match fetched.records {
            None => None,
            Some(Read::Ready(records)) => Some(records),
            Some(Read::Cold(records)) => Some(records.await?),
        };
        let mut part = Part {
            code: 0,
            high_watermark: fetched.high_watermark,
            last_stable: fetched.last_stable_offset,
            log_start: fetched.log_start,
            diverging: fetched.diverging.map(|(epoch, end_offset)| DivergingEpoch { epoch, end_offset }),
            aborted: (limits.isolation == Isolation::ReadCommitted).then(Vec::new),
            ..Part::default()
        };
        if let Some(records) = records {
            host.traffic.sent(records.next.since(ask.from).unsigned_abs(), records.bytes as u64);
            part.bytes = records.bytes;
            part.records = records.slices;
        }
        Ok::<Part, ReadError>(part)
    };
    read.await.unwrap_or_else(|error| {
        host.traffic.refused_read();
        shard.metrics.failed(ApiKey::Fetch, error.code());
        if let ReadError::Storage(storage) = &error
            && let Some(unsaid) = host.read_failures.turn(monotonic())
        {
            tracing::warn!(topic = %host.topic, partition = %ask.key.partition, error = %storage, unsaid, "a read failed");
        }
        Part::refused(error.code())
    })
}

/// Keeps to the limit over all shards: each has read for itself. At least the first records stay.
async fn trim(parts: &mut [Part], bytes_max: usize) {
    let mut left = bytes_max;
    let mut any = false;
    for some in parts.chunks_mut(PARTITIONS_AT_ONCE) {
        for part in some.iter_mut() {
            if part.bytes > left && any {
                part.records.clear();
                part.bytes = 0;
            }
            any |= part.bytes > 0;
            left = left.saturating_sub(part.bytes);
        }
        breathe(some.len()).await;
    }
}
