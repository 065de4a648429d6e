//! The metadata log's files: one snapshot, and one log of what came after it.
//!
//! ```text
//! <data>/metadata/00000000000000000042.snapshot   the image after frame 42
//!                 00000000000000000043.log        frames 43, 44, … appended and flushed one by one
//! ```
//! A snapshot is written beside, renamed into place, and only then is a new log begun and the old pair removed: whatever
//! is cut short, the newest snapshot and the log that follows it are whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ottla_cluster::frame::{self, FrameError, Frames, Kind};
use ottla_cluster::{ApplyError, Image, Record};

/// Bytes of log after which a snapshot replaces it, if the last snapshot is not larger.
const SNAPSHOT_LOG_BYTES_MIN: u64 = if cfg!(test) { 64 << 10 } else { 4 << 20 };
/// Records in one frame of a snapshot.
const SNAPSHOT_FRAME_RECORDS: usize = 1000;

/// What is wrong with the metadata log.
#[derive(Debug)]
pub enum LogError {
    /// The system refused.
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// A file is not what was written.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        error: FrameError,
    },
    /// A file's records do not follow from one another.
    Misfit {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        error: ApplyError,
    },
    /// A snapshot ends before its last frame.
    Incomplete {
        /// Which file.
        path: PathBuf,
    },
    /// There is a log, but not the snapshot it builds on.
    NoSnapshot {
        /// The log.
        path: PathBuf,
    },
    /// An earlier flush failed: what is on disk is unknown.
    Poisoned,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LogError::Io { action, path, error } => write!(f, "cannot {action} {}: {error}", path.display()),
            LogError::Damaged { path, error } => write!(f, "{}: {error}", path.display()),
            LogError::Misfit { path, error } => write!(f, "{}: {error}", path.display()),
            LogError::Incomplete { path } => write!(f, "{}: the snapshot ends early", path.display()),
            LogError::NoSnapshot { path } => {
                write!(f, "{}: the snapshot that this log builds on is missing", path.display())
            }
            LogError::Poisoned => f.write_str("the metadata log could not be flushed; what is on disk is unknown"),
        }
    }
}

impl std::error::Error for LogError {}

impl LogError {
    /// Which file it is about, and the place in it, in bytes.
    pub fn place(&self) -> (Option<&Path>, u64) {
        match self {
            LogError::Io { path, .. }
            | LogError::Misfit { path, .. }
            | LogError::Incomplete { path }
            | LogError::NoSnapshot { path } => (Some(path), 0),
            LogError::Damaged { path, error } => match error {
                FrameError::Damaged { offset, .. }
                | FrameError::WrongSequence { offset, .. }
                | FrameError::Unreadable { offset } => (Some(path), *offset as u64),
                _ => (Some(path), 0),
            },
            LogError::Poisoned => (None, 0),
        }
    }

    /// Whether a newer Ottla wrote the file.
    pub fn is_newer_format(&self) -> bool {
        matches!(self, LogError::Damaged { error: FrameError::NewerFormat { .. }, .. })
    }
}

fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LogError + use<'a> {
    move |error| LogError::Io { action, path: path.to_owned(), error }
}

/// The open log.
pub(super) struct MetadataLog {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    /// Bytes that are known to be whole and flushed.
    bytes: u64,
    /// The number of the next frame.
    next: u64,
    /// Bytes of log at which a snapshot is due.
    snapshot_at: u64,
    poisoned: bool,
}

impl MetadataLog {
    /// Reads a folder, makes what is missing, and cuts off what a crash left unfinished at the log's end.
    pub(super) fn open(folder: &Path) -> Result<(MetadataLog, Image), LogError> {
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        let found = Files::list(folder)?;
        let mut image = Image::default();
        let mut snapshot_bytes = 0;
        let mut first = 0;
        if let Some(sequence) = found.snapshots.last() {
            let path = file_path(folder, *sequence, SNAPSHOT);
            snapshot_bytes = read_snapshot(&path, &mut image)?;
            first = sequence + 1;
        }
        if let Some(later) = found.logs.iter().find(|log| **log > first) {
            return Err(LogError::NoSnapshot { path: file_path(folder, *later, LOG) });
        }
        let path = file_path(folder, first, LOG);
        let log = if found.logs.contains(&first) {
            let (bytes, next) = read_log(&path, first, &mut image)?;
            MetadataLog::resume(folder, path, bytes, next, snapshot_bytes)?
        } else {
            MetadataLog::begin(folder, path, first, snapshot_bytes)?
        };
        log.remove_older(first);
        Ok((log, image))
    }

