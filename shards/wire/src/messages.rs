//! Every message but Produce and Fetch: the types of the `kafka-protocol` crate, decoded behind a walk over the schema.
//!
//! What the crate (0.18) does not do, and is done here: ListOffsets 11, OffsetCommit 10, OffsetFetch 10 and DescribeLogDirs 5.
//! Its encoders refuse a field that is set to anything but its default in a version without it.
use bytes::{Bytes, BytesMut};
pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::{Decodable, Encodable};

pub use crate::ApiKey;
use crate::{WireError, schema};

mod log_dirs;
mod offsets;

/// A request with a typed answer.
pub trait Request: Sized {
    /// Which API.
    const API: ApiKey;
    /// Its answer.
    type Response: Response;

    /// Decodes a body that has passed the schema walk, taking from `body` what was read.
    fn read(body: &mut Bytes, version: i16) -> Result<Self, WireError>;

    /// Appends the body to `out`, for clients.
    fn write(&self, out: &mut BytesMut, version: i16) -> Result<(), WireError>;
}

/// An answer to a [`Request`].
pub trait Response: Sized {
    /// Which API.
    const API: ApiKey;

    /// Decodes a body, for clients. Unlike requests, answers are not checked before: a client trusts its broker.
    fn read(body: &mut Bytes, version: i16) -> Result<Self, WireError>;

    /// Appends the body to `out`.
    fn write(&self, out: &mut BytesMut, version: i16) -> Result<(), WireError>;
}

/// Decodes a request's body. Every count and length in it has been checked against the bytes that are there before
/// anything is reserved. Bytes behind the message are ignored, as Kafka ignores them: librdkafka (2.12 at least) leaves
/// three behind a Metadata request for all topics.
pub fn decode<R: Request>(version: i16, body: Bytes) -> Result<R, WireError> {
    if !R::API.accepts(version) {
        return Err(WireError::UnsupportedVersion { api: R::API, version });
    }
    schema::check(R::API, version, &body)?;
    let mut rest = body;
    R::read(&mut rest, version)
}

/// Appends a response's body to `out`.
pub fn encode<R: Response>(response: &R, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
    response.write(out, version)
}

/// Decodes a response's body, for clients.
pub fn decode_response<R: Response>(version: i16, body: Bytes) -> Result<R, WireError> {
    let mut rest = body;
    let response = R::read(&mut rest, version)?;
    if rest.is_empty() { Ok(response) } else { Err(WireError::LeftOver(rest.len())) }
}

/// Ties each request to its API and its response, both as the crate has them but for the versions beside them, which
/// are read and written by the functions given.
macro_rules! messages {
    ($($api:ident: $request:ident $(($request_as:expr))?, $response:ident $(($response_as:expr))?;)*) => {
        $(
            impl Request for $request {
                const API: ApiKey = ApiKey::$api;
                type Response = $response;

                fn read(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
                    $(if let Some(codec) = $request_as(version) { return (codec.read)(body); })?
                    <$request as Decodable>::decode(body, known(ApiKey::$api, version)).map_err(|_| WireError::Undecodable(ApiKey::$api))
                }

                fn write(&self, out: &mut BytesMut, version: i16) -> Result<(), WireError> {
                    $(if let Some(codec) = $request_as(version) { return (codec.write)(self, out); })?
                    <$request as Encodable>::encode(self, out, known(ApiKey::$api, version)).map_err(|_| WireError::Unencodable(ApiKey::$api))
                }
            }

            impl Response for $response {
                const API: ApiKey = ApiKey::$api;

                fn read(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
                    $(if let Some(codec) = $response_as(version) { return (codec.read)(body); })?
                    <$response as Decodable>::decode(body, known(ApiKey::$api, version)).map_err(|_| WireError::Undecodable(ApiKey::$api))
                }

                fn write(&self, out: &mut BytesMut, version: i16) -> Result<(), WireError> {
                    $(if let Some(codec) = $response_as(version) { return (codec.write)(self, out); })?
                    <$response as Encodable>::encode(self, out, known(ApiKey::$api, version)).map_err(|_| WireError::Unencodable(ApiKey::$api))
                }
            }
        )*

        /// Decodes a request of any of these APIs and drops it, for fuzzers.
        pub(crate) fn decode_any(api: ApiKey, version: i16, body: Bytes) -> Result<(), WireError> {
            match api {
                $(ApiKey::$api => decode::<$request>(version, body).map(drop),)*
                _ => Err(WireError::UnsupportedVersion { api, version }),
            }
        }

        /// Decodes a request of any of these APIs and encodes it again.
        #[cfg(test)]
        pub(crate) fn round_trip(api: ApiKey, version: i16, body: Bytes) -> Result<Bytes, WireError> {
            let mut out = BytesMut::new();
            match api {
                $(ApiKey::$api => decode::<$request>(version, body)?.write(&mut out, version)?,)*
                _ => return Err(WireError::UnsupportedVersion { api, version }),
            }
            Ok(out.freeze())
        }
    };
}

