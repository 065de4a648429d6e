//! Every parser of bytes that others wrote, as functions of bytes: what fuzzers call, and what ordinary tests call with what
//! fuzzers found. Nothing here may panic, hang, or take memory that its input does not pay for.
//!
//! Checksums are set right before parsing where there are any: a fuzzer cannot guess them, an attacker computes them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use ottla_batch::{Batch, Batches, Checks, Codec, HEADER_BYTES, TimestampType, repack, validate};
use ottla_cluster::Image;
use ottla_cluster::frame::{FILE_HEADER_BYTES, FRAME_HEADER_BYTES, Frames, Kind};
use ottla_coordinator::{Groups, Settings, subscribed_topics};
use ottla_partition::ProducerTable;
use ottla_storage::inspect::{
    FRAME_HEADER_BYTES as JOURNAL_HEADER_BYTES, FrameFound, Journal, journal as read_journal,
};
use ottla_storage::{Epochs, INDEX_ENTRY_BYTES, IndexEntry, SegmentFile, TIME_ENTRY_BYTES, TimeEntry};
use ottla_units::Timestamp;

/// One parser.
pub struct Target {
    /// Its name, that of its fuzz binary and of its corpus.
    pub name: &'static str,
    /// Gives it bytes.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident,)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name }),*];
    };
}

targets! {
    headers, produce, fetch, guard, answers, batch, records, produced, journal, index, snapshot, checkpoint, epochs, metadata,
    properties, offsets, dump, verify,
}

/// Request and response headers.
pub fn headers(bytes: &[u8]) {
    ottla_wire::fuzz::headers(bytes);
    if let Some(field) = bytes.first_chunk() {
        let _ = ottla_wire::frame::length(*field, 100 << 20);
    }
}

/// Produce requests and responses, every version.
pub fn produce(bytes: &[u8]) {
    ottla_wire::fuzz::produce(bytes);
}

/// Fetch requests and responses, every version.
pub fn fetch(bytes: &[u8]) {
    ottla_wire::fuzz::fetch(bytes);
}

/// Every other request: what the walk refuses is never decoded.
pub fn guard(bytes: &[u8]) {
    ottla_wire::fuzz::guard(bytes);
}

/// Answers that our own decoders read.
pub fn answers(bytes: &[u8]) {
    ottla_wire::fuzz::answers(bytes);
}

/// Record batches one after the other: lengths, header, checksum.
pub fn batch(bytes: &[u8]) {
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { break };
        assert!(batch.total_len() <= bytes.len());
    }
    if let Ok((batch, rest)) = Batch::parse(bytes) {
        assert_eq!(batch.total_len() + rest.len(), bytes.len());
        let _ = (batch.crc_matches(), batch.next_offset(), batch.last_sequence(), batch.attributes().codec());
    }
}

/// Bytes that one batch may unpack to here.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// A batch around `payload`: the first byte is the codec, the second the number of records. `None` for fewer bytes.
fn batch_around(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&[codec, count], payload) = bytes.split_first_chunk()?;
    let mut batch = vec![0; HEADER_BYTES];
    batch.extend_from_slice(payload);
    let length = (batch.len() - 12) as u32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    // The codec, and by its other bits the kind of time.
    batch[22] = (codec % 5) | (codec & 8);
    batch[26] = count.wrapping_sub(1);
    batch[43..57].fill(0xff);
    batch[60] = count;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(batch)
}

/// The records of a batch, of all codecs: what comes out is bounded, whatever goes in.
pub fn records(bytes: &[u8]) {
    let Some(around) = batch_around(bytes) else { return };
    let Ok((batch, _)) = Batch::parse(&around) else { return };
    let Ok(mut records) = ottla_batch::records(&batch, UNPACKED_BYTES_MAX) else { return };
    let mut seen = 0;
    while let Some(Ok(record)) = records.next() {
        seen += record.bytes;
        assert!(seen <= UNPACKED_BYTES_MAX + bytes.len());
        record.headers.for_each(drop);
    }
}

