//! What a run met: a simulation that never meets a torn frame proves nothing about torn frames.

use std::fmt;

macro_rules! paths {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What can happen.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Path { $($(#[doc = $doc])* $name,)* }

        impl Path {
            pub(crate) const ALL: &[Path] = &[$(Path::$name,)*];
        }
    };
}

paths! {
    /// A batch went through the journal.
    Framed,
    /// A batch went past the journal.
    Bulk,
    /// Several batches shared one frame.
    Shared,
    /// A log began a new segment.
    Rolled,
    /// Old segments were removed.
    Trimmed,
    /// A topic was deleted and made again.
    Deleted,
    /// A journal file was used again.
    Recycled,
    /// An append had to wait for room.
    Busy,
    /// A log was written out while it grew.
    WrittenOut,
    /// A segment was flushed only for the journal's sake.
    Released,
    /// Records were read from files.
    ColdRead,
    /// A store stopped cleanly.
    Stopped,
    /// A start after a clean stop read no journal.
    CleanStart,
    /// Recovery read frames.
    Frames,
    /// Recovery brought batches from the journal into segments.
    Restored,
    /// Recovery met a frame that was not finished.
    TornFrame,
    /// A crash came during recovery.
    CrashInRecovery,
    /// A crash came while stores stopped.
    CrashInStop,
    /// The process died, the disk lived on.
    ProcessDied,
    /// The power failed.
    PowerFailed,
    /// The number of shards changed between two starts.
    Resharded,
    /// A crash took batches that nobody was promised.
    Unpromised,
    /// A crash left batches that nobody was promised.
    Survived,
    /// A producer repeated a batch that was there.
    Repeated,
    /// A producer repeated a batch that a crash took.
    Resent,
    /// A folder of a deleted topic was removed, or set aside, by recovery.
    Leftover,
    /// A leadership changed within a log.
    Epochs,
    /// The disk was full.
    Full,
    /// The disk failed a read, a write or a flush.
    IoError,
    /// Storage failed, and refused everything afterwards.
    Failed,
    /// Bytes changed on the disk.
    Rot,
    /// A recovery refused to start with damage.
    RefusedDamage,
    /// A read refused damage.
    ReadDamage,
}

/// How often each happened.
#[derive(Clone, Debug)]
pub(crate) struct Coverage([u64; Path::ALL.len()]);

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage([0; Path::ALL.len()])
    }
}

impl Coverage {
    pub(crate) fn hit(&mut self, path: Path) {
        self.0[path as usize] += 1;
    }

    pub(crate) fn hit_if(&mut self, path: Path, happened: bool) {
        self.0[path as usize] += u64::from(happened);
    }

    pub(crate) fn add(&mut self, other: &Coverage) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    pub(crate) fn missing(&self) -> Vec<Path> {
        Path::ALL.iter().copied().filter(|path| self.0[*path as usize] == 0).collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in Path::ALL {
            writeln!(f, "  {:<16} {:>10}", format!("{path:?}"), self.0[*path as usize])?;
        }
        Ok(())
    }
}
