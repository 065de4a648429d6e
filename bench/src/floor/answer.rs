//! What is answered: produces, and the little that the load generator asks before.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use ottla_batch::Batch;
use ottla_units::{ErrorCode, Offset, Timestamp};
use ottla_wire::messages::api_versions_response::ApiVersion;
use ottla_wire::messages::create_topics_response::CreatableTopicResult;
use ottla_wire::messages::delete_topics_response::DeletableTopicResult;
use ottla_wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use ottla_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_wire::messages::{
    self, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, StrBytes,
    TopicName,
};
use ottla_wire::produce::{PartitionAnswer, Produce, ResponseWriter};
use ottla_wire::{ApiKey, RequestHeader, TopicRef, WireError, frame};

use super::Shard;
use super::connection::{Closed, Connection};
use super::topics::{List, Partitions};

/// What is served, each up to this version: before topics are named by id.
const SERVED: [(ApiKey, i16); 6] = [
    (ApiKey::Produce, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::ApiVersions, 4),
    (ApiKey::CreateTopics, 6),
    (ApiKey::DeleteTopics, 5),
];
/// The one node that there is.
const NODE: BrokerId = BrokerId(0);
/// Bytes of an answer about one partition, and of what goes around them, about.
const PARTITION_ANSWER_BYTES: usize = 40;
const ANSWER_BYTES: usize = 128;

/// Sees to one request: done when its records are where they are written from. The answer follows when they are durable.
pub(super) async fn answer(
    shard: &Rc<Shard>,
    connection: &Rc<Connection>,
    request: &[u8],
    scratch: &mut Produce,
) -> Result<(), Closed> {
    let header = RequestHeader::parse(request)?;
    if !SERVED.iter().any(|(api, max)| *api == header.api && header.version <= *max) {
        return Err(Closed::NotServed(header.api, header.version));
    }
    let body = header.body(request);
    let answer = if header.api == ApiKey::Produce {
        scratch.decode(body, header.version)?;
        let answer = give_offsets(&shard.topics.of(&shard.shared.topics), &header, scratch, body);
        for records in scratch.partitions.iter().filter_map(|partition| partition.records) {
            shard.journal.append(records.of(body)).await;
        }
        if scratch.acks == 0 { Bytes::new() } else { answer }
    } else {
        let address = connection.socket.local_address().map_err(|_| Closed::ByPeer)?;
        control(shard, address, &header, Bytes::copy_from_slice(body))?
    };
    shard.journal.answer(connection, answer);
    Ok(())
}

/// Gives each batch its offset, and writes the answer. What is refused has no records any more.
fn give_offsets(topics: &List, header: &RequestHeader<'_>, request: &mut Produce, body: &[u8]) -> Bytes {
    let Produce { topics: named, partitions, .. } = request;
    let mut out = BytesMut::with_capacity(ANSWER_BYTES + partitions.len() * PARTITION_ANSWER_BYTES);
    let open = frame::begin_response(&mut out, header.api, header.version, header.correlation_id);
    let mut writer = ResponseWriter::begin(&mut out, header.version, named.len());
    let mut rest = &mut partitions[..];
    for (place, topic) in named.iter().enumerate() {
        let name = topic.name.text(body);
        let found = topics.get(name);
        let count = rest.iter().take_while(|partition| partition.topic as usize == place).count();
        let (own, others) = rest.split_at_mut(count);
        rest = others;
        writer.topic(TopicRef { name, id: topic.id }, count);
        for partition in own {
            let records = partition.records.map_or(&[][..], |records| records.of(body));
            let answer = match next_offset(found, partition.index.get(), records) {
                Ok(base_offset) => PartitionAnswer {
                    base_offset,
                    log_append_time: Timestamp::NONE,
                    log_start_offset: Offset::new(0),
                    ..PartitionAnswer::refused(partition.index, ErrorCode::None.code())
                },
                Err(code) => {
                    partition.records = None;
                    PartitionAnswer::refused(partition.index, code.code())
                }
            };
            writer.partition(&answer);
        }
    }
    writer.finish(0, &[]);
    open.close(&mut out, 0);
    out.freeze()
}

