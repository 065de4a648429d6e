//! SaslHandshake (key 17). Listeners are plaintext, without authentication: a handshake is out of place there, and refused
//! as Kafka refuses it on such a listener.

use std::rc::Rc;

use ottla_units::ErrorCode;
use ottla_wire::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    _shard: &Rc<Shard>,
    _context: &Context<'_>,
    _request: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ErrorCode::IllegalSaslState.code())
}
