use super::describe_log_dirs_response::DescribeLogDirsResult;
use super::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use super::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use super::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use super::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use super::*;

fn id() -> uuid::Uuid {
    uuid::Uuid::from_bytes([7; 16])
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn request_round_trip<R: Request + PartialEq + std::fmt::Debug>(request: R, version: i16) {
    let mut body = BytesMut::new();
    request.write(&mut body, version).unwrap();
    assert_eq!(decode::<R>(version, body.freeze()), Ok(request));
}

fn response_round_trip<R: Response + PartialEq + std::fmt::Debug>(response: R, version: i16) {
    let mut body = BytesMut::new();
    encode(&response, version, &mut body).unwrap();
    assert_eq!(decode_response::<R>(version, body.freeze()), Ok(response));
}

#[test]
fn offset_commit_10_names_topics_by_id() {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(3).with_committed_offset(9);
    let topic = OffsetCommitRequestTopic::default().with_topic_id(id());
    let request = OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text("m"))
        .with_group_instance_id(Some(text("i")))
        .with_topics(vec![topic.with_partitions(vec![partition.with_committed_metadata(Some(text("meta")))])]);
    request_round_trip(request, 10);
    let partition = OffsetCommitResponsePartition::default().with_partition_index(3).with_error_code(100);
    let topic = OffsetCommitResponseTopic::default().with_topic_id(id()).with_partitions(vec![partition]);
    response_round_trip(OffsetCommitResponse::default().with_topics(vec![topic]), 10);
}

/// The bytes that franz-go, whose definitions have version 10, reads.
#[test]
fn offset_commit_10_golden_answer() {
    let partition = OffsetCommitResponsePartition::default().with_partition_index(3).with_error_code(100);
    let topic = OffsetCommitResponseTopic::default().with_topic_id(id()).with_partitions(vec![partition]);
    let mut body = BytesMut::new();
    encode(&OffsetCommitResponse::default().with_topics(vec![topic]), 10, &mut body).unwrap();
    let mut expected = vec![0, 0, 0, 0, 2];
    expected.extend([7; 16]);
    expected.extend([2, 0, 0, 0, 3, 0, 100, 0, 0, 0]);
    assert_eq!(body, expected);
}

#[test]
fn offset_fetch_10_names_topics_by_id() {
    let topic = OffsetFetchRequestTopics::default().with_topic_id(id()).with_partition_indexes(vec![0, 4]);
    let group = OffsetFetchRequestGroup::default().with_group_id(text("g").into());
    let request = OffsetFetchRequest::default()
        .with_groups(vec![group.clone().with_topics(Some(vec![topic])), group.with_topics(None)])
        .with_require_stable(true);
    request_round_trip(request, 10);
    let partition = OffsetFetchResponsePartitions::default().with_partition_index(3).with_committed_offset(9);
    let topic = OffsetFetchResponseTopics::default().with_topic_id(id());
    let topic = topic.with_partitions(vec![partition.with_metadata(Some(text("meta")))]);
    let group = OffsetFetchResponseGroup::default().with_group_id(text("g").into()).with_topics(vec![topic]);
    response_round_trip(OffsetFetchResponse::default().with_groups(vec![group]), 10);
}

#[test]
fn log_dirs_5_says_that_nothing_is_cordoned() {
    let directory = DescribeLogDirsResult::default().with_log_dir(text("/d")).with_total_bytes(1);
    let response = DescribeLogDirsResponse::default().with_results(vec![directory.clone(), directory]);
    let mut body = BytesMut::new();
    encode(&response, 5, &mut body).unwrap();
    let mut older = BytesMut::new();
    encode(&response, 4, &mut older).unwrap();
    assert_eq!(body.len(), older.len() + 2);
    response_round_trip(response, 5);
}

#[test]
fn list_offsets_11_is_laid_out_like_10() {
    request_round_trip(ListOffsetsRequest::default().with_timeout_ms(30), 11);
    response_round_trip(ListOffsetsResponse::default(), 11);
}

#[test]
fn a_field_that_the_version_lacks_is_an_error() {
    let response = ApiVersionsResponse::default().with_throttle_time_ms(5);
    let refused = encode(&HeartbeatResponse::default().with_throttle_time_ms(5), 0, &mut BytesMut::new());
    assert_eq!(encode(&response, 0, &mut BytesMut::new()), Ok(()));
    assert!(matches!(refused, Ok(()) | Err(WireError::Unencodable(ApiKey::Heartbeat))));
    let epoch = list_offsets_response::ListOffsetsPartitionResponse::default().with_leader_epoch(5);
    let topic = list_offsets_response::ListOffsetsTopicResponse::default().with_partitions(vec![epoch]);
    let response = ListOffsetsResponse::default().with_topics(vec![topic]);
    assert_eq!(encode(&response, 3, &mut BytesMut::new()), Err(WireError::Unencodable(ApiKey::ListOffsets)));
    assert_eq!(encode(&response, 4, &mut BytesMut::new()), Ok(()));
}

#[test]
fn versions_that_are_not_served_do_not_decode() {
    let refused = decode::<CreateTopicsRequest>(1, Bytes::new());
    assert_eq!(refused, Err(WireError::UnsupportedVersion { api: ApiKey::CreateTopics, version: 1 }));
}
