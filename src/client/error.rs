use std::time::Duration;
use std::{fmt, io};

use ottla_units::ErrorCode;
use ottla_wire::ApiKey;

/// Why a broker could not be asked, or what it refused.
#[derive(Debug)]
pub enum ClientError {
    /// A bootstrap address is not `HOST:PORT`.
    BadAddress {
        /// As it was given.
        address: String,
    },
    /// No connection came about.
    Connect {
        /// To where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// A connection broke.
    Io {
        /// To where.
        address: String,
        /// How.
        source: io::Error,
    },
    /// No answer came in time.
    TimedOut {
        /// From where.
        address: String,
        /// To what.
        api: ApiKey,
        /// After how long.
        after: Duration,
    },
    /// The answer is not what the protocol says.
    Malformed {
        /// From where.
        address: String,
        /// To what.
        api: ApiKey,
        /// What is wrong with it.
        what: String,
    },
    /// Broker and client have no version of an API in common.
    NoCommonVersion {
        /// With whom.
        address: String,
        /// Of what.
        api: ApiKey,
        /// What the broker speaks; `None` when it does not serve the API.
        broker: Option<(i16, i16)>,
        /// What we speak.
        ours: (i16, i16),
    },
    /// The broker answered with an error.
    Refused {
        /// What was asked, in words: `topic orders`, `orders-3`.
        subject: String,
        /// To what.
        api: ApiKey,
        /// Kafka's number, in case it is one that we do not know.
        code: i16,
        /// The broker's own words, if it gave any.
        message: Option<String>,
    },
    /// A partition that the topic does not have.
    NoSuchPartition {
        /// Of this topic.
        topic: String,
        /// This one.
        partition: i32,
        /// How many it has.
        count: usize,
    },
    /// Nobody leads a partition.
    NoLeader {
        /// Of this topic.
        topic: String,
        /// This one.
        partition: i32,
    },
    /// A batch of records that cannot be read.
    BadBatch {
        /// From this topic.
        topic: String,
        /// Of this partition.
        partition: i32,
        /// Where.
        offset: i64,
        /// Why.
        what: String,
    },
}

impl ClientError {
    /// The broker's answer `code` about `subject`.
    pub(crate) fn refused(api: ApiKey, subject: impl Into<String>, code: i16, message: Option<String>) -> ClientError {
        ClientError::Refused { subject: subject.into(), api, code, message: message.filter(|text| !text.is_empty()) }
    }

    /// Kafka's error that it answers with, if that is what happened.
    pub fn refusal(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => ErrorCode::from_code(*code),
            _ => None,
        }
    }

    /// Whether asking again, with fresh metadata, may help.
    pub fn may_pass(&self) -> bool {
        match self {
            ClientError::Io { .. } | ClientError::Connect { .. } | ClientError::TimedOut { .. } => true,
            ClientError::NoLeader { .. } => true,
            ClientError::Refused { .. } => self.refusal().is_some_and(may_pass),
            _ => false,
        }
    }

    /// What to do next, where we can say.
    pub fn next_step(&self) -> Option<String> {
        match self {
            ClientError::BadAddress { .. } => Some("give HOST:PORT, as in --bootstrap 127.0.0.1:9092".into()),
            ClientError::Connect { address, .. } => Some(format!(
                "is a broker running there? start one with `ottla start --listen {address}`, or name another with --bootstrap"
            )),
            ClientError::Io { .. } => Some("look at the broker's log; is it a Kafka listener without TLS?".into()),
            ClientError::TimedOut { .. } => {
                Some("allow more time with --timeout SECONDS, or look at the broker's log".into())
            }
            ClientError::NoCommonVersion { .. } => Some("that broker is too old, or does not offer this".into()),
            ClientError::NoSuchPartition { topic, .. } => Some(format!("see them with `ottla topic describe {topic}`")),
            ClientError::BadBatch { .. } => {
                Some("on the broker's machine, check its files with `ottla log verify DIR`".into())
            }
            ClientError::Refused { subject, .. } => self.refusal().and_then(|code| after_refusal(code, subject)),
            ClientError::NoLeader { .. } | ClientError::Malformed { .. } => None,
        }
    }
}

