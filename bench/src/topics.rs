//! Topics to load: made, looked up, deleted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::connection::{Connection, resolve};
use crate::error::{BenchError, Result, error_name};

/// How long a new topic may take to have leaders: a Kafka on a busy machine needs a minute for a thousand partitions.
const LEADERS_TIMEOUT: Duration = Duration::from_secs(180);
/// INVALID_REPLICATION_FACTOR: fewer brokers live than replicas are asked for.
const NO_BROKER: i16 = 38;
/// TOPIC_ALREADY_EXISTS: what an earlier try has done after all.
const EXISTS: i16 = 36;
/// REQUEST_TIMED_OUT.
const TIMED_OUT: i16 = 7;
/// Kafka's codes that mean "ask again": unknown topic, leader not available, not the leader, timed out, too few replicas (before and
/// after the append), a log folder that is being moved, throttled.
pub const RETRIABLE: [i16; 9] = [3, 5, 6, TIMED_OUT, 9, 13, 19, 20, 56];

/// A topic and who leads its partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// The leader of each partition, in order.
    pub leaders: Vec<SocketAddr>,
}

/// A name as messages want it.
pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// Creates a topic with one replica and waits until each partition has a leader that serves it.
///
/// # Errors
/// [`BenchError::Refused`], [`BenchError::TimedOut`], those of the connection.
pub fn create(control: &mut Connection, name: &str, partitions: usize, configs: &[(&str, &str)]) -> Result<Topic> {
    create_replicated(control, name, partitions, 1, configs)
}

/// The same with so many replicas.
///
/// # Errors
/// As [`create`].
pub fn create_replicated(
    control: &mut Connection,
    name: &str,
    partitions: usize,
    replicas: i16,
    configs: &[(&str, &str)],
) -> Result<Topic> {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let configs = configs
        .iter()
        .map(|(key, value)| CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value))))
        .collect();
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions as i32)
        .with_replication_factor(replicas)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    let mut timed_out = false;
    loop {
        let answer = control.call(5, &request)?;
        match answer.topics.first().map(|topic| topic.error_code) {
            Some(0) => break,
            Some(EXISTS) if timed_out => break,
            // A Kafka that was too busy to tell its controller that it lives has no broker for a while.
            Some(code @ (NO_BROKER | TIMED_OUT)) if Instant::now() < deadline => {
                timed_out |= code == TIMED_OUT;
                std::thread::sleep(Duration::from_millis(200));
            }
            Some(code) => return Err(BenchError::Refused { api: "CreateTopics", code }),
            None => return Err(BenchError::Malformed { what: "CreateTopics without the topic" }),
        }
    }
    let topic = await_leaders(control, name, partitions)?;
    await_ends(control, name, partitions)?;
    Ok(topic)
}

