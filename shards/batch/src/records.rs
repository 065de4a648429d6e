use ottla_units::{Offset, Timestamp};

use crate::codec::{Contexts, Unpacking};
use crate::varint::{VARINT_BYTES_MAX, read_varint, read_varlong};
use crate::{Batch, BatchError, Codec, RecordFault, TimestampType};

/// The records of `batch`, one at a time. A compressed payload is unpacked piece by piece through a window that this thread
/// reuses: it holds the largest record and one step of the codec, never the whole. `unpacked_bytes_max` bounds what may come
/// out in total.
///
/// # Errors
/// [`BatchError::UnknownCodec`], [`BatchError::CountNotPositive`] for a negative count, and a payload that its codec refuses
/// at once.
pub fn records<'a>(batch: &Batch<'a>, unpacked_bytes_max: usize) -> Result<Records<'a>, BatchError> {
    let count = batch.record_count();
    let count = u32::try_from(count).map_err(|_| BatchError::CountNotPositive { count })?;
    let attributes = batch.attributes();
    let mut contexts = Contexts::take();
    let source = match Unpacking::start(attributes.codec()?, batch.payload(), &mut contexts)? {
        None => {
            contexts.give_back();
            Source::Plain(batch.payload())
        }
        Some(unpacking) => Source::Packed(Box::new(Packed {
            unpacking,
            contexts: Some(contexts),
            start: 0,
            end: 0,
            unpacked: 0,
            unpacked_max: unpacked_bytes_max,
        })),
    };
    let append_time = (attributes.timestamp_type() == TimestampType::LogAppendTime).then_some(batch.max_timestamp());
    Ok(Records {
        source,
        base_offset: batch.base_offset(),
        base_timestamp: batch.base_timestamp(),
        append_time,
        count,
        next_index: 0,
        ended: false,
    })
}

/// One record, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Which record of the batch, from 0.
    pub index: u32,
    /// Its offset, counted from the batch's base offset.
    pub offset_delta: i32,
    /// Its offset.
    pub offset: Offset,
    /// Its time: the client's, or the batch's append time.
    pub timestamp: Timestamp,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null, a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
    /// Bytes that it takes, with its length, before compression.
    pub bytes: usize,
}

/// The headers of a record: key and value of each, in order. They were checked when the record was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    count: usize,
    rest: &'a [u8],
}

impl Headers<'_> {
    /// How many there are left.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        let mut fields = Fields { rest: self.rest };
        let key = fields.bytes().ok()??;
        let value = fields.bytes().ok()?;
        self.rest = fields.rest;
        Some((key, value))
    }
}

/// A streaming iterator: a record is borrowed until the next one is asked for. See [`records`].
pub struct Records<'a> {
    source: Source<'a>,
    base_offset: Offset,
    base_timestamp: Timestamp,
    append_time: Option<Timestamp>,
    count: u32,
    next_index: u32,
    ended: bool,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Packed(Box<Packed<'a>>),
}

impl Records<'_> {
    /// The next record; `None` after the last one or after an error.
    ///
    /// # Errors
    /// [`BatchError::RecordsTruncated`], [`BatchError::MalformedRecord`], [`BatchError::Undecompressable`],
    /// [`BatchError::UnpacksTooLarge`]; after the last record [`BatchError::RecordsLeftOver`].
    #[expect(clippy::should_implement_trait, reason = "a record borrows from the iterator, which Iterator cannot say")]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Record<'_>, BatchError>> {
        if self.ended {
            return None;
        }
        if self.next_index == self.count {
            self.ended = true;
            let count = self.count as i32;
            return match self.source.is_empty() {
                Ok(true) => None,
                Ok(false) => Some(Err(BatchError::RecordsLeftOver { count })),
                Err(error) => Some(Err(error)),
            };
        }
        let index = self.next_index;
        self.next_index += 1;
        // Ended unless a record is found: an error is given once.
        self.ended = true;
        let (body, bytes) = match self.source.take_body(index) {
            Ok(body) => body,
            Err(error) => return Some(Err(error)),
        };
        match parse(body, index, bytes) {
            Ok(mut record) => {
                self.ended = false;
                record.offset = self.base_offset.plus(i64::from(record.offset_delta));
                record.timestamp = match self.append_time {
                    Some(time) => time,
                    None => Timestamp::new(self.base_timestamp.get().wrapping_add(record.timestamp.get())),
                };
                Some(Ok(record))
            }
            Err(fault) => Some(Err(BatchError::MalformedRecord { index, fault })),
        }
    }
}

