//! OffsetCommit and OffsetFetch, as `OffsetMetadataManager` decides them.

use ottla_units::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicId};

use crate::effect::{FetchedOffset, FetchedTopic, PartitionResult, Reply, TopicResult};
use crate::event::{CommitRequest, CommitTopic, FetchRequest, FetchTopic, OffsetToCommit, Token};
use crate::group::{Group, State};
use crate::groups::{Groups, Turn};
use crate::limits::{GROUPS_PER_PARTITION_MAX, NAME_BYTES_MAX, OFFSETS_PER_GROUP_MAX};
use crate::offsets::Committed;
use crate::records::offset_record;

impl Groups {
    pub(crate) fn commit(&mut self, token: Token, request: CommitRequest) {
        if let Err(error) = self.check_commit(&request) {
            return self.reply(token, Reply::Commit(request.all(error)));
        }
        if !self.has_room_for(request.bytes()) {
            return self.reply(token, Reply::Commit(request.all(ErrorCode::CoordinatorNotAvailable)));
        }
        if !self.groups.contains_key(request.group.as_str()) {
            // A consumer without membership keeps its offsets in a group of no members.
            self.create(&request.group);
        }
        if let Some((group, mut turn)) = self.group(&request.group) {
            let outcome = group.commit(&mut turn, &request);
            turn.reply_when_durable(token, Reply::Commit(outcome));
        }
    }

    fn check_commit(&self, request: &CommitRequest) -> Result<(), ErrorCode> {
        match self.groups.get(request.group.as_str()) {
            Some(group) => group.check_commit(request),
            None if request.generation < 0 && self.groups.len() < GROUPS_PER_PARTITION_MAX => Ok(()),
            None if request.generation < 0 => Err(ErrorCode::InvalidCommitOffsetSize),
            None if request.tells_unknown_group => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    pub(crate) fn fetch(&mut self, token: Token, request: &FetchRequest) {
        let group = self.groups.get(request.group.as_str());
        let topics = match &request.topics {
            Some(topics) => topics.iter().map(|topic| fetch_topic(group, topic, request.require_stable)).collect(),
            None => group.map(|group| group.fetch_all(request.require_stable)).unwrap_or_default(),
        };
        let reply = Reply::Fetch(Ok(topics));
        if request.require_stable {
            self.turn().reply_when_durable(token, reply);
        } else {
            self.reply(token, reply);
        }
    }
}

impl Group {
    fn check_commit(&self, request: &CommitRequest) -> Result<(), ErrorCode> {
        if request.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if request.generation < 0 && request.member.is_empty() && request.instance.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member, request.instance.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            // It knows the new generation but not yet what it is to read in it.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    fn commit(&mut self, turn: &mut Turn<'_>, request: &CommitRequest) -> Vec<TopicResult> {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.renew_session(turn, &request.member);
        }
        let expires_at = match request.retention_ms {
            kept if kept < 0 => Timestamp::NONE,
            kept => turn.now.wall.plus(kept),
        };
        request.topics.iter().map(|topic| self.commit_topic(turn, topic, expires_at)).collect()
    }

    fn commit_topic(&mut self, turn: &mut Turn<'_>, topic: &CommitTopic, expires_at: Timestamp) -> TopicResult {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for to_commit in &topic.partitions {
            let error = self.check_offset(turn, topic, to_commit);
            if !error.is_error() {
                let committed = Committed {
                    offset: to_commit.offset,
                    leader_epoch: to_commit.leader_epoch,
                    metadata: to_commit.metadata.as_deref().unwrap_or_default().into(),
                    committed_at: turn.now.wall,
                    expires_at,
                    topic_id: topic.id,
                };
                self.write_offset(turn, &topic.name, to_commit.partition, Some(committed));
            }
            partitions.push(PartitionResult { partition: to_commit.partition, error });
        }
        TopicResult { name: topic.name.clone(), id: topic.id, partitions }
    }

    fn check_offset(&self, turn: &Turn<'_>, topic: &CommitTopic, to_commit: &OffsetToCommit) -> ErrorCode {
        let note = to_commit.metadata.as_deref().unwrap_or_default();
        let max = turn.settings.offset_metadata_max;
        if note.len() > NAME_BYTES_MAX || (note.len() > max && note.encode_utf16().count() > max) {
            return ErrorCode::OffsetMetadataTooLarge;
        }
        let is_new = || self.offsets.latest(&topic.name, to_commit.partition).is_none();
        if self.offsets.len() >= OFFSETS_PER_GROUP_MAX && is_new() {
            return ErrorCode::InvalidCommitOffsetSize;
        }
        ErrorCode::None
    }

    /// Appends an offset, or its tombstone.
    pub(crate) fn write_offset(&mut self, turn: &mut Turn<'_>, topic: &str, p: i32, committed: Option<Committed>) {
        turn.record(offset_record(&self.id, topic, p, committed.as_ref()));
        turn.wrote_offset(&self.id, topic, p);
        self.offsets.write(topic, p, turn.append, committed);
    }

    /// Everything committed. What was committed since is included when the answer waits for it anyway.
    fn fetch_all(&self, latest: bool) -> Vec<FetchedTopic> {
        let mut topics: Vec<FetchedTopic> = Vec::new();
        let mut add = |(name, partition, committed): (&str, i32, &Committed)| {
            if topics.last().is_none_or(|last| last.name != name || last.id != committed.topic_id) {
                topics.push(FetchedTopic { name: name.to_owned(), id: committed.topic_id, partitions: Vec::new() });
            }
            if let Some(last) = topics.last_mut() {
                last.partitions.push(fetched(partition, Some(committed)));
            }
        };
        if latest {
            self.offsets.all_latest().for_each(&mut add);
        } else {
            self.offsets.all_durable().for_each(&mut add);
        }
        topics
    }
}

fn fetch_topic(group: Option<&Group>, topic: &FetchTopic, latest: bool) -> FetchedTopic {
    let offset = |partition: &i32| {
        let offsets = group.map(|group| &group.offsets);
        let committed = offsets.and_then(|offsets| {
            if latest { offsets.latest(&topic.name, *partition) } else { offsets.durable(&topic.name, *partition) }
        });
        fetched(*partition, committed.filter(|committed| is_same_topic(committed.topic_id, topic.id)))
    };
    FetchedTopic { name: topic.name.clone(), id: topic.id, partitions: topic.partitions.iter().map(offset).collect() }
}

/// Whether two topic ids may mean the same topic: an unknown one may.
fn is_same_topic(one: TopicId, other: TopicId) -> bool {
    one == other || one.is_zero() || other.is_zero()
}

fn fetched(partition: i32, committed: Option<&Committed>) -> FetchedOffset {
    FetchedOffset {
        partition,
        offset: committed.map_or(Offset::NONE, |committed| committed.offset),
        leader_epoch: committed.map_or(LeaderEpoch::NONE, |committed| committed.leader_epoch),
        metadata: committed.map_or_else(String::new, |committed| committed.metadata.to_string()),
    }
}