/// What a client produced, checked as a broker does; the first byte says by which rules. What passes can be written anew.
pub fn produced(bytes: &[u8]) {
    let Some((&rules, rest)) = bytes.split_first() else { return };
    let checks = Checks {
        zstd_allowed: rules & 1 == 0,
        keys_required: rules & 2 != 0,
        timestamp_type: if rules & 4 == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime },
        unpacked_bytes_max: UNPACKED_BYTES_MAX,
        ..Checks::default()
    };
    let now = Timestamp::new(1_000_000);
    let _ = validate(rest, &checks, now).is_ok();
    let mut sealed = rest.to_vec();
    if sealed.len() > HEADER_BYTES {
        let crc = crc32c::crc32c(&sealed[21..]);
        sealed[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    let inner = batch_around(rest);
    for produced in [Some(sealed), inner].into_iter().flatten() {
        let Ok(checked) = validate(&produced, &checks, now) else { continue };
        let codec = checked.batch.attributes().codec().unwrap_or(Codec::None);
        let again = repack(&checked.batch, codec, UNPACKED_BYTES_MAX).expect("what was checked can be read");
        let (again, _) = Batch::parse(&again).expect("what was built is a batch");
        assert_eq!(again.record_count(), checked.batch.record_count());
    }
}

/// Bytes of a block in journals.
const BLOCK: usize = 4096;
/// Bytes of an input that become one frame.
const SEALED_BODY_BYTES: usize = 600;

/// A journal of one file header and a frame for each part of `bytes`, its checksums right.
fn sealed_journal(bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0; BLOCK];
    file[..4].copy_from_slice(b"OTJH");
    file[8..12].copy_from_slice(&1u32.to_le_bytes());
    let crc = crc32c::crc32c(&file[8..64]);
    file[4..8].copy_from_slice(&crc.to_le_bytes());
    for (number, body) in bytes.chunks(SEALED_BODY_BYTES).enumerate() {
        let at = file.len();
        file.resize(at + JOURNAL_HEADER_BYTES, 0);
        file[at..at + 4].copy_from_slice(b"OTJF");
        file.extend_from_slice(body);
        let length = (file.len() - at) as u32;
        file[at + 8..at + 12].copy_from_slice(&length.to_le_bytes());
        file[at + 12..at + 16].copy_from_slice(&3u32.to_le_bytes());
        file[at + 32..at + 36].copy_from_slice(&(number as u32).to_le_bytes());
        // Of the entries, and then of the header behind this field.
        let crc = crc32c::crc32c_append(crc32c::crc32c(body), &file[at + 8..at + JOURNAL_HEADER_BYTES]);
        file[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        file.resize(file.len().next_multiple_of(BLOCK), 0);
    }
    file
}

/// A journal file: header, frames, entries; as it is, and as the frames of a sound file.
pub fn journal(bytes: &[u8]) {
    let sealed = sealed_journal(bytes);
    let Journal::File(_, frames) = read_journal(&sealed) else { panic!("no file header as storage writes it") };
    let sound = frames.filter(|found| matches!(found, FrameFound::Frame { .. })).count();
    assert_eq!(sound, bytes.len().div_ceil(SEALED_BODY_BYTES), "frames as storage writes them");
    for bytes in [bytes, &sealed] {
        let Journal::File(_, frames) = read_journal(bytes) else { continue };
        for frame in frames {
            if let FrameFound::Frame { at, header, entries } = frame {
                assert!(at + header.length as usize <= bytes.len());
                entries.for_each(drop);
            }
        }
    }
}

/// Entries of `.index` and `.timeindex`, names of segments: what is read is written back as it was.
pub fn index(bytes: &[u8]) {
    for entry in bytes.as_chunks::<INDEX_ENTRY_BYTES>().0 {
        assert_eq!(IndexEntry::from_bytes(entry).to_bytes(), *entry);
    }
    for entry in bytes.as_chunks::<TIME_ENTRY_BYTES>().0 {
        assert_eq!(TimeEntry::from_bytes(entry).to_bytes(), *entry);
    }
    if let Some((kind, base)) = std::str::from_utf8(bytes).ok().and_then(SegmentFile::parse) {
        assert_eq!(kind.name(base).as_bytes(), bytes);
    }
}

/// `bytes` with the checksum of what follows the field at `at` written there by `write`.
fn sealed(bytes: &[u8], at: usize, write: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    if let Some(rest) = bytes.get(at + 4..) {
        out[at..at + 4].copy_from_slice(&write(crc32c::crc32c(rest)));
    }
    out
}

/// A producers' snapshot, Kafka's or ours: what is read can be written and read again.
pub fn snapshot(bytes: &[u8]) {
    for bytes in [bytes, &sealed(bytes, 2, u32::to_be_bytes)] {
        if let Ok(table) = ProducerTable::decode(bytes, Timestamp::new(0)) {
            let again = ProducerTable::decode(&table.encode(), Timestamp::new(0)).expect("what was encoded decodes");
            assert_eq!(again.len(), table.len());
        }
    }
}

/// What storage wrote down of all logs.
pub fn checkpoint(bytes: &[u8]) {
    for bytes in [bytes, &sealed(bytes, 4, u32::to_le_bytes)] {
        let _ = ottla_storage::inspect::checkpoint(bytes);
    }
}

/// `leader-epoch-checkpoint`: what is read is written so that it reads the same.
pub fn epochs(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(epochs) = Epochs::from_file(text) {
        assert_eq!(Epochs::from_file(&epochs.to_file()), Some(epochs));
    }
}

/// The controller's log: frames of records, applied to an image. The second way takes `bytes` for the body of a sound frame.
pub fn metadata(bytes: &[u8]) {
    let mut file = ottla_cluster::frame::file_header(Kind::Log).to_vec();
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file.extend_from_slice(&crc32c::crc32c_append(crc32c::crc32c(&[0; 8]), bytes).to_le_bytes());
    file.extend_from_slice(&[0; 8]);
    file.extend_from_slice(bytes);
    assert_eq!(file.len(), FILE_HEADER_BYTES + FRAME_HEADER_BYTES + bytes.len());
    for bytes in [bytes, &file] {
        let Ok(frames) = Frames::open(bytes, Kind::Log, 0) else { continue };
        let mut image = Image::default();
        for frame in frames.map_while(Result::ok) {
            let _ = image.apply_all(&frame.records);
        }
        let records = image.snapshot();
        let mut again = Image::default();
        assert_eq!(again.apply_all(&records), Ok(()), "a snapshot can be applied");
    }
}

/// The format of `server.properties`, in which `meta.properties` is too, and each value of a setting.
pub fn properties(bytes: &[u8]) {
    let Ok(properties) = ottla::config::parse(bytes) else { return };
    for property in properties {
        if let Some(key) = ottla_cluster::config::broker_key(&property.key) {
            let _ = ottla_cluster::config::Value::parse(key, &property.value);
        }
    }
}

/// Records of `__consumer_offsets`: keys and values, and both replayed into groups. Each is preceded by its length.
pub fn offsets(bytes: &[u8]) {
    use ottla_coordinator::records::{read_group, read_key, read_offset};
    let _ = (read_key(bytes), read_offset(bytes), read_group(bytes), subscribed_topics(bytes));
    let mut groups = Groups::new(Settings::default());
    let mut rest = bytes;
    while let Some((&[key_bytes, value_bytes], more)) = rest.split_first_chunk() {
        let (key, more) = more.split_at(usize::from(key_bytes).min(more.len()));
        let (value, more) = more.split_at(usize::from(value_bytes).min(more.len()));
        let _ = groups.replay(key, (value_bytes > 0).then_some(value));
        rest = more;
    }
    groups.summaries().for_each(|summary| summary.committed().for_each(drop));
}

/// A folder in memory where there is one.
fn scratch() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let root = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    root.join(format!("ottla-fuzz-{}-{}", std::process::id(), thread.replace(|c: char| !c.is_ascii_digit(), "")))
}

