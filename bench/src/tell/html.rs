use std::fmt::Write as _;

use super::overview;
use super::svg::{Axis, COLOURS, Plot, Series, bars, escape};
use super::{figure, thousands};
use crate::comparison::Comparison;
use crate::measure::Latency;
use crate::result::{RunResult, Second, Stage};

const STYLE: &str = include_str!("report.css");
/// Points of a latency curve.
const CURVE_POINTS: usize = 120;

/// One page for one run, or for several beside each other. Nothing is loaded from anywhere else.
pub fn page(results: &[RunResult]) -> String {
    let title = match results {
        [one] => format!("{} on {}", one.workload.name, one.broker.label),
        many => format!("{} runs", many.len()),
    };
    whole(&title, results, "")
}

/// The page of a comparison: goals and medians first.
pub fn comparison_page(comparison: &Comparison, name: &str) -> String {
    whole(name, &comparison.runs, &overview::of(comparison))
}

fn whole(title: &str, results: &[RunResult], first: &str) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style><main><h1>{}</h1>",
        escape(title),
        escape(title)
    );
    if let [one] = results {
        let _ = write!(out, "<p class=\"lead\">{}</p>", escape(&one.workload.about));
    }
    out.push_str(&verdict(results));
    out.push_str(first);
    let all = lines(results);
    let mut names: Vec<&str> = Vec::new();
    for line in &all {
        if !names.contains(&line.result.workload.name.as_str()) {
            names.push(&line.result.workload.name);
        }
    }
    for name in &names {
        let runs: Vec<&Line<'_>> = all.iter().filter(|line| line.result.workload.name == *name).collect();
        if names.len() > 1 {
            let about = runs.first().map_or("", |line| line.result.workload.about.as_str());
            let _ = write!(out, "<h2 class=\"workload\">{}</h2><p class=\"lead\">{}</p>", escape(name), escape(about));
        }
        out.push_str(&cards(&runs));
        out.push_str(&comparison(&runs));
        out.push_str(&latency_section(&runs));
        out.push_str(&time_section(&runs));
        out.push_str(&scale_section(&runs));
        out.push_str(&cost_table(&runs));
    }
    out.push_str(&facts(results));
    out.push_str("</main></html>\n");
    out
}

/// A stage of a run, with its name in legends and its colour.
struct Line<'a> {
    name: String,
    stage: &'a Stage,
    result: &'a RunResult,
    colour: usize,
}

/// Every stage, those of one broker in one colour where there are several brokers.
fn lines(results: &[RunResult]) -> Vec<Line<'_>> {
    let mut brokers: Vec<&str> = Vec::new();
    for result in results {
        if !brokers.contains(&result.broker.label.as_str()) {
            brokers.push(&result.broker.label);
        }
    }
    let mut out = Vec::new();
    for (at, result) in results.iter().enumerate() {
        let broker = brokers.iter().position(|label| *label == result.broker.label).unwrap_or(0);
        let same = |other: &&RunResult| {
            other.broker.label == result.broker.label && other.workload.name == result.workload.name
        };
        for (stage_at, stage) in result.stages.iter().enumerate() {
            let mut words = vec![result.broker.label.clone()];
            if let Some(round) = result.round {
                words.push(format!("run {}", round + 1));
            } else if results.iter().filter(same).count() > 1 {
                words.push(format!("#{}", at + 1));
            }
            if !stage.name.is_empty() {
                words.push(stage.name.clone());
            }
            let colour = match (brokers.len(), results.len()) {
                (_, 1) => stage_at,
                (1, _) => at,
                _ => broker,
            };
            out.push(Line { name: words.join(" · "), stage, result, colour });
        }
    }
    out
}

fn verdict(results: &[RunResult]) -> String {
    let mut out = String::new();
    for result in results {
        let verification = &result.verification;
        let class = if !verification.is_good() {
            "bad"
        } else if verification.checked == 0 {
            "unknown"
        } else {
            "good"
        };
        let who = if results.len() > 1 {
            format!("{} {}: ", result.workload.name, result.broker.label)
        } else {
            String::new()
        };
        let _ = write!(out, "<p class=\"verdict {class}\">{}{}</p>", escape(&who), escape(&verification.line()));
        if result.interrupted {
            out.push_str("<p class=\"verdict unknown\">Ended before its time: these are the figures until then.</p>");
        }
    }
    if results.len() > 6 {
        let bad = results.iter().filter(|result| !result.verification.is_good()).count();
        let class = if bad == 0 { "good" } else { "bad" };
        return format!(
            "<p class=\"verdict {class}\">{} runs, {bad} with something lost, doubled, reordered or damaged</p>",
            results.len()
        );
    }
    out
}

