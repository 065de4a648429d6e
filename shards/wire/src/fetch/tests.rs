use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request as asked;
use kafka_protocol::messages::fetch_response as theirs;
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};
use uuid::Uuid;

use super::*;
use crate::produce::CurrentLeader;
use crate::{NodeEndpoint, TopicRef, WireError};

const ID: [u8; 16] = [7; 16];
const DIRECTORY: [u8; 16] = [9; 16];

fn topic_ref(name: &str) -> TopicRef<'_> {
    TopicRef { name, id: TopicId::from_bytes(ID) }
}

fn their_partition(version: i16) -> asked::FetchPartition {
    let mut partition = asked::FetchPartition::default().with_partition(3).with_fetch_offset(100);
    partition.partition_max_bytes = 1 << 20;
    if version >= 5 {
        partition.log_start_offset = 50;
    }
    if version >= 9 {
        partition.current_leader_epoch = 4;
    }
    if version >= 12 {
        partition.last_fetched_epoch = 2;
    }
    if version >= 17 {
        partition.replica_directory_id = Uuid::from_bytes(DIRECTORY);
    }
    if version >= 18 {
        partition.high_watermark = 99;
    }
    partition
}

fn their_request(version: i16) -> FetchRequest {
    let name = |name: &'static str| TopicName(StrBytes::from_static_str(name));
    let mut topic = asked::FetchTopic::default().with_partitions(vec![their_partition(version)]);
    let mut forgotten = asked::ForgottenTopic::default().with_partitions(vec![1, 2]);
    if version >= BY_ID {
        (topic.topic_id, forgotten.topic_id) = (Uuid::from_bytes(ID), Uuid::from_bytes(ID));
    } else {
        (topic.topic, forgotten.topic) = (name("first"), name("gone"));
    }
    let mut request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_max_bytes(1000);
    request.isolation_level = 1;
    request.topics = vec![topic];
    if version <= 14 {
        request.replica_id = BrokerId(6);
    } else {
        request.replica_state = asked::ReplicaState::default().with_replica_id(BrokerId(6)).with_replica_epoch(8);
    }
    if version >= 7 {
        (request.session_id, request.session_epoch) = (21, 2);
        request.forgotten_topics_data = vec![forgotten];
    }
    if version >= 11 {
        request.rack_id = StrBytes::from_static_str("rack");
    }
    request
}

/// What [`their_request`] is in our words, but for its topics.
fn our_limits(version: i16) -> Fetch {
    Fetch {
        replica_id: 6,
        replica_epoch: if version >= 15 { 8 } else { -1 },
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1000,
        isolation_level: 1,
        session_id: if version >= 7 { 21 } else { 0 },
        session_epoch: if version >= 7 { 2 } else { -1 },
        ..Fetch::default()
    }
}

fn our_partition(version: i16) -> FetchPartition {
    let epoch = |first, epoch| LeaderEpoch::new(if version >= first { epoch } else { -1 });
    FetchPartition {
        current_leader_epoch: epoch(9, 4),
        last_fetched_epoch: epoch(12, 2),
        log_start_offset: Offset::new(if version >= 5 { 50 } else { -1 }),
        replica_directory: if version >= 17 { DIRECTORY } else { [0; 16] },
        high_watermark: if version >= 18 { Offset::new(99) } else { Offset::MAX },
        ..FetchPartition::from_consumer(PartitionIndex::new(3), Offset::new(100), 1 << 20)
    }
}

