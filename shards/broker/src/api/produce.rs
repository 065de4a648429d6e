//! Produce, key 0: records in.
//!
//! [`begin`] decodes the request where it lies, finds the owner of each partition and appends, on this shard at once and on
//! others by one call a shard; the connection then reads on. The answer comes when all of it is as durable as `acks` asks.

use std::collections::HashSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_batch::{Batch, Checking, Codec};
use ottla_cluster::{Image, Topic};
use ottla_partition::{Acks, AppendError, Origin};
use ottla_reactor::{monotonic, prefetch, stand_back, wall_clock, yield_now};
use ottla_storage::{Prefetch, StorageError, Ticket};
use ottla_units::limits::UNPACKED_AT_ONCE_BYTES_MAX;
use ottla_units::{ErrorCode, Offset, ShardId, Timestamp, TopicPartition};
use ottla_wire::produce::{PartitionAnswer, Produce, RecordError, ResponseWriter};
use ottla_wire::{ApiKey, Span, TopicRef, frame};

use crate::connection::{Answer, Closed};
use crate::dispatch::Context;
use crate::hosted::Host;
use crate::shard::Shard;

/// How long a request's batches are unpacked before others get a turn.
const TURN_MAX: Duration = Duration::from_millis(5);
/// Decoded requests whose memory a shard keeps.
const SCRATCH_MAX: usize = 64;
/// The first version in which topics are named by id (KIP-516).
const BY_ID: i16 = 13;
/// The first version that may carry zstd (KIP-110).
const ZSTD: i16 = 7;
/// The client id under which Kafka's own tools may write to internal topics.
const ADMIN_CLIENT: &str = "__admin_client";

/// Records for one partition.
#[derive(Clone, Copy)]
struct Job {
    /// Its place in the request.
    place: u32,
    key: TopicPartition,
    records: Span,
}

/// What became of one partition of the request.
#[derive(Clone)]
struct Outcome {
    code: ErrorCode,
    base_offset: Offset,
    log_append_time: Timestamp,
    log_start: Offset,
    /// Errors of single records, and the message that goes with them.
    rejected: Option<Box<(Vec<RecordError>, Option<String>)>>,
}

impl Outcome {
    /// Of a job that is still to be done.
    fn pending(job: &Job) -> (u32, Outcome) {
        (job.place, Outcome::refused(ErrorCode::UnknownServerError))
    }

    fn refused(code: ErrorCode) -> Outcome {
        Outcome {
            code,
            base_offset: Offset::NONE,
            log_append_time: Timestamp::NONE,
            log_start: Offset::NONE,
            rejected: None,
        }
    }
}

/// Takes the records in. When this is done they have their places in the logs, unless another shard owns those: that one
/// appends them in the order in which requests reach it.
pub(crate) async fn begin(shard: &Rc<Shard>, context: &Context<'_>, body: Bytes) -> Result<Answer, Closed> {
    let mut request = shard.produce_scratch.borrow_mut().pop().unwrap_or_default();
    request.decode(&body, context.version).map_err(Closed::Invalid)?;
    let plan = Plan::new(shard, context, &request, &body);
    let spec = Spec {
        acks: plan.acks,
        zstd_allowed: context.version >= ZSTD,
        transactional: request.transactional_id.is_some(),
    };
    context.connection.lean(match &plan.jobs[..] {
        [(owner, _)] => Some(*owner),
        _ => None,
    });
    let mut elsewhere = Vec::new();
    let mut here = None;
    for (owner, jobs) in plan.jobs {
        if owner == shard.id {
            here = Some(jobs);
        } else {
            let body = body.clone();
            elsewhere.push(shard.on(owner, move |shard| async move {
                let appended = append(&shard, &body, jobs, spec).await;
                appended.settle(&shard, spec.acks).await
            }));
        }
    }
    let appended = match here {
        Some(jobs) => append(shard, &body, jobs, spec).await,
        None => Appended::default(),
    };
    let reply = Reply {
        version: context.version,
        correlation_id: context.correlation_id,
        received: context.received,
        silent: plan.acks == Acks::None,
    };
    let answer = finish(Rc::clone(shard), reply, request, body, plan.outcomes, appended, elsewhere, spec.acks);
    Ok(Answer::Coming(Box::pin(answer)))
}

