//! The rules, API by API. What real Kafka 4.3.1 answers was recorded; the comments say where it surprises.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_units::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId};

use crate::*;

mod commits;
mod formats;
mod members;
mod rebalances;
mod room;

/// A partition's groups with a log, a clock and all answers so far.
pub(crate) struct Bench {
    pub(crate) groups: Groups,
    pub(crate) now: Now,
    pub(crate) log: Vec<Record>,
    pub(crate) replies: BTreeMap<Token, Reply>,
    /// Appends not yet durable.
    pub(crate) pending: Vec<AppendId>,
    /// Whether appends become durable at once.
    pub(crate) is_prompt: bool,
    /// The next append is refused with this.
    pub(crate) refusal: Option<ErrorCode>,
    tokens: u64,
}

/// No initial delay, as the oracle's broker is set.
pub(crate) fn prompt() -> Settings {
    Settings { initial_rebalance_delay_ms: 0, ..Settings::default() }
}

impl Bench {
    pub(crate) fn new(settings: Settings) -> Bench {
        let now = Now { wall: Timestamp::new(1_700_000_000_000), uptime_ms: 1_000 };
        let mut groups = Groups::new(settings);
        groups.step(now, Event::Loaded);
        let (log, replies, pending) = (Vec::new(), BTreeMap::new(), Vec::new());
        Bench { groups, now, log, replies, pending, is_prompt: true, refusal: None, tokens: 0 }
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let effects = self.groups.step(self.now, event);
            for (token, reply) in effects.replies {
                assert!(self.replies.insert(token, reply).is_none(), "{token:?} answered twice");
            }
            if let Some(append) = effects.append {
                if let Some(error) = self.refusal.take() {
                    events.push(Event::Failed(append.id, error));
                    continue;
                }
                self.log.extend(append.records);
                self.pending.push(append.id);
                if self.is_prompt {
                    self.pending.clear();
                    events.push(Event::Durable(append.id));
                }
            }
        }
    }

    pub(crate) fn send(&mut self, request: Request) -> Token {
        self.tokens += 1;
        self.event(Event::Request(Token(self.tokens), request));
        Token(self.tokens)
    }

    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        let token = self.send(request);
        self.take(token).expect("an answer at once")
    }

    pub(crate) fn take(&mut self, token: Token) -> Option<Reply> {
        self.replies.remove(&token)
    }

    /// All appends so far reach stable storage.
    pub(crate) fn flush(&mut self) {
        if let Some(last) = std::mem::take(&mut self.pending).pop() {
            self.event(Event::Durable(last));
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.uptime_ms + ms;
        while let Some(due) = self.groups.next_deadline().filter(|due| *due <= end) {
            self.advance_to(due.max(self.now.uptime_ms));
            self.event(Event::Tick);
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, uptime_ms: u64) {
        self.now.wall = self.now.wall.plus((uptime_ms - self.now.uptime_ms) as i64);
        self.now.uptime_ms = uptime_ms;
    }

    /// The groups as a restart finds them.
    pub(crate) fn restarted(&self, settings: Settings) -> Bench {
        let mut bench = Bench::new(settings.clone());
        bench.now = self.now;
        bench.groups = Groups::new(settings);
        for record in &self.log {
            bench.groups.replay(&record.key, record.value.as_deref()).expect("our own record");
        }
        bench.log = self.log.clone();
        bench.tokens = self.tokens;
        bench.event(Event::Loaded);
        bench
    }

    pub(crate) fn join(&mut self, request: JoinRequest) -> JoinReply {
        match self.ask(Request::Join(request)) {
            Reply::Join(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn joined(&mut self, token: Token) -> JoinReply {
        match self.take(token) {
            Some(Reply::Join(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn synced(&mut self, token: Token) -> SyncReply {
        match self.take(token) {
            Some(Reply::Sync(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn beat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest { group: "g".into(), member: member.into(), instance: None, generation };
        match self.ask(Request::Heartbeat(request)) {
            Reply::Heartbeat(error) => error,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn describe(&mut self) -> Described {
        match self.ask(Request::Describe(vec!["g".into()])) {
            Reply::Describe(mut described) => described.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// A stable group "g" with one dynamic member, whose id comes back.
    pub(crate) fn stable(&mut self) -> String {
        let reply = self.join(joining(""));
        assert_eq!(reply.error, ErrorCode::None);
        let sync = syncing(&reply.member, reply.generation, &[(&reply.member, "everything")]);
        assert_eq!(self.ask(Request::Sync(sync)), assigned("everything"));
        reply.member
    }
}

/// A version 0 subscription to topic "s".
pub(crate) fn subscription(tag: &str) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 1, b's'];
    bytes.extend((tag.len() as i32).to_be_bytes());
    bytes.extend(tag.as_bytes());
    bytes.into()
}

pub(crate) fn protocol(name: &str) -> Protocol {
    Protocol { name: name.into(), metadata: subscription(name) }
}

/// A join of group "g" by a client that need not know its id first.
pub(crate) fn joining(member: &str) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        member: member.into(),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range"), protocol("roundrobin")],
        unique: "1".into(),
        ..JoinRequest::default()
    }
}

pub(crate) fn unique(mut join: JoinRequest, unique: &str) -> JoinRequest {
    join.unique = unique.into();
    join
}

pub(crate) fn of_instance(mut join: JoinRequest, instance: &str, unique: &str) -> JoinRequest {
    join.instance = Some(instance.into());
    join.unique = unique.into();
    join
}

pub(crate) fn syncing(member: &str, generation: i32, assignments: &[(&str, &str)]) -> SyncRequest {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    SyncRequest {
        group: "g".into(),
        member: member.into(),
        generation,
        assignments: assignments.iter().map(|(to, what)| (to.to_string(), bytes(what))).collect(),
        ..SyncRequest::default()
    }
}

pub(crate) fn assigned(what: &str) -> Reply {
    Reply::Sync(SyncReply {
        error: ErrorCode::None,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignment: Bytes::copy_from_slice(what.as_bytes()),
    })
}

pub(crate) fn leaving(members: &[&str]) -> Request {
    let leaver = |member: &&str| Leaver { member: member.to_string(), instance: None };
    Request::Leave(LeaveRequest { group: "g".into(), members: members.iter().map(leaver).collect() })
}

/// A commit of partition 0 of topic "t" from outside any generation.
pub(crate) fn committing(offset: i64) -> CommitRequest {
    let to_commit = OffsetToCommit {
        partition: 0,
        offset: Offset::new(offset),
        leader_epoch: LeaderEpoch::new(4),
        metadata: Some("note".into()),
    };
    CommitRequest {
        group: "g".into(),
        generation: -1,
        retention_ms: -1,
        topics: vec![CommitTopic { name: "t".into(), id: TopicId::from_bytes([7; 16]), partitions: vec![to_commit] }],
        ..CommitRequest::default()
    }
}

impl Bench {
    pub(crate) fn commit(&mut self, request: CommitRequest) -> ErrorCode {
        match self.ask(Request::Commit(request)) {
            Reply::Commit(topics) => topics[0].partitions[0].error,
            other => panic!("{other:?}"),
        }
    }

    /// The committed offset of partition 0 of topic "t", −1 for none.
    pub(crate) fn fetch(&mut self) -> i64 {
        let topics = Some(vec![FetchTopic { name: "t".into(), id: TopicId::ZERO, partitions: vec![0] }]);
        match self.ask(Request::Fetch(FetchRequest { group: "g".into(), topics, require_stable: false })) {
            Reply::Fetch(Ok(topics)) => topics[0].partitions[0].offset.get(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn groups_fall_on_kafkas_partitions() {
    // Java: "group".hashCode(), "Häßlich 🙂".hashCode(), and a text whose hash is Integer.MIN_VALUE.
    assert_eq!(java_hash("group"), 98_629_247);
    assert_eq!(java_hash("polygenelubricants"), i32::MIN);
    assert_eq!(partition_of("polygenelubricants", 50), 0);
    assert_eq!(partition_of("group", 50), 47);
    assert_eq!(java_hash(""), 0);
}