fn ottla(arguments: &[&str]) {
    let _ = ottla::cli::run(std::iter::once("ottla").chain(arguments.iter().copied()).map(OsString::from));
}

/// What `ottla log dump` shows, each kind of file; the first byte picks it.
pub fn dump(bytes: &[u8]) {
    const NAMES: [&str; 8] = [
        "00000000000000000000.log",
        "00000000000000000000.index",
        "00000000000000000000.timeindex",
        "00000000000000000000.txnindex",
        "00000000000000000000.snapshot",
        "checkpoint",
        "leader-epoch-checkpoint",
        "1.journal",
    ];
    let Some((&pick, rest)) = bytes.split_first() else { return };
    let folder = scratch();
    let _ = fs::create_dir_all(&folder);
    let file = folder.join(NAMES[usize::from(pick) % NAMES.len()]);
    let content = match pick % 8 {
        4 => sealed(rest, 2, u32::to_be_bytes),
        5 => sealed(rest, 4, u32::to_le_bytes),
        7 => sealed_journal(rest),
        _ => rest.to_vec(),
    };
    fs::write(&file, content).expect("a scratch file");
    ottla(&["log", "dump", "--records", "--json", &file.to_string_lossy()]);
    let _ = fs::remove_dir_all(&folder);
}

/// What `ottla log verify` says of a data folder: the first bytes say how the others are cut into its files.
pub fn verify(bytes: &[u8]) {
    const NAMES: [&str; 6] = [
        // Without it nobody knows whose the others are, and they are not read.
        "topics/t-0/partition.metadata",
        "topics/t-0/00000000000000000000.log",
        "topics/t-0/00000000000000000000.index",
        "topics/t-0/00000000000000000000.timeindex",
        "topics/t-0/00000000000000000000.snapshot",
        "journal/0/1.journal",
    ];
    let Some((cuts, mut rest)) = bytes.split_first_chunk::<{ NAMES.len() }>() else { return };
    let folder = scratch();
    for (name, cut) in NAMES.into_iter().zip(cuts) {
        let (part, more) = rest.split_at((usize::from(*cut) * 4).min(rest.len()));
        rest = more;
        let path = folder.join(name);
        let _ = fs::create_dir_all(path.parent().unwrap_or(&folder));
        let part = if name.ends_with(".journal") { sealed_journal(part) } else { part.to_vec() };
        fs::write(&path, part).expect("a scratch file");
    }
    ottla(&["log", "verify", &folder.to_string_lossy()]);
    let _ = fs::remove_dir_all(&folder);
}
