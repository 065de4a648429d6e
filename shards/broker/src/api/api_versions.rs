//! ApiVersions (key 18): what this broker speaks, from the one table in `ottla_wire::apis`.
//!
//! Version 3 is flexible and has the client's software and the cluster's features, 4 also features that begin at 0
//! (KAFKA-17011). A version that is not known is answered in version 0, with `UNSUPPORTED_VERSION` and the range of this
//! one API (KIP-511).

use std::rc::Rc;

use ottla_units::ErrorCode;
use ottla_wire::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use ottla_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, StrBytes};
use ottla_wire::{ApiKey, apis};

use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version that tells about the client and the features.
const FEATURES_FROM: i16 = 3;

/// A feature of the cluster as Kafka 4.3 has it: its name, and the levels between which it may be.
const METADATA_VERSION: (&str, i16, i16) = ("metadata.version", 7, 30);

pub(crate) async fn answer(
    _shard: &Rc<Shard>,
    context: &Context<'_>,
    request: ApiVersionsRequest,
) -> ApiVersionsResponse {
    if context.version < FEATURES_FROM {
        return listed();
    }
    let (name, version) = (&request.client_software_name, &request.client_software_version);
    if !is_software(name) || !is_software(version) {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    context.connection.software.replace(Some((name.to_string(), version.to_string())));
    with_features(listed())
}

/// The answer to a version that is not known, to be sent in version 0.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(vec![range(ApiKey::ApiVersions.api())])
}

fn listed() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(apis::served().map(range).collect())
}

fn range(api: &apis::Api) -> ApiVersion {
    ApiVersion::default().with_api_key(api.key.code()).with_min_version(api.min).with_max_version(api.max)
}

/// Only what is really here: group, transaction, share and streams versions stand for protocols that are not served yet.
fn with_features(response: ApiVersionsResponse) -> ApiVersionsResponse {
    let (name, min, max) = METADATA_VERSION;
    let name = StrBytes::from_static_str(name);
    let supported = SupportedFeatureKey::default().with_name(name.clone()).with_min_version(min).with_max_version(max);
    let finalized =
        FinalizedFeatureKey::default().with_name(name).with_max_version_level(max).with_min_version_level(max);
    response
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
}

/// Whether it may be the name or version of a client's software: letters, digits, and inside also `-` and `.`
/// (`ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`).
fn is_software(text: &str) -> bool {
    let bytes = text.as_bytes();
    let inside = bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let ends = [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    inside && ends
}

#[cfg(test)]
mod tests;