impl Source<'_> {
    /// The bytes of the next record after its length, and how many it takes with it.
    #[inline]
    fn take_body(&mut self, index: u32) -> Result<(&[u8], usize), BatchError> {
        match self {
            Source::Plain(rest) => take_plain_body(rest, index),
            Source::Packed(packed) => packed.take_body(index),
        }
    }

    fn is_empty(&mut self) -> Result<bool, BatchError> {
        match self {
            Source::Plain(rest) => Ok(rest.is_empty()),
            Source::Packed(packed) => Ok(packed.start == packed.end && !packed.pull()?),
        }
    }
}

/// The bytes of the first record in `rest` after its length, and how many it takes with it; moves `rest` behind it.
#[inline(always)]
fn take_plain_body<'a>(rest: &mut &'a [u8], index: u32) -> Result<(&'a [u8], usize), BatchError> {
    let (length, length_bytes) = body_len(rest, index)?.ok_or(BatchError::RecordsTruncated)?;
    let end = length_bytes + length;
    let (taken, left) = rest.split_at_checked(end).ok_or(BatchError::RecordsTruncated)?;
    *rest = left;
    Ok((&taken[length_bytes..], end))
}

/// What a broker's rules look at in a record.
pub(crate) struct Glance {
    pub(crate) index: u32,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: Timestamp,
    pub(crate) has_key: bool,
}

impl Glance {
    #[inline(always)]
    pub(crate) fn of(record: &Record<'_>) -> Glance {
        let Record { index, offset_delta, timestamp, key, .. } = *record;
        Glance { index, offset_delta, timestamp, has_key: key.is_some() }
    }
}

/// Shows every record of `batch` to `look`, having checked its whole structure. The same as [`records`], but without
/// compression it runs in one tight loop.
pub(crate) fn glance_over(
    batch: &Batch<'_>,
    unpacked_bytes_max: usize,
    mut look: impl FnMut(Glance),
) -> Result<(), BatchError> {
    let attributes = batch.attributes();
    let is_plain = attributes.codec()? == Codec::None && attributes.timestamp_type() == TimestampType::CreateTime;
    if let (true, Ok(count)) = (is_plain, u32::try_from(batch.record_count())) {
        let base = batch.base_timestamp().get();
        let mut rest = batch.payload();
        for index in 0..count {
            let (body, bytes) = take_plain_body(&mut rest, index)?;
            let record = parse(body, index, bytes).map_err(|fault| BatchError::MalformedRecord { index, fault })?;
            let timestamp = Timestamp::new(base.wrapping_add(record.timestamp.get()));
            look(Glance { index, offset_delta: record.offset_delta, timestamp, has_key: record.key.is_some() });
        }
        let left_over = BatchError::RecordsLeftOver { count: count as i32 };
        return if rest.is_empty() { Ok(()) } else { Err(left_over) };
    }
    let mut records = records(batch, unpacked_bytes_max)?;
    while let Some(record) = records.next() {
        look(Glance::of(&record?));
    }
    Ok(())
}

/// A record's length at the start of `bytes`, and the bytes of the length; `None` when `bytes` end inside it.
#[inline(always)]
fn body_len(bytes: &[u8], index: u32) -> Result<Option<(usize, usize)>, BatchError> {
    match read_varint(bytes) {
        Some((length, taken)) => match usize::try_from(length) {
            Ok(length) => Ok(Some((length, taken))),
            Err(_) => Err(BatchError::MalformedRecord { index, fault: RecordFault::Length }),
        },
        None if bytes.len() < VARINT_BYTES_MAX => Ok(None),
        None => Err(BatchError::MalformedRecord { index, fault: RecordFault::Varint }),
    }
}

/// A compressed payload behind a sliding window.
struct Packed<'a> {
    unpacking: Unpacking<'a>,
    /// Always there until drop.
    contexts: Option<Box<Contexts>>,
    /// The part of the window that is unpacked and not yet read.
    start: usize,
    end: usize,
    /// Bytes unpacked so far, and how many may be.
    unpacked: usize,
    unpacked_max: usize,
}

