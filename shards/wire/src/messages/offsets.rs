//! OffsetCommit 10 and OffsetFetch 10: topics by id (KIP-848). The crate has the fields, not yet the versions.
use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use super::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use super::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use super::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use super::{Codec, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, StrBytes};
use crate::write::{put_length, put_no_tags, put_null, put_nullable_string, put_string};
use crate::{Reader, Span, WireError};

pub(super) fn commit_request(version: i16) -> Option<Codec<OffsetCommitRequest>> {
    (version == 10).then_some(Codec { read: read_commit, write: write_commit })
}

pub(super) fn commit_response(version: i16) -> Option<Codec<OffsetCommitResponse>> {
    (version == 10).then_some(Codec { read: read_committed, write: write_committed })
}

pub(super) fn fetch_request(version: i16) -> Option<Codec<OffsetFetchRequest>> {
    (version == 10).then_some(Codec { read: read_fetch, write: write_fetch })
}

pub(super) fn fetch_response(version: i16) -> Option<Codec<OffsetFetchResponse>> {
    (version == 10).then_some(Codec { read: read_fetched, write: write_fetched })
}

/// Both messages are flexible.
const FLEXIBLE: bool = true;

fn text(body: &Bytes, span: Span) -> Result<StrBytes, WireError> {
    StrBytes::from_utf8(body.slice(span.range())).map_err(|_| WireError::NotUtf8)
}

fn nullable_text(body: &Bytes, span: Option<Span>) -> Result<Option<StrBytes>, WireError> {
    span.map(|span| text(body, span)).transpose()
}

/// Reads an array of structures, each with its tagged fields.
fn read_all<T>(
    reader: &mut Reader<'_>,
    element_bytes_min: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    read_all_or_null(reader, element_bytes_min, &mut read)?.ok_or(WireError::UnexpectedNull)
}

fn read_all_or_null<T>(
    reader: &mut Reader<'_>,
    element_bytes_min: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Option<Vec<T>>, WireError> {
    let Some(count) = reader.nullable_count(FLEXIBLE, element_bytes_min)? else { return Ok(None) };
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        all.push(read(reader)?);
        reader.skip_tags(FLEXIBLE)?;
    }
    Ok(Some(all))
}

/// Writes an array of structures, each without tagged fields.
fn put_all<T>(out: &mut BytesMut, all: &[T], mut put: impl FnMut(&mut BytesMut, &T)) {
    put_length(out, FLEXIBLE, all.len());
    for one in all {
        put(out, one);
        put_no_tags(out, FLEXIBLE);
    }
}

fn topic_id(reader: &mut Reader<'_>) -> Result<Uuid, WireError> {
    Ok(Uuid::from_bytes(reader.topic_id()?.to_bytes()))
}

/// Ends a message: its tagged fields, and `body` is left with what is behind.
fn finish(mut reader: Reader<'_>, body: &mut Bytes, whole: &Bytes) -> Result<(), WireError> {
    reader.skip_tags(FLEXIBLE)?;
    *body = whole.slice(reader.position()..);
    Ok(())
}

fn read_commit(body: &mut Bytes) -> Result<OffsetCommitRequest, WireError> {
    let whole = body.clone();
    let mut reader = Reader::new(&whole);
    let mut request = OffsetCommitRequest::default();
    request.group_id = text(&whole, reader.string(FLEXIBLE)?)?.into();
    request.generation_id_or_member_epoch = reader.i32()?;
    request.member_id = text(&whole, reader.string(FLEXIBLE)?)?;
    request.group_instance_id = nullable_text(&whole, reader.nullable_string(FLEXIBLE)?)?;
    request.topics = read_all(&mut reader, 18, |reader| {
        let mut topic = OffsetCommitRequestTopic::default();
        topic.topic_id = topic_id(reader)?;
        topic.partitions = read_all(reader, 18, |reader| {
            let mut partition = OffsetCommitRequestPartition::default();
            partition.partition_index = reader.i32()?;
            partition.committed_offset = reader.i64()?;
            partition.committed_leader_epoch = reader.i32()?;
            partition.committed_metadata = nullable_text(&whole, reader.nullable_string(FLEXIBLE)?)?;
            Ok(partition)
        })?;
        Ok(topic)
    })?;
    finish(reader, body, &whole)?;
    Ok(request)
}

fn write_commit(request: &OffsetCommitRequest, out: &mut BytesMut) -> Result<(), WireError> {
    put_string(out, FLEXIBLE, &request.group_id);
    out.put_i32(request.generation_id_or_member_epoch);
    put_string(out, FLEXIBLE, &request.member_id);
    put_nullable_string(out, FLEXIBLE, request.group_instance_id.as_deref());
    put_all(out, &request.topics, |out, topic| {
        out.put_slice(topic.topic_id.as_bytes());
        put_all(out, &topic.partitions, |out, partition| {
            out.put_i32(partition.partition_index);
            out.put_i64(partition.committed_offset);
            out.put_i32(partition.committed_leader_epoch);
            put_nullable_string(out, FLEXIBLE, partition.committed_metadata.as_deref());
        });
    });
    put_no_tags(out, FLEXIBLE);
    Ok(())
}

