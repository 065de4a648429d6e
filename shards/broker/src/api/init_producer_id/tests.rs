use ottla_wire::messages::StrBytes;

use super::*;

/// Kafka's `transaction.max.timeout.ms`.
const MAX: Duration = Duration::from_secs(900);

fn request(transactional_id: Option<&'static str>, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(transactional_id.map(|id| StrBytes::from_static_str(id).into()))
        .with_transaction_timeout_ms(timeout_ms)
}

#[test]
fn a_plain_producer_is_welcome() {
    assert_eq!(check(&request(None, 0), MAX), Ok(()));
    let again = request(None, 0).with_producer_id(messages::ProducerId(5)).with_producer_epoch(3);
    assert_eq!(check(&again, MAX), Ok(()));
}

#[test]
fn half_an_identity_is_none() {
    let id_only = request(None, 0).with_producer_id(messages::ProducerId(5));
    assert_eq!(check(&id_only, MAX), Err(ErrorCode::InvalidRequest));
    let epoch_only = request(None, 0).with_producer_epoch(3);
    assert_eq!(check(&epoch_only, MAX), Err(ErrorCode::InvalidRequest));
}

#[test]
fn transactional_ids_are_checked_as_kafka_does_and_then_refused() {
    assert_eq!(check(&request(Some(""), 1), MAX), Err(ErrorCode::InvalidRequest));
    for timeout in [0, -1, 900_001] {
        assert_eq!(check(&request(Some("x"), timeout), MAX), Err(ErrorCode::InvalidTransactionTimeout));
    }
    assert_eq!(check(&request(Some("x"), 900_000), MAX), Err(ErrorCode::TransactionalIdAuthorizationFailed));
}
