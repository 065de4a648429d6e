//! A wall clock that jumps under load, by way of libfaketime: what must not depend on it does not, what must follows it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    BrokerId, DescribeGroupsRequest, FetchRequest, GroupId, HeartbeatRequest, JoinGroupRequest, ListOffsetsRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla::client::Cluster;
use ottla::client::producer::{Acks, NewRecord, Producer, ProducerOptions};
use ottla_batch::Codec;

use crate::harness::{Broker, PATIENCE, folder, ottla};
use crate::ledger::{Ledger, connect};
use crate::wait::{let_pass, until};

/// Where distributions put the library that the broker is started with.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
/// How long a member may be silent: far less than any jump, and long for a busy machine.
const SESSION: Duration = Duration::from_secs(45);
/// Not leader yet, coordinator not ready yet.
const NOT_YET: [i16; 5] = [3, 5, 6, 14, 15];

/// The clock of one broker: the real one and an offset that can be changed at any time.
struct Clock {
    library: &'static str,
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Clock {
    /// Nothing where the library is not installed.
    fn new(what: &str) -> Option<Clock> {
        let Some(library) = LIBRARIES.into_iter().find(|path| Path::new(path).exists()) else {
            eprintln!("SKIPPED {what}: it needs libfaketime (apt install faketime)");
            return None;
        };
        let place = folder();
        let file = place.path().join("offset");
        let clock = Clock { library, _folder: place, file };
        clock.jump_to(0);
        Some(clock)
    }

    /// Sets it so many seconds off.
    fn jump_to(&self, seconds: i64) {
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, format!("{seconds:+}s\n")).expect("written");
        std::fs::rename(&beside, &self.file).expect("renamed");
    }

    fn start(&self, data: &Path, arguments: &[&str]) -> Broker {
        let mut command = ottla();
        command
            .env("LD_PRELOAD", self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1");
        // Only the wall clock jumps: a monotonic one never does.
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
        Broker::start_as(command, data, arguments)
    }
}

fn real_seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

/// A consumer in a group, as the classic protocol has it.
struct Member {
    group: GroupId,
    id: StrBytes,
    generation: i32,
}

impl Member {
    /// Joins a group alone and is given partition 0 of `topic`.
    fn join(cluster: &mut Cluster, group: &str, topic: &str, session: Duration) -> Member {
        let session_ms = session.as_millis() as i32;
        let mut member = Member { group: GroupId(text(group)), id: text(""), generation: -1 };
        until(|| {
            let protocol =
                JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription(topic));
            let request = JoinGroupRequest::default()
                .with_group_id(member.group.clone())
                .with_session_timeout_ms(session_ms)
                .with_rebalance_timeout_ms(session_ms)
                .with_member_id(member.id.clone())
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            let (_, answer) = cluster.any().expect("a connection").call(5, |_| request).expect("an answer");
            member.id = answer.member_id;
            member.generation = answer.generation_id;
            // 79: join again with the id that was given.
            let code = answer.error_code;
            assert!(code == 0 || code == 79 || NOT_YET.contains(&code), "JoinGroup: {code}");
            (code == 0).then_some(())
        })
        .expect("a coordinator");
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(member.id.clone())
            .with_assignment(Bytes::from_static(b"p0"));
        let request = SyncGroupRequest::default()
            .with_group_id(member.group.clone())
            .with_generation_id(member.generation)
            .with_member_id(member.id.clone())
            .with_assignments(vec![assignment]);
        let (_, answer) = cluster.any().expect("a connection").call(3, |_| request).expect("an answer");
        assert_eq!(answer.error_code, 0, "SyncGroup");
        member
    }

