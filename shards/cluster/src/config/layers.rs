use super::key::{Convert, Key, Synonym};
use super::keys::broker_key;
use super::value::Value;
use crate::image::{Image, Overrides, Resource};
use ottla_units::BrokerId;

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Set on the topic.
    Topic,
    /// Set on one broker while it runs.
    Broker,
    /// Set on all brokers while they run.
    BrokerDefault,
    /// Set at start: by file, flag or environment.
    Static,
    /// Nobody set it.
    Default,
    /// A logger's level, set while it runs.
    Logger,
    /// Set on the metrics subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
}

impl Source {
    /// The number on the wire.
    pub const fn code(self) -> i8 {
        match self {
            Source::Topic => 1,
            Source::Broker => 2,
            Source::BrokerDefault => 3,
            Source::Static => 4,
            Source::Default => 5,
            Source::Logger => 6,
            Source::ClientMetrics => 7,
            Source::Group => 8,
        }
    }
}

/// What is set on a broker, from the strongest to the weakest.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    broker: &'a Overrides,
    all_brokers: &'a Overrides,
    file: &'a Overrides,
}

impl<'a> Layers<'a> {
    /// The settings of a broker: what the image has for it and for all, and what it was started with.
    pub fn of(image: &'a Image, broker: BrokerId, file: &'a Overrides) -> Layers<'a> {
        Layers {
            broker: image.overrides(&Resource::Broker(broker)),
            all_brokers: image.overrides(&Resource::BrokerDefault),
            file,
        }
    }

    /// Three layers as they are.
    pub fn new(broker: &'a Overrides, all_brokers: &'a Overrides, file: &'a Overrides) -> Layers<'a> {
        Layers { broker, all_brokers, file }
    }

    /// The layers with their names, strongest first; the defaults are not one of them.
    pub fn each(&self) -> [(Source, &'a Overrides); 3] {
        [(Source::Broker, self.broker), (Source::BrokerDefault, self.all_brokers), (Source::Static, self.file)]
    }

    /// What somebody set for a key.
    pub fn set(&self, name: &str) -> Option<(Source, &'a str)> {
        self.each().into_iter().find_map(|(source, layer)| Some((source, layer.get(name)?.as_str())))
    }

    /// A key's value: the strongest that is right, else the default; `None` is null.
    pub fn value(&self, key: &Key) -> Option<Value> {
        let set = self.each().into_iter().filter_map(|(_, layer)| layer.get(key.name));
        let mut right = set.filter_map(|text| Value::parse(key, text).ok());
        right.next().or_else(|| key.default.and_then(|text| Value::parse(key, text).ok()))
    }

    /// The same by name; a name that is not in the table has no value.
    fn named(&self, name: &str) -> Option<Value> {
        let key = broker_key(name);
        debug_assert!(key.is_some(), "{name} is not in the table of keys");
        self.value(key?)
    }

    /// A number, if the key has a value.
    pub fn number_if_set(&self, name: &str) -> Option<i64> {
        match self.named(name)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A number; 0 where there is none.
    pub fn number(&self, name: &str) -> i64 {
        self.number_if_set(name).unwrap_or(0)
    }

    /// Whether a switch is on.
    pub fn flag(&self, name: &str) -> bool {
        self.named(name) == Some(Value::Boolean(true))
    }

    /// A text, if the key has a value.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.named(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The parts of a list; none where there is none.
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.named(name) {
            Some(Value::List(parts)) => parts,
            _ => Vec::new(),
        }
    }

    /// What a topic's or group's key is when the topic or group says nothing: the first synonym that has a value, else
    /// the key's own default.
    pub fn inherited(&self, key: &Key) -> Option<Value> {
        let from_broker = key.synonyms.iter().find_map(|synonym| self.converted(synonym));
        from_broker.or_else(|| key.default.and_then(|text| Value::parse(key, text).ok()))
    }

    fn converted(&self, synonym: &Synonym) -> Option<Value> {
        let value = self.named(synonym.name)?;
        let factor = match synonym.convert {
            Convert::Same => 1,
            Convert::Minutes => 60_000,
            Convert::Hours => 3_600_000,
        };
        match value {
            // Below zero is for ever, whatever the unit.
            Value::Number(number) if factor > 1 && number < 0 => Some(Value::Number(-1)),
            Value::Number(number) => Some(Value::Number(number.saturating_mul(factor))),
            other => Some(other),
        }
    }
}