fn read_committed(body: &mut Bytes) -> Result<OffsetCommitResponse, WireError> {
    let whole = body.clone();
    let mut reader = Reader::new(&whole);
    let mut response = OffsetCommitResponse::default();
    response.throttle_time_ms = reader.i32()?;
    response.topics = read_all(&mut reader, 18, |reader| {
        let mut topic = OffsetCommitResponseTopic::default();
        topic.topic_id = topic_id(reader)?;
        topic.partitions = read_all(reader, 7, |reader| {
            let mut partition = OffsetCommitResponsePartition::default();
            partition.partition_index = reader.i32()?;
            partition.error_code = reader.i16()?;
            Ok(partition)
        })?;
        Ok(topic)
    })?;
    finish(reader, body, &whole)?;
    Ok(response)
}

fn write_committed(response: &OffsetCommitResponse, out: &mut BytesMut) -> Result<(), WireError> {
    out.put_i32(response.throttle_time_ms);
    put_all(out, &response.topics, |out, topic| {
        out.put_slice(topic.topic_id.as_bytes());
        put_all(out, &topic.partitions, |out, partition| {
            out.put_i32(partition.partition_index);
            out.put_i16(partition.error_code);
        });
    });
    put_no_tags(out, FLEXIBLE);
    Ok(())
}

fn read_fetch(body: &mut Bytes) -> Result<OffsetFetchRequest, WireError> {
    let whole = body.clone();
    let mut reader = Reader::new(&whole);
    let mut request = OffsetFetchRequest::default();
    request.groups = read_all(&mut reader, 8, |reader| {
        let mut group = OffsetFetchRequestGroup::default();
        group.group_id = text(&whole, reader.string(FLEXIBLE)?)?.into();
        group.member_id = nullable_text(&whole, reader.nullable_string(FLEXIBLE)?)?;
        group.member_epoch = reader.i32()?;
        group.topics = read_all_or_null(reader, 18, |reader| {
            let mut topic = OffsetFetchRequestTopics::default();
            topic.topic_id = topic_id(reader)?;
            for _ in 0..reader.count(FLEXIBLE, 4)? {
                topic.partition_indexes.push(reader.i32()?);
            }
            Ok(topic)
        })?;
        Ok(group)
    })?;
    request.require_stable = reader.i8()? != 0;
    finish(reader, body, &whole)?;
    Ok(request)
}

fn write_fetch(request: &OffsetFetchRequest, out: &mut BytesMut) -> Result<(), WireError> {
    put_all(out, &request.groups, |out, group| {
        put_string(out, FLEXIBLE, &group.group_id);
        put_nullable_string(out, FLEXIBLE, group.member_id.as_deref());
        out.put_i32(group.member_epoch);
        let Some(topics) = &group.topics else { return put_null(out, FLEXIBLE) };
        put_all(out, topics, |out, topic| {
            out.put_slice(topic.topic_id.as_bytes());
            put_length(out, FLEXIBLE, topic.partition_indexes.len());
            for index in &topic.partition_indexes {
                out.put_i32(*index);
            }
        });
    });
    out.put_u8(request.require_stable.into());
    put_no_tags(out, FLEXIBLE);
    Ok(())
}

fn read_fetched(body: &mut Bytes) -> Result<OffsetFetchResponse, WireError> {
    let whole = body.clone();
    let mut reader = Reader::new(&whole);
    let mut response = OffsetFetchResponse::default();
    response.throttle_time_ms = reader.i32()?;
    response.groups = read_all(&mut reader, 5, |reader| {
        let mut group = OffsetFetchResponseGroup::default();
        group.group_id = text(&whole, reader.string(FLEXIBLE)?)?.into();
        group.topics = read_all(reader, 18, |reader| {
            let mut topic = OffsetFetchResponseTopics::default();
            topic.topic_id = topic_id(reader)?;
            topic.partitions = read_all(reader, 20, |reader| read_fetched_partition(reader, &whole))?;
            Ok(topic)
        })?;
        group.error_code = reader.i16()?;
        Ok(group)
    })?;
    finish(reader, body, &whole)?;
    Ok(response)
}

fn read_fetched_partition(reader: &mut Reader<'_>, whole: &Bytes) -> Result<OffsetFetchResponsePartitions, WireError> {
    let mut partition = OffsetFetchResponsePartitions::default();
    partition.partition_index = reader.i32()?;
    partition.committed_offset = reader.i64()?;
    partition.committed_leader_epoch = reader.i32()?;
    partition.metadata = nullable_text(whole, reader.nullable_string(FLEXIBLE)?)?;
    partition.error_code = reader.i16()?;
    Ok(partition)
}

fn write_fetched(response: &OffsetFetchResponse, out: &mut BytesMut) -> Result<(), WireError> {
    out.put_i32(response.throttle_time_ms);
    put_all(out, &response.groups, |out, group| {
        put_string(out, FLEXIBLE, &group.group_id);
        put_all(out, &group.topics, |out, topic| {
            out.put_slice(topic.topic_id.as_bytes());
            put_all(out, &topic.partitions, |out, partition| {
                out.put_i32(partition.partition_index);
                out.put_i64(partition.committed_offset);
                out.put_i32(partition.committed_leader_epoch);
                put_nullable_string(out, FLEXIBLE, partition.metadata.as_deref());
                out.put_i16(partition.error_code);
            });
        });
        out.put_i16(group.error_code);
    });
    put_no_tags(out, FLEXIBLE);
    Ok(())
}
