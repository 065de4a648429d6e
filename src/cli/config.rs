//! `ottla config`: every setting there is.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use ottla_cluster::config::{Effect, Family, Key, Scope, family, keys, topic_key, topic_keys};
use serde::Serialize;

use super::Failure;
use super::suggest::nearest;
use super::text::{counted, table};

/// See the settings of brokers, topics and groups
#[derive(Subcommand, Debug)]
pub(super) enum Config {
    List(List),
}

impl Config {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Config::List(command) => command.run(),
        }
    }
}

/// Print the table of settings: what each is called, may be, is without you, and does
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla config list                            everything
  ottla config list --scope topic              what `ottla topic create --config` takes
  ottla config list retention                  what has 'retention' in its name
  ottla config list --scope ottla              what Apache Kafka does not have
  ottla config list --format json | jq '.[] | select(.effect == \"honoured\") | .name'

A broker's settings come from a file in Kafka's format (ottla start --config FILE), from --set KEY=VALUE, or from the environment:
OTTLA_NUM_PARTITIONS is num.partitions. EFFECT: honoured, as Kafka does; stored, checked and described but without effect yet;
meaningless, without anything here that it could control.")]
pub(super) struct List {
    /// Only settings that have this in their names
    part: Option<String>,
    /// Only settings of these
    #[arg(short, long, value_enum, value_name = "SCOPE")]
    scope: Option<ScopeChoice>,
    /// As a table, as JSON, or as the page in docs/
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum ScopeChoice {
    /// Brokers, under Kafka's names
    Broker,
    /// Brokers, only in Ottla
    Ottla,
    /// Topics
    Topic,
    /// Groups
    Group,
    /// Subscriptions to clients' metrics
    ClientMetrics,
}

impl ScopeChoice {
    fn family(self) -> Family {
        match self {
            ScopeChoice::Broker => Family::Broker,
            ScopeChoice::Ottla => Family::Ottla,
            ScopeChoice::Topic => Family::Topic,
            ScopeChoice::Group => Family::Group,
            ScopeChoice::ClientMetrics => Family::ClientMetrics,
        }
    }
}

/// How a table of the program's own is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(super) enum Form {
    /// A table for people
    Text,
    /// A JSON array
    Json,
    /// A page of documentation
    Markdown,
}

#[derive(Serialize)]
struct ListedKey {
    name: &'static str,
    scope: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    allowed: String,
    changed: &'static str,
    effect: &'static str,
    why_no_effect: Option<&'static str>,
    about: &'static str,
    falls_back_to: Vec<&'static str>,
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let scope = self.scope.map(ScopeChoice::family);
        let part = self.part.as_deref().unwrap_or_default();
        let shown: Vec<&Key> =
            keys().filter(|key| scope.is_none_or(|scope| scope == key.family) && key.name.contains(part)).collect();
        if shown.is_empty() {
            let near = nearest(part, keys().map(|key| key.name));
            let failure = Failure::usage(format!("no setting has '{part}' in its name"));
            return Err(near
                .into_iter()
                .fold(failure, |failure, near| failure.next(format!("ottla config list {near}"))));
        }
        let text = match self.format {
            Form::Text if shown.len() == 1 => one(shown[0]),
            Form::Text => many(&shown),
            Form::Json => serde_json::to_string_pretty(&shown.iter().map(|key| listed(key)).collect::<Vec<_>>())
                .map_err(std::io::Error::from)?,
            Form::Markdown => page(&shown),
        };
        Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
    }
}

fn listed(key: &Key) -> ListedKey {
    ListedKey {
        name: key.name,
        scope: key.family.word(),
        kind: key.kind.name(),
        default: key.default,
        allowed: key.allowed(),
        changed: changed(key),
        effect: key.effect.word(),
        why_no_effect: key.effect.reason(),
        about: key.about,
        falls_back_to: key.synonyms.iter().map(|synonym| synonym.name).collect(),
    }
}

