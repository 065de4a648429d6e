use bytes::BytesMut;
use ottla_cluster::Refusal;
use ottla_wire::messages::TopicName;
use ottla_wire::messages::delete_topics_request::DeleteTopicState;
use ottla_wire::{ApiKey, messages};

use super::*;

#[test]
fn every_version_can_be_written() {
    let gone = |id: u8| Some(TopicId::from_bytes([id; 16]));
    for version in ApiKey::DeleteTopics.api().min..=ApiKey::DeleteTopics.api().max {
        let refusal = Refusal::plain(ErrorCode::TopicDeletionDisabled);
        let mut outcomes = vec![
            TopicDeleted { name: Some("a".to_owned()), id: gone(1), outcome: Ok(()) },
            TopicDeleted { name: Some("b".to_owned()), id: None, outcome: Err(refusal.clone()) },
        ];
        if version >= 6 {
            outcomes.push(TopicDeleted { name: None, id: gone(2), outcome: Err(refusal) });
        }
        let response = respond(version, outcomes);
        assert_eq!(response.responses[1].error_code, if version >= 3 { 73 } else { 42 });
        messages::encode(&response, version, &mut BytesMut::new()).unwrap();
    }
}

#[test]
fn topics_are_named_by_one_list_or_the_other() {
    let name = || TopicName(fields::text("a"));
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name()]);
    let Command::DeleteTopics { topics } = command(5, &request) else { panic!() };
    assert_eq!(topics, [TopicRef::Name("a".to_owned())]);
    let state =
        |name, id: u8| DeleteTopicState::default().with_name(name).with_topic_id(uuid::Uuid::from_bytes([id; 16]));
    let states = vec![state(Some(name()), 0), state(None, 1), state(Some(name()), 1), state(None, 0)];
    let Command::DeleteTopics { topics } = command(6, &DeleteTopicsRequest::default().with_topics(states)) else {
        panic!()
    };
    let id = TopicId::from_bytes([1; 16]);
    let (name, both) = (TopicRef::Name("a".to_owned()), TopicRef::Both("a".to_owned(), id));
    assert_eq!(topics, [name, TopicRef::Id(id), both, TopicRef::Nameless]);
}
