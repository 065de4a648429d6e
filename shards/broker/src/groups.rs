//! The groups of the offsets partitions that this shard owns.

use std::rc::Rc;
use std::sync::Arc;

use ottla_cluster::Topic;

use crate::shard::Shard;

/// *Lives on:* each shard.
#[derive(Default)]
pub(crate) struct Shell {}

impl Shell {
    /// Begins to load groups and to keep their time.
    pub(crate) fn start(&self, _shard: &Rc<Shard>) {}

    /// A topic is gone: so are offsets that groups keep for it.
    pub(crate) fn topic_deleted(&self, _shard: &Rc<Shard>, _topic: &Arc<Topic>) {}
}
