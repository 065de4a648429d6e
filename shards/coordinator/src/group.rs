use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use ottla_units::{ErrorCode, Timestamp};

use crate::effect::{JoinReply, JoinedMember};
use crate::event::{Protocol, Token};
use crate::member::Member;
use crate::offsets::Offsets;
use crate::place::java_hash;
use crate::records::{GroupValue, MemberValue};
use crate::subscription::subscribed_topics;
use crate::timers::TimerId;

/// The protocol type of Kafka's consumers (`ConsumerProtocol.PROTOCOL_TYPE`): the only one whose bytes a broker reads.
pub(crate) const CONSUMER: &str = "consumer";

/// Where a group stands (`ClassicGroupState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// No members; offsets perhaps.
    Empty,
    /// Members are called to join the next generation.
    PreparingRebalance,
    /// All have joined; the leader assigns.
    CompletingRebalance,
    /// All are assigned.
    Stable,
}

impl State {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

/// How the join phase under way ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JoinPhase {
    /// The group was empty: more members may come. What is left of the time, in milliseconds.
    Initial { delay: u64, remaining: u64 },
    /// Known members are called; late ones are left behind.
    Rebalance,
}

/// One group: its members, its generation, its offsets.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: Rc<str>,
    pub(crate) state: State,
    /// The state before; an initial rebalance comes from `Empty`.
    pub(crate) previous: State,
    /// When it came into its state; −1 unknown.
    pub(crate) since: Timestamp,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) generation: i32,
    pub(crate) leader: Option<Rc<str>>,
    pub(crate) members: BTreeMap<Rc<str>, Member>,
    /// Static members: instance id to member id.
    pub(crate) instances: BTreeMap<String, Rc<str>>,
    /// Ids given out whose members have not joined with them yet.
    pub(crate) pending_joins: BTreeMap<Rc<str>, Option<TimerId>>,
    /// Members of this generation that have not asked for their assignment yet.
    pub(crate) pending_syncs: BTreeSet<Rc<str>>,
    /// How many members know each protocol.
    supported: BTreeMap<String, usize>,
    /// What the members read, if they are consumers and said so legibly.
    pub(crate) subscribed: Option<BTreeSet<String>>,
    /// Members whose JoinGroup is held.
    joining: usize,
    /// Someone came during the initial delay.
    pub(crate) newcomer: bool,
    pub(crate) join_phase: JoinPhase,
    pub(crate) join_timer: Option<TimerId>,
    pub(crate) sync_timer: Option<TimerId>,
    pub(crate) offsets: Offsets,
}

impl Group {
    /// An empty group.
    pub(crate) fn new(id: &str, since: Timestamp) -> Group {
        Group {
            id: id.into(),
            state: State::Empty,
            previous: State::Empty,
            since,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            instances: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            supported: BTreeMap::new(),
            subscribed: None,
            joining: 0,
            newcomer: false,
            join_phase: JoinPhase::Rebalance,
            join_timer: None,
            sync_timer: None,
            offsets: Offsets::default(),
        }
    }

    pub(crate) fn enter(&mut self, state: State, now: Timestamp) {
        self.previous = self.state;
        self.state = state;
        self.since = now;
    }

    pub(crate) fn is_consumer(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    pub(crate) fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    pub(crate) fn leader_name(&self) -> String {
        self.leader.as_deref().unwrap_or_default().to_owned()
    }

    /// Whether `topic` may be read by the members now. Consumers whose subscription is illegible might read anything.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.subscribed.as_ref().map_or(self.is_consumer(), |topics| topics.contains(topic))
    }

