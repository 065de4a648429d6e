//! Where logs go, and how much of them: `ottla.log.level` at the start, the resource `BROKER_LOGGER` afterwards.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use ottla_broker::loggers::{self, Loggers, ROOT};
use ottla_cluster::config::BrokerSettings;
use tracing_subscriber::EnvFilter;

/// Parts of the process whose level may be set apart from the root's.
const TARGETS: [&str; 8] = [
    "ottla",
    "ottla_broker",
    "ottla_cluster",
    "ottla_coordinator",
    "ottla_partition",
    "ottla_reactor",
    "ottla_storage",
    "ottla_wire",
];

/// Sends logs to standard error, as text or JSON. `RUST_LOG` is stronger than `ottla.log.level`.
pub fn init(settings: &BrokerSettings) {
    let said = std::env::var("RUST_LOG").ok().filter(|text| EnvFilter::try_new(text).is_ok());
    let said = said.unwrap_or_else(|| settings.own.log_level.clone());
    let filter = EnvFilter::try_new(&said).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Somebody else may have installed a subscriber first, as tests do: theirs stays.
    let reload: Reload = if settings.own.log_json {
        let builder = builder.json().with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    } else {
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |filter| drop(handle.reload(filter)))
    };
    loggers::install(Box::new(Levels::new(said, reload)));
}

type Reload = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The levels as they are, and the way to change them.
///
/// *Lives on: process. Talks by: a lock that is taken when somebody asks for or changes levels.*
struct Levels {
    /// What was said at the start.
    said: String,
    changed: Mutex<BTreeMap<String, &'static str>>,
    reload: Reload,
}

impl Levels {
    fn new(said: String, reload: Reload) -> Levels {
        Levels { said, changed: Mutex::default(), reload }
    }

    /// The level of a target, or of the root where `target` is [`ROOT`], if somebody said one.
    fn level(&self, changed: &BTreeMap<String, &'static str>, target: &str) -> Option<&'static str> {
        let mut parts = self.said.split(',').map(str::trim).rev();
        let said = match target {
            ROOT => parts.find_map(level_named),
            _ => parts.find_map(|part| level_named(part.strip_prefix(target)?.strip_prefix('=')?)),
        };
        changed.get(target).copied().or(said)
    }
}

/// Kafka's name of a level.
fn level_named(text: &str) -> Option<&'static str> {
    loggers::LEVELS.into_iter().find(|level| level.eq_ignore_ascii_case(text))
}

/// A level as the filter names it.
fn directive(level: &str) -> &str {
    if level == "FATAL" { "error" } else { level }
}

impl Loggers for Levels {
    fn levels(&self) -> Vec<(String, &'static str)> {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        // The filter's own default.
        let root = self.level(&changed, ROOT).unwrap_or("ERROR");
        let targets = TARGETS.iter().map(|target| {
            let level = self.level(&changed, target).unwrap_or(root);
            ((*target).to_owned(), level)
        });
        std::iter::once((ROOT.to_owned(), root)).chain(targets).collect()
    }

    fn set(&self, logger: &str, level: Option<&str>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let root = self.level(&changed, ROOT).unwrap_or("ERROR");
        changed.insert(logger.to_owned(), level.and_then(level_named).unwrap_or(root));
        let mut filter = self.said.clone();
        for (logger, level) in changed.iter() {
            let level = directive(level);
            filter += &if logger == ROOT { format!(",{level}") } else { format!(",{logger}={level}") };
        }
        match EnvFilter::try_new(&filter) {
            Ok(filter) => (self.reload)(filter),
            Err(error) => tracing::warn!(%error, filter, "log levels not changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn levels_are_told_and_changed() {
        let filters = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&filters);
        let reload = Box::new(move |filter: EnvFilter| seen.lock().unwrap().push(filter.to_string()));
        let levels = Levels::new("info,ottla_storage=debug".to_owned(), reload);
        let of = |target: &str| levels.levels().into_iter().find(|(name, _)| name == target).unwrap().1;
        assert_eq!((of(ROOT), of("ottla_storage"), of("ottla_broker")), ("INFO", "DEBUG", "INFO"));
        levels.set("ottla_broker", Some("TRACE"));
        levels.set(ROOT, Some("FATAL"));
        levels.set("ottla_storage", None);
        assert_eq!((of(ROOT), of("ottla_storage"), of("ottla_broker")), ("FATAL", "FATAL", "TRACE"));
        let last = filters.lock().unwrap().pop().unwrap();
        assert!(last.contains("ottla_broker=trace") && last.contains("ottla_storage=error"), "{last}");
    }
}
