use std::ops::Range;

use ottla_units::{BrokerId, ErrorCode, TopicId};

use crate::config::CreationSettings;
use crate::image::{Broker, CONSUMER_OFFSETS, Overrides, Resource, TRANSACTION_STATE};

/// Why something was not done, as the client is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Kafka's code.
    pub code: ErrorCode,
    /// Kafka's words, where it has any.
    pub message: Option<String>,
}

impl Refusal {
    /// A refusal with its text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { code, message: Some(message.into()) }
    }

    /// A refusal without a text.
    pub const fn silent(code: ErrorCode) -> Refusal {
        Refusal { code, message: None }
    }

    /// What Kafka says when it only names the code (`Errors.message()`); for the codes that this crate uses so.
    pub fn plain(code: ErrorCode) -> Refusal {
        let message = match code {
            ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.",
            ErrorCode::UnknownTopicId => "This server does not host this topic ID.",
            ErrorCode::TopicDeletionDisabled => "Topic deletion is disabled.",
            ErrorCode::KafkaStorageError => "Disk error when trying to access log file on the disk.",
            _ => "The server experienced an unexpected error when processing the request.",
        };
        Refusal::new(code, message)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.code),
            None => self.code.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// What a shard may ask of the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// CreateTopics, auto-creation, internal topics.
    CreateTopics {
        /// What to create.
        topics: Vec<NewTopic>,
        /// Whether to say only what would happen.
        validate_only: bool,
    },
    /// DeleteTopics.
    DeleteTopics {
        /// What to delete.
        topics: Vec<TopicRef>,
    },
    /// CreatePartitions.
    CreatePartitions {
        /// What to grow.
        topics: Vec<MorePartitions>,
        /// Whether to say only what would happen.
        validate_only: bool,
    },
    /// AlterConfigs and IncrementalAlterConfigs.
    AlterConfigs {
        /// What to change; each resource once.
        alterations: Vec<Alteration>,
        /// Whether to say only what would happen.
        validate_only: bool,
    },
    /// The next block of producer ids.
    AllocateProducerIds,
    /// This broker is up, with these listeners.
    RegisterBroker(Broker),
}

/// A topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name, unchecked.
    pub name: String,
    /// How many partitions; −1 stands for the broker's default, and for "as assigned".
    pub partitions: i32,
    /// How many replicas; −1 stands for the broker's default, and for "as assigned".
    pub replication_factor: i16,
    /// Which brokers have which partition; empty: the controller chooses.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    /// Its settings as given, unchecked.
    pub settings: Vec<(String, Option<String>)>,
}

impl NewTopic {
    /// A topic with the broker's defaults.
    pub fn with_defaults(name: impl Into<String>) -> NewTopic {
        NewTopic {
            name: name.into(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// A topic that somebody needs and nobody described: an internal topic as its coordinator wants it
    /// (`GroupCoordinatorService.groupConfigs`, `TransactionLog.defaultTopicConfigs`), any other with the broker's defaults.
    ///
    /// Internal topics get no more replicas than there are `brokers` at the time: Kafka's default of 3 would leave one
    /// broker without groups.
    pub fn on_demand(name: impl Into<String>, creation: &CreationSettings, brokers: usize) -> NewTopic {
        let topic = NewTopic::with_defaults(name);
        let factor = |wanted: i16| wanted.min(i16::try_from(brokers).unwrap_or(i16::MAX)).max(1);
        let setting = |key: &str, value: &dyn std::fmt::Display| (key.to_owned(), Some(value.to_string()));
        match topic.name.as_str() {
            CONSUMER_OFFSETS => NewTopic {
                partitions: creation.offsets_partitions,
                replication_factor: factor(creation.offsets_replication_factor),
                settings: vec![
                    setting("cleanup.policy", &"compact"),
                    setting("compression.type", &"producer"),
                    setting("segment.bytes", &creation.offsets_segment_bytes),
                ],
                ..topic
            },
            TRANSACTION_STATE => NewTopic {
                partitions: creation.transactions_partitions,
                replication_factor: factor(creation.transactions_replication_factor),
                settings: vec![
                    setting("cleanup.policy", &"compact"),
                    setting("compression.type", &"uncompressed"),
                    setting("min.insync.replicas", &creation.transactions_min_insync),
                    setting("segment.bytes", &creation.transactions_segment_bytes),
                    setting("unclean.leader.election.enable", &false),
                ],
                ..topic
            },
            _ => topic,
        }
    }
}

/// A topic as DeleteTopics names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By identity.
    Id(TopicId),
    /// By both, which is one too many.
    Both(String, TopicId),
    /// By none.
    Nameless,
}

impl TopicRef {
    /// The topic under the names it was given, and why it is still there.
    pub fn refused(self, refusal: Refusal) -> TopicDeleted {
        let (name, id) = match self {
            TopicRef::Name(name) => (Some(name), None),
            TopicRef::Id(id) => (None, Some(id)),
            TopicRef::Both(name, id) => (Some(name), Some(id)),
            TopicRef::Nameless => (None, None),
        };
        TopicDeleted { name, id, outcome: Err(refusal) }
    }
}

/// A topic to grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub name: String,
    /// How many partitions it shall have.
    pub count: i32,
    /// Which brokers have each of the new ones; `None`: the controller chooses.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// Settings of one resource to change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alteration {
    /// Whose.
    pub resource: Resource,
    /// What to do.
    pub change: Change,
}

/// How an alteration goes about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// AlterConfigs: these and no others are set afterwards.
    Replace(Vec<(String, Option<String>)>),
    /// IncrementalAlterConfigs: one key at a time.
    Incremental(Vec<(String, Op, Option<String>)>),
}

/// What IncrementalAlterConfigs does to one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Gives it a value.
    Set,
    /// Takes its own value away.
    Delete,
    /// Adds to a list.
    Append,
    /// Takes out of a list.
    Subtract,
}

/// What the controller says; each kind of command has its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Command::CreateTopics`], in Kafka's order: as asked, then each name that was there twice.
    TopicsCreated(Vec<(String, Result<TopicCreated, Refusal>)>),
    /// To [`Command::DeleteTopics`]: as asked, each topic that was there twice once.
    TopicsDeleted(Vec<TopicDeleted>),
    /// To [`Command::CreatePartitions`], in Kafka's order: as asked, then each name that was there twice.
    PartitionsCreated(Vec<(String, Result<(), Refusal>)>),
    /// To [`Command::AlterConfigs`], in the order asked.
    ConfigsAltered(Vec<(Resource, Result<(), Refusal>)>),
    /// To [`Command::AllocateProducerIds`]: ids that nobody else will get.
    ProducerIds(Range<i64>),
    /// To [`Command::RegisterBroker`].
    BrokerRegistered,
    /// Nothing was done at all: the change could not be written down.
    Failed(Refusal),
}

/// A topic as it was created, or would have been.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicCreated {
    /// Its identity; a new one even when it was only validated, as with Kafka.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each of them has.
    pub replication_factor: i16,
    /// Its own settings.
    pub overrides: Overrides,
}

/// What became of one topic of a DeleteTopics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicDeleted {
    /// Its name, where it is known.
    pub name: Option<String>,
    /// Its identity, where it is known.
    pub id: Option<TopicId>,
    /// Whether it is gone.
    pub outcome: Result<(), Refusal>,
}
