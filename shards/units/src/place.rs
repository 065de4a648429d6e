use std::fmt;

/// A broker's `node.id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BrokerId(i32);

impl BrokerId {
    /// A broker from its number on the wire.
    pub const fn new(value: i32) -> BrokerId {
        BrokerId(value)
    }

    /// The number on the wire.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of this process's shards, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard with this number.
    pub const fn new(value: u16) -> ShardId {
        ShardId(value)
    }

    /// Its number, as an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
