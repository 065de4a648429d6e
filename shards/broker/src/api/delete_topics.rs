//! DeleteTopics (key 20).
//!
//! | version | what it added |
//! |---|---|
//! | 1 | the lowest that Kafka 4 serves |
//! | 4 | flexible |
//! | 5 | messages |
//! | 6 | topics by id |

use std::rc::Rc;

use ottla_cluster::{Answer, Command, TopicDeleted, TopicRef};
use ottla_units::{ErrorCode, TopicId};
use ottla_wire::messages::delete_topics_response::DeletableTopicResult;
use ottla_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version that names topics in `topics`, by name or by id.
const TOPIC_IDS_FROM: i16 = 6;
/// The first version that knows [`ErrorCode::TopicDeletionDisabled`].
const DELETION_DISABLED_FROM: i16 = 3;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let command = command(context.version, &request);
    let Command::DeleteTopics { topics } = &command else { return DeleteTopicsResponse::default() };
    let topics = topics.clone();
    match shard.control(command).await {
        Answer::TopicsDeleted(outcomes) => respond(context.version, outcomes),
        other => {
            let refusal = fields::failure(other);
            let failed = |topic: TopicRef| topic.refused(refusal.clone());
            respond(context.version, topics.into_iter().map(failed).collect())
        }
    }
}

pub(crate) fn command(version: i16, request: &DeleteTopicsRequest) -> Command {
    if version < TOPIC_IDS_FROM {
        let names = request.topic_names.iter().map(|name| TopicRef::Name(name.0.as_str().to_owned()));
        return Command::DeleteTopics { topics: names.collect() };
    }
    let topics = request.topics.iter().map(|topic| {
        let name = topic.name.as_ref().map(|name| name.0.as_str().to_owned());
        let id = Some(fields::topic_id(topic.topic_id)).filter(|id| !id.is_zero());
        match (name, id) {
            (Some(name), Some(id)) => TopicRef::Both(name, id),
            (Some(name), None) => TopicRef::Name(name),
            (None, Some(id)) => TopicRef::Id(id),
            (None, None) => TopicRef::Nameless,
        }
    });
    Command::DeleteTopics { topics: topics.collect() }
}

pub(crate) fn respond(version: i16, outcomes: Vec<TopicDeleted>) -> DeleteTopicsResponse {
    let responses = outcomes.into_iter().map(|deleted| {
        let result = DeletableTopicResult::default()
            .with_name(deleted.name.as_deref().map(fields::topic_name))
            .with_topic_id(fields::uuid(deleted.id.unwrap_or(TopicId::ZERO)));
        match deleted.outcome {
            Ok(()) => result,
            Err(refusal) => result
                .with_error_code(known(version, refusal.code).code())
                .with_error_message(fields::optional_text(refusal.message.as_deref())),
        }
    });
    DeleteTopicsResponse::default().with_responses(responses.collect())
}

fn known(version: i16, code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::TopicDeletionDisabled if version < DELETION_DISABLED_FROM => ErrorCode::InvalidRequest,
        other => other,
    }
}

#[cfg(test)]
mod tests;
