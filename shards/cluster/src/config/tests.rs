use super::*;
use crate::image::{Image, Overrides, Resource};
use ottla_units::BrokerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

mod altering;
mod describing;

/// Every key that a Kafka 4.3.1 knows, as its `ConfigDef`s list them: family, name, kind, default, scope, internal.
const KAFKA_KEYS: &str = include_str!("tests/kafka-4.3.1-keys.tsv");
/// What the same `ConfigDef`s make of values: family, name, value, and `=` with the value as Kafka writes it or `!` with
/// Kafka's message.
const KAFKA_VALUES: &str = include_str!("tests/kafka-4.3.1-values.tsv");

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn key_of(family: &str, name: &str) -> Option<&'static Key> {
    match family {
        "broker" => broker_key(name),
        "topic" => topic_key(name),
        "group" => group_key(name),
        _ => client_metrics_key(name),
    }
}

fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n").replace("\\\\", "\\")
}

#[test]
fn the_table_is_kafkas() {
    let mut kafkas = BTreeSet::new();
    for line in KAFKA_KEYS.lines() {
        let [family, name, kind, default, scope, internal] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let key = key_of(family, name).unwrap_or_else(|| panic!("{family} {name} is missing"));
        assert_eq!(key.kind.name(), kind, "{name}");
        assert_eq!(key.default, default.strip_prefix('='), "{name}");
        assert_eq!(key.internal, internal == "internal", "{name}");
        if family == "broker" {
            let ours = match key.scope {
                Scope::ReadOnly => "read-only",
                Scope::PerBroker => "per-broker",
                Scope::ClusterWide => "cluster-wide",
            };
            assert_eq!(ours, scope, "{name}");
        }
        kafkas.insert((family, name));
    }
    for key in keys().filter(|key| key.family != Family::Ottla) {
        assert!(kafkas.contains(&(key.family.word(), key.name)), "{} is not Kafka's", key.name);
    }
}

