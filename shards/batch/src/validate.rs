use ottla_units::Timestamp;
use ottla_units::limits::{
    UNCOMPRESSED_BATCH_BYTES_MAX, UNPACKED_AT_ONCE_BYTES_MAX, UNPACKED_BYTES_ALLOWED,
    UNPACKED_BYTES_PER_ALLOWED_BYTE_MAX, UNPACKED_BYTES_PER_BYTE_MAX,
};

use crate::header::frame_len;
use crate::records::{Glance, glance_over};
use crate::{Batch, BatchError, Builder, Codec, RecordError, Records, RejectedRecords, TimestampType, records};

/// How far a client's batch is looked into.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Depth {
    /// Header and checksum. Counts, times and the shape of the records are believed; keys are still looked for where the
    /// topic requires them.
    Header,
    /// Also each record, where they are not compressed.
    PlainRecords,
    /// Each record, as Kafka does: a compressed payload is unpacked.
    #[default]
    AllRecords,
}

/// What a topic asks of a client's batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checks {
    /// Bytes that a batch may have as sent (`max.message.bytes`: Kafka compares the whole batch).
    pub batch_bytes_max: usize,
    /// Whether the request's version may carry zstd (Produce v7 on, KIP-110).
    pub zstd_allowed: bool,
    /// Whether each record must have a key (`cleanup.policy` holds `compact`).
    pub keys_required: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_max_ms: i64,
    /// How far to look.
    pub depth: Depth,
    /// Bytes that a compressed batch may unpack to while it is looked into; see [`Checks::unpacked_bytes_max_of`].
    pub unpacked_bytes_max: usize,
}

impl Checks {
    /// Bytes that a batch of `batch_bytes` may unpack to. Kafka knows no bound here: a request of 1 MiB can keep it busy with
    /// many GiB. This one is in proportion to what was sent and to what the topic lets be sent, so that work is too.
    pub fn unpacked_bytes_max_of(&self, batch_bytes: usize) -> usize {
        let by_batch = batch_bytes.saturating_mul(UNPACKED_BYTES_PER_BYTE_MAX).max(UNPACKED_BYTES_ALLOWED);
        let by_topic =
            self.batch_bytes_max.saturating_mul(UNPACKED_BYTES_PER_ALLOWED_BYTE_MAX).max(UNPACKED_BYTES_ALLOWED);
        by_batch.min(by_topic).min(self.unpacked_bytes_max)
    }
}

/// Kafka's defaults for a topic.
impl Default for Checks {
    fn default() -> Checks {
        Checks {
            batch_bytes_max: 1_048_588,
            zstd_allowed: true,
            keys_required: false,
            timestamp_type: TimestampType::CreateTime,
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
            depth: Depth::AllRecords,
            unpacked_bytes_max: UNCOMPRESSED_BATCH_BYTES_MAX,
        }
    }
}

/// A client's batch that may be appended.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The batch.
    pub batch: Batch<'a>,
    /// The latest time of its records; −1 when none has one. `None` when the records were not looked at.
    pub max_timestamp: Option<Timestamp>,
    /// Whether Kafka would write the batch anew: it is compressed and its records are not numbered 0, 1, 2 … . See [`repack`].
    pub misnumbered: bool,
}

/// Checks what a client sent as the records of one partition, as Kafka's broker does and in its order: one whole batch of
/// magic 2 (`ProduceRequest.validateRecords`), base offset, size, checksum and codec (`UnifiedLog.analyzeAndValidateRecords`),
/// counts, no control batch, a sequence where there is a producer, and its records (`LogValidator`). Fewer than 17 bytes
/// behind the batch, or a batch cut off there, are ignored.
///
/// It allocates nothing unless records are refused one by one, or a codec's context is needed for the first time on a thread.
///
/// # Errors
/// The rule that was broken; [`BatchError::code`] is Kafka's answer.
pub fn validate<'a>(produced: &'a [u8], checks: &Checks, now: Timestamp) -> Result<Checked<'a>, BatchError> {
    let (batch, looked_into) = check_outside(produced, checks)?;
    if !looked_into {
        return check_times_of_header(batch, checks, now);
    }
    let max = checks.unpacked_bytes_max_of(batch.total_len());
    let mut seen = Seen::new(&batch, checks, now);
    glance_over(&batch, max, |record| seen.look(&record))?;
    seen.checked(batch)
}

