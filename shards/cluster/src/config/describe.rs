//! What DescribeConfigs says, entry by entry (`kafka.server.ConfigHelper`).

use super::key::{Key, Kind};
use super::keys::{broker_key, broker_keys, client_metrics_keys, group_keys, topic_keys};
use super::layers::{Layers, Source};
use super::value::Value;
use crate::image::Overrides;
use ottla_units::BrokerId;

/// What begins a broker's key that is meant for one listener.
const LISTENER_PREFIX: &str = "listener.name.";

/// A value under one of a key's names, and who set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SynonymValue {
    /// The name.
    pub name: String,
    /// The value; `None`: null, or a secret.
    pub value: Option<String>,
    /// Who set it.
    pub source: Source,
}

/// One setting as DescribeConfigs shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Its value; `None`: null, or a secret.
    pub value: Option<String>,
    /// Who set that.
    pub source: Source,
    /// Whether it can be changed only by a restart.
    pub read_only: bool,
    /// Whether its value is secret.
    pub sensitive: bool,
    /// What its value is; `None`: a key that is not in the table.
    pub kind: Option<Kind>,
    /// Everything that is set for it, the strongest first.
    pub synonyms: Vec<SynonymValue>,
    /// What it means.
    pub about: Option<&'static str>,
}

impl Described {
    /// `value` when nothing of `synonyms` says something else.
    fn new(key: &Key, value: Option<String>, synonyms: Vec<SynonymValue>) -> Described {
        Described {
            name: key.name.to_owned(),
            value,
            source: synonyms.first().map_or(Source::Default, |strongest| strongest.source),
            read_only: false,
            sensitive: key.is_sensitive(),
            kind: Some(key.kind),
            synonyms,
            about: Some(key.about),
        }
    }
}

/// A topic with these overrides.
pub fn describe_topic(layers: &Layers<'_>, overrides: &Overrides) -> Vec<Described> {
    let shown = topic_keys().iter().filter(|key| !key.internal || overrides.contains_key(key.name));
    shown
        .map(|key| {
            let inherited = key.synonyms.first().map_or_else(Vec::new, |first| of_broker(layers, first.name));
            inheriting(layers, key, overrides, Source::Topic, inherited)
        })
        .collect()
}

/// A group with these overrides.
pub fn describe_group(layers: &Layers<'_>, overrides: &Overrides) -> Vec<Described> {
    group_keys()
        .iter()
        .map(|key| {
            let inherited = match key.synonyms.first() {
                Some(first) => of_broker(layers, first.name),
                None => key.default.map(|value| default_value(key.name, value)).into_iter().collect(),
            };
            inheriting(layers, key, overrides, Source::Group, inherited)
        })
        .collect()
}

/// A metrics subscription with these overrides.
pub fn describe_client_metrics(layers: &Layers<'_>, overrides: &Overrides) -> Vec<Described> {
    let keys = client_metrics_keys().iter();
    keys.map(|key| inheriting(layers, key, overrides, Source::ClientMetrics, Vec::new())).collect()
}

/// A key that is set on a resource itself, or inherited from the broker.
fn inheriting(
    layers: &Layers<'_>,
    key: &Key,
    overrides: &Overrides,
    own: Source,
    mut synonyms: Vec<SynonymValue>,
) -> Described {
    let set = overrides.get(key.name).and_then(|text| Value::parse(key, text).ok()).map(|value| value.to_string());
    if let Some(value) = &set {
        synonyms.insert(0, SynonymValue { name: key.name.to_owned(), value: Some(value.clone()), source: own });
    }
    let value = set.or_else(|| layers.inherited(key).map(|value| value.to_string()));
    Described::new(key, value, synonyms)
}

/// A broker, with everything that is set on it and every default.
pub fn describe_broker(layers: &Layers<'_>, id: BrokerId) -> Vec<Described> {
    let is_set = |name: &str| layers.set(name).is_some();
    let listed = broker_keys().filter(|key| !key.internal || is_set(key.name));
    let mut described: Vec<Described> = listed.map(|key| broker_entry(layers, key.name)).collect();
    // A node always has a number, said or not.
    if let Some(entry) = described.iter_mut().find(|entry| entry.name == "node.id") {
        entry.value.get_or_insert_with(|| id.to_string());
    }
    let mut others: Vec<&str> =
        layers.each().into_iter().flat_map(|(_, layer)| layer.keys().map(String::as_str)).collect();
    others.sort_unstable();
    others.dedup();
    described
        .extend(others.into_iter().filter(|name| broker_key(name).is_none()).map(|name| broker_entry(layers, name)));
    described
}