#[test]
fn requests_decode_as_the_crate_encodes_them() {
    let mut request = Fetch::default();
    for version in 4..=18 {
        let mut theirs = their_request(version);
        if version >= 12 {
            theirs.cluster_id = Some(StrBytes::from_static_str("cluster"));
        }
        let mut body = BytesMut::new();
        theirs.encode(&mut body, version).unwrap();
        request.decode(&body, version).unwrap();
        assert_eq!(request.partitions, [our_partition(version)], "version {version}");
        let forgotten: Vec<_> = request.forgotten.iter().map(|p| (p.topic, p.index.get())).collect();
        assert_eq!(forgotten, if version >= 7 { vec![(0, 1), (0, 2)] } else { vec![] });
        assert_eq!(request.cluster_id.map(|span| span.text(&body)), (version >= 12).then_some("cluster"));
        assert_eq!(request.rack_id.text(&body), if version >= 11 { "rack" } else { "" });
        let topic = request.topics[0];
        assert_eq!(topic.name.text(&body), if version >= BY_ID { "" } else { "first" });
        assert_eq!(topic.id.to_bytes(), if version >= BY_ID { ID } else { [0; 16] });
        let limits = Fetch {
            topics: request.topics.clone(),
            partitions: request.partitions.clone(),
            forgotten_topics: request.forgotten_topics.clone(),
            forgotten: request.forgotten.clone(),
            cluster_id: request.cluster_id,
            rack_id: request.rack_id,
            ..our_limits(version)
        };
        assert_eq!(request, limits, "version {version}");
        for end in 0..body.len() {
            let refused = request.decode(&body[..end], version);
            assert!(matches!(refused, Err(WireError::Truncated { .. })), "version {version} cut at {end}: {refused:?}");
        }
        body.extend([0]);
        assert_eq!(request.decode(&body, version), Err(WireError::LeftOver(1)));
    }
}

#[test]
fn requests_encode_as_the_crate_does() {
    for version in 4..=18 {
        let mut body = BytesMut::new();
        let mut writer = RequestWriter::begin(&mut body, version, &our_limits(version), 1);
        writer.topic(topic_ref("first"), 1);
        writer.partition(&our_partition(version));
        let forgotten = [PartitionIndex::new(1), PartitionIndex::new(2)];
        writer.finish(&[(topic_ref("gone"), &forgotten)], "rack");
        let mut expected = BytesMut::new();
        their_request(version).encode(&mut expected, version).unwrap();
        assert_eq!(body, expected, "version {version}");
    }
}

const ABORTED: [AbortedTransaction; 1] =
    [AbortedTransaction { producer_id: ProducerId::new(4000), first_offset: Offset::new(70) }];

fn endpoint() -> NodeEndpoint {
    NodeEndpoint { node_id: 5, host: "there".to_owned(), port: 9092, rack: None }
}

fn good_answer() -> PartitionAnswer<'static> {
    PartitionAnswer {
        high_watermark: Offset::new(90),
        last_stable_offset: Offset::new(80),
        log_start_offset: Offset::new(10),
        aborted_transactions: Some(&ABORTED),
        preferred_read_replica: 2,
        records_bytes: 7,
        ..PartitionAnswer::refused(PartitionIndex::new(3), 0)
    }
}

/// Writes an answer and sends it as a connection would.
fn write_answer(version: i16) -> Vec<u8> {
    let bad = PartitionAnswer {
        diverging_epoch: Some(DivergingEpoch { epoch: LeaderEpoch::new(3), end_offset: Offset::new(60) }),
        current_leader: Some(CurrentLeader { node_id: 5, epoch: LeaderEpoch::new(9) }),
        ..PartitionAnswer::refused(PartitionIndex::new(1), 6)
    };
    let last = PartitionAnswer { records_bytes: 3, ..PartitionAnswer::refused(PartitionIndex::new(0), 0) };
    let (mut body, mut gaps) = (BytesMut::new(), Vec::new());
    let mut writer = ResponseWriter::begin(&mut body, version, &mut gaps, 11, 0, 21, 2);
    writer.topic(topic_ref("first"), 2);
    writer.partition(&good_answer());
    writer.partition(&bad);
    writer.topic(topic_ref("second"), 1);
    writer.partition(&last);
    assert_eq!(writer.finish(&[endpoint()]), 10);
    let records = [&b"records"[..], b"", b"end"];
    let mut sent = Vec::new();
    for piece in pieces(0..body.len(), &gaps) {
        match piece {
            Piece::Head(range) => sent.extend(&body[range]),
            Piece::Records(gap) => {
                assert_eq!(records[gap.partition].len(), gap.bytes);
                sent.extend(records[gap.partition]);
            }
        }
    }
    sent
}

