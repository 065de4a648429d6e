use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::{Outcome, Run};
use crate::connection::Connection;
use crate::coordinator::{self, Of};
use crate::error::{BenchError, Result};
use crate::measure::{Latency, Tally};
use crate::result::{Flow, Second, Stage};
use crate::stage::Moment;
use crate::usage::Look;
use crate::verifier::Verdict;

/// How often members say that they live. Kafka's clients do so every 3 s; a rebalance is mostly waiting for that.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// How long a rebalance may take.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(60);
/// Kafka's codes: illegal generation, unknown member, rebalance in progress, member id required.
const REJOIN: [i16; 3] = [22, 25, 27];
const MEMBER_ID_REQUIRED: i16 = 79;

/// What members tell: the generation in which each has its partitions, how many, and since when.
#[derive(Debug, Default)]
struct Board {
    settled: Mutex<HashMap<u32, (i32, usize, Instant)>>,
    failed: AtomicBool,
    end: AtomicBool,
}

/// *Lives on: a thread of its own. Talks by: the board.*
struct Member<'a> {
    number: u32,
    group: GroupId,
    topic: &'a str,
    partitions: usize,
    connection: Connection,
    id: StrBytes,
    generation: i32,
    board: &'a Board,
    leave: &'a AtomicBool,
}

impl Run<'_> {
    pub(super) fn groups(&mut self) -> Outcome {
        let topics = self.create()?;
        let mut stages = Vec::new();
        let mut verdict = Verdict::default();
        for step in self.spec.steps.clone() {
            if self.control.stopped() {
                break;
            }
            let (stage, rounds) = self.group_of(step, &topics[0].name, topics[0].leaders.len())?;
            verdict.checked += rounds;
            stages.push(stage);
        }
        verdict.how = "rebalances after which every partition had exactly one owner".to_owned();
        Ok((stages, verdict))
    }

    /// Members come and go until the time is over.
    fn group_of(&self, count: u32, topic: &str, partitions: usize) -> Result<(Stage, u64)> {
        let group = format!("{}-{count}", self.prefix);
        let (board, stay, go) = (Board::default(), AtomicBool::new(false), AtomicBool::new(false));
        let mut came = Coming { joins: Tally::new()?, leaves: Tally::new()?, rounds: 0, window: self.looks() };
        std::thread::scope(|scope| {
            let start = |number: u32, leave| {
                let (board, group) = (&board, group.as_str());
                let addr = self.target.addr;
                scope.spawn(move || member(addr, number, group, topic, partitions, board, leave));
            };
            (0..count).for_each(|number| start(number, &stay));
            let outcome = board.await_settled(count, partitions, -1).and_then(|_| {
                came.window = self.looks();
                while came.window.0.elapsed().as_secs_f64() < self.spec.seconds && !self.control.stopped() {
                    go.store(false, Ordering::Relaxed);
                    let (begun, before) = (Instant::now(), board.generation());
                    start(count, &go);
                    came.joins.rebalanced(begun, board.await_settled(count + 1, partitions, before)?);
                    let (begun, before) = (Instant::now(), board.generation());
                    go.store(true, Ordering::Relaxed);
                    came.leaves.rebalanced(begun, board.await_settled(count, partitions, before)?);
                    came.rounds += 2;
                    self.tell(count, &came);
                }
                Ok(())
            });
            board.end.store(true, Ordering::Relaxed);
            outcome
        })?;
        Ok((came.stage(count, &self.looks()), came.rounds))
    }

    fn looks(&self) -> Looks {
        (Instant::now(), self.target.pid.map(Look::at), Look::at(std::process::id()))
    }

    fn tell(&self, count: u32, came: &Coming) {
        let at = came.window.0.elapsed().as_secs_f64();
        let quantile = |q| came.joins.raw.value_at_quantile(q) as f64 / 1e3;
        let batches = came.joins.raw.len() as f64;
        let second = Second { at, batches, p50_ms: quantile(0.5), p99_ms: quantile(0.99), ..Second::default() };
        let stage = format!("{count} members");
        (self.control.live)(&Moment { stage: &stage, counts: true, progress: (at, self.spec.seconds), second });
    }
}

