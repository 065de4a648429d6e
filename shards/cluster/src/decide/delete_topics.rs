use std::collections::{HashMap, HashSet};

use ottla_units::{ErrorCode, TopicId};

use super::{Context, Decision};
use crate::command::{Answer, Refusal, TopicDeleted, TopicRef};
use crate::record::Record;

pub(super) fn decide(context: &Context<'_>, topics: Vec<TopicRef>) -> Decision {
    let named = ids_of_names(context, &topics);
    let mut count = HashMap::<&TopicRef, usize>::new();
    for topic in &topics {
        *count.entry(topic).or_default() += 1;
    }
    let mut records = Vec::new();
    let mut outcomes = Vec::with_capacity(topics.len());
    for topic in &topics {
        let outcome = match (count.get(topic).copied(), topic) {
            // Told before.
            (Some(0) | None, _) => continue,
            (_, TopicRef::Id(id)) if named.contains(id) => continue,
            (_, TopicRef::Nameless | TopicRef::Both(..)) | (Some(1), _) => check(context, topic, &named),
            _ => Err(duplicate(topic)),
        };
        count.insert(topic, 0);
        let deleted = told(context, topic, outcome);
        records.extend(deleted.outcome.is_ok().then_some(deleted.id).flatten().map(removed));
        outcomes.push(deleted);
    }
    Decision { records, answer: Answer::TopicsDeleted(outcomes) }
}

/// Ids in the request of topics whose names are in it as well.
fn ids_of_names(context: &Context<'_>, topics: &[TopicRef]) -> HashSet<TopicId> {
    let names = topics.iter().filter_map(|topic| match topic {
        TopicRef::Name(name) => context.image.topic_named(name).map(|topic| topic.id),
        _ => None,
    });
    let named: HashSet<_> = names.collect();
    let ids = topics.iter().filter_map(|topic| match topic {
        TopicRef::Id(id) if named.contains(id) => Some(*id),
        _ => None,
    });
    ids.collect()
}

fn removed(id: TopicId) -> Record {
    Record::TopicRemoved { id: id.to_bytes() }
}

fn duplicate(topic: &TopicRef) -> Refusal {
    let message = match topic {
        TopicRef::Id(_) => "Duplicate topic id.",
        _ => "Duplicate topic name.",
    };
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// Whether the topic may be deleted.
fn check(context: &Context<'_>, topic: &TopicRef, named: &HashSet<TopicId>) -> Result<(), Refusal> {
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    if !context.rules.delete_topics {
        return Err(Refusal::plain(ErrorCode::TopicDeletionDisabled));
    }
    match topic {
        TopicRef::Nameless => invalid("Neither topic name nor id were specified."),
        TopicRef::Both(..) => invalid("You may not specify both topic name and topic id."),
        TopicRef::Id(id) => match context.image.topic(*id) {
            Some(_) => Ok(()),
            None => Err(Refusal::plain(ErrorCode::UnknownTopicId)),
        },
        TopicRef::Name(name) => match context.image.topic_named(name) {
            Some(topic) if named.contains(&topic.id) => {
                invalid("The provided topic name maps to an ID that was already supplied.")
            }
            Some(_) => Ok(()),
            None => Err(Refusal::plain(ErrorCode::UnknownTopicOrPartition)),
        },
    }
}

/// The outcome under both of the topic's names, as far as they are known.
fn told(context: &Context<'_>, topic: &TopicRef, outcome: Result<(), Refusal>) -> TopicDeleted {
    let (name, id) = match topic {
        TopicRef::Name(name) => {
            // A name that is there twice is not looked up.
            let twice = outcome == Err(duplicate(topic));
            (Some(name.clone()), context.image.topic_named(name).filter(|_| !twice).map(|topic| topic.id))
        }
        TopicRef::Id(id) => (context.image.topic(*id).map(|topic| topic.name.to_string()), Some(*id)),
        TopicRef::Both(name, id) => (Some(name.clone()), Some(*id)),
        TopicRef::Nameless => (None, None),
    };
    TopicDeleted { name, id, outcome }
}
