//! InitProducerId (key 22): an identity for an idempotent producer.
//!
//! Version 2 is flexible, 3 lets a producer ask for its next epoch (KIP-360), 4 may answer `PRODUCER_FENCED`, 5 belongs to
//! transactions of KIP-890. Transactions are not served: a transactional id is refused with
//! `TRANSACTIONAL_ID_AUTHORIZATION_FAILED`, because that is what every client takes as final at once. (librdkafka asks again for
//! a minute after any other code that would fit.)

use std::rc::Rc;
use std::time::Duration;

use ottla_cluster::{Answer, Command};
use ottla_units::{ErrorCode, ProducerEpoch, ProducerId};
use ottla_wire::messages::{self, InitProducerIdRequest, InitProducerIdResponse};

use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let timeout_max = shard.settings().producers.transaction_timeout_max;
    match check(&request, timeout_max) {
        Ok(()) => next(shard).await.map_or_else(refused, granted),
        Err(code) => {
            if code == ErrorCode::TransactionalIdAuthorizationFailed {
                tracing::info!(peer = %context.connection.peer(), client = context.client_id, "refused a transactional producer: transactions are not served yet");
            }
            refused(code)
        }
    }
}

/// What Kafka checks before it decides anything (`KafkaApis.handleInitProducerIdRequest`, then
/// `TransactionCoordinator.handleInitProducerId`).
fn check(request: &InitProducerIdRequest, timeout_max: Duration) -> Result<(), ErrorCode> {
    let has_id = request.producer_id.0 != ProducerId::NONE.get();
    let has_epoch = request.producer_epoch != ProducerEpoch::NONE.get();
    if has_id != has_epoch {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_ref().map(|id| id.0.as_str()) {
        // Whatever identity it had before: it gets a new one.
        None => Ok(()),
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => match u64::try_from(request.transaction_timeout_ms) {
            Ok(millis @ 1..) if Duration::from_millis(millis) <= timeout_max => {
                Err(ErrorCode::TransactionalIdAuthorizationFailed)
            }
            _ => Err(ErrorCode::InvalidTransactionTimeout),
        },
    }
}

/// The next id of the block that this shard has, or of a new one.
async fn next(shard: &Rc<Shard>) -> Result<ProducerId, ErrorCode> {
    loop {
        if let Some(id) = shard.producer_ids.borrow_mut().next() {
            return Ok(ProducerId::new(id));
        }
        match shard.control(Command::AllocateProducerIds).await {
            // Whoever else asked meanwhile leaves a block behind; a rest of it is lost, as ids may be.
            Answer::ProducerIds(block) => *shard.producer_ids.borrow_mut() = block,
            Answer::Failed(refusal) => return Err(refusal.code),
            _ => return Err(ErrorCode::UnknownServerError),
        }
    }
}

fn granted(id: ProducerId) -> InitProducerIdResponse {
    InitProducerIdResponse::default().with_producer_id(messages::ProducerId(id.get())).with_producer_epoch(0)
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(messages::ProducerId(ProducerId::NONE.get()))
        .with_producer_epoch(ProducerEpoch::NONE.get())
}

#[cfg(test)]
mod tests;
