use indicatif::{ProgressBar, ProgressStyle};

use crate::offline::Progress;

/// What a person sees while a folder is read: on standard error, and only where that is a terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(what: &'static str, shown: bool) -> Bar {
        let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let style = "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Bar(bar)
    }

    pub(super) fn show(&self, progress: Progress) {
        match progress {
            Progress::Begun { bytes } => self.0.set_length(bytes),
            Progress::Done { bytes } => self.0.inc(bytes),
        }
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
