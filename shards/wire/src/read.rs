use ottla_units::{TopicId, limits};

use crate::WireError;

/// Where something lies in the bytes it was decoded from. Cheaper to keep than a slice: it borrows nothing, so that a
/// vector of decoded entries can be reused and a frame can move to another core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
}

impl Span {
    /// As a range of indices.
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// In bytes.
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it holds no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The bytes it names in `body`, which must be what it was decoded from; nothing if it lies outside.
    pub fn of(self, body: &[u8]) -> &[u8] {
        body.get(self.range()).unwrap_or_default()
    }

    /// The text it names in `body`; nothing if it is not text. Decoders check that strings are UTF-8.
    pub fn text(self, body: &[u8]) -> &str {
        std::str::from_utf8(self.of(body)).unwrap_or_default()
    }
}

/// Takes Kafka's primitive types from bytes, one after the other. Every length is checked against what is left.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first of `bytes`. Frames are shorter than 2 GiB, so that positions fit [`Span`].
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// That nothing is left.
    pub const fn finish(&self) -> Result<(), WireError> {
        if self.remaining() == 0 { Ok(()) } else { Err(WireError::LeftOver(self.remaining())) }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let taken = self.bytes[self.at..].get(..count);
        let taken = taken.ok_or(WireError::Truncated { needed: count, remaining: self.remaining() })?;
        self.at += count;
        Ok(taken)
    }

    /// Passes over the next `count` bytes and says where they lie.
    #[inline]
    pub fn span(&mut self, count: usize) -> Result<Span, WireError> {
        let start = self.at;
        self.take(count)?;
        Ok(Span { start: start as u32, end: self.at as u32 })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let short = WireError::Truncated { needed: N, remaining: self.remaining() };
        let taken = *self.bytes[self.at..].first_chunk::<N>().ok_or(short)?;
        self.at += N;
        Ok(taken)
    }

    /// INT8.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, WireError> {
        self.array().map(i8::from_be_bytes)
    }

    /// INT16.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// INT64.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_be_bytes)
    }

    /// UUID, as a topic's id.
    #[inline]
    pub fn topic_id(&mut self) -> Result<TopicId, WireError> {
        self.array().map(TopicId::from_bytes)
    }

    /// UNSIGNED_VARINT: at most five bytes. Kafka's reader drops bits above the 32nd; here they are refused.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, WireError> {
        let first = self.array::<1>()?[0];
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        self.uvarint_rest(u32::from(first & 0x7f))
    }

    fn uvarint_rest(&mut self, low: u32) -> Result<u32, WireError> {
        let mut value = low;
        for shift in [7, 14, 21, 28] {
            let byte = self.array::<1>()?[0];
            if shift == 28 && byte > 0x0f {
                return Err(WireError::VarintTooLong);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::VarintTooLong)
    }

    /// The length before a string: none for null.
    #[inline]
    pub fn string_length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        let length = if flexible { self.compact_length()? } else { signed_length(i32::from(self.i16()?))? };
        match length {
            Some(bytes) if bytes > limits::STRING_BYTES_MAX => Err(WireError::StringTooLong(bytes)),
            length => Ok(length),
        }
    }

    /// The length before bytes or records, or the count before an array: none for null.
    #[inline]
    pub fn length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible { self.compact_length() } else { signed_length(self.i32()?) }
    }

    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    /// The count before an array whose elements take at least `element_bytes_min` bytes each; none for null. It never
    /// exceeds what the bytes left can hold.
    #[inline]
    pub fn nullable_count(&mut self, flexible: bool, element_bytes_min: usize) -> Result<Option<usize>, WireError> {
        let Some(count) = self.length(flexible)? else { return Ok(None) };
        if count > limits::ARRAY_ELEMENTS_MAX {
            return Err(WireError::TooManyElements(count));
        }
        let needed = count * element_bytes_min.max(1);
        if needed > self.remaining() {
            return Err(WireError::Truncated { needed, remaining: self.remaining() });
        }
        Ok(Some(count))
    }

    /// As [`Reader::nullable_count`], null refused.
    #[inline]
    pub fn count(&mut self, flexible: bool, element_bytes_min: usize) -> Result<usize, WireError> {
        self.nullable_count(flexible, element_bytes_min)?.ok_or(WireError::UnexpectedNull)
    }

    /// A string that may be null: where it lies. It is UTF-8.
    #[inline]
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<Span>, WireError> {
        let Some(length) = self.string_length(flexible)? else { return Ok(None) };
        let start = self.at;
        let bytes = self.take(length)?;
        if std::str::from_utf8(bytes).is_err() {
            return Err(WireError::NotUtf8);
        }
        Ok(Some(Span { start: start as u32, end: self.at as u32 }))
    }

    /// A string: where it lies. It is UTF-8.
    #[inline]
    pub fn string(&mut self, flexible: bool) -> Result<Span, WireError> {
        self.nullable_string(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// Bytes or records that may be null: where they lie.
    #[inline]
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Span>, WireError> {
        match self.length(flexible)? {
            Some(length) => self.span(length).map(Some),
            None => Ok(None),
        }
    }

    /// Passes over the tagged fields that end a structure, when `flexible`.
    #[inline]
    pub fn skip_tags(&mut self, flexible: bool) -> Result<(), WireError> {
        if !flexible { Ok(()) } else { self.tags(|_, _| Ok(false)) }
    }

    /// Goes through the tagged fields that end a structure. `field` gets each tag with a reader of its content, and says
    /// whether it knows that tag; if so it must have read all of it.
    pub fn tags(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.uvarint()? as usize;
        if count > limits::TAGGED_FIELDS_MAX {
            return Err(WireError::TooManyTaggedFields(count));
        }
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let end = self.span(size)?.end as usize;
            // Positions stay those of the whole, so that spans taken inside the field are right.
            let mut content = Reader { bytes: &self.bytes[..end], at: end - size };
            if field(tag, &mut content)? && content.remaining() != 0 {
                return Err(WireError::TaggedFieldSize { tag, size });
            }
        }
        Ok(())
    }
}

fn signed_length(length: i32) -> Result<Option<usize>, WireError> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| WireError::NegativeLength(length)),
    }
}

#[cfg(test)]
mod tests;