/// Whether a broker's error is one that goes away by itself (`org.apache.kafka.common.errors.RetriableException`).
fn may_pass(code: ErrorCode) -> bool {
    use ErrorCode::*;
    matches!(
        code,
        UnknownTopicOrPartition
            | LeaderNotAvailable
            | NotLeaderOrFollower
            | RequestTimedOut
            | ReplicaNotAvailable
            | NetworkException
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | NotCoordinator
            | NotEnoughReplicas
            | NotEnoughReplicasAfterAppend
            | NotController
            | KafkaStorageError
            | FencedLeaderEpoch
            | UnknownLeaderEpoch
            | OffsetNotAvailable
            | UnknownTopicId
            | ConcurrentTransactions
            | ThrottlingQuotaExceeded
    )
}

/// What to do after a broker's error, for those that a person can do something about.
fn after_refusal(code: ErrorCode, subject: &str) -> Option<String> {
    let name = subject.strip_prefix("topic ").unwrap_or("NAME");
    match code {
        ErrorCode::UnknownTopicOrPartition => {
            Some(format!("see what there is with `ottla topic list`, or make it with `ottla topic create {name}`"))
        }
        ErrorCode::TopicAlreadyExists => {
            Some(format!("look at it with `ottla topic describe {name}`, or pass --if-not-exists"))
        }
        ErrorCode::InvalidTopicException => {
            Some("a name has 1 to 249 characters out of a-z A-Z 0-9 . _ - and is neither . nor ..".into())
        }
        ErrorCode::InvalidReplicationFactor => {
            Some("leave --replication-factor out to take the broker's default".into())
        }
        ErrorCode::InvalidConfig => {
            Some("the settings of a topic are listed by `ottla config list --scope topic`".into())
        }
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            Some(format!("raise it with `ottla topic alter {name} --config max.message.bytes=N`, or send less at once"))
        }
        ErrorCode::OffsetOutOfRange => Some("begin with --from beginning or --from end".into()),
        ErrorCode::KafkaStorageError => Some("the broker's disk is full or failing: look at its log".into()),
        _ => None,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::BadAddress { address } => write!(f, "'{address}' is not an address"),
            ClientError::Connect { address, source } => write!(f, "cannot connect to {address}: {source}"),
            ClientError::Io { address, source } => write!(f, "the connection to {address} broke: {source}"),
            ClientError::TimedOut { address, api, after } => {
                write!(f, "{address} did not answer {api} within {} s", after.as_secs_f64())
            }
            ClientError::Malformed { address, api, what } => write!(f, "{address} answered {api} with {what}"),
            ClientError::NoCommonVersion { address, api, broker: None, .. } => {
                write!(f, "{address} does not offer {api}")
            }
            ClientError::NoCommonVersion { address, api, broker: Some((low, high)), ours } => {
                write!(f, "{address} speaks {api} {low} to {high}, this client {} to {}", ours.0, ours.1)
            }
            ClientError::Refused { subject, code, message, .. } => {
                let name =
                    ErrorCode::from_code(*code).map_or_else(|| format!("error {code}"), |code| code.name().into());
                match message {
                    Some(message) => write!(f, "{subject}: {message} ({name})"),
                    None => write!(f, "{subject}: {name}"),
                }
            }
            ClientError::NoSuchPartition { topic, partition, count } => {
                write!(f, "topic {topic} has partitions 0 to {}, not {partition}", count.saturating_sub(1))
            }
            ClientError::NoLeader { topic, partition } => write!(f, "{topic}-{partition} has no leader now"),
            ClientError::BadBatch { topic, partition, offset, what } => {
                write!(f, "{topic}-{partition}: the batch at offset {offset} cannot be read: {what}")
            }
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Connect { source, .. } | ClientError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
