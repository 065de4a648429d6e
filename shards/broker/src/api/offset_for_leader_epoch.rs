//! OffsetForLeaderEpoch (key 23): where a leadership ended, by which a client sees that its log was cut (KIP-101, KIP-320).
//! Version 3 names the replica that asks, 4 is flexible.

use std::rc::Rc;

use ottla_units::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, TopicPartition};
use ottla_wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use ottla_wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::owners;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The epoch asked about, and the leader's epoch as the client knows it.
type Question = (LeaderEpoch, LeaderEpoch);
/// The newest epoch not above it, and where that ended.
type Found = (LeaderEpoch, Offset);

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let image = shard.image();
    let mut questions: Vec<(TopicPartition, Question)> = Vec::new();
    let mut known = Vec::new();
    for topic in &request.topics {
        let found = image.topic_named(&topic.topic.0);
        for asked in &topic.partitions {
            let index = PartitionIndex::new(asked.partition);
            let key = found.filter(|topic| topic.partition(index).is_some()).map(|topic| topic.id);
            known.push(key.is_some());
            let epochs = (LeaderEpoch::new(asked.leader_epoch), LeaderEpoch::new(asked.current_leader_epoch));
            questions.extend(key.map(|id| (TopicPartition::new(id, index), epochs)));
        }
    }
    let mut answers = owners::ask(shard, questions, find).await.into_iter();
    let mut outcomes = known.into_iter().map(|known| match known {
        true => answers.next().unwrap_or(Err(ErrorCode::UnknownServerError)),
        false => Err(ErrorCode::UnknownTopicOrPartition),
    });
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut outcomes);
        let partitions = partitions.map(|(asked, outcome)| respond(asked.partition, outcome));
        OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone()).with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

/// On the partition's shard.
async fn find(shard: Rc<Shard>, key: TopicPartition, (asked, current): Question) -> Result<Found, ErrorCode> {
    let host = shard.hosts.get(key).ok_or(ErrorCode::NotLeaderOrFollower)?;
    host.partition.check_epoch(current).map_err(|error| error.code())?;
    Ok(host.partition.end_of_epoch(asked))
}

fn respond(partition: i32, outcome: Result<Found, ErrorCode>) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(partition);
    match outcome {
        Ok((epoch, end)) => response.with_leader_epoch(epoch.get()).with_end_offset(end.get()),
        Err(code) => response.with_error_code(code.code()),
    }
}
