use std::sync::Arc;

use ottla_units::{BrokerId, ErrorCode, PartitionIndex, TopicId};

use super::*;
use crate::command::{Change, MorePartitions, NewTopic, Op, TopicCreated, TopicDeleted, TopicRef};
use crate::image::{Broker, Listener, Resource};

/// Takes every key but `no.such.key`.
struct Lenient;

impl Settings for Lenient {
    fn new_topic(&self, _: &Image, given: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
        let mut overrides = Overrides::new();
        for (key, value) in given {
            if key == "no.such.key" {
                return Err(Refusal::new(ErrorCode::InvalidConfig, "Unknown topic config name: no.such.key"));
            }
            overrides.insert(key.clone(), value.clone().unwrap());
        }
        Ok(overrides)
    }

    fn altered(&self, image: &Image, alteration: &Alteration) -> Result<Overrides, Refusal> {
        let mut overrides = (**image.overrides(&alteration.resource)).clone();
        match &alteration.change {
            Change::Replace(settings) => return self.new_topic(image, settings),
            Change::Incremental(ops) => {
                for (key, op, value) in ops {
                    match op {
                        Op::Delete => overrides.remove(key),
                        _ => overrides.insert(key.clone(), value.clone().unwrap()),
                    };
                }
            }
        }
        Ok(overrides)
    }
}

/// A cluster on which commands are decided and applied.
struct Cluster {
    image: Image,
    rules: Rules,
    ids: u8,
}

impl Cluster {
    fn new(brokers: i32) -> Cluster {
        let mut cluster = Cluster { image: Image::default(), rules: Rules::default(), ids: 0 };
        for id in 1..=brokers {
            let listener = Listener { name: Arc::from("PLAINTEXT"), host: Arc::from("localhost"), port: 9092 };
            let broker = Broker { id: BrokerId::new(id), listeners: vec![listener], rack: None, fenced: false };
            assert_eq!(cluster.run(Command::RegisterBroker(broker)), Answer::BrokerRegistered);
        }
        cluster
    }

    fn run(&mut self, command: Command) -> Answer {
        let ids = &mut self.ids;
        let mut new_topic_id = || {
            *ids += 1;
            TopicId::from_bytes([*ids; 16])
        };
        let mut context =
            Context { image: &self.image, rules: &self.rules, settings: &Lenient, new_topic_id: &mut new_topic_id };
        let decision = decide(&mut context, command);
        self.image.apply_all(&decision.records).unwrap();
        decision.answer
    }

