//! The same workloads by librdkafka: what an application's client reaches, and costs.
//!
//! Producers and tail consumers only. Batching is librdkafka's own (`linger.ms`, `batch.size`); a record carries its number and when it was
//! due, so loss, doubling and order are seen as with our own client. Latency is that of records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::connection::Connection;
use crate::error::{BenchError, Result};
use crate::host::Host;
use crate::limits::Limits;
use crate::measure::{Latency, Phase, Role, Sample, Sampler, Tally};
use crate::random::Random;
use crate::result::{FORMAT, Flow, RunResult, Stage};
use crate::schedule::Schedule;
use crate::spec::{Kind, Rate, Spec};
use crate::stage::{Control, Target};
use crate::topics;
use crate::usage::Look;
use crate::verifier::{Ledger, Sightings, judge};

/// Bytes of a record's stamp: number, due.
const STAMP_BYTES: usize = 16;
/// Records that a producer's queue holds at least.
const QUEUE_MIN: u64 = 1_000;
/// How long records may take to arrive once the last has left.
const DRAIN: Duration = Duration::from_secs(15);

fn failed(what: &str, why: &KafkaError) -> BenchError {
    BenchError::Codec { why: format!("librdkafka, {what}: {why}") }
}

/// Counts acknowledgements. *Lives on: librdkafka's thread of one producer.*
struct Acks {
    phase: Arc<Phase>,
    sampler: std::sync::Mutex<Sampler>,
    bytes: u64,
    doubts: AtomicU64,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, due_ns: Box<u64>) {
        let Ok(mut sampler) = self.sampler.lock() else { return };
        // The stage listens as long as producers live.
        let _ = sampler.turn(&self.phase);
        let tally = sampler.tally();
        match delivered {
            Ok(_) => {
                if self.phase.counts() {
                    tally.records += 1;
                    tally.bytes += self.bytes;
                }
                if self.phase.covers(*due_ns) {
                    tally.took(self.phase.now_ns(), *due_ns, *due_ns);
                }
            }
            Err((KafkaError::MessageProduction(code), _)) => {
                self.doubts.fetch_add(1, Ordering::Relaxed);
                tally.error(*code as i16);
            }
            Err(_) => {
                self.doubts.fetch_add(1, Ordering::Relaxed);
                tally.error(-1);
            }
        }
    }
}

/// Runs a workload's producers and tail consumers.
///
/// # Errors
/// [`BenchError::BadArgument`] for other kinds; what librdkafka says.
pub fn run(spec: &Spec, target: &Target, control: &Control<'_>, limits: Option<Limits>) -> Result<RunResult> {
    if !matches!(spec.kind, Kind::Produce | Kind::EndToEnd) {
        let why = "--client librdkafka runs workloads of the kinds produce and end-to-end".to_owned();
        return Err(BenchError::BadArgument { why });
    }
    let unique = Random::new(control.seed ^ crate::batches::wall_clock().get() as u64).bits() >> 32;
    let topic = format!("bench-librdkafka-{unique:08x}");
    let partitions = spec.topics.partitions as usize;
    let mut connection = Connection::open(target.addr)?;
    topics::create_replicated(&mut connection, &topic, partitions, spec.topics.replication, &[])?;
    let outcome = load(spec, target, control, &topic);
    // The load may have outlasted the connection's idle limit.
    Connection::open(target.addr).and_then(|mut connection| topics::delete(&mut connection, &[&topic]))?;
    let (mut stage, ledgers, seen) = outcome?;
    if let Some(limits) = &limits {
        stage.hold_against(limits);
    }
    let how = if seen.is_empty() { "librdkafka, nobody read" } else { "every record that tail readers got" };
    Ok(RunResult {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: crate::result::BrokerFacts {
            label: target.label.clone(),
            bootstrap: target.bootstrap.clone(),
            pid: target.pid,
            ..Default::default()
        },
        host: Host::look("/"),
        limits,
        workload: spec.clone(),
        seed: control.seed,
        stages: vec![stage],
        verification: judge(&ledgers, &seen, how),
        interrupted: control.stopped(),
        notes: vec![format!("client: librdkafka {}", rdkafka::util::get_rdkafka_version().1)],
        ..RunResult::default()
    })
}

type Outcome = Result<(Stage, Vec<Ledger>, Vec<Sightings>)>;

