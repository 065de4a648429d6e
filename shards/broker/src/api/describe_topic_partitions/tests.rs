use ottla_wire::messages::describe_topic_partitions_request::{Cursor as From, TopicRequest};

use super::*;
use crate::api::metadata::tests::image;

fn request(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let topic = |name: &&str| TopicRequest::default().with_name(fields::topic_name(name));
    let cursor = cursor.map(|(topic, partition)| {
        From::default().with_topic_name(fields::topic_name(topic)).with_partition_index(partition)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(names.iter().map(topic).collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

/// Error, name and partitions of each topic, and the cursor.
type Told = (Vec<(i16, String, Vec<i32>)>, Option<(String, i32)>);

fn told(request: &DescribeTopicPartitionsRequest) -> Told {
    let response = respond(&image(), 2000, request);
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        (topic.error_code, topic.name.as_ref().unwrap().0.to_string(), partitions)
    });
    let cursor = response.next_cursor.as_ref().map(|c| (c.topic_name.0.to_string(), c.partition_index));
    (topics.collect(), cursor)
}

fn topic(error: i16, name: &str, partitions: &[i32]) -> (i16, String, Vec<i32>) {
    (error, name.to_owned(), partitions.to_vec())
}

#[test]
fn pages_follow_one_another() {
    let (offsets, a) = ("__consumer_offsets", "a");
    assert_eq!(told(&request(&[], 2, None)).0, [topic(0, offsets, &[0]), topic(0, a, &[0])]);
    assert_eq!(told(&request(&[], 2, None)).1, Some((a.to_owned(), 1)));
    assert_eq!(told(&request(&[], 2, Some((a, 1)))), (vec![topic(0, a, &[1, 2])], None));
    assert_eq!(told(&request(&[], 1, None)).1, Some((a.to_owned(), 0)));
    assert_eq!(told(&request(&[], 0, None)).1, Some((a.to_owned(), 0)), "at least one");
    assert_eq!(told(&request(&[], 100, Some((a, 10)))), (vec![topic(0, a, &[])], None));
    assert_eq!(told(&request(&[], 100, Some(("Z", 10)))).0.len(), 2, "its topic is gone");
}

#[test]
fn topics_are_told_once_in_order_with_their_errors() {
    let names = ["a", "a", "b c", "zz"];
    let expected = vec![topic(0, "a", &[0, 1, 2]), topic(17, "b c", &[]), topic(3, "zz", &[])];
    assert_eq!(told(&request(&names, 100, None)), (expected, None));
}

#[test]
fn a_cursor_must_fit_what_is_asked() {
    let refused = (vec![topic(42, "a", &[])], None);
    assert_eq!(told(&request(&["a"], 100, Some(("b", 0)))), refused);
    assert_eq!(told(&request(&["a"], 100, Some(("a", -1)))), refused);
}
