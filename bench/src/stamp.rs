//! What every batch carries so that its way can be followed: who sent it, its number, when it was due and sent, and a
//! checksum of the rest.
//!
//! It stands at the start of the first record's value. A compressed batch is prepared once and compressed once, so there it
//! stands in header fields that a broker ignores without a producer id: sequence, epoch, and the two timestamps.
//! Stamping costs the same for any size of batch: the checksum of what follows the stamp is known, and a batch's own CRC is put
//! together from the two parts.

use ottla_batch::{HEADER_BYTES, varint};

/// Bytes of the stamp in a value.
pub const STAMP_BYTES: usize = 40;
/// Bytes of a batch that hold header, first record's head, a key of up to 24 bytes, and the stamp.
pub const LOOK_BYTES: usize = HEADER_BYTES + 48 + STAMP_BYTES;

const MAGIC: [u8; 4] = *b"OTLB";
/// Where a batch's CRC stands, and from where on it counts.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
/// Where the header's last field of a stamp in the header ends.
const HEADER_STAMP_END: usize = 57;

/// A batch's stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Who sent it.
    pub producer: u32,
    /// Its number among those of this producer and partition, from 0. In a compressed batch only the lowest 20 bits.
    pub sequence: u64,
    /// When it was due, on the clock of the run.
    pub due_ns: u64,
    /// When it was sent; in a compressed batch, when it was due.
    pub sent_ns: u64,
    /// CRC32C of what follows the stamp; `None` in a compressed batch, whose own CRC covers all.
    pub rest_crc: Option<u32>,
}

/// Bits of a sequence that fit into a header.
const HEADER_SEQUENCE_BITS: u32 = 20;

impl Stamp {
    /// The whole number of which a compressed batch carries the lowest bits, nearest to the one `expected`.
    pub fn sequence_near(&self, expected: u64) -> u64 {
        if self.rest_crc.is_some() {
            return self.sequence;
        }
        let range = 1u64 << HEADER_SEQUENCE_BITS;
        let ahead = self.sequence.wrapping_sub(expected) & (range - 1);
        if ahead < range / 2 { expected + ahead } else { (expected + ahead).saturating_sub(range) }
    }
}

/// Where in records (as they lie in an uncompressed batch) the first one's value begins.
pub fn first_value(records: &[u8]) -> Option<usize> {
    let mut at = varint::read_varint(records)?.1 + 1;
    at += varint::read_varlong(records.get(at..)?)?.1;
    at += varint::read_varint(records.get(at..)?)?.1;
    let (key, used) = varint::read_varint(records.get(at..)?)?;
    at += used + usize::try_from(key).unwrap_or(0);
    at += varint::read_varint(records.get(at..)?)?.1;
    Some(at)
}

/// Whether a batch with these attributes is compressed.
fn is_compressed(batch: &[u8]) -> bool {
    batch.get(22).is_some_and(|attributes| attributes & 7 != 0)
}

/// The stamp of a batch of which the first [`LOOK_BYTES`] (or all of it) are here, and how many bytes lie up to its end.
/// `wall_ms` is the wall clock when the run's clock was 0. `None`: it has none, or a damaged one.
pub fn read(batch: &[u8], wall_ms: i64) -> Option<(Stamp, usize)> {
    if batch.len() < HEADER_BYTES {
        return None;
    }
    if is_compressed(batch) { read_header(batch, wall_ms) } else { read_value(batch) }
}

