//! Fetch, key 1: records out.
//!
//! [`answer`] finds out what is wanted (the request's partitions, or those of its session), reads on each owning shard, and
//! where that is less than `min_bytes` waits on those shards for more. Records are never copied: the answer is written
//! around the places where they lie.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_cluster::Image;
use ottla_partition::{DataWaiter, Isolation, ReadError};
use ottla_reactor::socket::Piece;
use ottla_reactor::{Slice, monotonic, sleep, yield_now};
use ottla_storage::Read;
use ottla_units::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, ShardId, TopicId, TopicPartition};
use ottla_wire::fetch::{self as wire, AbortedTransaction, DivergingEpoch, Fetch, PartitionAnswer, ResponseWriter};
use ottla_wire::{ApiKey, Topic, TopicRef, frame};

use crate::connection::{Answer, Closed};
use crate::dispatch::Context;
use crate::sessions::{Session, Sessions, Told, Wanted};
use crate::shard::Shard;

/// The first version in which topics are named by id (KIP-516).
const BY_ID: i16 = 13;
/// The first version with sessions (KIP-227).
const SESSIONS: i16 = 7;
/// The epoch of a fetch without a session, and of the last fetch of one.
const FINAL_EPOCH: i32 = -1;
/// Partitions that a request is worked on at once: between so many others have a turn.
const PARTITIONS_AT_ONCE: usize = 2_000;

/// Answers a fetch.
pub(crate) async fn answer(shard: &Rc<Shard>, context: &Context<'_>, body: Bytes) -> Result<Answer, Closed> {
    let mut request = context.connection.fetch.take();
    request.decode(&body, context.version).map_err(Closed::Invalid)?;
    let home = Sessions::shard_of(request.session_id, shard.links.shards());
    if request.session_id > 0 && request.session_epoch > 0 && home != shard.id.index() {
        // The session was opened over another connection, which another shard served: it stays there.
        request.session_id = 0;
        let error = whole_error(shard, context, ErrorCode::FetchSessionIdNotFound).await;
        context.connection.fetch.replace(request);
        return error;
    }
    breathe(request.partitions.len()).await;
    let basis = match Basis::find(shard, context, &request, &body) {
        Ok(basis) => basis,
        Err(code) => {
            context.connection.fetch.replace(request);
            return whole_error(shard, context, code).await;
        }
    };
    let limits = Limits::of(shard, &request, basis.wanted());
    context.connection.fetch.replace(request);
    let parts = collect(shard, &limits, basis.wanted(), context.version).await;
    respond(shard, context, basis, parts).await
}

/// Gives others a turn after work on so many partitions, if those are many.
async fn breathe(partitions: usize) {
    if partitions >= PARTITIONS_AT_ONCE {
        yield_now().await;
    }
}

async fn whole_error(shard: &Rc<Shard>, context: &Context<'_>, code: ErrorCode) -> Result<Answer, Closed> {
    shard.metrics.failed(ApiKey::Fetch, code);
    Ok(encode(shard, context, code, 0, &[], Vec::new(), |_, _| false).await)
}

/// What is fetched, and what of it is told.
enum Basis {
    /// The request's own partitions, all told.
    Plain(Vec<Wanted>),
    /// As `Plain`, and a session is opened with them.
    Opening(Vec<Wanted>),
    /// An open session: only news are told.
    Session(i32, Session),
}

impl Basis {
    fn wanted(&self) -> &[Wanted] {
        match self {
            Basis::Plain(wanted) | Basis::Opening(wanted) => wanted,
            Basis::Session(_, session) => &session.wanted,
        }
    }