/// When a setting can be changed.
fn changed(key: &Key) -> &'static str {
    match (key.family, key.scope) {
        (Family::Broker | Family::Ottla, Scope::ReadOnly) => "at start",
        (Family::Broker | Family::Ottla, Scope::PerBroker) => "while running, for one broker",
        (Family::Broker | Family::Ottla, Scope::ClusterWide) => "while running, for one broker or all",
        _ => "while running",
    }
}

/// A default as people read it.
fn default(key: &Key) -> &'static str {
    match key.default {
        None => "(none)",
        Some("") => "(empty)",
        Some(text) => text,
    }
}

fn many(shown: &[&Key]) -> String {
    let row = |key: &&Key| {
        let cells = [key.name, key.family.word(), default(key), key.effect.word(), key.about];
        cells.map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = shown.iter().map(row).collect();
    table(&["SETTING", "SCOPE", "DEFAULT", "EFFECT", "WHAT IT MEANS"], &rows)
}

fn one(key: &Key) -> String {
    let mut text = format!("{}\n  {}\n\n", key.name, key.about);
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<14} {value}");
    };
    line("scope", key.family.word());
    line("default", default(key));
    line("allowed", &key.allowed());
    line("changed", changed(key));
    let fallbacks: Vec<&str> = key.synonyms.iter().map(|synonym| synonym.name).collect();
    if !fallbacks.is_empty() {
        line("falls back to", &fallbacks.join(", "));
    }
    line("effect", key.effect.word());
    key.effect.reason().into_iter().for_each(|why| line("", why));
    text
}

const PAGE: &str = "\
# Settings

<!-- Written by `cargo xtask docs` from the one table of settings; `ottla config list` prints the same. -->

A broker's settings come from a file in the format of Kafka's `server.properties` (`ottla start --config FILE`), from the environment
(`OTTLA_NUM_PARTITIONS=6` is `num.partitions=6`) and from `--set KEY=VALUE`; the later one of these wins. A topic's settings are made
with `ottla topic create --config KEY=VALUE`, `ottla topic alter`, or any Kafka tool.

**Effect**: *honoured*: as Kafka does. *stored*: checked, stored and described, without effect yet. *meaningless*: checked, stored and
described, but there is nothing here that it could control.
";

fn page(shown: &[&Key]) -> String {
    let parts = [
        (Family::Ottla, "Brokers: only in Ottla"),
        (Family::Broker, "Brokers: Kafka's"),
        (Family::Topic, "Topics"),
        (Family::Group, "Groups"),
        (Family::ClientMetrics, "Subscriptions to clients' metrics"),
    ];
    let mut text = PAGE.to_owned();
    for (part, title) in parts {
        let keys: Vec<&Key> = shown.iter().copied().filter(|key| key.family == part).collect();
        if keys.is_empty() {
            continue;
        }
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "\n## {title}\n\n{}.\n", counted(keys.len() as u64, "setting"));
        text.push_str(
            "| setting | default | allowed | changed | effect | what it means |\n|---|---|---|---|---|---|\n",
        );
        for key in keys {
            let effect = match key.effect {
                Effect::Honoured => "honoured".to_owned(),
                Effect::Stored(why) | Effect::Meaningless(why) => format!("{}: {why}", key.effect.word()),
            };
            let cells = [&format!("`{}`", key.name), default(key), &key.allowed(), changed(key), &effect, key.about];
            let _ = writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    text
}

/// Whether a topic has a setting of this name; else says which is nearest.
pub(super) fn check_topic_key(name: &str) -> Result<(), String> {
    if topic_key(name).is_some() {
        return Ok(());
    }
    let near = nearest(name, topic_keys().iter().map(|key| key.name));
    let near = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean '{near}'?"));
    let of_broker = family(Family::Broker).any(|key| key.name == name);
    let whose = if of_broker { "is a broker's setting, not a topic's" } else { "is no setting of a topic" };
    Err(format!("'{name}' {whose}{near} All of them: ottla config list --scope topic"))
}
