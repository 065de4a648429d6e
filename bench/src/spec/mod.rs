//! Workloads: what a TOML file or a built-in one says, and what of it makes no sense.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

// Sizes, rates, keys, acks, codecs.
mod values;
pub use values::{Acks, Bytes, Compression, Keys, Rate, Sizes};

// What a file says: line, key, nearest valid name.
mod parse;
pub use parse::{SpecError, nearest, parse};

// What does not go together.
mod check;
pub use check::{Fault, check};

// Those that come with the program.
mod builtin;
mod openmessaging;
pub use builtin::{DEEP, FLUSHED, GOALS, GROWTH, builtin, find, names, text};

#[cfg(test)]
mod tests;

/// How a workload loads a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Producers alone.
    #[default]
    Produce,
    /// Consumers alone, of what was produced before.
    Consume,
    /// Producers, and consumers that wait at the tail: latency from due to arrived.
    EndToEnd,
    /// Producers, tail readers, and readers that catch up from the earliest record.
    Mixed,
    /// Producers and tail readers without and then with a backfill of old records: how much do they suffer?
    ColdRead,
    /// Many connections that are mostly idle.
    Connections,
    /// Members of a consumer group come and go: how long until all have their partitions again?
    Groups,
    /// Producers that commit transactions.
    Transactions,
    /// The same load over more and more partitions.
    Partitions,
}

/// Which figure of a workload is compared first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Headline {
    /// Bytes a second, CPU for each byte.
    #[default]
    Bytes,
    /// Requests a second, CPU for each request.
    Requests,
    /// Batches a second, CPU for each batch.
    Batches,
    /// Latency, CPU for each batch.
    Latency,
}

/// Where consumers begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// At the end, waiting for what comes.
    #[default]
    Tail,
    /// At the first record, once through and again.
    Earliest,
    /// The newest records of each partition, again and again: what a broker has in memory.
    Recent,
}

/// How much consumers look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Nothing.
    Off,
    /// Producer and sequence of each batch: loss, doubling, order.
    #[default]
    Sequence,
    /// Also the checksum of every byte.
    Full,
}

/// The topics of a workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Topics {
    /// How many.
    pub count: u32,
    /// Partitions of each.
    pub partitions: u32,
    /// Replicas of each.
    pub replication: i16,
    /// Settings of each, by Kafka's names.
    pub config: BTreeMap<String, String>,
}

impl Default for Topics {
    fn default() -> Topics {
        Topics { count: 1, partitions: 16, replication: 1, config: BTreeMap::new() }
    }
}

/// The producers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Produce {
    /// Open loop at this rate, or `max`.
    pub rate: Rate,
    /// Requests a second of each connection instead (kind `connections`).
    pub rate_each: Option<f64>,
    /// Producers of each topic, a connection each.
    pub producers: u32,
    /// Requests in flight on each.
    pub in_flight: u32,
    /// Bytes of a batch, its header included; with `linger_ms` at most so many.
    pub batch_bytes: Bytes,
    /// A batch holds what is due in so many milliseconds; without it batches are full.
    pub linger_ms: Option<f64>,
    /// Bytes of a record's value.
    pub record_bytes: Sizes,
    /// Partitions, one batch each, in one request.
    pub partitions_per_request: u32,
    /// Acknowledgements.
    pub acks: Acks,
    /// Compression.
    pub compression: Compression,
    /// Share of a value that compression can squeeze out, 0 to 1.
    pub compressibility: f64,
    /// Keys.
    pub keys: Keys,
    /// Load threads.
    pub threads: u32,
    /// Connections closed and opened anew each second.
    pub churn: f64,
    /// Batches in one transaction (kind `transactions`).
    pub batches_per_transaction: u32,
}

impl Default for Produce {
    fn default() -> Produce {
        Produce {
            rate: Rate::Max,
            rate_each: None,
            producers: 4,
            in_flight: 5,
            batch_bytes: Bytes(1 << 10),
            linger_ms: None,
            record_bytes: Sizes::default(),
            partitions_per_request: 1,
            acks: Acks::default(),
            compression: Compression::default(),
            compressibility: 0.0,
            keys: Keys::None,
            threads: 1,
            churn: 0.0,
            batches_per_transaction: 10,
        }
    }
}

