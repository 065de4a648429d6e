use ottla_broker::{Controller, Done};
use ottla_cluster::{Answer, Command, Refusal};
use ottla_units::ErrorCode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

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
        let (request, code) = match self.commands.try_send(Request { command, answer }) {
            Ok(()) => return,
            // Clients may try again.
            Err(TrySendError::Full(request)) => (request, ErrorCode::RequestTimedOut),
            // It ended because its log cannot be written.
            Err(TrySendError::Closed(request)) => (request, ErrorCode::KafkaStorageError),
        };
        (request.answer)(Answer::Failed(Refusal::silent(code)));
    }
}