/// Looks a topic up until it has `partitions` partitions with a leader each.
///
/// # Errors
/// [`BenchError::Refused`], [`BenchError::TimedOut`], those of the connection.
pub fn await_leaders(control: &mut Connection, name: &str, partitions: usize) -> Result<Topic> {
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    loop {
        if let Some(topic) = look_up(control, name)?
            && topic.leaders.len() == partitions
        {
            return Ok(topic);
        }
        if Instant::now() > deadline {
            return Err(BenchError::TimedOut { what: format!("leaders of {partitions} partitions of {name}") });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of each partition, once every leader knows that it leads: metadata may tell of a leader before it does, and a Kafka that was too
/// busy to say that it lives leads nothing for a while.
///
/// # Errors
/// [`BenchError::Refused`], those of the connection.
pub fn await_ends(control: &mut Connection, name: &str, partitions: usize) -> Result<Vec<i64>> {
    let deadline = Instant::now() + LEADERS_TIMEOUT;
    loop {
        match ends(control, name, partitions) {
            Err(BenchError::Refused { code, .. }) if RETRIABLE.contains(&code) => {
                if Instant::now() > deadline {
                    let what = format!("leaders of {partitions} partitions of {name}: they say {}", error_name(code));
                    return Err(BenchError::TimedOut { what });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// The topic, if every partition that it has has a leader now.
///
/// # Errors
/// [`BenchError::Refused`], those of the connection.
pub fn look_up(control: &mut Connection, name: &str) -> Result<Option<Topic>> {
    let request = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic_name(name)))]))
        .with_allow_auto_topic_creation(false);
    let answer = control.call(9, &request)?;
    let brokers = addresses(&answer)?;
    let Some(topic) = answer.topics.first() else { return Ok(None) };
    if RETRIABLE.contains(&topic.error_code) {
        return Ok(None);
    }
    if topic.error_code != 0 {
        return Err(BenchError::Refused { api: "Metadata", code: topic.error_code });
    }
    let mut partitions: Vec<_> = topic.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let leaders = partitions
        .iter()
        .map(|partition| if partition.error_code == 0 { brokers.get(&partition.leader_id).copied() } else { None });
    Ok(leaders.collect::<Option<Vec<_>>>().map(|leaders| Topic { name: name.to_owned(), leaders }))
}

fn addresses(answer: &MetadataResponse) -> Result<HashMap<BrokerId, SocketAddr>> {
    let resolved =
        answer.brokers.iter().map(|broker| Ok((broker.node_id, resolve(&format!("{}:{}", broker.host, broker.port))?)));
    resolved.collect()
}

/// Deletes topics. One that is not there is no error.
///
/// # Errors
/// [`BenchError::Refused`], those of the connection.
pub fn delete(control: &mut Connection, names: &[&str]) -> Result<()> {
    let request = DeleteTopicsRequest::default()
        .with_topic_names(names.iter().map(|name| topic_name(name)).collect())
        .with_timeout_ms(60_000);
    let answer = control.call(5, &request)?;
    match answer.responses.iter().map(|topic| topic.error_code).find(|code| ![0, 3].contains(code)) {
        Some(code) => Err(BenchError::Refused { api: "DeleteTopics", code }),
        None => Ok(()),
    }
}

/// The end of each partition (the high watermark), in order, as it is told at once.
///
/// # Errors
/// [`BenchError::Refused`], those of the connection.
pub fn ends(control: &mut Connection, name: &str, partitions: usize) -> Result<Vec<i64>> {
    let asked = (0..partitions as i32)
        .map(|index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(-1))
        .collect();
    let topic = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(asked);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = control.call(7, &request)?;
    let mut ends = vec![-1; partitions];
    for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
        if partition.error_code != 0 {
            return Err(BenchError::Refused { api: "ListOffsets", code: partition.error_code });
        }
        if let Some(end) = ends.get_mut(partition.partition_index as usize) {
            *end = partition.offset;
        }
    }
    Ok(ends)
}

/// Spreads partitions over connections so that all of a connection's partitions have one leader: the leader's address
/// and the partitions of each connection. Connections that would have none are left out.
pub fn spread(topic: &Topic, connections: usize) -> Vec<(SocketAddr, Vec<i32>)> {
    let mut brokers: Vec<SocketAddr> = topic.leaders.clone();
    brokers.sort_unstable();
    brokers.dedup();
    let mut shares: Vec<(SocketAddr, Vec<i32>)> =
        (0..connections.max(brokers.len())).map(|i| (brokers[i % brokers.len()], Vec::new())).collect();
    let mut turns: HashMap<SocketAddr, usize> = HashMap::new();
    for (index, leader) in topic.leaders.iter().enumerate() {
        let own: Vec<usize> = (0..shares.len()).filter(|i| shares[*i].0 == *leader).collect();
        let turn = turns.entry(*leader).or_default();
        shares[own[*turn % own.len()]].1.push(index as i32);
        *turn += 1;
    }
    shares.retain(|(_, partitions)| !partitions.is_empty());
    shares
}
