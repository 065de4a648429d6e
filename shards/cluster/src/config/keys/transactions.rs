//! Producers and transactions.

use super::effects::{HONOURED, NO_TRANSACTIONS, NOT_HERE};
use crate::config::Rule::{Any, AtLeast};
use crate::config::key::keys;

keys! { pub(crate) TRANSACTIONS of Broker {
    "producer.id.expiration.ms": Int = "86400000", AtLeast(1), ClusterWide, HONOURED;
        "How long a silent producer is remembered.";
    "producer.id.expiration.check.interval.ms" internal: Int = "600000", AtLeast(1), ReadOnly, NOT_HERE;
        "How often it is looked for producers to forget.";
    "transactional.id.expiration.ms": Int = "604800000", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "How long a silent transactional id is remembered.";
    "transaction.max.timeout.ms": Int = "900000", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "The longest timeout that a transaction may have.";
    "transaction.state.log.num.partitions": Int = "50", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "Partitions of the topic of transactions; fixed once it exists.";
    "transaction.state.log.replication.factor": Short = "3", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "Replicas of the topic of transactions.";
    "transaction.state.log.min.isr": Int = "2", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "In-sync replicas that a write to the topic of transactions needs.";
    "transaction.state.log.segment.bytes": Int = "104857600", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "The segment size of the topic of transactions.";
    "transaction.state.log.load.buffer.size": Int = "5242880", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "Bytes read at once when transactions are loaded.";
    "transaction.partition.verification.enable": Boolean = "true", Any, ClusterWide, NO_TRANSACTIONS;
        "Whether it is checked that a written partition belongs to the transaction.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = "10000", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "How often overdue transactions are looked for.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = "3600000",
        AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "How often forgotten transactional ids are looked for.";
    "transaction.two.phase.commit.enable": Boolean = "false", Any, ReadOnly, NO_TRANSACTIONS;
        "Whether transactions may be part of a larger one (KIP-939).";
    "add.partitions.to.txn.retry.backoff.ms": Int = "20", AtLeast(1), ReadOnly, NO_TRANSACTIONS;
        "How long after a refusal a partition is added again.";
    "add.partitions.to.txn.retry.backoff.max.ms": Int = "100", AtLeast(0), ReadOnly, NO_TRANSACTIONS;
        "How long in all it is tried to add a partition.";
} }
