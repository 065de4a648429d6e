use crate::harness::{Broker, exchange, folder};

#[test]
fn records_come_back_as_they_went_in_with_every_codec() {
    let data = folder();
    let broker = Broker::start(data.path());
    let lines: String = (0..500).map(|i| format!("value {i}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let topic = format!("{codec}-{acks}");
            broker.say(&["topic", "create", &topic, "--partitions", "1"]).ok();
            broker.say_with(&["produce", &topic, "-z", codec, "--acks", acks], lines.as_bytes()).ok();
            let read = broker.say(&["consume", &topic, "--from", "beginning", "--max", "500"]).ok();
            assert_eq!(read, lines, "{topic}");
        }
    }
    assert!(broker.stop().success());
}

#[test]
fn keys_headers_and_tombstones_are_kept_and_a_topic_can_be_copied() {
    let data = folder();
    let broker = Broker::start(data.path());
    let input = "k1:v1\nk2:\u{e9}\nk1:NULL\n";
    let arguments = ["produce", "a", "-k", ":", "--null", "NULL", "-H", "source=test", "-H", "empty"];
    broker.say_with(&arguments, input.as_bytes()).ok();
    let json = broker.say(&["consume", "a", "--from", "beginning", "--exit", "--json"]).ok();
    assert_eq!(json.lines().count(), 3);
    for line in json.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["headers"], serde_json::json!([["source", "test"], ["empty", null]]), "{line}");
    }
    broker.say_with(&["produce", "b", "--json"], json.as_bytes()).ok();
    let format = ["--from", "beginning", "--exit", "--format", "%T %k=%v/%V %h\\n"];
    let sorted = |topic: &str| {
        let text = broker.say(&[&["consume", topic], &format[..]].concat()).ok();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("a"), sorted("b"));
    assert!(sorted("a").iter().any(|line| line.ends_with("k1=/-1 source=test,empty")));
}

#[test]
fn reading_begins_where_it_is_told() {
    let data = folder();
    let broker = Broker::start(data.path());
    broker.say(&["topic", "create", "t", "--partitions", "1"]).ok();
    let records: String = (0..10)
        .map(|i| format!("{{\"value\": \"{i}\", \"timestamp\": {}}}\n", 1_700_000_000_000_u64 + i * 60_000))
        .collect();
    broker.say_with(&["produce", "t", "--json"], records.as_bytes()).ok();
    for (from, expected) in [
        ("beginning", "0 1 2 3 4 5 6 7 8 9"),
        ("7", "7 8 9"),
        ("-2", "8 9"),
        ("-99", "0 1 2 3 4 5 6 7 8 9"),
        ("end", ""),
        ("@1700000299999", "5 6 7 8 9"),
        ("2023-11-14T22:18:20", "5 6 7 8 9"),
        ("2030-01-01", ""),
    ] {
        let read = broker.say(&["consume", "t", "--from", from, "--exit"]).ok();
        assert_eq!(read.split_whitespace().collect::<Vec<_>>().join(" "), expected, "--from {from}");
    }
    let missing = broker.say(&["consume", "t", "--from", "11", "--max", "1"]).complaint(1);
    assert!(missing.contains("OFFSET_OUT_OF_RANGE") && missing.contains("--from beginning"), "{missing}");
}

#[test]
fn topics_are_made_changed_and_removed() {
    let data = folder();
    let broker = Broker::start(data.path());
    let made = broker.say(&["topic", "create", "t", "-p", "3", "-c", "retention.ms=1000"]).ok();
    assert_eq!(made, "topic t created with 3 partitions\n");
    let again = broker.say(&["topic", "create", "t"]).complaint(1);
    assert!(again.contains("TOPIC_ALREADY_EXISTS") && again.contains("--if-not-exists"), "{again}");
    broker.say(&["topic", "create", "t", "--if-not-exists"]).ok();
    broker.say(&["topic", "create", "u", "--dry-run"]).ok();
    broker.say(&["topic", "alter", "t", "-p", "5", "-d", "retention.ms", "-c", "cleanup.policy=compact"]).ok();
    let described: serde_json::Value =
        serde_json::from_str(&broker.say(&["topic", "describe", "t", "--json"]).ok()).unwrap();
    assert_eq!(described["partitions"].as_array().unwrap().len(), 5);
    assert_eq!(described["configs"], serde_json::json!({"cleanup.policy": "compact"}));
    let refused = broker.say(&["topic", "alter", "t", "-c", "retention.ms=soon"]).complaint(1);
    assert!(refused.contains("INVALID_CONFIG"), "{refused}");
    let listed: serde_json::Value = serde_json::from_str(&broker.say(&["topic", "list", "--json"]).ok()).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|topic| topic["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["t"]);
    broker.say(&["topic", "delete", "t"]).ok();
    let gone = broker.say(&["topic", "describe", "t"]).complaint(1);
    assert!(gone.contains("UNKNOWN_TOPIC_OR_PARTITION") && gone.contains("ottla topic create t"), "{gone}");
}

#[test]
fn nonsense_closes_its_own_connection_only() {
    let data = folder();
    let broker = Broker::start(data.path());
    broker.say_with(&["produce", "t"], b"before\n").ok();
    let huge = [&i32::MAX.to_be_bytes()[..], &[0; 64]].concat();
    let negative = (-1_i32).to_be_bytes();
    let unknown_api =
        [&8_i32.to_be_bytes()[..], &999_i16.to_be_bytes(), &0_i16.to_be_bytes(), &7_i32.to_be_bytes()].concat();
    for bytes in
        [&huge[..], &negative, &unknown_api, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01"]
    {
        assert_eq!(exchange(&broker.address, bytes), b"", "{bytes:?}");
    }
    broker.say_with(&["produce", "t"], b"after\n").ok();
    let read = broker.say(&["consume", "t", "--from", "beginning", "--exit"]).ok();
    assert_eq!(read.lines().count(), 2);
    assert!(broker.stop().success());
}
