use crate::harness::{Broker, folder};

#[test]
fn a_topics_setting_counts_at_once_on_every_partition() {
    let data = folder();
    let broker = Broker::start_with(data.path(), &["--set", "ottla.shards=2"]);
    broker.say(&["topic", "create", "t", "-p", "4", "-c", "max.message.bytes=500"]).ok();
    let large = format!("{}\n", "x".repeat(2000));
    let produce = |partition: &str| broker.say_with(&["produce", "t", "--partition", partition], large.as_bytes());
    for partition in ["0", "1", "2", "3"] {
        produce(partition).complaint(1);
    }
    broker.say(&["topic", "alter", "t", "-c", "max.message.bytes=5000"]).ok();
    for partition in ["0", "1", "2", "3"] {
        produce(partition).ok();
    }
    broker.say(&["topic", "alter", "t", "-c", "max.message.bytes=500"]).ok();
    produce("2").complaint(1);
}

#[test]
fn what_is_refused_is_refused_in_kafkas_words() {
    let data = folder();
    let broker = Broker::start(data.path());
    broker.say(&["topic", "create", "t"]).ok();
    let said = broker.say(&["topic", "alter", "t", "-c", "retention.ms=soon"]);
    assert_ne!(said.status, Some(0));
    assert!(
        said.err.contains("Invalid value soon for configuration retention.ms: Not a number of type LONG"),
        "{said:?}"
    );
    let said = broker.say(&["topic", "create", "u", "-c", "segment.bytes=1"]);
    assert!(said.err.contains("Value must be at least 1048576"), "{said:?}");
}

#[test]
fn a_setting_without_effect_is_told_once() {
    let data = folder();
    let broker = Broker::start(data.path());
    for topic in ["a", "b"] {
        broker.say(&["topic", "create", topic, "-c", "preallocate=true"]).ok();
    }
    let said = broker.log();
    assert_eq!(said.matches("preallocate is set but has no effect").count(), 1, "{said}");
}
