//! From a frame to the handler of its API, and from the handler's answer to a frame.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use ottla_reactor::monotonic;
use ottla_reactor::socket::Piece;
use ottla_wire::messages;
use ottla_wire::{ApiKey, RequestHeader, WireError, frame};

use crate::api;
use crate::connection::{Answer, Closed, Connection};
use crate::faults::Faults;
use crate::shard::Shard;

/// What a handler may know of a request besides its body.
pub(crate) struct Context<'c> {
    /// The API.
    pub(crate) api: ApiKey,
    /// The version it was asked in.
    pub(crate) version: i16,
    /// To be given back with the answer.
    pub(crate) correlation_id: i32,
    /// The client's name for itself; empty when it gave none.
    pub(crate) client_id: &'c str,
    /// When the request was read.
    pub(crate) received: Instant,
    /// The connection it came by.
    pub(crate) connection: &'c Connection,
}

impl Context<'_> {
    /// The client's address as Kafka prints it in group descriptions.
    pub(crate) fn client_host(&self) -> String {
        format!("/{}", self.connection.peer().ip())
    }
}

/// Answers one request. A panic in a handler is a defect; it costs that one connection and is logged.
pub(crate) async fn dispatch(shard: &Rc<Shard>, connection: &Connection, request: Bytes) -> Result<Answer, Closed> {
    let mut inner = std::pin::pin!(route(shard, connection, request));
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(context))) {
        Ok(polled) => polled,
        Err(_) => {
            tracing::error!(peer = %connection.peer(), "a request handler panicked; its connection is closed");
            Poll::Ready(Err(Closed::Panicked))
        }
    })
    .await
}

/// Sends each message API to its file: the handler takes the decoded request and gives the response.
macro_rules! message_routes {
    ($shard:ident, $context:ident, $body:ident; $($key:ident => $module:ident,)*) => {
        match $context.api {
            $(ApiKey::$key => {
                let request = messages::decode($context.version, $body).map_err(Closed::Invalid)?;
                let response = api::$module::answer($shard, &$context, request).await;
                respond($shard, &$context, &response)
            })*
            _ => Err(Closed::Invalid(WireError::UnknownApi($context.api.code()))),
        }
    };
}

async fn route(shard: &Rc<Shard>, connection: &Connection, request: Bytes) -> Result<Answer, Closed> {
    let header = RequestHeader::parse(&request).map_err(Closed::Invalid)?;
    let context = Context {
        api: header.api,
        version: header.version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.unwrap_or_default(),
        received: monotonic(),
        connection,
    };
    let body = request.slice(header.body_at..);
    if header.api != ApiKey::Produce {
        connection.lean(None);
    }
    match header.api {
        ApiKey::Produce => return api::produce::begin(shard, &context, body).await,
        ApiKey::Fetch => {
            // Its session is this shard's.
            connection.bind();
            return api::fetch::answer(shard, &context, body).await;
        }
        ApiKey::ApiVersions if !header.api.accepts(header.version) => {
            return respond_in(shard, &context, &api::api_versions::unsupported(), 0);
        }
        _ => {}
    }
    message_routes! { shard, context, body;
        ListOffsets => list_offsets,
        Metadata => metadata,
        OffsetCommit => offset_commit,
        OffsetFetch => offset_fetch,
        FindCoordinator => find_coordinator,
        JoinGroup => join_group,
        Heartbeat => heartbeat,
        LeaveGroup => leave_group,
        SyncGroup => sync_group,
        DescribeGroups => describe_groups,
        ListGroups => list_groups,
        SaslHandshake => sasl_handshake,
        ApiVersions => api_versions,
        CreateTopics => create_topics,
        DeleteTopics => delete_topics,
        DeleteRecords => delete_records,
        InitProducerId => init_producer_id,
        OffsetForLeaderEpoch => offset_for_leader_epoch,
        DescribeLogDirs => describe_log_dirs,
        SaslAuthenticate => sasl_authenticate,
        CreatePartitions => create_partitions,
        DeleteGroups => delete_groups,
        OffsetDelete => offset_delete,
        DescribeConfigs => describe_configs,
        AlterConfigs => alter_configs,
        IncrementalAlterConfigs => incremental_alter_configs,
        DescribeCluster => describe_cluster,
        ListConfigResources => list_config_resources,
        DescribeTopicPartitions => describe_topic_partitions,
    }
}

/// Encodes a response into a frame.
pub(crate) fn respond<R: messages::Response + Faults>(
    shard: &Shard,
    context: &Context<'_>,
    response: &R,
) -> Result<Answer, Closed> {
    respond_in(shard, context, response, context.version)
}

fn respond_in<R: messages::Response + Faults>(
    shard: &Shard,
    context: &Context<'_>,
    response: &R,
    version: i16,
) -> Result<Answer, Closed> {
    let mut out = BytesMut::with_capacity(256);
    let open = frame::begin_response(&mut out, context.api, version, context.correlation_id);
    messages::encode(response, version, &mut out).map_err(|error| {
        tracing::error!(api = context.api.name(), version, %error, "a response cannot be encoded; the connection is closed");
        Closed::Invalid(error)
    })?;
    open.close(&mut out, 0);
    response.each_code(|code| shard.metrics.failed_code(context.api, code));
    shard.metrics.answered(context.api, context.version, context.received.elapsed());
    Ok(Answer::Ready(vec![Piece::Bytes(out.freeze())]))
}
