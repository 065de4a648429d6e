//! Decisions: a command and an image make records and an answer. Rules and words are those of Kafka's
//! `ReplicationControlManager`, `ConfigurationControlManager`, `ProducerIdControlManager` and `ControllerApis`.

use ottla_units::limits::PARTITIONS_PER_SHARD_MAX;
use ottla_units::{BrokerId, ErrorCode, TopicId};

use crate::command::{Alteration, Answer, Command, Refusal};
use crate::config::CreationSettings;
use crate::image::{Image, Overrides};
use crate::record::Record;

mod configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod placement;
mod producer_ids;

#[cfg(test)]
mod tests;

pub use producer_ids::PRODUCER_ID_BLOCK;

/// Partitions that one request may create (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// What settings mean is not this module's business: it asks.
pub trait Settings {
    /// The overrides that a new topic has when it is created with these settings.
    ///
    /// # Errors
    /// A key or value that Kafka refuses, in Kafka's words.
    fn new_topic(&self, image: &Image, given: &[(String, Option<String>)]) -> Result<Overrides, Refusal>;

    /// What is set for all brokers when a cluster begins.
    fn of_new_cluster(&self) -> Overrides {
        Overrides::new()
    }

    /// The overrides that a resource has after an alteration of it.
    ///
    /// # Errors
    /// A resource, key or value that Kafka refuses, in Kafka's words.
    fn altered(&self, image: &Image, alteration: &Alteration) -> Result<Overrides, Refusal>;
}

/// What the broker's own configuration says about topics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// Partitions that all topics may have together.
    pub partitions_max: usize,
}

impl Default for Rules {
    /// Kafka's defaults.
    fn default() -> Rules {
        Rules { partitions: 1, replication_factor: 1, delete_topics: true, partitions_max: PARTITIONS_PER_SHARD_MAX }
    }
}

impl Rules {
    /// What a broker of `shards` shards is configured to do.
    pub fn new(creation: &CreationSettings, shards: usize) -> Rules {
        Rules {
            partitions: creation.partitions,
            replication_factor: creation.replication_factor,
            delete_topics: creation.deletable,
            partitions_max: PARTITIONS_PER_SHARD_MAX.saturating_mul(shards),
        }
    }
}

/// Everything a decision may look at besides the command.
pub struct Context<'a> {
    /// The state it is made on.
    pub image: &'a Image,
    /// What the broker's configuration says.
    pub rules: &'a Rules,
    /// What settings mean.
    pub settings: &'a dyn Settings,
    /// Makes a topic id that was never used.
    pub new_topic_id: &'a mut dyn FnMut() -> TopicId,
}

/// What shall be done: records to write and apply all or none, and what to say once that is done.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// Nothing to write: empty.
    pub records: Vec<Record>,
    /// For whoever asked.
    pub answer: Answer,
}

/// Decides a command.
pub fn decide(context: &mut Context<'_>, command: Command) -> Decision {
    match command {
        Command::CreateTopics { topics, validate_only } => create_topics::decide(context, topics, validate_only),
        Command::DeleteTopics { topics } => delete_topics::decide(context, topics),
        Command::CreatePartitions { topics, validate_only } => {
            create_partitions::decide(context, topics, validate_only)
        }
        Command::AlterConfigs { alterations, validate_only } => configs::decide(context, alterations, validate_only),
        Command::AllocateProducerIds => producer_ids::decide(context.image),
        Command::RegisterBroker(broker) => {
            let known = context.image.broker(broker.id) == Some(&broker);
            let records = if known { Vec::new() } else { vec![crate::record::broker_record(&broker)] };
            Decision { records, answer: Answer::BrokerRegistered }
        }
    }
}

/// How many partitions a request may still create: bounded for itself, and by what the cluster can hold.
struct Room {
    request: usize,
    cluster: usize,
}

impl Room {
    fn new(context: &Context<'_>) -> Room {
        let cluster = context.rules.partitions_max.saturating_sub(context.image.partition_count());
        Room { request: PARTITIONS_PER_REQUEST_MAX, cluster }
    }

    /// Whether there is room for `count` more.
    fn check(&self, count: usize) -> Result<(), Refusal> {
        if count > self.request {
            return Err(too_many_in_request());
        }
        if count > self.cluster {
            let message = format!("The cluster has room for {} more partition(s), not for {count}.", self.cluster);
            return Err(Refusal::new(ErrorCode::PolicyViolation, message));
        }
        Ok(())
    }

    fn take(&mut self, count: usize) {
        self.request = self.request.saturating_sub(count);
        self.cluster = self.cluster.saturating_sub(count);
    }
}

fn too_many_in_request() -> Refusal {
    Refusal::new(ErrorCode::PolicyViolation, "Excessively large number of partitions per request.")
}

/// The brokers that may lead, in the order of their ids.
fn active_brokers(image: &Image) -> Vec<BrokerId> {
    image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id).collect()
}

/// Splits what a request names into what it names once, in order, and the names that are there more often, each once.
fn without_duplicates<T>(items: Vec<T>, name: impl Fn(&T) -> &str) -> (Vec<T>, Vec<String>) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for item in &items {
        *seen.entry(name(item).to_owned()).or_default() += 1;
    }
    let mut twice = Vec::new();
    let mut once = Vec::with_capacity(items.len());
    for item in items {
        match seen.get_mut(name(&item)) {
            Some(1) => once.push(item),
            // Marked as told.
            Some(count) if *count > 1 => {
                *count = 0;
                twice.push(name(&item).to_owned());
            }
            _ => {}
        }
    }
    (once, twice)
}
