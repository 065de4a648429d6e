//! Many clients, one coordinator, a log that sometimes refuses, a clock that jumps, crashes: whatever happens, the rules
//! hold. `OTTLA_SEEDS` says how many seeds (default 200), `OTTLA_SEED` plays one; a failure prints its seed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_units::{ErrorCode, TopicId};

use crate::group::{Group, State};
use crate::records::{Key, read_key};
use crate::tests::{Bench, committing, joining, protocol};
use crate::*;

mod check;

/// A small generator: the same seed, the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }
}

/// A client of one group and what it believes.
#[derive(Clone, Debug)]
struct Client {
    group: String,
    instance: Option<String>,
    member: String,
    generation: i32,
    /// Given to it as the leader, to be assigned.
    to_assign: Option<Vec<String>>,
    waits_for: Option<(Token, Request)>,
}

/// What may be true of a committed offset.
#[derive(Default, Debug)]
struct Offsets {
    acknowledged: i64,
    refused: BTreeSet<i64>,
    is_deleted: bool,
}

struct World {
    dice: Dice,
    bench: Bench,
    clients: Vec<Client>,
    /// Groups whose last record was refused: memory is ahead of the log.
    ahead: BTreeSet<String>,
    leaders: BTreeMap<(String, i32), String>,
    generations: BTreeMap<String, i32>,
    offsets: BTreeMap<String, Offsets>,
    next_offset: i64,
    next_id: u64,
}

const GROUPS: u64 = 3;

fn settings() -> Settings {
    Settings { initial_rebalance_delay_ms: 1_000, members_max: 6, ..Settings::default() }
}