    /// The code that a heartbeat is answered with: 0 while the session lasts and nobody rebalances.
    fn heartbeat(&self, cluster: &mut Cluster) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone());
        cluster.any().expect("a connection").call(3, |_| request).expect("an answer").1.error_code
    }

    fn commit(&self, cluster: &mut Cluster, topic: &str, offset: i64) {
        let part = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let part = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![part]);
        let request = OffsetCommitRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_topics(vec![part]);
        let (_, answer) = cluster.any().expect("a connection").call(7, |_| request).expect("an answer");
        assert_eq!(answer.topics[0].partitions[0].error_code, 0, "OffsetCommit");
    }
}

/// The offset that a group has committed for partition 0; −1 for none.
fn committed(cluster: &mut Cluster, group: &str, topic: &str) -> i64 {
    until(|| {
        let asked = OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![asked]));
        let (_, answer) = cluster.any().expect("a connection").call(5, |_| request).expect("an answer");
        let code = answer.error_code;
        assert!(code == 0 || NOT_YET.contains(&code), "OffsetFetch: {code}");
        (code == 0).then(|| answer.topics[0].partitions[0].committed_offset)
    })
    .expect("a coordinator")
}

/// What a group is doing, as DescribeGroups says.
fn group_state(cluster: &mut Cluster, group: &str) -> String {
    let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(text(group))]);
    let (_, answer) = cluster.any().expect("a connection").call(4, |_| request).expect("an answer");
    assert_eq!(answer.groups[0].error_code, 0, "DescribeGroups");
    answer.groups[0].group_state.to_string()
}

/// A consumer's subscription to one topic (`ConsumerProtocolSubscription`, version 0).
fn subscription(topic: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(0);
    bytes.put_i32(1);
    bytes.put_i16(topic.len() as i16);
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(-1);
    bytes.freeze()
}

/// The latest timestamp in partition 0, in seconds.
fn latest_time(cluster: &mut Cluster, topic: &str) -> i64 {
    let part = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-3);
    let asked = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![part]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
    let (_, answer) = cluster.leader(topic, 0).expect("a leader").call(7, |_| request).expect("an answer");
    assert_eq!(answer.topics[0].partitions[0].error_code, 0, "ListOffsets");
    answer.topics[0].partitions[0].timestamp / 1000
}

/// A fetch at the end of a log that waits for `wait`; how long it took.
fn waiting_fetch(cluster: &mut Cluster, topic: &str, end: i64, wait: Duration) -> Duration {
    let part = FetchPartition::default().with_partition(0).with_fetch_offset(end).with_partition_max_bytes(1 << 20);
    let asked = FetchTopic::default().with_topic(name(topic)).with_partitions(vec![part]);
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(wait.as_millis() as i32)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![asked]);
    let begun = Instant::now();
    cluster.leader(topic, 0).expect("a leader").call(12, |_| request).expect("an answer");
    begun.elapsed()
}

const SETTINGS: [&str; 4] =
    ["--set", "offsets.retention.check.interval.ms=100", "--set", "log.retention.check.interval.ms=100"];

