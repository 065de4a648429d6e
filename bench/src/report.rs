//! Tables for people.

use crate::error::error_name;
use crate::measure::Outcome;

/// A figure with about three digits that mean something.
pub fn figure(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value.abs() >= 1000.0 => format!("{value:.0}"),
        value if value.abs() >= 100.0 => format!("{value:.1}"),
        value if value.abs() >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// The head of the table that [`row`] fills.
pub fn head() -> String {
    format!(
        "{:<16} {:<14} {:>9} {:>9} {:>10} {:>9} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}",
        "workload",
        "broker",
        "MB/s",
        "req/s",
        "batches/s",
        "CPU-s/GB",
        "CPU-s/Mreq",
        "CPU-s/Mbat",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "RSS MiB",
        "CPU",
        "client"
    )
}

/// One outcome in a line.
pub fn row(outcome: &Outcome) -> String {
    let cpus = |seconds: f64| format!("{:.2}", seconds / outcome.seconds);
    let mut line = format!(
        "{:<16} {:<14} {:>9} {:>9} {:>10} {:>9} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7}",
        outcome.workload,
        outcome.broker,
        figure(outcome.mb_per_second),
        figure(outcome.requests_per_second),
        figure(outcome.batches_per_second),
        figure(outcome.cpu_seconds_per_gb),
        figure(outcome.cpu_seconds_per_million_requests),
        figure(outcome.cpu_seconds_per_million_batches),
        figure(outcome.latency_ms.p50),
        figure(outcome.latency_ms.p99),
        figure(outcome.latency_ms.p999),
        figure(outcome.broker_resident_mib),
        cpus(outcome.broker_cpu_seconds),
        cpus(outcome.client_cpu_seconds),
    );
    if !outcome.is_clean() {
        line.push_str(&trouble(outcome));
    }
    line
}

/// What went wrong, in words.
pub fn trouble(outcome: &Outcome) -> String {
    let mut words: Vec<String> =
        outcome.errors.iter().map(|(code, count)| format!("{count} × error {code} {}", error_name(*code))).collect();
    if outcome.missing > 0 {
        words.push(format!("{} batches never arrived", outcome.missing));
    }
    format!("  !! {}", words.join(", "))
}