/// The offset of these records' first; the next ones come behind their last.
fn next_offset(topic: Option<&Partitions>, index: i32, records: &[u8]) -> Result<Offset, ErrorCode> {
    let partition = topic.and_then(|partitions| partitions.get(usize::try_from(index).ok()?));
    let next = partition.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let (batch, _) = Batch::parse(records).map_err(|_| ErrorCode::InvalidRecord)?;
    Ok(Offset::new(next.fetch_add(i64::from(batch.last_offset_delta()) + 1, Ordering::Relaxed)))
}

/// Everything but produces: rare.
fn control(shard: &Shard, address: SocketAddr, header: &RequestHeader<'_>, body: Bytes) -> Result<Bytes, WireError> {
    let version = header.version;
    let topics = &shard.shared.topics;
    let list = shard.topics.of(topics);
    match header.api {
        ApiKey::ListOffsets => encode(header, &ends(&list, &messages::decode(version, body)?)),
        ApiKey::Metadata => encode(header, &metadata(&list, address, &messages::decode(version, body)?)),
        ApiKey::CreateTopics => {
            let request: CreateTopicsRequest = messages::decode(version, body)?;
            let created = request.topics.iter().map(|topic| {
                let code = topics.create(&topic.name, topic.num_partitions);
                CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(code.code())
            });
            encode(header, &CreateTopicsResponse::default().with_topics(created.collect()))
        }
        ApiKey::DeleteTopics => {
            let request: DeleteTopicsRequest = messages::decode(version, body)?;
            let deleted = request.topic_names.iter().map(|name| {
                let code = topics.delete(name);
                DeletableTopicResult::default().with_name(Some(name.clone())).with_error_code(code.code())
            });
            encode(header, &DeleteTopicsResponse::default().with_responses(deleted.collect()))
        }
        _ => encode(header, &versions()),
    }
}

fn encode(header: &RequestHeader<'_>, response: &impl messages::Response) -> Result<Bytes, WireError> {
    let mut out = BytesMut::with_capacity(ANSWER_BYTES);
    let open = frame::begin_response(&mut out, header.api, header.version, header.correlation_id);
    messages::encode(response, header.version, &mut out)?;
    open.close(&mut out, 0);
    Ok(out.freeze())
}

fn versions() -> ApiVersionsResponse {
    let range = |(api, max): (ApiKey, i16)| {
        ApiVersion::default().with_api_key(api.code()).with_min_version(api.api().min).with_max_version(max)
    };
    ApiVersionsResponse::default().with_api_keys(SERVED.map(range).to_vec())
}

/// This node leads everything.
fn metadata(list: &List, address: SocketAddr, request: &MetadataRequest) -> MetadataResponse {
    let node = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(StrBytes::from_string(address.ip().to_string()))
        .with_port(address.port().into());
    let asked: Vec<&str> = match &request.topics {
        Some(topics) => topics.iter().filter_map(|topic| topic.name.as_ref()).map(|name| name.0.as_str()).collect(),
        None => list.keys().map(String::as_str).collect(),
    };
    MetadataResponse::default()
        .with_brokers(vec![node])
        .with_controller_id(NODE)
        .with_topics(asked.into_iter().map(|name| described(name, list.get(name))).collect())
}

fn described(name: &str, partitions: Option<&Partitions>) -> MetadataResponseTopic {
    let topic = MetadataResponseTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))));
    let Some(partitions) = partitions else {
        return topic.with_error_code(ErrorCode::UnknownTopicOrPartition.code());
    };
    let one = |index: usize| {
        MetadataResponsePartition::default()
            .with_partition_index(index as i32)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    };
    topic.with_partitions((0..partitions.len()).map(one).collect())
}

/// The end of each partition, whatever was asked for: there is nothing before it.
fn ends(list: &List, request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let topics = request.topics.iter().map(|topic| {
        let found = list.get(topic.name.0.as_str());
        let partitions = topic.partitions.iter().map(|asked| {
            let index = asked.partition_index;
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(index);
            match found.and_then(|partitions| partitions.get(usize::try_from(index).ok()?)) {
                Some(next) => answer.with_offset(next.load(Ordering::Relaxed)),
                None => answer.with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
            }
        });
        ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}
