use std::fmt::Write as _;

use crate::error::error_name;
use crate::result::{RunResult, Stage};

/// A figure with about three digits that mean something.
pub fn figure(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value.abs() >= 10_000.0 => thousands(value),
        value if value.abs() >= 1000.0 => format!("{value:.0}"),
        value if value.abs() >= 100.0 => format!("{value:.1}"),
        value if value.abs() >= 0.1 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        value => format!("{value:.3}"),
    }
}

/// A whole number with a comma after each three digits.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// One run in a line: for `--quiet` and tables of many.
pub fn quiet_line(result: &RunResult) -> String {
    let (value, unit, _) = result.headline();
    let cost = result.headline_cost().map_or_else(String::new, |(cost, unit)| format!("  {} {unit}", figure(cost)));
    let latency = result.shown();
    let mut line = format!(
        "{:<24} {:<12} {:>10} {unit:<10}{cost:<24} p50 {} p99 {} p99.9 {} ms",
        result.workload.name,
        result.broker.label,
        figure(value),
        figure(latency.p50),
        figure(latency.p99),
        figure(latency.p999)
    );
    if !result.is_clean() {
        let _ = write!(line, "  !! {}", trouble(result).join("; "));
    }
    line
}

/// What went wrong, in words.
pub(crate) fn trouble(result: &RunResult) -> Vec<String> {
    let mut words: Vec<String> = result.stages.iter().flat_map(stage_trouble).collect();
    if !result.verification.is_good() {
        words.push(result.verification.line());
    }
    words
}

fn stage_trouble(stage: &Stage) -> Vec<String> {
    let named = |(code, count): (&i16, &u64)| format!("{count} × error {code} {}", error_name(*code));
    let mut words: Vec<String> = stage.nothing().into_iter().chain(stage.errors.iter().map(named)).collect();
    if stage.outages > 0 {
        words.push(format!("{} connections lost, {:.1} s without", stage.outages, stage.away_seconds));
    }
    if stage.shed > 0 {
        words.push(format!("{} requests were due and never sent", stage.shed));
    }
    words
}

/// One run for a person.
pub fn summary(result: &RunResult) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} on {} ({})", result.workload.name, result.broker.label, result.broker.bootstrap);
    for stage in &result.stages {
        if !stage.name.is_empty() {
            let _ = writeln!(out, "{}", stage.name);
        }
        stage_lines(&mut out, stage);
    }
    let _ = writeln!(out, "  verified   {}", result.verification.line());
    for note in &result.notes {
        let _ = writeln!(out, "  note       {note}");
    }
    if result.interrupted {
        let _ = writeln!(out, "  note       ended before its time: these are the figures until then");
    }
    out
}

fn stage_lines(out: &mut String, stage: &Stage) {
    for (what, flow) in [("produced", &stage.produced), ("read", &stage.read)] {
        if flow.requests_per_second > 0.0 {
            let due = stage.due_batches_per_second.filter(|_| what == "produced");
            let due = due.map_or_else(String::new, |due| format!(" of {} due", thousands(due)));
            let _ = writeln!(
                out,
                "  {what:<10} {} MB/s, {} batches/s{due}, {} records/s, {} requests/s",
                figure(flow.mb_per_second),
                thousands(flow.batches_per_second),
                thousands(flow.records_per_second),
                thousands(flow.requests_per_second)
            );
        }
    }
    for latency in &stage.latency {
        let shown = latency.shown();
        let _ = writeln!(
            out,
            "  latency    p50 {}  p99 {}  p99.9 {}  max {} ms: {}",
            figure(shown.p50),
            figure(shown.p99),
            figure(shown.p999),
            figure(shown.max),
            latency.what
        );
    }
    let _ = writeln!(out, "  cost       {}", cost_line(stage));
    if let Some(limit) = &stage.limit {
        let _ = writeln!(out, "  limit      {:.0} % of {}", limit.percent, limit.of);
    }
    for (name, value) in &stage.extra {
        let _ = writeln!(out, "  {name:<10} {}", figure(*value));
    }
    for (code, count) in &stage.postponed {
        let name = error_name(*code);
        let _ = writeln!(out, "  note       {count} first batches had to be sent again before the clock ran: {name}");
    }
    for words in stage_trouble(stage) {
        let _ = writeln!(out, "  trouble    {words}");
    }
}

fn cost_line(stage: &Stage) -> String {
    let seconds = stage.seconds.max(1e-9);
    let client = format!("client {:.2} CPUs", stage.client.cpu_seconds / seconds);
    let Some(broker) = stage.broker else { return format!("{client}; the broker's process is not on this machine") };
    let mut line = format!(
        "broker {:.2} CPUs, {:.0} MiB, {} switches/s",
        broker.cpu_seconds / seconds,
        broker.resident_bytes as f64 / f64::from(1 << 20),
        thousands((broker.voluntary_switches + broker.involuntary_switches) as f64 / seconds)
    );
    let per = [
        (stage.cost.cpu_seconds_per_gb, "CPU-s/GB"),
        (stage.cost.cpu_seconds_per_million_batches, "per 10⁶ batches"),
        (stage.cost.disk_written_per_byte, "B to the disk for each B"),
    ];
    for (value, unit) in per {
        if let Some(value) = value {
            let _ = write!(line, ", {} {unit}", figure(value));
        }
    }
    let share = stage.cost.client_share.map_or_else(String::new, |share| format!(" ({share:.2} of the broker's)"));
    format!("{line}; {client}{share}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        for (value, text) in [
            (1_234_567.0, "1,234,567"),
            (1234.5, "1234"),
            (123.45, "123.5"),
            (1.234, "1.23"),
            (0.0123, "0.012"),
            (0.0, "0"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(f64::NAN), "–");
        assert_eq!(thousands(999.6), "1,000");
    }
}
