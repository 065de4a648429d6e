//! What may be set: messages are those that a Kafka 4.3.1 answered.

use super::*;
use crate::command::{Alteration, Change, Op, Refusal};
use crate::decide::Settings;
use std::sync::Arc;

const THIS: BrokerId = BrokerId::new(1);

fn topic() -> Resource {
    Resource::Topic("t".to_owned())
}

fn group() -> Resource {
    Resource::Group("g".to_owned())
}

fn metrics() -> Resource {
    Resource::ClientMetrics("m".to_owned())
}

/// An incremental change of a resource that has nothing set, on a broker with Kafka's defaults.
fn changed(resource: Resource, steps: &[(&str, Op, Option<&str>)]) -> Result<Overrides, Refusal> {
    let steps = steps.iter().map(|(name, op, value)| ((*name).to_owned(), *op, value.map(str::to_owned))).collect();
    let catalogue = Catalogue::new(THIS, Arc::new(Overrides::new()));
    catalogue.altered(&Image::default(), &Alteration { resource, change: Change::Incremental(steps) })
}

fn set(resource: Resource, name: &str, value: &str) -> Result<Overrides, Refusal> {
    changed(resource, &[(name, Op::Set, Some(value))])
}

#[track_caller]
fn refused(outcome: Result<Overrides, Refusal>, code: i16, message: &str) {
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.code.code(), refusal.message.as_deref()), (code, Some(message)));
}

#[test]
fn topics() {
    refused(
        set(topic(), "retention.ms", "soon"),
        40,
        "Invalid value soon for configuration retention.ms: Not a number of type LONG",
    );
    refused(set(topic(), "no.such", "1"), 40, "Unknown topic config name: no.such");
    refused(
        set(topic(), "segment.bytes", "1"),
        40,
        "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576",
    );
    let cannot = |op: &str, key: &str| format!("Can't {op} to key {key} because its type is not LIST.");
    let step = |name, op, value| changed(topic(), &[(name, op, value)]);
    refused(step("no.such", Op::Append, Some("1")), 40, &cannot("APPEND", "no.such"));
    refused(step("retention.ms", Op::Subtract, Some("1")), 40, &cannot("SUBTRACT", "retention.ms"));
    refused(step("retention.ms", Op::Set, None), 42, "Null value not supported for : retention.ms");
    let twice = [("retention.ms", Op::Set, Some("1")), ("retention.ms", Op::Set, Some("2"))];
    refused(changed(topic(), &twice), 42, "Error due to duplicate config keys");
    let crossed = [("min.compaction.lag.ms", Op::Set, Some("10")), ("max.compaction.lag.ms", Op::Set, Some("5"))];
    refused(
        changed(topic(), &crossed),
        40,
        "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
    );
    refused(
        set(topic(), "remote.storage.enable", "true"),
        40,
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
    );
    for (name, value) in
        [("local.retention.ms", "999999999999"), ("internal.segment.bytes", "100"), ("retention.bytes", "-5")]
    {
        assert_eq!(set(topic(), name, value), Ok(overrides(&[(name, value)])));
    }
    assert_eq!(step("no.such", Op::Delete, None), Ok(Overrides::new()));
}

#[test]
fn lists_are_edited() {
    let policy =
        |op, value| changed(topic(), &[("cleanup.policy", op, Some(value))]).map(|set| set["cleanup.policy"].clone());
    assert_eq!(policy(Op::Append, "compact").unwrap(), "delete,compact");
    assert_eq!(policy(Op::Append, "delete").unwrap(), "delete");
    assert_eq!(policy(Op::Subtract, "delete").unwrap(), "");
    assert_eq!(policy(Op::Subtract, "compact").unwrap(), "delete");
    let message = "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete";
    refused(changed(topic(), &[("cleanup.policy", Op::Append, Some("compact,foo"))]), 40, message);
    let broker = changed(Resource::Broker(THIS), &[("log.cleanup.policy", Op::Append, Some("compact"))]);
    assert_eq!(broker.unwrap()["log.cleanup.policy"], "delete,compact");
}

#[test]
fn new_topics() {
    let catalogue = Catalogue::new(THIS, Arc::new(Overrides::new()));
    let create = |given: &[(&str, Option<&str>)]| {
        let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        catalogue.new_topic(&Image::default(), &given)
    };
    refused(
        create(&[("retention.ms", None), ("segment.ms", None)]),
        40,
        "Null value not supported for topic configs: retention.ms,segment.ms",
    );
    refused(create(&[("no.such", Some("1"))]), 40, "Unknown topic config name: no.such");
    let twice = create(&[("retention.ms", Some("1")), ("retention.ms", Some("2"))]);
    assert_eq!(twice, Ok(overrides(&[("retention.ms", "2")])));
}

