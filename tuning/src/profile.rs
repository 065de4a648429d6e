//! `io.toml`: how a disk is best written to, as it was measured.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file's name in the data folder.
pub const PROFILE_FILE: &str = "io.toml";
const VERSION: u32 = 1;
/// A larger file is none of ours.
const BYTES_MAX: u64 = 64 << 10;

/// What the broker does with a disk, and the measurements that say so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskProfile {
    /// Counts changes that make older files unreadable.
    pub version: u32,
    /// How frames of the journal become durable.
    pub journal: JournalProfile,
    /// How segments are written.
    pub segments: SegmentProfile,
    /// What was measured; the broker does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<toml::Table>,
}

/// How frames of the journal become durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalProfile {
    /// In one operation, or in two.
    pub flush: Flush,
    /// With `dsync`: frames of at most this many bytes are written so; larger ones are written, then flushed, or, where this is the most
    /// that the broker takes (512 KiB), written so in pieces.
    pub dsync_bytes_max: usize,
}

/// How a write becomes durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flush {
    /// Write and flush in one operation (`RWF_DSYNC`).
    Dsync,
    /// A write, then `fdatasync`.
    Fdatasync,
}

/// How segments are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentProfile {
    /// Bytes of the largest single write.
    pub write_bytes: usize,
    /// Logs that a shard writes out at once.
    pub write_depth: usize,
}

impl DiskProfile {
    /// A profile of this version.
    pub fn new(journal: JournalProfile, segments: SegmentProfile, measured: Option<toml::Table>) -> DiskProfile {
        DiskProfile { version: VERSION, journal, segments, measured }
    }

    /// Reads the profile in `folder`; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or says what nobody understands.
    pub fn read(folder: &Path) -> Result<Option<DiskProfile>, ProfileError> {
        let path = folder.join(PROFILE_FILE);
        let failed = |error| ProfileError::Io { path: path.clone(), error };
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut text = String::new();
        file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > BYTES_MAX {
            return Err(ProfileError::Malformed { path, why: format!("more than {BYTES_MAX} bytes") });
        }
        DiskProfile::parse(&text).map(Some).map_err(|why| ProfileError::Malformed { path, why })
    }

    /// Understands the text of a file; says what is wrong with it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str) -> Result<DiskProfile, String> {
        let profile: DiskProfile = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1));
            format!("line {line}: {}", error.message().lines().next().unwrap_or_default())
        })?;
        match profile.version {
            VERSION => Ok(profile),
            other => Err(format!("version {other}, known is {VERSION}")),
        }
    }

    /// Puts the profile into `folder`: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(PROFILE_FILE);
        let temporary = folder.join("io.toml.tmp");
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let mut file = fs::File::create(&temporary)?;
        file.write_all(HEADER.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        fs::File::open(folder)?.sync_all()?;
        Ok(path)
    }
}

const HEADER: &str = "\
# How this disk is best written to. Written by `ottla tune probe`; the broker reads it when it starts.
# Removed, or not understood: the broker takes its defaults and says so in its log.
";

/// Why there is no profile although there is a file.
#[derive(Debug)]
pub enum ProfileError {
    /// It cannot be read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It says what nobody understands.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What, and where.
        why: String,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileError::Io { path, error } => write!(f, "{} cannot be read: {error}", path.display()),
            ProfileError::Malformed { path, why } => write!(f, "{} is not understood: {why}", path.display()),
        }
    }
}

impl std::error::Error for ProfileError {}

#[cfg(test)]
mod tests;
