use std::fmt;
use std::path::{Path, PathBuf};

/// What is not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// `meta.properties`.
    Identity,
    /// The metadata log or its snapshot.
    Metadata,
    /// A checkpoint of a journal folder.
    Checkpoint,
    /// A journal's header, frame or entry.
    Journal,
    /// Records between a log's segments and its journal entries are nowhere.
    JournalGap,
    /// A batch, or bytes where one should be.
    Batch,
    /// A whole batch at the wrong offset, or offsets that no batch has.
    Offsets,
    /// A segment that is missing, shorter than it was, or another one.
    Segment,
    /// An entry of an index.
    Index,
    /// An entry of a time index.
    TimeIndex,
    /// A producers' state.
    Snapshot,
    /// `leader-epoch-checkpoint`.
    Epochs,
    /// `partition.metadata`.
    Owner,
    /// A file of a newer format.
    NewerFormat,
    /// The system cannot read it.
    Unreadable,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Identity => "identity",
            Kind::Metadata => "metadata",
            Kind::Checkpoint => "checkpoint",
            Kind::Journal => "journal",
            Kind::JournalGap => "journal-gap",
            Kind::Batch => "batch",
            Kind::Offsets => "offsets",
            Kind::Segment => "segment",
            Kind::Index => "index",
            Kind::TimeIndex => "time-index",
            Kind::Snapshot => "snapshot",
            Kind::Epochs => "epochs",
            Kind::Owner => "owner",
            Kind::NewerFormat => "newer-format",
            Kind::Unreadable => "unreadable",
        }
    }

    /// What to do about it.
    pub fn next(self) -> &'static str {
        match self {
            Kind::Identity => {
                "write the file again by hand (docs/format.md), or copy the folder with `ottla log salvage`"
            }
            Kind::Metadata => "`ottla log salvage` keeps what is sound and finds topics again by their folders",
            Kind::Checkpoint => "a start without it scans every last segment: `--set ottla.journal.accept.loss=true`",
            Kind::Journal | Kind::JournalGap => {
                "a start refuses this; `ottla log salvage` copies what is sound, `--set ottla.journal.accept.loss=true` starts without the rest"
            }
            Kind::Batch | Kind::Offsets | Kind::Segment => {
                "readers of these offsets get an error, others are served; `ottla log salvage` copies everything else, and these where the journal has them"
            }
            Kind::Index | Kind::TimeIndex => {
                "nothing: the next read that meets it scans the segment and writes both indexes anew"
            }
            Kind::Snapshot => "nothing: a start reads the producers from the batches instead",
            Kind::Epochs => "nothing on one broker: a start reads leaderships from the batches",
            Kind::Owner => "a start sets a folder aside that names another topic; compare with `ottla topic list`",
            Kind::NewerFormat => "use the version of ottla that wrote it, or a newer one",
            Kind::Unreadable => "look at the disk: `dmesg`, `smartctl`; then `ottla log salvage` onto another one",
        }
    }
}

/// One place that is not as it should be.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The file or folder.
    pub file: PathBuf,
    /// The place in the file, in bytes.
    pub position: u64,
    /// The offsets that it is about: from, to (not included).
    pub offsets: Option<(i64, i64)>,
    /// What is wrong, in words.
    pub what: String,
}

impl Finding {
    pub(super) fn new(kind: Kind, file: &Path, position: u64, what: impl fmt::Display) -> Finding {
        Finding { kind, file: file.to_owned(), position, offsets: None, what: what.to_string() }
    }

    pub(super) fn about(mut self, from: i64, to: i64) -> Finding {
        self.offsets = Some((from, to));
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: at {}: ", self.file.display(), self.position)?;
        if let Some((from, to)) = self.offsets {
            write!(f, "offsets {from} to {}: ", to - 1)?;
        }
        f.write_str(&self.what)
    }
}
