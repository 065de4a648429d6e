//! `ottla metrics`: what a broker's metrics endpoint shows.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Failure;
use super::config::Form;
use super::text::table;
use crate::admin::catalogue::{METRICS, Metric};

/// See which metrics a broker exposes
#[derive(Subcommand, Debug)]
pub(super) enum Metrics {
    List(List),
}

impl Metrics {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Metrics::List(command) => command.run(),
        }
    }
}

/// Print the table of metrics
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla metrics list
  ottla metrics list journal                   what has 'journal' in its name
  ottla metrics list --format markdown         the page in docs/

The numbers themselves are at http://HOST:PORT/metrics of a running broker; its start-up summary says where.")]
pub(super) struct List {
    /// Only metrics that have this in their names
    part: Option<String>,
    /// As a table, as JSON, or as the page in docs/
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Serialize)]
struct ListedMetric {
    name: &'static str,
    kind: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let part = self.part.as_deref().unwrap_or_default();
        let shown: Vec<&Metric> = METRICS.iter().filter(|metric| metric.name.contains(part)).collect();
        if shown.is_empty() {
            return Err(Failure::usage(format!("no metric has '{part}' in its name")).next("ottla metrics list"));
        }
        let text = match self.format {
            Form::Text => text(&shown),
            Form::Json => serde_json::to_string_pretty(&shown.iter().map(|metric| listed(metric)).collect::<Vec<_>>())
                .map_err(std::io::Error::from)?,
            Form::Markdown => page(&shown),
        };
        Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
    }
}

fn listed(metric: &Metric) -> ListedMetric {
    ListedMetric {
        name: metric.name,
        kind: metric.kind.word(),
        unit: metric.unit,
        labels: metric.labels,
        help: metric.help,
    }
}

fn text(shown: &[&Metric]) -> String {
    let row = |metric: &&Metric| {
        let labels = metric.labels.join(",");
        [metric.name, metric.kind.word(), metric.unit, &labels, metric.help].map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    table(&["METRIC", "KIND", "UNIT", "LABELS", "WHAT IT TELLS"], &rows)
}

const PAGE: &str = "\
# Metrics

<!-- Written by `cargo xtask docs` from the one table of metrics; `ottla metrics list` prints the same. -->

A running broker answers Prometheus at `/metrics`, and load balancers at `/healthz` (the process is alive) and `/readyz` (clients are
served); `ottla config list ottla.admin` shows how to choose the address. Where Apache Kafka has a metric, ours bears the name under
which Prometheus' JMX exporter and Strimzi's dashboards know it; consumer lag bears the names of `kafka_exporter`.

Shards count into plain memory of their own and are asked for a copy when somebody scrapes. A metric without samples is left out.

| metric | kind | unit | labels | what it tells |
|---|---|---|---|---|
";

fn page(shown: &[&Metric]) -> String {
    let mut text = PAGE.to_owned();
    for metric in shown {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" ");
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {labels} | {} |",
            metric.name,
            metric.kind.word(),
            metric.unit,
            metric.help
        );
    }
    text
}
