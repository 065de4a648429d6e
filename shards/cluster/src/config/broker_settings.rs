use super::layers::Layers;
use super::listeners::{Endpoint, ListenerError, advertised, listeners};
use super::topic_settings::{TopicSettings, millis};
use crate::image::Overrides;
use ottla_units::BrokerId;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A broker's settings as the data path uses them: read and checked, once for each change.
///
/// *Lives on: control thread and each shard, behind an `Arc`.*
#[derive(Clone, PartialEq, Debug)]
pub struct BrokerSettings {
    /// Who this broker is and where it keeps its data; fixed at start.
    pub node: NodeSettings,
    /// Connections and requests.
    pub network: NetworkSettings,
    /// What new topics get.
    pub creation: CreationSettings,
    /// What topics have that say nothing themselves.
    pub topics: TopicSettings,
    /// Classic groups and their offsets.
    pub groups: GroupSettings,
    /// Producers and transactions.
    pub producers: ProducerSettings,
    /// What only Ottla has; fixed at start.
    pub own: OwnSettings,
}

/// Who a broker is, and where it listens and keeps its data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// `node.id`, else `broker.id`, else 1.
    pub id: BrokerId,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `listeners`, but for those of `controller.listener.names`.
    pub listeners: Vec<Endpoint>,
    /// `advertised.listeners`; one for each of `listeners`.
    pub advertised: Vec<Endpoint>,
    /// The first of `log.dirs`, else of `log.dir`.
    pub data: PathBuf,
}

/// Connections and requests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkSettings {
    /// `socket.request.max.bytes`
    pub request_bytes_max: u32,
    /// `socket.send.buffer.bytes`, if somebody set it; `None`: the kernel's choice, which grows with a connection's need.
    pub send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`, likewise.
    pub receive_buffer_bytes: Option<u32>,
    /// `socket.listen.backlog.size`
    pub listen_backlog: u32,
    /// `max.connections`
    pub connections_max: u32,
    /// `max.connections.per.ip`
    pub connections_per_address_max: u32,
    /// `max.connections.per.ip.overrides`
    pub connections_per_address_overrides: BTreeMap<IpAddr, u32>,
    /// `max.connection.creation.rate`: connections a second.
    pub connections_per_second_max: u32,
    /// `connections.max.idle.ms`; `None`: for ever.
    pub idle_max: Option<Duration>,
    /// `queued.max.requests`
    pub queued_requests_max: u32,
    /// `queued.max.request.bytes`; `None`: no limit of its own.
    pub queued_bytes_max: Option<u64>,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_sessions_max: u32,
    /// `max.request.partition.size.limit`
    pub described_partitions_max: u32,
}

/// What new topics get, and who may make and delete them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreationSettings {
    /// `num.partitions`
    pub partitions: i32,
    /// `default.replication.factor`
    pub replication_factor: i16,
    /// `auto.create.topics.enable`
    pub automatic: bool,
    /// `delete.topic.enable`
    pub deletable: bool,
    /// `offsets.topic.num.partitions`
    pub offsets_partitions: i32,
    /// `offsets.topic.replication.factor`
    pub offsets_replication_factor: i16,
    /// `offsets.topic.segment.bytes`
    pub offsets_segment_bytes: u32,
    /// `transaction.state.log.num.partitions`
    pub transactions_partitions: i32,
    /// `transaction.state.log.replication.factor`
    pub transactions_replication_factor: i16,
    /// `transaction.state.log.segment.bytes`
    pub transactions_segment_bytes: u32,
    /// `transaction.state.log.min.isr`
    pub transactions_min_insync: u32,
    /// `log.retention.check.interval.ms`
    pub retention_check_interval: Duration,
}

/// Classic groups and their offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`
    pub members_max: u32,
    /// `offset.metadata.max.bytes`
    pub offset_metadata_bytes_max: u32,
    /// `offsets.retention.minutes`
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`
    pub commit_timeout: Duration,
}

/// Producers and transactions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerSettings {
    /// `producer.id.expiration.ms`
    pub expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`
    pub expiration_check_interval: Duration,
    /// `transactional.id.expiration.ms`
    pub transactional_expiration: Duration,
    /// `transaction.max.timeout.ms`
    pub transaction_timeout_max: Duration,
}

