//! Plots, written by hand: lines and bars.

use std::fmt::Write as _;

use super::figure;

/// Width and height of a plot, in its own units.
const SIZE: (f64, f64) = (720.0, 300.0);
/// Left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (64.0, 12.0, 16.0, 44.0);
/// Colours of series, told apart also by those who see few.
pub(super) const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b8860b"];

/// One line of a plot.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) dashed: bool,
    pub(super) colour: usize,
}

/// How an axis runs.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Axis {
    /// Evenly from 0.
    Linear,
    /// By powers of ten.
    Log,
    /// Percentiles: 0, 90, 99, 99.9 … at even distances.
    Percentile,
}

/// A plot to draw.
pub(super) struct Plot<'a> {
    pub(super) x: (&'a str, Axis),
    pub(super) y: (&'a str, Axis),
    pub(super) series: &'a [Series],
}

impl Plot<'_> {
    pub(super) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (x_low, x_high) = bounds(points().map(|(x, _)| *x), self.x.1);
        let (y_low, y_high) = bounds(points().map(|(_, y)| *y), self.y.1);
        let (inner_w, inner_h) = (SIZE.0 - MARGIN.0 - MARGIN.2, SIZE.1 - MARGIN.1 - MARGIN.3);
        let place_x = |x: f64| MARGIN.0 + share(x, x_low, x_high, self.x.1) * inner_w;
        let place_y = |y: f64| MARGIN.1 + (1.0 - share(y, y_low, y_high, self.y.1)) * inner_h;
        let mut out = format!(r#"<svg viewBox="0 0 {} {}" role="img">"#, SIZE.0, SIZE.1);
        for (at, label) in ticks(y_low, y_high, self.y.1) {
            let y = place_y(at);
            let _ = write!(
                out,
                r#"<line class="grid" x1="{}" y1="{y:.1}" x2="{}" y2="{y:.1}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{label}</text>"#,
                MARGIN.0,
                SIZE.0 - MARGIN.2,
                MARGIN.0 - 6.0,
                y + 4.0
            );
        }
        for (at, label) in ticks(x_low, x_high, self.x.1) {
            let x = place_x(at);
            let bottom = SIZE.1 - MARGIN.3;
            let _ = write!(
                out,
                r#"<line class="grid" x1="{x:.1}" y1="{}" x2="{x:.1}" y2="{bottom}"/><text class="tick" x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"#,
                MARGIN.1,
                bottom + 16.0
            );
        }
        let _ = write!(
            out,
            r#"<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text><text class="axis" transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>"#,
            MARGIN.0 + inner_w / 2.0,
            SIZE.1 - 8.0,
            escape(self.x.0),
            MARGIN.1 + inner_h / 2.0,
            escape(self.y.0)
        );
        for series in self.series {
            let mut path = String::new();
            for (at, (x, y)) in series.points.iter().enumerate() {
                let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { 'M' } else { 'L' }, place_x(*x), place_y(*y));
            }
            let dash = if series.dashed { r#" stroke-dasharray="5 4""# } else { "" };
            let colour = COLOURS[series.colour % COLOURS.len()];
            let _ = write!(
                out,
                r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}><title>{}</title></path>"#,
                escape(&series.name)
            );
            if let [(x, y)] = series.points[..] {
                let _ = write!(out, r#"<circle cx="{:.1}" cy="{:.1}" r="4" fill="{colour}"/>"#, place_x(x), place_y(y));
            }
        }
        out.push_str("</svg>");
        out.push_str(&legend(self.series));
        out
    }
}

