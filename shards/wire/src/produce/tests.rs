use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response as theirs;
use kafka_protocol::messages::{BrokerId, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId};
use uuid::Uuid;

use super::*;
use crate::{NodeEndpoint, TopicRef, WireError};

const ID: [u8; 16] = [7; 16];

fn topic_ref(name: &str) -> TopicRef<'_> {
    TopicRef { name, id: TopicId::from_bytes(ID) }
}

/// Two topics: one with two partitions, one of them null; one with none.
fn their_request(version: i16) -> ProduceRequest {
    let partition = |index, records: Option<&'static [u8]>| {
        PartitionProduceData::default().with_index(index).with_records(records.map(Bytes::from_static))
    };
    let topic = |name: &'static str, partitions| {
        let topic = TopicProduceData::default().with_partition_data(partitions);
        if version >= BY_ID {
            topic.with_topic_id(Uuid::from_bytes(ID))
        } else {
            topic.with_name(TopicName(StrBytes::from_static_str(name)))
        }
    };
    ProduceRequest::default()
        .with_transactional_id((version % 2 == 0).then(|| StrBytes::from_static_str("tx").into()))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            topic("first", vec![partition(3, Some(b"records")), partition(1, None)]),
            topic("second", vec![]),
        ])
}

#[test]
fn requests_decode_as_the_crate_encodes_them() {
    let mut request = Produce::default();
    for version in 3..=13 {
        let mut body = BytesMut::new();
        their_request(version).encode(&mut body, version).unwrap();
        request.decode(&body, version).unwrap();
        let transactional_id = request.transactional_id.map(|span| span.text(&body));
        assert_eq!(transactional_id, (version % 2 == 0).then_some("tx"));
        assert_eq!((request.acks, request.timeout_ms, request.topics.len()), (-1, 30_000, 2));
        let first = request.topics[0];
        let named = (first.name.text(&body), first.id.to_bytes());
        assert_eq!(named, if version >= BY_ID { ("", ID) } else { ("first", [0; 16]) });
        let partitions: Vec<_> =
            request.partitions.iter().map(|p| (p.topic, p.index.get(), p.records.map(|r| r.of(&body)))).collect();
        assert_eq!(partitions, [(0, 3, Some(&b"records"[..])), (0, 1, None)]);
        for end in 0..body.len() {
            let refused = request.decode(&body[..end], version);
            assert!(matches!(refused, Err(WireError::Truncated { .. })), "version {version} cut at {end}: {refused:?}");
        }
        body.extend([0]);
        assert_eq!(request.decode(&body, version), Err(WireError::LeftOver(1)));
    }
}

#[test]
fn requests_encode_as_the_crate_decodes_them() {
    for version in 3..=13 {
        let mut body = BytesMut::new();
        let mut writer = RequestWriter::begin(&mut body, version, (version % 2 == 0).then_some("tx"), -1, 30_000, 2);
        writer.topic(topic_ref("first"), 2);
        writer.partition(PartitionIndex::new(3), b"records");
        writer.partition(PartitionIndex::new(1), b"");
        writer.topic(topic_ref("second"), 0);
        writer.finish();
        let mut expected = their_request(version);
        expected.topic_data[0].partition_data[1].records = Some(Bytes::new());
        let mut body = body.freeze();
        assert_eq!(ProduceRequest::decode(&mut body, version).unwrap(), expected, "version {version}");
        assert!(body.is_empty());
    }
}

fn endpoint() -> NodeEndpoint {
    NodeEndpoint { node_id: 5, host: "there".to_owned(), port: 9092, rack: Some("r".to_owned()) }
}

fn write_answer(version: i16) -> BytesMut {
    let errors = [
        RecordError { batch_index: 4, message: Some("no key".to_owned()) },
        RecordError { batch_index: 5, message: None },
    ];
    let good = PartitionAnswer {
        base_offset: Offset::new(77),
        log_append_time: Timestamp::new(1234),
        log_start_offset: Offset::new(3),
        ..PartitionAnswer::refused(PartitionIndex::new(3), 0)
    };
    let bad = PartitionAnswer {
        record_errors: &errors,
        error_message: Some("refused"),
        current_leader: Some(CurrentLeader { node_id: 5, epoch: LeaderEpoch::new(9) }),
        ..PartitionAnswer::refused(PartitionIndex::new(1), 87)
    };
    let mut body = BytesMut::new();
    let mut writer = ResponseWriter::begin(&mut body, version, 2);
    writer.topic(topic_ref("first"), 2);
    writer.partition(&good);
    writer.partition(&bad);
    writer.topic(topic_ref("second"), 0);
    writer.finish(11, &[endpoint()]);
    body
}