fn their_good_partition(version: i16) -> theirs::PartitionData {
    let aborted = theirs::AbortedTransaction::default().with_first_offset(70);
    let mut good = theirs::PartitionData::default().with_partition_index(3).with_high_watermark(90);
    good.last_stable_offset = 80;
    good.aborted_transactions = Some(vec![aborted.with_producer_id(4000.into())]);
    good.records = Some(Bytes::from_static(b"records"));
    if version >= 5 {
        good.log_start_offset = 10;
    }
    if version >= 11 {
        good.preferred_read_replica = BrokerId(2);
    }
    good
}

fn their_answer(version: i16) -> FetchResponse {
    let refused = |index, code, records: &'static [u8]| {
        let mut data = theirs::PartitionData::default().with_partition_index(index).with_error_code(code);
        (data.high_watermark, data.aborted_transactions) = (-1, None);
        data.with_records(Some(Bytes::from_static(records)))
    };
    let mut bad = refused(1, 6, b"");
    if version >= 12 {
        bad.diverging_epoch = theirs::EpochEndOffset::default().with_epoch(3).with_end_offset(60);
        bad.current_leader = theirs::LeaderIdAndEpoch::default().with_leader_id(BrokerId(5)).with_leader_epoch(9);
    }
    let topic = |name: &'static str, partitions| {
        let topic = theirs::FetchableTopicResponse::default().with_partitions(partitions);
        if version >= BY_ID {
            topic.with_topic_id(Uuid::from_bytes(ID))
        } else {
            topic.with_topic(TopicName(StrBytes::from_static_str(name)))
        }
    };
    let mut answer = FetchResponse::default().with_throttle_time_ms(11);
    answer.responses =
        vec![topic("first", vec![their_good_partition(version), bad]), topic("second", vec![refused(0, 0, b"end")])];
    if version >= 7 {
        answer.session_id = 21;
    }
    if version >= 16 {
        let node = theirs::NodeEndpoint::default().with_node_id(BrokerId(5)).with_port(9092);
        answer.node_endpoints = vec![node.with_host(StrBytes::from_static_str("there"))];
    }
    answer
}

#[test]
fn answers_encode_as_the_crate_does() {
    for version in 4..=18 {
        let mut expected = BytesMut::new();
        their_answer(version).encode(&mut expected, version).unwrap();
        assert_eq!(write_answer(version), &expected[..], "version {version}");
        let mut whole = expected.freeze();
        assert_eq!(FetchResponse::decode(&mut whole, version).unwrap(), their_answer(version));
    }
}

#[test]
fn answers_decode_as_they_were_written() {
    let mut answer = Fetched::default();
    for version in 4..=18 {
        let body = write_answer(version);
        answer.decode(&body, version).unwrap();
        assert_eq!((answer.throttle_ms, answer.session_id), (11, if version >= 7 { 21 } else { 0 }));
        let [good, bad, last] = &answer.partitions[..] else { panic!("three partitions") };
        assert_eq!((good.topic, good.index.get(), last.topic), (0, 3, 1));
        assert_eq!(good.records.map(|span| span.of(&body)), Some(&b"records"[..]));
        assert_eq!(last.records.map(|span| span.of(&body)), Some(&b"end"[..]));
        assert_eq!(&answer.aborted_transactions[good.aborted_transactions.clone().unwrap()], &ABORTED);
        assert_eq!(good.preferred_read_replica, if version >= 11 { 2 } else { -1 });
        assert_eq!((bad.code, bad.aborted_transactions.clone()), (6, None));
        assert_eq!(bad.diverging_epoch.map(|d| d.end_offset.get()), (version >= 12).then_some(60));
        assert_eq!(bad.current_leader.map(|leader| leader.node_id), (version >= 12).then_some(5));
        assert_eq!(answer.endpoints, if version >= 16 { vec![endpoint()] } else { vec![] });
        for end in 0..body.len() {
            assert!(answer.decode(&body[..end], version).is_err(), "version {version} cut at {end}");
        }
    }
}