/// As [`validate`], but gives up with [`Long`](ValidateError::Long) before it unpacks more than
/// [`UNPACKED_AT_ONCE_BYTES_MAX`]: then [`Checking`] does it in steps.
///
/// # Errors
/// Those of [`validate`], and `Long`.
pub fn validate_at_once<'a>(produced: &'a [u8], checks: &Checks, now: Timestamp) -> Result<Checked<'a>, ValidateError> {
    let at_once = Checks { unpacked_bytes_max: checks.unpacked_bytes_max.min(UNPACKED_AT_ONCE_BYTES_MAX), ..*checks };
    validate(produced, &at_once, now).map_err(|error| match error {
        BatchError::UnpacksTooLarge { limit } if limit == UNPACKED_AT_ONCE_BYTES_MAX => ValidateError::Long,
        error => ValidateError::Broken(error),
    })
}

/// Why a batch did not pass [`validate_at_once`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ValidateError {
    /// It breaks a rule.
    Broken(BatchError),
    /// It unpacks to so much that others should have turns meanwhile; nothing is wrong with it so far.
    Long,
}

/// [`validate`] in steps, for batches that unpack to much.
pub struct Checking<'a> {
    batch: Batch<'a>,
    records: Records<'a>,
    seen: Seen,
}

impl<'a> Checking<'a> {
    /// Begins with what stands outside of the records.
    ///
    /// # Errors
    /// Those of [`validate`].
    pub fn begin(produced: &'a [u8], checks: &Checks, now: Timestamp) -> Result<Checking<'a>, BatchError> {
        let (batch, _) = check_outside(produced, checks)?;
        let records = records(&batch, checks.unpacked_bytes_max_of(batch.total_len()))?;
        Ok(Checking { batch, records, seen: Seen::new(&batch, checks, now) })
    }

    /// Looks at more records, about `bytes` of them unpacked; says whether there are any left.
    ///
    /// # Errors
    /// Those of [`validate`].
    pub fn advance(&mut self, bytes: usize) -> Result<bool, BatchError> {
        let mut done = 0;
        while let Some(record) = self.records.next() {
            let record = record?;
            done += record.bytes;
            self.seen.look(&Glance::of(&record));
            if done >= bytes {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What came out, once there is nothing left.
    ///
    /// # Errors
    /// [`BatchError::Rejected`].
    pub fn finish(self) -> Result<Checked<'a>, BatchError> {
        self.seen.checked(self.batch)
    }
}

/// All that is checked before the records, in Kafka's order; and whether they are to be looked at.
fn check_outside<'a>(produced: &'a [u8], checks: &Checks) -> Result<(Batch<'a>, bool), BatchError> {
    let batch = only_batch(produced)?;
    let codec = batch.attributes().codec();
    if !checks.zstd_allowed {
        codec_before_zstd(&codec)?;
    }
    let base_offset = batch.base_offset().get();
    if base_offset != 0 {
        return Err(BatchError::BaseOffsetNotZero { base_offset });
    }
    if batch.total_len() > checks.batch_bytes_max {
        return Err(BatchError::TooLarge { bytes: batch.total_len(), limit: checks.batch_bytes_max });
    }
    let computed = batch.computed_crc();
    if batch.crc() != computed {
        return Err(BatchError::ChecksumMismatch { stored: batch.crc(), computed });
    }
    let codec = codec?;
    check_header(&batch)?;
    let looked_into = match codec {
        _ if checks.keys_required => true,
        Codec::None => checks.depth >= Depth::PlainRecords,
        _ => checks.depth >= Depth::AllRecords,
    };
    Ok((batch, looked_into))
}

/// What `ProduceRequest.validateRecords` asks below Produce v7.
fn codec_before_zstd(codec: &Result<Codec, BatchError>) -> Result<(), BatchError> {
    match *codec {
        Ok(Codec::Zstd) => Err(BatchError::CodecTooNew { codec: Codec::Zstd }),
        Err(BatchError::UnknownCodec { bits }) => Err(BatchError::UnknownCodecEarly { bits }),
        _ => Ok(()),
    }
}

fn only_batch(produced: &[u8]) -> Result<Batch<'_>, BatchError> {
    let (batch, rest) = Batch::parse(produced)?;
    match frame_len(rest) {
        Ok(needed) if needed <= rest.len() => Err(BatchError::SeveralBatches),
        Ok(_) | Err(BatchError::Truncated { .. }) => Ok(batch),
        Err(other) => Err(other),
    }
}

/// `LogValidator.validateBatch`.
fn check_header(batch: &Batch<'_>) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (batch.record_count(), batch.last_offset_delta());
    if last_offset_delta < 0 {
        return Err(BatchError::OffsetRangeEmpty { last_offset_delta });
    }
    if count <= 0 {
        return Err(BatchError::CountNotPositive { count });
    }
    if i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(BatchError::CountDiffersFromOffsets { count, last_offset_delta });
    }
    if batch.attributes().is_control() {
        return Err(BatchError::ControlFromClient);
    }
    let sequence = batch.base_sequence().get();
    if batch.producer_id().is_some() && sequence < 0 {
        return Err(BatchError::SequenceMissing { sequence });
    }
    Ok(())
}

