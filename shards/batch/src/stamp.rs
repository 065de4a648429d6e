use ottla_units::{LeaderEpoch, Offset, Timestamp};

use crate::checksum::Joint;
use crate::header::CHECKSUMMED_FROM;
use crate::{Batch, HEADER_BYTES, TimestampType};

/// From how many bytes of records on a new checksum is had for less from the old one than from the records.
const SHIFTED_FROM_BYTES: usize = 2 << 10;

/// What the broker writes into a batch's header when it appends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The leadership that appends.
    pub leader_epoch: LeaderEpoch,
    /// On a topic with LogAppendTime: the time of the append.
    pub log_append_time: Option<Timestamp>,
    /// On a topic with CreateTime: the latest time of the records, where it is known. A client may have sent another one, or
    /// the bit for LogAppendTime; both are put right, as Kafka does.
    pub max_timestamp: Option<Timestamp>,
}

impl Stamp {
    /// A stamp that leaves the batch's times as they are.
    pub const fn at(base_offset: Offset, leader_epoch: LeaderEpoch) -> Stamp {
        Stamp { base_offset, leader_epoch, log_append_time: None, max_timestamp: None }
    }

    /// The times that the stored header shall have, where they are the broker's to set.
    fn times(&self) -> Option<(TimestampType, Timestamp)> {
        match (self.log_append_time, self.max_timestamp) {
            (Some(now), _) => Some((TimestampType::LogAppendTime, now)),
            (None, Some(max)) => Some((TimestampType::CreateTime, max)),
            (None, None) => None,
        }
    }

    /// The timestamp that the stored batch will show as its latest.
    pub fn stored_max_timestamp(&self, batch: &Batch<'_>) -> Timestamp {
        self.times().map_or(batch.max_timestamp(), |(_, time)| time)
    }
}

/// The header of `batch` as the log stores it. The checksum does not cover base offset and leader epoch; it changes only
/// when the times do, and only then the records are read again.
pub fn stamped_header(batch: &Batch<'_>, stamp: &Stamp) -> [u8; HEADER_BYTES] {
    let mut header = *batch.header();
    header[0..8].copy_from_slice(&stamp.base_offset.get().to_be_bytes());
    header[12..16].copy_from_slice(&stamp.leader_epoch.get().to_be_bytes());
    let Some((kind, time)) = stamp.times() else { return header };
    let attributes = batch.attributes();
    if attributes.timestamp_type() == kind && batch.max_timestamp() == time {
        return header;
    }
    header[21..23].copy_from_slice(&attributes.with_timestamp_type(kind).bits().to_be_bytes());
    header[35..43].copy_from_slice(&time.get().to_be_bytes());
    let crc = checksum(batch, &header);
    header[17..21].copy_from_slice(&crc.to_be_bytes());
    header
}

/// The checksum of a batch whose header becomes `header`. That of a large one follows from the one it has, as far as the
/// headers differ; its records are not read again.
fn checksum(batch: &Batch<'_>, header: &[u8; HEADER_BYTES]) -> u32 {
    let after = crc32c::crc32c(&header[CHECKSUMMED_FROM..]);
    let len = batch.payload().len();
    match u32::try_from(len) {
        Ok(bytes) if len >= SHIFTED_FROM_BYTES => {
            let before = crc32c::crc32c(&batch.header()[CHECKSUMMED_FROM..]);
            Joint::default().combine(before ^ after, batch.crc(), bytes)
        }
        _ => crc32c::crc32c_append(after, batch.payload()),
    }
}
