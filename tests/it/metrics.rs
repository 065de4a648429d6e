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
    let flushes = text.lines().filter(|line| line.starts_with("ottla_journal_flush_duration_seconds_count"));
    let flushes: f64 = flushes.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(flushes >= 1.0, "an acknowledged record was flushed\n{text}");
}