/// What the records of a batch have shown so far.
struct Seen {
    rules: RecordRules,
    compressed: bool,
    rejected: Option<Box<RejectedRecords>>,
    max_timestamp: Timestamp,
    misnumbered: bool,
}

impl Seen {
    fn new(batch: &Batch<'_>, checks: &Checks, now: Timestamp) -> Seen {
        Seen {
            rules: RecordRules::new(batch, checks, now),
            compressed: !matches!(batch.attributes().codec(), Ok(Codec::None)),
            rejected: None,
            max_timestamp: Timestamp::NONE,
            misnumbered: false,
        }
    }

    #[inline(always)]
    fn look(&mut self, record: &Glance) {
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.misnumbered |= record.offset_delta as u32 != record.index;
        if let Some(error) = self.rules.broken_by(record.index, record.has_key, record.timestamp) {
            note(&mut self.rejected, error);
        }
    }

    fn checked(self, batch: Batch<'_>) -> Result<Checked<'_>, BatchError> {
        let misnumbered = self.misnumbered && self.compressed;
        match self.rejected {
            Some(rejected) => Err(BatchError::Rejected(rejected)),
            None => Ok(Checked { batch, max_timestamp: Some(self.max_timestamp), misnumbered }),
        }
    }
}

fn check_times_of_header<'a>(batch: Batch<'a>, checks: &Checks, now: Timestamp) -> Result<Checked<'a>, BatchError> {
    let rules = RecordRules::new(&batch, checks, now);
    let last = batch.last_offset_delta() as u32;
    let times = [(0, batch.base_timestamp()), (last, batch.max_timestamp())];
    match times.into_iter().find_map(|(index, time)| rules.broken_by(index, true, time)) {
        Some(error) => Err(BatchError::Rejected(Box::new(RejectedRecords { shown: vec![error], total: 1 }))),
        None => Ok(Checked { batch, max_timestamp: None, misnumbered: false }),
    }
}

/// The rules for one record, ready to be compared with.
struct RecordRules {
    keys_required: bool,
    /// The times that are allowed, where the client's times count.
    times: Option<(Timestamp, Timestamp)>,
    set_by_client: bool,
}

impl RecordRules {
    fn new(batch: &Batch<'_>, checks: &Checks, now: Timestamp) -> RecordRules {
        let create_time = checks.timestamp_type == TimestampType::CreateTime;
        let earliest = Timestamp::new(now.get().saturating_sub(checks.before_max_ms));
        RecordRules {
            keys_required: checks.keys_required,
            times: create_time.then(|| (earliest, now.plus(checks.after_max_ms))),
            set_by_client: batch.attributes().timestamp_type() == TimestampType::LogAppendTime,
        }
    }

    /// `LogValidator.validateKey` and `validateTimestamp`.
    #[inline(always)]
    fn broken_by(&self, index: u32, has_key: bool, timestamp: Timestamp) -> Option<RecordError> {
        if self.keys_required && !has_key {
            return Some(RecordError::KeyMissing { index });
        }
        match self.times {
            Some((earliest, latest)) if timestamp != Timestamp::NONE => {
                let outside = timestamp < earliest || timestamp > latest;
                outside.then_some(RecordError::TimestampOutOfRange { index, timestamp, earliest, latest })
            }
            _ => self.set_by_client.then_some(RecordError::TimestampTypeSetByClient { index }),
        }
    }
}

#[cold]
fn note(rejected: &mut Option<Box<RejectedRecords>>, error: RecordError) {
    let rejected = rejected.get_or_insert_with(|| Box::new(RejectedRecords { shown: Vec::new(), total: 0 }));
    rejected.total += 1;
    if rejected.shown.len() < RejectedRecords::SHOWN_MAX {
        rejected.shown.push(error);
    }
}

/// The same records in a new batch, numbered 0, 1, 2 … and compressed with `codec`; base offset and leader epoch stay to be
/// stamped. For what Kafka rewrites too: compressed batches that a client numbered wrongly.
///
/// # Errors
/// Those of reading the records.
pub fn repack(batch: &Batch<'_>, codec: Codec, unpacked_bytes_max: usize) -> Result<Vec<u8>, BatchError> {
    let attributes = batch.attributes();
    let mut builder = Builder::new()
        .producer(batch.producer_id(), batch.producer_epoch(), batch.base_sequence())
        .transactional(attributes.is_transactional())
        .control(attributes.is_control())
        .timestamp_type(attributes.timestamp_type())
        .codec(codec);
    let mut records = records(batch, unpacked_bytes_max)?;
    while let Some(record) = records.next() {
        let record = record?;
        let headers: Vec<_> = record.headers.collect();
        builder.push(record.timestamp, record.key, record.value, &headers);
    }
    Ok(builder.build())
}