/// What all partitions of a request have in common.
#[derive(Clone, Copy)]
struct Spec {
    acks: Acks,
    zstd_allowed: bool,
    transactional: bool,
}

/// Which partition goes to which shard, and what was refused at once.
struct Plan {
    acks: Acks,
    outcomes: Vec<Option<Outcome>>,
    jobs: Vec<(ShardId, Vec<Job>)>,
}

impl Plan {
    fn new(shard: &Shard, context: &Context<'_>, request: &Produce, body: &Bytes) -> Plan {
        let mut plan = Plan { acks: Acks::All, outcomes: vec![None; request.partitions.len()], jobs: Vec::new() };
        let acks = match request.acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        };
        plan.acks = acks.unwrap_or(Acks::All);
        let image = shard.image.borrow();
        let mut topics = Topics { image: &image, context, body, last: None };
        let repeated = repeated(request, body);
        for (place, partition) in request.partitions.iter().enumerate() {
            if repeated.contains(&place) {
                continue;
            }
            let refusal = match (acks, topics.find(request, partition.topic), partition.records) {
                (None, ..) => ErrorCode::InvalidRequiredAcks,
                _ if request.transactional_id.is_some() => ErrorCode::InvalidTxnState,
                (_, Err(code), _) => code,
                (_, Ok(topic), _) if topic.partition(partition.index).is_none() => ErrorCode::UnknownTopicOrPartition,
                (_, _, None) => ErrorCode::InvalidRecord,
                (_, Ok(topic), Some(records)) => {
                    let key = TopicPartition::new(topic.id, partition.index);
                    plan.add(shard.owner(key), Job { place: place as u32, key, records });
                    continue;
                }
            };
            plan.outcomes[place] = Some(Outcome::refused(refusal));
        }
        plan
    }

    fn add(&mut self, owner: ShardId, job: Job) {
        match self.jobs.iter_mut().find(|(shard, _)| *shard == owner) {
            Some((_, jobs)) => jobs.push(job),
            None => self.jobs.push((owner, vec![job])),
        }
    }
}

/// Finds topics; a request names the same one for many partitions.
struct Topics<'t> {
    image: &'t Arc<Image>,
    context: &'t Context<'t>,
    body: &'t Bytes,
    last: Option<(u32, Result<&'t Arc<Topic>, ErrorCode>)>,
}

impl<'t> Topics<'t> {
    fn find(&mut self, request: &Produce, place: u32) -> Result<&'t Arc<Topic>, ErrorCode> {
        if let Some((last, found)) = self.last
            && last == place
        {
            return found;
        }
        let found = self.look_up(request, place);
        self.last = Some((place, found));
        found
    }

    fn look_up(&self, request: &Produce, place: u32) -> Result<&'t Arc<Topic>, ErrorCode> {
        let asked = request.topics[place as usize];
        let topic = if self.context.version >= BY_ID {
            self.image.topic(asked.id).ok_or(ErrorCode::UnknownTopicId)?
        } else {
            self.image.topic_named(asked.name.text(self.body)).ok_or(ErrorCode::UnknownTopicOrPartition)?
        };
        if topic.is_internal() && self.context.client_id != ADMIN_CLIENT {
            return Err(ErrorCode::InvalidTopicException);
        }
        Ok(topic)
    }
}

