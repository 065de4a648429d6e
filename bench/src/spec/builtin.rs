use std::sync::LazyLock;

use super::openmessaging::OPENMESSAGING;
use super::{Spec, parse};

/// Names and texts of our own workloads, in the order in which `list` shows them.
const OWN: &[(&str, &str)] = &[
    ("produce-1x64k", include_str!("../../workloads/produce-1x64k.toml")),
    ("produce-16x64k", include_str!("../../workloads/produce-16x64k.toml")),
    ("produce-16x1k", include_str!("../../workloads/produce-16x1k.toml")),
    (DEEP, include_str!("../../workloads/produce-16x1k-deep.toml")),
    ("produce-1000x1k", include_str!("../../workloads/produce-1000x1k.toml")),
    ("produce-1000x1k-flushed", include_str!("../../workloads/produce-1000x1k-flushed.toml")),
    ("end-to-end-2k", include_str!("../../workloads/end-to-end-2k.toml")),
    ("end-to-end-10k", include_str!("../../workloads/end-to-end-10k.toml")),
    ("tail-fetch", include_str!("../../workloads/tail-fetch.toml")),
    ("cold-read", include_str!("../../workloads/cold-read.toml")),
    ("connections-5k", include_str!("../../workloads/connections-5k.toml")),
    ("growth-partitions", include_str!("../../workloads/growth-partitions.toml")),
    ("growth-connections", include_str!("../../workloads/growth-connections.toml")),
    ("produce", include_str!("../../workloads/produce.toml")),
    ("consume", include_str!("../../workloads/consume.toml")),
    ("catch-up", include_str!("../../workloads/catch-up.toml")),
    ("end-to-end", include_str!("../../workloads/end-to-end.toml")),
    ("mixed", include_str!("../../workloads/mixed.toml")),
    ("connections", include_str!("../../workloads/connections.toml")),
    ("groups", include_str!("../../workloads/groups.toml")),
    ("transactions", include_str!("../../workloads/transactions.toml")),
    ("partitions", include_str!("../../workloads/partitions.toml")),
    ("zipf-lz4", include_str!("../../workloads/zipf-lz4.toml")),
];

/// The load under which no shard waits for the disk, nor for anybody else: what shards are measured with.
pub const DEEP: &str = "produce-16x1k-deep";

/// The load of which others are measured flushing, as Ottla always does.
pub const FLUSHED: &str = "produce-1000x1k-flushed";

/// Workloads of the speed table, in its order.
pub const GOALS: &[&str] = &[
    "produce-1x64k",
    "produce-16x64k",
    "produce-16x1k",
    "produce-1000x1k",
    FLUSHED,
    "end-to-end-2k",
    "end-to-end-10k",
    "tail-fetch",
    "cold-read",
    "connections-5k",
];

/// Workloads that show how cost grows.
pub const GROWTH: &[&str] = &["growth-partitions", "growth-connections"];

static ALL: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| parse(text, &format!("{name}.toml")).ok();
    OWN.iter().chain(OPENMESSAGING).filter_map(read).collect()
});

/// Every built-in workload: ours, then those of the OpenMessaging Benchmark.
pub fn builtin() -> &'static [Spec] {
    &ALL
}

/// The built-in workload of a name.
pub fn find(name: &str) -> Option<&'static Spec> {
    builtin().iter().find(|spec| spec.name == name)
}

/// Names of all built-in workloads, ours first, and how many are ours.
pub fn names() -> (Vec<&'static str>, usize) {
    (OWN.iter().chain(OPENMESSAGING).map(|(name, _)| *name).collect(), OWN.len())
}

/// The text of a built-in workload, to begin one's own with.
pub fn text(name: &str) -> Option<&'static str> {
    OWN.iter().chain(OPENMESSAGING).find(|(known, _)| *known == name).map(|(_, text)| *text)
}
