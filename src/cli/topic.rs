//! `ottla topic`: topics made, shown, changed and removed.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::connect::Connect;
use super::text::{counted, table};
use super::{Failure, config};
use crate::client::admin::{self, ConfigChange, NewTopic};
use crate::client::offsets::{self, Place};
use crate::client::{self, Cluster};
use ottla_units::ErrorCode;

/// Make, show, change and remove topics
#[derive(Subcommand, Debug)]
pub(super) enum Topic {
    Create(Create),
    List(List),
    Describe(Describe),
    Alter(Alter),
    Delete(Delete),
}

impl Topic {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match self {
            Topic::Create(command) => command.run(),
            Topic::List(command) => command.run(),
            Topic::Describe(command) => command.run(),
            Topic::Alter(command) => command.run(),
            Topic::Delete(command) => command.run(),
        }
    }
}

/// Make a topic
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topic create orders
  ottla topic create orders --partitions 6 --config retention.ms=86400000
  ottla topic create accounts --config cleanup.policy=compact --if-not-exists

The settings of a topic, with their defaults: ottla config list --scope topic")]
pub(super) struct Create {
    /// Its name: 1 to 249 of a-z A-Z 0-9 . _ -
    name: String,
    /// How many partitions [default: the broker's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many copies of each [default: the broker's default.replication.factor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A setting of the topic; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// Do nothing if there is such a topic already
    #[arg(long)]
    if_not_exists: bool,
    /// Only say whether it could be made
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Create {
    fn run(&self) -> Result<(), Failure> {
        let topic = NewTopic {
            name: self.name.clone(),
            partitions: self.partitions,
            replication_factor: self.replication_factor,
            configs: self.configs.clone(),
        };
        let made = match admin::create(&mut self.connect.cluster()?, &topic, self.dry_run) {
            Err(error) if self.if_not_exists && error.refusal() == Some(ErrorCode::TopicAlreadyExists) => {
                return Ok(writeln!(std::io::stdout(), "topic {} is there already", self.name)?);
            }
            made => made?,
        };
        let size = made.partitions.map_or_else(String::new, |count| {
            format!(" with {}", counted(u64::from(count.unsigned_abs()), "partition"))
        });
        let verb = if self.dry_run { "could be created" } else { "created" };
        Ok(writeln!(std::io::stdout(), "topic {} {verb}{size}", self.name)?)
    }
}

/// Show every topic
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topic list
  ottla topic list --json | jq -r '.[].name'")]
pub(super) struct List {
    /// Also those that the broker keeps for itself, such as __consumer_offsets
    #[arg(long)]
    internal: bool,
    /// As one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct ListedTopic<'a> {
    name: &'a str,
    id: String,
    internal: bool,
    partitions: usize,
    replication_factor: usize,
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let topics = self.connect.cluster()?.topics()?;
        let shown = topics.iter().filter(|topic| self.internal || !topic.internal).map(|topic| ListedTopic {
            name: &topic.name,
            id: topic.id.to_string(),
            internal: topic.internal,
            partitions: topic.partitions.len(),
            replication_factor: topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
        });
        if self.json {
            return print_json(&shown.collect::<Vec<_>>());
        }
        let row = |topic: ListedTopic<'_>| {
            vec![topic.name.to_owned(), topic.partitions.to_string(), topic.replication_factor.to_string()]
        };
        let rows: Vec<_> = shown.map(row).collect();
        Ok(write!(std::io::stdout(), "{}", table(&["NAME", "PARTITIONS", "REPLICAS"], &rows))?)
    }
}

/// Show a topic: its partitions with their leaders and offsets, and its settings
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topic describe orders
  ottla topic describe orders --all-configs
  ottla topic describe orders --json")]
pub(super) struct Describe {
    /// Its name
    name: String,
    /// Also the settings that were not made on the topic
    #[arg(long)]
    all_configs: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Serialize)]
struct DescribedTopic {
    name: String,
    id: String,
    internal: bool,
    partitions: Vec<DescribedPartition>,
    configs: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct DescribedPartition {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    start_offset: Option<i64>,
    end_offset: Option<i64>,
}

impl Describe {
    fn run(&self) -> Result<(), Failure> {
        let mut cluster = self.connect.cluster()?;
        let topic = cluster.topic(&self.name, false)?;
        let configs = admin::configs(&mut cluster, &self.name)?;
        let configs = configs.into_iter().filter(|config| self.all_configs || config.is_set);
        let described = DescribedTopic {
            partitions: (topic.partitions.iter())
                .map(|partition| describe_partition(&mut cluster, &topic.name, partition))
                .collect::<Result<_, _>>()?,
            name: topic.name,
            id: topic.id.to_string(),
            internal: topic.internal,
            configs: configs.map(|config| (config.name, config.value.into())).collect(),
        };
        if self.json { print_json(&described) } else { self.print(&described) }
    }

