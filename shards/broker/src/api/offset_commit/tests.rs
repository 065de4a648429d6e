use ottla_units::TopicId;

use super::*;

fn asked(name: &str) -> OffsetCommitRequestTopic {
    OffsetCommitRequestTopic::default().with_name(fields::topic_name(name))
}

fn sorted(refused: Vec<(i32, ErrorCode)>) -> Sorted {
    Sorted { known: CommitTopic::default(), refused }
}

fn result(partition: i32) -> TopicResult {
    let partitions = vec![PartitionResult { partition, error: ErrorCode::None }];
    TopicResult { name: String::new(), id: TopicId::ZERO, partitions }
}

#[test]
fn a_topic_named_twice_is_answered_once_as_kafka_does() {
    let request = OffsetCommitRequest::default().with_topics(vec![asked("t"), asked("u"), asked("t")]);
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let parts = vec![sorted(vec![(9, unknown)]), sorted(vec![]), sorted(vec![])];
    let response = respond(request, parts, vec![result(0), result(1), result(2)]);
    let told: Vec<(&str, Vec<(i32, i16)>)> = response
        .topics
        .iter()
        .map(|topic| (&*topic.name.0, topic.partitions.iter().map(|p| (p.partition_index, p.error_code)).collect()))
        .collect();
    assert_eq!(told, [("t", vec![(9, 3), (0, 0), (2, 0)]), ("u", vec![(1, 0)])]);
}
