//! CreatePartitions (key 37). Version 2 is flexible; 3 adds nothing for a broker without quotas.

use std::rc::Rc;

use ottla_cluster::{Answer, Command, MorePartitions, Refusal};
use ottla_units::BrokerId;
use ottla_wire::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    _context: &Context<'_>,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    match shard.control(command(&request)).await {
        Answer::PartitionsCreated(outcomes) => respond(outcomes),
        other => {
            let refusal = fields::failure(other);
            let names = request.topics.iter().map(|topic| topic.name.0.as_str().to_owned());
            respond(names.map(|name| (name, Err(refusal.clone()))).collect())
        }
    }
}

pub(crate) fn command(request: &CreatePartitionsRequest) -> Command {
    Command::CreatePartitions {
        topics: request.topics.iter().map(more_partitions).collect(),
        validate_only: request.validate_only,
    }
}

fn more_partitions(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let brokers = |ids: &[ottla_wire::messages::BrokerId]| ids.iter().map(|id| BrokerId::new(id.0)).collect();
        assignments.iter().map(|assignment| brokers(&assignment.broker_ids)).collect()
    });
    MorePartitions { name: topic.name.0.as_str().to_owned(), count: topic.count, assignments }
}

pub(crate) fn respond(outcomes: Vec<(String, Result<(), Refusal>)>) -> CreatePartitionsResponse {
    let results = outcomes.into_iter().map(|(name, outcome)| {
        let result = CreatePartitionsTopicResult::default().with_name(fields::topic_name(&name));
        match outcome {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(fields::optional_text(refusal.message.as_deref())),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}
