//! The records of `__consumer_offsets` in Kafka's formats (`group-coordinator/…/message/*.json`): a key and a value,
//! each beginning with its version. A record without a value is a tombstone.
//!
//! | what | key | value written | values read |
//! |---|---|---|---|
//! | an offset | OffsetCommitKey 1 (0 read) | 1 with an expiry of its own, 4 with a topic id, else 3 | 0–4 |
//! | a group | GroupMetadataKey 2 | 3 | 0–4 |
//!
//! Version 4 of either value is the first with compact strings and tagged fields; tag 0 of an offset is its topic id.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use ottla_units::{LeaderEpoch, Offset, Timestamp, TopicId};

use crate::effect::Record;
use crate::offsets::Committed;

mod reader;
pub(crate) use reader::Reader;

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const GROUP_VALUE: i16 = 3;

/// What is wrong with bytes that should be a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// A length or count points past the end, or is negative where it may not be.
    Truncated,
    /// Text that is not UTF-8.
    NotText,
    /// The value has this version, which is not known.
    UnknownVersion(i16),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Truncated => f.write_str("ends too early"),
            RecordError::NotText => f.write_str("holds text that is not UTF-8"),
            RecordError::UnknownVersion(version) => write!(f, "has the unknown version {version}"),
        }
    }
}

impl std::error::Error for RecordError {}

/// What a record is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// An offset of a group.
    Offset {
        /// Group id.
        group: String,
        /// Topic name.
        topic: String,
        /// Partition index.
        partition: i32,
    },
    /// A group and its members.
    Group(String),
    /// A record of the newer group types, by its key's version. It is skipped.
    Other(i16),
}

/// What `__consumer_offsets` says of a group (GroupMetadataValue).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupValue {
    /// `consumer` …; empty for none.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The chosen protocol.
    pub protocol: Option<String>,
    /// The leader's member id.
    pub leader: Option<String>,
    /// When the group came into its state; −1 unknown.
    pub state_since: Timestamp,
    /// Its members; none when it is empty.
    pub members: Vec<MemberValue>,
}

/// What `__consumer_offsets` says of a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberValue {
    /// Member id.
    pub member: String,
    /// `group.instance.id`
    pub instance: Option<String>,
    /// The client's `client.id`.
    pub client_id: String,
    /// The client's address.
    pub client_host: String,
    /// Milliseconds to rejoin; −1 in old records: as the session's.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds without a heartbeat.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader gave it.
    pub assignment: Bytes,
}

/// The record that says `committed`, or (`None`) that there is no offset any more.
pub fn offset_record(group: &str, topic: &str, partition: i32, committed: Option<&Committed>) -> Record {
    let mut key = BytesMut::with_capacity(10 + group.len() + topic.len());
    key.put_i16(OFFSET_KEY);
    put_string(&mut key, group);
    put_string(&mut key, topic);
    key.put_i32(partition);
    Record { key: key.freeze(), value: committed.map(offset_value) }
}

/// The record that says `value`, or (`None`) that there is no such group any more.
pub fn group_record(group: &str, value: Option<&GroupValue>) -> Record {
    let mut key = BytesMut::with_capacity(4 + group.len());
    key.put_i16(GROUP_KEY);
    put_string(&mut key, group);
    Record { key: key.freeze(), value: value.map(group_value) }
}

/// Reads a record's key.
pub fn read_key(bytes: &[u8]) -> Result<Key, RecordError> {
    let mut reader = Reader::new(bytes);
    match reader.i16()? {
        0 | OFFSET_KEY => {
            Ok(Key::Offset { group: reader.string()?, topic: reader.string()?, partition: reader.i32()? })
        }
        GROUP_KEY => Ok(Key::Group(reader.string()?)),
        version => Ok(Key::Other(version)),
    }
}