/// The places whose partition comes again later: only the last one counts, as with Kafka.
fn repeated(request: &Produce, body: &Bytes) -> HashSet<usize> {
    let ascending =
        request.partitions.windows(2).all(|pair| (pair[0].topic, pair[0].index) < (pair[1].topic, pair[1].index));
    let mut repeated = HashSet::new();
    if ascending && request.topics.len() <= 1 {
        return repeated;
    }
    let mut seen = HashSet::new();
    for (place, partition) in request.partitions.iter().enumerate().rev() {
        let topic = request.topics[partition.topic as usize];
        if !seen.insert((topic.name.text(body), topic.id, partition.index)) {
            repeated.insert(place);
        }
    }
    repeated
}

/// What was appended on one shard.
#[derive(Default)]
struct Appended {
    outcomes: Vec<(u32, Outcome)>,
    /// The latest flush that any of it is part of.
    ticket: Option<Ticket>,
    /// Whether a topic of it wants its appends flushed, whatever `acks` asks.
    flushed: bool,
    /// What was asked, in the order of `outcomes`.
    jobs: Vec<Job>,
}

/// Appends in order. Where the journal is full it waits for room, and so do those who come after.
async fn append(shard: &Rc<Shard>, body: &Bytes, jobs: Vec<Job>, spec: Spec) -> Appended {
    let _turn = match shard.hosts.append_turn.try_acquire(1) {
        Some(turn) => turn,
        None => shard.hosts.append_turn.acquire(1).await,
    };
    let now = wall_clock();
    let produce = ottla_partition::Produce {
        origin: Origin::Client,
        acks: spec.acks,
        zstd_allowed: spec.zstd_allowed,
        transactional: spec.transactional,
    };
    let mut appended = Appended { outcomes: jobs.iter().map(Outcome::pending).collect(), ..Appended::default() };
    let mut turn_ends = monotonic() + TURN_MAX;
    let mut ahead = Ahead::default();
    for (at, job) in jobs.iter().enumerate() {
        let mut host = ahead.next(shard, &jobs[at..]);
        let refused = loop {
            let Some(there) = host.as_deref() else { break Some(shard.hosts.missing_append(job.key)) };
            match there.partition.append(job.records.of(body), &there.rules.get(), &produce, now) {
                Ok(done) => {
                    appended.take(at, there, &done);
                    break None;
                }
                Err(AppendError::Storage(StorageError::Busy)) => {
                    shard.store.room(job.records.len()).await;
                    // Topics may have gone meanwhile.
                    ahead = Ahead::default();
                    host = shard.hosts.get(job.key);
                }
                Err(AppendError::Long) => {
                    ahead = Ahead::default();
                    let done = append_long(shard, body, job, &produce, now).await;
                    break done.map(|(host, done)| appended.take(at, &host, &done)).err();
                }
                Err(error) => break Some(error),
            }
        };
        if let Some(error) = refused {
            appended.outcomes[at].1 = refusal(shard, job, &error);
        }
        // Unpacking is the one thing that can take long for few bytes.
        if is_compressed(job.records.of(body)) && monotonic() > turn_ends {
            yield_now().await;
            ahead = Ahead::default();
            turn_ends = monotonic() + TURN_MAX;
        }
    }
    appended.jobs = jobs;
    appended
}

/// The partitions of the jobs that come next. What an append looks at is brought from memory meanwhile: the state of a thousand
/// partitions is in no cache, and says only one part after the other where the next one lies.
#[derive(Default)]
struct Ahead {
    /// First that of the job whose turn it is.
    hosts: [Option<Rc<Host>>; Ahead::JOBS],
    known: usize,
}

impl Ahead {
    /// Partitions that are known before their turn: one for each step.
    const JOBS: usize = 6;