/// When, the broker, this process.
type Looks = (Instant, Option<Look>, Look);

/// What members' coming and going took.
struct Coming {
    joins: Tally,
    leaves: Tally,
    rounds: u64,
    window: Looks,
}

impl Coming {
    fn stage(&self, count: u32, after: &Looks) -> Stage {
        let seconds = (after.0 - self.window.0).as_secs_f64();
        let rate = self.rounds as f64 / seconds;
        let mut stage = Stage {
            name: format!("{count} members"),
            scale: Some(count.into()),
            seconds,
            produced: Flow { requests_per_second: rate, ..Flow::default() },
            latency: vec![
                Latency::closed("one more member, until all have their partitions", &self.joins.raw, 0),
                Latency::closed("one member less, until all have their partitions", &self.leaves.raw, 0),
            ],
            broker: after.1.zip(self.window.1).map(|(after, before)| after.since(&before)),
            client: after.2.since(&self.window.2),
            ..Stage::default()
        };
        stage.extra.insert("rebalances".to_owned(), self.rounds as f64);
        stage.price();
        stage
    }
}

impl Tally {
    fn rebalanced(&mut self, begun: Instant, settled: Instant) {
        self.raw.saturating_record(settled.saturating_duration_since(begun).as_micros() as u64);
    }
}

impl Board {
    fn generation(&self) -> i32 {
        let settled = self.settled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        settled.values().map(|(generation, ..)| *generation).max().unwrap_or(-1)
    }

    fn settle(&self, number: u32, generation: i32, owned: usize) {
        let mut settled = self.settled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        settled.insert(number, (generation, owned, Instant::now()));
    }

    fn gone(&self, number: u32) {
        let mut settled = self.settled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        settled.remove(&number);
    }

