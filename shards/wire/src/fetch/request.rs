use bytes::{BufMut, BytesMut};
use ottla_units::{LeaderEpoch, Offset, PartitionIndex};

use super::{BY_ID, FLEXIBLE};
use crate::write::{put_length, put_no_tags, put_string, put_uvarint};
use crate::{Reader, Span, Topic, TopicRef, WireError};

/// A decoded Fetch request. It borrows nothing and keeps its vectors when decoded into again: one of them per
/// connection, and no allocation once they have grown. Spans are of the body it was decoded from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// The cluster that a follower believes to be in.
    pub cluster_id: Option<Span>,
    /// Which follower asks; −1 for a consumer.
    pub replica_id: i32,
    /// The follower's broker epoch; −1 if not given.
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes are worth answering before that.
    pub min_bytes: i32,
    /// How many bytes to answer at most; a first batch that is larger is answered whole.
    pub max_bytes: i32,
    /// 0: everything below the high watermark; 1: only what is committed.
    pub isolation_level: i8,
    /// The fetch session, 0 for none.
    pub session_id: i32,
    /// The request's number in the session; 0 opens one, −1 is for none.
    pub session_epoch: i32,
    /// The topics in the request's order. One may occur twice.
    pub topics: Vec<Topic>,
    /// All topics' partitions in the request's order. One may occur twice.
    pub partitions: Vec<FetchPartition>,
    /// Topics of the partitions to forget.
    pub forgotten_topics: Vec<Topic>,
    /// Partitions to remove from the session.
    pub forgotten: Vec<ForgottenPartition>,
    /// The consumer's rack; empty if not given.
    pub rack_id: Span,
}

/// What is wanted of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FetchPartition {
    /// Which of [`Fetch::topics`].
    pub topic: u32,
    /// Which partition of it.
    pub index: PartitionIndex,
    /// The leader's epoch as the client knows it; −1 if it does not.
    pub current_leader_epoch: LeaderEpoch,
    /// From where.
    pub fetch_offset: Offset,
    /// The epoch of the last record that the client has; −1 if it does not say.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where a follower's log starts; −1 from a consumer.
    pub log_start_offset: Offset,
    /// How many bytes at most; a first batch that is larger is answered whole.
    pub max_bytes: i32,
    /// The follower's directory; zero from a consumer.
    pub replica_directory: [u8; 16],
    /// The follower's high watermark; [`Offset::MAX`] if not given.
    pub high_watermark: Offset,
}

/// A partition to remove from the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForgottenPartition {
    /// Which of [`Fetch::forgotten_topics`].
    pub topic: u32,
    /// Which partition of it.
    pub index: PartitionIndex,
}

impl Default for Fetch {
    fn default() -> Fetch {
        Fetch {
            cluster_id: None,
            replica_id: -1,
            replica_epoch: -1,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            partitions: Vec::new(),
            forgotten_topics: Vec::new(),
            forgotten: Vec::new(),
            rack_id: Span::default(),
        }
    }
}

impl FetchPartition {
    /// What a plain consumer asks for: everything from `fetch_offset`, up to `max_bytes`.
    pub const fn from_consumer(index: PartitionIndex, fetch_offset: Offset, max_bytes: i32) -> FetchPartition {
        FetchPartition {
            topic: 0,
            index,
            current_leader_epoch: LeaderEpoch::NONE,
            fetch_offset,
            last_fetched_epoch: LeaderEpoch::NONE,
            log_start_offset: Offset::NONE,
            max_bytes,
            replica_directory: [0; 16],
            high_watermark: Offset::MAX,
        }
    }
}

impl Fetch {
    /// Decodes `body` (behind the header) into this, replacing what was there. On an error what is left is of no use.
    pub fn decode(&mut self, body: &[u8], version: i16) -> Result<(), WireError> {
        let mut decoding = self.decoding(body, version)?;
        while !decoding.advance(usize::MAX)? {}
        Ok(())
    }

    /// As [`Fetch::decode`], but in parts: a request may be for very many partitions.
    pub fn decoding<'f>(&'f mut self, body: &'f [u8], version: i16) -> Result<Decoding<'f>, WireError> {
        self.clear();
        let mut reader = Reader::new(body);
        self.read_limits(&mut reader, version)?;
        let topics = reader.count(version >= FLEXIBLE, 2)?;
        self.topics.reserve(topics);
        Ok(Decoding { fetch: self, reader, version, forgets: false, topics, partitions: 0, in_topic: false })
    }

    /// For how many topics and partitions, forgotten ones too, it has memory.
    pub fn capacity(&self) -> usize {
        let forgotten = self.forgotten_topics.capacity() + self.forgotten.capacity();
        self.topics.capacity() + self.partitions.capacity() + forgotten
    }

