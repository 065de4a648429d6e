//! FindCoordinator (key 10): which broker keeps a group or a transactional id.
//!
//! | version | what it added |
//! |---|---|
//! | 1 | the kind of key |
//! | 3 | flexible |
//! | 4 | several keys at once (KIP-699) |
//! | 6 | share groups (KIP-932), not served |

use std::rc::Rc;
use std::sync::Arc;

use ottla_cluster::{Answer, Broker, CONSUMER_OFFSETS, Command, Image, NewTopic, Topic};
use ottla_units::{BrokerId, ErrorCode, PartitionIndex};
use ottla_wire::messages::find_coordinator_response::Coordinator;
use ottla_wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::fields;
use crate::dispatch::Context;
use crate::shard::Shard;

/// The first version with several keys.
const SEVERAL_FROM: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn answer(
    shard: &Rc<Shard>,
    context: &Context<'_>,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let offsets = if request.key_type == GROUP { offsets_topic(shard).await } else { None };
    let finder = Finder {
        image: &shard.image(),
        listener: &context.connection.listener,
        own: shard.broker_id,
        key_type: request.key_type,
        offsets: offsets.as_deref(),
    };
    if context.version < SEVERAL_FROM {
        return single(finder.find(&request.key));
    }
    let coordinators = request.coordinator_keys.iter().map(|key| finder.find(key).with_key(key.clone()));
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

fn single(found: Coordinator) -> FindCoordinatorResponse {
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(found.error_message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

/// `__consumer_offsets`, made now if nobody needed it before; `None` where it cannot be made.
pub(crate) async fn offsets_topic(shard: &Rc<Shard>) -> Option<Arc<Topic>> {
    if let Some(topic) = shard.image().topic_named(CONSUMER_OFFSETS) {
        return Some(Arc::clone(topic));
    }
    let brokers = shard.image().brokers().count();
    let topic = NewTopic::on_demand(CONSUMER_OFFSETS, &shard.settings().creation, brokers);
    let answer = shard.control(Command::CreateTopics { topics: vec![topic], validate_only: false }).await;
    if let Answer::Failed(refusal) = answer {
        tracing::warn!(code = %refusal.code, "{CONSUMER_OFFSETS} was not created");
    }
    // Another request may have been faster: what counts is that it is there.
    shard.image().topic_named(CONSUMER_OFFSETS).cloned()
}

struct Finder<'a> {
    image: &'a Image,
    listener: &'a str,
    own: BrokerId,
    key_type: i8,
    offsets: Option<&'a Topic>,
}

impl Finder<'_> {
    fn find(&self, key: &str) -> Coordinator {
        let broker = match self.key_type {
            GROUP => self.keeper_of(key),
            // Transactions are not served, but whoever asks shall hear so from InitProducerId.
            TRANSACTION => self.image.broker(self.own),
            _ => return refused(ErrorCode::InvalidRequest),
        };
        let Some((broker, listener)) = broker.and_then(|broker| Some((broker, broker.listener(self.listener)?))) else {
            return refused(ErrorCode::CoordinatorNotAvailable);
        };
        Coordinator::default()
            .with_node_id(fields::broker_id(broker.id))
            .with_host(fields::text(&listener.host))
            .with_port(i32::from(listener.port))
    }

    /// The leader of the partition that keeps a group.
    fn keeper_of(&self, group: &str) -> Option<&Broker> {
        let topic = self.offsets?;
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let index = PartitionIndex::new(ottla_coordinator::partition_of(group, partitions));
        self.image.broker(topic.partition(index)?.leader?)
    }
}

fn refused(code: ErrorCode) -> Coordinator {
    Coordinator::default().with_error_code(code.code()).with_node_id(fields::optional_broker(None)).with_port(-1)
}