    fn create(&mut self, topics: Vec<NewTopic>) -> Vec<(String, Result<TopicCreated, Refusal>)> {
        match self.run(Command::CreateTopics { topics, validate_only: false }) {
            Answer::TopicsCreated(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    fn create_one(&mut self, topic: NewTopic) -> Result<TopicCreated, (ErrorCode, String)> {
        self.create(vec![topic]).remove(0).1.map_err(|refusal| (refusal.code, refusal.message.unwrap()))
    }

    fn refused(&mut self, topic: NewTopic, code: ErrorCode, message: &str) {
        assert_eq!(self.create_one(topic), Err((code, message.to_owned())));
    }

    fn delete(&mut self, topics: Vec<TopicRef>) -> Vec<TopicDeleted> {
        match self.run(Command::DeleteTopics { topics }) {
            Answer::TopicsDeleted(outcomes) => outcomes,
            other => panic!("{other:?}"),
        }
    }

    fn grow(&mut self, name: &str, count: i32, assignments: Option<Vec<Vec<BrokerId>>>) -> Result<(), Refusal> {
        let topics = vec![MorePartitions { name: name.to_owned(), count, assignments }];
        match self.run(Command::CreatePartitions { topics, validate_only: false }) {
            Answer::PartitionsCreated(mut outcomes) => outcomes.remove(0).1,
            other => panic!("{other:?}"),
        }
    }
}

fn topic(name: &str, partitions: i32, factor: i16) -> NewTopic {
    NewTopic { partitions, replication_factor: factor, ..NewTopic::with_defaults(name) }
}

fn on(name: &str, lists: &[(i32, &[i32])]) -> NewTopic {
    let list = |ids: &[i32]| ids.iter().copied().map(BrokerId::new).collect();
    let assignments = lists.iter().map(|(index, ids)| (*index, list(ids))).collect();
    NewTopic { assignments, ..NewTopic::with_defaults(name) }
}

#[test]
fn a_topic_is_created_grown_and_deleted() {
    let mut cluster = Cluster::new(3);
    let created = cluster.create_one(topic("t", 2, 2)).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 2));
    let found = cluster.image.topic_named("t").unwrap();
    assert_eq!(found.id, created.id);
    assert_eq!(found.partition(PartitionIndex::new(1)).unwrap().replicas.len(), 2);
    assert_eq!(found.partition(PartitionIndex::new(2)), None);
    assert_eq!(found.partition(PartitionIndex::new(-1)), None);
    cluster.grow("t", 5, None).unwrap();
    assert_eq!(cluster.image.partition_count(), 5);
    let deleted = cluster.delete(vec![TopicRef::Id(created.id)]);
    assert_eq!(deleted, [TopicDeleted { name: Some("t".to_owned()), id: Some(created.id), outcome: Ok(()) }]);
    assert_eq!((cluster.image.topic_count(), cluster.image.partition_count()), (0, 0));
}

#[test]
fn names_follow_kafkas_rules() {
    let mut cluster = Cluster::new(1);
    let invalid = ErrorCode::InvalidTopicException;
    cluster.refused(topic("", 1, 1), invalid, "Topic name is invalid: the empty string is not allowed");
    cluster.refused(topic("..", 1, 1), invalid, "Topic name is invalid: '..' is not allowed");
    let long = "x".repeat(250);
    let message = format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249");
    cluster.refused(topic(&long, 1, 1), invalid, &message);
    let message = "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' \
                   and '-'";
    cluster.refused(topic("a b", 1, 1), invalid, message);
    cluster.create_one(topic("a.b", 1, 1)).unwrap();
    cluster.refused(topic("a_b", 1, 1), invalid, "Topic 'a_b' collides with existing topic: a.b");
    cluster.refused(topic("a.b", 1, 1), ErrorCode::TopicAlreadyExists, "Topic 'a.b' already exists.");
    let outcomes = cluster.create(vec![topic("c_d", 1, 1), topic("c.d", 1, 1)]);
    assert!(outcomes[0].1.is_ok());
    assert!(outcomes[1].1.is_err(), "collides within the request");
    cluster.run(Command::DeleteTopics { topics: vec![TopicRef::Name("a.b".to_owned())] });
    cluster.create_one(topic("a_b", 1, 1)).unwrap();
}

#[test]
fn counts_follow_kafkas_rules() {
    let mut cluster = Cluster::new(1);
    let message = "Number of partitions was set to an invalid non-positive value.";
    cluster.refused(topic("t", 0, 1), ErrorCode::InvalidPartitions, message);
    let message = "Replication factor must be larger than 0, or -1 to use the default value.";
    cluster.refused(topic("t", 0, 0), ErrorCode::InvalidReplicationFactor, message);
    let message = "Unable to replicate the partition 5 time(s): The target replication factor of 5 cannot be reached \
                   because only 1 broker(s) are registered or some brokers have all their log directories cordoned.";
    cluster.refused(topic("t", 1, 5), ErrorCode::InvalidReplicationFactor, message);
    let message = "Excessively large number of partitions per request.";
    cluster.refused(topic("t", 10_001, 1), ErrorCode::PolicyViolation, message);
    cluster.rules.partitions_max = 5;
    let message = "The cluster has room for 5 more partition(s), not for 6.";
    cluster.refused(topic("t", 6, 1), ErrorCode::PolicyViolation, message);
    cluster.rules.partitions = 4;
    assert_eq!(cluster.create_one(topic("t", -1, -1)).unwrap().partitions, 4);
    assert_eq!(cluster.grow("t", 6, None).unwrap_err().code, ErrorCode::PolicyViolation);
    cluster.grow("t", 5, None).unwrap();
}

#[test]
fn assignments_follow_kafkas_rules() {
    let mut cluster = Cluster::new(2);
    let wrong = ErrorCode::InvalidReplicaAssignment;
    let message = "The manual partition assignment includes an empty replica list.";
    cluster.refused(on("t", &[(0, &[])]), wrong, message);
    let message = "The manual partition assignment includes broker 77, but no such broker is registered.";
    cluster.refused(on("t", &[(0, &[77])]), wrong, message);
    let message = "The manual partition assignment includes the broker 1 more than once.";
    cluster.refused(on("t", &[(0, &[1, 1])]), wrong, message);
    let message = "partitions should be a consecutive 0-based integer sequence";
    cluster.refused(on("t", &[(0, &[1]), (2, &[1])]), wrong, message);
    let message = "Found multiple manual partition assignments for partition 0";
    cluster.refused(on("t", &[(0, &[1]), (0, &[1])]), wrong, message);
    let message = "The manual partition assignment includes a partition with 2 replica(s), but this is not consistent with \
                   previous partitions, which have 1 replica(s).";
    cluster.refused(on("t", &[(0, &[1]), (1, &[1, 2])]), wrong, message);
    let both = NewTopic { partitions: 1, ..on("t", &[(0, &[1])]) };
    let message = "A manual partition assignment was specified, but numPartitions was not set to -1.";
    cluster.refused(both, ErrorCode::InvalidRequest, message);
    let created = cluster.create_one(on("t", &[(1, &[2, 1]), (0, &[1, 2])])).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 2));
    let leaders: Vec<_> = cluster.image.topic_named("t").unwrap().partitions.iter().map(|p| p.leader).collect();
    assert_eq!(leaders, [Some(BrokerId::new(1)), Some(BrokerId::new(2))]);
}