    fn clear(&mut self) {
        self.topics.clear();
        self.partitions.clear();
        self.forgotten_topics.clear();
        self.forgotten.clear();
        self.cluster_id = None;
        self.replica_id = -1;
        self.replica_epoch = -1;
        self.session_id = 0;
        self.session_epoch = -1;
        self.rack_id = Span::default();
    }

    fn read_limits(&mut self, reader: &mut Reader<'_>, version: i16) -> Result<(), WireError> {
        if version <= 14 {
            self.replica_id = reader.i32()?;
        }
        self.max_wait_ms = reader.i32()?;
        self.min_bytes = reader.i32()?;
        self.max_bytes = reader.i32()?;
        self.isolation_level = reader.i8()?;
        if version >= 7 {
            self.session_id = reader.i32()?;
            self.session_epoch = reader.i32()?;
        }
        Ok(())
    }

    fn read_tags(&mut self, reader: &mut Reader<'_>, version: i16) -> Result<(), WireError> {
        reader.tags(|tag, content| {
            match tag {
                0 => self.cluster_id = content.nullable_string(true)?,
                1 if version >= 15 => {
                    self.replica_id = content.i32()?;
                    self.replica_epoch = content.i64()?;
                    content.skip_tags(true)?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// A request that is being decoded, see [`Fetch::decoding`].
#[derive(Debug)]
pub struct Decoding<'f> {
    fetch: &'f mut Fetch,
    reader: Reader<'f>,
    version: i16,
    /// Whether it is the topics to forget that are read, which are behind the others.
    forgets: bool,
    /// How many are left.
    topics: usize,
    /// How many are left of the topic that is being read.
    partitions: usize,
    in_topic: bool,
}

impl Decoding<'_> {
    /// Decodes `count` more topics and partitions at most; says whether that was all.
    #[inline]
    pub fn advance(&mut self, mut count: usize) -> Result<bool, WireError> {
        loop {
            let some = self.partitions.min(count);
            self.read_partitions(some)?;
            count -= some;
            if count == 0 {
                return Ok(false);
            }
            self.end_topic()?;
            if self.topics > 0 {
                self.begin_topic()?;
                count -= 1;
            } else if self.version >= 7 && !self.forgets {
                self.forgets = true;
                self.topics = self.reader.count(self.version >= FLEXIBLE, 2)?;
            } else {
                return self.end();
            }
        }
    }

    #[inline]
    fn begin_topic(&mut self) -> Result<(), WireError> {
        let flexible = self.version >= FLEXIBLE;
        let topic = Topic::read(&mut self.reader, flexible, self.version < BY_ID)?;
        if self.forgets {
            self.fetch.forgotten_topics.push(topic);
            self.partitions = self.reader.count(flexible, 4)?;
            self.fetch.forgotten.reserve(self.partitions);
        } else {
            self.fetch.topics.push(topic);
            // Index, offset and size are in every version.
            self.partitions = self.reader.count(flexible, 4 + 8 + 4)?;
            self.fetch.partitions.reserve(self.partitions);
        }
        self.topics -= 1;
        self.in_topic = true;
        Ok(())
    }

    #[inline]
    fn read_partitions(&mut self, count: usize) -> Result<(), WireError> {
        if self.forgets {
            let topic = self.fetch.forgotten_topics.len().saturating_sub(1) as u32;
            for _ in 0..count {
                let index = PartitionIndex::new(self.reader.i32()?);
                self.fetch.forgotten.push(ForgottenPartition { topic, index });
            }
        } else {
            let topic = self.fetch.topics.len().saturating_sub(1) as u32;
            for _ in 0..count {
                let partition = FetchPartition::read(&mut self.reader, self.version, topic)?;
                self.fetch.partitions.push(partition);
            }
        }
        self.partitions -= count;
        Ok(())
    }

    #[inline]
    fn end_topic(&mut self) -> Result<(), WireError> {
        if std::mem::take(&mut self.in_topic) { self.reader.skip_tags(self.version >= FLEXIBLE) } else { Ok(()) }
    }

    fn end(&mut self) -> Result<bool, WireError> {
        let flexible = self.version >= FLEXIBLE;
        if self.version >= 11 {
            self.fetch.rack_id = self.reader.string(flexible)?;
        }
        if flexible {
            self.fetch.read_tags(&mut self.reader, self.version)?;
        }
        self.reader.finish().map(|()| true)
    }
}

impl FetchPartition {
    #[inline]
    fn read(reader: &mut Reader<'_>, version: i16, topic: u32) -> Result<FetchPartition, WireError> {
        let index = PartitionIndex::new(reader.i32()?);
        let mut partition = FetchPartition::from_consumer(index, Offset::ZERO, 0);
        partition.topic = topic;
        if version >= 9 {
            partition.current_leader_epoch = LeaderEpoch::new(reader.i32()?);
        }
        partition.fetch_offset = Offset::new(reader.i64()?);
        if version >= 12 {
            partition.last_fetched_epoch = LeaderEpoch::new(reader.i32()?);
        }
        if version >= 5 {
            partition.log_start_offset = Offset::new(reader.i64()?);
        }
        partition.max_bytes = reader.i32()?;
        if version >= FLEXIBLE {
            partition.read_tags(reader, version)?;
        }
        Ok(partition)
    }

    #[inline]
    fn read_tags(&mut self, reader: &mut Reader<'_>, version: i16) -> Result<(), WireError> {
        reader.tags(|tag, content| {
            match tag {
                0 if version >= 17 => self.replica_directory = content.topic_id()?.to_bytes(),
                1 if version >= 18 => self.high_watermark = Offset::new(content.i64()?),
                _ => return Ok(false),
            }
            Ok(true)
        })
    }
}

/// Writes a Fetch request's body, for clients and followers. Topics and partitions are announced by count before they are
/// written.
#[derive(Debug)]
pub struct RequestWriter<'o> {
    out: &'o mut BytesMut,
    version: i16,
    in_topic: bool,
    replica: Option<(i32, i64)>,
}

impl<'o> RequestWriter<'o> {
    /// Starts the body of a request for `topics` topics. Of `limits` the scalar fields are taken.
    pub fn begin(out: &'o mut BytesMut, version: i16, limits: &Fetch, topics: usize) -> RequestWriter<'o> {
        if version <= 14 {
            out.put_i32(limits.replica_id);
        }
        out.put_i32(limits.max_wait_ms);
        out.put_i32(limits.min_bytes);
        out.put_i32(limits.max_bytes);
        out.put_i8(limits.isolation_level);
        if version >= 7 {
            out.put_i32(limits.session_id);
            out.put_i32(limits.session_epoch);
        }
        put_length(out, version >= FLEXIBLE, topics);
        let replica = (limits.replica_id >= 0).then_some((limits.replica_id, limits.replica_epoch));
        RequestWriter { out, version, in_topic: false, replica }
    }

    /// Starts the next topic, of which `partitions` partitions follow.
    pub fn topic(&mut self, topic: TopicRef<'_>, partitions: usize) {
        self.end_topic();
        topic.write(self.out, self.version >= FLEXIBLE, self.version < BY_ID);
        put_length(self.out, self.version >= FLEXIBLE, partitions);
        self.in_topic = true;
    }

    /// Writes the next partition of the topic; its `topic` field is not looked at.
    pub fn partition(&mut self, partition: &FetchPartition) {
        self.out.put_i32(partition.index.get());
        if self.version >= 9 {
            self.out.put_i32(partition.current_leader_epoch.get());
        }
        self.out.put_i64(partition.fetch_offset.get());
        if self.version >= 12 {
            self.out.put_i32(partition.last_fetched_epoch.get());
        }
        if self.version >= 5 {
            self.out.put_i64(partition.log_start_offset.get());
        }
        self.out.put_i32(partition.max_bytes);
        if self.version >= FLEXIBLE {
            self.partition_tags(partition);
        }
    }

    fn partition_tags(&mut self, partition: &FetchPartition) {
        let directory = self.version >= 17 && partition.replica_directory != [0; 16];
        let watermark = self.version >= 18 && partition.high_watermark != Offset::MAX;
        put_uvarint(self.out, u32::from(directory) + u32::from(watermark));
        if directory {
            self.out.put_slice(&[0, 16]);
            self.out.put_slice(&partition.replica_directory);
        }
        if watermark {
            self.out.put_slice(&[1, 8]);
            self.out.put_i64(partition.high_watermark.get());
        }
    }

    /// Ends the body; `forgotten` are the partitions to remove from the session, by topic.
    pub fn finish(mut self, forgotten: &[(TopicRef<'_>, &[PartitionIndex])], rack_id: &str) {
        self.end_topic();
        if self.version >= 7 {
            self.forgotten(forgotten);
        }
        let flexible = self.version >= FLEXIBLE;
        if self.version >= 11 {
            put_string(self.out, flexible, rack_id);
        }
        match self.replica {
            Some((id, epoch)) if self.version >= 15 => {
                self.out.put_slice(&[1, 1, 4 + 8 + 1]);
                self.out.put_i32(id);
                self.out.put_i64(epoch);
                self.out.put_u8(0);
            }
            _ => put_no_tags(self.out, flexible),
        }
    }

    fn forgotten(&mut self, forgotten: &[(TopicRef<'_>, &[PartitionIndex])]) {
        let flexible = self.version >= FLEXIBLE;
        put_length(self.out, flexible, forgotten.len());
        for (topic, partitions) in forgotten {
            topic.write(self.out, flexible, self.version < BY_ID);
            put_length(self.out, flexible, partitions.len());
            for partition in *partitions {
                self.out.put_i32(partition.get());
            }
            put_no_tags(self.out, flexible);
        }
    }

    fn end_topic(&mut self) {
        put_no_tags(self.out, self.in_topic && self.version >= FLEXIBLE);
    }
}
