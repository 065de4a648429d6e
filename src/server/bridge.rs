use ottla_broker::{Controller, Done};
use ottla_cluster::{Answer, Command};
use tokio::sync::mpsc;

use crate::controller::Request;

/// A shard's way to the controller.
///
/// *Lives on: each shard. Talks by: a bounded channel to the control thread.*
pub(super) struct Bridge {
    commands: mpsc::Sender<Request>,
}

impl Bridge {
    pub(super) fn new(commands: mpsc::Sender<Request>) -> Bridge {
        Bridge { commands }
    }
}

impl Controller for Bridge {
    fn submit(&self, command: Command, answer: Done<Answer>) {
        // Where the channel is full the answer is dropped with the request, which the shard takes for a refusal.
        let _ = self.commands.try_send(Request { command, answer });
    }
}
