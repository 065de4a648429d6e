//! What DescribeConfigs shows: entries are those that a Kafka 4.3.1 answered.

use super::*;

/// One entry as `name=value source [synonyms]`.
fn line(entry: &Described) -> String {
    let synonyms = entry.synonyms.iter().map(|synonym| {
        format!("{}={}@{}", synonym.name, synonym.value.as_deref().unwrap_or("null"), synonym.source.code())
    });
    let value = entry.value.as_deref().unwrap_or("null");
    format!("{}={value} {} [{}]", entry.name, entry.source.code(), synonyms.collect::<Vec<_>>().join(", "))
}

fn lines(entries: &[Described], names: &[&str]) -> Vec<String> {
    let named = |name: &&str| entries.iter().find(|entry| entry.name == *name);
    names.iter().map(|name| named(name).map_or_else(|| format!("{name} is not there"), line)).collect()
}

#[test]
fn a_topic() {
    let none = Overrides::new();
    let file = overrides(&[("min.insync.replicas", "1")]);
    let all = overrides(&[("min.insync.replicas", "1")]);
    let layers = Layers::new(&none, &all, &file);
    let own =
        overrides(&[("retention.ms", " +7 "), ("cleanup.policy", " compact , delete "), ("retention.bytes", "0005")]);
    let entries = describe_topic(&layers, &own);
    assert_eq!(entries.len(), 33);
    let expected = [
        "cleanup.policy=compact,delete 1 [cleanup.policy=compact,delete@1, log.cleanup.policy=delete@5]",
        "retention.bytes=5 1 [retention.bytes=5@1, log.retention.bytes=-1@5]",
        "retention.ms=7 1 [retention.ms=7@1]",
        "segment.ms=604800000 5 []",
        "flush.ms=9223372036854775807 5 []",
        "preallocate=false 5 [log.preallocate=false@5]",
        "remote.storage.enable=false 5 []",
        "min.insync.replicas=1 3 [min.insync.replicas=1@3, min.insync.replicas=1@4, min.insync.replicas=1@5]",
        "max.message.bytes=1048588 5 [message.max.bytes=1048588@5]",
    ];
    let names: Vec<&str> = expected.iter().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(lines(&entries, &names), expected);
    let shown = describe_topic(&layers, &overrides(&[("internal.segment.bytes", "100")]));
    assert_eq!(shown.len(), 34, "what is internal is shown once it is set");
}

#[test]
fn a_topic_sees_what_is_set_for_all_brokers() {
    let none = Overrides::new();
    let all = overrides(&[("log.retention.ms", "7200000")]);
    let entries = describe_topic(&Layers::new(&none, &all, &none), &none);
    let expected = ["retention.ms=7200000 3 [log.retention.ms=7200000@3, log.retention.hours=168@5]"];
    assert_eq!(lines(&entries, &["retention.ms"]), expected);
}

#[test]
fn a_broker() {
    let file = overrides(&[
        ("node.id", "1"),
        ("broker.id", "1"),
        ("super.users", "User:A"),
        ("log.dirs", "/x"),
        ("ssl.key.password", "secret"),
    ]);
    let broker = overrides(&[("compression.type", "gzip"), ("listener.name.a.max.connections", "600")]);
    let all = overrides(&[("compression.type", "lz4"), ("some.key", "x")]);
    let layers = Layers::new(&broker, &all, &file);
    let entries = describe_broker(&layers, BrokerId::new(1));
    let expected = [
        "broker.id=1 4 [broker.id=1@4, broker.id=-1@5]",
        "compression.type=gzip 2 [compression.type=gzip@2, compression.type=lz4@3, compression.type=producer@5]",
        "log.retention.ms=null 5 []",
        "log.retention.hours=168 5 [log.retention.hours=168@5]",
        "log.roll.ms=null 5 []",
        "alter.config.policy.class.name=null 5 []",
        "log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 5 [log.cleaner.io.max.bytes.per.second=1.7976931348623157E308@5]",
        "super.users=null 4 [super.users=null@4]",
        "ssl.key.password=null 4 [ssl.key.password=null@4]",
        "listener.name.a.max.connections=600 2 [listener.name.a.max.connections=600@2, max.connections=2147483647@5]",
        "some.key=null 3 [some.key=null@3]",
    ];
    let names: Vec<&str> = expected.iter().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(lines(&entries, &names), expected);
    assert!(!entries.iter().any(|entry| entry.name == "unstable.api.versions.enable"));
    let of = |name: &str| entries.iter().find(|entry| entry.name == name).unwrap();
    assert!(of("node.id").read_only && !of("compression.type").read_only);
    assert!(of("super.users").sensitive && of("super.users").kind.is_none());
    let for_all = describe_all_brokers(&layers);
    assert_eq!(lines(&for_all, &["compression.type"]), ["compression.type=lz4 3 [compression.type=lz4@3]"]);
    assert_eq!(for_all.len(), 2);
}

#[test]
fn the_names_of_a_broker_are_those_kafka_shows() {
    let none = Overrides::new();
    let entries = describe_broker(&Layers::new(&none, &none, &none), BrokerId::new(1));
    let ours: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let kafkas = KAFKA_KEYS.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    for key in kafkas.filter(|key| key[0] == "broker" && key[5] != "internal") {
        assert!(ours.contains(key[1]), "{} is missing", key[1]);
    }
}

#[test]
fn a_group_and_a_metrics_subscription() {
    let none = Overrides::new();
    let layers = Layers::new(&none, &none, &none);
    let entries = describe_group(&layers, &overrides(&[("consumer.session.timeout.ms", "50000")]));
    assert_eq!(entries.len(), 17);
    let expected = [
        "consumer.session.timeout.ms=50000 8 [consumer.session.timeout.ms=50000@8, group.consumer.session.timeout.ms=45000@5]",
        "share.isolation.level=read_uncommitted 5 [share.isolation.level=read_uncommitted@5]",
    ];
    assert_eq!(lines(&entries, &["consumer.session.timeout.ms", "share.isolation.level"]), expected);
    let entries = describe_client_metrics(&layers, &overrides(&[("match", "client_id=x")]));
    let expected = ["interval.ms=300000 5 []", "match=client_id=x 7 [match=client_id=x@7]", "metrics= 5 []"];
    assert_eq!(lines(&entries, &["interval.ms", "match", "metrics"]), expected);
}
