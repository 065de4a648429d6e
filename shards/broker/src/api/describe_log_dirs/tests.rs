use bytes::BytesMut;
use ottla_units::TopicId;
use ottla_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_wire::{ApiKey, messages};

use super::*;
use crate::api::metadata::tests::image;

fn key(topic: u8, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId::from_bytes([topic; 16]), PartitionIndex::new(partition))
}

#[test]
fn only_what_exists_is_asked_for() {
    let image = image();
    assert_eq!(asked(&image, &DescribeLogDirsRequest::default().with_topics(None)).len(), 4);
    assert_eq!(asked(&image, &DescribeLogDirsRequest::default().with_topics(Some(Vec::new()))), []);
    let topic = |name: &str, partitions: &[i32]| {
        DescribableLogDirTopic::default().with_topic(fields::topic_name(name)).with_partitions(partitions.to_vec())
    };
    let topics = vec![topic("a", &[0, 5, 0, -1]), topic("nope", &[0]), topic("a", &[1, 0])];
    let request = DescribeLogDirsRequest::default().with_topics(Some(topics));
    assert_eq!(asked(&image, &request), [key(1, 0), key(1, 1)]);
}

#[test]
fn every_version_can_be_written() {
    let folder = Folder { path: "/data", space: Some((10, 5)) };
    for version in ApiKey::DescribeLogDirs.api().min..=ApiKey::DescribeLogDirs.api().max {
        let response = respond(&image(), version, &folder, &[(key(1, 1), 9), (key(1, 0), 0), (key(9, 0), 1)]);
        let result = &response.results[0];
        let sizes: Vec<_> = result.topics[0].partitions.iter().map(|p| (p.partition_index, p.partition_size)).collect();
        assert_eq!((result.topics.len(), sizes), (1, vec![(0, 0), (1, 9)]));
        assert_eq!(result.usable_bytes, if version >= 4 { 5 } else { -1 });
        messages::encode(&response, version, &mut BytesMut::new()).unwrap();
    }
}