#[test]
fn a_name_twice_is_refused_once_and_last() {
    let mut cluster = Cluster::new(1);
    let outcomes = cluster.create(vec![topic("a", 1, 1), topic("b", 1, 1), topic("a", 1, 1)]);
    let told: Vec<_> = outcomes.iter().map(|(name, outcome)| (name.as_str(), outcome.is_ok())).collect();
    assert_eq!(told, [("b", true), ("a", false)]);
}

#[test]
fn validate_only_changes_nothing() {
    let mut cluster = Cluster::new(1);
    let topics = vec![topic("t", 1, 1)];
    let Answer::TopicsCreated(outcomes) = cluster.run(Command::CreateTopics { topics, validate_only: true }) else {
        panic!()
    };
    assert!(outcomes[0].1.is_ok());
    assert_eq!(cluster.image.topic_count(), 0);
}

#[test]
fn partitions_only_grow() {
    let mut cluster = Cluster::new(1);
    cluster.create_one(topic("t", 3, 1)).unwrap();
    let told = |outcome: Result<(), Refusal>| outcome.unwrap_err();
    let refusal = |code, message: &str| Refusal::new(code, message);
    let invalid = ErrorCode::InvalidPartitions;
    assert_eq!(told(cluster.grow("t", 3, None)), refusal(invalid, "Topic already has 3 partition(s)."));
    let message = "The topic t currently has 3 partition(s); 2 would not be an increase.";
    assert_eq!(told(cluster.grow("t", 2, None)), refusal(invalid, message));
    let message = "The topic t currently has 3 partition(s); -1 would not be an increase.";
    assert_eq!(told(cluster.grow("t", -1, None)), refusal(invalid, message));
    assert_eq!(told(cluster.grow("u", 2, None)), Refusal::silent(ErrorCode::UnknownTopicOrPartition));
    let message = "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.";
    let one = Some(vec![vec![BrokerId::new(1)]]);
    assert_eq!(told(cluster.grow("t", 5, one.clone())), refusal(ErrorCode::InvalidReplicaAssignment, message));
    cluster.grow("t", 4, one).unwrap();
    assert_eq!(cluster.image.topic_named("t").unwrap().partitions.len(), 4);
}