#[test]
fn values_mean_what_kafka_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in KAFKA_VALUES.lines() {
        let [family, name, value, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let key = key_of(family, name).unwrap();
        // The voters of a Kafka quorum and Java's classes are text to us.
        if key.kind == Kind::Class || name.starts_with("controller.quorum.") && key.kind == Kind::List {
            continue;
        }
        let found = match Value::parse(key, &unescaped(value)) {
            Ok(_) if key.is_sensitive() => "=[hidden]".to_owned(),
            Ok(value) => format!("={value}"),
            Err(error) => format!("!{error}"),
        };
        count += 1;
        if found != unescaped(expected) {
            wrong.push(format!("{name} {value:?}: Kafka {expected:?}, here {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong of {count}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}

#[test]
fn every_default_obeys_its_own_rule() {
    for key in keys() {
        if let Some(default) = key.default {
            let value = Value::parse(key, default).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(value.to_string(), default, "{}", key.name);
        }
    }
}

#[test]
fn the_table_holds_together() {
    let mut seen = BTreeSet::new();
    for key in keys() {
        let family = if key.family == Family::Ottla { Family::Broker } else { key.family };
        assert!(seen.insert((family, key.name)), "{} is there twice", key.name);
        assert!(key.about.ends_with('.') && key.about.len() <= 110, "{}: {}", key.name, key.about);
        assert!(!key.allowed().is_empty());
        assert_eq!(key.family == Family::Ottla, key.name.starts_with("ottla."), "{}", key.name);
        for synonym in key.synonyms {
            let broker = broker_key(synonym.name).unwrap_or_else(|| panic!("{} of {}", synonym.name, key.name));
            let number = |kind| matches!(kind, Kind::Int | Kind::Long | Kind::Short);
            assert!(broker.kind == key.kind || number(broker.kind) && number(key.kind), "{}", key.name);
        }
        assert_eq!(removed(key.name), None, "{} is not removed", key.name);
    }
    assert_eq!(topic_keys().iter().filter(|key| !key.internal).count(), 33);
    assert_eq!(group_keys().len(), 17);
}

#[test]
fn nobody_said_anything() {
    let settings = BrokerSettings::default();
    assert_eq!(settings.creation.partitions, 1);
    assert_eq!(settings.network.request_bytes_max, 104_857_600);
    assert_eq!(settings.network.queued_bytes_max, None);
    assert_eq!(settings.groups.session_timeout_max, Duration::from_mins(30));
    assert_eq!(settings.groups.offsets_retention, Duration::from_hours(168));
    assert_eq!(settings.producers.expiration, Duration::from_hours(24));
    assert_eq!(settings.own.shards, None);
    let topics = settings.topics;
    assert_eq!(topics, TopicSettings::default());
    assert_eq!(topics.max_message_bytes, 1_048_588);
    assert_eq!(topics.retention, Some(Duration::from_hours(168)));
    assert_eq!((topics.flush_messages, topics.flush_interval), (None, None));
}

#[test]
fn a_topic_falls_back_to_the_brokers_keys_in_their_order() {
    let none = Overrides::new();
    let retention = |pairs: &[(&str, &str)]| {
        let file = overrides(pairs);
        TopicSettings::inherited(&Layers::new(&none, &none, &file)).retention
    };
    assert_eq!(retention(&[("log.retention.hours", "2")]), Some(Duration::from_hours(2)));
    assert_eq!(
        retention(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]),
        Some(Duration::from_mins(3))
    );
    let all = [("log.retention.hours", "2"), ("log.retention.minutes", "3"), ("log.retention.ms", "4")];
    assert_eq!(retention(&all), Some(Duration::from_millis(4)));
    assert_eq!(retention(&[("log.retention.ms", "-1")]), None);
    assert_eq!(retention(&[("log.retention.minutes", "-1")]), None);
}

#[test]
fn the_strongest_layer_wins_and_a_wrong_value_counts_as_none() {
    let broker = overrides(&[("message.max.bytes", "100"), ("fetch.max.bytes", "soon")]);
    let all = overrides(&[("message.max.bytes", "200"), ("log.segment.bytes", "2000000")]);
    let file =
        overrides(&[("message.max.bytes", "300"), ("fetch.max.bytes", "4000"), ("log.segment.bytes", "3000000")]);
    let layers = Layers::new(&broker, &all, &file);
    let settings = BrokerSettings::resolve(&layers).unwrap();
    assert_eq!(settings.topics.max_message_bytes, 100);
    assert_eq!(settings.topics.segment_bytes, 2_000_000);
    assert_eq!(settings.network.fetch_bytes_max, 4000);
    let topic = settings.topics.with(&overrides(&[("max.message.bytes", "50"), ("cleanup.policy", "compact,delete")]));
    assert_eq!(topic.max_message_bytes, 50);
    assert_eq!(topic.cleanup, Cleanup { delete: true, compact: true });
    assert_eq!(topic.segment_bytes, 2_000_000);
    let neither =
        settings.topics.with(&overrides(&[("cleanup.policy", ""), ("flush.messages", "1"), ("flush.ms", "0")]));
    assert_eq!(neither.cleanup, Cleanup { delete: false, compact: false });
    assert_eq!((neither.flush_messages, neither.flush_interval), (Some(1), Some(Duration::ZERO)));
}

#[test]
fn every_topic_key_reaches_the_settings() {
    // A key whose change changes nothing would be forgotten by `TopicSettings`.
    let not_yet = ["follower.replication.throttled.replicas", "leader.replication.throttled.replicas"];
    for key in topic_keys() {
        let unused = not_yet.contains(&key.name) || key.name.contains("remote") || key.name.starts_with("local.");
        if unused || key.internal {
            continue;
        }
        let other = match (key.kind, key.rule) {
            (Kind::Boolean, _) => "true",
            (_, Rule::OneOf(words)) => words[1],
            (Kind::List, _) => "compact",
            (Kind::Double, _) => "0.25",
            (_, Rule::Between(..) | Rule::DefaultOr(..)) => "7",
            _ => "7654321",
        };
        let changed = TopicSettings::default().with(&overrides(&[(key.name, other)]));
        assert_ne!(changed, TopicSettings::default(), "{}", key.name);
    }
}

#[test]
fn listeners_are_checked_together() {
    let none = Overrides::new();
    let resolve = |pairs: &[(&str, &str)]| {
        let file = overrides(pairs);
        BrokerSettings::resolve(&Layers::new(&none, &none, &file)).map(|settings| settings.node)
    };
    let node = resolve(&[
        ("listeners", "plaintext://[::1]:9092, B://h:1"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,B:PLAINTEXT"),
    ])
    .unwrap();
    assert_eq!((node.listeners[0].host.as_str(), node.listeners[0].port), ("::1", 9092));
    assert_eq!(node.listeners[0].to_string(), "PLAINTEXT://[::1]:9092");
    assert_eq!(node.advertised, node.listeners);
    for (listeners, wrong) in [
        ("PLAINTEXT//x:1", "NAME://host:port"),
        ("PLAINTEXT://x", "NAME://host:port"),
        ("PLAINTEXT://x:70000", "NAME://host:port"),
        ("PLAINTEXT://x:-1", "NAME://host:port"),
        ("PLAINTEXT://::1:9092", "NAME://host:port"),
        ("PLAINTEXT://[::1:9092", "NAME://host:port"),
        ("://x:1", "NAME://host:port"),
        ("X://x:1", "has no protocol"),
        ("PLAINTEXT://x:1,PLAINTEXT://x:2", "twice"),
        ("SASL_SSL://x:1", "comes later"),
    ] {
        let error = resolve(&[("listeners", listeners)]).unwrap_err().to_string();
        assert!(error.contains(wrong), "{listeners}: {error}");
    }
    let advertised = |value| resolve(&[("listeners", "PLAINTEXT://:1"), ("advertised.listeners", value)]);
    assert!(advertised("PLAINTEXT://0.0.0.0:1").unwrap_err().to_string().contains("cannot be reached"));
    assert!(advertised("SSL://x:1").unwrap_err().to_string().contains("none of the listeners"));
    let only_controller = [
        ("listeners", "CONTROLLER://:1"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT"),
    ];
    assert_eq!(resolve(&only_controller), Err(ListenerError::None));
}

#[test]
fn limits_of_addresses_are_read() {
    let none = Overrides::new();
    let file = overrides(&[("max.connections.per.ip.overrides", "127.0.0.1:5, [::1]:6,host:7,junk")]);
    let network = BrokerSettings::resolve(&Layers::new(&none, &none, &file)).unwrap().network;
    let expected: BTreeMap<_, _> = [("127.0.0.1", 5), ("::1", 6)].map(|(a, n)| (a.parse().unwrap(), n)).into();
    assert_eq!(network.connections_per_address_overrides, expected);
}

#[test]
fn removed_keys_say_why() {
    assert!(removed("zookeeper.connect").unwrap().contains("ZooKeeper"));
    assert!(removed("port").is_some());
    assert_eq!(removed("portal"), None);
    assert_eq!(removed("num.partitions"), None);
}
