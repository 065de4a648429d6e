//! Puts Kafka's primitive types into a buffer. Lengths come from our own data, which is far below 2 GiB.
use bytes::{BufMut, BytesMut};

#[inline]
pub(crate) fn put_uvarint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The length before bytes or records, or the count before an array.
#[inline]
pub(crate) fn put_length(out: &mut BytesMut, flexible: bool, length: usize) {
    if flexible { put_uvarint(out, length as u32 + 1) } else { out.put_i32(length as i32) }
}

/// Null where an array, bytes or records could stand.
#[inline]
pub(crate) fn put_null(out: &mut BytesMut, flexible: bool) {
    if flexible { out.put_u8(0) } else { out.put_i32(-1) }
}

/// A string. One longer than an INT16 can say, in a version that is not flexible, is cut at a character's end: only
/// error messages are ever that long.
#[inline]
pub(crate) fn put_string(out: &mut BytesMut, flexible: bool, text: &str) {
    if flexible {
        put_uvarint(out, text.len() as u32 + 1);
        out.put_slice(text.as_bytes());
    } else {
        let text = &text[..text.floor_char_boundary(i16::MAX as usize)];
        out.put_i16(text.len() as i16);
        out.put_slice(text.as_bytes());
    }
}

/// A string or null.
#[inline]
pub(crate) fn put_nullable_string(out: &mut BytesMut, flexible: bool, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, flexible, text),
        None if flexible => out.put_u8(0),
        None => out.put_i16(-1),
    }
}

/// The end of a structure without tagged fields.
#[inline]
pub(crate) fn put_no_tags(out: &mut BytesMut, flexible: bool) {
    if flexible {
        out.put_u8(0);
    }
}
