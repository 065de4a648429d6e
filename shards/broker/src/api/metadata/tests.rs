use bytes::BytesMut;
use ottla_cluster::Record;
use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::{ApiKey, messages};

use super::*;

/// One broker and the topics `a` (3 partitions) and `__consumer_offsets`.
pub(crate) fn image() -> Image {
    let topic = |id: u8, name: &str| Record::Topic { id: [id; 16], name: name.to_owned() };
    let partition = |topic: u8, index| Record::Partition {
        topic: [topic; 16],
        index,
        leader: 7,
        leader_epoch: 2,
        replicas: vec![7],
        isr: vec![7],
    };
    let listeners = vec![("IN".to_owned(), "inside".to_owned(), 1), ("OUT".to_owned(), "outside".to_owned(), 2)];
    let mut image = Image::default();
    image
        .apply_all(&[
            Record::Cluster { id: "cluster".to_owned() },
            Record::Broker { id: 7, listeners, rack: Some("rack".to_owned()), fenced: false },
            topic(1, "a"),
            partition(1, 0),
            partition(1, 1),
            partition(1, 2),
            topic(2, "__consumer_offsets"),
            partition(2, 0),
        ])
        .unwrap();
    image
}

fn asking(version: i16) -> Asking<'static> {
    Asking { version, listener: "OUT", may_create: true }
}

fn named(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(fields::topic_name(name)));
    MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
}

fn told(response: &MetadataResponse) -> Vec<(i16, Option<&str>, usize)> {
    response
        .topics
        .iter()
        .map(|topic| (topic.error_code, topic.name.as_ref().map(|name| name.0.as_str()), topic.partitions.len()))
        .collect()
}

#[test]
fn every_version_can_be_written() {
    for version in 0..=ApiKey::Metadata.api().max {
        let mut request = named(&["a", "b", "c d"]);
        if version >= 8 {
            request.include_topic_authorized_operations = true;
            request.include_cluster_authorized_operations = version <= 10;
        }
        let (response, missing) = respond(&image(), asking(version), &request);
        assert_eq!(told(&response), [(0, Some("a"), 3), (3, Some("b"), 0), (17, Some("c d"), 0)]);
        assert_eq!(missing, ["b"]);
        messages::encode(&response, version, &mut BytesMut::new()).unwrap();
    }
}

#[test]
fn addresses_are_those_of_the_listener() {
    let (response, _) = respond(&image(), asking(9), &named(&[]));
    assert_eq!((response.brokers[0].host.as_str(), response.brokers[0].port), ("outside", 2));
    assert_eq!((response.controller_id.0, response.topics.len()), (7, 0));
}

#[test]
fn all_topics_are_null_or_in_version_0_none() {
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!(respond(&image(), asking(1), &all).0.topics.len(), 2);
    assert_eq!(respond(&image(), asking(0), &named(&[])).0.topics.len(), 2);
    assert_eq!(respond(&image(), asking(1), &named(&[])).0.topics.len(), 0);
    let internal: Vec<_> = respond(&image(), asking(1), &all).0.topics.iter().map(|t| t.is_internal).collect();
    assert_eq!(internal, [true, false]);
}

#[test]
fn nothing_is_created_unless_both_agree() {
    let refusing = Asking { may_create: false, ..asking(9) };
    assert!(respond(&image(), refusing, &named(&["b"])).1.is_empty());
    let request = named(&["b"]).with_allow_auto_topic_creation(false);
    assert!(respond(&image(), asking(9), &request).1.is_empty());
}

#[test]
fn ids_are_understood_from_version_12() {
    let by_id =
        |id: u8| MetadataRequestTopic::default().with_name(None).with_topic_id(uuid::Uuid::from_bytes([id; 16]));
    let request = MetadataRequest::default().with_topics(Some(vec![by_id(1), by_id(9), by_id(1)]));
    assert_eq!(told(&respond(&image(), asking(12), &request).0), [(0, Some("a"), 3), (100, None, 0)]);
    let (response, _) = respond(&image(), asking(11), &request);
    assert_eq!(told(&response)[0], (42, Some(""), 0));
    assert_eq!((response.brokers.len(), response.controller_id.0, response.error_code), (0, -1, 0));
    messages::encode(&response, 11, &mut BytesMut::new()).unwrap();
    let nameless = MetadataRequest::default().with_topics(Some(vec![MetadataRequestTopic::default().with_name(None)]));
    assert_eq!(respond(&image(), asking(13), &nameless).0.error_code, 42);
}

#[test]
fn a_topic_asked_for_twice_is_told_once() {
    assert_eq!(told(&respond(&image(), asking(9), &named(&["a", "a"])).0), [(0, Some("a"), 3)]);
}
