//! Settings: the one table of keys, what their values mean, and who says what.
//!
//! Parser, `ottla config list`, DescribeConfigs, AlterConfigs and the README's limits derive from [`keys`]. Pure.

// What there is to know about a key.
mod key;
pub use key::{Convert, Effect, Family, Key, Kind, Rule, Scope, Synonym};

// Every key.
mod keys;
pub use keys::{
    broker_key, broker_keys, client_metrics_key, client_metrics_keys, family, group_key, group_keys, keys, removed,
    topic_key, topic_keys,
};

// What a value means.
mod value;
pub use value::{InvalidValue, Value};

// Who says what: topic, broker, all brokers, file, default.
mod layers;
pub use layers::{Layers, Source};

// What the broker uses, read once for each change.
mod topic_settings;
pub use topic_settings::{Cleanup, Compression, TimestampType, TopicSettings};
mod listeners;
pub use listeners::{Endpoint, ListenerError, SecurityProtocol};
mod broker_settings;
pub use broker_settings::{
    BrokerSettings, CreationSettings, GroupSettings, NetworkSettings, NodeSettings, OwnSettings, ProducerSettings,
    node_id,
};

// What DescribeConfigs shows.
mod describe;
pub use describe::{
    Described, SynonymValue, describe_all_brokers, describe_broker, describe_client_metrics, describe_group,
    describe_topic,
};

// What may be set.
mod alter;
pub use alter::Catalogue;
mod limits;
pub use limits::wrong_together;

#[cfg(test)]
mod tests;
