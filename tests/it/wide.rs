//! Fetches of more partitions than are worked on in one go.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{BufMut, BytesMut};
use ottla_batch::Builder;
use ottla_units::{Offset, PartitionIndex, Timestamp};
use ottla_wire::fetch::{self as wire, Fetch, FetchPartition, Fetched};
use ottla_wire::produce::{self, Produced};
use ottla_wire::{ApiKey, TopicRef, frame, header};

use crate::harness::{Broker, folder, get};
use crate::wait::until;

/// More than two parts of them.
const PARTITIONS: i32 = 1200;
/// Some, at the edges of parts and between.
const FILLED: [i32; 7] = [0, 499, 500, 501, 999, 1000, 1199];
const TOPIC: TopicRef<'static> = TopicRef { name: "wide", id: ottla_units::TopicId::ZERO };
const PRODUCE: i16 = 9;
const FETCH: i16 = 12;

/// A partition's answer: index, error, high watermark, records.
type Told = (i32, i16, i64, Vec<u8>);

struct Client(TcpStream);

impl Client {
    fn new(broker: &Broker) -> Client {
        Client(TcpStream::connect(&broker.address).unwrap())
    }

    fn send(&mut self, api: ApiKey, version: i16, body: &[u8]) {
        let mut out = BytesMut::new();
        let open = frame::begin_request(&mut out, api, version, 1, Some("test"));
        out.put_slice(body);
        open.close(&mut out, 0);
        self.0.write_all(&out).unwrap();
    }

    fn receive(&mut self, api: ApiKey, version: i16) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        answer.split_off(header::parse_response(&answer, api, version).unwrap().1)
    }

    /// Produces one record.
    fn produce(&mut self, partition: i32) {
        let value = format!("value of {partition}");
        let records = Builder::new().record(Timestamp::new(1), None, Some(value.as_bytes())).build();
        let mut body = BytesMut::new();
        let mut writer = produce::RequestWriter::begin(&mut body, PRODUCE, None, -1, 30_000, 1);
        writer.topic(TOPIC, 1);
        writer.partition(PartitionIndex::new(partition), &records);
        writer.finish();
        self.send(ApiKey::Produce, PRODUCE, &body);
        let mut produced = Produced::default();
        produced.decode(&self.receive(ApiKey::Produce, PRODUCE), PRODUCE).unwrap();
        assert_eq!(produced.partitions[0].code, 0, "partition {partition}");
    }

    /// Asks for partitions from offsets on, in a session (its number and epoch), and forgets others.
    fn ask(&mut self, session: (i32, i32), wait_ms: i32, wanted: &[(i32, i64)], forgotten: &[i32]) {
        let (session_id, session_epoch) = session;
        let limits = Fetch { max_wait_ms: wait_ms, min_bytes: 1, session_id, session_epoch, ..Fetch::default() };
        let mut body = BytesMut::new();
        let mut writer = wire::RequestWriter::begin(&mut body, FETCH, &limits, 1);
        writer.topic(TOPIC, wanted.len());
        for (index, offset) in wanted {
            writer.partition(&FetchPartition::from_consumer(
                PartitionIndex::new(*index),
                Offset::new(*offset),
                1 << 20,
            ));
        }
        let forgotten: Vec<PartitionIndex> = forgotten.iter().copied().map(PartitionIndex::new).collect();
        writer.finish(&[(TOPIC, &forgotten)], "");
        self.send(ApiKey::Fetch, FETCH, &body);
    }

    /// The session's number, and what is told.
    fn told(&mut self) -> (i32, Vec<Told>) {
        let answer = self.receive(ApiKey::Fetch, FETCH);
        let mut fetched = Fetched::default();
        fetched.decode(&answer, FETCH).unwrap();
        assert_eq!(fetched.code, 0);
        let told = fetched.partitions.iter().map(|told| {
            let records = told.records.map(|span| span.of(&answer).to_vec()).unwrap_or_default();
            (told.index.get(), told.code, told.high_watermark.get(), records)
        });
        (fetched.session_id, told.collect())
    }

    fn fetch(&mut self, session: (i32, i32), wanted: &[(i32, i64)], forgotten: &[i32]) -> (i32, Vec<Told>) {
        self.ask(session, 0, wanted, forgotten);
        self.told()
    }
}

