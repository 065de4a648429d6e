use std::fmt;

use ottla_units::{ErrorCode, Timestamp};

use crate::Codec;

/// What is wrong with a batch. Each leaf names the rule that it broke; [`BatchError::code`] is what Kafka answers for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// No whole batch at the start of the bytes: `needed` bytes are claimed or required, `available` are there.
    Truncated {
        /// Bytes that the batch takes.
        needed: usize,
        /// Bytes that there are.
        available: usize,
    },
    /// The length field is too small for a header, or negative.
    LengthTooSmall {
        /// The field.
        length: i32,
    },
    /// Magic 0 or 1: a message set from before Kafka 0.11.
    OldMagic {
        /// The magic byte.
        magic: u8,
    },
    /// A magic byte that no Kafka has written.
    UnknownMagic {
        /// The magic byte.
        magic: u8,
    },
    /// The checksum field does not match the bytes.
    ChecksumMismatch {
        /// The field.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// The attributes name a codec that does not exist.
    UnknownCodec {
        /// The lowest three bits of the attributes.
        bits: u8,
    },
    /// The same from a client whose Produce version is from before zstd: Kafka asks for the codec before it asks for the log.
    UnknownCodecEarly {
        /// The lowest three bits of the attributes.
        bits: u8,
    },
    /// zstd from a client whose Produce version is from before zstd (KIP-110).
    CodecTooNew {
        /// The codec.
        codec: Codec,
    },
    /// More than one batch where Produce allows one.
    SeveralBatches,
    /// A client's batch must begin at offset 0.
    BaseOffsetNotZero {
        /// The field.
        base_offset: i64,
    },
    /// The whole batch, as sent, is larger than the topic allows.
    TooLarge {
        /// Bytes of the batch.
        bytes: usize,
        /// Bytes that the topic allows.
        limit: usize,
    },
    /// The last offset delta is negative.
    OffsetRangeEmpty {
        /// The last offset delta.
        last_offset_delta: i32,
    },
    /// The record count is zero or negative.
    CountNotPositive {
        /// The record count.
        count: i32,
    },
    /// The offsets in the header make another number of records than the count says.
    CountDiffersFromOffsets {
        /// The record count.
        count: i32,
        /// The last offset delta.
        last_offset_delta: i32,
    },
    /// A control batch from a client.
    ControlFromClient,
    /// A producer id without a sequence.
    SequenceMissing {
        /// The base sequence.
        sequence: i32,
    },
    /// The records end before the count is reached, or inside one.
    RecordsTruncated,
    /// Bytes are left after the last record that the count announces.
    RecordsLeftOver {
        /// The record count.
        count: i32,
    },
    /// A record is malformed.
    MalformedRecord {
        /// Which one, from 0.
        index: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// A codec refuses the payload.
    Undecompressable {
        /// The codec.
        codec: Codec,
    },
    /// The payload unpacks to more than allowed.
    UnpacksTooLarge {
        /// Bytes that are allowed.
        limit: usize,
    },
    /// Some records break a rule of the topic; the whole batch is refused.
    Rejected(Box<RejectedRecords>),
}

/// What is malformed in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordFault {
    /// A variable-length integer does not end or overflows.
    Varint,
    /// The length field is negative or leaves no room for the fixed part.
    Length,
    /// Key, value or headers reach past the record's end.
    OutOfBounds,
    /// The record holds more bytes than its fields use.
    BytesLeftOver,
    /// A negative number of headers, or more than bytes.
    HeaderCount,
    /// A header without a key.
    HeaderKey,
}

/// Records of one batch that a topic's rules refuse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectedRecords {
    /// The first of them, at most [`RejectedRecords::SHOWN_MAX`].
    pub shown: Vec<RecordError>,
    /// How many there are.
    pub total: u32,
}

impl RejectedRecords {
    /// How many rejected records are listed one by one.
    pub const SHOWN_MAX: usize = 1000;
}

