//! How many connections there are, and where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ottla_units::ShardId;

/// How many connections there are: on each shard, and from each address.
///
/// *Lives on: process. Only accepting, moving and closing touch it.*
pub(crate) struct Census {
    shards: Vec<AtomicUsize>,
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

impl Census {
    pub(crate) fn new(shards: usize) -> Census {
        Census { shards: (0..shards).map(|_| AtomicUsize::new(0)).collect(), addresses: Mutex::default() }
    }

    fn of(&self, shard: ShardId) -> usize {
        self.shards[shard.index()].load(Ordering::Relaxed)
    }

    /// Whether a connection may go from one shard to another: not to one that has more.
    pub(crate) fn may_move(&self, from: ShardId, to: ShardId) -> bool {
        self.of(to) <= self.of(from)
    }

    /// A connection went from one shard to another.
    pub(crate) fn moved(&self, from: ShardId, to: ShardId) {
        self.shards[to.index()].fetch_add(1, Ordering::Relaxed);
        self.shards[from.index()].fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> usize {
        self.shards.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn least_loaded(&self) -> ShardId {
        let least = self.shards.iter().enumerate().min_by_key(|(_, count)| count.load(Ordering::Relaxed));
        ShardId::new(least.map_or(0, |(index, _)| u16::try_from(index).unwrap_or(0)))
    }

    pub(crate) fn count_of(&self, address: IpAddr) -> usize {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn enter(&self, shard: ShardId, address: IpAddr) {
        self.shards[shard.index()].fetch_add(1, Ordering::Relaxed);
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_insert(0) += 1;
    }

    pub(crate) fn leave(&self, shard: ShardId, address: IpAddr) {
        self.shards[shard.index()].fetch_sub(1, Ordering::Relaxed);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }
}
