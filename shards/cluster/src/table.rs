//! A hash table that is cheap to clone and cheap to change after cloning: 256 buckets, each shared until it is written.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;

const BUCKETS: usize = 256;

/// Says in which of the buckets a key lies. The choice needs no strength: a bucket is itself a seeded hash table.
pub(crate) trait Spread {
    fn bucket(&self) -> u8;
}

impl Spread for str {
    fn bucket(&self) -> u8 {
        // FNV-1a over the bytes.
        let hash = self.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        (hash ^ (hash >> 16)) as u8
    }
}

impl Spread for Arc<str> {
    fn bucket(&self) -> u8 {
        (**self).bucket()
    }
}

impl Spread for ottla_units::TopicId {
    fn bucket(&self) -> u8 {
        self.to_bytes().iter().fold(0, |h, b| h ^ b)
    }
}

/// Hashes topic ids, alone or with a partition. Those in a table were made by this cluster and are random already; a client can
/// only ask for others.
pub type ById = BuildHasherDefault<IdHasher>;

/// See [`ById`].
#[derive(Clone, Copy, Default, Debug)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(u64::from(number.cast_unsigned()));
    }

    fn write_usize(&mut self, word: usize) {
        // The length before the bytes, the same for every id.
        self.write_u64(word as u64);
    }
}

type Bucket<K, V, S> = Arc<HashMap<K, V, S>>;

#[derive(Clone, Debug)]
pub(crate) struct Table<K, V, S = RandomState> {
    buckets: Box<[Bucket<K, V, S>]>,
    len: usize,
}

impl<K, V, S: Default> Default for Table<K, V, S> {
    fn default() -> Self {
        let empty: Bucket<K, V, S> = Arc::new(HashMap::default());
        Table { buckets: vec![empty; BUCKETS].into_boxed_slice(), len: 0 }
    }
}

impl<K: Spread + Eq + Hash + Clone, V: Clone, S: BuildHasher + Clone> Table<K, V, S> {
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Spread + Eq + Hash + ?Sized,
    {
        self.buckets[usize::from(key.bucket())].get(key)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let bucket = Arc::make_mut(&mut self.buckets[usize::from(key.bucket())]);
        if bucket.insert(key, value).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Spread + Eq + Hash + ?Sized,
    {
        let shared = &mut self.buckets[usize::from(key.bucket())];
        if !shared.contains_key(key) {
            return None;
        }
        self.len -= 1;
        Arc::make_mut(shared).remove(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.buckets.iter().flat_map(|bucket| bucket.iter())
    }

    /// The pairs of buckets (old, new) that are not one and the same.
    pub(crate) fn changed<'a>(
        &'a self,
        newer: &'a Table<K, V, S>,
    ) -> impl Iterator<Item = (&'a HashMap<K, V, S>, &'a HashMap<K, V, S>)> {
        let pairs = self.buckets.iter().zip(newer.buckets.iter());
        pairs.filter(|(old, new)| !Arc::ptr_eq(old, new)).map(|(old, new)| (&**old, &**new))
    }
}

impl<K: Spread + Eq + Hash + Clone, V: Clone + PartialEq, S: BuildHasher + Clone> PartialEq for Table<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.changed(other).all(|(a, b)| a == b)
    }
}