    fn resume(
        folder: &Path,
        path: PathBuf,
        bytes: u64,
        next: u64,
        snapshot_bytes: u64,
    ) -> Result<MetadataLog, LogError> {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
        let on_disk = file.metadata().map_err(io_error("read", &path))?.len();
        if bytes == 0 {
            // Begun, but cut short before its header was whole.
            file.set_len(0).map_err(io_error("cut", &path))?;
            file.write_all_at(&frame::file_header(Kind::Log), 0).map_err(io_error("write", &path))?;
        } else if on_disk > bytes {
            tracing::warn!(path = %path.display(), offset = bytes, cut = on_disk - bytes, "metadata log ended in an unfinished frame");
            file.set_len(bytes).map_err(io_error("cut", &path))?;
            file.sync_all().map_err(io_error("flush", &path))?;
        }
        let bytes = bytes.max(frame::FILE_HEADER_BYTES as u64);
        let snapshot_at = snapshot_bytes.max(SNAPSHOT_LOG_BYTES_MIN);
        Ok(MetadataLog { folder: folder.to_owned(), path, file, bytes, next, snapshot_at, poisoned: false })
    }

    fn begin(folder: &Path, path: PathBuf, first: u64, snapshot_bytes: u64) -> Result<MetadataLog, LogError> {
        let mut open = OpenOptions::new();
        let file = open.read(true).write(true).create_new(true).open(&path).map_err(io_error("create", &path))?;
        // Flushed with the first frame.
        file.write_all_at(&frame::file_header(Kind::Log), 0).map_err(io_error("write", &path))?;
        sync_folder(folder)?;
        Ok(MetadataLog {
            folder: folder.to_owned(),
            path,
            file,
            bytes: frame::FILE_HEADER_BYTES as u64,
            next: first,
            snapshot_at: snapshot_bytes.max(SNAPSHOT_LOG_BYTES_MIN),
            poisoned: false,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    pub(super) fn misfit(&self, error: ApplyError) -> LogError {
        LogError::Misfit { path: self.path.clone(), error }
    }

    /// Writes one frame and flushes it.
    ///
    /// A write that fails is undone. A flush that fails is never repeated: nothing is accepted any more.
    pub(super) fn append(&mut self, records: &Vec<Record>) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let mut bytes = Vec::new();
        frame::encode(self.next, records, &mut bytes)
            .map_err(|error| LogError::Damaged { path: self.path.clone(), error })?;
        if let Err(error) = self.file.write_all_at(&bytes, self.bytes) {
            self.poisoned = self.file.set_len(self.bytes).is_err();
            return Err(io_error("write", &self.path)(error));
        }
        if let Err(error) = self.file.sync_data() {
            self.poisoned = true;
            return Err(io_error("flush", &self.path)(error));
        }
        self.bytes += bytes.len() as u64;
        self.next += 1;
        Ok(())
    }

    pub(super) fn wants_snapshot(&self) -> bool {
        self.bytes >= self.snapshot_at
    }

    /// Writes the image, which must be the state after the last frame, and begins a new log behind it.
    pub(super) fn snapshot(&mut self, image: &Image) -> Result<(), LogError> {
        // Should it fail, the next try comes when the log has doubled.
        self.snapshot_at = self.bytes.saturating_mul(2);
        let Some(covered) = self.next.checked_sub(1) else { return Ok(()) };
        let path = file_path(&self.folder, covered, SNAPSHOT);
        let bytes = snapshot_bytes(image).map_err(|error| LogError::Damaged { path: path.clone(), error })?;
        write_atomically(&self.folder, &path, &bytes)?;
        // From here on only the new log counts: were it not begun, frames would be appended to the old one and lost.
        let log = file_path(&self.folder, self.next, LOG);
        match MetadataLog::begin(&self.folder, log, self.next, bytes.len() as u64) {
            Ok(begun) => *self = begun,
            Err(error) => {
                self.poisoned = true;
                return Err(error);
            }
        }
        self.remove_older(self.next);
        Ok(())
    }

    /// Removes what the snapshot before `first` and the log from `first` on make superfluous. Failing that does no harm.
    fn remove_older(&self, first: u64) {
        let Ok(found) = Files::list(&self.folder) else { return };
        let logs = found.logs.iter().filter(|log| **log < first).map(|log| file_path(&self.folder, *log, LOG));
        let snapshots = found.snapshots.iter().filter(|snapshot| **snapshot + 1 < first);
        let snapshots = snapshots.map(|snapshot| file_path(&self.folder, *snapshot, SNAPSHOT));
        for path in logs.chain(snapshots).chain(found.unfinished.iter().cloned()) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an old metadata file");
            }
        }
    }
}

