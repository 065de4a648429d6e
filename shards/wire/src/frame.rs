//! A frame is an INT32 length and that many bytes.
use bytes::{BufMut, BytesMut};

use crate::{ApiKey, WireError};

/// Bytes of the length field.
pub const LENGTH_BYTES: usize = 4;

/// How long the frame behind this length field is, in bytes; `max` is `socket.request.max.bytes`.
pub fn length(field: [u8; LENGTH_BYTES], max: usize) -> Result<usize, WireError> {
    let signed = i32::from_be_bytes(field);
    let length = usize::try_from(signed).map_err(|_| WireError::NegativeFrame(signed))?;
    if length > max { Err(WireError::FrameTooLarge { length, max }) } else { Ok(length) }
}

/// Starts a response frame in `out`: room for the length, the correlation id, and the tagged fields of header version 1.
/// Several frames may follow each other in one buffer.
pub fn begin_response(out: &mut BytesMut, api: ApiKey, version: i16, correlation_id: i32) -> Open {
    let open = begin(out);
    out.put_i32(correlation_id);
    if api.response_header_version(version) >= 1 {
        out.put_u8(0);
    }
    open
}

/// Starts a request frame in `out`: room for the length, and the request header.
pub fn begin_request(
    out: &mut BytesMut,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Open {
    let open = begin(out);
    out.put_i16(api.code());
    out.put_i16(version);
    out.put_i32(correlation_id);
    // Never compact, in header version 2 either.
    crate::write::put_nullable_string(out, false, client_id);
    if api.request_header_version(version) >= 2 {
        out.put_u8(0);
    }
    open
}

fn begin(out: &mut BytesMut) -> Open {
    let at = out.len();
    out.put_i32(0);
    Open { at }
}

/// A frame whose length is not written yet.
#[derive(Debug)]
#[must_use = "a frame without its length is garbage"]
pub struct Open {
    at: usize,
}

impl Open {
    /// Writes the length, `elsewhere` bytes of the frame being sent from other buffers (records).
    pub fn close(self, out: &mut BytesMut, elsewhere: usize) {
        let length = (out.len() - self.at - LENGTH_BYTES + elsewhere) as u32;
        if let Some(field) = out.get_mut(self.at..self.at + LENGTH_BYTES) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Where the frame starts in its buffer.
    pub const fn position(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests;
