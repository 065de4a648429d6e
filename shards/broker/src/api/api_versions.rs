//! ApiVersions, key 18 (`ApiVersionsRequest.json`, KIP-35, KIP-511, KIP-584): what this broker speaks.

use std::rc::Rc;

use ottla_units::ErrorCode;
use ottla_wire::apis::TABLE;
use ottla_wire::messages::api_versions_response::ApiVersion;
use ottla_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_wire::ApiKey;

use crate::dispatch::Context;
use crate::shard::Shard;

/// Lists the table of APIs.
pub(crate) async fn answer(_shard: &Rc<Shard>, _context: &Context<'_>, _request: ApiVersionsRequest) -> ApiVersionsResponse {
    let served = TABLE.iter().filter(|api| api.served);
    let keys = served.map(|api| ApiVersion::default().with_api_key(api.key.code()).with_min_version(api.min).with_max_version(api.max));
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

/// What a version that is not known is told, in version 0: the one range that matters (KIP-511).
pub(crate) fn unsupported() -> ApiVersionsResponse {
    let api = ApiKey::ApiVersions.api();
    let range = ApiVersion::default().with_api_key(api.key.code()).with_min_version(api.min).with_max_version(api.max);
    ApiVersionsResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code()).with_api_keys(vec![range])
}