#[test]
fn pieces_cover_everything_once() {
    let gap = |at, partition| Gap { at, bytes: 1, partition };
    assert_eq!(pieces(4..9, &[]).collect::<Vec<_>>(), [Piece::Head(4..9)]);
    let gaps = [gap(6, 0), gap(8, 2)];
    let expected =
        [Piece::Head(4..6), Piece::Records(gaps[0]), Piece::Head(6..8), Piece::Records(gaps[1]), Piece::Head(8..9)];
    assert_eq!(pieces(4..9, &gaps).collect::<Vec<_>>(), expected);
}

/// Bytes put together by hand from the protocol's description: version 4, a consumer, partition 2 of topic `t`.
#[test]
fn golden_request() {
    let body = [
        0xff, 0xff, 0xff, 0xff, // a consumer
        0, 0, 1, 0xf4, // wait
        0, 0, 0, 1, // bytes at least
        0, 0, 0x10, 0, // bytes at most
        1, // committed only
        0, 0, 0, 1, 0, 1, b't', // one topic
        0, 0, 0, 1, 0, 0, 0, 2, // one partition
        0, 0, 0, 0, 0, 0, 0, 42, // from here
        0, 0, 8, 0, // bytes at most
    ];
    let mut request = Fetch::default();
    request.decode(&body, 4).unwrap();
    assert_eq!((request.replica_id, request.max_wait_ms, request.isolation_level), (-1, 500, 1));
    let wanted = FetchPartition::from_consumer(PartitionIndex::new(2), Offset::new(42), 2048);
    assert_eq!(request.partitions, [wanted]);
}

#[test]
fn hostile_counts_reserve_nothing() {
    let mut request = Fetch::default();
    let mut body = vec![0; 17];
    body.extend([0, 0, 0, 1, 0, 1, b't']);
    body.extend(1_000_000i32.to_be_bytes());
    assert_eq!(request.decode(&body, 4), Err(WireError::Truncated { needed: 16_000_000, remaining: 0 }));
    assert_eq!(request.partitions.capacity(), 0);
}

fn long_request(version: i16) -> BytesMut {
    let topics: Vec<String> = (0..4).map(|topic| format!("topic-{topic}")).collect();
    let mut body = BytesMut::new();
    let mut writer = RequestWriter::begin(&mut body, version, &our_limits(version), topics.len());
    for (topic, name) in topics.iter().enumerate() {
        writer.topic(topic_ref(name), topic * 3);
        for index in 0..topic as i32 * 3 {
            writer.partition(&FetchPartition::from_consumer(PartitionIndex::new(index), Offset::ZERO, 1));
        }
    }
    let forgotten: Vec<PartitionIndex> = (0..7).map(PartitionIndex::new).collect();
    writer
        .finish(&[(topic_ref("gone"), &forgotten), (topic_ref("empty"), &[]), (topic_ref("also"), &forgotten)], "rack");
    body
}

#[test]
fn parts_come_to_the_same_as_all_at_once() {
    for version in 4..=18 {
        let body = long_request(version);
        let mut whole = Fetch::default();
        whole.decode(&body, version).unwrap();
        let entries =
            whole.topics.len() + whole.partitions.len() + whole.forgotten_topics.len() + whole.forgotten.len();
        assert_eq!(entries, if version >= 7 { 4 + 18 + 3 + 14 } else { 4 + 18 });
        for count in 1..=entries + 1 {
            let mut request = Fetch::default();
            let mut decoding = request.decoding(&body, version).unwrap();
            let mut parts = 1;
            while !decoding.advance(count).unwrap() {
                parts += 1;
            }
            assert_eq!(parts, entries / count + 1, "version {version}, {count} at once");
            assert_eq!(request, whole, "version {version}, {count} at once");
        }
    }
}