    fn find(shard: &Shard, context: &Context<'_>, request: &Fetch, body: &Bytes) -> Result<Basis, ErrorCode> {
        if context.version < SESSIONS || request.session_epoch == FINAL_EPOCH || request.session_epoch == 0 {
            if request.session_id != 0 {
                shard.sessions.close(request.session_id);
            }
            let wanted = listed(request, body);
            let opens = context.version >= SESSIONS && request.session_epoch == 0;
            return Ok(if opens { Basis::Opening(wanted) } else { Basis::Plain(wanted) });
        }
        let epoch = shard.sessions.epoch(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        let mut session = shard.sessions.take(request.session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != (context.version >= BY_ID) {
            shard.sessions.put(request.session_id, session, context.received);
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(request, body);
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(Basis::Session(request.session_id, session))
    }
}

/// The partitions of a request; of one that is there twice, the last counts.
fn listed(request: &Fetch, body: &Bytes) -> Vec<Wanted> {
    let names: Vec<Arc<str>> = request.topics.iter().map(|topic| topic.name.text(body).into()).collect();
    let mut wanted: Vec<Wanted> = Vec::with_capacity(request.partitions.len());
    let ascending =
        request.partitions.windows(2).all(|pair| (pair[0].topic, pair[0].index) < (pair[1].topic, pair[1].index));
    let suspicious = !ascending || request.topics.len() > 1;
    let mut seen = HashMap::new();
    for partition in &request.partitions {
        let topic = partition.topic as usize;
        let entry =
            Wanted { name: Arc::clone(&names[topic]), id: request.topics[topic].id, asked: *partition, told: None };
        if suspicious {
            let key = (Arc::clone(&entry.name), entry.id, partition.index);
            if let Some(place) = seen.get(&key) {
                wanted[*place] = entry;
                continue;
            }
            seen.insert(key, wanted.len());
        }
        wanted.push(entry);
    }
    wanted
}

impl Session {
    /// Takes in what the request changes.
    fn update(&mut self, request: &Fetch, body: &Bytes) {
        for forgotten in &request.forgotten {
            let topic: &Topic = &request.forgotten_topics[forgotten.topic as usize];
            self.wanted.retain(|wanted| !wanted.is(topic.name.text(body), topic.id, forgotten.index));
        }
        let mut places = Places::default();
        for partition in &request.partitions {
            let topic = request.topics[partition.topic as usize];
            let name = topic.name.text(body);
            match places.find(&self.wanted, name, topic.id, partition.index, request.partitions.len()) {
                Some(place) => self.wanted[place].asked = *partition,
                None => {
                    self.wanted.push(Wanted { name: name.into(), id: topic.id, asked: *partition, told: None });
                    places.forget();
                }
            }
        }
    }
}

/// How a request names a partition.
type Name = (Arc<str>, TopicId, PartitionIndex);

/// Finds partitions of a session: by looking along it for a few, by a map for many.
#[derive(Default)]
struct Places {
    map: Option<HashMap<Name, usize>>,
}

impl Places {
    /// Updates from which on a map is worth its making.
    const MAP_FROM: usize = 16;

    fn find(
        &mut self,
        wanted: &[Wanted],
        name: &str,
        id: TopicId,
        index: PartitionIndex,
        updates: usize,
    ) -> Option<usize> {
        if updates < Places::MAP_FROM {
            return wanted.iter().position(|wanted| wanted.is(name, id, index));
        }
        let map = self.map.get_or_insert_with(|| {
            let entries = wanted.iter().enumerate();
            entries.map(|(place, entry)| ((Arc::clone(&entry.name), entry.id, entry.asked.index), place)).collect()
        });
        map.get(&(Arc::from(name), id, index)).copied()
    }

    fn forget(&mut self) {
        self.map = None;
    }
}

/// How much, and for how long.
#[derive(Clone, Copy)]
struct Limits {
    bytes_max: usize,
    bytes_min: usize,
    deadline: Option<Instant>,
    isolation: Isolation,
}

impl Limits {
    fn of(shard: &Shard, request: &Fetch, wanted: &[Wanted]) -> Limits {
        let bytes_max = usize::try_from(request.max_bytes)
            .unwrap_or(0)
            .min(shard.settings.borrow().network.fetch_bytes_max as usize);
        let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
        let waits = wait > 0 && request.min_bytes > 0 && !wanted.is_empty();
        Limits {
            bytes_max,
            bytes_min: usize::try_from(request.min_bytes).unwrap_or(0).min(bytes_max),
            deadline: waits.then(|| monotonic() + Duration::from_millis(wait)),
            isolation: if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
        }
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
struct Part {
    code: i16,
    high_watermark: Offset,
    last_stable: Offset,
    log_start: Offset,
    diverging: Option<DivergingEpoch>,
    /// `Some` where the reader asked for committed records only.
    aborted: Option<Vec<AbortedTransaction>>,
    records: Vec<Slice>,
    bytes: usize,
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

/// Parts that are being read.
type Reading = Pin<Box<dyn Future<Output = Parts>>>;

/// Reads what is wanted, waiting until there is enough or it is time.
async fn collect(shard: &Rc<Shard>, limits: &Limits, wanted: &[Wanted], version: i16) -> Vec<Part> {
    breathe(wanted.len()).await;
    let mut parts: Vec<Part> = vec![Part::default(); wanted.len()];
    breathe(wanted.len()).await;
    let mut owners: Vec<(ShardId, Vec<Ask>)> = Vec::new();
    for (turn, some) in wanted.chunks(PARTITIONS_AT_ONCE).enumerate() {
        ask(shard, some, turn * PARTITIONS_AT_ONCE, version, &mut parts, &mut owners);
        breathe(some.len()).await;
    }
    let asks: Vec<(ShardId, Arc<[Ask]>)> = owners.into_iter().map(|(owner, asks)| (owner, asks.into())).collect();
    // What is read is counted before it is there, so that many fetches at once cannot go beyond memory.
    let (bytes_max, mut counted) = shard.answer_memory.for_fetch(limits.bytes_max);
    let limits = Limits { bytes_max, bytes_min: limits.bytes_min.min(bytes_max), ..*limits };
    let mut reads: Vec<(ShardId, Reading)> = Vec::with_capacity(asks.len());
    for (owner, asks) in &asks {
        let asks = Arc::clone(asks);
        reads
            .push((*owner, Box::pin(shard.on(*owner, move |shard| async move { read(&shard, &asks, &limits).await }))));
    }
    for (_, read) in reads {
        put(&mut parts, read.await);
    }
    let Some(deadline) = limits.deadline else {
        trim(&mut parts, limits.bytes_max);
        return parts;
    };
    while !enough(&parts, limits.bytes_min) && !shard.stopping.get() {
        counted.set(parts.iter().map(|part| part.bytes as u64).sum());
        let left = deadline.saturating_duration_since(monotonic());
        if left.is_zero() {
            break;
        }
        match wait_for_more(shard, &asks, &limits, &parts, left).await {
            Some(more) => put(&mut parts, more),
            None => break,
        }
    }
    trim(&mut parts, limits.bytes_max);
    parts
}

fn put(parts: &mut [Part], read: Parts) {
    for (place, part) in read {
        parts[place] = part;
    }
}

fn enough(parts: &[Part], bytes_min: usize) -> bool {
    parts.iter().any(Part::is_urgent) || parts.iter().map(|part| part.bytes).sum::<usize>() >= bytes_min
}

/// Waits on every shard; the first that has something reads it, the others stop waiting.
async fn wait_for_more(
    shard: &Rc<Shard>,
    asks: &[(ShardId, Arc<[Ask]>)],
    limits: &Limits,
    parts: &[Part],
    left: Duration,
) -> Option<Parts> {
    let limits = *limits;
    let mut waits: Vec<Reading> = Vec::with_capacity(asks.len());
    for (owner, asks) in asks {
        let seen: Vec<Offset> = asks.iter().map(|ask| seen_end(&parts[ask.place], limits.isolation)).collect();
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

/// Up to where a reader has seen a partition.
fn seen_end(part: &Part, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted => part.high_watermark,
        Isolation::ReadCommitted => part.last_stable,
    }
}

async fn wait(shard: &Rc<Shard>, asks: &[Ask], seen: &[Offset], isolation: Isolation) {
    let mut waiter = DataWaiter::new();
    for (ask, seen) in asks.iter().zip(seen) {
        if let Some(host) = shard.hosts.get(ask.key) {
            host.partition.wait_for_data(&mut waiter, (*seen).max(ask.from), isolation);
        }
    }
    let _waiting = shard.metrics.queues.waiting_fetches.hold();
    waiter.woken().await;
}

/// Finds the owners of some partitions, the first of them at place `first`; what cannot be read at all is put into `parts`.
fn ask(
    shard: &Shard,
    wanted: &[Wanted],
    first: usize,
    version: i16,
    parts: &mut [Part],
    owners: &mut Vec<(ShardId, Vec<Ask>)>,
) {
    let image = shard.image.borrow();
    for (place, wanted) in (first..).zip(wanted) {
        let key = match resolve(&image, wanted, version) {
            Ok(key) => key,
            Err(code) => {
                // As with Kafka, an empty list where nothing was read at all, null where reading failed.
                parts[place] = Part { aborted: Some(Vec::new()), ..Part::refused(code) };
                continue;
            }
        };
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
            None => owners.push((owner, vec![ask])),
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
            let part = read_one(shard, ask, limits, left, !any).await;
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
        if let ReadError::Storage(storage) = &error {
            tracing::warn!(topic = %host.topic, partition = %ask.key.partition, error = %storage, "a read failed");
        }
        Part::refused(error.code())
    })
}

/// Keeps to the limit over all shards: each has read for itself. At least the first records stay.
fn trim(parts: &mut [Part], bytes_max: usize) {
    let mut left = bytes_max;
    let mut any = false;
    for part in parts {
        if part.bytes > left && any {
            part.records.clear();
            part.bytes = 0;
        }
        any |= part.bytes > 0;
        left = left.saturating_sub(part.bytes);
    }
}

/// Writes the answer and puts the session back.
async fn respond(shard: &Rc<Shard>, context: &Context<'_>, basis: Basis, parts: Vec<Part>) -> Result<Answer, Closed> {
    let told = |part: &Part| Told {
        high_watermark: part.high_watermark,
        last_stable: part.last_stable,
        log_start: part.log_start,
    };
    match basis {
        Basis::Plain(wanted) => Ok(encode(shard, context, ErrorCode::None, 0, &wanted, parts, |_, _| true).await),
        Basis::Opening(mut wanted) => {
            for (wanted, part) in wanted.iter_mut().zip(&parts) {
                wanted.told = (part.code == 0).then(|| told(part));
            }
            let max = shard.settings().network.fetch_sessions_max as usize;
            let shards = shard.links.shards();
            let each = max.div_ceil(shards);
            let by_id = context.version >= BY_ID;
            let id = if wanted.is_empty() {
                0
            } else {
                shard.sessions.open(wanted.clone(), by_id, context.received, each, shards)
            };
            breathe(wanted.len()).await;
            Ok(encode(shard, context, ErrorCode::None, id, &wanted, parts, |_, _| true).await)
        }
        Basis::Session(id, mut session) => {
            let news: Vec<bool> = session
                .wanted
                .iter()
                .zip(&parts)
                .map(|(wanted, part)| {
                    part.bytes > 0 || part.code != 0 || part.diverging.is_some() || wanted.told != Some(told(part))
                })
                .collect();
            let served: Vec<bool> = parts.iter().map(|part| part.bytes > 0).collect();
            for (wanted, part) in session.wanted.iter_mut().zip(&parts) {
                wanted.told = (part.code == 0).then(|| told(part));
            }
            let told = |place: usize, _: &Part| news[place];
            let answer = encode(shard, context, ErrorCode::None, id, &session.wanted, parts, told).await;
            session.rotate(&served);
            shard.sessions.put(id, session, monotonic());
            Ok(answer)
        }
    }
}

impl Session {
    /// Partitions that got something go to the end, so that all get their turn.
    fn rotate(&mut self, served: &[bool]) {
        if served.iter().all(|served| *served) || !served.iter().any(|served| *served) {
            return;
        }
        let (mut first, mut last) = (Vec::with_capacity(self.wanted.len()), Vec::new());
        for (place, wanted) in self.wanted.drain(..).enumerate() {
            if served.get(place).copied().unwrap_or(false) { last.push(wanted) } else { first.push(wanted) }
        }
        first.append(&mut last);
        self.wanted = first;
    }
}

/// Writes a frame around the records of the partitions that `told` picks.
async fn encode(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    code: ErrorCode,
    session: i32,
    wanted: &[Wanted],
    mut parts: Vec<Part>,
    told: impl Fn(usize, &Part) -> bool,
) -> Answer {
    let places: Vec<usize> = (0..wanted.len()).filter(|place| told(*place, &parts[*place])).collect();
    let same = |a: usize, b: usize| wanted[a].id == wanted[b].id && wanted[a].name == wanted[b].name;
    let groups: Vec<&[usize]> = places.chunk_by(|a, b| same(*a, *b)).collect();
    let mut out = BytesMut::with_capacity(64 + places.len() * 64);
    let mut gaps = Vec::with_capacity(places.len());
    let open = frame::begin_response(&mut out, ApiKey::Fetch, context.version, context.correlation_id);
    let mut writer = ResponseWriter::begin(&mut out, context.version, &mut gaps, 0, code.code(), session, groups.len());
    for group in groups {
        let topic = &wanted[group[0]];
        writer.topic(TopicRef { name: &topic.name, id: topic.id }, group.len());
        for some in group.chunks(PARTITIONS_AT_ONCE) {
            for place in some {
                write_part(&mut writer, wanted[*place].asked.index, &parts[*place]);
            }
            breathe(some.len()).await;
        }
    }
    let records = writer.finish(&[]);
    open.close(&mut out, records);
    let head = out.freeze();
    let mut pieces = Vec::with_capacity(gaps.len() * 2 + 1);
    for piece in wire::pieces(0..head.len(), &gaps) {
        match piece {
            wire::Piece::Head(range) if range.is_empty() => {}
            wire::Piece::Head(range) => pieces.push(Piece::Bytes(head.slice(range))),
            wire::Piece::Records(gap) => {
                let part = &mut parts[places[gap.partition]];
                pieces.extend(part.records.drain(..).map(Piece::Slice));
            }
        }
    }
    shard.metrics.answered(ApiKey::Fetch, context.version, context.received.elapsed());
    Answer::Ready(pieces)
}

fn write_part(writer: &mut ResponseWriter<'_>, index: PartitionIndex, part: &Part) {
    writer.partition(&PartitionAnswer {
        index,
        code: part.code,
        high_watermark: part.high_watermark,
        last_stable_offset: part.last_stable,
        log_start_offset: part.log_start,
        diverging_epoch: part.diverging,
        current_leader: None,
        aborted_transactions: part.aborted.as_deref(),
        preferred_read_replica: -1,
        records_bytes: part.bytes,
    });
}
