use bytes::Bytes;
use ottla_units::{ErrorCode, LeaderEpoch, Offset, TopicId};

use crate::event::Token;

/// Which append: they are numbered from 1 and become durable in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AppendId(pub u64);

/// What the shell has to do after a step, replies first or last as it likes.
#[derive(Debug, Default)]
pub struct Effects {
    /// Answers to send now.
    pub replies: Vec<(Token, Reply)>,
    /// Records to append before the next step; then [`crate::Event::Durable`] or [`crate::Event::Failed`].
    pub append: Option<Append>,
}

/// Records that belong together.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its number.
    pub id: AppendId,
    /// In this order.
    pub records: Vec<Record>,
    /// Whether they must be in one batch; otherwise the shell may split them.
    pub atomic: bool,
}

/// A record of `__consumer_offsets`; without a value it is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Key bytes, version first.
    pub key: Bytes,
    /// Value bytes, version first.
    pub value: Option<Bytes>,
}

/// The answer to a [`crate::Request`], of the same kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// JoinGroup
    Join(JoinReply),
    /// SyncGroup
    Sync(SyncReply),
    /// Heartbeat
    Heartbeat(ErrorCode),
    /// LeaveGroup: member by member, or one error for all.
    Leave(Result<Vec<Left>, ErrorCode>),
    /// OffsetCommit
    Commit(Vec<TopicResult>),
    /// OffsetFetch of one group.
    Fetch(Result<Vec<FetchedTopic>, ErrorCode>),
    /// OffsetDelete
    DeleteOffsets(Result<Vec<TopicResult>, ErrorCode>),
    /// DescribeGroups, in the order asked.
    Describe(Vec<Described>),
    /// ListGroups
    List(Result<Vec<Listed>, ErrorCode>),
    /// DeleteGroups: group and outcome.
    Delete(Vec<(String, ErrorCode)>),
}

/// JoinGroup's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinReply {
    /// Outcome.
    pub error: ErrorCode,
    /// The generation joined, −1 on an error.
    pub generation: i32,
    /// The group's type.
    pub protocol_type: Option<String>,
    /// The protocol chosen by vote.
    pub protocol: Option<String>,
    /// The leader's member id; empty when unknown.
    pub leader: String,
    /// The static leader came back to an unchanged group and must not assign anew.
    pub skip_assignment: bool,
    /// This member's id.
    pub member: String,
    /// For the leader: everyone.
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    /// A refusal.
    pub fn error(error: ErrorCode, member: String) -> JoinReply {
        JoinReply {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member,
            members: Vec::new(),
        }
    }
}

/// A member as the leader is told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// Member id.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// What it said for the chosen protocol.
    pub metadata: Bytes,
}

/// SyncGroup's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncReply {
    /// Outcome.
    pub error: ErrorCode,
    /// The group's type.
    pub protocol_type: Option<String>,
    /// The protocol chosen.
    pub protocol: Option<String>,
    /// What the leader gave this member.
    pub assignment: Bytes,
}

impl SyncReply {
    /// A refusal.
    pub fn error(error: ErrorCode) -> SyncReply {
        SyncReply { error, protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// One who left, or did not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    /// Member id as asked.
    pub member: String,
    /// Instance id as asked.
    pub instance: Option<String>,
    /// Outcome.
    pub error: ErrorCode,
}

/// Outcome for a topic's partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicResult {
    /// Topic name.
    pub name: String,
    /// Topic id; zero when unknown.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<PartitionResult>,
}

/// Outcome for a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionResult {
    /// Partition index.
    pub partition: i32,
    /// Outcome.
    pub error: ErrorCode,
}

/// A topic's committed offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedTopic {
    /// Topic name.
    pub name: String,
    /// Topic id as asked; of everything committed: as stored.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<FetchedOffset>,
}

/// A committed offset, or none: −1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    /// Partition index.
    pub partition: i32,
    /// Where to go on reading.
    pub offset: Offset,
    /// Epoch of the record read last.
    pub leader_epoch: LeaderEpoch,
    /// The client's note.
    pub metadata: String,
}

/// A group as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Group id.
    pub group: String,
    /// GROUP_ID_NOT_FOUND for an unknown group; versions before 6 show it as dead without an error.
    pub error: ErrorCode,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
    pub state: &'static str,
    /// The group's type; empty for none.
    pub protocol_type: String,
    /// The chosen protocol; empty unless stable.
    pub protocol: String,
    /// Its members.
    pub members: Vec<DescribedMember>,
}

impl Described {
    /// A group that cannot be described.
    pub fn error(group: String, error: ErrorCode) -> Described {
        let state = if error == ErrorCode::GroupIdNotFound { "Dead" } else { "" };
        Described { group, error, state, protocol_type: String::new(), protocol: String::new(), members: Vec::new() }
    }
}

/// A member as DescribeGroups shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// Member id.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// The client's `client.id`.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// What it said for the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it was given.
    pub assignment: Bytes,
}

/// A group as ListGroups shows it. Its type is `classic`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Group id.
    pub group: String,
    /// The group's type; empty for none.
    pub protocol_type: String,
    /// As in [`Described::state`].
    pub state: &'static str,
}

impl Reply {
    /// The same answer when the record it stands on could not be written.
    pub(crate) fn fail(self, error: ErrorCode) -> Reply {
        match self {
            Reply::Join(reply) => Reply::Join(JoinReply::error(error, reply.member)),
            Reply::Sync(_) => Reply::Sync(SyncReply::error(error)),
            Reply::Heartbeat(_) => Reply::Heartbeat(error),
            Reply::Leave(_) => Reply::Leave(Err(error)),
            Reply::Commit(mut topics) => {
                for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.error = error;
                }
                Reply::Commit(topics)
            }
            Reply::Fetch(_) => Reply::Fetch(Err(error)),
            Reply::DeleteOffsets(_) => Reply::DeleteOffsets(Err(error)),
            Reply::Describe(groups) => {
                Reply::Describe(groups.into_iter().map(|group| Described::error(group.group, error)).collect())
            }
            Reply::List(_) => Reply::List(Err(error)),
            Reply::Delete(groups) => Reply::Delete(groups.into_iter().map(|(group, _)| (group, error)).collect()),
        }
    }
}