/// Reads the value of an offset.
pub fn read_offset(bytes: &[u8]) -> Result<Committed, RecordError> {
    let mut reader = Reader::new(bytes);
    let version = reader.version(4)?;
    let offset = Offset::new(reader.i64()?);
    let leader_epoch = LeaderEpoch::new(if version >= 3 { reader.i32()? } else { -1 });
    let metadata = reader.string()?.into_boxed_str();
    let committed_at = Timestamp::new(reader.i64()?);
    let expires_at = Timestamp::new(if version == 1 { reader.i64()? } else { -1 });
    let mut topic_id = TopicId::ZERO;
    reader.tags(|tag, bytes| {
        if let (0, Ok(id)) = (tag, <[u8; 16]>::try_from(bytes)) {
            topic_id = TopicId::from_bytes(id);
        }
    })?;
    Ok(Committed { offset, leader_epoch, metadata, committed_at, expires_at, topic_id })
}

/// Reads the value of a group.
pub fn read_group(bytes: &[u8]) -> Result<GroupValue, RecordError> {
    let mut reader = Reader::new(bytes);
    let version = reader.version(4)?;
    let protocol_type = reader.string()?;
    let generation = reader.i32()?;
    let protocol = reader.nullable_string()?;
    let leader = reader.nullable_string()?;
    let state_since = Timestamp::new(if version >= 2 { reader.i64()? } else { -1 });
    let count = reader.count()?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(read_member(&mut reader, version)?);
    }
    reader.tags(|_, _| ())?;
    Ok(GroupValue { protocol_type, generation, protocol, leader, state_since, members })
}

fn read_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, RecordError> {
    let value = MemberValue {
        member: reader.string()?,
        instance: if version >= 3 { reader.nullable_string()? } else { None },
        client_id: reader.string()?,
        client_host: reader.string()?,
        rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
        session_timeout_ms: reader.i32()?,
        subscription: Bytes::copy_from_slice(reader.bytes()?),
        assignment: Bytes::copy_from_slice(reader.bytes()?),
    };
    reader.tags(|_, _| ())?;
    Ok(value)
}

fn offset_value(committed: &Committed) -> Bytes {
    let mut out = BytesMut::with_capacity(56 + committed.metadata.len());
    let version: i16 = match (committed.expires_at, committed.topic_id) {
        (Timestamp::NONE, TopicId::ZERO) => 3,
        (Timestamp::NONE, _) => 4,
        _ => 1,
    };
    out.put_i16(version);
    out.put_i64(committed.offset.get());
    if version >= 3 {
        out.put_i32(committed.leader_epoch.get());
    }
    if version >= 4 {
        put_varint(&mut out, committed.metadata.len() + 1);
        out.put_slice(committed.metadata.as_bytes());
    } else {
        put_string(&mut out, &committed.metadata);
    }
    out.put_i64(committed.committed_at.get());
    if version == 1 {
        out.put_i64(committed.expires_at.get());
    }
    if version >= 4 {
        out.put_slice(&[1, 0, 16]); // one tagged field, tag 0, sixteen bytes
        out.put_slice(&committed.topic_id.to_bytes());
    }
    out.freeze()
}

fn group_value(value: &GroupValue) -> Bytes {
    let members: usize = value.members.iter().map(|m| m.subscription.len() + m.assignment.len() + 160).sum();
    let mut out = BytesMut::with_capacity(64 + members);
    out.put_i16(GROUP_VALUE);
    put_string(&mut out, &value.protocol_type);
    out.put_i32(value.generation);
    put_nullable(&mut out, value.protocol.as_deref());
    put_nullable(&mut out, value.leader.as_deref());
    out.put_i64(value.state_since.get());
    out.put_i32(value.members.len() as i32);
    for member in &value.members {
        put_string(&mut out, &member.member);
        put_nullable(&mut out, member.instance.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out.freeze()
}

/// Names were measured when the request came in ([`crate::limits::NAME_BYTES_MAX`]).
fn put_string(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= crate::limits::NAME_BYTES_MAX);
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

fn put_nullable(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn put_varint(out: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}
