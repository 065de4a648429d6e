//! What the three APIs of settings have in common: whose settings are meant, and what is refused before the controller
//! is asked (`ConfigAdminManager`).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::{LazyLock, Mutex, PoisonError};

use ottla_cluster::config::{broker_key, group_key, topic_key};
use ottla_cluster::{Alteration, Answer, Change, Command, Op, Refusal, Resource, name};
use ottla_units::{BrokerId, ErrorCode};

use super::fields;
use crate::loggers;
use crate::shard::Shard;

/// `ConfigResource.Type`
pub(super) const TOPIC: i8 = 2;
/// `ConfigResource.Type`
pub(super) const BROKER: i8 = 4;
/// `ConfigResource.Type`
pub(super) const BROKER_LOGGER: i8 = 8;
/// `ConfigResource.Type`
pub(super) const CLIENT_METRICS: i8 = 16;
/// `ConfigResource.Type`
pub(super) const GROUP: i8 = 32;

/// One resource of a request, and what shall be done to it.
pub(super) struct Wanted {
    pub(super) kind: i8,
    pub(super) name: String,
    /// What to do, or why that cannot be understood.
    pub(super) change: Result<Change, Refusal>,
}

pub(super) fn refuse(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

/// Who must act on a resource.
enum Step {
    /// Nobody: it is done, or refused.
    Done(Result<(), Refusal>),
    /// The controller.
    Ask(Alteration),
}

/// Does what is wanted; the outcomes in order.
pub(super) async fn alter(shard: &Rc<Shard>, wanted: Vec<Wanted>, validate_only: bool) -> Vec<Result<(), Refusal>> {
    let mut times = HashMap::<(i8, &str), usize>::new();
    for one in &wanted {
        *times.entry((one.kind, &one.name)).or_default() += 1;
    }
    let step = |one: &Wanted| {
        if times.get(&(one.kind, one.name.as_str())).is_some_and(|times| *times > 1) {
            return Step::Done(Err(refuse("Each resource must appear at most once.")));
        }
        first_step(shard, one, validate_only).unwrap_or_else(|refusal| Step::Done(Err(refusal)))
    };
    let steps: Vec<Step> = wanted.iter().map(step).collect();
    let ask = |step: &Step| match step {
        Step::Ask(alteration) => Some(alteration.clone()),
        Step::Done(_) => None,
    };
    let alterations: Vec<Alteration> = steps.iter().filter_map(ask).collect();
    let mut told = decided(shard, alterations, validate_only).await.into_iter();
    let missing = || Err(Refusal::plain(ErrorCode::UnknownServerError));
    let outcome = |step| match step {
        Step::Done(outcome) => outcome,
        Step::Ask(_) => told.next().unwrap_or_else(missing),
    };
    steps.into_iter().map(outcome).collect()
}

/// What the controller says, in the order asked.
async fn decided(shard: &Rc<Shard>, alterations: Vec<Alteration>, validate_only: bool) -> Vec<Result<(), Refusal>> {
    if alterations.is_empty() {
        return Vec::new();
    }
    let asked = alterations.clone();
    let outcomes = match shard.control(Command::AlterConfigs { alterations, validate_only }).await {
        Answer::ConfigsAltered(outcomes) => outcomes.into_iter().map(|(_, outcome)| outcome).collect(),
        other => vec![Err(fields::failure(other)); asked.len()],
    };
    if !validate_only {
        let done = asked.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok());
        done.for_each(|(alteration, _)| tell_without_effect(alteration));
    }
    outcomes
}

fn first_step(shard: &Shard, wanted: &Wanted, validate_only: bool) -> Result<Step, Refusal> {
    let change = wanted.change.clone()?;
    check_names(&change)?;
    if wanted.kind == BROKER_LOGGER {
        return change_levels(shard, &wanted.name, &change, validate_only).map(|()| Step::Done(Ok(())));
    }
    let resource = match wanted.kind {
        TOPIC if wanted.name.is_empty() => return Err(refuse("Default topic resources are not allowed.")),
        TOPIC => {
            let refused = |error: name::NameError| Refusal::new(ErrorCode::InvalidTopicException, error.to_string());
            name::validate(&wanted.name).map_err(refused)?;
            Resource::Topic(wanted.name.clone())
        }
        BROKER if wanted.name.is_empty() => Resource::BrokerDefault,
        BROKER => Resource::Broker(this_node(shard, &wanted.name, "Unexpected broker id, expected", ",")?),
        CLIENT_METRICS => Resource::ClientMetrics(wanted.name.clone()),
        GROUP => Resource::Group(wanted.name.clone()),
        other => return Err(refuse(format!("Unknown resource type {other}"))),
    };
    Ok(Step::Ask(Alteration { resource, change }))
}