    /// Refuses who is not a member, or is a static member that another one has replaced.
    pub(crate) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if **current != *member => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Whether someone of this type, knowing these protocols, fits in.
    pub(crate) fn fits(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.everyone_knows(&protocol.name))
    }

    fn everyone_knows(&self, protocol: &str) -> bool {
        self.supported.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Takes a member in. The first one sets the group's type and leads it.
    pub(crate) fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), Rc::clone(&member.id));
        }
        if self.leader.is_none() {
            self.leader = Some(Rc::clone(&member.id));
        }
        self.count_protocols(&member.protocols);
        self.joining += usize::from(member.joining.is_some());
        self.members.insert(Rc::clone(&member.id), member);
    }

    /// Lets a member go; the caller has answered what it waits for and stopped its session.
    pub(crate) fn take(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.discount_protocols(&member.protocols);
        self.joining -= usize::from(member.joining.is_some());
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_syncs.remove(id);
        Some(member)
    }

    /// Gives a static member's place, with its assignment, to a new member id. The session stops with the old id.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        let Some(mut member) = self.members.remove(old) else { return };
        let id: Rc<str> = new.into();
        member.id = Rc::clone(&id);
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), Rc::clone(&id));
        }
        if self.is_leader(old) {
            self.leader = Some(Rc::clone(&id));
        }
        if self.pending_syncs.remove(old) {
            self.pending_syncs.insert(Rc::clone(&id));
        }
        self.members.insert(id, member);
    }

    /// Replaces what a member said about itself.
    pub(crate) fn update(&mut self, id: &str, protocols: Vec<Protocol>, rebalance_ms: i32, session_ms: i32) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.rebalance_timeout_ms = rebalance_ms;
        member.session_timeout_ms = session_ms;
        let before = std::mem::replace(&mut member.protocols, protocols.clone());
        self.discount_protocols(&before);
        self.count_protocols(&protocols);
    }

    /// Holds a member's JoinGroup; one that was held before comes back.
    pub(crate) fn hold_join(&mut self, id: &str, token: Token) -> Option<Token> {
        let before = self.members.get_mut(id)?.joining.replace(token);
        self.joining += usize::from(before.is_none());
        before
    }

    /// Gives back a member's held JoinGroup.
    pub(crate) fn release_join(&mut self, id: &str) -> Option<Token> {
        let token = self.members.get_mut(id)?.joining.take()?;
        self.joining -= 1;
        Some(token)
    }

    /// Members whose JoinGroup is held.
    pub(crate) fn joining(&self) -> usize {
        self.joining
    }

    pub(crate) fn has_everyone_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending_joins.is_empty()
    }

    /// The longest that any member may take to rejoin, in milliseconds.
    pub(crate) fn rebalance_timeout_ms(&self) -> u64 {
        self.members.values().map(|member| member.rebalance_timeout_ms.max(0) as u64).max().unwrap_or(0)
    }

    /// Makes sure that a leader is among those who have joined. `false`: nobody has.
    pub(crate) fn elect(&mut self) -> bool {
        let has_joined = |member: &Member| member.joining.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_none_or(|leader| !has_joined(leader)) {
            let Some(next) = self.members.values().find(|member| has_joined(member)) else { return false };
            self.leader = Some(Rc::clone(&next.id));
        }
        true
    }

    /// The protocol that most members prefer among those that all know. Ties go as in Kafka, which takes the first in
    /// the order of a Java hash table.
    pub(crate) fn vote(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(choice) = member.vote(|protocol| self.everyone_knows(protocol)) {
                *votes.entry(choice).or_default() += 1;
            }
        }
        let most = votes.values().copied().max()?;
        // A table of 16 that doubles when it is more than three quarters full.
        let buckets = (votes.len() * 4).div_ceil(3).next_power_of_two().max(16);
        let bucket = |name: &str| {
            let hash = java_hash(name) as u32;
            (hash ^ (hash >> 16)) as usize & (buckets - 1)
        };
        let favourites = votes.into_iter().filter(|(_, count)| *count == most);
        favourites.map(|(name, _)| name).min_by_key(|name| bucket(name)).map(str::to_owned)
    }

    /// Begins the next generation with those who are members now.
    pub(crate) fn begin_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.vote();
        self.subscribed = self.compute_subscribed();
        let next = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.enter(next, now);
        self.pending_syncs.clear();
    }

    pub(crate) fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer() {
            return None;
        }
        let mut all = BTreeSet::new();
        if self.members.is_empty() {
            return Some(all);
        }
        let protocol = self.protocol.as_ref()?;
        for member in self.members.values() {
            all.append(&mut subscribed_topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    /// What the leader is told.
    pub(crate) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let joined = |member: &Member| JoinedMember {
            member: member.id.to_string(),
            instance: member.instance.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.values().map(joined).collect()
    }

    /// The generation as `member` is told of it.
    pub(crate) fn join_reply(&self, member: &str) -> JoinReply {
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader_name(),
            skip_assignment: false,
            member: member.to_owned(),
            members: if self.is_leader(member) { self.joined_members() } else { Vec::new() },
        }
    }

    /// The group as its record says it, with these assignments.
    pub(crate) fn value(&self, assignment: impl Fn(&Member) -> Bytes) -> GroupValue {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let member = |member: &Member| MemberValue {
            member: member.id.to_string(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: assignment(member),
        };
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map(str::to_owned),
            state_since: self.since,
            members: self.members.values().map(member).collect(),
        }
    }

    fn count_protocols(&mut self, protocols: &[Protocol]) {
        for protocol in distinct(protocols) {
            *self.supported.entry(protocol.to_owned()).or_default() += 1;
        }
    }

    fn discount_protocols(&mut self, protocols: &[Protocol]) {
        for protocol in distinct(protocols) {
            if let Some(count) = self.supported.get_mut(protocol) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(protocol);
                }
            }
        }
    }
}

/// Names in a list of protocols, each once however often a client repeats it.
fn distinct(protocols: &[Protocol]) -> BTreeSet<&str> {
    protocols.iter().map(|protocol| protocol.name.as_str()).collect()
}
