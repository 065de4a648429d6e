//! Rules that tie several keys together, in Kafka's words.

use super::alter::invalid;
use super::key::Key;
use super::keys::{broker_key, client_metrics_key, client_metrics_keys, group_key, group_keys, topic_key, topic_keys};
use super::layers::Layers;
use super::value::Value;
use crate::command::Refusal;
use crate::image::{Overrides, Resource};
use ottla_units::ErrorCode;

/// A group's key and the broker's keys that it must not go below or above.
struct Bounds {
    key: &'static str,
    low: Option<&'static str>,
    high: Option<&'static str>,
}

const fn between(key: &'static str, low: &'static str, high: &'static str) -> Bounds {
    Bounds { key, low: Some(low), high: Some(high) }
}

/// What a group may set (`GroupConfig.validateValues`).
static GROUP_BOUNDS: [Bounds; 13] = [
    between(
        "consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    between(
        "consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    between(
        "consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    between("share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms"),
    between(
        "share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    between(
        "share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    between(
        "share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    between(
        "share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    between(
        "share.assignment.interval.ms",
        "group.share.min.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    between(
        "streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    between(
        "streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    Bounds { key: "streams.num.standby.replicas", low: None, high: Some("group.streams.max.standby.replicas") },
    between(
        "streams.assignment.interval.ms",
        "group.streams.min.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
];

/// Reads every value that is set; the keys in the table's order, so that the first wrong one is always the same.
fn parse_all(keys: &'static [Key], overrides: &Overrides) -> Result<(), Refusal> {
    for key in keys {
        if let Some(text) = overrides.get(key.name) {
            Value::parse(key, text).map_err(|error| invalid(error.to_string()))?;
        }
    }
    Ok(())
}

fn number(key: Option<&Key>, overrides: &Overrides) -> Option<i64> {
    let key = key?;
    match Value::parse(key, overrides.get(key.name)?) {
        Ok(Value::Number(number)) => Some(number),
        _ => None,
    }
}

/// A topic's own settings (`LogConfig.validate`).
pub(super) fn check_topic(overrides: &Overrides) -> Result<(), Refusal> {
    if let Some(unknown) = overrides.keys().find(|name| topic_key(name).is_none()) {
        return Err(invalid(format!("Unknown topic config name: {unknown}")));
    }
    parse_all(topic_keys(), overrides)?;
    let low = number(topic_key("min.compaction.lag.ms"), overrides).unwrap_or(0);
    let high = number(topic_key("max.compaction.lag.ms"), overrides).unwrap_or(i64::MAX);
    if low > high {
        return Err(invalid(format!(
            "conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})"
        )));
    }
    let remote = overrides.get("remote.storage.enable").is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    if remote {
        return Err(invalid(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
        ));
    }
    Ok(())
}

/// A group's own settings (`GroupConfig.validate`).
pub(super) fn check_group(layers: &Layers<'_>, overrides: &Overrides) -> Result<(), Refusal> {
    if let Some(unknown) = overrides.keys().find(|name| group_key(name).is_none()) {
        return Err(invalid(format!("Unknown group config name: {unknown}")));
    }
    parse_all(group_keys(), overrides)?;
    for bounds in &GROUP_BOUNDS {
        if let Some(value) = number(group_key(bounds.key), overrides) {
            check_bounds(layers, bounds, value).map_err(invalid)?;
        }
    }
    for kind in ["consumer", "share", "streams"] {
        let value = |name: &str| {
            let key = group_key(name)?;
            number(Some(key), overrides).or_else(|| match layers.inherited(key) {
                Some(Value::Number(number)) => Some(number),
                _ => None,
            })
        };
        let (session, heartbeat) = (format!("{kind}.session.timeout.ms"), format!("{kind}.heartbeat.interval.ms"));
        if (overrides.contains_key(&session) || overrides.contains_key(&heartbeat))
            && value(&session) <= value(&heartbeat)
        {
            return Err(invalid(format!("{session} must be greater than {heartbeat}")));
        }
    }
    Ok(())
}

fn check_bounds(layers: &Layers<'_>, bounds: &Bounds, value: i64) -> Result<(), String> {
    if let Some(low) = bounds.low
        && value < layers.number(low)
    {
        return Err(format!("{} must be greater than or equal to {low}", bounds.key));
    }
    match bounds.high {
        Some(high) if value > layers.number(high) => {
            Err(format!("{} must be less than or equal to {high}", bounds.key))
        }
        _ => Ok(()),
    }
}

/// A metrics subscription's settings (`ClientMetricsConfigs.validate`).
pub(super) fn check_client_metrics(overrides: &Overrides) -> Result<(), Refusal> {
    let request = |message: String| Refusal::new(ErrorCode::InvalidRequest, message);
    if let Some(unknown) = overrides.keys().find(|name| client_metrics_key(name).is_none()) {
        return Err(request(format!("Unknown client metrics configuration: {unknown}")));
    }
    parse_all(client_metrics_keys(), overrides)?;
    if let Some(interval) = number(client_metrics_key("interval.ms"), overrides)
        && !(100..=3_600_000).contains(&interval)
    {
        let limits = "interval must be between 100 and 3600000 (1 hour)";
        return Err(request(format!("Invalid value {interval} for interval.ms, {limits}")));
    }
    let patterns = overrides.get("match").map_or("", String::as_str);
    match patterns.split(',').map(str::trim).find(|pattern| !pattern.is_empty() && !is_client_pattern(pattern)) {
        Some(wrong) => Err(invalid(format!("Illegal client matching pattern: {wrong}"))),
        None => Ok(()),
    }
}

/// Whether a text is `what=pattern`. The pattern is a regular expression of Java's; only what cannot be one is refused.
fn is_client_pattern(text: &str) -> bool {
    const WHAT: [&str; 6] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    let Some((what, pattern)) = text.split_once('=') else { return false };
    let (what, pattern) = (what.trim(), pattern.trim());
    WHAT.contains(&what) && !pattern.is_empty() && !pattern.contains('=') && brackets_close(pattern)
}

fn brackets_close(pattern: &str) -> bool {
    let mut open = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let inside_class = open.last() == Some(&'[');
        match character {
            '\\' if characters.next().is_none() => return false,
            ']' if inside_class => drop(open.pop()),
            '(' | '[' if !inside_class => open.push(character),
            ')' if !inside_class && open.pop() != Some('(') => return false,
            _ => {}
        }
    }
    open.is_empty()
}

/// Rules of a broker's settings (`KafkaConfig.validateValues`), for those that may change while it runs.
pub(super) fn check_broker(layers: &Layers<'_>, resource: &Resource, after: &Overrides) -> Result<(), Refusal> {
    let [(_, broker), (_, all), (_, file)] = layers.each();
    let changed = match resource {
        Resource::BrokerDefault => Layers::new(broker, after, file),
        _ => Layers::new(after, all, file),
    };
    wrong_together(&changed).map_or(Ok(()), |why| Err(Refusal::new(ErrorCode::InvalidRequest, why)))
}

/// What is wrong with a broker's settings taken together, if anything; each value by itself is right.
pub fn wrong_together(layers: &Layers<'_>) -> Option<String> {
    let failed = |why: &str| Some(format!("requirement failed: {why}"));
    for key in ["log.retention.ms", "log.retention.minutes", "log.retention.hours"] {
        if layers.number_if_set(key) == Some(0) {
            return failed(&format!("{key} must be unlimited (-1) or, greater than or equal to 1"));
        }
    }
    if layers.number_if_set("log.roll.ms").is_some_and(|age| age < 1) {
        return failed("log.roll.ms must be greater than or equal to 1");
    }
    if layers.number_if_set("log.roll.jitter.ms").is_some_and(|jitter| jitter < 0) {
        return failed("log.roll.jitter.ms must be greater than or equal to 0");
    }
    let overrides = layers.text("max.connections.per.ip.overrides").unwrap_or_default();
    if layers.number("max.connections.per.ip") == 0 && overrides.is_empty() {
        return failed(
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
        );
    }
    if let Some(wrong) = overrides.split(',').map(str::trim).find(|part| !part.is_empty() && !is_address_limit(part)) {
        return Some(format!("Error parsing configuration property 'max.connections.per.ip.overrides': {wrong}"));
    }
    let queued = layers.number("queued.max.request.bytes");
    if queued > 0 && queued < layers.number("socket.request.max.bytes") {
        return failed("queued.max.request.bytes must be larger or equal to socket.request.max.bytes");
    }
    let threads = layers.number("log.cleaner.threads").max(1);
    if layers.number("log.cleaner.dedupe.buffer.size") / threads <= 1 << 20 {
        return failed("log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.");
    }
    if layers.number("group.max.session.timeout.ms") < layers.number("group.min.session.timeout.ms") {
        return failed("group.max.session.timeout.ms must be greater than or equal to group.min.session.timeout.ms");
    }
    GROUP_BOUNDS.iter().find_map(|bounds| {
        let key = broker_key(&format!("group.{}", bounds.key))?;
        let bounds = Bounds { key: key.name, low: bounds.low, high: bounds.high };
        check_bounds(layers, &bounds, layers.number(key.name)).err()
    })
}

fn is_address_limit(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, count)| !host.trim().is_empty() && count.trim().parse::<i32>().is_ok())
}
