//! How records lie on disk: frames of a length, a checksum and the archived records of one decision, all or none.
//!
//! ```text
//! file  = magic "OTTLAMET" | format version u32 | kind u32 | frames
//! frame = body length u32 | CRC-32C of sequence and body u32 | sequence u64 | body: rkyv of Vec<Record>
//! ```
//! Numbers are little-endian. Sequences go up by one from frame to frame.

use rkyv::rancor;
use rkyv::util::AlignedVec;

use crate::record::{ConfigTarget, Record};

/// First bytes of every file of the metadata log.
pub const MAGIC: [u8; 8] = *b"OTTLAMET";
/// The format this code writes, and the newest it reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first frame.
pub const FILE_HEADER_BYTES: usize = 16;
/// Bytes before a frame's body.
pub const FRAME_HEADER_BYTES: usize = 16;
/// Bytes of one frame's body.
pub const FRAME_BODY_BYTES_MAX: usize = 1 << 30;
/// Bytes that the records of one decision may take: ten thousand topics take about four MiB.
pub const DECISION_BYTES_MAX: usize = 16 << 20;

/// What a file of the metadata log holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Kind {
    /// Changes since a snapshot, appended to; its end may be torn.
    Log = 1,
    /// A whole image; it is complete or invalid.
    Snapshot = 2,
}

/// What is wrong with a file of the metadata log, and at which byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// It does not begin as such a file does.
    NotAMetadataFile,
    /// A newer Ottla wrote it.
    NewerFormat {
        /// The format it has.
        found: u32,
    },
    /// A log where a snapshot should be, or the reverse.
    WrongKind {
        /// The kind it has.
        found: u32,
    },
    /// The frame here is incomplete or does not match its checksum.
    Damaged {
        /// Where the frame begins.
        offset: usize,
        /// Whether nothing but this frame's remains follow: then a write was cut short.
        at_end: bool,
    },
    /// The frame here is whole, but not the next one.
    WrongSequence {
        /// Where the frame begins.
        offset: usize,
        /// Which one should be here.
        expected: u64,
        /// Which one is.
        found: u64,
    },
    /// The frame here is whole, but its records cannot be read.
    Unreadable {
        /// Where the frame begins.
        offset: usize,
    },
    /// A decision has more records than a frame can hold.
    TooLarge {
        /// Bytes that it would take.
        bytes: usize,
    },
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FrameError::NotAMetadataFile => f.write_str("not a file of Ottla's metadata log"),
            FrameError::NewerFormat { found } => {
                write!(f, "format {found} is newer than the newest this version reads ({FORMAT_VERSION})")
            }
            FrameError::WrongKind { found } => write!(f, "a file of kind {found} does not belong here"),
            FrameError::Damaged { offset, at_end: true } => {
                write!(f, "incomplete frame at byte {offset}, the last one")
            }
            FrameError::Damaged { offset, .. } => {
                write!(f, "damaged frame at byte {offset}, with valid ones behind it")
            }
            FrameError::WrongSequence { offset, expected, found } => {
                write!(f, "frame at byte {offset} has number {found} where {expected} should be")
            }
            FrameError::Unreadable { offset } => write!(f, "records of the frame at byte {offset} cannot be read"),
            FrameError::TooLarge { bytes } => {
                write!(f, "a frame of {bytes} bytes is larger than the maximum of {FRAME_BODY_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// The first bytes of a new file.
pub fn file_header(kind: Kind) -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    header[12..].copy_from_slice(&(kind as u32).to_le_bytes());
    header
}

/// Appends one frame to `out`.
///
/// # Errors
/// The records take more than a frame holds; `out` is then as it was.
pub fn encode(sequence: u64, records: &Vec<Record>, out: &mut Vec<u8>) -> Result<(), FrameError> {
    // Writing to memory fails only when memory does.
    let body = rkyv::to_bytes::<rancor::Error>(records).map_err(|_| FrameError::TooLarge { bytes: usize::MAX })?;
    if body.len() > FRAME_BODY_BYTES_MAX {
        return Err(FrameError::TooLarge { bytes: body.len() });
    }
    let length = u32::try_from(body.len()).map_err(|_| FrameError::TooLarge { bytes: body.len() })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(sequence, &body).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&body);
    Ok(())
}

