use std::fmt::Write as _;

use super::figure;
use super::svg::{Axis, Plot, Series, bars, escape};
use crate::comparison::Comparison;
use crate::exercise::{Partitions, Start};
use crate::goals::{Reached, counts};

/// What a comparison says before its runs: goals, medians, what brokers of our own have shown, what went wrong.
pub(super) fn of(comparison: &Comparison) -> String {
    early(comparison)
        + &goals(comparison)
        + &medians(comparison)
        + &starts(&comparison.own.starts)
        + &shards(comparison)
        + &remarks(comparison)
}

fn cells(tag: &str, cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    cells.into_iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell.as_ref()))).collect()
}

fn early(comparison: &Comparison) -> String {
    if !comparison.interrupted {
        return String::new();
    }
    let (runs, planned) = (comparison.runs.len(), comparison.planned);
    format!("<p class=\"verdict unknown\">Ended before its time, {runs} of {planned} runs.</p>")
}

fn goals(comparison: &Comparison) -> String {
    if comparison.goals.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "<h2>Goals</h2><p class=\"lead\">{}</p><table class=\"goals\"><tr>{}</tr>",
        counts(&comparison.goals),
        cells("th", ["workload", "wanted", "found", ""])
    );
    for goal in &comparison.goals {
        let class = match goal.said {
            Reached::Reached => "good",
            Reached::Missed => "bad",
            Reached::NotMeasurable => "unknown",
        };
        let said = [goal.workload.as_str(), &goal.wanted, &goal.found, goal.said.words()];
        let _ = write!(out, "<tr class=\"{class}\">{}</tr>", cells("td", said));
    }
    out + "</table>"
}

fn medians(comparison: &Comparison) -> String {
    let (heads, rows) = comparison.rows();
    if rows.is_empty() {
        return String::new();
    }
    let rows: String = rows.iter().map(|row| format!("<tr>{}</tr>", cells("td", row))).collect();
    format!(
        "<h2>Medians</h2><p class=\"lead\">Lowest and highest of the runs in parentheses; brokers in turn{}.</p>\
         <div class=\"wide\"><table class=\"medians\"><tr>{}</tr>{rows}</table></div>",
        comparison.how(),
        cells("th", heads)
    )
}

fn starts(starts: &[Partitions]) -> String {
    if starts.len() < 2 {
        return String::new();
    }
    let mut out = "<h2>Starts and memory by partitions</h2>".to_owned();
    let of = |found: &Partitions, pick: fn(&Start) -> f64, at: usize| found.starts.get(at).map(pick);
    let names: Vec<&str> = starts[0].starts.iter().map(|start| start.after.as_str()).collect();
    let times = names.iter().enumerate().map(|(at, after)| Series {
        name: format!("after {after}"),
        points: starts
            .iter()
            .filter_map(|it| Some((it.partitions as f64, of(it, |start| start.first_fetch_ms, at)?)))
            .collect(),
        dashed: false,
        colour: at,
    });
    let memory = Series {
        name: "resident".to_owned(),
        points: starts.iter().map(|it| (it.partitions as f64, it.resident_mib)).collect(),
        dashed: false,
        colour: 0,
    };
    let plots = [
        ("From the start to the first fetch, ms", "ms", times.collect::<Vec<_>>()),
        ("Memory with 1 KiB in each partition, MiB", "MiB", vec![memory]),
    ];
    for (title, unit, series) in plots {
        let plot = Plot { x: ("partitions", Axis::Linear), y: (unit, Axis::Linear), series: &series };
        let _ = write!(out, "<figure><figcaption>{title}</figcaption>{}</figure>", plot.svg());
    }
    out
}

fn shards(comparison: &Comparison) -> String {
    let row = |run: &crate::result::RunResult| {
        let rate = run.stages.last()?.flow().requests_per_second;
        let round = run.round.unwrap_or_default() + 1;
        let shards = &run.broker.label;
        Some((
            format!("shards: {shards} · run {round}"),
            rate,
            format!("{} req/s", figure(rate)),
            usize::from(shards != "1"),
        ))
    };
    let rows: Vec<_> = comparison.own.shards.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<h2>One shard, two shards</h2><figure>{}</figure>", bars(&rows))
}

fn remarks(comparison: &Comparison) -> String {
    let remarks = comparison.remarks();
    if remarks.is_empty() {
        return String::new();
    }
    format!("<h2>Remarks</h2><ul>{}</ul>", cells("li", remarks))
}
