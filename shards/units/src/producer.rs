use std::fmt;

/// Identity of an idempotent or transactional producer (KIP-98). −1 stands for "none" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProducerId(i64);

impl ProducerId {
    /// "Not idempotent" as Kafka writes it.
    pub const NONE: ProducerId = ProducerId(-1);

    /// An id from its number on the wire.
    pub const fn new(value: i64) -> ProducerId {
        ProducerId(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether a producer is named at all.
    pub const fn is_some(self) -> bool {
        self.0 >= 0
    }
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which incarnation of a producer id writes; an older one is fenced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// "None" as Kafka writes it.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);

    /// An epoch from its number on the wire.
    pub const fn new(value: i16) -> ProducerEpoch {
        ProducerEpoch(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i16 {
        self.0
    }
}

impl fmt::Display for ProducerEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's number within its producer's stream to one partition; wraps from `i32::MAX` to 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sequence(i32);

impl Sequence {
    /// "None" as Kafka writes it.
    pub const NONE: Sequence = Sequence(-1);

    /// A sequence from its number on the wire.
    pub const fn new(value: i32) -> Sequence {
        Sequence(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// The sequence `count` records later, wrapping past `i32::MAX` to 0 (`DefaultRecordBatch.incrementSequence`).
    pub const fn plus(self, count: i32) -> Sequence {
        if self.0 > i32::MAX - count { Sequence(count - (i32::MAX - self.0) - 1) } else { Sequence(self.0 + count) }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero() {
        assert_eq!(Sequence::new(i32::MAX).plus(1).get(), 0);
        assert_eq!(Sequence::new(i32::MAX - 1).plus(3).get(), 1);
        assert_eq!(Sequence::new(5).plus(3).get(), 8);
    }
}
