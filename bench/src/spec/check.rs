use super::{From, Kind, Rate, Spec};
use crate::stamp::STAMP_BYTES;

/// A value that makes no sense.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Section and key.
    pub key: &'static str,
    /// Why, with what is allowed.
    pub why: String,
}

/// Partitions of all topics.
const PARTITIONS_MAX: u64 = 1_000_000;
/// Producers of all topics: each is a connection.
const PRODUCERS_MAX: u64 = 5_000_000;
/// Bytes of a batch.
const BATCH_BYTES_MAX: u64 = 64 << 20;
/// Bytes of one request.
const REQUEST_BYTES_MAX: u64 = 100 << 20;
/// Seconds of a run.
const SECONDS_MAX: f64 = 30.0 * 86_400.0;
/// Stages.
const STEPS_MAX: usize = 64;

/// Says what of a workload makes no sense, the first such thing.
///
/// # Errors
/// [`Fault`].
pub fn check(spec: &Spec) -> Result<(), Fault> {
    let topics = u64::from(spec.topics.count);
    counts(spec)?;
    within("topics.count", topics * u64::from(spec.topics.partitions), 1, PARTITIONS_MAX, "partitions in all")?;
    within("produce.producers", spec.producers(), 1, PRODUCERS_MAX, "producers in all")?;
    within("produce.batch_bytes", spec.produce.batch_bytes.0, 128, BATCH_BYTES_MAX, "bytes")?;
    let least = STAMP_BYTES as u64;
    let values = &spec.produce.record_bytes;
    let smallest = if spec.produce.compression.is_none() { least } else { 1 };
    within("produce.record_bytes", values.mean() as u64, smallest, BATCH_BYTES_MAX, "bytes on average")?;
    let request = spec.produce.batch_bytes.0 * u64::from(spec.produce.partitions_per_request);
    within("produce.partitions_per_request", request, 1, REQUEST_BYTES_MAX, "bytes in a request")?;
    sections(spec)
}

fn counts(spec: &Spec) -> Result<(), Fault> {
    for (key, value, most) in [
        ("topics.count", spec.topics.count, 1_000_000),
        ("topics.partitions", spec.topics.partitions, 100_000),
        ("produce.in_flight", spec.produce.in_flight, 10_000),
        ("produce.partitions_per_request", spec.produce.partitions_per_request, 10_000),
        ("produce.threads", spec.produce.threads, 64),
        ("produce.batches_per_transaction", spec.produce.batches_per_transaction, 100_000),
        ("consume.groups", spec.consume.groups, 1_000),
        ("consume.in_flight", spec.consume.in_flight, 100),
    ] {
        within(key, value.into(), 1, most, "")?;
    }
    let share = spec.produce.compressibility;
    if !(0.0..=1.0).contains(&share) {
        return Err(Fault { key: "produce.compressibility", why: format!("{share} is not from 0 to 1") });
    }
    for (key, value, most) in [
        ("seconds", spec.seconds, SECONDS_MAX),
        ("warm_seconds", spec.warm_seconds, SECONDS_MAX),
        ("produce.linger_ms", spec.produce.linger_ms.unwrap_or(0.0), 60_000.0),
        ("produce.churn", spec.produce.churn, 10_000.0),
    ] {
        if !(0.0..=most).contains(&value) {
            return Err(Fault { key, why: format!("{value} is not from 0 to {most}") });
        }
    }
    Ok(())
}

fn within(key: &'static str, value: u64, least: u64, most: u64, of: &str) -> Result<(), Fault> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let of = if of.is_empty() { String::new() } else { format!(" {of}") };
    Err(Fault { key, why: format!("{value}{of} is not in {least}..{most}") })
}

/// What of several keys does not go together.
fn sections(spec: &Spec) -> Result<(), Fault> {
    let fault = |key, why: &str| Err(Fault { key, why: why.to_owned() });
    if spec.steps.len() > STEPS_MAX || spec.steps.contains(&0) {
        return fault("steps", "at most 64 stages, each above 0");
    }
    let stepped = matches!(spec.kind, Kind::Connections | Kind::Groups | Kind::Partitions);
    if stepped && spec.steps.is_empty() {
        return fault("steps", "this kind runs in stages: say which, such as [10, 100, 1000]");
    }
    if !stepped && !spec.steps.is_empty() {
        return fault("steps", "only the kinds connections, groups and partitions run in stages");
    }
    if spec.kind == Kind::Groups && spec.steps.iter().any(|step| *step > 1_000) {
        return fault("steps", "at most 1000 members: each is a thread");
    }
    if spec.kind == Kind::Connections && spec.produce.rate == Rate::Max && spec.produce.rate_each.is_none() {
        return fault("produce.rate", "connections are mostly idle: say a rate, or rate_each");
    }
    if spec.produce.rate_each.is_some_and(|rate| !(rate > 0.0 && rate < 1e6))
        || (spec.produce.rate_each.is_some() && spec.kind != Kind::Connections)
    {
        return fault("produce.rate_each", "requests a second of each connection, above 0, for the kind connections");
    }
    let old = spec.kind == Kind::ColdRead || (spec.kind == Kind::Consume && spec.consume.from == From::Earliest);
    if old && spec.consume.backlog.0 == 0 {
        return fault("consume.backlog", "old records are read: say how many bytes of them to produce before");
    }
    if spec.kind == Kind::Consume && spec.consume.from == From::Tail {
        return fault(
            "consume.from",
            "nothing comes at the tail without producers: earliest, recent, or kind end-to-end",
        );
    }
    if matches!(spec.kind, Kind::EndToEnd) && spec.produce.acks.0 == 0 {
        return fault("produce.acks", "end to end needs answers to know what must arrive: all or 1");
    }
    Ok(())
}