const LOG: &str = "log";
const SNAPSHOT: &str = "snapshot";
const UNFINISHED: &str = "unfinished";

fn file_path(folder: &Path, sequence: u64, kind: &str) -> PathBuf {
    folder.join(format!("{sequence:020}.{kind}"))
}

/// What lies in the folder, by number.
#[derive(Default)]
struct Files {
    logs: Vec<u64>,
    snapshots: Vec<u64>,
    unfinished: Vec<PathBuf>,
}

impl Files {
    fn list(folder: &Path) -> Result<Files, LogError> {
        let mut files = Files::default();
        for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
            let path = entry.map_err(io_error("list", folder))?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            match (path.extension().and_then(|kind| kind.to_str()), number) {
                (Some(LOG), Some(number)) => files.logs.push(number),
                (Some(SNAPSHOT), Some(number)) => files.snapshots.push(number),
                (Some(UNFINISHED), _) => files.unfinished.push(path),
                _ => {}
            }
        }
        files.logs.sort_unstable();
        files.snapshots.sort_unstable();
        Ok(files)
    }
}

/// Reads a log into the image; how many bytes of it are whole, and the number of the next frame. No bytes: not even its
/// header was written.
fn read_log(path: &Path, first: u64, image: &mut Image) -> Result<(u64, u64), LogError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let damaged = |error| LogError::Damaged { path: path.to_owned(), error };
    let header = frame::file_header(Kind::Log);
    if (bytes.len() < header.len() && header.starts_with(&bytes)) || bytes.iter().all(|byte| *byte == 0) {
        return Ok((0, first));
    }
    let mut frames = Frames::open(&bytes, Kind::Log, first).map_err(damaged)?;
    let mut next = first;
    for frame in frames.by_ref() {
        let frame = match frame {
            Ok(frame) => frame,
            // Never answered, so never promised.
            Err(FrameError::Damaged { offset, at_end: true }) => return Ok((offset as u64, next)),
            Err(error) => return Err(damaged(error)),
        };
        let misfit = |error| LogError::Misfit { path: path.to_owned(), error };
        image.apply_all(&frame.records).map_err(misfit)?;
        next = frame.sequence + 1;
    }
    Ok((bytes.len() as u64, next))
}

/// A snapshot's bytes: frames from 0 on, the last without records.
fn snapshot_bytes(image: &Image) -> Result<Vec<u8>, FrameError> {
    let mut bytes = frame::file_header(Kind::Snapshot).to_vec();
    let records = image.snapshot();
    let mut sequence = 0;
    for chunk in records.chunks(SNAPSHOT_FRAME_RECORDS) {
        frame::encode(sequence, &chunk.to_vec(), &mut bytes)?;
        sequence += 1;
    }
    frame::encode(sequence, &Vec::new(), &mut bytes)?;
    Ok(bytes)
}