/// About how many bytes records take in a frame; never less than they do.
pub fn bytes_of(records: &[Record]) -> usize {
    /// One record without what it refers to, and the padding behind that.
    const FIXED: usize = 96;
    let texts = |record: &Record| match record {
        Record::Cluster { id } => id.len(),
        Record::Broker { listeners, rack, .. } => {
            let listeners = listeners.iter().map(|(name, host, _)| name.len() + host.len() + 32);
            listeners.sum::<usize>() + rack.as_ref().map_or(0, String::len)
        }
        Record::Topic { name, .. } => name.len(),
        Record::Partition { replicas, isr, .. } => (replicas.len() + isr.len()) * 4,
        Record::TopicRemoved { .. } | Record::ProducerIds { .. } => 0,
        Record::Config { target, key, value } => {
            let target = match target {
                ConfigTarget::Group(name) | ConfigTarget::ClientMetrics(name) => name.len(),
                _ => 0,
            };
            target + key.len() + value.as_ref().map_or(0, String::len)
        }
    };
    records.iter().map(|record| FIXED + texts(record)).sum()
}

fn checksum(sequence: u64, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sequence.to_le_bytes()), body)
}

/// One whole frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its number.
    pub sequence: u64,
    /// What it says.
    pub records: Vec<Record>,
    /// Where the next one begins.
    pub end: usize,
}

/// Reads a file's frames one after another.
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    next: u64,
}

impl<'a> Frames<'a> {
    /// Begins with a whole file, whose first frame has the number `first`.
    ///
    /// # Errors
    /// Its header is not that of a file of this kind.
    pub fn open(bytes: &'a [u8], kind: Kind, first: u64) -> Result<Frames<'a>, FrameError> {
        let word = |at: usize| read_u32(bytes, at).ok_or(FrameError::NotAMetadataFile);
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(FrameError::NotAMetadataFile);
        }
        let (version, found) = (word(8)?, word(12)?);
        if version > FORMAT_VERSION {
            return Err(FrameError::NewerFormat { found: version });
        }
        if found != kind as u32 {
            return Err(FrameError::WrongKind { found });
        }
        Ok(Frames { bytes, at: FILE_HEADER_BYTES, next: first })
    }

    /// Where the next frame begins.
    pub fn position(&self) -> usize {
        self.at
    }

    fn read(&mut self) -> Result<Frame, FrameError> {
        let offset = self.at;
        let Some((sequence, body)) = whole_frame(self.bytes, offset) else {
            let at_end = !valid_frame_after(self.bytes, offset, self.next);
            return Err(FrameError::Damaged { offset, at_end });
        };
        if sequence != self.next {
            return Err(FrameError::WrongSequence { offset, expected: self.next, found: sequence });
        }
        let mut aligned: AlignedVec = AlignedVec::with_capacity(body.len());
        aligned.extend_from_slice(body);
        let records = rkyv::from_bytes::<Vec<Record>, rancor::Error>(&aligned);
        let records = records.map_err(|_| FrameError::Unreadable { offset })?;
        self.at = offset + FRAME_HEADER_BYTES + body.len();
        self.next = sequence.saturating_add(1);
        Ok(Frame { sequence, records, end: self.at })
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<Frame, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let frame = self.read();
        if frame.is_err() {
            // What follows a bad frame is not read.
            self.bytes = &self.bytes[..self.at];
        }
        Some(frame)
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn whole_frame(bytes: &[u8], at: usize) -> Option<(u64, &[u8])> {
    let length = usize::try_from(read_u32(bytes, at)?).ok()?;
    let (crc, sequence) = (read_u32(bytes, at + 4)?, read_u64(bytes, at + 8)?);
    // Even no records at all take some bytes: zeros are not a frame.
    if length == 0 || length > FRAME_BODY_BYTES_MAX {
        return None;
    }
    let body = bytes.get(at + FRAME_HEADER_BYTES..(at + FRAME_HEADER_BYTES).checked_add(length)?)?;
    (crc == checksum(sequence, body)).then_some((sequence, body))
}

/// Whether a whole frame begins anywhere behind a damaged one: its length may be what is damaged, so every byte is tried.
/// Only numbers that can follow `damaged` are looked at, so checksums are hardly ever computed.
fn valid_frame_after(bytes: &[u8], offset: usize, damaged: u64) -> bool {
    let last = damaged.saturating_add(bytes.len() as u64 / FRAME_HEADER_BYTES as u64);
    (offset + 1..bytes.len().saturating_sub(FRAME_HEADER_BYTES)).any(|at| {
        let may_follow = read_u64(bytes, at + 8).is_some_and(|sequence| sequence > damaged && sequence <= last);
        may_follow && whole_frame(bytes, at).is_some()
    })
}
