//! The batches of one segment, sound or not, and where the next one is behind bytes that are none.

use std::io;
use std::path::Path;

use ottla_batch::{Batch, BatchError, HEADER_BYTES};
use ottla_units::limits::UNCOMPRESSED_BATCH_BYTES_MAX;

use super::reader::Reader;

/// Bytes of a sector: what is skipped where the disk gives nothing.
const SECTOR_BYTES: u64 = 4096;
/// The largest batch that is looked for behind damage.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// A batch in a segment.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) position: u64,
    pub(super) bytes: u32,
    pub(super) base: i64,
    pub(super) next: i64,
    pub(super) max_time: i64,
    pub(super) epoch: i32,
    pub(super) crc: u32,
    pub(super) records: u32,
    /// Producer, its epoch, sequence of the first record.
    pub(super) producer: Option<(i64, i16, i32)>,
    /// What is wrong within it.
    pub(super) fault: Option<String>,
}

impl Place {
    pub(super) fn of(batch: &Batch<'_>, position: u64) -> Place {
        let idempotent = batch.producer_id().is_some();
        let producer = (batch.producer_id().get(), batch.producer_epoch().get(), batch.base_sequence().get());
        Place {
            position,
            bytes: u32::try_from(batch.total_len()).unwrap_or(u32::MAX),
            base: batch.base_offset().get(),
            next: batch.base_offset().get().saturating_add(i64::from(batch.last_offset_delta())).saturating_add(1),
            max_time: batch.max_timestamp().get(),
            epoch: batch.leader_epoch().get(),
            crc: batch.crc(),
            records: batch.record_count().max(0).unsigned_abs(),
            producer: idempotent.then_some(producer),
            fault: fault(batch),
        }
    }
}

/// What is wrong with a batch: checksum, counts, or one of its records, unpacked.
pub(super) fn fault(batch: &Batch<'_>) -> Option<String> {
    if !batch.crc_matches() {
        let error = BatchError::ChecksumMismatch { stored: batch.crc(), computed: batch.computed_crc() };
        return Some(error.to_string());
    }
    let (count, delta) = (batch.record_count(), batch.last_offset_delta());
    // One without records stands for offsets that were left out.
    let fits = if count == 0 { delta >= 0 } else { i64::from(delta) + 1 == i64::from(count) };
    if !fits {
        return Some(format!("{count} records with a last offset delta of {delta}"));
    }
    let mut records = match ottla_batch::records(batch, UNCOMPRESSED_BATCH_BYTES_MAX) {
        Ok(records) => records,
        Err(error) => return Some(error.to_string()),
    };
    while let Some(record) = records.next() {
        match record {
            Ok(record) if i64::from(record.offset_delta) == i64::from(record.index) => {}
            Ok(record) => return Some(format!("record {} has offset delta {}", record.index, record.offset_delta)),
            Err(error) => return Some(error.to_string()),
        }
    }
    None
}

/// Bytes that are no batch.
#[derive(Clone, Debug)]
pub(super) struct Hole {
    pub(super) position: u64,
    pub(super) bytes: u64,
    pub(super) what: String,
    /// Whether the disk refused to read them.
    pub(super) unreadable: bool,
}

/// What a segment's file holds.
#[derive(Default, Debug)]
pub(super) struct Content {
    pub(super) places: Vec<Place>,
    pub(super) holes: Vec<Hole>,
    /// Where nothing but zeros follows, up to the end of the file.
    pub(super) padding: Option<u64>,
}