/// Reads a snapshot into an empty image; its length.
fn read_snapshot(path: &Path, image: &mut Image) -> Result<u64, LogError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    let damaged = |error| LogError::Damaged { path: path.to_owned(), error };
    let mut complete = false;
    for frame in Frames::open(&bytes, Kind::Snapshot, 0).map_err(damaged)? {
        let frame = frame.map_err(damaged)?;
        complete = frame.records.is_empty();
        let misfit = |error| LogError::Misfit { path: path.to_owned(), error };
        image.apply_all(&frame.records).map_err(misfit)?;
    }
    if complete { Ok(bytes.len() as u64) } else { Err(LogError::Incomplete { path: path.to_owned() }) }
}

fn write_atomically(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let beside = path.with_extension(UNFINISHED);
    let mut file = File::create(&beside).map_err(io_error("create", &beside))?;
    file.write_all(bytes).map_err(io_error("write", &beside))?;
    file.sync_all().map_err(io_error("flush", &beside))?;
    fs::rename(&beside, path).map_err(io_error("rename", &beside))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(io_error("flush", folder))
}

/// What a folder's metadata files say, as far as they are sound.
#[derive(Default, Debug)]
pub struct Surveyed {
    /// What they make of an empty image.
    pub image: Image,
    /// What is wrong with them.
    pub problems: Vec<LogError>,
    /// A log that ends in a frame that was never finished, and so never answered.
    pub torn: Option<PathBuf>,
}

/// Reads the metadata in `folder` and changes nothing.
///
/// # Errors
/// The folder cannot be listed.
pub fn survey(folder: &Path) -> io::Result<Surveyed> {
    let mut found = Surveyed::default();
    if !folder.is_dir() {
        found.problems.push(LogError::NoSnapshot { path: folder.to_owned() });
        return Ok(found);
    }
    let files = match Files::list(folder) {
        Ok(files) => files,
        Err(LogError::Io { error, .. }) => return Err(error),
        Err(other) => return Err(io::Error::other(other.to_string())),
    };
    let first = files.snapshots.last().map_or(0, |snapshot| snapshot + 1);
    if let Some(snapshot) = files.snapshots.last() {
        let path = file_path(folder, *snapshot, SNAPSHOT);
        let complete = found.take(&path, Kind::Snapshot, 0);
        if complete == Some(false) {
            found.problems.push(LogError::Incomplete { path });
        }
    }
    let log = file_path(folder, first, LOG);
    if files.logs.contains(&first) {
        found.take(&log, Kind::Log, first);
    } else {
        // A log is begun before anything is answered.
        found.problems.push(LogError::NoSnapshot { path: log });
    }
    found.problems.extend(
        files
            .logs
            .iter()
            .filter(|log| **log > first)
            .map(|log| LogError::NoSnapshot { path: file_path(folder, *log, LOG) }),
    );
    Ok(found)
}

impl Surveyed {
    /// Applies a file's records; says whether the last frame is empty, or nothing where it is damaged.
    fn take(&mut self, path: &Path, kind: Kind, first: u64) -> Option<bool> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems.push(io_error("read", path)(error));
                return None;
            }
        };
        let header = frame::file_header(kind);
        if kind == Kind::Log && bytes.len() < header.len() && header.starts_with(&bytes) {
            return Some(false);
        }
        let damaged = |error| LogError::Damaged { path: path.to_owned(), error };
        let frames = Frames::open(&bytes, kind, first).map_err(|error| self.problems.push(damaged(error))).ok()?;
        let mut empty = false;
        for frame in frames {
            match frame {
                Ok(frame) => {
                    empty = frame.records.is_empty();
                    for record in &frame.records {
                        if let Err(error) = self.image.apply(record) {
                            self.problems.push(LogError::Misfit { path: path.to_owned(), error });
                        }
                    }
                }
                Err(FrameError::Damaged { at_end: true, .. }) if kind == Kind::Log => {
                    self.torn = Some(path.to_owned());
                }
                Err(error) => {
                    self.problems.push(damaged(error));
                    return None;
                }
            }
        }
        Some(empty)
    }
}

/// Writes `records` as the metadata of a folder that has none.
///
/// # Errors
/// The operating system's.
pub fn write_new(folder: &Path, records: &[Record]) -> Result<(), LogError> {
    let (mut log, _) = MetadataLog::open(folder)?;
    records.chunks(SNAPSHOT_FRAME_RECORDS).try_for_each(|chunk| log.append(&chunk.to_vec()))
}
