//! Fetch sessions (KIP-227): what a consumer fetches is remembered, so that it sends and gets only what changes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_units::{Offset, PartitionIndex, ShardId, TopicId};
use ottla_wire::fetch::FetchPartition;

/// A session that was not used for so long gives way to a new one (`FetchSession.scala`).
const EVICT_AFTER: Duration = Duration::from_secs(120);

/// Bytes that the sessions of one shard may take together: some 250,000 partitions. Kafka bounds only the number of sessions.
const BYTES_MAX: usize = 32 << 20;

/// A partition of a session, or of a fetch without one.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The topic's name; empty where it was named by id.
    pub(crate) name: Arc<str>,
    /// The topic's id; zero where it was named by name.
    pub(crate) id: TopicId,
    pub(crate) asked: FetchPartition,
    /// What the last answer said; `None` before the first.
    pub(crate) told: Option<Told>,
}

/// What a client was told of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) high_watermark: Offset,
    pub(crate) last_stable: Offset,
    pub(crate) log_start: Offset,
}

impl Wanted {
    /// About what it takes; a name that several share is counted for each.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Wanted>() + self.name.len()
    }

    /// How requests name it.
    pub(crate) fn name(&self) -> (&str, TopicId, PartitionIndex) {
        (&self.name, self.id, self.asked.index)
    }

    /// Whether both are of one topic.
    pub(crate) fn is_beside(&self, other: &Wanted) -> bool {
        self.id == other.id && (Arc::ptr_eq(&self.name, &other.name) || self.name == other.name)
    }
}

/// What one client fetches again and again.
pub(crate) struct Session {
    /// The epoch that the next request must have.
    pub(crate) epoch: i32,
    /// Whether topics are named by id.
    pub(crate) by_id: bool,
    /// In the order in which they are served.
    pub(crate) wanted: Vec<Wanted>,
    /// About what `wanted` takes.
    pub(crate) bytes: usize,
    last_used: Instant,
}

impl Session {
    /// A new one, for partitions that take `bytes`.
    pub(crate) fn new(by_id: bool, wanted: Vec<Wanted>, bytes: usize, now: Instant) -> Session {
        Session { epoch: 1, by_id, wanted, bytes, last_used: now }
    }
}

/// The sessions that were opened on this shard.
///
/// *Lives on:* each shard.
pub(crate) struct Sessions {
    shard: ShardId,
    open: RefCell<HashMap<i32, Session>>,
    /// What they take together, those under way left out.
    bytes: Cell<usize>,
    random: Cell<u64>,
}

impl Sessions {
    pub(crate) fn new(shard: ShardId) -> Sessions {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0 | 1;
        Sessions {
            shard,
            open: RefCell::default(),
            bytes: Cell::new(0),
            random: Cell::new(seed ^ shard.index() as u64),
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// The shard of a session by its number, among `shards`.
    pub(crate) fn shard_of(session: i32, shards: usize) -> usize {
        session.unsigned_abs() as usize % shards.max(1)
    }

    /// The number of a new session that takes `bytes`, if there is room for it among `max`; 0 for none. It is opened by
    /// [`Sessions::put`].
    pub(crate) fn admit(&self, bytes: usize, max: usize, shards: usize) -> i32 {
        if self.is_full(bytes, max) {
            return 0;
        }
        loop {
            let id = self.number(shards);
            if id != 0 && !self.open.borrow().contains_key(&id) {
                return id;
            }
        }
    }

    fn is_full(&self, bytes: usize, max: usize) -> bool {
        self.len() >= max || self.bytes.get() + bytes > BYTES_MAX
    }

    /// Where there is no room for a new session that takes `bytes`: takes out the one that was used least recently, if that
    /// was long ago.
    pub(crate) fn evict(&self, bytes: usize, now: Instant, max: usize) -> Option<Session> {
        if !self.is_full(bytes, max) {
            return None;
        }
        let oldest = {
            let open = self.open.borrow();
            open.iter().min_by_key(|(_, session)| session.last_used).map(|(id, session)| (*id, session.last_used))
        };
        let (id, used) = oldest?;
        if now.duration_since(used) > EVICT_AFTER { self.take(id) } else { None }
    }

    /// A number that leads back to this shard.
    fn number(&self, shards: usize) -> i32 {
        let mut x = self.random.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random.set(x);
        let shards = shards.max(1) as u64;
        let base = (x >> 33) / shards * shards + self.shard.index() as u64;
        i32::try_from(base).unwrap_or(0)
    }

    /// Takes a session out, while its fetch runs or for good.
    pub(crate) fn take(&self, id: i32) -> Option<Session> {
        let session = self.open.borrow_mut().remove(&id)?;
        self.bytes.set(self.bytes.get() - session.bytes);
        Some(session)
    }

    /// Puts a session in, or back. One that has grown beyond what there is room for is given back: its client will open
    /// another.
    pub(crate) fn put(&self, id: i32, mut session: Session, now: Instant) -> Option<Session> {
        session.last_used = now;
        // Another that was given the same number while this one was out.
        let other = self.take(id);
        if self.bytes.get() + session.bytes > BYTES_MAX {
            return Some(session);
        }
        self.bytes.set(self.bytes.get() + session.bytes);
        self.open.borrow_mut().insert(id, session);
        other
    }

    /// Whether the number is that of an open session, and its epoch.
    pub(crate) fn epoch(&self, id: i32) -> Option<i32> {
        self.open.borrow().get(&id).map(|session| session.epoch)
    }
}
