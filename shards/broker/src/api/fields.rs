//! Our values as the messages' types hold them, and back.

use bytes::Bytes;
use ottla_cluster::{Answer, Refusal};
use ottla_units::{BrokerId, ErrorCode, TopicId};
use ottla_wire::messages::{self, StrBytes, TopicName};
use uuid::Uuid;

/// "Not asked for", where a message may carry a set of permitted operations.
pub(crate) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// Everything one may do with a cluster: create, alter, describe, cluster action, describe and alter configs, idempotent
/// write, one bit each (`AclOperation`).
pub(crate) const CLUSTER_OPERATIONS: i32 = 8096;
/// Everything one may do with a topic: read, write, create, delete, alter, describe, describe and alter configs.
pub(crate) const TOPIC_OPERATIONS: i32 = 3576;

/// Everything one may do with a group: read, delete, describe, describe and alter configs.
pub(crate) const GROUP_OPERATIONS: i32 = 3400;

/// Text that need not be copied.
pub(crate) fn owned_text(value: String) -> StrBytes {
    StrBytes::from_string(value)
}

/// Bytes of a request that are kept: a slice would keep the whole receive buffer.
pub(crate) fn own(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

pub(crate) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

pub(crate) fn optional_text(value: Option<&str>) -> Option<StrBytes> {
    value.map(text)
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn uuid(id: TopicId) -> Uuid {
    Uuid::from_bytes(id.to_bytes())
}

pub(crate) fn topic_id(id: Uuid) -> TopicId {
    TopicId::from_bytes(id.into_bytes())
}

pub(crate) fn broker_id(id: BrokerId) -> messages::BrokerId {
    messages::BrokerId(id.get())
}

pub(crate) fn broker_ids(ids: &[BrokerId]) -> Vec<messages::BrokerId> {
    ids.iter().copied().map(broker_id).collect()
}

/// The broker, or "none" as −1.
pub(crate) fn optional_broker(id: Option<BrokerId>) -> messages::BrokerId {
    id.map_or(messages::BrokerId(-1), broker_id)
}

/// Why the controller did nothing at all of what it was asked.
pub(crate) fn failure(answer: Answer) -> Refusal {
    match answer {
        Answer::Failed(refusal) => refusal,
        other => {
            tracing::error!(?other, "the controller answered something else than was asked");
            Refusal::plain(ErrorCode::UnknownServerError)
        }
    }
}
