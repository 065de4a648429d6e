//! The controller: decides changes of the cluster's state, writes them down, and hands every shard the new image.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_broker::Done;
use ottla_cluster::decide::{self, Context, Decision, Rules, Settings};
use ottla_cluster::{Answer, Command, ConfigTarget, Image, Record, Refusal, frame};
use ottla_units::{ErrorCode, TopicId};
use tokio::sync::mpsc;

mod identity;
mod log;
#[cfg(test)]
mod tests;

pub use identity::{FORMAT_VERSION, Identity, IdentityError};
use log::MetadataLog;
pub use log::{LogError, Surveyed, survey, write_new};

/// Commands that may wait for the controller at once; whoever sends one more waits.
pub const COMMANDS_WAITING_MAX: usize = 1024;

/// Commands that are written and published as one when they come together.
pub const COMMANDS_TOGETHER_MAX: usize = 64;

/// Why there is no controller.
#[derive(Debug)]
pub enum ControllerError {
    /// Its log cannot be read or begun.
    Log(LogError),
    /// The metadata belong to another cluster than `meta.properties` says.
    OtherCluster {
        /// The id in the metadata.
        found: String,
        /// The id in `meta.properties`.
        expected: String,
    },
}

impl std::fmt::Display for ControllerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ControllerError::Log(error) => error.fmt(f),
            ControllerError::OtherCluster { found, expected } => {
                write!(f, "the metadata log belongs to cluster {found}, meta.properties to {expected}")
            }
        }
    }
}

impl std::error::Error for ControllerError {}

impl From<LogError> for ControllerError {
    fn from(error: LogError) -> ControllerError {
        ControllerError::Log(error)
    }
}

/// What a controller is opened with.
pub struct Options {
    /// The folder of the metadata log; made if it is not there.
    pub folder: PathBuf,
    /// The cluster's id as `meta.properties` has it.
    pub cluster_id: String,
    /// What the broker's configuration says about topics.
    pub rules: Rules,
    /// What settings mean.
    pub settings: Box<dyn Settings + Send>,
}

/// Owns the cluster's state.
///
/// *Lives on: control thread. Talks by: [`Request`]s in, images and answers out.*
pub struct Controller {
    image: Arc<Image>,
    log: MetadataLog,
    rules: Rules,
    settings: Box<dyn Settings + Send>,
    /// Records that are in the image and will be written with the next ones.
    unwritten: Vec<Record>,
}

impl Controller {
    /// Reads the metadata log, or begins one.
    ///
    /// # Errors
    /// The log is damaged, of a newer format or of another cluster, or the folder cannot be used.
    pub fn open(options: Options) -> Result<Controller, ControllerError> {
        let (log, mut image) = MetadataLog::open(&options.folder)?;
        let mut unwritten = Vec::new();
        if image.cluster_id().is_empty() {
            unwritten.push(Record::Cluster { id: options.cluster_id });
            unwritten.extend(options.settings.of_new_cluster().into_iter().map(|(key, value)| Record::Config {
                target: ConfigTarget::BrokerDefault,
                key,
                value: Some(value),
            }));
            image.apply_all(&unwritten).map_err(|error| log.misfit(error))?;
        } else if image.cluster_id() != options.cluster_id {
            let found = image.cluster_id().to_owned();
            return Err(ControllerError::OtherCluster { found, expected: options.cluster_id });
        }
        let (rules, settings) = (options.rules, options.settings);
        Ok(Controller { image: Arc::new(image), log, rules, settings, unwritten })
    }

    /// The state as it is.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Where the log lies.
    pub fn folder(&self) -> &Path {
        self.log.folder()
    }

    /// Whether a flush has failed: then nothing can be changed any more and the process should end.
    pub fn is_poisoned(&self) -> bool {
        self.log.is_poisoned()
    }

    /// Decides a command and makes the decision durable. The image comes back when it has changed; the answer may be given
    /// once every shard has it.
    pub fn handle(&mut self, command: Command) -> (Answer, Option<Arc<Image>>) {
        let (answers, image) = self.handle_all([command]);
        let answer = answers.into_iter().next();
        (answer.unwrap_or_else(|| Answer::Failed(Refusal::plain(ErrorCode::UnknownServerError))), image)
    }