fn their_partitions(version: i16) -> Vec<theirs::PartitionProduceResponse> {
    let mut good = theirs::PartitionProduceResponse::default().with_index(3).with_base_offset(77);
    good.log_append_time_ms = 1234;
    let mut bad = theirs::PartitionProduceResponse::default().with_index(1).with_error_code(87);
    bad.base_offset = -1;
    if version >= 5 {
        good.log_start_offset = 3;
    }
    if version >= 8 {
        let error = |index| theirs::BatchIndexAndErrorMessage::default().with_batch_index(index);
        bad.record_errors =
            vec![error(4).with_batch_index_error_message(Some(StrBytes::from_static_str("no key"))), error(5)];
        bad.error_message = Some(StrBytes::from_static_str("refused"));
    }
    if version >= 10 {
        bad.current_leader = theirs::LeaderIdAndEpoch::default().with_leader_id(BrokerId(5)).with_leader_epoch(9);
    }
    vec![good, bad]
}

fn their_answer(version: i16) -> ProduceResponse {
    let topic = |name: &'static str, partitions| {
        let topic = theirs::TopicProduceResponse::default().with_partition_responses(partitions);
        if version >= BY_ID {
            topic.with_topic_id(Uuid::from_bytes(ID))
        } else {
            topic.with_name(TopicName(StrBytes::from_static_str(name)))
        }
    };
    let mut answer = ProduceResponse::default()
        .with_throttle_time_ms(11)
        .with_responses(vec![topic("first", their_partitions(version)), topic("second", vec![])]);
    if version >= 10 {
        let node = theirs::NodeEndpoint::default()
            .with_node_id(BrokerId(5))
            .with_host(StrBytes::from_static_str("there"))
            .with_port(9092)
            .with_rack(Some(StrBytes::from_static_str("r")));
        answer.node_endpoints = vec![node];
    }
    answer
}

#[test]
fn answers_encode_as_the_crate_does() {
    for version in 3..=13 {
        let ours = write_answer(version);
        let mut expected = BytesMut::new();
        their_answer(version).encode(&mut expected, version).unwrap();
        assert_eq!(ours, expected, "version {version}");
    }
}

#[test]
fn answers_decode_as_they_were_written() {
    let mut answer = Produced::default();
    for version in 3..=13 {
        let body = write_answer(version);
        answer.decode(&body, version).unwrap();
        assert_eq!((answer.throttle_ms, answer.topics.len(), answer.partitions.len()), (11, 2, 2));
        let good = &answer.partitions[0];
        assert_eq!((good.topic, good.index.get(), good.code), (0, 3, 0));
        assert_eq!((good.base_offset, good.log_append_time), (Offset::new(77), Timestamp::new(1234)));
        assert_eq!(good.log_start_offset.get(), if version >= 5 { 3 } else { -1 });
        let bad = &answer.partitions[1];
        assert_eq!(bad.error_message.map(|span| span.text(&body)), (version >= 8).then_some("refused"));
        let errors = &answer.record_errors[bad.record_errors.clone()];
        assert_eq!(errors.len(), if version >= 8 { 2 } else { 0 });
        assert_eq!(bad.current_leader.map(|leader| leader.node_id), (version >= 10).then_some(5));
        assert_eq!(answer.endpoints, if version >= 10 { vec![endpoint()] } else { vec![] });
        for end in 0..body.len() {
            assert!(answer.decode(&body[..end], version).is_err(), "version {version} cut at {end}");
        }
    }
}

/// Bytes put together by hand from the protocol's description: version 9, acks 1, one topic `t` with partition 2.
#[test]
fn golden_request() {
    let body = [
        0, // no transactional id
        0, 1, // acks
        0, 0, 3, 0xe8, // timeout
        2,    // one topic
        2, b't', // its name
        2,    // one partition
        0, 0, 0, 2, // its index
        4, 9, 8, 7, // three bytes of records
        0, 0, 0, // tagged fields of partition, topic, message
    ];
    let mut request = Produce::default();
    request.decode(&body, 9).unwrap();
    assert_eq!((request.acks, request.timeout_ms), (1, 1000));
    assert_eq!(request.topics[0].name.text(&body), "t");
    assert_eq!(request.partitions[0].records.map(|span| span.of(&body)), Some(&[9, 8, 7][..]));
}

#[test]
fn hostile_counts_reserve_nothing() {
    let mut request = Produce::default();
    // Version 3, no transactional id, a topic with 2^31 - 1 partitions.
    let mut body = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, b't'];
    body.extend(i32::MAX.to_be_bytes());
    assert_eq!(request.decode(&body, 3), Err(WireError::TooManyElements(i32::MAX as usize)));
    body.truncate(15);
    body.extend(1_000_000i32.to_be_bytes());
    assert_eq!(request.decode(&body, 3), Err(WireError::Truncated { needed: 5_000_000, remaining: 0 }));
    assert_eq!(request.partitions.capacity(), 0);
}