fn read_value(batch: &[u8]) -> Option<(Stamp, usize)> {
    let at = HEADER_BYTES + first_value(&batch[HEADER_BYTES..])?;
    let stamp: &[u8; STAMP_BYTES] = batch.get(at..)?.first_chunk()?;
    let u32_at = |at: usize| stamp[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
    let u64_at = |at: usize| stamp[at..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    if stamp[..4] != MAGIC || crc32c::crc32c(&stamp[..36]) != u32_at(36)? {
        return None;
    }
    let read = Stamp {
        producer: u32_at(4)?,
        sequence: u64_at(8)?,
        due_ns: u64_at(16)?,
        sent_ns: u64_at(24)?,
        rest_crc: Some(u32_at(32)?),
    };
    Some((read, at + STAMP_BYTES))
}

/// In the header: 46 bits over sequence (31) and epoch (15): number (20), producer (16), microseconds (10).
fn read_header(batch: &[u8], wall_ms: i64) -> Option<(Stamp, usize)> {
    let ms = i64::from_be_bytes(*batch[27..].first_chunk()?);
    let epoch = u16::from_be_bytes(*batch[51..].first_chunk()?);
    let high = u32::from_be_bytes(*batch[53..].first_chunk()?);
    if epoch >> 15 != 0 || high >> 31 != 0 {
        return None;
    }
    let bits = u64::from(high) << 15 | u64::from(epoch);
    // On another run's clock it may have been due before that began.
    let due_us = u64::try_from(ms.saturating_sub(wall_ms)).unwrap_or(0).checked_mul(1000)? + (bits & 0x3ff);
    let due_ns = due_us.checked_mul(1000)?;
    let (producer, sequence) = ((bits >> 10) as u32 & 0xffff, bits >> 26);
    Some((Stamp { producer, sequence, due_ns, sent_ns: due_ns, rest_crc: None }, HEADER_BYTES))
}

/// What turns the CRC of a text into that of the text with so many bytes of CRC 0 behind it: XOR of one word for each bit.
#[derive(Clone, Debug)]
struct Shift([u32; 32]);

impl Shift {
    fn over(bytes: usize) -> Shift {
        Shift(std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, bytes)))
    }

    fn apply(&self, crc: u32) -> u32 {
        let mut bits = crc;
        let mut shifted = 0;
        while bits != 0 {
            shifted ^= self.0[bits.trailing_zeros() as usize];
            bits &= bits - 1;
        }
        shifted
    }
}

/// How to stamp one prepared batch.
#[derive(Clone, Debug)]
pub struct Stamper {
    /// Where the stamp begins; `None`: in the header.
    value_at: Option<usize>,
    /// From where on bytes never change.
    rest_at: usize,
    rest_crc: u32,
    shift: Shift,
}

impl Stamper {
    /// For this batch, which must hold a value of at least [`STAMP_BYTES`] unless it is compressed.
    pub fn of(batch: &[u8]) -> Option<Stamper> {
        let value_at =
            if is_compressed(batch) { None } else { Some(HEADER_BYTES + first_value(batch.get(HEADER_BYTES..)?)?) };
        let rest_at = value_at.map_or(HEADER_STAMP_END, |at| at + STAMP_BYTES);
        let rest = batch.get(rest_at..)?;
        Some(Stamper { value_at, rest_at, rest_crc: crc32c::crc32c(rest), shift: Shift::over(rest.len()) })
    }

    /// Stamps the batch in place and sets its CRC. `stamp.rest_crc` is not looked at.
    pub fn stamp(&self, batch: &mut [u8], stamp: &Stamp, wall_ms: i64) {
        match self.value_at {
            Some(at) => self.write_value(&mut batch[at..at + STAMP_BYTES], stamp),
            None => write_header(batch, stamp, wall_ms),
        }
        let crc = self.shift.apply(crc32c::crc32c(&batch[CRC_FROM..self.rest_at])) ^ self.rest_crc;
        batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    }

    fn write_value(&self, out: &mut [u8], stamp: &Stamp) {
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&stamp.producer.to_be_bytes());
        out[8..16].copy_from_slice(&stamp.sequence.to_be_bytes());
        out[16..24].copy_from_slice(&stamp.due_ns.to_be_bytes());
        out[24..32].copy_from_slice(&stamp.sent_ns.to_be_bytes());
        out[32..36].copy_from_slice(&self.rest_crc.to_be_bytes());
        let crc = crc32c::crc32c(&out[..36]);
        out[36..40].copy_from_slice(&crc.to_be_bytes());
    }
}

fn write_header(batch: &mut [u8], stamp: &Stamp, wall_ms: i64) {
    let due_us = stamp.due_ns / 1000;
    let ms = wall_ms + (due_us / 1000) as i64;
    let number = stamp.sequence & ((1 << HEADER_SEQUENCE_BITS) - 1);
    let bits = number << 26 | u64::from(stamp.producer & 0xffff) << 10 | (due_us % 1000);
    for at in [27, 35] {
        batch[at..at + 8].copy_from_slice(&ms.to_be_bytes());
    }
    batch[51..53].copy_from_slice(&((bits & 0x7fff) as u16).to_be_bytes());
    batch[53..57].copy_from_slice(&((bits >> 15) as u32).to_be_bytes());
}

#[cfg(test)]
mod tests;
