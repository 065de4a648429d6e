use bytes::Bytes;
use ottla_units::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId};

use crate::effect::{AppendId, Described, JoinReply, PartitionResult, Reply, SyncReply, TopicResult};
use crate::limits::NAME_BYTES_MAX;

/// Which request a reply belongs to. The caller chooses it; every token is answered exactly once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// The time, twice: timeouts run on one that never jumps, records carry the calendar's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Calendar time.
    pub wall: Timestamp,
    /// Milliseconds since some fixed moment, never going back.
    pub uptime_ms: u64,
}

/// What can happen to a partition's groups.
#[derive(Debug)]
pub enum Event {
    /// All records were replayed: start the members' sessions.
    Loaded,
    /// A client asks.
    Request(Token, Request),
    /// Time passed: [`crate::Groups::next_deadline`] is due.
    Tick,
    /// All appends up to this one are on stable storage.
    Durable(AppendId),
    /// This append was refused; nothing of it is in the log.
    Failed(AppendId, ErrorCode),
    /// These topics are gone for good; so are their offsets.
    TopicsDeleted(Vec<(String, TopicId)>),
    /// The partition moves away or the process stops: everyone who waits is told so.
    Unload(ErrorCode),
}

/// What clients ask a coordinator.
#[derive(Clone, Debug)]
pub enum Request {
    /// JoinGroup
    Join(JoinRequest),
    /// SyncGroup
    Sync(SyncRequest),
    /// Heartbeat
    Heartbeat(HeartbeatRequest),
    /// LeaveGroup
    Leave(LeaveRequest),
    /// OffsetCommit
    Commit(CommitRequest),
    /// OffsetFetch, one group of it.
    Fetch(FetchRequest),
    /// OffsetDelete
    DeleteOffsets(DeleteOffsetsRequest),
    /// DescribeGroups: these groups.
    Describe(Vec<String>),
    /// ListGroups
    List(ListRequest),
    /// DeleteGroups: these groups.
    Delete(Vec<String>),
}

/// One way in which a member could be assigned, with what it tells the assignor. The bytes are the clients' own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protocol {
    /// The assignor's name.
    pub name: String,
    /// For type `consumer`: a ConsumerProtocolSubscription.
    pub metadata: Bytes,
}

/// JoinGroup.
#[derive(Clone, Debug, Default)]
pub struct JoinRequest {
    /// Group id.
    pub group: String,
    /// Member id; empty on the first join.
    pub member: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance: Option<String>,
    /// The client's `client.id`.
    pub client_id: String,
    /// The client's address, as Kafka prints it: `/127.0.0.1`.
    pub client_host: String,
    /// Milliseconds without a heartbeat after which the member is gone.
    pub session_timeout_ms: i32,
    /// Milliseconds that the member may take to rejoin.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect` …
    pub protocol_type: String,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    /// From version 4: a new member without an instance id is first told its id (KIP-394).
    pub requires_known_member: bool,
    /// From version 9: a static leader that comes back may be told to skip the assignment (KIP-814).
    pub can_skip_assignment: bool,
    /// Random text that makes a new member id unique.
    pub unique: String,
}

/// SyncGroup.
#[derive(Clone, Debug, Default)]
pub struct SyncRequest {
    /// Group id.
    pub group: String,
    /// Member id.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// The generation joined.
    pub generation: i32,
    /// Checked when given.
    pub protocol_type: Option<String>,
    /// Checked when given.
    pub protocol: Option<String>,
    /// The leader's decision: member id and its assignment.
    pub assignments: Vec<(String, Bytes)>,
}

/// Heartbeat.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatRequest {
    /// Group id.
    pub group: String,
    /// Member id.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// The generation joined.
    pub generation: i32,
}

/// LeaveGroup.
#[derive(Clone, Debug, Default)]
pub struct LeaveRequest {
    /// Group id.
    pub group: String,
    /// Who leaves.
    pub members: Vec<Leaver>,
}

/// One who leaves: by member id, or by instance id alone when an administrator removes it.
#[derive(Clone, Debug, Default)]
pub struct Leaver {
    /// Member id; may be empty.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
}

/// OffsetCommit. Topics that do not exist were answered before.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// Group id.
    pub group: String,
    /// Member id; empty for a consumer outside any generation.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// The generation joined, or negative.
    pub generation: i32,
    /// Milliseconds to keep the offsets, up to version 4; negative: as configured.
    pub retention_ms: i64,
    /// What is committed.
    pub topics: Vec<CommitTopic>,
    /// From version 9: an unknown group is GROUP_ID_NOT_FOUND.
    pub tells_unknown_group: bool,
}