/// What is set for all brokers together: the broker resource with the empty name.
pub fn describe_all_brokers(layers: &Layers<'_>) -> Vec<Described> {
    let [_, (_, all), _] = layers.each();
    let names = all.keys().map(|name| broker_entry(layers, name));
    names
        .map(|mut entry| {
            entry.synonyms.retain(|synonym| synonym.source == Source::BrokerDefault);
            entry.source = entry.synonyms.first().map_or(Source::Default, |first| first.source);
            entry.value = match broker_key(&entry.name) {
                _ if entry.sensitive => None,
                Some(key) => all.get(&entry.name).and_then(|text| Some(Value::parse(key, text).ok()?.to_string())),
                None => all.get(&entry.name).cloned(),
            };
            entry
        })
        .collect()
}

fn broker_entry(layers: &Layers<'_>, name: &str) -> Described {
    let key = broker_key(name);
    let meant = key.or_else(|| broker_key(without_listener(name)));
    // What is not known may be a secret.
    let sensitive = meant.is_none_or(Key::is_sensitive);
    let value = match meant {
        _ if sensitive => None,
        Some(key) if key.name == name => layers.value(key).map(|value| value.to_string()),
        _ => layers.set(name).map(|(_, text)| text.to_owned()),
    };
    let synonyms = of_broker(layers, name);
    Described {
        name: name.to_owned(),
        value,
        source: synonyms.first().map_or(Source::Default, |strongest| strongest.source),
        read_only: key.is_none_or(|key| key.scope == super::Scope::ReadOnly),
        sensitive,
        kind: meant.map(|key| key.kind),
        synonyms,
        about: meant.map(|key| key.about),
    }
}

/// `listener.name.internal.max.connections` is `max.connections` for one listener.
fn without_listener(name: &str) -> &str {
    let rest = name.strip_prefix(LISTENER_PREFIX).and_then(|rest| rest.split_once('.'));
    rest.map_or(name, |(_, base)| base)
}

/// Names that mean the same on a broker, strongest first (`DynamicBrokerConfig.brokerConfigSynonyms`).
fn broker_names(name: &str) -> Vec<&str> {
    match name {
        "log.roll.ms" | "log.roll.hours" => vec!["log.roll.ms", "log.roll.hours"],
        "log.roll.jitter.ms" | "log.roll.jitter.hours" => vec!["log.roll.jitter.ms", "log.roll.jitter.hours"],
        "log.flush.interval.ms" => vec!["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            vec!["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
        }
        _ if without_listener(name) != name => vec![name, without_listener(name)],
        _ => vec![name],
    }
}

/// Everything that is set for a broker's key under all its names, layer by layer; what comes before the first under the
/// key's own name is dropped, as Kafka drops it.
fn of_broker(layers: &Layers<'_>, name: &str) -> Vec<SynonymValue> {
    let names = broker_names(name);
    let mut found = Vec::new();
    for (source, layer) in layers.each() {
        for synonym in &names {
            let Some(text) = layer.get(*synonym) else { continue };
            let sensitive = broker_key(without_listener(synonym)).is_none_or(Key::is_sensitive);
            let value = if sensitive { None } else { Some(text.clone()) };
            found.push(SynonymValue { name: (*synonym).to_owned(), value, source });
        }
    }
    for synonym in &names {
        if let Some(default) = broker_key(synonym).and_then(|key| key.default) {
            found.push(default_value(synonym, default));
        }
    }
    let from = found.iter().position(|synonym| synonym.name == name).unwrap_or(found.len());
    found.split_off(from)
}

fn default_value(name: &str, value: &str) -> SynonymValue {
    SynonymValue { name: name.to_owned(), value: Some(value.to_owned()), source: Source::Default }
}