    /// The partition of the first of `jobs`; those of the others take their next steps.
    #[inline]
    fn next(&mut self, shard: &Shard, jobs: &[Job]) -> Option<Rc<Host>> {
        while self.known < Ahead::JOBS.min(jobs.len()) {
            self.hosts[self.known] = shard.hosts.get(jobs[self.known].key);
            self.known += 1;
        }
        for (turn, host) in self.hosts.iter().enumerate().take(self.known).skip(1) {
            let Some(host) = host else { continue };
            let log = host.partition.log();
            match turn {
                1 => log.prefetch(Prefetch::Room(jobs[turn].records.len())),
                2 => log.prefetch(Prefetch::Ends),
                3 => log.prefetch(Prefetch::Log),
                4 => prefetch(Some(&*host.partition)),
                _ => {}
            }
        }
        self.known -= 1;
        let host = self.hosts[0].take();
        self.hosts.rotate_left(1);
        host
    }
}

fn is_compressed(records: &[u8]) -> bool {
    Batch::parse(records).is_ok_and(|(batch, _)| batch.attributes().codec() != Ok(Codec::None))
}

/// Appends a batch that unpacks to much: others get turns while it is checked.
async fn append_long(
    shard: &Rc<Shard>,
    body: &Bytes,
    job: &Job,
    produce: &ottla_partition::Produce,
    now: Timestamp,
) -> Result<(Rc<Host>, ottla_partition::Appended), AppendError> {
    let host = shard.hosts.get(job.key).ok_or_else(|| shard.hosts.missing_append(job.key))?;
    let rules = host.rules.get();
    let mut checking = Checking::begin(job.records.of(body), &rules.checks(produce.zstd_allowed), now)?;
    while checking.advance(UNPACKED_AT_ONCE_BYTES_MAX)? {
        stand_back().await;
    }
    let checked = checking.finish()?;
    loop {
        match host.partition.append_checked(checked, &rules, produce, now) {
            Err(AppendError::Storage(StorageError::Busy)) => shard.store.room(job.records.len()).await,
            done => return done.map(|done| (host, done)),
        }
    }
}

impl Appended {
    /// Counts what was appended, and says how it is answered: field by field, in place. What was written a moment ago and is read
    /// back in larger pieces waits until all that was appended before has left the processor.
    fn take(&mut self, at: usize, host: &Host, done: &ottla_partition::Appended) {
        self.ticket = self.ticket.max(Some(done.ticket));
        self.flushed |= host.flush_each.get();
        host.traffic.produces.increment();
        host.traffic.records_in.add(u64::from(done.records));
        host.traffic.bytes_in.add(done.bytes as u64);
        let outcome = &mut self.outcomes[at].1;
        outcome.code = ErrorCode::None;
        outcome.base_offset = done.base_offset;
        outcome.log_append_time = done.log_append_time.unwrap_or(Timestamp::NONE);
        outcome.log_start = done.log_start;
    }
}

fn refusal(shard: &Shard, job: &Job, error: &AppendError) -> Outcome {
    let mut outcome = Outcome::refused(error.code());
    shard.metrics.failed(ApiKey::Produce, error.code());
    if let Some(host) = shard.hosts.get(job.key) {
        host.traffic.produces.increment();
        host.traffic.failed_produces.increment();
        if error.tells_log_start() {
            outcome.log_start = host.partition.log_start();
        }
        if let AppendError::Storage(storage) = error
            && let Some(unsaid) = host.append_failures.turn(monotonic())
        {
            tracing::warn!(topic = %host.topic, partition = %job.key.partition, error = %storage, unsaid, "an append failed");
        }
    }
    let records = error.record_errors();
    if !records.is_empty() {
        let errors = records
            .iter()
            .map(|record| RecordError { batch_index: record.index() as i32, message: Some(record.to_string()) });
        outcome.rejected = Some(Box::new((errors.collect(), error.message())));
    }
    outcome
}

