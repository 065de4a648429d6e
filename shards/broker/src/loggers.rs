//! Levels of logging that may be changed while the broker runs: the resource `BROKER_LOGGER` (KIP-412).

use std::sync::OnceLock;

/// Kafka's names of levels, from the most urgent; `FATAL` counts as `ERROR` here.
pub const LEVELS: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];
/// The logger that counts where no other does.
pub const ROOT: &str = "root";

/// Whoever filters log lines. Called on any shard; rarely.
pub trait Loggers: Send + Sync {
    /// Every logger with its level, by Kafka's names; [`ROOT`] is one of them.
    fn levels(&self) -> Vec<(String, &'static str)>;
    /// Gives a logger a level, one of [`LEVELS`]; `None`: back to the root's.
    fn set(&self, logger: &str, level: Option<&str>);
}

static LOGGERS: OnceLock<Box<dyn Loggers>> = OnceLock::new();

/// Says who filters log lines, once at start; a second call changes nothing.
pub fn install(loggers: Box<dyn Loggers>) {
    // Only tests start twice in a process, and their filters are alike.
    let _ = LOGGERS.set(loggers);
}

/// Every logger with its level.
pub(crate) fn levels() -> Vec<(String, &'static str)> {
    LOGGERS.get().map_or_else(|| vec![(ROOT.to_owned(), "INFO")], |loggers| loggers.levels())
}

/// Gives a logger a level.
pub(crate) fn set(logger: &str, level: Option<&str>) {
    if let Some(loggers) = LOGGERS.get() {
        loggers.set(logger, level);
    }
}
