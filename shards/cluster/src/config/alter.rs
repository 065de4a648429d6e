//! What AlterConfigs, IncrementalAlterConfigs and CreateTopics may set (`ControllerConfigurationValidator`, `LogConfig`,
//! `DynamicBrokerConfig`, `GroupConfig`, `ClientMetricsConfigs`), in Kafka's words.

use super::key::{Key, Kind, Scope};
use super::keys::{broker_key, client_metrics_key, group_key, topic_key};
use super::layers::Layers;
use super::limits::{check_broker, check_client_metrics, check_group, check_topic};
use super::value::Value;
use crate::command::{Alteration, Change, Op, Refusal};
use crate::decide::Settings;
use crate::image::{Image, Overrides, Resource};
use ottla_units::{BrokerId, ErrorCode};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Keys of TLS that may be changed only for one listener (`DynamicBrokerConfig.DYNAMIC_SECURITY_CONFIGS`).
const PER_LISTENER: [&str; 10] = [
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.key.password",
    "ssl.keystore.key",
    "ssl.keystore.certificate.chain",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.certificates",
];
/// Keys that Kafka changes while it runs and Ottla does not: its sockets are opened once.
const FIXED: [&str; 2] = ["listeners", "listener.security.protocol.map"];
/// Groups, metrics subscriptions and brokers that may have settings of their own: everybody may name new ones.
const RESOURCES_MAX: usize = 100_000;
/// Settings of one resource; a broker may have some that are not in the table.
const SETTINGS_MAX: usize = 1_000;
const MIN_INSYNC: &str = "min.insync.replicas";

/// What settings mean on one broker.
///
/// *Lives on: control thread.*
pub struct Catalogue {
    broker: BrokerId,
    started_with: Arc<Overrides>,
}

impl Catalogue {
    /// For the broker with this id, started with these settings.
    pub fn new(broker: BrokerId, started_with: Arc<Overrides>) -> Catalogue {
        Catalogue { broker, started_with }
    }

    fn layers<'a>(&'a self, image: &'a Image) -> Layers<'a> {
        Layers::of(image, self.broker, &self.started_with)
    }
}

impl Settings for Catalogue {
    /// Kafka's controller takes `min.insync.replicas` from its file into the metadata when it turns on eligible leader
    /// replicas (KIP-966), so that all brokers have one; since 4.1 that is in every new cluster.
    fn of_new_cluster(&self) -> Overrides {
        let none = Overrides::new();
        let value = Layers::new(&none, &none, &self.started_with).number(MIN_INSYNC);
        Overrides::from([(MIN_INSYNC.to_owned(), value.to_string())])
    }

    fn new_topic(&self, _image: &Image, given: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
        let nulls: Vec<&str> =
            given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
        if !nulls.is_empty() {
            return Err(invalid(format!("Null value not supported for topic configs: {}", nulls.join(","))));
        }
        let values = given.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
        let overrides: Overrides = values.collect();
        check_topic(&overrides)?;
        Ok(overrides)
    }

    fn altered(&self, image: &Image, alteration: &Alteration) -> Result<Overrides, Refusal> {
        let layers = self.layers(image);
        let before = image.overrides(&alteration.resource);
        let after = match &alteration.change {
            Change::Replace(given) => replaced(given)?,
            Change::Incremental(steps) => stepped(&layers, &alteration.resource, before, steps)?,
        };
        match &alteration.resource {
            Resource::Topic(_) => check_topic(&after)?,
            Resource::Broker(_) | Resource::BrokerDefault => {
                check_scope(&alteration.resource, &changed(before, &after), &after)?;
                check_broker(&layers, &alteration.resource, &after)?;
            }
            Resource::Group(name) if name.is_empty() => {
                return Err(Refusal::new(ErrorCode::InvalidRequest, "Default group resources are not allowed."));
            }
            Resource::Group(_) => check_group(&layers, &after)?,
            Resource::ClientMetrics(name) if name.is_empty() => {
                return Err(Refusal::new(ErrorCode::InvalidRequest, "Subscription name can't be empty"));
            }
            Resource::ClientMetrics(_) => check_client_metrics(&after)?,
        }
        check_room(image, &alteration.resource, &after)?;
        Ok(after)
    }
}

pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidConfig, message.into())
}

/// Kafka has no such limits: here nothing that comes from outside grows without end.
fn check_room(image: &Image, resource: &Resource, after: &Overrides) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ErrorCode::PolicyViolation, message));
    if after.len() > SETTINGS_MAX {
        return refuse(format!("A resource may have {SETTINGS_MAX} settings, not {}.", after.len()));
    }
    let is_new = !matches!(resource, Resource::Topic(_)) && image.overrides(resource).is_empty() && !after.is_empty();
    if is_new && image.resources().len() >= RESOURCES_MAX {
        return refuse(format!("{RESOURCES_MAX} resources have settings already."));
    }
    Ok(())
}

fn null_refused(names: &[&str]) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, format!("Null value not supported for : {}", names.join(", ")))
}

fn twice_refused() -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, "Error due to duplicate config keys")
}

/// Everything as given, and nothing else (AlterConfigs).
fn replaced(given: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
    let mut after = Overrides::new();
    for (name, value) in given {
        if after.insert(name.clone(), value.clone().unwrap_or_default()).is_some() {
            return Err(twice_refused());
        }
    }
    let nulls: Vec<&str> = given.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if nulls.is_empty() { Ok(after) } else { Err(null_refused(&nulls)) }
}

