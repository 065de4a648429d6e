//! Reading protocol bytes, from memory or straight off a socket, without keeping what nobody looks at.

use std::io::{self, Read};
use std::net::TcpStream;

use rustix::net::RecvFlags;

use crate::error::{BenchError, Result};

/// Where protocol bytes come from.
pub trait Source {
    /// Fills `out`.
    ///
    /// # Errors
    /// [`BenchError::Closed`] or [`BenchError::Io`].
    fn fill(&mut self, out: &mut [u8]) -> Result<()>;

    /// Passes over `count` bytes.
    ///
    /// # Errors
    /// [`BenchError::Closed`] or [`BenchError::Io`].
    fn skip(&mut self, count: usize) -> Result<()>;

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`BenchError::Closed`] or [`BenchError::Io`].
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// One byte, signed.
    ///
    /// # Errors
    /// As [`Source::take`].
    fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.take()?))
    }

    /// Two bytes, signed.
    ///
    /// # Errors
    /// As [`Source::take`].
    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    /// Four bytes, signed.
    ///
    /// # Errors
    /// As [`Source::take`].
    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// As [`Source::take`].
    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    /// An unsigned variable-length integer of at most 32 bits.
    ///
    /// # Errors
    /// As [`Source::take`], and [`BenchError::Malformed`] when it is longer.
    fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BenchError::Malformed { what: "variable-length integer" })
    }

    /// The length of a compact string, array or bytes field; `None` for null.
    ///
    /// # Errors
    /// As [`Source::uvarint`].
    fn compact_len(&mut self) -> Result<Option<usize>> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    /// Passes over a compact string or bytes field.
    ///
    /// # Errors
    /// As [`Source::uvarint`].
    fn skip_compact(&mut self) -> Result<()> {
        let len = self.compact_len()?.unwrap_or(0);
        self.skip(len)
    }

    /// Passes over tagged fields.
    ///
    /// # Errors
    /// As [`Source::uvarint`].
    fn skip_tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let len = self.uvarint()? as usize;
            self.skip(len)?;
        }
        Ok(())
    }
}

impl Source for &[u8] {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        let (taken, rest) = self.split_at_checked(out.len()).ok_or(BenchError::Malformed { what: "short frame" })?;
        out.copy_from_slice(taken);
        *self = rest;
        Ok(())
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        *self = self.get(count..).ok_or(BenchError::Malformed { what: "short frame" })?;
        Ok(())
    }
}

/// Bytes read from the socket at once while fields are parsed.
const BUFFER_BYTES: usize = 16 << 10;
/// Bytes dropped by one call while skipping.
const SKIP_BYTES: usize = 1 << 20;

/// A blocking socket, read through a small buffer. Skipping beyond the buffer lets the kernel drop the bytes
/// (`MSG_TRUNC` on TCP) instead of copying them, so that a load client costs little beside its broker.
#[derive(Debug)]
pub struct SocketSource {
    socket: TcpStream,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Never written: `MSG_TRUNC` wants a length, not a place.
    dropped: Box<[u8]>,
}

impl SocketSource {
    /// Over a connected socket.
    pub fn new(socket: TcpStream) -> SocketSource {
        SocketSource {
            socket,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            dropped: vec![0; SKIP_BYTES].into_boxed_slice(),
        }
    }

    /// The socket, to write to.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    fn refill(&mut self) -> Result<()> {
        self.start = 0;
        self.end = 0;
        loop {
            match self.socket.read(&mut self.buffer) {
                Ok(0) => return Err(BenchError::Closed),
                Ok(n) => {
                    self.end = n;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Source for SocketSource {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < out.len() {
            if self.start == self.end {
                if out.len() - filled >= BUFFER_BYTES {
                    return Ok(self.socket.read_exact(&mut out[filled..])?);
                }
                self.refill()?;
            }
            let count = (out.len() - filled).min(self.end - self.start);
            out[filled..filled + count].copy_from_slice(&self.buffer[self.start..self.start + count]);
            self.start += count;
            filled += count;
        }
        Ok(())
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        let buffered = count.min(self.end - self.start);
        self.start += buffered;
        let mut left = count - buffered;
        while left > 0 {
            let size = left.min(SKIP_BYTES);
            let flags = RecvFlags::TRUNC | RecvFlags::WAITALL;
            match rustix::net::recv(&self.socket, &mut self.dropped[..size], flags) {
                Ok((_, 0)) => return Err(BenchError::Closed),
                Ok((_, n)) => left -= n,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}
