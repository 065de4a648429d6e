//! Topics: how many partitions they have, and the next offset of each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_units::ErrorCode;
use ottla_units::limits::{PARTITIONS_PER_SHARD_MAX, TOPIC_NAME_BYTES_MAX};

/// The next offset of each partition.
pub(super) type Partitions = Arc<[AtomicI64]>;
pub(super) type List = HashMap<String, Partitions>;

/// *Lives on:* the process. *Talks by:* a lock, taken only when topics come and go.
#[derive(Default)]
pub(super) struct Topics {
    /// Goes up with each change.
    changes: AtomicU64,
    list: Mutex<Arc<List>>,
}

impl Topics {
    fn list(&self) -> MutexGuard<'_, Arc<List>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut List) -> ErrorCode) -> ErrorCode {
        let mut list = self.list();
        let code = change(Arc::make_mut(&mut list));
        self.changes.fetch_add(1, Ordering::Release);
        code
    }

    /// Makes a topic.
    pub(super) fn create(&self, name: &str, partitions: i32) -> ErrorCode {
        // -1 is Kafka's "as configured".
        let count = usize::try_from(if partitions == -1 { 1 } else { partitions }).unwrap_or(0);
        self.change(|list| {
            let all: usize = list.values().map(|partitions| partitions.len()).sum();
            if list.contains_key(name) {
                return ErrorCode::TopicAlreadyExists;
            }
            if name.is_empty() || name.len() > TOPIC_NAME_BYTES_MAX {
                return ErrorCode::InvalidTopicException;
            }
            if count == 0 || count > PARTITIONS_PER_SHARD_MAX.saturating_sub(all) {
                return ErrorCode::InvalidPartitions;
            }
            list.insert(name.to_owned(), (0..count).map(|_| AtomicI64::new(0)).collect());
            ErrorCode::None
        })
    }

    /// Forgets a topic.
    pub(super) fn delete(&self, name: &str) -> ErrorCode {
        self.change(|list| match list.remove(name) {
            Some(_) => ErrorCode::None,
            None => ErrorCode::UnknownTopicOrPartition,
        })
    }
}

/// Topics as one shard knows them: looked up without a lock. *Lives on:* one shard.
#[derive(Default)]
pub(super) struct View(RefCell<(u64, Arc<List>)>);

impl View {
    /// The newest list.
    pub(super) fn of(&self, topics: &Topics) -> Arc<List> {
        let changes = topics.changes.load(Ordering::Acquire);
        let mut view = self.0.borrow_mut();
        if view.0 != changes {
            *view = (changes, Arc::clone(&topics.list()));
        }
        Arc::clone(&view.1)
    }
}