/// What was there, changed step by step (IncrementalAlterConfigs).
fn stepped(
    layers: &Layers<'_>,
    resource: &Resource,
    before: &Overrides,
    steps: &[(String, Op, Option<String>)],
) -> Result<Overrides, Refusal> {
    let mut names = HashSet::with_capacity(steps.len());
    if !steps.iter().all(|(name, ..)| names.insert(name.as_str())) {
        return Err(twice_refused());
    }
    let is_null = |(_, op, value): &&(String, Op, Option<String>)| *op != Op::Delete && value.is_none();
    let nulls: Vec<&str> = steps.iter().filter(is_null).map(|(name, ..)| name.as_str()).collect();
    if !nulls.is_empty() {
        return Err(null_refused(&nulls));
    }
    let mut after = before.clone();
    for (name, op, value) in steps {
        let value = value.clone().unwrap_or_default();
        match op {
            Op::Set => after.insert(name.clone(), value),
            Op::Delete => after.remove(name),
            Op::Append | Op::Subtract => {
                let key = list_key(resource, name, *op)?;
                let list = edited(parts_now(layers, key, &after), *op, &value);
                after.insert(name.clone(), list)
            }
        };
    }
    Ok(after)
}

/// The key of a list, or why its kind has none to add to.
fn list_key(resource: &Resource, name: &str, op: Op) -> Result<&'static Key, Refusal> {
    let is_list = |key: &&Key| key.kind == Kind::List;
    let (capital, small) = if op == Op::Append { ("APPEND", "append") } else { ("SUBTRACT", "subtract") };
    let of_broker = matches!(resource, Resource::Broker(_) | Resource::BrokerDefault);
    let key = match resource {
        Resource::Topic(_) => topic_key(name),
        Resource::Broker(_) | Resource::BrokerDefault => {
            Some(broker_key(name).ok_or_else(|| invalid(format!("Unknown config name: {name}")))?)
        }
        Resource::Group(_) => group_key(name),
        Resource::ClientMetrics(_) => client_metrics_key(name),
    };
    key.filter(is_list).ok_or_else(|| {
        invalid(if of_broker {
            format!("Config value {small} is not allowed for config key: {name}")
        } else {
            format!("Can't {capital} to key {name} because its type is not LIST.")
        })
    })
}

/// The parts of a list before it is edited: what the resource has, else what it inherits.
fn parts_now(layers: &Layers<'_>, key: &Key, own: &Overrides) -> Vec<String> {
    let inherited = || if key.synonyms.is_empty() { layers_value(layers, key) } else { layers.inherited(key) };
    let value = own.get(key.name).and_then(|text| Value::parse(key, text).ok()).or_else(inherited);
    match value {
        Some(Value::List(parts)) => parts,
        _ => Vec::new(),
    }
}

fn layers_value(layers: &Layers<'_>, key: &Key) -> Option<Value> {
    if broker_key(key.name) == Some(key) { layers.value(key) } else { layers.inherited(key) }
}

fn edited(parts: Vec<String>, op: Op, value: &str) -> String {
    let given = value.split(',').map(str::trim);
    if op == Op::Subtract {
        // Each that is given takes away one.
        let mut less: HashMap<&str, usize> = HashMap::new();
        given.for_each(|part| *less.entry(part).or_default() += 1);
        let stays = |part: &&String| match less.get_mut(part.as_str()) {
            Some(left @ 1..) => {
                *left -= 1;
                false
            }
            _ => true,
        };
        return parts.iter().filter(stays).map(String::as_str).collect::<Vec<_>>().join(",");
    }
    let mut there: HashSet<&str> = parts.iter().map(String::as_str).collect();
    let more: Vec<&str> = given.filter(|part| there.insert(part)).collect();
    parts.iter().map(String::as_str).chain(more).collect::<Vec<_>>().join(",")
}

/// The names whose value is not what it was.
fn changed<'a>(before: &Overrides, after: &'a Overrides) -> Vec<&'a str> {
    after.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name.as_str()).collect()
}

/// Whether keys may be changed while the broker runs, and for whom (`DynamicBrokerConfig.validateConfigs`).
fn check_scope(resource: &Resource, changed: &[&str], after: &Overrides) -> Result<(), Refusal> {
    let refuse = |why: &str, names: Vec<&str>| {
        if names.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(ErrorCode::InvalidRequest, format!("{why}: [{}]", names.join(", "))))
    };
    let scope_of = |name: &str| broker_key(name).map(|key| key.scope);
    let named = |wrong: &dyn Fn(&str) -> bool| changed.iter().copied().filter(|name| wrong(name)).collect::<Vec<_>>();
    let read_only = |name: &str| scope_of(name) == Some(Scope::ReadOnly);
    refuse("Cannot update these configs dynamically", named(&read_only))?;
    refuse(
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        named(&|name| PER_LISTENER.contains(&name)),
    )?;
    for (name, text) in after {
        if let Some(key) = broker_key(name)
            && let Err(error) = Value::parse(key, text)
        {
            return Err(Refusal::new(ErrorCode::InvalidRequest, error.to_string()));
        }
    }
    if *resource == Resource::BrokerDefault {
        refuse(
            "Cannot update these configs at default cluster level, broker id must be specified",
            named(&|name| scope_of(name) == Some(Scope::PerBroker)),
        )?;
    }
    refuse("Cannot update these configs dynamically", named(&|name| FIXED.contains(&name)))
}