/// Goes through a segment's file.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    let mut reader = Reader::open(path)?;
    let mut content = Content::default();
    let mut at = 0;
    while at < reader.size {
        match batch_at(&mut reader, at) {
            Ok(place) if place.fault.is_some() && !follows(&mut reader, &place) => {
                // Its length cannot be trusted either.
                let next = next_batch(&mut reader, at, false, place.base.max(0));
                let what = place.fault.unwrap_or_default();
                content.holes.push(Hole { position: at, bytes: next - at, what, unreadable: false });
                at = next;
            }
            Ok(place) => {
                at += u64::from(place.bytes);
                content.places.push(place);
            }
            Err((what, unreadable)) => {
                if !unreadable && zeros_to_end(&mut reader, at) {
                    content.padding = Some(at);
                    break;
                }
                let after = content.places.last().map_or(-1, |place| place.next);
                let next = next_batch(&mut reader, at, unreadable, after);
                content.holes.push(Hole { position: at, bytes: next - at, what, unreadable });
                at = next;
            }
        }
    }
    Ok(content)
}

/// The batch that begins at `at`, or why there is none, and whether the disk is why.
fn batch_at(reader: &mut Reader, at: u64) -> Result<Place, (String, bool)> {
    let left = usize::try_from(reader.size - at).unwrap_or(usize::MAX);
    let unreadable = |error: io::Error| (error.to_string(), true);
    let bytes = reader.at(at, HEADER_BYTES).map_err(unreadable)?;
    let needed = match Batch::parse(bytes) {
        Ok((batch, _)) => return Ok(Place::of(&batch, at)),
        Err(BatchError::Truncated { needed, .. }) if needed <= left => needed,
        Err(BatchError::Truncated { needed, .. }) => {
            return Err((format!("a batch of {needed} bytes where {left} are left"), false));
        }
        Err(error) => return Err((error.to_string(), false)),
    };
    let bytes = reader.at(at, needed).map_err(unreadable)?;
    match Batch::parse(bytes) {
        Ok((batch, _)) => Ok(Place::of(&batch, at)),
        Err(error) => Err((error.to_string(), false)),
    }
}

/// Whether the batch behind `place` begins where that says that it ends, in the file and in the log.
fn follows(reader: &mut Reader, place: &Place) -> bool {
    let end = place.position + u64::from(place.bytes);
    if end == reader.size {
        return true;
    }
    let base = reader.at(end, 8).ok().and_then(|bytes| bytes.first_chunk()).map(|bytes| i64::from_be_bytes(*bytes));
    base == Some(place.next) || zeros_to_end(reader, end)
}

fn zeros_to_end(reader: &mut Reader, from: u64) -> bool {
    let mut at = from;
    while at < reader.size {
        match reader.at(at, 1) {
            Ok(bytes) if bytes.is_empty() || bytes.iter().any(|byte| *byte != 0) => return false,
            Ok(bytes) => at += bytes.len() as u64,
            Err(_) => return false,
        }
    }
    true
}

/// Where the next whole batch begins behind damage at `at`; the end of the file when there is none.
fn next_batch(reader: &mut Reader, at: u64, unreadable: bool, after: i64) -> u64 {
    let mut at = if unreadable { (at / SECTOR_BYTES + 1) * SECTOR_BYTES } else { at + 1 };
    while at + (HEADER_BYTES as u64) <= reader.size {
        let Ok(bytes) = reader.at(at, HEADER_BYTES) else {
            at = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
            continue;
        };
        let candidates = bytes.windows(HEADER_BYTES).position(|header| may_begin(header, after));
        let Some(skip) = candidates else {
            at += (bytes.len() - HEADER_BYTES + 1) as u64;
            continue;
        };
        at += skip as u64;
        if batch_at(reader, at).is_ok_and(|place| place.fault.is_none()) {
            return at;
        }
        at += 1;
    }
    reader.size
}

/// Whether a batch could begin with these bytes: only then is its checksum computed.
fn may_begin(header: &[u8], after: i64) -> bool {
    let base = header.first_chunk().map_or(-1, |bytes| i64::from_be_bytes(*bytes));
    let length = header.get(8..12).and_then(|bytes| bytes.first_chunk()).map_or(-1, |bytes| i32::from_be_bytes(*bytes));
    header.get(16) == Some(&2) && base >= after.max(0) && length > 0 && (length as usize) < BATCH_BYTES_MAX
}