fn legend(series: &[Series]) -> String {
    if series.len() < 2 {
        return String::new();
    }
    let mut out = r#"<p class="legend">"#.to_owned();
    for one in series {
        let colour = COLOURS[one.colour % COLOURS.len()];
        let dash = if one.dashed { "dashed" } else { "solid" };
        let _ = write!(out, r#"<span><i style="border-top:3px {dash} {colour}"></i>{}</span>"#, escape(&one.name));
    }
    out.push_str("</p>");
    out
}

/// Bars beside each other, longest full, each with its value: name, value, what to write, colour.
pub(super) fn bars(rows: &[(String, f64, String, usize)]) -> String {
    let most = rows.iter().map(|row| row.1).fold(0.0, f64::max).max(1e-12);
    let height = rows.len() as f64 * 30.0 + 8.0;
    let mut out = format!(r#"<svg viewBox="0 0 {} {height}" role="img">"#, SIZE.0);
    for (at, (name, value, text, colour)) in rows.iter().enumerate() {
        let y = at as f64 * 30.0 + 4.0;
        let width = (value / most * 380.0).max(1.0);
        let _ = write!(
            out,
            r#"<text class="tick" x="180" y="{:.1}" text-anchor="end">{}</text><rect x="188" y="{y:.1}" width="{width:.1}" height="22" rx="3" fill="{}"/><text class="tick" x="{:.1}" y="{:.1}">{}</text>"#,
            y + 15.0,
            escape(name),
            COLOURS[colour % COLOURS.len()],
            196.0 + width,
            y + 15.0,
            escape(text)
        );
    }
    out.push_str("</svg>");
    out
}

fn bounds(values: impl Iterator<Item = f64>, axis: Axis) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| value.is_finite() && (axis != Axis::Log || *value > 0.0)) {
        (low, high) = (low.min(value), high.max(value));
    }
    match axis {
        _ if low > high => (if axis == Axis::Log { 1.0 } else { 0.0 }, 10.0),
        Axis::Log => (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil().max(low.log10().floor() + 1.0))),
        Axis::Linear => (0.0, if high > 0.0 { high * 1.08 } else { 1.0 }),
        Axis::Percentile => (0.0, high),
    }
}

/// Where between the bounds, 0 to 1.
fn share(value: f64, low: f64, high: f64, axis: Axis) -> f64 {
    let (value, low, high) = match axis {
        Axis::Linear => (value, low, high),
        Axis::Log => (value.max(low).log10(), low.log10(), high.log10()),
        Axis::Percentile => (nines(value), 0.0, nines(high)),
    };
    ((value - low) / (high - low).max(1e-12)).clamp(0.0, 1.0)
}

/// How many nines a percentile has: 90 → 1, 99 → 2.
fn nines(percentile: f64) -> f64 {
    -((1.0 - percentile / 100.0).max(1e-7)).log10()
}

fn ticks(low: f64, high: f64, axis: Axis) -> Vec<(f64, String)> {
    match axis {
        Axis::Percentile => {
            let all = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999];
            all.iter().filter(|at| **at <= high).map(|at| (*at, format!("{at}"))).collect()
        }
        Axis::Log => {
            let (from, to) = (low.log10().round() as i32, high.log10().round() as i32);
            (from..=to).map(|power| 10f64.powi(power)).map(|at| (at, short(at))).collect()
        }
        Axis::Linear => {
            let rough = (high - low) / 5.0;
            let power = 10f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].iter().map(|factor| factor * power).find(|step| *step >= rough);
            let step = step.unwrap_or(rough);
            (0..=(((high - low) / step) as usize)).map(|at| low + at as f64 * step).map(|at| (at, short(at))).collect()
        }
    }
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", trim(value / 1e6)),
        value if value >= 1e4 => format!("{}k", trim(value / 1e3)),
        value if value >= 1.0 || value == 0.0 => trim(value),
        value => figure_small(value),
    }
}

fn trim(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn figure_small(value: f64) -> String {
    let text = if value >= 0.001 { format!("{value:.3}") } else { figure(value) };
    text.trim_end_matches('0').to_owned()
}

/// Text for a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_lies_inside_the_plot() {
        for (axis_x, axis_y) in [(Axis::Linear, Axis::Linear), (Axis::Percentile, Axis::Log), (Axis::Log, Axis::Linear)]
        {
            let points = vec![(0.0, 0.0), (50.0, 0.2), (99.99, 12_345.0), (100.0, 1e6)];
            let series = [Series { name: "a <b>".to_owned(), points, dashed: false, colour: 0 }];
            let svg = Plot { x: ("x", axis_x), y: ("y", axis_y), series: &series }.svg();
            assert!(svg.contains("a &lt;b&gt;") && !svg.contains("NaN"), "{svg}");
            let path = svg.split("<path d=\"").nth(1).unwrap().split('"').next().unwrap();
            for pair in path.split(['M', 'L']).skip(1) {
                let (x, y) = pair.split_once(' ').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((0.0..=SIZE.0).contains(&x) && (0.0..=SIZE.1).contains(&y), "{pair}");
            }
        }
    }

    #[test]
    fn an_empty_plot_is_still_one() {
        let svg = Plot { x: ("x", Axis::Linear), y: ("y", Axis::Log), series: &[] }.svg();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
