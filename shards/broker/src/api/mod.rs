//! One file for each API, in the order of their keys.

pub(crate) mod produce;

pub(crate) mod fetch;
pub(crate) mod list_offsets;

pub(crate) mod metadata;

pub(crate) mod find_coordinator;

pub(crate) mod sasl_handshake;

pub(crate) mod api_versions;

pub(crate) mod create_topics;
pub(crate) mod delete_topics;

pub(crate) mod delete_records;
pub(crate) mod init_producer_id;
pub(crate) mod offset_for_leader_epoch;

pub(crate) mod describe_log_dirs;
pub(crate) mod sasl_authenticate;

pub(crate) mod create_partitions;

pub(crate) mod describe_cluster;
pub(crate) mod describe_topic_partitions;

// Questions that the partitions' owners answer.
mod owners;

// Our values as the messages' types hold them.
mod fields;