#[test]
fn brokers() {
    let one = || Resource::Broker(THIS);
    let all = Resource::BrokerDefault;
    refused(set(one(), "node.id", "9"), 42, "Cannot update these configs dynamically: [node.id]");
    refused(
        set(one(), "log.retention.hours", "5"),
        42,
        "Cannot update these configs dynamically: [log.retention.hours]",
    );
    refused(
        set(one(), "message.max.bytes", "-3"),
        42,
        "Invalid value -3 for configuration message.max.bytes: Value must be at least 0",
    );
    refused(
        set(all.clone(), "listeners", "PLAINTEXT://:9"),
        42,
        "Cannot update these configs at default cluster level, broker id must be specified: [listeners]",
    );
    refused(set(one(), "listeners", "PLAINTEXT://:9"), 42, "Cannot update these configs dynamically: [listeners]");
    refused(
        set(one(), "ssl.keystore.location", "/x"),
        42,
        "These security configs can be dynamically updated only per-listener using the listener prefix: \
         [ssl.keystore.location]",
    );
    refused(
        set(one(), "log.retention.ms", "0"),
        42,
        "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
    );
    refused(set(one(), "log.roll.ms", "0"), 42, "requirement failed: log.roll.ms must be greater than or equal to 1");
    refused(
        set(one(), "max.connections.per.ip", "0"),
        42,
        "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property \
         is set.",
    );
    refused(
        set(one(), "group.consumer.assignment.interval.ms", "99999"),
        42,
        "group.consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms",
    );
    let step = |name, op| changed(one(), &[(name, op, Some("1"))]);
    refused(step("no.such", Op::Append), 40, "Unknown config name: no.such");
    refused(
        step("message.max.bytes", Op::Append),
        40,
        "Config value append is not allowed for config key: message.max.bytes",
    );
    for (resource, name) in [(one(), "message.max.bytes"), (all.clone(), "log.retention.ms"), (all, "some.plugin.key")]
    {
        assert_eq!(set(resource, name, "100"), Ok(overrides(&[(name, "100")])));
    }
}

#[test]
fn groups() {
    for (name, value, message) in [
        (
            "consumer.session.timeout.ms",
            "1",
            "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        ),
        (
            "consumer.heartbeat.interval.ms",
            "never",
            "Invalid value never for configuration consumer.heartbeat.interval.ms: Not a number of type INT",
        ),
        (
            "share.auto.offset.reset",
            "middle",
            "Invalid value middle for configuration share.auto.offset.reset: Invalid value `middle` for configuration \
             share.auto.offset.reset. The value must be either 'earliest', 'latest' or of the format \
             'by_duration:<PnDTnHnMn.nS>'.",
        ),
        (
            "streams.num.standby.replicas",
            "100",
            "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
        ),
        ("no.such", "1", "Unknown group config name: no.such"),
    ] {
        refused(set(group(), name, value), 40, message);
    }
    refused(
        set(Resource::Group(String::new()), "consumer.session.timeout.ms", "50000"),
        42,
        "Default group resources are not allowed.",
    );
    let value = ("consumer.session.timeout.ms", "50000");
    assert_eq!(set(group(), value.0, value.1), Ok(overrides(&[value])));
}

#[test]
fn metrics_subscriptions() {
    let illegal = |pattern: &str| format!("Illegal client matching pattern: {pattern}");
    for pattern in ["foo", "foo=bar", "client_id=(", "client_id=a=b", "client_id="] {
        refused(set(metrics(), "match", pattern), 40, &illegal(pattern));
    }
    refused(set(metrics(), "match", "client_id=[a,b]"), 40, &illegal("client_id=[a"));
    for pattern in ["client_id=a,client_id=b", "client_source_port=123", "client_id =.*", r"client_id=\(x[)(]"] {
        assert!(set(metrics(), "match", pattern).is_ok(), "{pattern}");
    }
    refused(
        set(metrics(), "interval.ms", "1"),
        42,
        "Invalid value 1 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
    );
    refused(set(metrics(), "no.such", "1"), 42, "Unknown client metrics configuration: no.such");
    refused(set(Resource::ClientMetrics(String::new()), "interval.ms", "1000"), 42, "Subscription name can't be empty");
}

#[test]
fn replacing_is_checked_like_stepping() {
    let catalogue = Catalogue::new(THIS, Arc::new(Overrides::new()));
    let replace = |given: &[(&str, Option<&str>)]| {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        catalogue.altered(&Image::default(), &Alteration { resource: topic(), change: Change::Replace(given) })
    };
    refused(replace(&[("retention.ms", None)]), 42, "Null value not supported for : retention.ms");
    refused(
        replace(&[("retention.ms", Some("1")), ("retention.ms", Some("2"))]),
        42,
        "Error due to duplicate config keys",
    );
    refused(replace(&[("no.such", Some("2"))]), 40, "Unknown topic config name: no.such");
    assert_eq!(replace(&[]), Ok(Overrides::new()));
}

#[test]
fn settings_have_a_maximum() {
    let names: Vec<String> = (0..=1000).map(|n| format!("some.plugin.{n}")).collect();
    let steps: Vec<_> = names.iter().map(|name| (name.as_str(), Op::Set, Some("1"))).collect();
    assert_eq!(changed(Resource::Broker(THIS), &steps[1..]).unwrap().len(), 1000);
    refused(changed(Resource::Broker(THIS), &steps), 44, "A resource may have 1000 settings, not 1001.");
}
