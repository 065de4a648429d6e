use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::Receiver;

use bytes::BytesMut;
use ottla_batch::Builder;
use ottla_units::{ErrorCode, PartitionIndex, Timestamp, TopicId};
use ottla_wire::produce::{Produced, RequestWriter};
use ottla_wire::{ApiKey, TopicRef, frame, header};

use super::*;
use crate::connection::Connection as Client;
use crate::kinds;
use crate::spec::{Bytes as Size, Spec, Verify};
use crate::stage::{Control, Target, no_gate};
use crate::topics as client;

const PRODUCE: i16 = 9;

/// A floor in a folder of its own, and what it says.
struct Running {
    floor: Floor,
    said: Receiver<String>,
    data: tempfile::TempDir,
}

fn running(shards: usize) -> Running {
    let data = tempfile::tempdir().unwrap();
    let (sender, said) = channel();
    let say: Say = Arc::new(move |line: &str| sender.send(line.to_owned()).unwrap_or_default());
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { listen, data: data.path().to_owned(), shards };
    Running { floor: Floor::start(&settings, say).unwrap(), said, data }
}

fn batch(value: &[u8], records: usize) -> Vec<u8> {
    (0..records).fold(Builder::new(), |batch, _| batch.record(Timestamp::new(1), None, Some(value))).build()
}

/// A Produce request for some partitions of topic `t`.
fn produce(correlation: i32, acks: i16, partitions: &[(i32, &[u8])]) -> BytesMut {
    let mut out = BytesMut::new();
    let open = frame::begin_request(&mut out, ApiKey::Produce, PRODUCE, correlation, None);
    let mut writer = RequestWriter::begin(&mut out, PRODUCE, None, acks, 1_000, 1);
    writer.topic(TopicRef { name: "t", id: TopicId::ZERO }, partitions.len());
    for (index, records) in partitions {
        writer.partition(PartitionIndex::new(*index), records);
    }
    writer.finish();
    open.close(&mut out, 0);
    out
}

/// The next answer: its correlation id, and each partition's error and offset.
fn produced(socket: &mut TcpStream) -> (i32, Vec<(i16, i64)>) {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut answer).unwrap();
    let (correlation, at) = header::parse_response(&answer, ApiKey::Produce, PRODUCE).unwrap();
    let mut produced = Produced::default();
    produced.decode(&answer[at..], PRODUCE).unwrap();
    (correlation, produced.partitions.iter().map(|partition| (partition.code, partition.base_offset.get())).collect())
}

#[test]
fn the_load_generators_workloads_run_without_an_error() {
    let Running { floor, data, .. } = running(2);
    let target = Target {
        label: "floor".to_owned(),
        bootstrap: floor.address().to_string(),
        addr: floor.address(),
        pid: Some(std::process::id()),
    };
    let control = Control {
        stop: Arc::default(),
        fail_fast: true,
        part: (0, 1),
        seed: 1,
        verify_seconds: 0.0,
        live: &|_| {},
        gate: &no_gate,
    };
    // Frames that are received whole, longer ones, and many partitions in one.
    for (batch_bytes, partitions_per_request) in [(1 << 10, 1), (300 << 10, 1), (1 << 10, 200)] {
        let mut spec = Spec { seconds: 0.2, warm_seconds: 0.05, ..Spec::default() };
        spec.topics.partitions = 200;
        spec.produce.producers = 5;
        spec.produce.batch_bytes = Size(batch_bytes);
        spec.produce.partitions_per_request = partitions_per_request;
        spec.consume.verify = Verify::Off;
        let result = kinds::run(&spec, &target, &control, None).unwrap();
        assert!(result.is_clean(), "{batch_bytes} {result:?}");
        assert!(result.stages[0].produced.requests_per_second > 0.0 && result.notes.is_empty(), "{result:?}");
    }
    assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0, "its files have no names");
    assert!(!floor.is_broken());
    floor.stop().unwrap();
}

