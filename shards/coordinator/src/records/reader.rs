use super::RecordError;

/// Reads Kafka's primitive types from bytes that nobody vouches for. Once a version of 4 or more was read, strings,
/// bytes and arrays are compact.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    compact: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, compact: false }
    }

    /// A value's version, at most `newest`.
    pub(crate) fn version(&mut self, newest: i16) -> Result<i16, RecordError> {
        let version = self.i16()?;
        if !(0..=newest).contains(&version) {
            return Err(RecordError::UnknownVersion(version));
        }
        self.compact = version >= 4;
        Ok(version)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn string(&mut self) -> Result<String, RecordError> {
        self.nullable_string()?.ok_or(RecordError::Truncated)
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, RecordError> {
        let length = if self.compact { self.compact_length()? } else { i64::from(self.i16()?) };
        if length < 0 {
            return Ok(None);
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(|text| Some(text.to_owned())).map_err(|_| RecordError::NotText)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = if self.compact { self.compact_length()? } else { i64::from(self.i32()?) };
        self.take(length)
    }

    /// An array's count; the caller reads elements one by one, so that a false count reserves nothing.
    pub(crate) fn count(&mut self) -> Result<i64, RecordError> {
        if self.compact { self.compact_length() } else { self.i32().map(i64::from) }
    }

    /// Tagged fields, where the version has them.
    pub(crate) fn tags(&mut self, mut each: impl FnMut(u32, &'a [u8])) -> Result<(), RecordError> {
        if !self.compact {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let length = self.varint()?;
            each(tag, self.take(i64::from(length))?);
        }
        Ok(())
    }

    fn compact_length(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from(self.varint()?) - 1)
    }

    fn varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(RecordError::Truncated)
    }

    fn take(&mut self, length: i64) -> Result<&'a [u8], RecordError> {
        let length = usize::try_from(length).map_err(|_| RecordError::Truncated)?;
        let (head, rest) = self.rest.split_at_checked(length).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }
}