fn cards(runs: &[&Line<'_>]) -> String {
    let [run] = runs else { return String::new() };
    let stage = run.stage;
    let shown = stage.shown();
    let mut cards = vec![
        (
            format!("{} MB/s", figure(stage.flow().mb_per_second)),
            format!("{} batches/s", thousands(stage.flow().batches_per_second)),
        ),
        (format!("{} ms p99", figure(shown.p99)), format!("p50 {}, p99.9 {}", figure(shown.p50), figure(shown.p999))),
    ];
    if let Some(cpu) = stage.cost.cpu_seconds_per_gb {
        let per_batch = stage
            .cost
            .cpu_seconds_per_million_batches
            .map_or_else(String::new, |it| format!("{} per 10⁶ batches", figure(it)));
        cards.push((format!("{} CPU-s/GB", figure(cpu)), per_batch));
    }
    if let Some(limit) = &stage.limit {
        cards.push((format!("{:.0} %", limit.percent), format!("of {}", limit.of)));
    }
    let mut out = "<div class=\"cards\">".to_owned();
    for (big, small) in cards {
        let _ = write!(out, "<div><b>{}</b><span>{}</span></div>", escape(&big), escape(&small));
    }
    out.push_str("</div>");
    out
}

/// Bars of the headline, cost and p99, where there is more than one run.
fn comparison(runs: &[&Line<'_>]) -> String {
    if runs.len() < 2 {
        return String::new();
    }
    let rows = |pick: &dyn Fn(&Line<'_>) -> Option<f64>, unit: &str| -> Vec<(String, f64, String, usize)> {
        let row = |run: &Line<'_>| {
            pick(run).map(|value| (run.name.clone(), value, format!("{} {unit}", figure(value)), run.colour))
        };
        runs.iter().copied().filter_map(row).collect()
    };
    type Pick<'p> = &'p dyn Fn(&Line<'_>) -> Option<f64>;
    let picks: [(&str, &str, Pick<'_>); 4] = [
        ("Throughput", "MB/s", &|run| Some(run.stage.flow().mb_per_second).filter(|value| *value > 0.0)),
        ("Batches", "batches/s", &|run| Some(run.stage.flow().batches_per_second).filter(|value| *value > 0.0)),
        ("99th percentile", "ms", &|run| run.stage.latency.first().map(|latency| latency.shown().p99)),
        ("CPU of the broker for each 10⁶ batches", "CPU-s", &|run| run.stage.cost.cpu_seconds_per_million_batches),
    ];
    let mut out = "<h2>Beside each other</h2>".to_owned();
    for (title, unit, pick) in picks {
        let rows = rows(pick, unit);
        if rows.len() > 1 {
            let _ = write!(out, "<figure><figcaption>{}</figcaption>{}</figure>", escape(title), bars(&rows));
        }
    }
    out
}

/// Percentile and milliseconds along a histogram.
fn curve(latency: &Latency, raw: bool) -> Vec<(f64, f64)> {
    let counts = if raw { latency.raw.as_ref() } else { latency.corrected.as_ref() };
    let Some(histogram) = counts.and_then(|counts| counts.histogram().ok()).filter(|it| !it.is_empty()) else {
        return Vec::new();
    };
    // Up to the nines of which there are ten values.
    let nines = (histogram.len() as f64 / 10.0).log10().max(1.0);
    (0..=CURVE_POINTS)
        .map(|at| 100.0 * (1.0 - 10f64.powf(-nines * at as f64 / CURVE_POINTS as f64)))
        .map(|percentile| (percentile, histogram.value_at_percentile(percentile) as f64 / 1e3))
        .collect()
}

fn latency_section(runs: &[&Line<'_>]) -> String {
    let mut out = String::new();
    let mut whats: Vec<&str> = Vec::new();
    for latency in runs.iter().flat_map(|run| &run.stage.latency) {
        if !whats.contains(&latency.what.as_str()) {
            whats.push(&latency.what);
        }
    }
    for what in whats {
        let mut series = Vec::new();
        let single = runs.len() == 1;
        for run in runs {
            for latency in run.stage.latency.iter().filter(|latency| latency.what == what) {
                let mut add = |raw: bool, name: String| {
                    let points = curve(latency, raw);
                    if !points.is_empty() {
                        series.push(Series { name, points, dashed: raw && single, colour: run.colour });
                    }
                };
                if single {
                    add(false, format!("corrected by {}", latency.corrected_by));
                    add(true, "raw: only what was really waited for".to_owned());
                } else {
                    add(latency.corrected_by != "schedule", run.name.clone());
                }
            }
        }
        if !series.is_empty() {
            let plot = Plot { x: ("percentile", Axis::Percentile), y: ("milliseconds", Axis::Log), series: &series };
            let _ = write!(out, "<figure><figcaption>{}</figcaption>{}</figure>", escape(what), plot.svg());
        }
    }
    if out.is_empty() { out } else { format!("<h2>Latency by percentile</h2>{out}") }
}

fn time_section(runs: &[&Line<'_>]) -> String {
    type Pick = fn(&Second) -> f64;
    let single = runs.len() == 1;
    type Lines = Vec<(&'static str, Pick)>;
    let plots: [(&str, &str, Lines); 3] = [
        ("Throughput", "MB/s", vec![("produced", |second| second.produced_mb), ("read", |second| second.read_mb)]),
        ("Latency", "ms", vec![("p99", |second| second.p99_ms), ("p50", |second| second.p50_ms)]),
        ("CPU", "CPUs", vec![("broker", |second| second.broker_cpus), ("client", |second| second.client_cpus)]),
    ];
    let mut out = String::new();
    for (title, unit, picks) in plots {
        let mut series = Vec::new();
        for run in runs.iter().filter(|run| run.stage.timeline.len() > 1) {
            for (at, (name, pick)) in picks.iter().enumerate() {
                let points: Vec<(f64, f64)> =
                    run.stage.timeline.iter().map(|second| (second.at, pick(second))).collect();
                if points.iter().any(|(_, value)| *value > 0.0) {
                    let (name, colour) =
                        if single { ((*name).to_owned(), at) } else { (format!("{}: {name}", run.name), run.colour) };
                    series.push(Series { name, points, dashed: at > 0 && !single, colour });
                }
            }
        }
        if !series.is_empty() {
            let plot = Plot { x: ("seconds", Axis::Linear), y: (unit, Axis::Linear), series: &series };
            let _ = write!(out, "<figure><figcaption>{title}</figcaption>{}</figure>", plot.svg());
        }
    }
    if out.is_empty() { out } else { format!("<h2>Over time</h2>{out}") }
}

/// How cost, memory and latency grow with partitions, connections or members.
fn scale_section(runs: &[&Line<'_>]) -> String {
    type Pick = fn(&Stage) -> Option<f64>;
    let picks: [(&str, Pick); 5] = [
        ("CPU-s of the broker for each 10⁶ batches", |stage| stage.cost.cpu_seconds_per_million_batches),
        ("resident memory of the broker, MiB", |stage| {
            stage.broker.map(|usage| usage.resident_bytes as f64 / f64::from(1 << 20))
        }),
        ("p99, ms", |stage| stage.latency.first().map(|latency| latency.shown().p99)),
        ("seconds to create", |stage| stage.extra.get("create_seconds").copied()),
        ("KiB for each idle connection", |stage| stage.extra.get("kib_per_connection").copied()),
    ];
    let mut out = String::new();
    for (title, pick) in picks {
        let mut series: Vec<Series> = Vec::new();
        for run in runs {
            let (Some(scale), Some(value)) = (run.stage.scale, pick(run.stage)) else { continue };
            let name = format!("{} {}", run.result.workload.name, run.result.broker.label);
            let at = series.iter().position(|line| line.name == name).unwrap_or_else(|| {
                series.push(Series { name, points: Vec::new(), dashed: false, colour: series.len() });
                series.len() - 1
            });
            series[at].points.push((scale as f64, value));
        }
        if series.iter().any(|line| line.points.len() > 1) {
            let plot = Plot {
                x: ("partitions, connections or members", Axis::Log),
                y: (title, Axis::Linear),
                series: &series,
            };
            let _ = write!(out, "<figure><figcaption>{}</figcaption>{}</figure>", escape(title), plot.svg());
        }
    }
    if out.is_empty() { out } else { format!("<h2>Growth</h2>{out}") }
}

fn cost_table(runs: &[&Line<'_>]) -> String {
    let mut out = "<h2>Figures</h2><div class=\"wide\"><table><tr><th></th><th>MB/s in</th><th>MB/s out</th><th>batches/s</th><th>p50 ms</th><th>p99</th><th>p99.9</th><th>max</th>\
        <th>broker CPUs</th><th>client CPUs</th><th>CPU-s/GB</th><th>per 10⁶ batches</th><th>RSS MiB</th><th>switches/s</th><th>disk B/B</th><th>net MB</th><th>of limit</th><th>errors</th></tr>".to_owned();
    for run in runs {
        let stage = run.stage;
        let shown = stage.shown();
        let seconds = stage.seconds.max(1e-9);
        let maybe = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), figure);
        let cells = [
            figure(stage.produced.mb_per_second),
            figure(stage.read.mb_per_second),
            thousands(stage.flow().batches_per_second),
            figure(shown.p50),
            figure(shown.p99),
            figure(shown.p999),
            figure(shown.max),
            maybe(stage.broker.map(|usage| usage.cpu_seconds / seconds)),
            figure(stage.client.cpu_seconds / seconds),
            maybe(stage.cost.cpu_seconds_per_gb),
            maybe(stage.cost.cpu_seconds_per_million_batches),
            maybe(stage.broker.map(|usage| usage.resident_bytes as f64 / f64::from(1 << 20))),
            maybe(stage.broker.map(|usage| (usage.voluntary_switches + usage.involuntary_switches) as f64 / seconds)),
            maybe(stage.cost.disk_written_per_byte),
            figure((stage.network_bytes.0 + stage.network_bytes.1) as f64 / 1e6),
            stage
                .limit
                .as_ref()
                .map_or_else(|| "–".to_owned(), |limit| format!("{:.0} % of {}", limit.percent, limit.of)),
            (stage.errors.values().sum::<u64>() + stage.outages).to_string(),
        ];
        let colour = COLOURS[run.colour % COLOURS.len()];
        let _ = write!(out, "<tr><th style=\"border-left:4px solid {colour}\">{}</th>", escape(&run.name));
        cells.iter().for_each(|cell| out.push_str(&format!("<td>{}</td>", escape(cell))));
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
    out
}

fn facts(results: &[RunResult]) -> String {
    let mut out = "<h2>Where and how</h2>".to_owned();
    for result in results.iter().take(if results.len() > 6 { 2 } else { results.len() }) {
        let host = &result.host;
        let limits = result.limits.as_ref().map_or_else(
            || "not measured".to_owned(),
            |limits| {
                let notes = limits.notes.iter().map(|note| format!("; {note}")).collect::<String>();
                format!(
                    "disk {:.0} MB/s with O_DIRECT, {:.0} flushes/s; loopback {:.0} MB/s{notes}",
                    limits.disk_mb_per_second, limits.flushes_per_second, limits.loopback_mb_per_second
                )
            },
        );
        let broker = &result.broker;
        let rows = [
            (
                "broker",
                format!(
                    "{} at {}, Produce up to v{}, Fetch up to v{}",
                    broker.label, broker.bootstrap, broker.produce_version, broker.fetch_version
                ),
            ),
            ("started as", broker.command.clone()),
            ("host", host.line()),
            ("disk", host.disk.clone()),
            ("governor", host.governor.clone()),
            ("idle", host.idle.clone()),
            ("limits, right before", limits),
            (
                "client",
                format!(
                    "ottla bench {}, {}",
                    result.version,
                    if result.agents.is_empty() { "this machine".to_owned() } else { result.agents.join(", ") }
                ),
            ),
            ("notes", result.notes.join("; ")),
        ];
        out.push_str("<table class=\"facts\">");
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(out, "<tr><th>{name}</th><td>{}</td></tr>", escape(value));
        }
        let workload = serde_json::to_string_pretty(&result.workload).unwrap_or_default();
        let _ = write!(
            out,
            "</table><details><summary>workload {}</summary><pre>{}</pre></details>",
            escape(&result.workload.name),
            escape(&workload)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Counts;

    fn result(workload: &str, broker: &str) -> RunResult {
        let counts = Some(Counts(vec![(100, 50), (1_000, 49), (9_000, 1)]));
        let latency = Latency { what: "w".to_owned(), corrected: counts.clone(), raw: counts, ..Latency::default() };
        let timeline = (1..4).map(|at| Second { at: f64::from(at), produced_mb: 5.0, ..Second::default() }).collect();
        let stage = Stage { seconds: 3.0, latency: vec![latency], timeline, ..Stage::default() };
        let mut result = RunResult { stages: vec![stage], ..RunResult::default() };
        result.workload.name = workload.to_owned();
        result.broker.label = broker.to_owned();
        result
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_escapes_names() {
        let page = page(&[result("<one>", "a&b"), result("<one>", "c"), result("two", "c")]);
        assert!(!page.contains("http") && !page.contains("<script") && !page.contains("NaN"), "{page}");
        assert!(page.contains("&lt;one&gt;") && page.contains("a&amp;b") && page.contains("<svg"));
        assert_eq!(page.matches("<h2 class=\"workload\">").count(), 2);
    }

    #[test]
    fn an_empty_run_still_gives_a_page() {
        assert!(page(&[RunResult::default()]).contains("</html>"));
    }
}
