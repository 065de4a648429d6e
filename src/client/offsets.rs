//! Where a partition begins and ends, and which record was there at a time.

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};
use ottla_units::Timestamp;
use ottla_wire::ApiKey;

use super::cluster::topic_name;
use super::{ClientError, Cluster};

/// A place in a partition that the broker knows the offset of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The first record that is kept.
    Beginning,
    /// After the last record that may be read.
    End,
    /// The first record with this time or a later one.
    At(Timestamp),
}

impl Place {
    /// Kafka's number for it (`ListOffsetsRequest`).
    fn wire(self) -> i64 {
        match self {
            Place::Beginning => -2,
            Place::End => -1,
            Place::At(time) => time.get(),
        }
    }
}

/// The offset of a place; `None` when nothing is there: no record so late.
pub fn find(
    cluster: &mut Cluster,
    topic: &str,
    partition: i32,
    place: Place,
    read_committed: bool,
) -> Result<Option<i64>, ClientError> {
    let asked = ListOffsetsPartition::default()
        .with_partition_index(partition)
        .with_current_leader_epoch(-1)
        .with_timestamp(place.wire());
    let topics = vec![ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked])];
    let (_, answer) = cluster.leader(topic, partition)?.call(i16::MAX, |version| {
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics);
        if version >= 2 { request.with_isolation_level(i8::from(read_committed)) } else { request }
    })?;
    let found = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let found = found.ok_or_else(|| nothing_about(topic, partition))?;
    if found.error_code != 0 {
        let subject = format!("{topic}-{partition}");
        return Err(ClientError::refused(ApiKey::ListOffsets, subject, found.error_code, None));
    }
    Ok(Some(found.offset).filter(|offset| *offset >= 0))
}

fn nothing_about(topic: &str, partition: i32) -> ClientError {
    ClientError::Malformed {
        address: "the broker".into(),
        api: ApiKey::ListOffsets,
        what: format!("nothing about {topic}-{partition}"),
    }
}