/// What only Ottla has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnSettings {
    /// `ottla.shards`; `None`: one for every core.
    pub shards: Option<u16>,
    /// `ottla.shards.pin`; `None`: only where cores are left over.
    pub pinned: Option<bool>,
    /// `ottla.journal.dir`; `None`: in the data folder.
    pub journal: Option<PathBuf>,
    /// `ottla.journal.bytes` of each shard.
    pub journal_bytes: u64,
    /// `ottla.journal.accept.loss`
    pub accept_loss: bool,
    /// `ottla.tail.cache.bytes` of each shard.
    pub tail_cache_bytes: u64,
    /// `ottla.cold.read.bytes` of each shard.
    pub cold_read_bytes: u64,
    /// `ottla.answer.memory.bytes` of each shard.
    pub answer_memory_bytes: u64,
    /// `ottla.bulk.append.bytes`
    pub bulk_append_bytes: u32,
    /// `ottla.open.files.max` of each shard.
    pub open_files_max: u32,
    /// `ottla.admin.listen`; `None`: nowhere.
    pub admin: Option<String>,
    /// Whether somebody said so: then that address must be had.
    pub admin_is_chosen: bool,
    /// `ottla.log.level`
    pub log_level: String,
    /// Whether `ottla.log.format` is `json`.
    pub log_json: bool,
    /// `ottla.shutdown.timeout.ms`
    pub shutdown_timeout: Duration,
}

impl BrokerSettings {
    /// Reads all of them.
    ///
    /// # Errors
    /// Listeners that cannot be understood; every other value was checked by its key's rule, and a wrong one counts as
    /// not set.
    pub fn resolve(layers: &Layers<'_>) -> Result<BrokerSettings, ListenerError> {
        Ok(BrokerSettings {
            node: NodeSettings::resolve(layers)?,
            network: NetworkSettings::resolve(layers),
            creation: CreationSettings::resolve(layers),
            topics: TopicSettings::inherited(layers),
            groups: GroupSettings::resolve(layers),
            producers: ProducerSettings::resolve(layers),
            own: OwnSettings::resolve(layers),
        })
    }
}

/// The settings of a broker of which nobody said anything.
impl Default for BrokerSettings {
    fn default() -> BrokerSettings {
        let none = Overrides::new();
        let layers = Layers::new(&none, &none, &none);
        BrokerSettings {
            node: NodeSettings::resolve(&layers).unwrap_or_else(|_| NodeSettings::unknown()),
            network: NetworkSettings::resolve(&layers),
            creation: CreationSettings::resolve(&layers),
            topics: TopicSettings::inherited(&layers),
            groups: GroupSettings::resolve(&layers),
            producers: ProducerSettings::resolve(&layers),
            own: OwnSettings::resolve(&layers),
        }
    }
}

impl NodeSettings {
    fn resolve(layers: &Layers<'_>) -> Result<NodeSettings, ListenerError> {
        let listeners = listeners(layers)?;
        let unknown = NodeSettings::unknown();
        Ok(NodeSettings {
            id: node_id(layers),
            rack: layers.text("broker.rack"),
            advertised: advertised(layers, &listeners)?,
            listeners,
            data: data_folder(layers).unwrap_or(unknown.data),
        })
    }

    fn unknown() -> NodeSettings {
        NodeSettings {
            id: BrokerId::new(1),
            rack: None,
            listeners: Vec::new(),
            advertised: Vec::new(),
            data: PathBuf::from("data"),
        }
    }
}

/// `node.id`, else `broker.id`, else 1.
pub fn node_id(layers: &Layers<'_>) -> BrokerId {
    let numbers = ["node.id", "broker.id"].into_iter().filter_map(|name| layers.number_if_set(name));
    let id = numbers.filter_map(|number| i32::try_from(number).ok()).find(|number| *number >= 0);
    BrokerId::new(id.unwrap_or(1))
}

/// Where somebody said that the data is.
fn data_folder(layers: &Layers<'_>) -> Option<PathBuf> {
    let said = |name: &str| layers.set(name).and_then(|_| layers.list(name).into_iter().next());
    said("log.dirs").or_else(|| said("log.dir")).filter(|path| !path.is_empty()).map(PathBuf::from)
}

impl NetworkSettings {
    fn resolve(layers: &Layers<'_>) -> NetworkSettings {
        let limit = |name: &str| u32::try_from(layers.number(name)).unwrap_or(0);
        let chosen = |name: &str| layers.set(name).and_then(|_| u32::try_from(layers.number(name)).ok());
        NetworkSettings {
            request_bytes_max: limit("socket.request.max.bytes"),
            send_buffer_bytes: chosen("socket.send.buffer.bytes"),
            receive_buffer_bytes: chosen("socket.receive.buffer.bytes"),
            listen_backlog: limit("socket.listen.backlog.size"),
            connections_max: limit("max.connections"),
            connections_per_address_max: limit("max.connections.per.ip"),
            connections_per_address_overrides: layers
                .text("max.connections.per.ip.overrides")
                .map(|text| address_limits(&text))
                .unwrap_or_default(),
            connections_per_second_max: limit("max.connection.creation.rate"),
            idle_max: u64::try_from(layers.number("connections.max.idle.ms")).ok().map(Duration::from_millis),
            queued_requests_max: limit("queued.max.requests"),
            queued_bytes_max: u64::try_from(layers.number("queued.max.request.bytes")).ok().filter(|bytes| *bytes > 0),
            fetch_bytes_max: limit("fetch.max.bytes"),
            fetch_sessions_max: limit("max.incremental.fetch.session.cache.slots"),
            described_partitions_max: limit("max.request.partition.size.limit"),
        }
    }
}

