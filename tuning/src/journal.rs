//! What was changed and what it was before: written and flushed before the first change.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;
/// A journal larger than this is none of ours.
const BYTES_MAX: u64 = 4 << 20;
/// Where changed files may lie: `tune revert` runs as root and writes what the journal says.
const ALLOWED: [&str; 3] = ["/proc/sys/", "/proc/irq/", "/sys/"];

/// One file of the kernel's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The rule that changed it.
    pub rule: String,
    /// The file.
    pub file: String,
    /// What it held.
    pub before: String,
    /// What was written; nothing where another change alters it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// Whether another change alters it too, so that it may hold neither.
    #[serde(default)]
    pub altered: bool,
}

/// All that `tune revert` needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Journal {
    version: u32,
    /// Which start of the kernel the changes were made in: a reboot undoes them.
    pub boot: String,
    /// In the order of changing; taken back from the end.
    pub entries: Vec<Entry>,
}

/// Why a journal could not be read or written.
#[derive(Debug)]
pub enum JournalError {
    /// The operating system's error.
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Something else lies there.
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another `tune apply` or `tune revert` is at work.
    Busy {
        /// Whose journal it is.
        path: PathBuf,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Io { what, path, error } => write!(f, "cannot {what} {}: {error}", path.display()),
            JournalError::Malformed { path, why } => write!(f, "{} is no journal of ours: {why}", path.display()),
            JournalError::Busy { path } => {
                write!(f, "another `ottla tune` is at work with {}", path.display())
            }
        }
    }
}

impl std::error::Error for JournalError {}

impl Journal {
    /// One without entries.
    pub fn new(boot: impl Into<String>) -> Journal {
        Journal { version: VERSION, boot: boot.into(), entries: Vec::new() }
    }

    /// Takes an entry in. What is known of a file stays known: the first `before` is the one to go back to.
    pub fn add(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.file == entry.file) {
            Some(known) => {
                known.altered |= entry.altered;
                if entry.after.is_some() {
                    known.after = entry.after;
                    known.rule = entry.rule;
                }
            }
            None => self.entries.push(entry),
        }
    }

    /// Reads the journal at `path`; `None` when nothing is there.
    ///
    /// # Errors
    /// When it cannot be read, or is none of ours.
    pub fn read(path: &Path) -> Result<Option<Journal>, JournalError> {
        let failed = |error| JournalError::Io { what: "read", path: path.to_path_buf(), error };
        let malformed = |why: String| JournalError::Malformed { path: path.to_path_buf(), why };
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > BYTES_MAX => return Err(malformed(format!("{} bytes", found.len()))),
            Ok(_) => {}
        }
        let text = fs::read(path).map_err(failed)?;
        let journal: Journal = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if journal.version != VERSION {
            return Err(malformed(format!("version {}, known is {VERSION}", journal.version)));
        }
        match journal.entries.iter().find(|entry| !is_allowed(&entry.file)) {
            Some(entry) => Err(malformed(format!("it wants to write to {}", entry.file))),
            None => Ok(Some(journal)),
        }
    }

    /// Puts the journal at `path`: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, path: &Path) -> Result<(), JournalError> {
        let failed = |what| move |error| JournalError::Io { what, path: path.to_path_buf(), error };
        let mut text = serde_json::to_vec_pretty(self).map_err(io::Error::other).map_err(failed("write"))?;
        text.push(b'\n');
        let temporary = path.with_extension("tmp");
        let mut file = File::create(&temporary).map_err(failed("write"))?;
        file.write_all(&text).map_err(failed("write"))?;
        file.sync_all().map_err(failed("flush"))?;
        fs::rename(&temporary, path).map_err(failed("write"))?;
        sync_folder(path).map_err(failed("flush"))
    }

    /// Removes the journal at `path`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove(path: &Path) -> Result<(), JournalError> {
        let failed = |error| JournalError::Io { what: "remove", path: path.to_path_buf(), error };
        fs::remove_file(path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    }
}

/// Keeps every other `tune apply` and `tune revert` with this journal out until it is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, JournalError> {
    let failed = |error| JournalError::Io { what: "lock the folder of", path: path.to_path_buf(), error };
    let folder = folder_of(path);
    fs::create_dir_all(folder).map_err(failed)?;
    let folder = File::open(folder).map_err(failed)?;
    match folder.try_lock() {
        Ok(()) => Ok(folder),
        Err(fs::TryLockError::WouldBlock) => Err(JournalError::Busy { path: path.to_path_buf() }),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn is_allowed(file: &str) -> bool {
    ALLOWED.iter().any(|prefix| file.starts_with(prefix)) && !file.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests;
