use super::*;

#[test]
fn a_snapshot_may_leave_the_shard() {
    fn send<T: Send + 'static>() {}
    send::<Snapshot>();
}

#[test]
fn requests_are_counted_by_api_version_and_error() {
    let metrics = Metrics::default();
    metrics.answered(ApiKey::Produce, 9, Duration::from_micros(80));
    metrics.answered(ApiKey::Produce, 9, Duration::from_micros(90));
    metrics.answered(ApiKey::Produce, 13, Duration::from_micros(100));
    metrics.failed(ApiKey::Produce, ErrorCode::None);
    metrics.failed(ApiKey::Produce, ErrorCode::CorruptMessage);
    metrics.failed(ApiKey::Produce, ErrorCode::UnknownServerError);
    let snapshot = metrics.snapshot(ShardId::new(1));
    assert_eq!(snapshot.apis.len(), 1);
    let produce = &snapshot.apis[0];
    assert_eq!(produce.api, ApiKey::Produce);
    assert_eq!(produce.versions, [(9, 2), (13, 1)]);
    assert_eq!(produce.errors, [(-1, 1), (2, 1)]);
    assert_eq!(produce.latency.count(), 3);
}

#[test]
fn what_is_out_of_range_has_a_place_too() {
    let metrics = Metrics::default();
    metrics.answered(ApiKey::Fetch, -1, Duration::MAX);
    metrics.answered(ApiKey::Fetch, i16::MAX, Duration::ZERO);
    assert_eq!(metrics.snapshot(ShardId::new(0)).apis[0].versions, [(23, 2)]);
}

#[test]
fn a_topic_is_counted_in_one_place_until_it_is_forgotten() {
    let metrics = Metrics::default();
    metrics.topic("t").appended(3, 300);
    metrics.topic("t").sent(2, 200);
    metrics.topic("t").refused_append(1000);
    let snapshot = metrics.snapshot(ShardId::new(0));
    assert_eq!(snapshot.topics.len(), 1);
    let topic = &snapshot.topics[0];
    assert_eq!((topic.records_in, topic.bytes_in, topic.records_out, topic.bytes_out), (3, 300, 2, 200));
    assert_eq!((topic.produces, topic.failed_produces, topic.bytes_rejected, topic.fetches), (2, 1, 1000, 1));
    metrics.forget_topic("t");
    assert!(metrics.snapshot(ShardId::new(0)).topics.is_empty());
}
