//! The disk probe: measures how a disk is best written to, and chooses.
//!
//! Its files have no names: they are unlinked as soon as they are open, so that nothing is left behind, however it ends. Depth is
//! threads that each wait for one write: what a disk sees is the same as of a ring.

mod choose;
mod measure;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use choose::choose;

/// Sizes of single writes and reads.
pub(crate) const BLOCK_SIZES: [usize; 6] = [16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20];
/// Operations at once.
pub(crate) const DEPTHS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Sizes of journal frames.
pub(crate) const FRAME_SIZES: [usize; 6] = [4 << 10, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10];
/// Files that are written and flushed at once, each by itself.
pub(crate) const FILE_COUNTS: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// What one of those writes between two flushes.
pub(crate) const FILE_WRITE_BYTES: usize = 256 << 10;

/// What is probed, and how thoroughly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The folder whose disk is measured.
    pub folder: PathBuf,
    /// Bytes of the file that is written to.
    pub bytes: u64,
    /// How long one measurement takes.
    pub each: Duration,
    /// How many shards will share the disk.
    pub shards: NonZeroUsize,
}

/// A rate at some size and depth.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rate {
    /// Bytes of one operation.
    pub bytes: usize,
    /// Operations at once.
    pub depth: usize,
    /// Bytes a second, in MiB.
    pub mib_per_second: f64,
}

/// How long something takes, in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Took {
    /// Half of them are faster.
    pub median_us: f64,
    /// One of a hundred is slower.
    pub p99_us: f64,
    /// How many were measured.
    pub count: usize,
}

/// A durable write of some size, both ways, in turn.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Durable {
    /// Bytes written.
    pub bytes: usize,
    /// A write, then `fdatasync`.
    pub fdatasync: Took,
    /// One operation (`RWF_DSYNC`, as `O_DSYNC`).
    pub dsync: Took,
}

/// All that was measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Whether past the page cache: a file system without O_DIRECT is measured through it.
    pub direct: bool,
    /// How many shards the choice is for.
    pub shards: usize,
    /// A small durable write, in the chosen way, while the disk rests.
    pub idle: Took,
    /// The same while the disk is written to as fast as it can.
    pub loaded: Took,
    /// Sequential writes.
    pub writes: Vec<Rate>,
    /// Sequential reads.
    pub reads: Vec<Rate>,
    /// Durable writes.
    pub durable: Vec<Durable>,
    /// Files written and flushed at once; depth counts files.
    pub files: Vec<Rate>,
}

/// Why a disk could not be measured.
#[derive(Debug)]
pub enum ProbeError {
    /// Too little space for the file that is written to.
    Space {
        /// The folder.
        folder: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// The operating system's error.
    Io {
        /// The folder.
        folder: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        error: io::Error,
    },
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Space { folder, free, needed } => {
                write!(f, "{} has {} MiB free, {} MiB are needed", folder.display(), free >> 20, needed >> 20)
            }
            ProbeError::Io { folder, what, error } => write!(f, "cannot {what} in {}: {error}", folder.display()),
        }
    }
}

impl std::error::Error for ProbeError {}

impl Probe {
    /// How many measurements there are.
    pub fn steps() -> usize {
        1 + 2 * BLOCK_SIZES.len() * DEPTHS.len() + FRAME_SIZES.len() + FILE_COUNTS.len() + 2
    }

    /// Measures; tells `step` before each measurement what comes.
    ///
    /// # Errors
    /// When there is too little space, or the disk fails.
    pub fn run(&self, step: &mut dyn FnMut(&str)) -> Result<Measured, ProbeError> {
        self.must_have_space()?;
        let failed = |what| move |error| ProbeError::Io { folder: self.folder.clone(), what, error };
        step("filling a file");
        let (file, direct) = open(&self.folder).map_err(failed("make a file"))?;
        measure::fill(&file, self.bytes).map_err(failed("write"))?;
        let mut measured = Measured { direct, shards: self.shards.get(), ..Measured::default() };
        for bytes in BLOCK_SIZES {
            for depth in DEPTHS {
                step(&format!("writes of {} KiB, {depth} at once", bytes >> 10));
                let rate = measure::sequential(&file, self, bytes, depth, measure::Way::Write);
                measured.writes.push(rate.map_err(failed("write"))?);
                step(&format!("reads of {} KiB, {depth} at once", bytes >> 10));
                let rate = measure::sequential(&file, self, bytes, depth, measure::Way::Read);
                measured.reads.push(rate.map_err(failed("read"))?);
            }
        }
        for bytes in FRAME_SIZES {
            step(&format!("durable writes of {} KiB, both ways", bytes >> 10));
            measured.durable.push(measure::durable(&file, self, bytes).map_err(failed("flush"))?);
        }
        for count in FILE_COUNTS {
            step(&format!("{count} files written and flushed at once"));
            measured.files.push(measure::files(self, count).map_err(failed("flush"))?);
        }
        let profile = choose(&measured);
        step("a small durable write while the disk rests");
        measured.idle = measure::small(&file, self, &profile, false).map_err(failed("flush"))?;
        step("a small durable write while the disk is busy");
        measured.loaded = measure::small(&file, self, &profile, true).map_err(failed("flush"))?;
        Ok(measured)
    }

    fn must_have_space(&self) -> Result<(), ProbeError> {
        let space = rustix::fs::statvfs(&self.folder);
        let failed = |error: rustix::io::Errno| ProbeError::Io {
            folder: self.folder.clone(),
            what: "look for space",
            error: error.into(),
        };
        let space = space.map_err(failed)?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        // The file, as much again for those that are flushed side by side, and some air.
        let needed = self.bytes * 3;
        if free < needed {
            return Err(ProbeError::Space { folder: self.folder.clone(), free, needed });
        }
        Ok(())
    }
}

/// A file without a name in `folder`, past the page cache where the file system can; says whether it can.
fn open(folder: &Path) -> io::Result<(File, bool)> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = folder.join(format!(".probe-{}-{number}", std::process::id()));
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let how = |flags| OpenOptions::new().read(true).write(true).create_new(true).custom_flags(flags).open(&path);
    let (file, is_direct) = match how(direct) {
        Ok(file) => (file, true),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            // Made all the same, on some file systems.
            let _ = std::fs::remove_file(&path);
            (how(0)?, false)
        }
        Err(error) => return Err(error),
    };
    std::fs::remove_file(&path)?;
    Ok((file, is_direct))
}

#[cfg(test)]
mod tests;