fn load(spec: &Spec, target: &Target, control: &Control<'_>, topic: &str) -> Outcome {
    let (phase, done) = (Arc::new(Phase::default()), AtomicBool::new(false));
    let (out, samples) = channel();
    let consumers = if spec.kind == Kind::EndToEnd { spec.consume.consumers } else { 0 };
    let mut looks = Vec::new();
    let (ledgers, seen) = std::thread::scope(|scope| {
        let mut readers = Vec::new();
        for at in 0..consumers {
            let sampler = Sampler::new(Role::Tail, out.clone())?;
            let own: Vec<i32> =
                (0..spec.topics.partitions as i32).filter(|partition| *partition as u32 % consumers == at).collect();
            let (phase, done) = (&phase, &done);
            readers.push(scope.spawn(move || consume(spec, target, topic, &own, phase, done, sampler)));
        }
        let mut writers = Vec::new();
        for at in 0..spec.produce.producers {
            let sampler = Sampler::new(Role::Produce, out.clone())?;
            let phase = &phase;
            writers.push(scope.spawn(move || produce(spec, target, control, topic, at, phase, sampler)));
        }
        drop(out);
        let look = || (Instant::now(), target.pid.map(Look::at), Look::at(std::process::id()));
        wait(control, spec.warm_seconds);
        phase.begin();
        looks.push(look());
        wait(control, spec.seconds);
        phase.stop();
        looks.push(look());
        let ledgers = writers.into_iter().map(joined).collect::<Result<Vec<_>>>();
        done.store(true, Ordering::Release);
        let seen = readers.into_iter().map(joined).collect::<Result<Vec<_>>>();
        Ok::<_, BenchError>((ledgers?, seen?))
    })?;
    Ok((stage_of(spec, &looks, samples.try_iter())?, ledgers, seen))
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(BenchError::Missing { what: "a load thread, which panicked".to_owned() }))
}

fn wait(control: &Control<'_>, seconds: f64) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end && !control.stopped() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn stage_of(
    spec: &Spec,
    looks: &[(Instant, Option<Look>, Look)],
    samples: impl Iterator<Item = Sample>,
) -> Result<Stage> {
    let (mut produced, mut read) = (Tally::new()?, Tally::new()?);
    for sample in samples {
        if sample.role == Role::Tail { read.add(&sample.tally)? } else { produced.add(&sample.tally)? }
    }
    let [before, after] = looks else { return Ok(Stage::default()) };
    let seconds = (after.0 - before.0).as_secs_f64();
    let mut latency = Vec::new();
    if !read.corrected.is_empty() {
        latency.push(Latency::scheduled("end to end, from due to consumed", &read));
    }
    latency.push(match spec.produce.rate {
        Rate::Max => Latency::closed("produce, from send to the acknowledgement", &produced.raw, 0),
        _ => Latency::scheduled("produce, to the acknowledgement", &produced),
    });
    let mut errors = produced.errors.clone();
    errors.extend(read.errors.clone());
    let mut stage = Stage {
        seconds,
        produced: Flow::of(&produced, seconds),
        read: Flow::of(&read, seconds),
        latency,
        broker: after.1.zip(before.1).map(|(after, before)| after.since(&before)),
        client: after.2.since(&before.2),
        errors,
        shed: produced.shed,
        ..Stage::default()
    };
    stage.price();
    Ok(stage)
}

fn config(target: &Target) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &target.bootstrap).set("broker.address.family", "v4");
    config
}

