use bytes::BytesMut;
use ottla_units::{ErrorCode, TopicId};
use ottla_wire::{ApiKey, messages};

use super::*;

#[test]
fn every_version_can_be_written() {
    let created = TopicCreated {
        id: TopicId::from_bytes([1; 16]),
        partitions: 3,
        replication_factor: 1,
        overrides: ottla_cluster::Overrides::new(),
    };
    let refusal = Refusal::new(ErrorCode::InvalidPartitions, "why");
    for version in ApiKey::CreateTopics.api().min..=ApiKey::CreateTopics.api().max {
        let outcomes = vec![("a".to_owned(), Ok(created.clone())), ("b".to_owned(), Err(refusal.clone()))];
        let setting = CreatableTopicConfigs::default().with_name(fields::text("key"));
        let response = respond(version, outcomes, |_| vec![setting.clone()]);
        let told: Vec<_> = response.topics.iter().map(|t| (t.error_code, t.num_partitions)).collect();
        assert_eq!(told, [(0, if version >= 5 { 3 } else { -1 }), (37, -1)]);
        let mut bytes = BytesMut::new();
        messages::encode(&response, version, &mut bytes).unwrap();
        let again: CreateTopicsResponse = messages::decode_response(version, bytes.freeze()).unwrap();
        assert_eq!(again.topics[1].error_message.as_deref(), Some("why"));
    }
}
