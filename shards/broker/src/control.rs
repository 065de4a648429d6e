//! What the shards and the control thread say to each other.

use std::sync::Arc;

use ottla_cluster::{Answer, Command, Image};
use ottla_reactor::mesh::Letterbox;

use crate::metrics::Snapshot;

/// Letters that may wait in a shard's inbox.
pub const LETTERS_MAX: usize = 4096;

/// Called when something has been done.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// The controller as a shard sees it: the one way up.
pub trait Controller: Send {
    /// Asks for a change. `answer` is called on any thread, once every shard has applied what changed; it is dropped
    /// uncalled when the controller is gone.
    fn submit(&self, command: Command, answer: Done<Answer>);
}

/// What the control thread sends to a shard.
pub enum Letter {
    /// The cluster's newest state: open and close partitions accordingly, then call `applied`.
    Image {
        /// The state.
        image: Arc<Image>,
        /// Called when this shard has it.
        applied: Done<()>,
    },
    /// The answer to a command of this shard.
    Answered {
        /// The number of the command.
        number: u64,
        /// What the controller said.
        answer: Answer,
    },
    /// Somebody scrapes: copy the counters.
    Scrape(Done<Snapshot>),
    /// Stop: answer what is in flight, flush, write checkpoints.
    Stop,
}

/// The letterboxes of all shards, in order.
pub type Letterboxes = Vec<Letterbox<Letter>>;
