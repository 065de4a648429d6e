//! What Ottla does with a key, each reason in its words once.

use crate::config::Effect;

/// As Kafka does.
pub(super) const HONOURED: Effect = Effect::Honoured;

// Not there yet.
pub(super) const ONE_NODE: Effect = Effect::Stored("there is one node; replication comes later");
pub(super) const NO_SECURITY: Effect = Effect::Stored("TLS, SASL, authorization and tokens come later");
pub(super) const NO_RETENTION: Effect = Effect::Stored("old records are not deleted yet");
pub(super) const NO_COMPACTION: Effect = Effect::Stored("logs are not compacted yet");
pub(super) const NO_RECOMPRESSION: Effect = Effect::Stored("batches are stored as the producer compressed them");
pub(super) const NO_MODERN_GROUPS: Effect = Effect::Stored("consumer groups of KIP-848 come later");
pub(super) const NO_SHARE_GROUPS: Effect = Effect::Stored("share groups come later");
pub(super) const NO_STREAMS_GROUPS: Effect = Effect::Stored("Streams groups come later");
pub(super) const NO_TRANSACTIONS: Effect = Effect::Stored("transactions come later");
pub(super) const NO_QUOTAS: Effect = Effect::Stored("quotas come later");
pub(super) const NO_TELEMETRY: Effect = Effect::Stored("clients' metrics are not collected yet");
pub(super) const NO_TIERING: Effect = Effect::Stored("tiered storage comes later");
// Not there ever.
pub(super) const KERNEL_SIZES: Effect = Effect::Meaningless("it is left to the kernel");
pub(super) const BYTES_BOUND: Effect = Effect::Meaningless("what is in work is bounded by bytes, not by count");
pub(super) const NO_TIMEOUT: Effect = Effect::Meaningless("a commit is answered once it is stored");
pub(super) const NO_THREADS: Effect =
    Effect::Meaningless("one shard per core does this work; there are no pools of threads");
pub(super) const NO_QUORUM: Effect =
    Effect::Meaningless("the controller runs inside this process; there is no Kafka quorum");
pub(super) const NO_PURGATORY: Effect =
    Effect::Meaningless("waiting requests are woken by their partition; there is no purgatory");
pub(super) const JAVA_CLASS: Effect = Effect::Meaningless("Ottla cannot load Java classes");
pub(super) const JOURNAL_DOES: Effect = Effect::Meaningless("the journal does this in its own way");
pub(super) const OWN_WAY: Effect = Effect::Meaningless("groups are loaded and stored in another way");
pub(super) const ONE_FOLDER: Effect = Effect::Meaningless("a node has one data folder");
pub(super) const OWN_METRICS: Effect = Effect::Meaningless("metrics are served at /metrics");
pub(super) const NOT_HERE: Effect = Effect::Meaningless("it is for Kafka's own development");