/// `address:count` with commas between; what is neither is left out, and so are names, which are not looked up.
fn address_limits(text: &str) -> BTreeMap<IpAddr, u32> {
    let pairs = text.split(',').filter_map(|part| part.trim().rsplit_once(':'));
    pairs
        .filter_map(|(address, count)| {
            let address = address.trim().trim_start_matches('[').trim_end_matches(']');
            Some((address.parse().ok()?, count.trim().parse().ok()?))
        })
        .collect()
}

impl CreationSettings {
    fn resolve(layers: &Layers<'_>) -> CreationSettings {
        let count = |name: &str| i32::try_from(layers.number(name)).unwrap_or(1);
        let factor = |name: &str| i16::try_from(layers.number(name)).unwrap_or(1);
        let size = |name: &str| u32::try_from(layers.number(name)).unwrap_or(1);
        CreationSettings {
            partitions: count("num.partitions"),
            replication_factor: factor("default.replication.factor"),
            automatic: layers.flag("auto.create.topics.enable"),
            deletable: layers.flag("delete.topic.enable"),
            offsets_partitions: count("offsets.topic.num.partitions"),
            offsets_replication_factor: factor("offsets.topic.replication.factor"),
            offsets_segment_bytes: size("offsets.topic.segment.bytes"),
            transactions_partitions: count("transaction.state.log.num.partitions"),
            transactions_replication_factor: factor("transaction.state.log.replication.factor"),
            transactions_segment_bytes: size("transaction.state.log.segment.bytes"),
            transactions_min_insync: size("transaction.state.log.min.isr"),
            retention_check_interval: millis(layers.number("log.retention.check.interval.ms")),
        }
    }
}

impl GroupSettings {
    fn resolve(layers: &Layers<'_>) -> GroupSettings {
        let limit = |name: &str| u32::try_from(layers.number(name)).unwrap_or(0);
        let time = |name: &str| millis(layers.number(name));
        GroupSettings {
            session_timeout_min: time("group.min.session.timeout.ms"),
            session_timeout_max: time("group.max.session.timeout.ms"),
            initial_rebalance_delay: time("group.initial.rebalance.delay.ms"),
            members_max: limit("group.max.size"),
            offset_metadata_bytes_max: limit("offset.metadata.max.bytes"),
            offsets_retention: time("offsets.retention.minutes") * 60_000,
            offsets_retention_check_interval: time("offsets.retention.check.interval.ms"),
            commit_timeout: time("offsets.commit.timeout.ms"),
        }
    }
}

impl ProducerSettings {
    fn resolve(layers: &Layers<'_>) -> ProducerSettings {
        let time = |name: &str| millis(layers.number(name));
        ProducerSettings {
            expiration: time("producer.id.expiration.ms"),
            expiration_check_interval: time("producer.id.expiration.check.interval.ms"),
            transactional_expiration: time("transactional.id.expiration.ms"),
            transaction_timeout_max: time("transaction.max.timeout.ms"),
        }
    }
}

impl OwnSettings {
    fn resolve(layers: &Layers<'_>) -> OwnSettings {
        let filled = |name: &str| layers.text(name).filter(|text| !text.is_empty());
        let bytes = |name: &str| u64::try_from(layers.number(name)).unwrap_or(0);
        let limit = |name: &str| u32::try_from(layers.number(name)).unwrap_or(0);
        OwnSettings {
            shards: u16::try_from(layers.number("ottla.shards")).ok().filter(|count| *count > 0),
            pinned: layers.text("ottla.shards.pin").and_then(|text| text.parse().ok()),
            journal: filled("ottla.journal.dir").map(PathBuf::from),
            journal_bytes: bytes("ottla.journal.bytes"),
            accept_loss: layers.flag("ottla.journal.accept.loss"),
            tail_cache_bytes: bytes("ottla.tail.cache.bytes"),
            cold_read_bytes: bytes("ottla.cold.read.bytes"),
            answer_memory_bytes: bytes("ottla.answer.memory.bytes"),
            bulk_append_bytes: limit("ottla.bulk.append.bytes"),
            open_files_max: limit("ottla.open.files.max"),
            admin: filled("ottla.admin.listen"),
            admin_is_chosen: layers.set("ottla.admin.listen").is_some(),
            log_level: filled("ottla.log.level").unwrap_or_else(|| "info".to_owned()),
            log_json: filled("ottla.log.format").as_deref() == Some("json"),
            shutdown_timeout: millis(layers.number("ottla.shutdown.timeout.ms")),
        }
    }
}