fn start(data: &std::path::Path) -> Broker {
    let broker = Broker::start_with(data, &["--set", "ottla.shards=2"]);
    broker.say(&["topic", "create", "wide", "-p", &PARTITIONS.to_string()]).ok();
    broker
}

fn indices(told: &[Told]) -> Vec<i32> {
    told.iter().map(|told| told.0).collect()
}

#[test]
fn a_wide_fetch_is_answered_as_narrow_ones_are() {
    const NO_SESSION: (i32, i32) = (0, -1);
    let data = folder();
    let broker = start(data.path());
    let mut client = Client::new(&broker);
    FILLED.iter().for_each(|partition| client.produce(*partition));
    let wanted: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    let narrow: Vec<Told> = wanted.chunks(100).flat_map(|some| client.fetch(NO_SESSION, some, &[]).1).collect();
    let filled: Vec<i32> = narrow.iter().filter(|told| !told.3.is_empty()).map(|told| told.0).collect();
    assert_eq!(filled, FILLED);
    assert!(client.fetch(NO_SESSION, &wanted, &[]) == (0, narrow.clone()));
    let backwards: Vec<(i32, i64)> = wanted.iter().copied().rev().collect();
    let mut told = client.fetch(NO_SESSION, &backwards, &[]).1;
    told.reverse();
    assert!(told == narrow);

    let (session, told) = client.fetch((0, 0), &wanted, &[]);
    assert!(session > 0 && told == narrow);
    // Read to their ends, nothing of them is news.
    let ends: Vec<(i32, i64)> = FILLED.iter().map(|partition| (*partition, 1)).collect();
    assert_eq!(client.fetch((session, 1), &ends, &[]), (session, vec![]));
    client.produce(700);
    client.produce(3);
    assert_eq!(indices(&client.fetch((session, 2), &[], &[]).1), [3, 700]);
    assert_eq!(client.fetch((session, 3), &[(3, 1)], &[700]), (session, vec![]));
    let all: Vec<(i32, i64)> = (0..PARTITIONS + 2).map(|index| (index, 0)).collect();
    let told = client.fetch((session, 4), &all, &(0..PARTITIONS).collect::<Vec<_>>()).1;
    const UNKNOWN_PARTITION: i16 = 3;
    assert_eq!(indices(&told), (0..PARTITIONS + 2).collect::<Vec<_>>());
    assert_eq!(told.iter().filter(|told| told.1 == UNKNOWN_PARTITION).count(), 2);
    assert_eq!(told.iter().filter(|told| !told.3.is_empty()).count(), FILLED.len() + 2);
    assert!(broker.stop().success());
}

/// Fetches that wait now.
fn waiting(metrics: &str) -> f64 {
    const WAITING: &str = "kafka_server_delayedoperationpurgatory_purgatorysize{delayedOperation=\"Fetch\"}";
    let (_, text) = get(metrics, "/metrics");
    let lines = text.lines().filter(|line| line.starts_with(WAITING));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn a_wide_fetch_waits_at_all_its_partitions() {
    const LONG: i32 = 600_000;
    let data = folder();
    let mut broker = start(data.path());
    let metrics = broker.metrics_address();
    let (mut reader, mut writer) = (Client::new(&broker), Client::new(&broker));
    let mut wanted: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    for partition in FILLED {
        reader.ask((0, -1), LONG, &wanted, &[]);
        // One on each of two shards.
        until(|| (waiting(&metrics) >= 2.0).then_some(())).expect("it waits");
        writer.produce(partition);
        let told = reader.told().1;
        let found: Vec<i32> = told.iter().filter(|told| !told.3.is_empty()).map(|told| told.0).collect();
        assert_eq!((told.len(), found), (PARTITIONS as usize, vec![partition]));
        wanted[partition as usize].1 = 1;
        until(|| (waiting(&metrics) == 0.0).then_some(())).expect("nothing waits any more");
    }
    // Time alone ends it, too.
    reader.ask((0, -1), 50, &wanted, &[]);
    assert!(reader.told().1.iter().all(|told| told.3.is_empty()));
    assert!(broker.stop().success());
}
