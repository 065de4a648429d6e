//! What a broker is started with: a file in Kafka's `server.properties` format, the environment, `--set`, `--data` and
//! `--listen`, each stronger than the one before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_cluster::Overrides;
use ottla_cluster::config::{BrokerSettings, InvalidValue, Key, Layers, ListenerError, Value, broker_key, node_id};

// The file's format.
mod properties;
pub use properties::{FILE_BYTES_MAX, MalformedProperties, Property, parse};

// Names in the environment.
mod environment;

// What is worth saying about keys that were given.
mod notes;
pub use notes::{Note, NoteKind};

// Where clients are sent.
mod reach;
pub use reach::{announced, host_name};

#[cfg(test)]
mod tests;

/// Where a broker listens when nobody says.
pub const LISTEN_DEFAULT: &str = "PLAINTEXT://127.0.0.1:9092";
/// Where a broker keeps its data when nobody says.
pub const DATA_DEFAULT: &str = "data";

/// Everything a person can say at the start.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `--config FILE`
    pub file: Option<PathBuf>,
    /// The environment; only names that begin with `OTTLA_` count.
    pub environment: Vec<(String, String)>,
    /// `--set key=value`, each as typed.
    pub set: Vec<String>,
    /// `--data DIR`
    pub data: Option<PathBuf>,
    /// `--listen HOST:PORT`, or `NAME://HOST:PORT`, with commas between.
    pub listen: Option<String>,
}

/// What a broker starts with.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Every key that is set, by name: the layer `STATIC_BROKER_CONFIG`.
    pub started_with: Arc<Overrides>,
    /// The same, read.
    pub settings: BrokerSettings,
    /// What to tell whoever started it, in the keys' order.
    pub notes: Vec<Note>,
}

/// Why a broker cannot be started with what was said.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is longer than [`FILE_BYTES_MAX`].
    TooLong {
        /// The file.
        file: PathBuf,
    },
    /// The file is not in the format.
    Malformed {
        /// The file.
        file: PathBuf,
        /// Where and why.
        error: MalformedProperties,
    },
    /// A `--set` without `=`, or without a key.
    NotAPair {
        /// What was typed.
        text: String,
    },
    /// A value that its key does not take.
    Invalid {
        /// The key.
        key: &'static Key,
        /// The value.
        value: String,
        /// Where it was said.
        place: String,
        /// Kafka's words.
        error: InvalidValue,
    },
    /// Two names of one thing with two values.
    Contradiction {
        /// What contradicts what.
        what: String,
    },
    /// Listeners that cannot be understood.
    Listeners(ListenerError),
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigError::Unreadable { file, error } => write!(f, "cannot read {}: {error}", file.display()),
            ConfigError::TooLong { file } => {
                write!(f, "{} is longer than {FILE_BYTES_MAX} bytes: not a configuration", file.display())
            }
            ConfigError::Malformed { file, error } => write!(f, "{}: {error}", file.display()),
            ConfigError::NotAPair { text } => write!(f, "--set {text}: say --set key=value"),
            ConfigError::Invalid { key, value, place, error } => {
                let shown = if key.is_sensitive() { "[hidden]" } else { value };
                write!(f, "{}={shown} ({place}): allowed is {}\n  {error}", key.name, key.allowed())
            }
            ConfigError::Contradiction { what } => f.write_str(what),
            ConfigError::Listeners(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<ListenerError> for ConfigError {
    fn from(error: ListenerError) -> ConfigError {
        ConfigError::Listeners(error)
    }
}

/// A value and where it was said.
struct Said {
    value: String,
    place: String,
}

/// Reads everything that was said and checks it.
///
/// # Errors
/// The first thing that is wrong; all but [`ConfigError::Unreadable`] are for exit status 2.
pub fn load(given: &Given) -> Result<Loaded, ConfigError> {
    let mut notes = Vec::new();
    let mut said = BTreeMap::new();
    if let Some(file) = &given.file {
        read_file(file, &mut said, &mut notes)?;
    }
    for (name, value) in environment::settings(&given.environment, &mut notes) {
        said.insert(name.key, Said { value, place: name.variable });
    }
    for text in &given.set {
        let not_a_pair = || ConfigError::NotAPair { text: text.clone() };
        let (key, value) = text.split_once('=').ok_or_else(not_a_pair)?;
        if key.trim().is_empty() {
            return Err(not_a_pair());
        }
        said.insert(key.trim().to_owned(), Said { value: value.to_owned(), place: "--set".to_owned() });
    }
    take_flags(given, &mut said);
    check(&said)?;
    notes.extend(said.keys().filter_map(|name| notes::about(name, &said[name].value)));
    let started_with = with_defaults(said)?;
    let none = Overrides::new();
    let layers = Layers::new(&none, &none, &started_with);
    if let Some(what) = ottla_cluster::config::wrong_together(&layers) {
        return Err(ConfigError::Contradiction { what: what.trim_start_matches("requirement failed: ").to_owned() });
    }
    let settings = BrokerSettings::resolve(&layers)?;
    notes.extend(notes::about_folders(&layers));
    Ok(Loaded { started_with: Arc::new(started_with), settings, notes })
}

fn read_file(file: &Path, said: &mut BTreeMap<String, Said>, notes: &mut Vec<Note>) -> Result<(), ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { file: file.to_owned(), error };
    let bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(ConfigError::TooLong { file: file.to_owned() });
    }
    let text = std::fs::read(file).map_err(unreadable)?;
    let properties = parse(&text).map_err(|error| ConfigError::Malformed { file: file.to_owned(), error })?;
    for Property { key, value, line } in properties {
        let place = format!("{} line {line}", file.display());
        if said.insert(key.clone(), Said { value, place }).is_some() {
            notes.push(Note { key, kind: NoteKind::Repeated { line } });
        }
    }
    Ok(())
}

