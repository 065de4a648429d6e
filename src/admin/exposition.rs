use std::fmt::Write;

use ottla_units::measure::LatencySnapshot;

use super::Report;
use super::catalogue::{METRICS, Metric};

/// Prometheus' text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The shares that a summary tells.
const QUANTILES: [(f64, &str); 6] =
    [(0.5, "0.50"), (0.75, "0.75"), (0.95, "0.95"), (0.98, "0.98"), (0.99, "0.99"), (0.999, "0.999")];

/// Every metric of the catalogue as text. One that has no samples now is left out.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for metric in METRICS {
        let begun = text.len();
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "# HELP {} {}", metric.name, metric.help.replace('\\', "\\\\").replace('\n', " "));
        let _ = writeln!(text, "# TYPE {} {}", metric.name, metric.kind.word());
        let before = text.len();
        (metric.read)(report, &mut Samples { text: &mut text, metric });
        if text.len() == before {
            text.truncate(begun);
        }
    }
    text
}

/// Where a metric's samples are written.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    metric: &'a Metric,
}

impl Samples<'_> {
    /// One sample. `labels` are the values of the metric's labels, in the catalogue's order; an empty list is the whole of all.
    pub(super) fn put(&mut self, labels: &[&str], value: f64) {
        self.line("", labels, None, value);
    }

    /// One sample that is a whole number.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        self.put(labels, value as f64);
    }

    /// A latency as a histogram of seconds.
    pub(super) fn histogram(&mut self, labels: &[&str], latency: &LatencySnapshot) {
        for (bound, count) in latency.cumulative() {
            self.line("_bucket", labels, Some(("le", &bound.as_secs_f64().to_string())), count as f64);
        }
        self.line("_bucket", labels, Some(("le", "+Inf")), latency.count() as f64);
        self.line("_sum", labels, None, latency.sum().as_secs_f64());
        self.line("_count", labels, None, latency.count() as f64);
    }

    /// A latency as a summary of milliseconds.
    pub(super) fn summary(&mut self, labels: &[&str], latency: &LatencySnapshot) {
        for (quantile, name) in QUANTILES {
            let millis = latency.quantile(quantile).as_secs_f64() * 1000.0;
            self.line("", labels, Some(("quantile", name)), millis);
        }
        self.line("_sum", labels, None, latency.sum().as_secs_f64() * 1000.0);
        self.line("_count", labels, None, latency.count() as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[&str], extra: Option<(&str, &str)>, value: f64) {
        let named = self.metric.labels.iter().copied().zip(labels.iter().copied());
        self.text.push_str(self.metric.name);
        self.text.push_str(suffix);
        for (index, (name, value)) in named.chain(extra).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(self.text, value);
            self.text.push('"');
        }
        if !labels.is_empty() || extra.is_some() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(character),
        }
    }
}
