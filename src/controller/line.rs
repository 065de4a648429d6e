//! The line between shards and controller: commands up, images down.

use std::sync::Arc;
use std::time::Duration;

use ottla_broker::{Done, Letter, Letterboxes};
use ottla_cluster::{Answer, Command, Image, Refusal};
use ottla_units::ErrorCode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::{COMMANDS_WAITING_MAX, Request};

/// How long to wait before an image is offered again to a shard whose inbox is full.
const INBOX_RETRY: Duration = Duration::from_millis(5);

/// The shards' way up to the controller.
#[derive(Clone, Debug)]
pub struct Line(mpsc::Sender<Request>);

/// A line, and its end for [`super::run`].
pub fn line() -> (Line, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(COMMANDS_WAITING_MAX);
    (Line(sender), receiver)
}

impl ottla_broker::Controller for Line {
    /// A command that finds too many before it is refused; clients may try again.
    fn submit(&self, command: Command, answer: Done<Answer>) {
        let refused = match self.0.try_send(Request { command, answer }) {
            Ok(()) => return,
            Err(TrySendError::Full(request)) => (request, ErrorCode::RequestTimedOut),
            Err(TrySendError::Closed(request)) => (request, ErrorCode::BrokerNotAvailable),
        };
        let (request, code) = refused;
        (request.answer)(Answer::Failed(Refusal::silent(code)));
    }
}

/// Sends an image to every shard and waits until each has applied it, or is gone.
pub async fn publish(letterboxes: Letterboxes, image: Arc<Image>) {
    let (applied, mut all_applied) = mpsc::channel::<()>(1);
    for letterbox in letterboxes {
        let applied = applied.clone();
        let mut letter = Letter::Image { image: Arc::clone(&image), applied: Box::new(move |()| drop(applied)) };
        while let Err(back) = letterbox.post(letter) {
            letter = back;
            tokio::time::sleep(INBOX_RETRY).await;
        }
    }
    drop(applied);
    // Nothing is ever sent: it ends when the last shard has let go of its end.
    let _ = all_applied.recv().await;
}