#[test]
fn a_topic_is_deleted_by_one_name_only() {
    let mut cluster = Cluster::new(1);
    let id = cluster.create_one(topic("t", 1, 1)).unwrap().id;
    let (name, other) = (|| "t".to_owned(), TopicId::from_bytes([9; 16]));
    let topics = vec![TopicRef::Name(name()), TopicRef::Id(id), TopicRef::Nameless, TopicRef::Both(name(), id)];
    let deleted = cluster.delete(topics);
    let told = |at: usize| deleted[at].outcome.clone().unwrap_err().message.unwrap();
    assert_eq!(deleted.len(), 3);
    assert_eq!((deleted[0].name.clone(), deleted[0].id), (Some(name()), Some(id)));
    assert_eq!(told(0), "The provided topic name maps to an ID that was already supplied.");
    assert_eq!(told(1), "Neither topic name nor id were specified.");
    assert_eq!(told(2), "You may not specify both topic name and topic id.");
    let topics = vec![TopicRef::Name(name()), TopicRef::Id(other), TopicRef::Name(name()), TopicRef::Id(other)];
    let deleted = cluster.delete(topics);
    let told: Vec<_> = deleted.iter().map(|d| d.outcome.clone().unwrap_err().message.unwrap()).collect();
    assert_eq!(told, ["Duplicate topic name.", "Duplicate topic id."]);
    assert_eq!(cluster.image.topic_count(), 1);
}

#[test]
fn deletion_can_be_disabled() {
    let mut cluster = Cluster::new(1);
    cluster.create_one(topic("t", 1, 1)).unwrap();
    cluster.rules.delete_topics = false;
    let deleted = cluster.delete(vec![TopicRef::Name("t".to_owned())]);
    assert_eq!(deleted[0].outcome.as_ref().map_err(|r| r.code), Err(ErrorCode::TopicDeletionDisabled));
    assert_eq!(cluster.image.topic_count(), 1);
}

