use ottla_units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::{BatchError, Codec};

/// Bytes of a batch before its records: base offset … record count.
pub const HEADER_BYTES: usize = 61;
/// Bytes up to and including the length field, which counts what follows it.
const LENGTH_END: usize = 12;
/// Bytes up to and including the magic byte; with fewer nothing can be said of a batch.
const MAGIC_END: usize = 17;
/// Where the checksummed part begins.
pub const CHECKSUMMED_FROM: usize = 21;
/// The smallest length field that any version of a batch had (magic 0).
const LENGTH_FIELD_MIN: i32 = 14;

/// What a timestamp in a batch means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// The client's time of each record.
    #[default]
    CreateTime,
    /// The broker's time of the append, the same for the whole batch.
    LogAppendTime,
}

/// The attributes of a batch: codec (bits 0–2), timestamp type (3), transactional (4), control (5), delete horizon (6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(i16);

impl Attributes {
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// Attributes from their field.
    pub const fn new(bits: i16) -> Attributes {
        Attributes(bits)
    }

    /// The field.
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`].
    pub fn codec(self) -> Result<Codec, BatchError> {
        let bits = (self.0 & 7) as u8;
        Codec::from_bits(bits).ok_or(BatchError::UnknownCodec { bits })
    }

    /// What the timestamps mean.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & Attributes::LOG_APPEND_TIME != 0 { TimestampType::LogAppendTime } else { TimestampType::CreateTime }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.0 & Attributes::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records (the end of a transaction).
    pub const fn is_control(self) -> bool {
        self.0 & Attributes::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which compaction may drop tombstones (KIP-534).
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & Attributes::DELETE_HORIZON != 0
    }

    /// The same with another codec.
    #[must_use]
    pub const fn with_codec(self, codec: Codec) -> Attributes {
        Attributes((self.0 & !7) | codec.bits() as i16)
    }

    /// The same with another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, kind: TimestampType) -> Attributes {
        match kind {
            TimestampType::CreateTime => Attributes(self.0 & !Attributes::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Attributes(self.0 | Attributes::LOG_APPEND_TIME),
        }
    }

    /// The same, transactional or not.
    #[must_use]
    pub const fn with_transactional(self, yes: bool) -> Attributes {
        self.with_bit(Attributes::TRANSACTIONAL, yes)
    }

    /// The same, control batch or not.
    #[must_use]
    pub const fn with_control(self, yes: bool) -> Attributes {
        self.with_bit(Attributes::CONTROL, yes)
    }

    const fn with_bit(self, bit: i16, yes: bool) -> Attributes {
        if yes { Attributes(self.0 | bit) } else { Attributes(self.0 & !bit) }
    }
}

/// One whole batch, borrowed. Its length is known to be right; everything else is as found.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// The header, apart so that its fields are read without a bounds check that could fail.
    header: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl<'a> Batch<'a> {
    /// The first batch in `bytes` and what follows it. Checks the length field and the magic byte, nothing else.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] when `bytes` end before the batch does, [`BatchError::LengthTooSmall`],
    /// [`BatchError::OldMagic`], [`BatchError::UnknownMagic`].
    pub fn parse(bytes: &'a [u8]) -> Result<(Batch<'a>, &'a [u8]), BatchError> {
        let needed = frame_len(bytes)?;
        let magic = bytes[MAGIC_END - 1];
        if bytes.len() < needed {
            return Err(BatchError::Truncated { needed, available: bytes.len() });
        }
        if magic < 2 {
            return Err(BatchError::OldMagic { magic });
        }
        let (bytes, rest) = bytes.split_at(needed);
        let length = (needed - LENGTH_END) as i32;
        let header = bytes.first_chunk().ok_or(BatchError::LengthTooSmall { length })?;
        Ok((Batch { header, bytes }, rest))
    }

    /// The whole batch.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its first 61 bytes.
    pub fn header(&self) -> &'a [u8; HEADER_BYTES] {
        self.header
    }

    /// Bytes of the whole batch.
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// The records as stored, compressed or not.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.header[at..at + N]);
        field
    }

    /// The offset of the first record that the batch had when it was appended.
    pub fn base_offset(&self) -> Offset {
        Offset::new(i64::from_be_bytes(self.field(0)))
    }

    /// The leadership that appended it.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch::new(i32::from_be_bytes(self.field(12)))
    }

    /// The version of the format: always 2.
    pub fn magic(&self) -> u8 {
        self.header[16]
    }

    /// The checksum field.
    pub fn crc(&self) -> u32 {
        checksum(self.header)
    }

    /// The attributes.
    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from_be_bytes(self.field(21)))
    }

    /// The last offset, counted from the base offset; stays when compaction removes records.
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.field(23))
    }

    /// The time that the records' deltas count from.
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp::new(i64::from_be_bytes(self.field(27)))
    }

    /// The latest time of a record, or the append time.
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp::new(i64::from_be_bytes(self.field(35)))
    }

    /// Who wrote it, if idempotent.
    pub fn producer_id(&self) -> ProducerId {
        ProducerId::new(i64::from_be_bytes(self.field(43)))
    }

    /// The incarnation of the producer.
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch::new(i16::from_be_bytes(self.field(51)))
    }

    /// The first record's sequence.
    pub fn base_sequence(&self) -> Sequence {
        Sequence::new(i32::from_be_bytes(self.field(53)))
    }

    /// How many records it says to hold.
    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(self.field(57))
    }

    /// The last offset that it covers.
    pub fn last_offset(&self) -> Offset {
        self.base_offset().plus(i64::from(self.last_offset_delta()))
    }

    /// The offset after it.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// The last record's sequence; none where there is no sequence.
    pub fn last_sequence(&self) -> Sequence {
        let base = self.base_sequence();
        if base.get() < 0 { Sequence::NONE } else { base.plus(self.last_offset_delta().max(0)) }
    }

    /// The checksum of the bytes as they are.
    pub fn computed_crc(&self) -> u32 {
        crc_fast::crc32_iscsi(&self.bytes[CHECKSUMMED_FROM..])
    }

    /// Whether the checksum field matches the bytes.
    pub fn crc_matches(&self) -> bool {
        self.crc() == self.computed_crc()
    }
}

/// The checksum field of a header that stands apart from its records; it covers all from [`CHECKSUMMED_FROM`] on.
pub fn checksum(header: &[u8; HEADER_BYTES]) -> u32 {
    u32::from_be_bytes([header[17], header[18], header[19], header[20]])
}

/// How many bytes the batch at the start of `bytes` takes, by its length field, once its magic byte is known to be one
/// (`ByteBufferLogInputStream.nextBatchSize`).
pub(crate) fn frame_len(bytes: &[u8]) -> Result<usize, BatchError> {
    let truncated = |needed| BatchError::Truncated { needed, available: bytes.len() };
    let length = bytes.get(8..LENGTH_END).and_then(|field| field.first_chunk()).ok_or(truncated(LENGTH_END))?;
    let length = i32::from_be_bytes(*length);
    if length < LENGTH_FIELD_MIN {
        return Err(BatchError::LengthTooSmall { length });
    }
    let needed = LENGTH_END + length as usize;
    match bytes.get(MAGIC_END - 1) {
        None => Err(truncated(needed)),
        Some(&magic) if magic > 2 => Err(BatchError::UnknownMagic { magic }),
        Some(_) => Ok(needed),
    }
}

/// The batches that lie one after another in some bytes. Ends at the first that is not whole: what is left then is in
/// [`Batches::rest`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Over the batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Batches<'a> {
        Batches { rest: bytes, failed: false }
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        match Batch::parse(self.rest) {
            Ok((batch, rest)) => {
                self.rest = rest;
                Some(Ok(batch))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}