messages! {
    ListOffsets: ListOffsetsRequest, ListOffsetsResponse;
    Metadata: MetadataRequest, MetadataResponse;
    OffsetCommit: OffsetCommitRequest (offsets::commit_request), OffsetCommitResponse (offsets::commit_response);
    OffsetFetch: OffsetFetchRequest (offsets::fetch_request), OffsetFetchResponse (offsets::fetch_response);
    FindCoordinator: FindCoordinatorRequest, FindCoordinatorResponse;
    JoinGroup: JoinGroupRequest, JoinGroupResponse;
    Heartbeat: HeartbeatRequest, HeartbeatResponse;
    LeaveGroup: LeaveGroupRequest, LeaveGroupResponse;
    SyncGroup: SyncGroupRequest, SyncGroupResponse;
    DescribeGroups: DescribeGroupsRequest, DescribeGroupsResponse;
    ListGroups: ListGroupsRequest, ListGroupsResponse;
    SaslHandshake: SaslHandshakeRequest, SaslHandshakeResponse;
    ApiVersions: ApiVersionsRequest, ApiVersionsResponse;
    CreateTopics: CreateTopicsRequest, CreateTopicsResponse;
    DeleteTopics: DeleteTopicsRequest, DeleteTopicsResponse;
    DeleteRecords: DeleteRecordsRequest, DeleteRecordsResponse;
    InitProducerId: InitProducerIdRequest, InitProducerIdResponse;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
    DescribeConfigs: DescribeConfigsRequest, DescribeConfigsResponse;
    AlterConfigs: AlterConfigsRequest, AlterConfigsResponse;
    DescribeLogDirs: DescribeLogDirsRequest, DescribeLogDirsResponse (log_dirs::response);
    SaslAuthenticate: SaslAuthenticateRequest, SaslAuthenticateResponse;
    CreatePartitions: CreatePartitionsRequest, CreatePartitionsResponse;
    DeleteGroups: DeleteGroupsRequest, DeleteGroupsResponse;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
    OffsetDelete: OffsetDeleteRequest, OffsetDeleteResponse;
    DescribeCluster: DescribeClusterRequest, DescribeClusterResponse;
    ListConfigResources: ListConfigResourcesRequest, ListConfigResourcesResponse;
    DescribeTopicPartitions: DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
}

/// A codec of ours for one version of a message.
struct Codec<M> {
    read: fn(&mut Bytes) -> Result<M, WireError>,
    write: fn(&M, &mut BytesMut) -> Result<(), WireError>,
}

/// The version as which the crate knows a newer one of the same layout: ListOffsets 11 only allows another timestamp
/// (KIP-1023), DescribeLogDirs 5 only changes the answer.
const fn known(api: ApiKey, version: i16) -> i16 {
    match (api, version) {
        (ApiKey::ListOffsets, 11) => 10,
        (ApiKey::DescribeLogDirs, 5) => 4,
        _ => version,
    }
}

#[cfg(test)]
mod tests;
