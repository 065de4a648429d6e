use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{figure, thousands};
use crate::stage::Moment;

/// What moves in the terminal while a run goes on. Nothing where standard error is no terminal, or when it is to be quiet.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
}

/// Steps of the bar.
const STEPS: u64 = 1_000;

impl Live {
    /// A line that moves, unless `quiet`.
    pub fn new(quiet: bool) -> Live {
        if quiet || !std::io::stderr().is_terminal() {
            return Live { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(STEPS);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24.cyan/dim} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Live { bar }
    }

    /// What is being done.
    pub fn doing(&self, what: &str) {
        self.bar.set_prefix(what.to_owned());
        self.bar.set_position(0);
        self.bar.set_message("getting ready");
    }

    /// A moment of a stage.
    pub fn moment(&self, moment: &Moment<'_>) {
        let (at, all) = moment.progress;
        self.bar.set_position((at / all.max(1e-9) * STEPS as f64) as u64);
        if !moment.counts {
            self.bar.set_message(format!("{} warming up", moment.stage));
            return;
        }
        let second = &moment.second;
        let errors = if second.errors > 0 { format!("  {} errors", second.errors) } else { String::new() };
        self.bar.set_message(format!(
            "{} {} MB/s in, {} out, {} batches/s  p50 {} p99 {} p99.9 {} ms  CPUs {:.2}+{:.2}{errors}",
            moment.stage,
            figure(second.produced_mb),
            figure(second.read_mb),
            thousands(second.batches),
            figure(second.p50_ms),
            figure(second.p99_ms),
            figure(second.p999_ms),
            second.broker_cpus,
            second.client_cpus
        ));
    }

    /// Prints a line past the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// The line goes away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
