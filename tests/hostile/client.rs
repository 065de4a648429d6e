//! A client that behaves: it produces, reads back what it produced, and notes how long that took.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use ottla_batch::{Builder, Codec};
use ottla_units::{Offset, PartitionIndex, Timestamp};
use ottla_wire::fetch::{self, Fetch, FetchPartition, Fetched};
use ottla_wire::messages::create_topics_request::CreatableTopic;
use ottla_wire::messages::{self, CreateTopicsRequest, Request, StrBytes, TopicName};
use ottla_wire::produce::{self, Produced};
use ottla_wire::{ApiKey, TopicRef, frame, header};

use crate::broker::connect;

const PRODUCE: i16 = 9;
const FETCH: i16 = 12;
const TOPIC_ALREADY_EXISTS: i16 = 36;

/// A whole request of any API from its body.
pub(crate) fn framed(api: ApiKey, version: i16, id: i32, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let open = frame::begin_request(&mut out, api, version, id, Some("client"));
    out.put_slice(body);
    open.close(&mut out, 0);
    out
}

/// A whole request from a message.
pub(crate) fn asked<R: Request>(version: i16, id: i32, request: &R) -> BytesMut {
    let mut body = BytesMut::new();
    request.write(&mut body, version).unwrap();
    framed(R::API, version, id, &body)
}

/// One answer, its length taken off.
pub(crate) fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut field = [0; frame::LENGTH_BYTES];
    stream.read_exact(&mut field)?;
    let mut answer = vec![0; frame::length(field, 256 << 20).map_err(io::Error::other)?];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A batch for one topic's partition.
pub(crate) fn produce_request(id: i32, topic: &str, partition: i32, acks: i16, records: &[u8]) -> BytesMut {
    let mut body = BytesMut::new();
    let mut writer = produce::RequestWriter::begin(&mut body, PRODUCE, None, acks, 30_000, 1);
    writer.topic(TopicRef { name: topic, id: Default::default() }, 1);
    writer.partition(PartitionIndex::new(partition), records);
    writer.finish();
    framed(ApiKey::Produce, PRODUCE, id, &body)
}

/// A read from one topic's partitions `0..partitions`, all from `offset`, without a session.
pub(crate) fn fetch_request(id: i32, topic: &str, partitions: i32, offset: i64, bytes_max: i32) -> BytesMut {
    let limits = Fetch { max_wait_ms: 500, min_bytes: 1, max_bytes: bytes_max, session_epoch: -1, ..Fetch::default() };
    let mut body = BytesMut::new();
    let mut writer = fetch::RequestWriter::begin(&mut body, FETCH, &limits, 1);
    writer.topic(TopicRef { name: topic, id: Default::default() }, partitions as usize);
    for index in 0..partitions {
        let place = (PartitionIndex::new(index), Offset::new(offset));
        writer.partition(&FetchPartition::from_consumer(place.0, place.1, bytes_max));
    }
    writer.finish(&[], "");
    framed(ApiKey::Fetch, FETCH, id, &body)
}

/// One record in a batch.
pub(crate) fn batch(codec: Codec, value: &[u8]) -> Vec<u8> {
    let now = Timestamp::new(now_millis());
    Builder::new().codec(codec).record(now, None, Some(value)).build()
}

fn now_millis() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A connection of a client that behaves.
pub(crate) struct Client {
    stream: TcpStream,
    next: i32,
}

impl Client {
    pub(crate) fn new(address: &str) -> Client {
        Client { stream: connect(address), next: 0 }
    }

    /// Sends a request and takes its answer's body.
    pub(crate) fn ask(
        &mut self,
        api: ApiKey,
        version: i16,
        request: impl FnOnce(i32) -> BytesMut,
    ) -> io::Result<Vec<u8>> {
        self.next += 1;
        self.stream.write_all(&request(self.next))?;
        let answer = receive(&mut self.stream)?;
        let (id, at) = header::parse_response(&answer, api, version).map_err(io::Error::other)?;
        if id != self.next {
            return Err(io::Error::other(format!("answer {id} to request {}", self.next)));
        }
        Ok(answer[at..].to_vec())
    }

    /// Creates a topic, unless it is there already.
    pub(crate) fn create(&mut self, topic: &str, partitions: i32) {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let new = CreatableTopic::default().with_name(name).with_num_partitions(partitions).with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(30_000);
        let answer = self.ask(ApiKey::CreateTopics, 7, |id| asked(7, id, &request)).unwrap();
        let answer: messages::CreateTopicsResponse = messages::decode_response(7, answer.into()).unwrap();
        assert!([0, TOPIC_ALREADY_EXISTS].contains(&answer.topics[0].error_code), "{answer:?}");
    }

    /// Produces a batch; the error code, and where it went.
    pub(crate) fn produce(&mut self, topic: &str, partition: i32, records: &[u8]) -> io::Result<(i16, i64)> {
        let answer = self.ask(ApiKey::Produce, PRODUCE, |id| produce_request(id, topic, partition, -1, records))?;
        let mut produced = Produced::default();
        produced.decode(&answer, PRODUCE).map_err(io::Error::other)?;
        Ok((produced.partitions[0].code, produced.partitions[0].base_offset.get()))
    }

    /// The bytes of the batches from `offset` on, of partition 0.
    pub(crate) fn fetch(&mut self, topic: &str, offset: i64) -> io::Result<Vec<u8>> {
        let answer = self.ask(ApiKey::Fetch, FETCH, |id| fetch_request(id, topic, 1, offset, 1 << 20))?;
        let mut fetched = Fetched::default();
        fetched.decode(&answer, FETCH).map_err(io::Error::other)?;
        let partition = &fetched.partitions[0];
        if partition.code != 0 {
            return Err(io::Error::other(format!("fetch of {topic} at {offset}: error {}", partition.code)));
        }
        Ok(partition.records.as_ref().map(|span| span.of(&answer).to_vec()).unwrap_or_default())
    }

    /// Produces one record and reads it back; it must be the same.
    pub(crate) fn round(&mut self, topic: &str, value: &[u8]) -> io::Result<()> {
        let (code, offset) = self.produce(topic, 0, &batch(Codec::None, value))?;
        if code != 0 {
            return Err(io::Error::other(format!("produce: error {code}")));
        }
        let found = self.fetch(topic, offset)?;
        if !found.windows(value.len()).any(|window| window == value) {
            return Err(io::Error::other(format!("offset {offset} of {topic} is not what was produced")));
        }
        Ok(())
    }
}

/// Behaves until told to stop; how long each round took.
pub(crate) fn behave(address: &str, topic: &str, stop: &AtomicBool) -> Result<Vec<Duration>, String> {
    let mut client = Client::new(address);
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let value = format!("the value of round {}", took.len());
        client.round(topic, value.as_bytes()).map_err(|error| format!("round {}: {error}", took.len()))?;
        took.push(begun.elapsed());
    }
    Ok(took)
}
