//! The one table: every key that Kafka 4.3.1 has for brokers, topics, groups and metrics subscriptions, and Ottla's own.
//! Names, kinds, defaults, rules and scopes are Kafka's as its own `ConfigDef`s report them.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::key::{Family, Key};

mod client_metrics;
mod cluster;
mod effects;
mod extras;
mod group_own;
mod groups;
mod logs;
mod network;
mod ottla;
mod removed;
mod security;
mod topics;
mod transactions;

pub use removed::removed;

/// Parts of the table, in the order in which a person would look for them.
static PARTS: [&[Key]; 11] = [
    ottla::OTTLA,
    network::LISTEN,
    cluster::CLUSTER,
    logs::LOGS,
    groups::GROUPS,
    transactions::TRANSACTIONS,
    security::SECURITY,
    extras::EXTRAS,
    topics::TOPICS,
    group_own::GROUP_OWN,
    client_metrics::CLIENT_METRICS,
];

/// Every key.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    PARTS.iter().copied().flatten()
}

/// Every key of a family.
pub fn family(family: Family) -> impl Iterator<Item = &'static Key> {
    keys().filter(move |key| key.family == family)
}

/// Every topic's key.
pub fn topic_keys() -> &'static [Key] {
    topics::TOPICS
}

/// Every group's key.
pub fn group_keys() -> &'static [Key] {
    group_own::GROUP_OWN
}

/// Every metrics subscription's key.
pub fn client_metrics_keys() -> &'static [Key] {
    client_metrics::CLIENT_METRICS
}

/// Every key of a broker, Kafka's and Ottla's own.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    keys().filter(|key| matches!(key.family, Family::Broker | Family::Ottla))
}

static BROKER_BY_NAME: LazyLock<HashMap<&'static str, &'static Key>> =
    LazyLock::new(|| broker_keys().map(|key| (key.name, key)).collect());

/// A broker's key by its name.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_BY_NAME.get(name).copied()
}

/// A topic's key by its name.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    topic_keys().iter().find(|key| key.name == name)
}

/// A group's key by its name.
pub fn group_key(name: &str) -> Option<&'static Key> {
    group_keys().iter().find(|key| key.name == name)
}

/// A metrics subscription's key by its name.
pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    client_metrics_keys().iter().find(|key| key.name == name)
}