/// Each key once, and none without a value but to be deleted.
fn check_names(change: &Change) -> Result<(), Refusal> {
    let (names, nulls): (Vec<&str>, Vec<&str>) = match change {
        Change::Replace(given) => (
            given.iter().map(|(name, _)| name.as_str()).collect(),
            given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect(),
        ),
        Change::Incremental(steps) => (
            steps.iter().map(|(name, ..)| name.as_str()).collect(),
            steps
                .iter()
                .filter(|(_, op, value)| *op != Op::Delete && value.is_none())
                .map(|(name, ..)| name.as_str())
                .collect(),
        ),
    };
    let mut seen = HashSet::new();
    if !names.into_iter().all(|name| seen.insert(name)) {
        return Err(refuse("Error due to duplicate config keys"));
    }
    if nulls.is_empty() { Ok(()) } else { Err(refuse(format!("Null value not supported for : {}", nulls.join(", ")))) }
}

/// This broker's id, if that is what a resource's name says.
fn this_node(shard: &Shard, name: &str, unexpected: &str, comma: &str) -> Result<BrokerId, Refusal> {
    let no_number = |_| refuse(format!("Node id must be an integer, but it is: {name}"));
    let id = BrokerId::new(name.parse().map_err(no_number)?);
    if id == shard.broker_id {
        Ok(id)
    } else {
        Err(refuse(format!("{unexpected} {}{comma} but received {id}", shard.broker_id)))
    }
}

/// Loggers are this process's own: the controller does not know them.
fn change_levels(shard: &Shard, node: &str, change: &Change, validate_only: bool) -> Result<(), Refusal> {
    this_node(shard, node, "Unexpected node id. Expected", ",")?;
    let Change::Incremental(steps) = change else {
        return Err(refuse(format!("Unknown resource type {BROKER_LOGGER}")));
    };
    let known: Vec<String> = loggers::levels().into_iter().map(|(logger, _)| logger).collect();
    for (logger, op, level) in steps {
        check_level(&known, logger, *op, level.as_deref().unwrap_or_default())?;
    }
    if !validate_only {
        for (logger, _, level) in steps {
            loggers::set(logger, level.as_deref());
        }
    }
    Ok(())
}

fn check_level(known: &[String], logger: &str, op: Op, level: &str) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::new(ErrorCode::InvalidConfig, message));
    let exists = known.iter().any(|other| other == logger);
    match op {
        Op::Append => return Err(refuse("APPEND operation is not allowed for the BROKER_LOGGER resource")),
        Op::Subtract => return Err(refuse("SUBTRACT operation is not allowed for the BROKER_LOGGER resource")),
        Op::Delete if logger == loggers::ROOT => {
            return Err(refuse("Removing the log level of the root logger is not allowed"));
        }
        _ if !exists => return invalid(format!("Logger {logger} does not exist!")),
        Op::Delete => {}
        Op::Set if !loggers::LEVELS.contains(&level) => {
            return invalid(format!(
                "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels \
                 are {}",
                loggers::LEVELS.join(", ")
            ));
        }
        Op::Set => {}
    }
    Ok(())
}

/// Says in the log, once for each key, that what was set has no effect.
fn tell_without_effect(alteration: &Alteration) {
    let names: Vec<&str> = match &alteration.change {
        Change::Replace(given) => given.iter().map(|(name, _)| name.as_str()).collect(),
        Change::Incremental(steps) => {
            steps.iter().filter(|(_, op, _)| *op != Op::Delete).map(|(name, ..)| name.as_str()).collect()
        }
    };
    tell_names_without_effect(&alteration.resource, names);
}

/// The same for names; a topic may get settings when it is created, too.
pub(super) fn tell_names_without_effect<'a>(resource: &Resource, names: impl IntoIterator<Item = &'a str>) {
    static TOLD: LazyLock<Mutex<HashSet<&'static str>>> = LazyLock::new(Mutex::default);
    for name in names {
        let key = match resource {
            Resource::Topic(_) => topic_key(name),
            Resource::Broker(_) | Resource::BrokerDefault => broker_key(name),
            Resource::Group(_) => group_key(name),
            Resource::ClientMetrics(_) => None,
        };
        if let Some(key) = key
            && let Some(why) = key.effect.reason()
            && TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(key.name)
        {
            tracing::warn!("{name} is set but has no effect: {why}");
        }
    }
}
