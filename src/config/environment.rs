//! `OTTLA_NUM_PARTITIONS=4` is `num.partitions=4`; `OTTLA_SHARDS=2` is `ottla.shards=2`.

use super::notes::{Note, NoteKind};
use crate::cli::suggest::nearest;
use ottla_cluster::config::{broker_key, broker_keys};

const PREFIX: &str = "OTTLA_";

/// Variables of the command line itself.
const FLAGS: [&str; 8] = ["CONFIG", "DATA", "LISTEN", "SET", "BROKER", "BOOTSTRAP", "FORMAT", "HOME"];

/// A setting's name in both worlds.
pub(super) struct Name {
    pub(super) key: String,
    pub(super) variable: String,
}

/// The settings that an environment holds.
pub(super) fn settings(environment: &[(String, String)], notes: &mut Vec<Note>) -> Vec<(Name, String)> {
    let mut found = Vec::new();
    for (variable, value) in environment {
        let Some(rest) = variable.strip_prefix(PREFIX).filter(|rest| !rest.is_empty()) else { continue };
        match key_of(rest) {
            Some(key) => found.push((Name { key: key.to_owned(), variable: variable.clone() }, value.clone())),
            None if FLAGS.contains(&rest) => {}
            None => notes.push(Note { key: variable.clone(), kind: NoteKind::Unknown { nearest: nearest_to(rest) } }),
        }
    }
    found
}

fn key_of(rest: &str) -> Option<&'static str> {
    let dotted = rest.to_ascii_lowercase().replace('_', ".");
    let own = format!("ottla.{dotted}");
    broker_key(&dotted).or_else(|| broker_key(&own)).map(|key| key.name)
}

fn nearest_to(rest: &str) -> Option<String> {
    let as_variable = |name: &str| name.trim_start_matches("ottla.").to_ascii_uppercase().replace('.', "_");
    let variables: Vec<String> = broker_keys().map(|key| as_variable(key.name)).collect();
    nearest(rest, variables.iter().map(String::as_str)).map(|name| format!("{PREFIX}{name}"))
}
