use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla_units::{ErrorCode, TopicId};
use ottla_wire::ApiKey;

use super::{ClientError, Connection};

/// How long to wait between two questions to which the answer was "not yet".
const PAUSE: Duration = Duration::from_millis(100);

/// A cluster as metadata shows it, with one connection to each broker that was needed.
#[derive(Debug)]
pub struct Cluster {
    bootstrap: String,
    timeout: Duration,
    brokers: HashMap<i32, String>,
    controller: i32,
    topics: HashMap<String, Topic>,
    open: HashMap<String, Connection>,
}

/// A topic as metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its identity; zero when the broker is too old to say.
    pub id: TopicId,
    /// Whether it belongs to the broker itself.
    pub internal: bool,
    /// Its partitions, by rising number.
    pub partitions: Vec<Partition>,
}

/// A partition as metadata shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// Who leads it; −1 when nobody does.
    pub leader: i32,
    /// Its leader's epoch; −1 when the broker is too old to say.
    pub leader_epoch: i32,
    /// Who has copies.
    pub replicas: Vec<i32>,
    /// Whose copies are complete.
    pub in_sync: Vec<i32>,
}

impl Cluster {
    /// Connects to the first address of `bootstrap` (`HOST:PORT,HOST:PORT`) that answers.
    pub fn connect(bootstrap: &str, timeout: Duration) -> Result<Cluster, ClientError> {
        let mut last = ClientError::BadAddress { address: bootstrap.into() };
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Connection::open(address, timeout) {
                Ok(connection) => {
                    let open = HashMap::from([(address.to_owned(), connection)]);
                    let (brokers, topics) = (HashMap::new(), HashMap::new());
                    return Ok(Cluster { bootstrap: address.into(), timeout, brokers, controller: -1, topics, open });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// How long one answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The connection to the broker that was asked first.
    pub fn any(&mut self) -> Result<&mut Connection, ClientError> {
        let address = self.bootstrap.clone();
        self.at(&address)
    }

    /// The connection to the controller, for what only it decides.
    pub fn controller(&mut self) -> Result<&mut Connection, ClientError> {
        if self.brokers.is_empty() {
            self.ask(Some(&[]), false)?;
        }
        match self.brokers.get(&self.controller).cloned() {
            Some(address) => self.at(&address),
            None => self.any(),
        }
    }

    /// The connection to a partition's leader.
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<&mut Connection, ClientError> {
        let broker = self.leader_id(topic, partition)?;
        let no_leader = || ClientError::NoLeader { topic: topic.into(), partition };
        let address = self.brokers.get(&broker).cloned().ok_or_else(no_leader)?;
        self.at(&address)
    }

    /// The connection to the broker with this id.
    pub fn broker(&mut self, id: i32) -> Result<&mut Connection, ClientError> {
        match self.brokers.get(&id).cloned() {
            Some(address) => self.at(&address),
            None => self.any(),
        }
    }

    /// Who leads a partition, by what is known; asks when nothing is.
    pub fn leader_id(&mut self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        if !self.topics.contains_key(topic) {
            self.topic(topic, false)?;
        }
        let partitions = self.topics.get(topic).map_or(&[][..], |topic| &topic.partitions);
        let found = partitions.iter().find(|known| known.index == partition);
        let found = found.ok_or_else(|| ClientError::NoSuchPartition {
            topic: topic.into(),
            partition,
            count: partitions.len(),
        })?;
        if found.leader < 0 {
            return Err(ClientError::NoLeader { topic: topic.into(), partition });
        }
        Ok(found.leader)
    }

    /// Forgets a broken connection, so that the next question opens a new one.
    pub fn forget_connections(&mut self) {
        self.open.clear();
    }

    /// One topic, asked afresh; made by the broker when `create` and its `auto.create.topics.enable` allow, and then waited for.
    pub fn topic(&mut self, name: &str, create: bool) -> Result<Topic, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let answer = self.ask(Some(&[name]), create)?;
            let Some(found) = answer.into_iter().next() else {
                let unknown = ErrorCode::UnknownTopicOrPartition.code();
                return Err(ClientError::refused(ApiKey::Metadata, format!("topic {name}"), unknown, None));
            };
            match ErrorCode::from_code(found.error_code) {
                Some(ErrorCode::None) => {
                    let topic = Topic::from_wire(found);
                    self.topics.insert(topic.name.clone(), topic.clone());
                    return Ok(topic);
                }
                Some(ErrorCode::LeaderNotAvailable | ErrorCode::UnknownTopicOrPartition)
                    if create && Instant::now() < deadline =>
                {
                    std::thread::sleep(PAUSE);
                }
                _ => {
                    return Err(ClientError::refused(
                        ApiKey::Metadata,
                        format!("topic {name}"),
                        found.error_code,
                        None,
                    ));
                }
            }
        }
    }

    /// Every topic, by name.
    pub fn topics(&mut self) -> Result<Vec<Topic>, ClientError> {
        let mut topics: Vec<Topic> = self.ask(None, false)?.into_iter().map(Topic::from_wire).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Metadata of these topics, or of all; refreshes what is known of brokers on the way.
    fn ask(&mut self, names: Option<&[&str]>, create: bool) -> Result<Vec<MetadataResponseTopic>, ClientError> {
        let (_, answer) = self.any()?.call(i16::MAX, |version| {
            let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            let topics = names.map(|names| names.iter().map(named).collect());
            let request = MetadataRequest::default().with_topics(topics);
            if version >= 4 { request.with_allow_auto_topic_creation(create) } else { request }
        })?;
        self.controller = answer.controller_id.0;
        self.brokers = answer.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", &*b.host, b.port))).collect();
        Ok(answer.topics)
    }

    fn at(&mut self, address: &str) -> Result<&mut Connection, ClientError> {
        if !self.open.contains_key(address) {
            let connection = Connection::open(address, self.timeout)?;
            self.open.insert(address.to_owned(), connection);
        }
        self.open.get_mut(address).ok_or_else(|| ClientError::BadAddress { address: address.into() })
    }
}

impl Topic {
    fn from_wire(topic: MetadataResponseTopic) -> Topic {
        let ids = |ids: Vec<kafka_protocol::messages::BrokerId>| ids.into_iter().map(|id| id.0).collect();
        let mut partitions: Vec<Partition> = (topic.partitions.into_iter())
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: partition.leader_id.0,
                leader_epoch: partition.leader_epoch,
                replicas: ids(partition.replica_nodes),
                in_sync: ids(partition.isr_nodes),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        Topic {
            name: topic.name.map(|name| name.0.to_string()).unwrap_or_default(),
            id: TopicId::from_bytes(topic.topic_id.into_bytes()),
            internal: topic.is_internal,
            partitions,
        }
    }
}

/// A topic's name as the wire crate wants it.
pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
