//! SaslAuthenticate (key 36), refused as Kafka refuses it where no handshake went before.

use std::rc::Rc;

use ottla_units::ErrorCode;
use ottla_wire::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse, StrBytes};

use crate::dispatch::Context;
use crate::shard::Shard;

/// Kafka's words; on a listener without authentication everybody counts as authenticated.
const REFUSAL: &str = "SaslAuthenticate request received after successful authentication";

pub(crate) async fn answer(
    _shard: &Rc<Shard>,
    _context: &Context<'_>,
    _request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(ErrorCode::IllegalSaslState.code())
        .with_error_message(Some(StrBytes::from_static_str(REFUSAL)))
}
