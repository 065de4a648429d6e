use super::Decision;
use crate::command::{Answer, Refusal};
use crate::image::Image;
use crate::record::Record;
use ottla_units::ErrorCode;

/// How many producer ids are given away at once (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

pub(super) fn decide(image: &Image) -> Decision {
    let first = image.next_producer_id().get();
    let Some(next) = first.checked_add(PRODUCER_ID_BLOCK) else {
        let message = "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit";
        return Decision {
            records: Vec::new(),
            answer: Answer::Failed(Refusal::new(ErrorCode::UnknownServerError, message)),
        };
    };
    Decision { records: vec![Record::ProducerIds { next }], answer: Answer::ProducerIds(first..next) }
}
