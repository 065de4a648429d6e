use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ottla_cluster::Image;
use ottla_storage::{Layout, LogSpec};
use ottla_units::TopicPartition;

use super::finding::{Finding, Kind};
use super::journals::Journals;
use super::topics;
use crate::controller::{self, Identity, IdentityError, LogError};

/// Why a folder cannot be looked at.
#[derive(Debug)]
pub enum OpenError {
    /// It has nothing of a data folder.
    NoDataFolder(PathBuf),
    /// A broker works in it.
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The broker's process id; empty when it did not say.
        pid: String,
    },
    /// The system refuses.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoDataFolder(folder) => {
                write!(f, "{} is no data folder: it has neither meta.properties nor topics", folder.display())
            }
            OpenError::InUse { folder, pid } => {
                write!(f, "{} is in use by process {pid}: a broker writes there", folder.display())
            }
            OpenError::Io { path, error } => write!(f, "cannot read {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// A data folder, taken, with all that concerns it as a whole read.
pub struct Folder {
    pub(super) layout: Layout,
    /// Whose it is, if that can be read.
    pub(super) identity: Option<Identity>,
    /// The cluster as its metadata say, with topics found by their folders where those are damaged.
    pub(super) image: Image,
    /// The logs that there are.
    pub(super) specs: Vec<LogSpec>,
    pub(super) journals: Journals,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
    /// Held as long as this is: no broker starts meanwhile.
    _lock: Option<File>,
}

impl Folder {
    /// Takes a folder and reads what concerns it as a whole. Its journals may lie elsewhere.
    ///
    /// # Errors
    /// It is none, a broker works in it, or the system refuses.
    pub fn open(data: &Path, journal: Option<&Path>) -> Result<Folder, OpenError> {
        let mut layout = Layout::below(data);
        if let Some(journal) = journal {
            journal.clone_into(&mut layout.journal);
        }
        if !layout.meta_properties().exists() && !layout.topics().is_dir() {
            return Err(OpenError::NoDataFolder(data.to_owned()));
        }
        let lock = take(data)?;
        let read = |path: PathBuf| move |error| OpenError::Io { path, error };
        let journals = Journals::read(&layout.journal).map_err(read(layout.journal.clone()))?;
        let (mut findings, mut notes) = (Vec::new(), Vec::new());
        let identity = identity(&layout.meta_properties(), &mut findings);
        let metadata = controller::survey(&layout.metadata()).map_err(read(layout.metadata()))?;
        findings.extend(metadata.problems.iter().map(|problem| metadata_finding(problem, &layout.metadata())));
        notes.extend(metadata.torn.map(|path| format!("{}: a last change that was never answered", path.display())));
        let mut image = metadata.image;
        let damaged = !metadata.problems.is_empty() || image.cluster_id().is_empty();
        let folders = listed(&layout.topics()).map_err(read(layout.topics()))?;
        let strays = topics::complete(&mut image, identity.as_ref(), &folders, damaged);
        notes.extend(strays);
        let specs = specs(&image);
        Ok(Folder { layout, identity, image, specs, journals, findings, notes, _lock: lock })
    }
}

/// Takes the folder's lock as a reader of its file can: nothing is made or written.
fn take(data: &Path) -> Result<Option<File>, OpenError> {
    let path = data.join(".lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        // No broker has ever run here, or it is a copy.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(OpenError::Io { path, error }),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            Err(OpenError::InUse { folder: data.to_owned(), pid })
        }
        Err(fs::TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
    }
}

fn identity(path: &Path, findings: &mut Vec<Finding>) -> Option<Identity> {
    match Identity::read(path) {
        Ok(identity) => Some(identity),
        Err(error) => {
            let kind = match &error {
                IdentityError::NewerFormat { .. } => Kind::NewerFormat,
                _ => Kind::Identity,
            };
            let what = error.to_string();
            let what = what.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&what).to_owned();
            findings.push(Finding::new(kind, path, 0, what));
            None
        }
    }
}

fn metadata_finding(problem: &LogError, folder: &Path) -> Finding {
    let (path, at) = problem.place();
    let path = path.unwrap_or(folder);
    let kind = if problem.is_newer_format() { Kind::NewerFormat } else { Kind::Metadata };
    let what = problem.to_string();
    let what = what.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&what).to_owned();
    Finding::new(kind, path, at, what)
}

/// Every log that there should be.
fn specs(image: &Image) -> Vec<LogSpec> {
    let mut specs = Vec::with_capacity(image.partition_count());
    for topic in image.topics_sorted() {
        let keys = topic.indexed().map(|(index, _)| TopicPartition::new(topic.id, index));
        specs.extend(keys.map(|key| LogSpec { key, topic: topic.name.to_string() }));
    }
    specs
}

/// What a folder holds, by name; nothing when it is not there.
pub(super) fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}
