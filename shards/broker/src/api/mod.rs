//! One file for each API, in the order of their keys.

pub(crate) mod produce;

pub(crate) mod fetch;
pub(crate) mod list_offsets;

pub(crate) mod metadata;

pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod offset_commit;
pub(crate) mod offset_fetch;
pub(crate) mod sync_group;

pub(crate) mod delete_groups;
pub(crate) mod describe_groups;
pub(crate) mod list_groups;
pub(crate) mod offset_delete;

pub(crate) mod sasl_handshake;

pub(crate) mod api_versions;

pub(crate) mod create_topics;
pub(crate) mod delete_topics;

pub(crate) mod delete_records;
pub(crate) mod init_producer_id;
pub(crate) mod offset_for_leader_epoch;

pub(crate) mod alter_configs;
pub(crate) mod describe_configs;
pub(crate) mod describe_log_dirs;
pub(crate) mod sasl_authenticate;

pub(crate) mod create_partitions;
pub(crate) mod incremental_alter_configs;

pub(crate) mod describe_cluster;
pub(crate) mod list_config_resources;

pub(crate) mod describe_topic_partitions;

// Questions that the partitions' owners answer.
mod owners;

// Whose settings are meant, and what is refused before the controller is asked.
mod config_resources;

// Our values as the messages' types hold them.
mod fields;