/// Why one record is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// A compacted topic takes no record without a key.
    KeyMissing {
        /// Which record, from 0.
        index: u32,
    },
    /// The timestamp is outside of what the topic allows.
    TimestampOutOfRange {
        /// Which record, from 0.
        index: u32,
        /// Its timestamp.
        timestamp: Timestamp,
        /// The earliest that is allowed.
        earliest: Timestamp,
        /// The latest that is allowed.
        latest: Timestamp,
    },
    /// A client set the broker's timestamp type where it may not.
    TimestampTypeSetByClient {
        /// Which record, from 0.
        index: u32,
    },
}

impl RecordError {
    /// Which record of the batch, from 0.
    pub fn index(&self) -> u32 {
        match *self {
            RecordError::KeyMissing { index }
            | RecordError::TimestampOutOfRange { index, .. }
            | RecordError::TimestampTypeSetByClient { index } => index,
        }
    }

    /// What Kafka answers for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            RecordError::KeyMissing { .. } => ErrorCode::InvalidRecord,
            RecordError::TimestampOutOfRange { .. } | RecordError::TimestampTypeSetByClient { .. } => {
                ErrorCode::InvalidTimestamp
            }
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::KeyMissing { .. } => f.write_str("Compacted topic cannot accept message without key."),
            RecordError::TimestampOutOfRange { index, timestamp, earliest, latest } => write!(
                f,
                "Timestamp {timestamp} of message with offset {index} is out of range. \
                 The timestamp should be within [{earliest}, {latest}]"
            ),
            RecordError::TimestampTypeSetByClient { index } => write!(
                f,
                "Invalid timestamp type in message with offset {index}. \
                 Producer should not set timestamp type to LogAppendTime."
            ),
        }
    }
}

impl RejectedRecords {
    /// What Kafka answers for the batch: a bad timestamp outweighs the rest (`LogValidator.processRecordErrors`).
    pub fn code(&self) -> ErrorCode {
        let bad_time = |error: &RecordError| error.code() == ErrorCode::InvalidTimestamp;
        if self.shown.iter().any(bad_time) { ErrorCode::InvalidTimestamp } else { ErrorCode::InvalidRecord }
    }
}

impl fmt::Display for RejectedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code() == ErrorCode::InvalidTimestamp {
            return f.write_str("One or more records have been rejected due to invalid timestamp");
        }
        write!(
            f,
            "One or more records have been rejected due to {} record errors in total, \
             and only showing the first three errors at most: ",
            self.total
        )?;
        for (i, error) in self.shown.iter().take(3).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{} (batch index {})", error, error.index())?;
        }
        Ok(())
    }
}

impl BatchError {
    /// What Kafka 4.3 answers to a Produce for it.
    pub fn code(&self) -> ErrorCode {
        match self {
            BatchError::LengthTooSmall { .. }
            | BatchError::UnknownMagic { .. }
            | BatchError::ChecksumMismatch { .. } => ErrorCode::CorruptMessage,
            BatchError::TooLarge { .. } | BatchError::UnpacksTooLarge { .. } => ErrorCode::MessageTooLarge,
            BatchError::CodecTooNew { .. } => ErrorCode::UnsupportedCompressionType,
            // Kafka has no code for these and says so.
            BatchError::UnknownCodec { .. }
            | BatchError::UnknownCodecEarly { .. }
            | BatchError::Undecompressable { .. } => ErrorCode::UnknownServerError,
            BatchError::Rejected(records) => records.code(),
            BatchError::Truncated { .. }
            | BatchError::OldMagic { .. }
            | BatchError::SeveralBatches
            | BatchError::BaseOffsetNotZero { .. }
            | BatchError::OffsetRangeEmpty { .. }
            | BatchError::CountNotPositive { .. }
            | BatchError::CountDiffersFromOffsets { .. }
            | BatchError::ControlFromClient
            | BatchError::SequenceMissing { .. }
            | BatchError::RecordsTruncated
            | BatchError::RecordsLeftOver { .. }
            | BatchError::MalformedRecord { .. } => ErrorCode::InvalidRecord,
        }
    }

