use std::collections::{BTreeMap, HashMap};

use ottla_units::{BrokerId, ErrorCode};

use super::{Context, Decision, PARTITIONS_PER_REQUEST_MAX, Room, placement, too_many_in_request, without_duplicates};
use crate::command::{Answer, NewTopic, Refusal, TopicCreated};
use crate::image::{Image, Partition};
use crate::name;
use crate::record::{ConfigTarget, Record, config_records, partition_record};

/// The topic in which KRaft keeps its own log; nobody may create one of this name.
const CLUSTER_METADATA: &str = "__cluster_metadata";

pub(super) fn decide(context: &mut Context<'_>, topics: Vec<NewTopic>, validate_only: bool) -> Decision {
    let (topics, twice) = without_duplicates(topics, |topic| &topic.name);
    let too_many = partitions_asked(&topics, context.rules.partitions) > PARTITIONS_PER_REQUEST_MAX;
    let mut room = Room::new(context);
    let mut records = Vec::new();
    let mut outcomes = Vec::with_capacity(topics.len() + twice.len());
    // What this request has created so far collides too.
    let mut unified = HashMap::<String, String>::new();
    for topic in topics {
        let outcome = if too_many {
            Err(too_many_in_request())
        } else {
            check_name(context.image, &unified, &topic.name)
                .and_then(|()| create(context, &topic, &mut room, &mut records))
        };
        if outcome.is_ok() && name::has_collision_chars(&topic.name) {
            unified.insert(name::unified(&topic.name), topic.name.clone());
        }
        outcomes.push((topic.name, outcome));
    }
    let duplicate = || Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
    outcomes.extend(twice.into_iter().map(|name| (name, duplicate())));
    if validate_only {
        records.clear();
    }
    Decision { records, answer: Answer::TopicsCreated(outcomes) }
}

/// How many partitions a request would make, as `validateTotalNumberOfPartitions` counts.
fn partitions_asked(topics: &[NewTopic], default: i32) -> usize {
    let asked = |topic: &NewTopic| match topic.partitions {
        _ if !topic.assignments.is_empty() => topic.assignments.len(),
        -1 => usize::try_from(default).unwrap_or(0),
        count => usize::try_from(count).unwrap_or(0),
    };
    topics.iter().map(asked).fold(0, usize::saturating_add)
}

fn check_name(image: &Image, unified: &HashMap<String, String>, topic: &str) -> Result<(), Refusal> {
    if image.topic_named(topic).is_some() {
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{topic}' already exists.")));
    }
    if topic == CLUSTER_METADATA {
        let message = format!("Creation of internal topic {topic} is prohibited.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    name::validate(topic).map_err(|e| Refusal::new(ErrorCode::InvalidTopicException, e.to_string()))?;
    if !name::has_collision_chars(topic) {
        return Ok(());
    }
    let in_request = unified.get(&name::unified(topic)).map(String::as_str);
    match image.colliding(topic).map(|name| &**name).or(in_request) {
        Some(existing) => {
            let message = format!("Topic '{topic}' collides with existing topic: {existing}");
            Err(Refusal::new(ErrorCode::InvalidTopicException, message))
        }
        None => Ok(()),
    }
}

fn create(
    context: &mut Context<'_>,
    topic: &NewTopic,
    room: &mut Room,
    records: &mut Vec<Record>,
) -> Result<TopicCreated, Refusal> {
    let overrides = context.settings.new_topic(context.image, &topic.settings)?;
    let partitions = partitions_of(context, topic)?;
    room.check(partitions.len())?;
    room.take(partitions.len());
    let id = (context.new_topic_id)();
    records.push(Record::Topic { id: id.to_bytes(), name: topic.name.clone() });
    config_records(&ConfigTarget::Topic(id.to_bytes()), &overrides, records);
    records.extend((0..).zip(&partitions).map(|(index, partition)| partition_record(id, index, partition)));
    let factor = partitions.first().map_or(0, |partition| partition.replicas.len());
    Ok(TopicCreated {
        id,
        partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(factor).unwrap_or(i16::MAX),
        overrides,
    })
}

fn partitions_of(context: &Context<'_>, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
    if !topic.assignments.is_empty() {
        return assigned(context.image, topic);
    }
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        let message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, message));
    }
    if topic.partitions < -1 || topic.partitions == 0 {
        let message = "Number of partitions was set to an invalid non-positive value.";
        return Err(Refusal::new(ErrorCode::InvalidPartitions, message));
    }
    let count = if topic.partitions == -1 { context.rules.partitions } else { topic.partitions };
    let factor =
        if topic.replication_factor == -1 { context.rules.replication_factor } else { topic.replication_factor };
    // Topics begin at different brokers, by how many there are.
    placement::place(context.image, context.image.topic_count(), usize::try_from(count).unwrap_or(0), factor)
}

fn assigned(image: &Image, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
    let both = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Refusal::new(ErrorCode::InvalidRequest, message))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.partitions != -1 {
        return both("numPartitions");
    }
    let refused = |message: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    let mut found = BTreeMap::<i32, Partition>::new();
    let mut factor = None;
    for (index, brokers) in &topic.assignments {
        if found.contains_key(index) {
            return refused(format!("Found multiple manual partition assignments for partition {index}"));
        }
        let brokers: &[BrokerId] = brokers;
        found.insert(*index, placement::assigned(image, *index, brokers, factor)?);
        factor = Some(brokers.len());
    }
    if !(0..).zip(found.keys()).all(|(expected, index)| expected == *index) {
        return refused("partitions should be a consecutive 0-based integer sequence".to_owned());
    }
    Ok(found.into_values().collect())
}
