use std::fmt;

/// The place of a record in its partition: 0, 1, 2 … without gaps until compaction. −1 stands for "none" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of a new partition.
    pub const ZERO: Offset = Offset(0);
    /// "No offset" as Kafka writes it.
    pub const NONE: Offset = Offset(-1);
    /// The largest offset there can be.
    pub const MAX: Offset = Offset(i64::MAX);

    /// An offset from its number on the wire.
    pub const fn new(value: i64) -> Offset {
        Offset(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The offset `count` records later; saturates at [`Offset::MAX`].
    pub const fn plus(self, count: i64) -> Offset {
        Offset(self.0.saturating_add(count))
    }

    /// How many offsets lie from `earlier` up to this one; negative when `earlier` is later.
    pub const fn since(self, earlier: Offset) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which leadership of a partition wrote a batch (KIP-101). −1 stands for "unknown" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// The epoch of a partition's first leader.
    pub const ZERO: LeaderEpoch = LeaderEpoch(0);
    /// "Unknown" as Kafka writes it.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    /// An epoch from its number on the wire.
    pub const fn new(value: i32) -> LeaderEpoch {
        LeaderEpoch(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01 UTC. −1 stands for "none" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// "No timestamp" as Kafka writes it.
    pub const NONE: Timestamp = Timestamp(-1);

    /// A time from its milliseconds.
    pub const fn new(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// Its milliseconds.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The time `millis` later; saturates.
    pub const fn plus(self, millis: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` up to this time; negative when `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition's number within its topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PartitionIndex(i32);

impl PartitionIndex {
    /// A partition from its number on the wire.
    pub const fn new(value: i32) -> PartitionIndex {
        PartitionIndex(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for PartitionIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The letters of URL-safe base64 (RFC 4648, section 5).
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A topic's identity (KIP-516): a topic deleted and made again under its old name has another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId([u8; 16]);

impl TopicId {
    /// "No topic id" as Kafka writes it.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// An id from its bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> TopicId {
        TopicId(bytes)
    }

    /// Its bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// From how Kafka prints it: 22 letters of URL-safe base64.
    pub fn parse(text: &str) -> Option<TopicId> {
        let letters = text.as_bytes();
        if letters.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (place, letter) in letters.iter().enumerate() {
            let value = URL_SAFE.iter().position(|known| known == letter)? as u128;
            // The last letter has four bits more than are left.
            bits = if place < 21 { bits << 6 | value } else { bits << 2 | value >> 4 };
        }
        Some(TopicId(bits.to_be_bytes()))
    }

    /// Whether it is the id that stands for none.
    pub fn is_zero(self) -> bool {
        self == TopicId::ZERO
    }
}

/// Kafka prints ids as 22 characters of URL-safe base64 without padding (`org.apache.kafka.common.Uuid`).
impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for i in 0..22 {
            // 21 groups of six bits from the top, then the last two bits padded with zeros.
            let index = if i < 21 { (bits >> (122 - 6 * i)) & 63 } else { (bits << 4) & 63 };
            write!(f, "{}", char::from(URL_SAFE[index as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicId({self})")
    }
}

/// One partition of one topic, by the topic's identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Which of its partitions.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// Names partition `partition` of `topic`.
    pub const fn new(topic: TopicId, partition: PartitionIndex) -> TopicPartition {
        TopicPartition { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_id_prints_as_kafka_does() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId::from_bytes([0xff; 16]).to_string(), "_____________________w");
        // org.apache.kafka.common.Uuid.ONE_UUID
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(TopicId::from_bytes(one).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn offset_arithmetic_saturates() {
        assert_eq!(Offset::MAX.plus(1), Offset::MAX);
        assert_eq!(Offset::new(7).since(Offset::new(3)), 4);
    }
}