/// Hours and years, to and fro, while producers of both kinds write, a consumer waits and a group lives.
#[test]
fn a_wall_clock_that_jumps_takes_nothing_and_nobody_along() {
    let Some(clock) = Clock::new("a jumping clock") else { return };
    let data = folder();
    let broker = clock.start(data.path(), &SETTINGS);
    broker.say(&["topic", "create", "t", "-p", "2", "-c", "retention.ms=-1"]).ok();
    broker.say(&["topic", "create", "idempotent", "-p", "1", "-c", "retention.ms=-1"]).ok();
    broker.say(&["topic", "create", "stamped", "-p", "1", "-c", "message.timestamp.type=LogAppendTime"]).ok();
    broker.say(&["topic", "create", "quiet", "-p", "1"]).ok();
    let (mut cluster, mut sender, mut waiter) = (connect(&broker), connect(&broker), connect(&broker));
    let mut ledger = Ledger::new("t", 2_000);
    let mut stamped = Ledger::new("stamped", 100);
    let member = Member::join(&mut cluster, "g", "t", SESSION);
    let options = ProducerOptions { acks: Acks::All, codec: Codec::None, create_topic: false };
    let mut producer = Producer::new(&mut sender, "idempotent", options).expect("a producer");
    let (mut offset, mut highest) = (0, 0);
    for jump in [0, HOUR, -HOUR, 0, YEAR, -YEAR, YEAR, 0] {
        thread::scope(|scope| {
            // It begins to wait before the jump and must end soon after, whatever the clock says.
            let waited = scope.spawn(|| waiting_fetch(&mut waiter, "quiet", 0, Duration::from_millis(700)));
            let_pass(Duration::from_millis(100));
            clock.jump_to(jump);
            for _ in 0..20 {
                ledger.write_until(&mut cluster, 0, 0, 200);
                ledger.write_until(&mut cluster, 1, 0, 200);
                assert_eq!(member.heartbeat(&mut cluster), 0, "heartbeat at {jump}; it said:\n{}", broker.log());
            }
            let waited = waited.join().expect("an answer");
            assert!(waited >= Duration::from_millis(600) && waited < PATIENCE, "waited {waited:?} at {jump}");
        });
        stamped.write_until(&mut cluster, 0, 0, 200);
        if jump > highest {
            // The test's own test: the broker's clock is off by as much as it was told to be.
            let off = latest_time(&mut cluster, "stamped") - real_seconds();
            assert!((off - jump).abs() < 2 * PATIENCE.as_secs() as i64, "{off} s off instead of {jump}");
            highest = jump;
        }
        for number in 0..20 {
            let record = NewRecord {
                timestamp: Some(1),
                value: Some(format!("{jump}/{number}").into_bytes()),
                ..NewRecord::default()
            };
            producer.push(&record).and_then(|()| producer.flush()).expect("taken, in order, once");
        }
        offset += 20;
        member.commit(&mut cluster, "t", offset);
        // The retention of offsets runs ten times a second.
        let_pass(Duration::from_millis(300));
        assert_eq!(committed(&mut cluster, "g", "t"), offset, "the commit of a living group at {jump}");
    }
    assert_eq!(producer.sent(), 160);
    let check = |broker: &Broker| {
        ledger.check(broker, &[0, 1]);
        stamped.check(broker, &[0]);
        let read = broker.say(&["consume", "idempotent", "--from", "beginning", "--exit"]).ok();
        assert_eq!(read.lines().count(), 160, "{read}");
        assert_eq!(committed(&mut connect(broker), "g", "t"), offset);
    };
    check(&broker);
    // A restart in another year than the records'.
    clock.jump_to(-YEAR);
    broker.kill();
    let broker = clock.start(data.path(), &[]);
    check(&broker);
    assert!(broker.stop().success());
}

/// A member that is silent is missed after its session's time, not after the wall clock's; one that beats is not.
#[test]
fn a_silent_member_is_missed_by_the_monotonic_clock() {
    let Some(clock) = Clock::new("sessions under a jumping clock") else { return };
    let data = folder();
    let broker = clock.start(data.path(), &SETTINGS);
    broker.say(&["topic", "create", "t", "-p", "1"]).ok();
    let mut cluster = connect(&broker);
    let session = Duration::from_secs(10);
    let member = Member::join(&mut cluster, "g", "t", session);
    clock.jump_to(YEAR);
    assert_eq!(member.heartbeat(&mut cluster), 0);
    // Back by a year: a session that ends at a time of the wall clock would now last a year.
    clock.jump_to(-YEAR);
    assert_eq!(member.heartbeat(&mut cluster), 0);
    // To look at it, unlike a heartbeat, does not prolong it.
    // Nor does what is left stay for long: a group that is empty and has committed nothing goes with the next check.
    let noticed = until(|| (group_state(&mut cluster, "g") != "Stable").then_some(()));
    noticed.unwrap_or_else(|| panic!("its silence is noticed; it said:\n{}", broker.log()));
    assert!(member.heartbeat(&mut cluster) != 0, "it is no member any more");
}