    /// The same for commands that came together, each decided on what the one before it left: written, flushed and
    /// published as one.
    pub fn handle_all(&mut self, commands: impl IntoIterator<Item = Command>) -> (Vec<Answer>, Option<Arc<Image>>) {
        let mut image = Image::clone(&self.image);
        let mut records = self.unwritten.clone();
        let mut answers = Vec::new();
        let mut changed = false;
        for command in commands {
            let decision = self.decide(&image, command);
            match self.extended(&image, &decision.records) {
                Ok(extended) => {
                    image = extended;
                    changed |= !decision.records.is_empty();
                    records.extend(decision.records);
                    answers.push(decision.answer);
                }
                Err(refused) => answers.push(refused),
            }
        }
        if !changed {
            return (answers, None);
        }
        match self.commit(image, &records) {
            Ok(()) => (answers, Some(self.image.clone())),
            // What was only asked, or refused, was decided on a state that is not: nobody is told anything else.
            Err(error) => (answers.iter().map(|_| failed(&error)).collect(), None),
        }
    }

    fn decide(&self, image: &Image, command: Command) -> Decision {
        let mut new_topic_id = random_id;
        let (rules, settings) = (&self.rules, &*self.settings);
        decide::decide(&mut Context { image, rules, settings, new_topic_id: &mut new_topic_id }, command)
    }

    /// An image with these records applied, or why there is none.
    fn extended(&self, image: &Image, records: &[Record]) -> Result<Image, Answer> {
        if frame::bytes_of(records) > frame::DECISION_BYTES_MAX {
            let message = format!("The change is larger than {} bytes.", frame::DECISION_BYTES_MAX);
            return Err(Answer::Failed(Refusal::new(ErrorCode::PolicyViolation, message)));
        }
        let mut image = image.clone();
        image.apply_all(records).map_err(|error| failed(&self.log.misfit(error)))?;
        Ok(image)
    }

    /// Writes records, and only then lets the image that they made be the state.
    fn commit(&mut self, image: Image, records: &Vec<Record>) -> Result<(), LogError> {
        self.log.append(records)?;
        self.image = Arc::new(image);
        self.unwritten.clear();
        if self.log.wants_snapshot()
            && let Err(error) = self.log.snapshot(&self.image)
        {
            // The log goes on; it is tried again when the log has grown as much again.
            tracing::warn!(%error, "no snapshot of the metadata");
        }
        Ok(())
    }
}

fn failed(error: &LogError) -> Answer {
    tracing::error!(%error, "metadata not changed");
    Answer::Failed(Refusal::plain(ErrorCode::KafkaStorageError))
}

/// A random id that does not print with a leading dash, as Kafka's do not (`Uuid.randomUuid`).
fn random_id() -> TopicId {
    loop {
        let id = TopicId::from_bytes(uuid::Uuid::new_v4().into_bytes());
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// A command and where its answer goes.
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Who is told.
    pub answer: Done<Answer>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("command", &self.command).finish_non_exhaustive()
    }
}

/// Serves requests until nobody can send one. `publish` sends a new image to every shard and waits until each has opened
/// and closed partitions accordingly; only then is the request answered.
///
/// # Errors
/// The metadata log could not be flushed: the process must not go on.
pub async fn run<P, F>(
    mut controller: Controller,
    mut requests: mpsc::Receiver<Request>,
    mut publish: P,
) -> Result<(), LogError>
where
    P: FnMut(Arc<Image>) -> F,
    F: Future<Output = ()>,
{
    let mut together = Vec::with_capacity(COMMANDS_TOGETHER_MAX);
    while requests.recv_many(&mut together, COMMANDS_TOGETHER_MAX).await > 0 {
        let (commands, askers): (Vec<_>, Vec<_>) = together.drain(..).map(|r: Request| (r.command, r.answer)).unzip();
        let (answers, changed) = controller.handle_all(commands);
        if let Some(image) = changed {
            publish(image).await;
        }
        for (asker, answer) in askers.into_iter().zip(answers) {
            asker(answer);
        }
        if controller.is_poisoned() {
            return Err(LogError::Poisoned);
        }
    }
    Ok(())
}
