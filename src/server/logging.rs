use ottla_cluster::config::BrokerSettings;
use tracing_subscriber::EnvFilter;

/// Sends logs to standard error, as text or JSON. `RUST_LOG` is stronger than `ottla.log.level`.
pub fn init(settings: &BrokerSettings) {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(&settings.own.log_level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter.unwrap_or_default()).with_writer(std::io::stderr).with_target(false);
    // Somebody else may have installed a subscriber first, as tests do: theirs stays.
    let _ = if settings.own.log_json { builder.json().try_init() } else { builder.try_init() };
}
