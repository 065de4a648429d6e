use std::cell::Cell;
use std::io::Read;

use flate2::bufread::GzDecoder;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use crate::BatchError;
use crate::codec::{Codec, lz4, snappy};

/// How far gzip and zstd unpack at a time, in bytes; the other two go block by block.
const STEP_BYTES: usize = 32 << 10;
/// The start of a gzip member: its magic, and deflate.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
/// A window grown beyond this is not kept for the next batch.
const KEPT_WINDOW_BYTES_MAX: usize = 1 << 20;
/// Nor is a zstd context that a batch with a huge window made grow beyond this.
const KEPT_ZSTD_BYTES_MAX: usize = 10 << 20;
/// The largest zstd window that is accepted, as a power of two: what zstd itself and its Java binding accept unless told
/// otherwise. The window is reserved lazily: only pages that output reaches are ever touched.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

thread_local! {
    /// The contexts of the batch that this thread unpacked last, for the next one.
    static IDLE: Cell<Option<Box<Contexts>>> = const { Cell::new(None) };
}

/// What unpacking needs beside the payload, and what is worth keeping between batches.
#[derive(Default)]
pub(crate) struct Contexts {
    /// Unpacked bytes; only a part of it is in use.
    pub(crate) window: Vec<u8>,
    zstd: Option<DCtx<'static>>,
}

impl Contexts {
    /// This thread's, or new ones while those are in use.
    pub(crate) fn take() -> Box<Contexts> {
        IDLE.take().unwrap_or_default()
    }

    /// Keeps them for this thread's next batch.
    pub(crate) fn give_back(mut self: Box<Self>) {
        if self.window.len() > KEPT_WINDOW_BYTES_MAX {
            self.window = Vec::new();
        }
        if self.zstd.as_ref().is_some_and(|context| context.sizeof() > KEPT_ZSTD_BYTES_MAX) {
            self.zstd = None;
        }
        IDLE.set(Some(self));
    }

    fn zstd(&mut self) -> Result<&mut DCtx<'static>, BatchError> {
        const REFUSED: BatchError = BatchError::Undecompressable { codec: Codec::Zstd };
        let context = self.zstd.get_or_insert_with(DCtx::create);
        context.init().map_err(|_| REFUSED)?;
        context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| REFUSED)?;
        Ok(context)
    }
}

/// One payload on its way out of its compression.
pub(crate) enum Unpacking<'a> {
    Gzip(Box<GzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Frame<'a>),
    Zstd { payload: &'a [u8], at: usize, frame_ended: bool },
}

impl<'a> Unpacking<'a> {
    /// Starts on `payload`; `None` when it is not compressed.
    pub(crate) fn start(codec: Codec, payload: &'a [u8], contexts: &mut Contexts) -> Result<Option<Self>, BatchError> {
        Ok(match codec {
            Codec::None => None,
            Codec::Gzip => Some(Unpacking::Gzip(Box::new(GzDecoder::new(payload)))),
            Codec::Snappy => Some(Unpacking::Snappy(snappy::Blocks::parse(payload)?)),
            Codec::Lz4 => Some(Unpacking::Lz4(lz4::Frame::parse(payload)?)),
            Codec::Zstd => {
                contexts.zstd()?;
                Some(Unpacking::Zstd { payload, at: 0, frame_ended: true })
            }
        })
    }

    /// Unpacks some more into `contexts.window` from `filled` on, growing it as needed; says how many bytes came, 0 at the end.
    ///
    /// Nothing is reserved for more than `left` bytes and one step or LZ4 block, so a little more than `left` may come; the caller
    /// compares.
    pub(crate) fn advance(&mut self, contexts: &mut Contexts, filled: usize, left: usize) -> Result<usize, BatchError> {
        match self {
            Unpacking::Gzip(reader) => read_gzip(reader, room(&mut contexts.window, filled, STEP_BYTES)),
            Unpacking::Snappy(blocks) => loop {
                let Some((block, plain_bytes)) = blocks.next()? else { return Ok(0) };
                if plain_bytes > left {
                    return Ok(plain_bytes);
                }
                let out = room(&mut contexts.window, filled, plain_bytes);
                match snappy::unpack_block(block, out)? {
                    0 => continue,
                    came => return Ok(came),
                }
            },
            Unpacking::Lz4(frame) => loop {
                let Some(block) = frame.next()? else { return Ok(0) };
                let out = room(&mut contexts.window, filled, frame.room(&block));
                match lz4::unpack_block(&block, out)? {
                    0 => continue,
                    came => return Ok(came),
                }
            },
            Unpacking::Zstd { payload, at, frame_ended } => read_zstd(payload, at, frame_ended, contexts, filled),
        }
    }
}

/// The window from `filled` on, with at least `bytes` of room.
fn room(window: &mut Vec<u8>, filled: usize, bytes: usize) -> &mut [u8] {
    if window.len() < filled + bytes {
        window.resize(filled + bytes, 0);
    }
    &mut window[filled..]
}

/// Fills `out`, or reads to the end: a payload's damage is found before its records are looked at, as far as it lies in reach.
fn read_gzip(reader: &mut GzDecoder<&[u8]>, out: &mut [u8]) -> Result<usize, BatchError> {
    let mut came = 0;
    while came < out.len() {
        let read = reader.read(&mut out[came..]).map_err(|_| BatchError::Undecompressable { codec: Codec::Gzip })?;
        came += read;
        // Another member may follow; anything else behind the last one is ignored, as by Java's GZIPInputStream.
        let rest = *reader.get_ref();
        if read == 0 && !rest.starts_with(&GZIP_MAGIC) {
            break;
        }
        if read == 0 {
            *reader = GzDecoder::new(rest);
        }
    }
    Ok(came)
}

/// As [`read_gzip`].
fn read_zstd(
    payload: &[u8],
    at: &mut usize,
    frame_ended: &mut bool,
    contexts: &mut Contexts,
    filled: usize,
) -> Result<usize, BatchError> {
    const REFUSED: BatchError = BatchError::Undecompressable { codec: Codec::Zstd };
    room(&mut contexts.window, filled, STEP_BYTES);
    let Contexts { window, zstd: Some(context) } = contexts else { return Err(REFUSED) };
    let out = &mut window[filled..];
    let mut came = 0;
    while came < out.len() {
        let input_done = *at == payload.len();
        if input_done && *frame_ended {
            break;
        }
        let mut input = InBuffer { src: payload, pos: *at };
        let mut output = OutBuffer::around_pos(out, came);
        let hint = context.decompress_stream(&mut output, &mut input).map_err(|_| REFUSED)?;
        let now = output.pos();
        *at = input.pos();
        *frame_ended = hint == 0;
        if now == came && input_done {
            return Err(REFUSED);
        }
        came = now;
    }
    Ok(came)
}