impl Packed<'_> {
    fn take_body(&mut self, index: u32) -> Result<(&[u8], usize), BatchError> {
        let (length, length_bytes) = loop {
            if let Some(found) = body_len(self.unread(), index)? {
                break found;
            }
            if !self.pull()? {
                return Err(BatchError::RecordsTruncated);
            }
        };
        let end = length_bytes + length;
        while self.end - self.start < end {
            if !self.pull()? {
                return Err(BatchError::RecordsTruncated);
            }
        }
        let from = self.start;
        self.start += end;
        let window = self.contexts.as_ref().map_or(&[][..], |contexts| &contexts.window);
        Ok((&window[from + length_bytes..from + end], end))
    }

    fn unread(&self) -> &[u8] {
        self.contexts.as_ref().map_or(&[], |contexts| &contexts.window[self.start..self.end])
    }

    /// Unpacks some more behind what is not read yet; false at the end of the payload.
    fn pull(&mut self) -> Result<bool, BatchError> {
        let Some(contexts) = self.contexts.as_mut() else { return Ok(false) };
        if self.start > 0 {
            contexts.window.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let left = self.unpacked_max - self.unpacked;
        let came = self.unpacking.advance(contexts, self.end, left)?;
        if came > left {
            return Err(BatchError::UnpacksTooLarge { limit: self.unpacked_max });
        }
        self.unpacked += came;
        self.end += came;
        Ok(came > 0)
    }
}

impl Drop for Packed<'_> {
    fn drop(&mut self) {
        if let Some(contexts) = self.contexts.take() {
            contexts.give_back();
        }
    }
}

/// Reads the fields of one record's `body`; offset and timestamp are still deltas.
#[inline(always)]
fn parse(body: &[u8], index: u32, bytes: usize) -> Result<Record<'_>, RecordFault> {
    let mut fields = Fields { rest: body };
    fields.attributes()?;
    let time_delta = fields.varlong()?;
    let offset_delta = fields.varint()?;
    let key = fields.bytes()?;
    let value = fields.bytes()?;
    let headers = fields.headers()?;
    if !fields.rest.is_empty() {
        return Err(RecordFault::BytesLeftOver);
    }
    let timestamp = Timestamp::new(time_delta);
    Ok(Record { index, offset_delta, offset: Offset::ZERO, timestamp, key, value, headers, bytes })
}

/// What is left of a record's body.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline(always)]
    fn attributes(&mut self) -> Result<(), RecordFault> {
        // No attribute is defined; Kafka does not look at them.
        self.rest = self.rest.get(1..).ok_or(RecordFault::Length)?;
        Ok(())
    }

    #[inline(always)]
    fn varlong(&mut self) -> Result<i64, RecordFault> {
        let (value, taken) = read_varlong(self.rest).ok_or(RecordFault::Varint)?;
        self.rest = &self.rest[taken..];
        Ok(value)
    }

    #[inline(always)]
    fn varint(&mut self) -> Result<i32, RecordFault> {
        let (value, taken) = read_varint(self.rest).ok_or(RecordFault::Varint)?;
        self.rest = &self.rest[taken..];
        Ok(value)
    }

    /// Bytes with their length in front; a negative length is null.
    #[inline(always)]
    fn bytes(&mut self) -> Result<Option<&'a [u8]>, RecordFault> {
        let Ok(length) = usize::try_from(self.varint()?) else { return Ok(None) };
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(RecordFault::OutOfBounds)?;
        self.rest = rest;
        Ok(Some(bytes))
    }

    #[inline(always)]
    fn headers(&mut self) -> Result<Headers<'a>, RecordFault> {
        let count = usize::try_from(self.varint()?).map_err(|_| RecordFault::HeaderCount)?;
        if count == 0 {
            return Ok(Headers::default());
        }
        // Each takes two bytes at least.
        if count > self.rest.len() / 2 {
            return Err(RecordFault::HeaderCount);
        }
        let headers = Headers { count, rest: self.rest };
        for _ in 0..count {
            self.bytes()?.ok_or(RecordFault::HeaderKey)?;
            self.bytes()?;
        }
        Ok(headers)
    }
}