/// One producer: records when they are due, or as fast as the queue takes them.
fn produce(
    spec: &Spec,
    target: &Target,
    control: &Control<'_>,
    topic: &str,
    at: u32,
    phase: &Arc<Phase>,
    sampler: Sampler,
) -> Result<Ledger> {
    let bytes = (spec.produce.record_bytes.mean() as usize).max(STAMP_BYTES);
    let acks = Acks { phase: phase.clone(), sampler: sampler.into(), bytes: bytes as u64, doubts: AtomicU64::new(0) };
    let shape = spec.shape();
    // As many as can be under way, and as many again that wait: what its usual queue of 100,000 holds would be latency, and take long to
    // leave in the end.
    let waiting = (2 * shape.records * u64::from(spec.produce.in_flight)).max(QUEUE_MIN);
    let producer: ThreadedProducer<Acks> = config(target)
        .set("acks", spec.produce.acks.to_string())
        .set("linger.ms", spec.produce.linger_ms.unwrap_or(5.0).to_string())
        .set("batch.size", spec.produce.batch_bytes.0.to_string())
        .set("max.in.flight.requests.per.connection", spec.produce.in_flight.to_string())
        .set("queue.buffering.max.messages", waiting.to_string())
        .set("enable.idempotence", "false")
        .create_with_context(acks)
        .map_err(|why| failed("producer", &why))?;
    let rate = shape.batches_per_second.map(|rate| rate * shape.records as f64);
    let mut schedule = rate.map(|rate| Schedule::new(phase.now_ns(), rate, at.into(), spec.produce.producers.into()));
    let mut value = vec![0; bytes];
    Random::new(control.seed + u64::from(at)).fill(&mut value);
    // One partition for each producer keeps numbers in order; more producers than partitions share them.
    let partition = (at % spec.topics.partitions) as i32;
    let mut sent = 0u64;
    while !phase.stopped() && !control.stopped() {
        let now = phase.now_ns();
        let due = schedule.as_ref().map_or(now, Schedule::due_ns);
        if due > now {
            std::thread::sleep(Duration::from_nanos((due - now).min(1_000_000)));
            continue;
        }
        value[..8].copy_from_slice(&sent.to_be_bytes());
        value[8..16].copy_from_slice(&due.to_be_bytes());
        let key = at.to_be_bytes();
        let record = BaseRecord::with_opaque_to(topic, Box::new(due)).partition(partition).key(&key).payload(&value);
        match producer.send(record) {
            Ok(()) => {
                sent += 1;
                if let Some(schedule) = &mut schedule {
                    schedule.advance();
                }
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_micros(200));
            }
            Err((why, _)) => return Err(failed("send", &why)),
        }
    }
    let flushed = producer.flush(DRAIN).is_ok();
    let acks = producer.context();
    if let Ok(mut sampler) = acks.sampler.lock() {
        if !flushed {
            sampler.tally().shed += producer.in_flight_count().max(0) as u64;
        }
        sampler.hand_over()?;
    }
    // Which records failed is not kept: with any, nothing can be said of losses.
    let doubts_overflow = !flushed || acks.doubts.load(Ordering::Relaxed) > 0 || spec.produce.acks.0 == 0;
    Ok(Ledger { producer: at, partitions: vec![partition], sent, doubts_overflow, ..Ledger::default() })
}

/// One consumer, from the first record on, until nothing comes any more after the last producer is done.
fn consume(
    spec: &Spec,
    target: &Target,
    topic: &str,
    partitions: &[i32],
    phase: &Phase,
    done: &AtomicBool,
    mut sampler: Sampler,
) -> Result<Sightings> {
    let consumer: BaseConsumer = config(target)
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", spec.consume.max_wait_ms.to_string())
        .create()
        .map_err(|why| failed("consumer", &why))?;
    let mut assigned = TopicPartitionList::new();
    for partition in partitions {
        assigned.add_partition_offset(topic, *partition, Offset::Beginning).map_err(|why| failed("assign", &why))?;
    }
    consumer.assign(&assigned).map_err(|why| failed("assign", &why))?;
    let mut sightings = Sightings { to_the_end: true, ..Sightings::default() };
    let mut quiet_since = Instant::now();
    while !done.load(Ordering::Acquire) || quiet_since.elapsed() < Duration::from_secs(2) {
        sampler.turn(phase)?;
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.map_err(|why| failed("poll", &why))?;
        quiet_since = Instant::now();
        let value = message.payload().and_then(|value| value.split_first_chunk::<8>());
        let stamp = value.and_then(|(number, rest)| Some((number, rest.first_chunk::<8>()?)));
        let Some(((number, due), key)) = stamp.zip(message.key().and_then(|key| key.first_chunk::<4>())) else {
            sightings.damaged += 1;
            continue;
        };
        let track = sightings.tracks.entry((0, message.partition(), u32::from_be_bytes(*key))).or_default();
        track.see(u64::from_be_bytes(*number));
        let due = u64::from_be_bytes(*due);
        let tally = sampler.tally();
        if phase.counts() {
            tally.records += 1;
            tally.bytes += message.payload().map_or(0, <[u8]>::len) as u64;
        }
        if phase.covers(due) {
            tally.took(phase.now_ns(), due, due);
        }
    }
    sampler.hand_over()?;
    Ok(sightings)
}
