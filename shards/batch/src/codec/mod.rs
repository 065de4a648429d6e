//! The compressions of a batch's records: which there are, packing, and unpacking piece by piece.

use std::fmt;
use std::io::{self, Write};

mod lz4;
mod snappy;
mod unpack;

pub(crate) use unpack::{Contexts, Unpacking};

/// How the records of a batch are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks of snappy in the framing of snappy-java, or one bare block.
    Snappy,
    /// The LZ4 frame format with independent blocks.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec with these attribute bits.
    pub const fn from_bits(bits: u8) -> Option<Codec> {
        match bits {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// Its attribute bits.
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Its name in settings and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// The codec of this name.
    pub fn from_name(name: &str) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Appends `plain`, compressed, to `out`, in the form that Kafka's Java client writes.
    ///
    /// # Errors
    /// None for input of a batch's size; the codecs' own, passed on.
    pub fn pack(self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::None => out.extend_from_slice(plain),
            Codec::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                writer.write_all(plain)?;
                writer.finish()?;
            }
            Codec::Snappy => snappy::pack(plain, out)?,
            Codec::Lz4 => lz4::pack(plain, out)?,
            Codec::Zstd => {
                let mut writer = zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                writer.write_all(plain)?;
                writer.finish()?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
