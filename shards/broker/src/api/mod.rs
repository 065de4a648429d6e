//! One file for each API, in the order of their keys.

pub(crate) mod produce;

pub(crate) mod fetch;

pub(crate) mod metadata;

pub(crate) mod api_versions;

pub(crate) mod create_topics;
pub(crate) mod delete_topics;

pub(crate) mod describe_log_dirs;

pub(crate) mod create_partitions;

pub(crate) mod describe_cluster;
pub(crate) mod describe_topic_partitions;

// Our values as the messages' types hold them.
mod fields;
