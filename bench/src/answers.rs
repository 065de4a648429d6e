//! Whole answers out of a non-blocking socket.

use std::io::{self, Read};
use std::net::TcpStream;

use crate::error::{BenchError, Result};
use crate::frames::RESPONSE_BYTES_MAX;

/// Bytes of answers read at once.
const ANSWERS_BYTES: usize = 64 << 10;

/// Collects bytes until answers are whole. *Lives on: one load thread.*
#[derive(Debug)]
pub struct Answers {
    bytes: Vec<u8>,
    filled: usize,
}

impl Default for Answers {
    fn default() -> Answers {
        Answers { bytes: vec![0; ANSWERS_BYTES], filled: 0 }
    }
}

/// Bytes of answers read at once by one of many connections.
const SMALL_BYTES: usize = 2 << 10;

impl Answers {
    /// With little memory, for one of many connections. It grows with the answers.
    pub fn small() -> Answers {
        Answers { bytes: vec![0; SMALL_BYTES], filled: 0 }
    }

    /// Reads what is there and hands out each whole answer, from its correlation id on.
    ///
    /// # Errors
    /// [`BenchError::Closed`], [`BenchError::Malformed`], [`BenchError::Io`], those of `each`.
    pub fn receive(&mut self, socket: &mut TcpStream, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            let room = self.bytes.len() - self.filled;
            match socket.read(&mut self.bytes[self.filled..]) {
                Ok(0) => return Err(BenchError::Closed),
                Ok(count) => {
                    self.filled += count;
                    self.hand_out(&mut each)?;
                    if count < room {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn hand_out(&mut self, each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut at = 0;
        while let Some(length) = self.bytes[at..self.filled].first_chunk() {
            let length = i32::from_be_bytes(*length);
            if !(4..=RESPONSE_BYTES_MAX).contains(&length) {
                return Err(BenchError::Malformed { what: "length of an answer" });
            }
            let end = at + 4 + length as usize;
            if end > self.filled {
                self.bytes.resize(self.bytes.len().max(end - at), 0);
                break;
            }
            each(&self.bytes[at + 4..end])?;
            at = end;
        }
        self.bytes.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }
}