#[test]
fn any_history_keeps_the_rules() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("OTTLA_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("OTTLA_SEEDS").unwrap_or(200),
    };
    for seed in seeds {
        let played = std::panic::catch_unwind(|| World::new(seed).play());
        if let Err(panic) = played {
            eprintln!("replay with: OTTLA_SEED={seed} cargo test -p ottla-coordinator any_history");
            std::panic::resume_unwind(panic);
        }
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::new(settings());
        bench.is_prompt = false;
        let client = |n: u64| Client {
            group: format!("g{}", n % GROUPS),
            instance: (n % 4 == 3).then(|| format!("i{}", n / 8)),
            member: String::new(),
            generation: -1,
            to_assign: None,
            waits_for: None,
        };
        World {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            bench,
            clients: (0..16).map(client).collect(),
            ahead: BTreeSet::new(),
            leaders: BTreeMap::new(),
            generations: BTreeMap::new(),
            offsets: BTreeMap::new(),
            next_offset: 0,
            next_id: 0,
        }
    }

    fn play(mut self) {
        for _ in 0..400 {
            match self.dice.roll(100) {
                0..70 => self.act(),
                70..85 => self.flush_some(),
                85..95 => self.pass_time(),
                95..97 => self.bench.refusal = Some(ErrorCode::KafkaStorageError),
                97..98 => self.delete_something(),
                98..99 => self.restart(),
                _ => self.compare_with_log(),
            }
            self.hear();
            check::invariants(&self.bench.groups);
        }
        self.bench.refusal = None;
        // Whoever waits is answered in the end, even if nobody does anything any more.
        for _ in 0..10 {
            self.bench.flush();
            self.bench.pass(3_600_000);
            self.hear();
        }
        let waiting: Vec<&Client> = self.clients.iter().filter(|client| client.waits_for.is_some()).collect();
        assert!(waiting.is_empty(), "never answered: {waiting:?}");
        self.compare_with_log();
    }

    /// One client does something that it may.
    fn act(&mut self) {
        let n = self.dice.roll(self.clients.len() as u64) as usize;
        let client = self.clients[n].clone();
        if client.waits_for.is_some() {
            if self.dice.one_in(12) {
                // It gives up, loses its connection and starts anew.
                self.clients[n] = Client { waits_for: None, to_assign: None, member: String::new(), ..client };
            }
            return;
        }
        let request = match self.dice.roll(10) {
            _ if client.member.is_empty() => self.join_request(&client),
            0..2 => self.join_request(&client),
            2..5 => Self::sync_request(&client),
            5..6 => Request::Heartbeat(HeartbeatRequest {
                group: client.group.clone(),
                member: client.member.clone(),
                instance: client.instance.clone(),
                generation: client.generation,
            }),
            6..9 => self.commit_request(&client),
            _ => Request::Leave(LeaveRequest {
                group: client.group.clone(),
                members: vec![Leaver { member: client.member.clone(), instance: client.instance.clone() }],
            }),
        };
        self.send(n, request);
    }

    fn send(&mut self, n: usize, request: Request) {
        let refuses = self.bench.refusal.is_some();
        let before = self.bench.log.len();
        let token = self.bench.send(request.clone());
        self.note_records(before, refuses && self.bench.refusal.is_none());
        self.clients[n].waits_for = Some((token, request));
    }

    /// Keeps account of groups whose memory is ahead of the log.
    fn note_records(&mut self, before: usize, was_refused: bool) {
        for record in &self.bench.log[before..] {
            if let Ok(Key::Group(group)) = read_key(&record.key) {
                self.ahead.remove(&group);
            }
        }
        if was_refused {
            // Which group it was does not matter: be careful with all.
            self.ahead.extend((0..GROUPS).map(|n| format!("g{n}")));
        }
    }

    fn join_request(&mut self, client: &Client) -> Request {
        self.next_id += 1;
        let protocols = match self.dice.roll(3) {
            0 => vec![protocol("range")],
            1 => vec![protocol("range"), protocol("roundrobin")],
            _ => vec![protocol("roundrobin"), protocol("range")],
        };
        Request::Join(JoinRequest {
            group: client.group.clone(),
            instance: client.instance.clone(),
            protocols,
            session_timeout_ms: 6_000 + self.dice.roll(20_000) as i32,
            rebalance_timeout_ms: self.dice.roll(30_000) as i32,
            requires_known_member: self.dice.one_in(2),
            can_skip_assignment: self.dice.one_in(2),
            unique: format!("{}", self.next_id),
            ..joining(&client.member)
        })
    }

    fn sync_request(client: &Client) -> Request {
        let label = |member: &String| {
            let text = format!("{}/{}", client.generation, place_of(member));
            (member.clone(), Bytes::from(text))
        };
        Request::Sync(SyncRequest {
            group: client.group.clone(),
            member: client.member.clone(),
            instance: client.instance.clone(),
            generation: client.generation,
            assignments: client.to_assign.iter().flatten().map(label).collect(),
            ..SyncRequest::default()
        })
    }

    fn commit_request(&mut self, client: &Client) -> Request {
        self.next_offset += 1;
        let topics = Some(vec![FetchTopic { name: "t".into(), id: TopicId::ZERO, partitions: vec![0] }]);
        match self.dice.roll(4) {
            0 => Request::Fetch(FetchRequest {
                group: client.group.clone(),
                topics,
                require_stable: self.dice.one_in(2),
            }),
            1 => Request::Commit(CommitRequest { group: client.group.clone(), ..committing(self.next_offset) }),
            _ => Request::Commit(CommitRequest {
                group: client.group.clone(),
                member: client.member.clone(),
                instance: client.instance.clone(),
                generation: client.generation,
                ..committing(self.next_offset)
            }),
        }
    }

    fn flush_some(&mut self) {
        let count = self.dice.roll(1 + self.bench.pending.len() as u64) as usize;
        if let Some(last) = self.bench.pending.drain(..count).collect::<Vec<_>>().pop() {
            let (before, refuses) = (self.bench.log.len(), self.bench.refusal.is_some());
            self.bench.event(Event::Durable(last));
            self.note_records(before, refuses && self.bench.refusal.is_none());
        }
    }

    fn pass_time(&mut self) {
        let ms = match self.dice.roll(4) {
            0 => 40_000,
            1 => 10_000,
            _ => 1_500,
        };
        let ms = self.dice.roll(ms);
        let (before, refuses) = (self.bench.log.len(), self.bench.refusal.is_some());
        self.bench.pass(ms);
        self.note_records(before, refuses && self.bench.refusal.is_none());
        if self.dice.one_in(10) {
            // The calendar is set, forward or back; sessions must not notice.
            let jump = self.dice.roll(7_200_000) as i64 - 3_600_000;
            self.bench.now.wall = self.bench.now.wall.plus(jump);
        }
    }

    fn delete_something(&mut self) {
        let group = format!("g{}", self.dice.roll(GROUPS));
        self.offsets.entry(group.clone()).or_default().is_deleted = true;
        let (before, refuses) = (self.bench.log.len(), self.bench.refusal.is_some());
        match self.dice.roll(3) {
            0 => {
                self.bench.event(Event::TopicsDeleted(vec![("t".into(), TopicId::from_bytes([7; 16]))]));
                for group in (0..GROUPS).map(|n| format!("g{n}")) {
                    self.offsets.entry(group).or_default().is_deleted = true;
                }
            }
            1 => {
                self.bench.send(Request::Delete(vec![group.clone()]));
                self.generations.remove(&group);
                self.leaders.retain(|(of, _), _| *of != group);
            }
            _ => {
                let topics = vec![("t".into(), vec![0])];
                self.bench.send(Request::DeleteOffsets(DeleteOffsetsRequest { group, topics }));
            }
        }
        self.note_records(before, refuses && self.bench.refusal.is_none());
    }

    /// The process dies; what was not durable may or may not be in the log.
    fn restart(&mut self) {
        self.bench.refusal = None;
        self.bench = self.bench.restarted(settings());
        self.bench.is_prompt = false;
        self.ahead.clear();
        self.leaders.clear();
        self.generations.clear();
        for client in &mut self.clients {
            client.waits_for = None;
            client.to_assign = None;
        }
    }

    /// What the log says is what memory holds.
    fn compare_with_log(&mut self) {
        let refusal = self.bench.refusal.take();
        self.bench.flush();
        self.bench.flush();
        self.hear();
        let restarted = self.bench.restarted(settings());
        for group in (0..GROUPS).map(|n| format!("g{n}")) {
            let live = self.bench.groups.groups.get(group.as_str());
            let read = restarted.groups.groups.get(group.as_str());
            let offsets = |group: Option<&Group>| {
                let all = group.iter().flat_map(|group| group.offsets.all_durable());
                all.map(|(topic, partition, committed)| (topic.to_owned(), partition, committed.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(offsets(live), offsets(read), "offsets of {group}");
            if !self.ahead.contains(&group) {
                check::same(live, read);
            }
        }
        self.bench.refusal = refusal;
    }

    /// Clients take their answers.
    fn hear(&mut self) {
        for (token, reply) in std::mem::take(&mut self.bench.replies) {
            let waits = |client: &Client| client.waits_for.as_ref().is_some_and(|(waits_for, _)| *waits_for == token);
            if let Some(n) = self.clients.iter().position(waits)
                && let Some((_, request)) = self.clients[n].waits_for.take()
            {
                self.learn(n, request, reply);
            }
        }
    }

    fn learn(&mut self, n: usize, request: Request, reply: Reply) {
        match (request, reply) {
            (_, Reply::Join(reply)) => self.learn_join(n, reply),
            (Request::Sync(asked), Reply::Sync(reply)) if reply.error == ErrorCode::None => {
                let place = format!("{}/{}", asked.generation, place_of(&asked.member));
                let was_left_out = reply.assignment.is_empty();
                assert!(was_left_out || reply.assignment == place, "{place} got {:?}", reply.assignment);
            }
            (_, Reply::Sync(reply)) => self.learn_error(n, reply.error),
            (_, Reply::Heartbeat(error)) => self.learn_error(n, error),
            (Request::Commit(asked), Reply::Commit(topics)) => {
                let (offset, error) = (asked.topics[0].partitions[0].offset.get(), topics[0].partitions[0].error);
                let known = self.offsets.entry(asked.group).or_default();
                match error {
                    ErrorCode::None => known.acknowledged = known.acknowledged.max(offset),
                    _ => assert!(known.refused.insert(offset)),
                }
            }
            (Request::Fetch(asked), Reply::Fetch(Ok(topics))) => {
                let offset = topics[0].partitions[0].offset.get();
                let known = self.offsets.entry(asked.group).or_default();
                assert!(!known.refused.contains(&offset), "a refused commit is read");
                assert!(known.is_deleted || offset >= known.acknowledged || offset == -1 && known.acknowledged == 0);
            }
            (Request::Leave(_), Reply::Leave(_)) => self.clients[n].member.clear(),
            (asked, other) => panic!("{asked:?} was answered with {other:?}"),
        }
    }

    fn learn_join(&mut self, n: usize, reply: JoinReply) {
        let client = &mut self.clients[n];
        match reply.error {
            ErrorCode::None => {
                let generation = self.generations.entry(client.group.clone()).or_insert(reply.generation);
                assert!(reply.generation >= *generation, "generations of {} run backwards", client.group);
                *generation = reply.generation;
                client.member = reply.member.clone();
                client.generation = reply.generation;
                client.to_assign = None;
                if !reply.members.is_empty() && !reply.skip_assignment {
                    let place = (client.group.clone(), reply.generation);
                    let leader = self.leaders.entry(place).or_insert_with(|| reply.member.clone());
                    assert_eq!(*leader, reply.member, "two leaders of generation {}", reply.generation);
                    client.to_assign = Some(reply.members.into_iter().map(|joined| joined.member).collect());
                }
            }
            ErrorCode::MemberIdRequired => client.member = reply.member,
            error => self.learn_error(n, error),
        }
    }

    fn learn_error(&mut self, n: usize, error: ErrorCode) {
        if matches!(error, ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) {
            self.clients[n].member.clear();
        }
    }
}

/// What stays the same when a static member comes back under a new id.
fn place_of(member: &str) -> &str {
    match member.rsplit_once('-') {
        Some((instance, _)) if instance.starts_with('i') => instance,
        _ => member,
    }
}
