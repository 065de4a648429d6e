use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use ottla_batch::Builder;
use ottla_units::Timestamp;
use ottla_wire::{ApiKey, frame};

use crate::harness::{Broker, folder, get};

const VERSION: i16 = 8;
const IN_FLIGHT: i32 = 5;
const REQUESTS: i32 = 200;
const PARTITIONS: i32 = 8;

fn request(correlation_id: i32, partition: i32) -> BytesMut {
    let batch = Builder::new().record(Timestamp::new(i64::from(correlation_id)), None, Some(b"value")).build();
    let records = PartitionProduceData::default().with_index(partition).with_records(Some(batch.into()));
    let topic = TopicProduceData::default()
        .with_name(TopicName(StrBytes::from_static_str("t")))
        .with_partition_data(vec![records]);
    let mut out = BytesMut::new();
    let open = frame::begin_request(&mut out, ApiKey::Produce, VERSION, correlation_id, Some("test"));
    let produce = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
    produce.encode(&mut out, VERSION).unwrap();
    open.close(&mut out, 0);
    out
}

/// The body of the next answer.
fn receive(stream: &mut TcpStream) -> Bytes {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).unwrap();
    Bytes::from(bytes)
}

/// The correlation id and the base offset of the next answer.
fn answer(stream: &mut TcpStream) -> (i32, i64) {
    let mut bytes = receive(stream);
    let correlation_id = bytes.get_i32();
    let response = ProduceResponse::decode(&mut bytes, VERSION).unwrap();
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0, "request {correlation_id}");
    (correlation_id, partition.base_offset)
}

/// Produces one record a request, a few in flight; the first one gets `offset`.
fn produce(stream: &mut TcpStream, partition: i32, offset: i64) {
    for number in 0..REQUESTS + IN_FLIGHT {
        if number < REQUESTS {
            stream.write_all(&request(number, partition)).unwrap();
        }
        if let Some(due) = number.checked_sub(IN_FLIGHT).filter(|due| *due >= 0) {
            assert_eq!(answer(stream), (due, offset + i64::from(due)), "partition {partition}");
        }
    }
}

/// A connection that produces to one partition goes to the shard that owns it, and nothing is lost, doubled or out of order.
#[test]
fn a_connection_moves_to_its_partition() {
    let data = folder();
    let mut broker = Broker::start_with(data.path(), &["--set", "ottla.shards=2"]);
    let metrics = broker.metrics_address();
    broker.say(&["topic", "create", "t", "-p", &PARTITIONS.to_string()]).ok();
    for partition in 0..PARTITIONS {
        // New connections go to the shard with fewest: of two, one is not where its partition is.
        let connect = || TcpStream::connect(&broker.address).unwrap();
        for (turn, mut stream) in [connect(), connect()].into_iter().enumerate() {
            produce(&mut stream, partition, turn as i64 * i64::from(REQUESTS));
        }
    }
    let (_, text) = get(&metrics, "/metrics");
    let moved = text.lines().filter(|line| line.starts_with("ottla_connections_moved_total{"));
    let moved: f64 = moved.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(moved >= 1.0 && moved <= f64::from(2 * PARTITIONS), "{moved} connections moved");
    assert!(broker.stop().success());
}

/// Fetches a partition from its beginning in a session; 0 and epoch 0 open one.
fn fetch(stream: &mut TcpStream, partition: i32, session: i32, epoch: i32) -> FetchResponse {
    const FETCH_VERSION: i16 = 11;
    let asked = FetchPartition::default().with_partition(partition).with_partition_max_bytes(1 << 20);
    let topic =
        FetchTopic::default().with_topic(TopicName(StrBytes::from_static_str("t"))).with_partitions(vec![asked]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_session_id(session)
        .with_session_epoch(epoch)
        .with_topics(vec![topic]);
    let mut out = BytesMut::new();
    let open = frame::begin_request(&mut out, ApiKey::Fetch, FETCH_VERSION, 0, Some("test"));
    request.encode(&mut out, FETCH_VERSION).unwrap();
    open.close(&mut out, 0);
    stream.write_all(&out).unwrap();
    let mut bytes = receive(stream).slice(4..);
    FetchResponse::decode(&mut bytes, FETCH_VERSION).unwrap()
}

/// Of two connections to each partition one would move; with a fetch session it stays, and its session goes on.
#[test]
fn a_connection_stays_with_its_fetch_session() {
    let data = folder();
    let broker = Broker::start_with(data.path(), &["--set", "ottla.shards=2"]);
    broker.say(&["topic", "create", "t", "-p", &PARTITIONS.to_string()]).ok();
    for partition in 0..PARTITIONS {
        let connect = || TcpStream::connect(&broker.address).unwrap();
        for (turn, mut stream) in [connect(), connect()].into_iter().enumerate() {
            let opened = fetch(&mut stream, partition, 0, 0);
            assert!(opened.error_code == 0 && opened.session_id > 0, "{opened:?}");
            produce(&mut stream, partition, turn as i64 * i64::from(REQUESTS));
            let next = fetch(&mut stream, partition, opened.session_id, 1);
            assert_eq!((next.error_code, next.session_id), (0, opened.session_id), "partition {partition}, {turn}");
            let there = &next.responses[0].partitions[0];
            assert!(there.records.as_ref().is_some_and(|records| !records.is_empty()), "{there:?}");
        }
    }
    assert!(broker.stop().success());
}
