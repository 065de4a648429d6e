//! Consumer groups of the classic protocol, as Kafka 4.3's group coordinator keeps them: one state machine per
//! partition of `__consumer_offsets`.
//!
//! Pure: [`Groups::step`] takes an event and the time and returns effects: replies to send, records to append. The
//! shell (in `broker`) owns the partition's log, its clock and the connections. A reply that depends on a record is
//! held until the shell says [`Event::Durable`]; [`Event::Failed`] takes back what the record would have said.
//!
//! State is rebuilt with [`Groups::replay`] from the records alone, in Kafka's own formats, so that Kafka's tools read
//! the topic and Ottla reads Kafka's.
#![forbid(unsafe_code)]

// Which partition of `__consumer_offsets` a group lives on.
mod place;
pub use place::{java_hash, partition_of};

// What can be set, and the maximum of everything.
pub mod limits;
mod settings;
pub use settings::Settings;

// What comes in.
mod event;
pub use event::{
    CommitRequest, CommitTopic, DeleteOffsetsRequest, Event, FetchRequest, FetchTopic, HeartbeatRequest, JoinRequest,
    LeaveRequest, Leaver, ListRequest, Now, OffsetToCommit, Protocol, Request, SyncRequest, Token,
};

// What goes out.
mod effect;
pub use effect::{
    Append, AppendId, Described, DescribedMember, Effects, FetchedOffset, FetchedTopic, JoinReply, JoinedMember, Left,
    Listed, PartitionResult, Record, Reply, SyncReply, TopicResult,
};

// The records of `__consumer_offsets`.
pub mod records;
mod subscription;
pub use subscription::subscribed_topics;

// The state: groups, their members, their offsets, what is due when.
mod group;
mod member;
mod offsets;
mod room;
pub use offsets::Committed;
mod timers;

// The machine: one file per step a group takes.
mod groups;
pub use groups::{CommittedOffset, Groups, Summary};
mod commit;
mod forget;
mod join;
mod leave;
mod query;
mod rebalance;
mod replay;
mod sync;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
