use std::sync::Arc;
use std::time::Duration;

use ottla_broker::metrics::{GroupGauges, Metrics, PartitionGauges};
use ottla_units::{ErrorCode, ShardId};
use ottla_wire::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::catalogue::METRICS;
use super::*;

fn report() -> Report {
    let shards = [0, 1].map(|number| {
        let metrics = Metrics::default();
        metrics.topic("orders").appended(3, 300);
        metrics.topic("odd\"name").sent(1, 10);
        metrics.answered(ApiKey::Fetch, 17, Duration::from_micros(80));
        metrics.failed(ApiKey::Produce, ErrorCode::CorruptMessage);
        metrics.connections.open.add(2);
        let mut snapshot = metrics.snapshot(ShardId::new(number));
        let topic: Arc<str> = "orders".into();
        snapshot.partitions.push(PartitionGauges {
            topic: Arc::clone(&topic),
            partition: i32::from(number),
            log_start: 1,
            high_watermark: 10,
            log_end: 12,
            bytes: 1000,
            segments: 2,
            producers: 1,
            failed: number == 1,
        });
        snapshot.groups.push(GroupGauges {
            group: format!("g{number}").into(),
            state: "Stable",
            members: 2,
            committed: vec![(Arc::clone(&topic), 0, 4), (topic, 7, 4)],
        });
        snapshot
    });
    let cluster = ClusterGauges {
        cluster_id: "c".into(),
        node_id: 1,
        state: BrokerState::Running,
        brokers: 1,
        topics: 2,
        partitions: 2,
    };
    Report { shards: shards.into(), cluster }
}

#[test]
fn every_metric_has_samples_of_its_own_name_and_labels() {
    let text = exposition::render(&report());
    for metric in METRICS {
        let types = text.lines().filter(|line| line.starts_with(&format!("# TYPE {} ", metric.name))).count();
        assert_eq!(types, 1, "{}", metric.name);
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn the_catalogue_follows_prometheus_rules() {
    let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METRICS.len());
    for metric in METRICS {
        let counts = metric.name.ends_with("_total");
        assert_eq!(counts, metric.kind == catalogue::Kind::Counter, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn shards_are_added_up_and_lag_is_joined_across_them() {
    let text = exposition::render(&report());
    for line in [
        "kafka_server_brokertopicmetrics_messagesin_total 6",
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"orders\"} 6",
        "kafka_server_brokertopicmetrics_bytesout_total{topic=\"odd\\\"name\"} 20",
        "kafka_network_requestmetrics_requests_total{request=\"FetchConsumer\",version=\"17\"} 2",
        "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"CORRUPT_MESSAGE\"} 2",
        "kafka_network_requestmetrics_totaltimems_count{request=\"Fetch\"} 2",
        "ottla_request_duration_seconds_bucket{request=\"Fetch\",le=\"0.000064\"} 0",
        "ottla_request_duration_seconds_bucket{request=\"Fetch\",le=\"0.000128\"} 2",
        "ottla_request_duration_seconds_bucket{request=\"Fetch\",le=\"+Inf\"} 2",
        "kafka_server_socket_server_metrics_connection_count{shard=\"1\"} 2",
        "kafka_log_log_logendoffset{topic=\"orders\",partition=\"1\"} 12",
        "kafka_server_replicamanager_offlinereplicacount 1",
        "kafka_consumergroup_lag{consumergroup=\"g1\",topic=\"orders\",partition=\"0\"} 6",
        "kafka_consumergroup_current_offset{consumergroup=\"g1\",topic=\"orders\",partition=\"7\"} 4",
        "kafka_consumergroup_lag_sum{consumergroup=\"g0\",topic=\"orders\"} 6",
        "kafka_server_kafkaserver_brokerstate 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(!text.contains("kafka_consumergroup_lag{consumergroup=\"g1\",topic=\"orders\",partition=\"7\"}"));
}

async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[test]
fn the_endpoint_answers_what_the_control_loop_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (queries, mut asked) = mpsc::channel(QUERIES_MAX);
        let endpoint = tokio::spawn(serve(listener, queries));
        let control = tokio::spawn(async move {
            let mut readiness = [Err("recovering".to_owned()), Ok(())].into_iter().cycle();
            while let Some(query) = asked.recv().await {
                match query {
                    Query::Report(reply) => reply.send(report()).unwrap(),
                    Query::Ready(reply) => reply.send(readiness.next().unwrap()).unwrap(),
                }
            }
        });
        let not_ready = get(address, "/readyz").await;
        assert!(not_ready.starts_with("HTTP/1.1 503") && not_ready.ends_with("recovering\n"), "{not_ready}");
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/healthz").await.ends_with("ok\n"));
        assert!(get(address, "/metrics").await.contains("version=0.0.4"));
        assert!(get(address, "/nothing").await.starts_with("HTTP/1.1 404"));
        control.abort();
        let _ = control.await;
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 503"));
        endpoint.abort();
    });
}
