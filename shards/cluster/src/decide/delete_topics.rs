use std::collections::HashSet;

use ottla_units::ErrorCode;

use super::{Context, Decision};
use crate::command::{Answer, Refusal, TopicDeleted, TopicRef};
use crate::record::Record;

pub(super) fn decide(context: &Context<'_>, topics: Vec<TopicRef>) -> Decision {
    let mut records = Vec::new();
    let mut gone = HashSet::new();
    let mut twice = HashSet::new();
    let mut seen = HashSet::new();
    for topic in &topics {
        if !seen.insert(topic) {
            twice.insert(topic.clone());
        }
    }
    let mut outcomes = Vec::with_capacity(topics.len());
    let mut told = HashSet::new();
    for topic in &topics {
        if twice.contains(topic) {
            if told.insert(topic) {
                outcomes.push(refused(topic, duplicate(topic)));
            }
            continue;
        }
        outcomes.push(delete(context, topic, &mut gone, &mut records));
    }
    Decision { records, answer: Answer::TopicsDeleted(outcomes) }
}

fn duplicate(topic: &TopicRef) -> Refusal {
    let message = match topic {
        TopicRef::Name(_) => "Duplicate topic name.",
        TopicRef::Id(_) => "Duplicate topic id.",
    };
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn refused(topic: &TopicRef, refusal: Refusal) -> TopicDeleted {
    let (name, id) = match topic {
        TopicRef::Name(name) => (Some(name.clone()), None),
        TopicRef::Id(id) => (None, Some(*id)),
    };
    TopicDeleted { name, id, outcome: Err(refusal) }
}

fn delete(
    context: &Context<'_>,
    topic: &TopicRef,
    gone: &mut HashSet<ottla_units::TopicId>,
    records: &mut Vec<Record>,
) -> TopicDeleted {
    if !context.rules.delete_topics {
        return refused(topic, Refusal::plain(ErrorCode::TopicDeletionDisabled));
    }
    let (found, missing) = match topic {
        TopicRef::Name(name) => (context.image.topic_named(name), ErrorCode::UnknownTopicOrPartition),
        TopicRef::Id(id) => (context.image.topic(*id), ErrorCode::UnknownTopicId),
    };
    let Some(found) = found else { return refused(topic, Refusal::plain(missing)) };
    // Once by name and once by id.
    if !gone.insert(found.id) {
        return refused(
            topic,
            Refusal::new(ErrorCode::InvalidRequest, "The provided topic name maps to an ID that was already supplied."),
        );
    }
    records.push(Record::TopicRemoved { id: found.id.to_bytes() });
    TopicDeleted { name: Some(found.name.to_string()), id: Some(found.id), outcome: Ok(()) }
}
