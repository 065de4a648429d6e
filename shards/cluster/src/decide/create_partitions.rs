use ottla_units::ErrorCode;

use super::{Context, Decision, Room, placement, without_duplicates};
use crate::command::{Answer, MorePartitions, Refusal};
use crate::image::{Partition, Topic};
use crate::record::{Record, partition_record};

pub(super) fn decide(context: &Context<'_>, topics: Vec<MorePartitions>, validate_only: bool) -> Decision {
    let (topics, twice) = without_duplicates(topics, |topic| &topic.name);
    let mut records = Vec::new();
    let mut room = Room::new(context);
    let mut outcomes = Vec::with_capacity(topics.len() + twice.len());
    for topic in topics {
        let outcome = grow(context, &topic, &mut room, &mut records);
        outcomes.push((topic.name, outcome));
    }
    let duplicate = || Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
    outcomes.extend(twice.into_iter().map(|name| (name, duplicate())));
    if validate_only {
        records.clear();
    }
    Decision { records, answer: Answer::PartitionsCreated(outcomes) }
}

fn grow(
    context: &Context<'_>,
    asked: &MorePartitions,
    room: &mut Room,
    records: &mut Vec<Record>,
) -> Result<(), Refusal> {
    let topic = context.image.topic_named(&asked.name);
    let topic = topic.ok_or_else(|| Refusal::silent(ErrorCode::UnknownTopicOrPartition))?;
    let more = additional(topic, asked.count)?;
    room.check(more)?;
    let first = topic.partitions.len();
    let partitions = match &asked.assignments {
        // Not null but empty is an assignment too, and never long enough.
        Some(lists) => assigned(context, topic, more, lists)?,
        None => {
            let factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
            placement::place(context.image, first, more, i16::try_from(factor).unwrap_or(i16::MAX))?
        }
    };
    room.take(more);
    let from = i32::try_from(first).unwrap_or(i32::MAX);
    records.extend((from..).zip(&partitions).map(|(index, partition)| partition_record(topic.id, index, partition)));
    Ok(())
}

fn additional(topic: &Topic, count: i32) -> Result<usize, Refusal> {
    let now = topic.partitions.len();
    let message = match usize::try_from(count) {
        Ok(count) if count > now => return Ok(count - now),
        Ok(count) if count == now => format!("Topic already has {now} partition(s)."),
        _ => format!("The topic {} currently has {now} partition(s); {count} would not be an increase.", topic.name),
    };
    Err(Refusal::new(ErrorCode::InvalidPartitions, message))
}

fn assigned(
    context: &Context<'_>,
    topic: &Topic,
    more: usize,
    lists: &[Vec<ottla_units::BrokerId>],
) -> Result<Vec<Partition>, Refusal> {
    if lists.len() != more {
        let message = format!(
            "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
            lists.len()
        );
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, message));
    }
    let factor = topic.partitions.first().map(|partition| partition.replicas.len());
    let from = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    (from..).zip(lists).map(|(index, brokers)| placement::assigned(context.image, index, brokers, factor)).collect()
}