    /// Whether Kafka refuses it before it looks at the log: such an answer carries no log start offset.
    pub fn is_early(&self) -> bool {
        matches!(
            self,
            BatchError::Truncated { .. }
                | BatchError::LengthTooSmall { .. }
                | BatchError::OldMagic { .. }
                | BatchError::UnknownMagic { .. }
                | BatchError::ChecksumMismatch { .. }
                | BatchError::UnknownCodecEarly { .. }
                | BatchError::CodecTooNew { .. }
                | BatchError::SeveralBatches
                | BatchError::TooLarge { .. }
        )
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Truncated { needed, available } => {
                write!(f, "Record batch of {needed} bytes is cut off: {available} bytes are there.")
            }
            BatchError::LengthTooSmall { length } => {
                write!(f, "Record size {length} is less than the minimum record batch overhead.")
            }
            BatchError::OldMagic { magic } => {
                write!(
                    f,
                    "Produce requests are only allowed to contain record batches with magic version 2, not {magic}."
                )
            }
            BatchError::UnknownMagic { magic } => write!(f, "Invalid magic found in record: {magic}"),
            BatchError::ChecksumMismatch { stored, computed } => {
                write!(f, "Record is corrupt (stored crc = {stored}, computed crc = {computed}).")
            }
            BatchError::UnknownCodec { bits } | BatchError::UnknownCodecEarly { bits } => {
                write!(f, "Unknown compression type id: {bits}")
            }
            BatchError::CodecTooNew { codec } => {
                write!(f, "Produce requests with version below 7 are not allowed to use {codec} compression.")
            }
            BatchError::SeveralBatches => {
                f.write_str("Produce requests are only allowed to contain exactly one record batch per partition.")
            }
            BatchError::BaseOffsetNotZero { base_offset } => {
                write!(f, "The baseOffset of the record batch in the append should be 0, but it is {base_offset}")
            }
            BatchError::TooLarge { bytes, limit } => write!(
                f,
                "The record batch size in the append is {bytes} bytes which exceeds the maximum configured value of {limit}."
            ),
            BatchError::OffsetRangeEmpty { last_offset_delta } => {
                write!(f, "Batch has an invalid offset range: [0, {last_offset_delta}].")
            }
            BatchError::CountNotPositive { count } => write!(f, "Invalid reported count for record batch: {count}."),
            BatchError::CountDiffersFromOffsets { count, last_offset_delta } => {
                write!(f, "Inconsistent batch offset range [0, {last_offset_delta}] and count of records {count}.")
            }
            BatchError::ControlFromClient => f.write_str("Clients are not allowed to write control records."),
            BatchError::SequenceMissing { sequence } => {
                write!(f, "Invalid sequence number {sequence} in record batch with a producer id.")
            }
            BatchError::RecordsTruncated => f.write_str("Incorrect declared batch size, premature EOF reached."),
            BatchError::RecordsLeftOver { count } => {
                write!(f, "Incorrect declared batch size, records still remaining after {count}.")
            }
            BatchError::MalformedRecord { index, fault } => {
                write!(f, "Found invalid record structure: record {index}, {fault}.")
            }
            BatchError::Undecompressable { codec } => write!(f, "Failed to decompress record stream ({codec})."),
            BatchError::UnpacksTooLarge { limit } => {
                write!(f, "The record batch unpacks to more than the maximum of {limit} bytes.")
            }
            BatchError::Rejected(records) => records.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordFault::Varint => "a variable-length number does not end",
            RecordFault::Length => "its length cannot be",
            RecordFault::OutOfBounds => "a field reaches past its end",
            RecordFault::BytesLeftOver => "bytes are left after its last field",
            RecordFault::HeaderCount => "its number of headers cannot be",
            RecordFault::HeaderKey => "a header has no key",
        })
    }
}