/// The content of a shard's file, which only its descriptor leads to.
fn content(data: &Path, shard: usize) -> Vec<u8> {
    let name = data.join(format!("floor-{}-{shard} (deleted)", std::process::id()));
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|entry| entry.path());
    let found = descriptors.into_iter().find(|path| std::fs::read_link(path).is_ok_and(|link| link == name));
    std::fs::read(found.expect("it is open")).unwrap()
}

#[test]
fn what_is_answered_is_on_the_disk_with_rising_offsets() {
    let Running { floor, data, .. } = running(1);
    client::create(&mut Client::open(floor.address()).unwrap(), "t", 2, &[]).unwrap();
    let mut sockets = [TcpStream::connect(floor.address()).unwrap(), TcpStream::connect(floor.address()).unwrap()];
    let (first, second) = (batch(b"the first", 3), batch(b"the second", 1));
    sockets[0].write_all(&produce(1, -1, &[(0, &first), (1, &second)])).unwrap();
    assert_eq!(produced(&mut sockets[0]), (1, vec![(0, 0), (0, 0)]));
    // Without an answer, then with one: in this order.
    sockets[1].write_all(&produce(2, 0, &[(0, &second)])).unwrap();
    sockets[1].write_all(&produce(3, 1, &[(0, &second), (2, &first), (1, b"no batch")])).unwrap();
    let (unknown, invalid) = (ErrorCode::UnknownTopicOrPartition.code(), ErrorCode::InvalidRecord.code());
    assert_eq!(produced(&mut sockets[1]), (3, vec![(0, 4), (unknown, -1), (invalid, -1)]));
    let written = content(data.path(), 0);
    assert_eq!(written.len() as u64, 64 << 20);
    assert!(written.starts_with(&[first.clone(), second].concat()));
    assert!(!written.windows(8).any(|bytes| bytes == b"no batch"), "what is refused is not written");
    let ends = client::ends(&mut Client::open(floor.address()).unwrap(), "t", 2).unwrap();
    assert_eq!(ends, [5, 1]);
    floor.stop().unwrap();
}

#[test]
fn requests_longer_than_a_frame_go_round_the_file() {
    let Running { floor, data, .. } = running(1);
    client::create(&mut Client::open(floor.address()).unwrap(), "t", 1, &[]).unwrap();
    let mut socket = TcpStream::connect(floor.address()).unwrap();
    for number in 0..9 {
        let records = batch(&vec![b'a' + number; 9 << 20], 1);
        socket.write_all(&produce(number.into(), -1, &[(0, &records)])).unwrap();
        assert_eq!(produced(&mut socket), (number.into(), vec![(0, number.into())]));
    }
    let written = content(data.path(), 0);
    let kinds = |letter: u8| written.iter().filter(|byte| **byte == letter).count();
    // A frame's last block ends with what was there before.
    assert!(kinds(b'i') >= 9 << 20, "the last one is whole");
    assert!(kinds(b'a') < 9 << 20, "the first one is written over");
    assert_eq!(written.len() as u64, 64 << 20);
    floor.stop().unwrap();
}

#[test]
fn what_it_does_not_serve_ends_the_connection_with_a_clear_line() {
    let Running { floor, said, .. } = running(2);
    let mut fetch = BytesMut::new();
    frame::begin_request(&mut fetch, ApiKey::Fetch, 12, 1, Some("test")).close(&mut fetch, 0);
    let too_long = [0x7f, 0, 0, 0];
    for (bytes, expected) in [(&fetch[..], "does not serve Fetch 12"), (&too_long[..], "104857600")] {
        let mut socket = TcpStream::connect(floor.address()).unwrap();
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // Closed with bytes unread, it may also be a reset.
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:?}");
        let line = said.recv_timeout(READY_TIMEOUT).unwrap();
        assert!(line.contains(expected) && line.contains(&socket.local_addr().unwrap().to_string()), "{line}");
    }
    floor.stop().unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told() {
    let scratch = tempfile::NamedTempFile::new().unwrap();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { listen, data: scratch.path().to_owned(), shards: 1 };
    let error = Floor::start(&settings, Arc::new(|_| {})).err().unwrap().to_string();
    assert!(error.contains(&scratch.path().display().to_string()), "{error}");
}
