use std::collections::HashSet;

use ottla_units::ErrorCode;

use super::{Context, Decision};
use crate::command::{Alteration, Answer, Refusal};
use crate::image::{Image, Overrides, Resource};
use crate::record::{ConfigTarget, Record};

pub(super) fn decide(context: &Context<'_>, alterations: Vec<Alteration>, validate_only: bool) -> Decision {
    let mut records = Vec::new();
    let mut outcomes = Vec::with_capacity(alterations.len());
    let mut seen = HashSet::with_capacity(alterations.len());
    for alteration in &alterations {
        let outcome = if !seen.insert(&alteration.resource) {
            Err(Refusal::new(ErrorCode::InvalidRequest, "Each resource must appear at most once."))
        } else {
            alter(context, alteration, &mut records)
        };
        outcomes.push((alteration.resource.clone(), outcome));
    }
    if validate_only {
        records.clear();
    }
    Decision { records, answer: Answer::ConfigsAltered(outcomes) }
}

fn alter(context: &Context<'_>, alteration: &Alteration, records: &mut Vec<Record>) -> Result<(), Refusal> {
    let target = target(context.image, &alteration.resource)?;
    let after = context.settings.altered(context.image, alteration)?;
    differences(&target, context.image.overrides(&alteration.resource), &after, records);
    Ok(())
}

fn target(image: &Image, resource: &Resource) -> Result<ConfigTarget, Refusal> {
    Ok(match resource {
        Resource::Topic(name) => {
            let topic = image.topic_named(name).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })?;
            ConfigTarget::Topic(topic.id.to_bytes())
        }
        Resource::Broker(id) => ConfigTarget::Broker(id.get()),
        Resource::BrokerDefault => ConfigTarget::BrokerDefault,
        Resource::Group(name) => ConfigTarget::Group(name.clone()),
        Resource::ClientMetrics(name) => ConfigTarget::ClientMetrics(name.clone()),
    })
}

/// The records that turn some overrides into others.
fn differences(target: &ConfigTarget, before: &Overrides, after: &Overrides, records: &mut Vec<Record>) {
    let record = |key: &String, value: Option<&String>| Record::Config {
        target: target.clone(),
        key: key.clone(),
        value: value.cloned(),
    };
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    records.extend(gone.map(|key| record(key, None)));
    let set = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    records.extend(set.map(|(key, value)| record(key, Some(value))));
}