fn take_flags(given: &Given, said: &mut BTreeMap<String, Said>) {
    if let Some(listen) = &given.listen {
        let named = |part: &str| {
            let part = part.trim();
            if part.contains("://") { part.to_owned() } else { format!("PLAINTEXT://{part}") }
        };
        let value = listen.split(',').map(named).collect::<Vec<_>>().join(",");
        said.insert("listeners".to_owned(), Said { value, place: "--listen".to_owned() });
    }
    if let Some(data) = &given.data {
        let value = data.to_string_lossy().into_owned();
        said.insert("log.dirs".to_owned(), Said { value, place: "--data".to_owned() });
    }
}

/// Each value by its own key's rule.
fn check(said: &BTreeMap<String, Said>) -> Result<(), ConfigError> {
    for (name, Said { value, place }) in said {
        let Some(key) = broker_key(name) else { continue };
        Value::parse(key, value).map_err(|error| ConfigError::Invalid {
            key,
            value: value.clone(),
            place: place.clone(),
            error,
        })?;
    }
    Ok(())
}

/// What was said, and what a node must have though nobody said it: a number, a listener and a folder.
fn with_defaults(said: BTreeMap<String, Said>) -> Result<Overrides, ConfigError> {
    let number = |name: &str| said.get(name).map(|said| said.value.trim().to_owned());
    if let (Some(node), Some(broker)) = (number("node.id"), number("broker.id"))
        && node != broker
    {
        let what = format!("node.id={node} and broker.id={broker} differ; they are two names of one number");
        return Err(ConfigError::Contradiction { what });
    }
    let mut settings: Overrides = said.into_iter().map(|(name, said)| (name, said.value)).collect();
    settings.entry("listeners".to_owned()).or_insert_with(|| LISTEN_DEFAULT.to_owned());
    if !settings.contains_key("log.dir") {
        settings.entry("log.dirs".to_owned()).or_insert_with(|| DATA_DEFAULT.to_owned());
    }
    let none = Overrides::new();
    let id = node_id(&Layers::new(&none, &none, &settings)).to_string();
    settings.insert("node.id".to_owned(), id.clone());
    settings.insert("broker.id".to_owned(), id);
    Ok(settings)
}