impl Appended {
    /// Waits until it is as durable as was asked.
    async fn settle(mut self, shard: &Shard, acks: Acks) -> Vec<(u32, Outcome)> {
        let Some(ticket) = self.ticket else { return self.outcomes };
        let waiting = shard.metrics.queues.waiting_produces.hold();
        let settled = match acks {
            Acks::None => Ok(()),
            Acks::Leader if !self.flushed => shard.store.written(ticket).await,
            Acks::Leader | Acks::All => shard.store.durable(ticket).await,
        };
        drop(waiting);
        if settled.is_err() {
            for (_, outcome) in &mut self.outcomes {
                if outcome.code == ErrorCode::None {
                    *outcome = Outcome::refused(ErrorCode::KafkaStorageError);
                }
            }
        }
        if shard.store.has_lost() {
            self.refuse_lost(shard);
        }
        self.outcomes
    }
}

impl Appended {
    /// What went to a partition whose files were removed meanwhile is not durable, whatever the journal says.
    fn refuse_lost(&mut self, shard: &Shard) {
        for (job, (_, outcome)) in self.jobs.iter().zip(&mut self.outcomes) {
            if outcome.code == ErrorCode::None && shard.store.log(job.key).is_none_or(|log| log.is_lost()) {
                *outcome = Outcome::refused(ErrorCode::KafkaStorageError);
            }
        }
    }
}

/// What the answer needs of the request.
struct Reply {
    version: i16,
    correlation_id: i32,
    received: std::time::Instant,
    silent: bool,
}

/// Waits for all shards and writes the answer.
#[expect(clippy::too_many_arguments, reason = "the parts of one request, moved into its future once")]
async fn finish<F>(
    shard: Rc<Shard>,
    reply: Reply,
    request: Produce,
    body: Bytes,
    mut outcomes: Vec<Option<Outcome>>,
    appended: Appended,
    elsewhere: Vec<F>,
    acks: Acks,
) -> Result<Bytes, Closed>
where
    F: Future<Output = Vec<(u32, Outcome)>>,
{
    for (place, outcome) in appended.settle(&shard, acks).await {
        outcomes[place as usize] = Some(outcome);
    }
    for other in elsewhere {
        for (place, outcome) in other.await {
            outcomes[place as usize] = Some(outcome);
        }
    }
    shard.metrics.answered(ApiKey::Produce, reply.version, reply.received.elapsed());
    if reply.silent {
        // Nobody reads an error: closing the connection is how it is said.
        let failed = outcomes.iter().flatten().any(|outcome| outcome.code.is_error());
        return if failed { Err(Closed::Unanswerable) } else { Ok(Bytes::new()) };
    }
    let answer = encode(&reply, &request, &body, &outcomes);
    let mut scratch = shard.produce_scratch.borrow_mut();
    if scratch.len() < SCRATCH_MAX {
        scratch.push(request);
    }
    Ok(answer)
}

fn encode(reply: &Reply, request: &Produce, body: &Bytes, outcomes: &[Option<Outcome>]) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + outcomes.len() * 40);
    let open = frame::begin_response(&mut out, ApiKey::Produce, reply.version, reply.correlation_id);
    let mut writer = ResponseWriter::begin(&mut out, reply.version, request.topics.len());
    let mut next = 0;
    for (index, topic) in request.topics.iter().enumerate() {
        let first = next;
        while request.partitions.get(next).is_some_and(|partition| partition.topic as usize == index) {
            next += 1;
        }
        let answered = || (first..next).filter(|place| outcomes[*place].is_some());
        writer.topic(TopicRef { name: topic.name.text(body), id: topic.id }, answered().count());
        for place in answered() {
            let Some(outcome) = &outcomes[place] else { continue };
            let (record_errors, message) = match &outcome.rejected {
                Some(rejected) => (&rejected.0[..], rejected.1.as_deref()),
                None => (&[][..], None),
            };
            writer.partition(&PartitionAnswer {
                index: request.partitions[place].index,
                code: outcome.code.code(),
                base_offset: outcome.base_offset,
                log_append_time: outcome.log_append_time,
                log_start_offset: outcome.log_start,
                record_errors,
                error_message: message,
                current_leader: None,
            });
        }
    }
    writer.finish(0, &[]);
    open.close(&mut out, 0);
    out.freeze()
}