/// The offsets committed of one topic.
#[derive(Clone, Debug, Default)]
pub struct CommitTopic {
    /// Topic name.
    pub name: String,
    /// Topic id; zero when unknown.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<OffsetToCommit>,
}

/// One offset to commit.
#[derive(Clone, Debug)]
pub struct OffsetToCommit {
    /// Partition index.
    pub partition: i32,
    /// The next record to read.
    pub offset: Offset,
    /// Epoch of the record read last.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: Option<String>,
}

/// OffsetFetch of one group.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// Group id.
    pub group: String,
    /// `None`: everything committed.
    pub topics: Option<Vec<FetchTopic>>,
    /// Wait until commits under way have settled (KIP-447).
    pub require_stable: bool,
}

/// Partitions of one topic.
#[derive(Clone, Debug, Default)]
pub struct FetchTopic {
    /// Topic name.
    pub name: String,
    /// Topic id; zero when unknown. An offset committed under another id is not returned.
    pub id: TopicId,
    /// Partition indexes.
    pub partitions: Vec<i32>,
}

/// OffsetDelete. Topics that do not exist were answered before.
#[derive(Clone, Debug, Default)]
pub struct DeleteOffsetsRequest {
    /// Group id.
    pub group: String,
    /// What to forget.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// ListGroups. Empty filters pass everything; case does not matter.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// `Empty`, `Stable` …
    pub states: Vec<String>,
    /// `classic`, `consumer` …
    pub types: Vec<String>,
}

impl Request {
    /// The answer when the request cannot be looked at: the partition is loading or elsewhere, or an append failed.
    /// As `GroupCoordinatorService` does, a heartbeat to a group that is still loading is well received.
    pub fn refuse(&self, error: ErrorCode) -> Reply {
        match self {
            Request::Join(join) => Reply::Join(JoinReply::error(error, join.member.clone())),
            Request::Sync(_) => Reply::Sync(SyncReply::error(error)),
            Request::Heartbeat(_) if error == ErrorCode::CoordinatorLoadInProgress => Reply::Heartbeat(ErrorCode::None),
            Request::Heartbeat(_) => Reply::Heartbeat(error),
            Request::Leave(_) => Reply::Leave(Err(error)),
            Request::Commit(commit) => Reply::Commit(commit.all(error)),
            Request::Fetch(_) => Reply::Fetch(Err(error)),
            Request::DeleteOffsets(_) => Reply::DeleteOffsets(Err(error)),
            Request::Describe(groups) => {
                Reply::Describe(groups.iter().map(|group| Described::error(group.clone(), error)).collect())
            }
            Request::List(_) => Reply::List(Err(error)),
            Request::Delete(groups) => Reply::Delete(groups.iter().map(|group| (group.clone(), error)).collect()),
        }
    }

    /// Whether some name is longer than a record can hold.
    pub(crate) fn has_oversize_name(&self) -> bool {
        let long = |name: &String| name.len() > NAME_BYTES_MAX;
        match self {
            Request::Join(join) => {
                [&join.group, &join.member, &join.client_id, &join.client_host, &join.protocol_type]
                    .into_iter()
                    .any(long)
                    || join.instance.as_ref().is_some_and(long)
                    // A member id is made of the client's or the instance's id.
                    || join.client_id.len() + join.unique.len() >= NAME_BYTES_MAX
                    || join.instance.as_ref().is_some_and(|id| id.len() + join.unique.len() >= NAME_BYTES_MAX)
                    || join.protocols.iter().any(|protocol| long(&protocol.name))
            }
            Request::Commit(commit) => long(&commit.group) || commit.topics.iter().any(|topic| long(&topic.name)),
            _ => false,
        }
    }
}

impl CommitRequest {
    /// The same answer for every partition.
    pub(crate) fn all(&self, error: ErrorCode) -> Vec<TopicResult> {
        let partition = |to_commit: &OffsetToCommit| PartitionResult { partition: to_commit.partition, error };
        let topic = |topic: &CommitTopic| TopicResult {
            name: topic.name.clone(),
            id: topic.id,
            partitions: topic.partitions.iter().map(partition).collect(),
        };
        self.topics.iter().map(topic).collect()
    }
}