/// The consumers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consume {
    /// Where they begin (kind `consume`).
    pub from: From,
    /// Consumers of each topic in each group, a connection each.
    pub consumers: u32,
    /// Groups: each reads everything.
    pub groups: u32,
    /// Readers from the earliest record (kinds `mixed` and `cold-read`).
    pub catch_up: u32,
    /// Bytes produced before the clock runs.
    pub backlog: Bytes,
    /// What a fetch waits for data, in milliseconds.
    pub max_wait_ms: u32,
    /// Bytes it waits for.
    pub min_bytes: Bytes,
    /// Bytes of one partition in one answer.
    pub partition_bytes: Bytes,
    /// Fetches in flight (`from = "recent"`).
    pub in_flight: u32,
    /// How much is looked at.
    pub verify: Verify,
    /// Drop the host's page cache before old records are read, where that is allowed.
    pub drop_caches: bool,
}

impl Default for Consume {
    fn default() -> Consume {
        Consume {
            from: From::Tail,
            consumers: 1,
            groups: 1,
            catch_up: 1,
            backlog: Bytes(0),
            max_wait_ms: 500,
            min_bytes: Bytes(1),
            partition_bytes: Bytes(1 << 20),
            in_flight: 1,
            verify: Verify::Sequence,
            drop_caches: true,
        }
    }
}

/// A workload.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spec {
    /// How it is called; a file's name unless it says so.
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// Its kind.
    pub kind: Kind,
    /// What it is compared by.
    pub headline: Headline,
    /// Seconds counted.
    pub seconds: f64,
    /// Seconds of the same load before, not counted.
    pub warm_seconds: f64,
    /// Its stages: partitions, connections or members, each in turn.
    pub steps: Vec<u32>,
    /// Topics.
    pub topics: Topics,
    /// Producers.
    pub produce: Produce,
    /// Consumers.
    pub consume: Consume,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            name: String::new(),
            about: String::new(),
            kind: Kind::default(),
            headline: Headline::default(),
            seconds: 10.0,
            warm_seconds: 2.0,
            steps: Vec::new(),
            topics: Topics::default(),
            produce: Produce::default(),
            consume: Consume::default(),
        }
    }
}

/// What one batch is, and how many are due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    /// Bytes of a batch at most.
    pub batch_bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Batches a second over all producers; `None` for as many as go.
    pub batches_per_second: Option<f64>,
}

/// Bytes beside its value that a record takes in a batch, about.
const RECORD_OVERHEAD: f64 = 9.0;
/// Bytes of a batch's header.
const HEADER: f64 = ottla_batch::HEADER_BYTES as f64;

impl Spec {
    /// Producers over all topics.
    pub fn producers(&self) -> u64 {
        u64::from(self.produce.producers) * u64::from(self.topics.count)
    }

    /// What a batch holds, from sizes, rate and linger.
    pub fn shape(&self) -> Shape {
        let each = self.produce.record_bytes.mean() + RECORD_OVERHEAD;
        let room = (self.produce.batch_bytes.0 as f64 - HEADER).max(0.0);
        let full = (room / each).floor().max(1.0);
        let lingered = |records_per_second: f64| match self.produce.linger_ms {
            Some(linger) => (records_per_second / self.producers() as f64 * linger / 1e3).floor().clamp(1.0, full),
            None => full,
        };
        let batch = |records: f64| if records < full { HEADER + records * each } else { room + HEADER };
        let (records, rate) = match self.produce.rate {
            Rate::Max => (full, None),
            Rate::Batches(rate) => (full, Some(rate)),
            Rate::Records(rate) => {
                let records = lingered(rate);
                (records, Some(rate / records))
            }
            Rate::Megabytes(rate) => {
                let records = lingered(rate * 1e6 / each);
                (records, Some(rate * 1e6 / batch(records)))
            }
        };
        Shape { batch_bytes: batch(records) as u64, records: records as u64, batches_per_second: rate }
    }
}