    fn print(&self, topic: &DescribedTopic) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "topic {}, id {}", topic.name, topic.id)?;
        let list = |ids: &[i32]| ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        let offset = |offset: Option<i64>| offset.map_or("?".into(), |offset| offset.to_string());
        let rows = topic.partitions.iter().map(|partition| {
            vec![
                partition.partition.to_string(),
                if partition.leader < 0 { "none".into() } else { partition.leader.to_string() },
                partition.leader_epoch.to_string(),
                list(&partition.replicas),
                list(&partition.in_sync),
                offset(partition.start_offset),
                offset(partition.end_offset),
            ]
        });
        let heading = ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "START", "END"];
        write!(out, "\n{}", table(&heading, &rows.collect::<Vec<_>>()))?;
        if topic.configs.is_empty() {
            return Ok(writeln!(out, "\nno settings of its own")?);
        }
        let rows = topic
            .configs
            .iter()
            .map(|(key, value)| vec![key.clone(), value.as_str().map_or_else(|| "(secret)".into(), str::to_owned)]);
        Ok(write!(out, "\n{}", table(&["SETTING", "VALUE"], &rows.collect::<Vec<_>>()))?)
    }
}

fn describe_partition(
    cluster: &mut Cluster,
    topic: &str,
    partition: &client::Partition,
) -> Result<DescribedPartition, Failure> {
    let mut offset = |place| match partition.leader {
        ..0 => Ok(None),
        _ => offsets::find(cluster, topic, partition.index, place, false),
    };
    Ok(DescribedPartition {
        start_offset: offset(Place::Beginning)?,
        end_offset: offset(Place::End)?,
        partition: partition.index,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        in_sync: partition.in_sync.clone(),
    })
}

/// Change a topic's settings, or give it more partitions
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topic alter orders --config retention.ms=3600000
  ottla topic alter orders --delete-config retention.ms
  ottla topic alter orders --partitions 12

Partitions can be added, never taken away; keys then go to other partitions than before.")]
pub(super) struct Alter {
    /// Its name
    name: String,
    /// How many partitions it shall have
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// A setting to make; may be repeated
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// A setting to take back to the broker's value; may be repeated
    #[arg(short, long = "delete-config", value_name = "KEY", value_parser = setting_name)]
    delete_configs: Vec<String>,
    #[command(flatten)]
    connect: Connect,
}

impl Alter {
    fn run(&self) -> Result<(), Failure> {
        let set = self.configs.iter().map(|(key, value)| ConfigChange::Set(key.clone(), value.clone()));
        let deleted = self.delete_configs.iter().map(|key| ConfigChange::Delete(key.clone()));
        let changes: Vec<ConfigChange> = set.chain(deleted).collect();
        if changes.is_empty() && self.partitions.is_none() {
            let what = "nothing to change: give --config, --delete-config or --partitions";
            return Err(Failure::usage(what).next("ottla topic alter --help"));
        }
        let mut cluster = self.connect.cluster()?;
        let mut out = std::io::stdout();
        if !changes.is_empty() {
            admin::alter_configs(&mut cluster, &self.name, &changes)?;
            writeln!(out, "topic {}: {} changed", self.name, counted(changes.len() as u64, "setting"))?;
        }
        if let Some(partitions) = self.partitions {
            admin::grow(&mut cluster, &self.name, partitions)?;
            let count = counted(u64::from(partitions.unsigned_abs()), "partition");
            writeln!(out, "topic {}: {count}", self.name)?;
        }
        Ok(())
    }
}

/// Remove topics and everything in them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topic delete orders
  ottla topic delete orders accounts --if-exists")]
pub(super) struct Delete {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Pass over those that are not there
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    connect: Connect,
}

impl Delete {
    fn run(&self) -> Result<(), Failure> {
        let mut cluster = self.connect.cluster()?;
        for name in &self.names {
            match admin::delete(&mut cluster, name) {
                Err(error) if self.if_exists && error.refusal() == Some(ErrorCode::UnknownTopicOrPartition) => {
                    writeln!(std::io::stdout(), "topic {name} is not there")?;
                }
                gone => {
                    gone?;
                    writeln!(std::io::stdout(), "topic {name} deleted")?;
                }
            }
        }
        Ok(())
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(std::io::Error::from)?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// `KEY=VALUE`, the key one of a topic's.
fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((setting_name(key)?, value.to_owned()))
}

/// The key of a topic's setting.
fn setting_name(key: &str) -> Result<String, String> {
    config::check_topic_key(key)?;
    Ok(key.to_owned())
}
