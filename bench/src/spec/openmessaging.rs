//! The OpenMessaging Benchmark's workloads under their own names: a table.

/// Name and text of each file.
pub(super) const OPENMESSAGING: &[(&str, &str)] = &[
    ("1-topic-1-partition-100b", include_str!("../../workloads/openmessaging/1-topic-1-partition-100b.toml")),
    ("1-topic-1-partition-1kb", include_str!("../../workloads/openmessaging/1-topic-1-partition-1kb.toml")),
    ("1-topic-100-partitions-1kb", include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb.toml")),
    (
        "1-topic-100-partitions-1kb-4p-4c-1000k",
        include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb-4p-4c-1000k.toml"),
    ),
    (
        "1-topic-100-partitions-1kb-4p-4c-2000k",
        include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb-4p-4c-2000k.toml"),
    ),
    (
        "1-topic-100-partitions-1kb-4p-4c-200k",
        include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb-4p-4c-200k.toml"),
    ),
    (
        "1-topic-100-partitions-1kb-4p-4c-200k-backlog",
        include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb-4p-4c-200k-backlog.toml"),
    ),
    (
        "1-topic-100-partitions-1kb-4p-4c-500k",
        include_str!("../../workloads/openmessaging/1-topic-100-partitions-1kb-4p-4c-500k.toml"),
    ),
    (
        "1-topic-10000-partitions-1kb-4p-4c-1000k",
        include_str!("../../workloads/openmessaging/1-topic-10000-partitions-1kb-4p-4c-1000k.toml"),
    ),
    (
        "1-topic-10000-partitions-1kb-4p-4c-2000k",
        include_str!("../../workloads/openmessaging/1-topic-10000-partitions-1kb-4p-4c-2000k.toml"),
    ),
    (
        "1-topic-10000-partitions-1kb-4p-4c-200k",
        include_str!("../../workloads/openmessaging/1-topic-10000-partitions-1kb-4p-4c-200k.toml"),
    ),
    (
        "1-topic-10000-partitions-1kb-4p-4c-500k",
        include_str!("../../workloads/openmessaging/1-topic-10000-partitions-1kb-4p-4c-500k.toml"),
    ),
    ("1-topic-16-partition-100b", include_str!("../../workloads/openmessaging/1-topic-16-partition-100b.toml")),
    ("1-topic-16-partitions-1kb", include_str!("../../workloads/openmessaging/1-topic-16-partitions-1kb.toml")),
    (
        "1-topic-3-partition-100b-3producers",
        include_str!("../../workloads/openmessaging/1-topic-3-partition-100b-3producers.toml"),
    ),
    ("1-topic-6-partition-100b", include_str!("../../workloads/openmessaging/1-topic-6-partition-100b.toml")),
    ("100-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/100-topic-1kb-4p-4c-2000k.toml")),
    ("100-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/100-topic-1kb-4p-4c-500k.toml")),
    ("100-topics-1-partitions-1kb", include_str!("../../workloads/openmessaging/100-topics-1-partitions-1kb.toml")),
    ("100k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/100k-topic-1kb-4p-4c-100k.toml")),
    ("100k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/100k-topic-1kb-4p-4c-2000k.toml")),
    ("100k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/100k-topic-1kb-4p-4c-500k.toml")),
    ("10k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/10k-topic-1kb-4p-4c-100k.toml")),
    ("10k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/10k-topic-1kb-4p-4c-2000k.toml")),
    ("10k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/10k-topic-1kb-4p-4c-500k.toml")),
    ("1k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/1k-topic-1kb-4p-4c-100k.toml")),
    ("1k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/1k-topic-1kb-4p-4c-2000k.toml")),
    ("1k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/1k-topic-1kb-4p-4c-500k.toml")),
    ("1m-10-topics-1-partition-100b", include_str!("../../workloads/openmessaging/1m-10-topics-1-partition-100b.toml")),
    (
        "1m-10-topics-16-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-16-partitions-100b.toml"),
    ),
    (
        "1m-10-topics-2-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-2-partitions-100b.toml"),
    ),
    (
        "1m-10-topics-3-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-3-partitions-100b.toml"),
    ),
    (
        "1m-10-topics-4-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-4-partitions-100b.toml"),
    ),
    (
        "1m-10-topics-6-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-6-partitions-100b.toml"),
    ),
    (
        "1m-10-topics-9-partitions-100b",
        include_str!("../../workloads/openmessaging/1m-10-topics-9-partitions-100b.toml"),
    ),
    ("1m-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/1m-topic-1kb-4p-4c-2000k.toml")),
    ("1m-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/1m-topic-1kb-4p-4c-500k.toml")),
    ("200k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/200k-topic-1kb-4p-4c-100k.toml")),
    ("200k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/200k-topic-1kb-4p-4c-2000k.toml")),
    ("200k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/200k-topic-1kb-4p-4c-500k.toml")),
    ("300k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/300k-topic-1kb-4p-4c-2000k.toml")),
    ("300k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/300k-topic-1kb-4p-4c-500k.toml")),
    ("400k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/400k-topic-1kb-4p-4c-2000k.toml")),
    ("400k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/400k-topic-1kb-4p-4c-500k.toml")),
    ("500-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/500-topic-1kb-4p-4c-2000k.toml")),
    ("500-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/500-topic-1kb-4p-4c-500k.toml")),
    ("500k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/500k-topic-1kb-4p-4c-2000k.toml")),
    ("500k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/500k-topic-1kb-4p-4c-500k.toml")),
    ("50k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/50k-topic-1kb-4p-4c-100k.toml")),
    ("50k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/50k-topic-1kb-4p-4c-2000k.toml")),
    ("50k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/50k-topic-1kb-4p-4c-500k.toml")),
    ("5k-topic-1kb-4p-4c-100k", include_str!("../../workloads/openmessaging/5k-topic-1kb-4p-4c-100k.toml")),
    ("5k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/5k-topic-1kb-4p-4c-2000k.toml")),
    ("5k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/5k-topic-1kb-4p-4c-500k.toml")),
    ("600k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/600k-topic-1kb-4p-4c-2000k.toml")),
    ("600k-topic-1kb-4p-4c-600k", include_str!("../../workloads/openmessaging/600k-topic-1kb-4p-4c-600k.toml")),
    ("700k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/700k-topic-1kb-4p-4c-2000k.toml")),
    ("700k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/700k-topic-1kb-4p-4c-500k.toml")),
    ("800k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/800k-topic-1kb-4p-4c-2000k.toml")),
    ("800k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/800k-topic-1kb-4p-4c-500k.toml")),
    ("900k-topic-1kb-4p-4c-2000k", include_str!("../../workloads/openmessaging/900k-topic-1kb-4p-4c-2000k.toml")),
    ("900k-topic-1kb-4p-4c-500k", include_str!("../../workloads/openmessaging/900k-topic-1kb-4p-4c-500k.toml")),
    (
        "backlog-1-topic-1-partition-1kb",
        include_str!("../../workloads/openmessaging/backlog-1-topic-1-partition-1kb.toml"),
    ),
    (
        "backlog-1-topic-16-partitions-1kb",
        include_str!("../../workloads/openmessaging/backlog-1-topic-16-partitions-1kb.toml"),
    ),
    (
        "max-rate-1-topic-1-partition-1p-1c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-1-partition-1p-1c-100b.toml"),
    ),
    (
        "max-rate-1-topic-1-partition-1p-1c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-1-partition-1p-1c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-1-partition-1p-1c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-1-partition-1p-1c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-1-partition-4p-1c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-1-partition-4p-1c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-10p-10c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-10p-10c-100b.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-10p-10c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-10p-10c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-10p-10c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-10p-10c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-1p-1c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-1p-1c-100b.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-1p-1c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-1p-1c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-10-partitions-1p-1c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-10-partitions-1p-1c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-100b.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-100p-100c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-100p-100c-100b.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-100p-100c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-100p-100c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-100p-100c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-100p-100c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-1kb.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-1p-1c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-1p-1c-100b.toml"),
    ),
    (
        "max-rate-1-topic-100-partitions-1p-1c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-100-partitions-1p-1c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-16-partitions-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-16-partitions-100b.toml"),
    ),
    (
        "max-rate-1-topic-16-partitions-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-16-partitions-1kb.toml"),
    ),
    (
        "max-rate-1-topic-20-partitions-20p-20c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-20-partitions-20p-20c-100b.toml"),
    ),
    (
        "max-rate-1-topic-20-partitions-20p-20c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-20-partitions-20p-20c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-20-partitions-20p-20c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-20-partitions-20p-20c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-30-partitions-30p-30c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-30-partitions-30p-30c-100b.toml"),
    ),
    (
        "max-rate-1-topic-30-partitions-30p-30c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-30-partitions-30p-30c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-40-partitions-40p-40c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-40-partitions-40p-40c-100b.toml"),
    ),
    (
        "max-rate-1-topic-40-partitions-40p-40c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-40-partitions-40p-40c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-40-partitions-40p-40c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-40-partitions-40p-40c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-50-partitions-50p-50c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-50-partitions-50p-50c-100b.toml"),
    ),
    (
        "max-rate-1-topic-50-partitions-50p-50c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-50-partitions-50p-50c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-60-partitions-60p-60c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-60-partitions-60p-60c-100b.toml"),
    ),
    (
        "max-rate-1-topic-60-partitions-60p-60c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-60-partitions-60p-60c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-60-partitions-60p-60c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-60-partitions-60p-60c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-70-partitions-70p-70c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-70-partitions-70p-70c-100b.toml"),
    ),
    (
        "max-rate-1-topic-70-partitions-70p-70c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-70-partitions-70p-70c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-80-partitions-80p-80c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-80-partitions-80p-80c-100b.toml"),
    ),
    (
        "max-rate-1-topic-80-partitions-80p-80c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-80-partitions-80p-80c-1kb.toml"),
    ),
    (
        "max-rate-1-topic-80-partitions-80p-80c-64kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-80-partitions-80p-80c-64kb.toml"),
    ),
    (
        "max-rate-1-topic-90-partitions-90p-90c-100b",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-90-partitions-90p-90c-100b.toml"),
    ),
    (
        "max-rate-1-topic-90-partitions-90p-90c-1kb",
        include_str!("../../workloads/openmessaging/max-rate-1-topic-90-partitions-90p-90c-1kb.toml"),
    ),
    (
        "max-rate-10-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-10-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-10-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-10-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-10-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-10-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-100-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-100-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-100-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-100-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-100-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-100-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-20-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-20-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-20-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-20-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-20-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-20-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-30-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-30-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-30-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-30-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-40-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-40-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-40-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-40-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-40-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-40-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-50-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-50-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-50-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-50-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-60-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-60-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-60-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-60-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-60-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-60-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-70-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-70-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-70-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-70-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-80-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-80-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-80-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-80-topics-1-partition-1kb.toml"),
    ),
    (
        "max-rate-80-topics-1-partition-64kb",
        include_str!("../../workloads/openmessaging/max-rate-80-topics-1-partition-64kb.toml"),
    ),
    (
        "max-rate-90-topics-1-partition-100b",
        include_str!("../../workloads/openmessaging/max-rate-90-topics-1-partition-100b.toml"),
    ),
    (
        "max-rate-90-topics-1-partition-1kb",
        include_str!("../../workloads/openmessaging/max-rate-90-topics-1-partition-1kb.toml"),
    ),
    ("simple-workload", include_str!("../../workloads/openmessaging/simple-workload.toml")),
];
