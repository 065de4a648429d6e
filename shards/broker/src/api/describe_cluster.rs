//! DescribeCluster (key 60). Version 1 adds the kind of endpoint (KIP-919), 2 fenced brokers (KIP-1073).

use std::rc::Rc;

use ottla_cluster::{Broker, Image};
use ottla_units::ErrorCode;
use ottla_wire::messages::describe_cluster_response::DescribeClusterBroker;
use ottla_wire::messages::{self, DescribeClusterRequest, DescribeClusterResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// Endpoints that are brokers.
const BROKERS: i8 = 1;
/// Endpoints that are controllers.
const CONTROLLERS: i8 = 2;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    respond(&shard.image(), &context.connection.listener, &request)
}

pub(crate) fn respond(image: &Image, listener: &str, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let message =
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message);
        }
        other => return refused(ErrorCode::UnsupportedEndpointType, &format!("Unsupported endpoint type {other}")),
    }
    let brokers = image.brokers().filter(|broker| request.include_fenced_brokers || !broker.fenced);
    let response = DescribeClusterResponse::default()
        .with_cluster_id(fields::text(image.cluster_id()))
        .with_controller_id(fields::optional_broker(image.controller()))
        .with_brokers(brokers.filter_map(|broker| described(broker, listener)).collect());
    match request.include_cluster_authorized_operations {
        true => response.with_cluster_authorized_operations(fields::CLUSTER_OPERATIONS),
        false => response.with_cluster_authorized_operations(fields::OPERATIONS_NOT_ASKED),
    }
}

fn refused(code: ErrorCode, message: &str) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(fields::text(message)))
        .with_controller_id(messages::BrokerId(-1))
        .with_cluster_authorized_operations(fields::OPERATIONS_NOT_ASKED)
}

fn described(broker: &Broker, listener: &str) -> Option<DescribeClusterBroker> {
    let listener = broker.listener(listener)?;
    let described = DescribeClusterBroker::default()
        .with_broker_id(fields::broker_id(broker.id))
        .with_host(fields::text(&listener.host))
        .with_port(i32::from(listener.port))
        .with_rack(fields::optional_text(broker.rack.as_deref()))
        .with_is_fenced(broker.fenced);
    Some(described)
}