#[test]
fn settings_of_a_topic_go_with_it() {
    let mut cluster = Cluster::new(1);
    let settings = vec![("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), Some("2".to_owned()))];
    cluster.create_one(NewTopic { settings, ..topic("t", 1, 1) }).unwrap();
    let resource = Resource::Topic("t".to_owned());
    let ops = vec![("a".to_owned(), Op::Delete, None), ("c".to_owned(), Op::Set, Some("3".to_owned()))];
    let alterations = vec![Alteration { resource: resource.clone(), change: Change::Incremental(ops) }];
    let Answer::ConfigsAltered(outcomes) = cluster.run(Command::AlterConfigs { alterations, validate_only: false })
    else {
        panic!()
    };
    assert_eq!(outcomes, [(resource.clone(), Ok(()))]);
    let keys: Vec<_> = cluster.image.overrides(&resource).keys().cloned().collect();
    assert_eq!(keys, ["b", "c"]);
    cluster.run(Command::DeleteTopics { topics: vec![TopicRef::Name("t".to_owned())] });
    cluster.create_one(topic("t", 1, 1)).unwrap();
    assert!(cluster.image.overrides(&resource).is_empty());
}

#[test]
fn producer_ids_come_in_blocks_of_a_thousand() {
    let mut cluster = Cluster::new(1);
    assert_eq!(cluster.run(Command::AllocateProducerIds), Answer::ProducerIds(0..1000));
    assert_eq!(cluster.run(Command::AllocateProducerIds), Answer::ProducerIds(1000..2000));
}

#[test]
fn a_change_names_only_the_topics_it_touched() {
    let mut cluster = Cluster::new(1);
    cluster.create((0..50).map(|n| topic(&format!("t{n}"), 1, 1)).collect());
    let before = cluster.image.clone();
    cluster.run(Command::DeleteTopics { topics: vec![TopicRef::Name("t7".to_owned())] });
    cluster.grow("t8", 2, None).unwrap();
    cluster.create_one(topic("new", 1, 1)).unwrap();
    assert!(before.topics_changed(&cluster.image).next().unwrap().1.is_none(), "the deleted one comes first");
    let name = |topic: Option<&Arc<crate::image::Topic>>| topic.map(|topic| topic.name.to_string());
    let mut changes: Vec<_> = before.topics_changed(&cluster.image).map(|(old, new)| (name(old), name(new))).collect();
    changes.sort();
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(changes, [(None, some("new")), (some("t7"), None), (some("t8"), some("t8"))]);
}

#[test]
fn internal_topics_are_as_their_coordinators_want_them() {
    let mut cluster = Cluster::new(1);
    let creation = crate::config::BrokerSettings::default().creation;
    let created = cluster.create_one(NewTopic::on_demand("__consumer_offsets", &creation, 1)).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (50, 1));
    let settings: Vec<_> = created.overrides.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(settings, ["cleanup.policy=compact", "compression.type=producer", "segment.bytes=104857600"]);
    let created = cluster.create_one(NewTopic::on_demand("plain", &creation, 1)).unwrap();
    assert_eq!((created.partitions, created.overrides.len()), (1, 0));
}

/// A command out of three numbers; names and ids repeat often enough to meet each other.
fn any_command(image: &Image, (kind, which, value): (u8, u8, u8)) -> Command {
    let names = ["a.b", "a_b", "c", "d e", "", "__consumer_offsets"];
    let name = |n: u8| names[usize::from(n) % names.len()].to_owned();
    let id = |n: u8| image.topic_named(&name(n)).map_or(TopicId::from_bytes([n; 16]), |topic| topic.id);
    let count = i32::from(value % 7) - 2;
    let brokers = |n: u8| (0..n % 3).map(|id| BrokerId::new(i32::from(id) + 1)).collect::<Vec<_>>();
    match kind % 6 {
        0 => {
            let many = [name(which), name(value), name(which.wrapping_add(value))];
            let topics = many.iter().map(|name| topic(name, count, i16::from(value % 3)));
            Command::CreateTopics { topics: topics.collect(), validate_only: value.is_multiple_of(5) }
        }
        1 => {
            let assignments = (0..i32::from(value % 3)).map(|index| (index, brokers(value.wrapping_add(1)))).collect();
            let topics = vec![NewTopic { assignments, ..NewTopic::with_defaults(name(which)) }];
            Command::CreateTopics { topics, validate_only: false }
        }
        2 => {
            let topics = vec![TopicRef::Name(name(which)), TopicRef::Id(id(value)), TopicRef::Name(name(value))];
            Command::DeleteTopics { topics }
        }
        3 => {
            let assignments = value.is_multiple_of(4).then(|| vec![brokers(value); usize::from(value % 3)]);
            let grow = |name| MorePartitions { name, count: count + 2, assignments: assignments.clone() };
            let topics = vec![grow(name(which)), grow(name(value))];
            Command::CreatePartitions { topics, validate_only: value.is_multiple_of(7) }
        }
        4 => {
            let ops = vec![(format!("key{}", value % 3), Op::Set, Some(value.to_string()))];
            let resource =
                if which.is_multiple_of(2) { Resource::Topic(name(value)) } else { Resource::Group(name(value)) };
            let alterations = vec![Alteration { resource, change: Change::Incremental(ops) }];
            Command::AlterConfigs { alterations, validate_only: false }
        }
        _ => Command::AllocateProducerIds,
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    })]

    /// Whatever is asked, the records of a decision fit the image it was made on, as one whole.
    #[test]
    fn decisions_fit(steps in proptest::collection::vec(proptest::prelude::any::<(u8, u8, u8)>(), 0..60)) {
        let mut cluster = Cluster::new(2);
        for step in steps {
            let command = any_command(&cluster.image, step);
            // Applies the records, or panics.
            cluster.run(command);
            let mut again = Image::default();
            again.apply_all(&cluster.image.snapshot()).unwrap();
            assert_eq!(again, cluster.image);
        }
    }
}
