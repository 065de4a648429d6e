use crate::harness::{Broker, folder, get};

#[test]
fn a_broker_tells_what_it_does() {
    let data = folder();
    let mut broker = Broker::start(data.path());
    let address = broker.metrics_address();
    assert_eq!(get(&address, "/healthz"), ("HTTP/1.1 200 OK".into(), "ok\n".into()));
    assert_eq!(get(&address, "/readyz").0, "HTTP/1.1 200 OK");
    broker.say(&["topic", "create", "t", "-p", "2"]).ok();
    broker.say_with(&["produce", "t"], b"a\nb\nc\n").ok();
    broker.say(&["consume", "t", "--from", "beginning", "--max", "3"]).ok();
    let (_, text) = get(&address, "/metrics");
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 3",
        "ottla_topic_records_out_total{topic=\"t\"} 3",
        "kafka_topic_partitions{topic=\"t\"} 2",
        "kafka_server_kafkaserver_brokerstate 3",
        "kafka_controller_kafkacontroller_globaltopiccount 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    // A small frame is written and flushed in one operation, which counts as a write.
    let durable = ["ottla_journal_write_duration_seconds_count", "ottla_journal_flush_duration_seconds_count"];
    let counts = text.lines().filter(|line| durable.iter().any(|name| line.starts_with(name)));
    let count: f64 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(count >= 1.0, "an acknowledged record was made durable\n{text}");
}