    /// Waits until so many members share one generation after `before` and all partitions between them; since when they do.
    fn await_settled(&self, members: u32, partitions: usize, before: i32) -> Result<Instant> {
        let deadline = Instant::now() + REBALANCE_TIMEOUT;
        while Instant::now() < deadline && !self.failed.load(Ordering::Relaxed) {
            {
                let settled = self.settled.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let newest = settled.values().map(|(generation, ..)| *generation).max().unwrap_or(-1);
                let own = settled.values().filter(|(generation, ..)| *generation == newest);
                let owned: usize = own.clone().map(|(_, owned, _)| owned).sum();
                if newest > before
                    && settled.len() == members as usize
                    && own.clone().count() == settled.len()
                    && owned == partitions
                {
                    return Ok(own.map(|(.., at)| *at).max().unwrap_or_else(Instant::now));
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Err(BenchError::TimedOut {
            what: format!("{members} members of a group that share its {partitions} partitions"),
        })
    }
}

fn member(
    addr: SocketAddr,
    number: u32,
    group: &str,
    topic: &str,
    partitions: usize,
    board: &Board,
    leave: &AtomicBool,
) {
    let outcome = coordinator::connect(addr, Of::Group, group).and_then(|connection| {
        let id = StrBytes::default();
        let group = GroupId(StrBytes::from_string(group.to_owned()));
        Member { number, group, topic, partitions, connection, id, generation: -1, board, leave }.live()
    });
    if outcome.is_err() {
        board.failed.store(true, Ordering::Relaxed);
    }
}

impl Member<'_> {
    fn live(mut self) -> Result<()> {
        self.join()?;
        loop {
            std::thread::sleep(HEARTBEAT);
            if self.leave.load(Ordering::Relaxed) || self.board.end.load(Ordering::Relaxed) {
                // Off the board first, so that those who stay are not counted with it.
                self.board.gone(self.number);
                return self.depart();
            }
            let request = HeartbeatRequest::default()
                .with_group_id(self.group.clone())
                .with_generation_id(self.generation)
                .with_member_id(self.id.clone());
            match self.connection.call(3, &request)?.error_code {
                0 => {}
                code if REJOIN.contains(&code) => self.join()?,
                code => return Err(BenchError::Refused { api: "Heartbeat", code }),
            }
        }
    }

    /// Joins, and syncs, until it has its partitions.
    fn join(&mut self) -> Result<()> {
        loop {
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str("range"))
                .with_metadata(subscription(self.topic));
            let request = JoinGroupRequest::default()
                .with_group_id(self.group.clone())
                .with_session_timeout_ms(30_000)
                .with_rebalance_timeout_ms(REBALANCE_TIMEOUT.as_millis() as i32)
                .with_member_id(self.id.clone())
                .with_protocol_type(StrBytes::from_static_str("consumer"))
                .with_protocols(vec![protocol]);
            let joined = self.connection.call(5, &request)?;
            match joined.error_code {
                0 => {}
                MEMBER_ID_REQUIRED => {
                    self.id = joined.member_id;
                    continue;
                }
                code if REJOIN.contains(&code) || coordinator::NOT_READY.contains(&code) => continue,
                code => return Err(BenchError::Refused { api: "JoinGroup", code }),
            }
            self.id = joined.member_id.clone();
            self.generation = joined.generation_id;
            if let Some(owned) = self.sync(&joined)? {
                self.board.settle(self.number, self.generation, owned);
                return Ok(());
            }
        }
    }

    /// How many partitions it got; `None` when it has to join again.
    fn sync(&mut self, joined: &JoinGroupResponse) -> Result<Option<usize>> {
        let leads = joined.leader == joined.member_id;
        let count = joined.members.len().max(1);
        let assign =
            |(at, member): (usize, &kafka_protocol::messages::join_group_response::JoinGroupResponseMember)| {
                let (from, to) = (at * self.partitions / count, (at + 1) * self.partitions / count);
                SyncGroupRequestAssignment::default()
                    .with_member_id(member.member_id.clone())
                    .with_assignment(assignment(self.topic, from..to))
            };
        let assignments = if leads { joined.members.iter().enumerate().map(assign).collect() } else { Vec::new() };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_assignments(assignments);
        let answer = self.connection.call(3, &request)?;
        match answer.error_code {
            0 => Ok(Some(owned(&answer.assignment))),
            code if REJOIN.contains(&code) => Ok(None),
            code => Err(BenchError::Refused { api: "SyncGroup", code }),
        }
    }

    fn depart(&mut self) -> Result<()> {
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request = LeaveGroupRequest::default().with_group_id(self.group.clone()).with_members(vec![member]);
        self.connection.call(3, &request).map(drop)
    }
}

/// A consumer's subscription, version 0 (`ConsumerProtocolSubscription`).
fn subscription(topic: &str) -> Bytes {
    let mut out = vec![0, 0, 0, 0, 0, 1];
    out.extend_from_slice(&(topic.len() as i16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.into()
}

/// A consumer's partitions, version 0 (`ConsumerProtocolAssignment`).
fn assignment(topic: &str, partitions: std::ops::Range<usize>) -> Bytes {
    let mut out = vec![0, 0, 0, 0, 0, 1];
    out.extend_from_slice(&(topic.len() as i16).to_be_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&(partitions.len() as i32).to_be_bytes());
    partitions.for_each(|partition| out.extend_from_slice(&(partition as i32).to_be_bytes()));
    out.extend_from_slice(&(-1i32).to_be_bytes());
    out.into()
}

/// How many partitions an assignment of ours names; 0 for any other.
fn owned(assignment: &[u8]) -> usize {
    let read = || {
        let name = i16::from_be_bytes(*assignment.get(6..)?.first_chunk()?);
        let count = i32::from_be_bytes(*assignment.get(8 + usize::try_from(name).ok()?..)?.first_chunk()?);
        usize::try_from(count).ok()
    };
    read().unwrap_or(0)
}
