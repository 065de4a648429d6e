use proptest::prelude::*;

use super::lz4::xxh32;
use super::{Codec, Contexts, Unpacking};
use crate::BatchError;

fn unpack(codec: Codec, payload: &[u8], limit: usize) -> Result<Vec<u8>, BatchError> {
    let mut contexts = Contexts::take();
    let Some(mut unpacking) = Unpacking::start(codec, payload, &mut contexts)? else { return Ok(payload.to_vec()) };
    let mut filled = 0;
    loop {
        let came = unpacking.advance(&mut contexts, filled, limit - filled)?;
        if came > limit - filled {
            return Err(BatchError::UnpacksTooLarge { limit });
        }
        filled += came;
        if came == 0 {
            let plain = contexts.window[..filled].to_vec();
            contexts.give_back();
            return Ok(plain);
        }
    }
}

fn packed(codec: Codec, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec.pack(plain, &mut out).unwrap();
    out
}

#[test]
fn xxh32_is_that_of_the_specification() {
    // From the xxHash repository's sanity checks and common knowledge vectors.
    assert_eq!(xxh32(b""), 0x02cc_5d05);
    assert_eq!(xxh32(b"a"), 0x550d_7456);
    assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
    assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
}

#[test]
fn concatenated_frames_of_gzip_zstd_and_snappy_are_one_payload() {
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Snappy] {
        let mut both = packed(codec, b"one,");
        both.extend(packed(codec, b"two"));
        assert_eq!(unpack(codec, &both, 100).unwrap(), b"one,two", "{codec}");
    }
}

#[test]
fn bare_snappy_is_one_block() {
    let block = snap::raw::Encoder::new().compress_vec(b"plain plain plain").unwrap();
    assert_eq!(unpack(Codec::Snappy, &block, 100).unwrap(), b"plain plain plain");
}

#[test]
fn bombs_stop_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = packed(codec, &zeros);
        let limit = 1 << 20;
        assert_eq!(unpack(codec, &bomb, limit), Err(BatchError::UnpacksTooLarge { limit }), "{codec}");
        assert_eq!(unpack(codec, &bomb, zeros.len()).unwrap().len(), zeros.len(), "{codec}");
        let mut contexts = Contexts::take();
        assert!(contexts.window.len() <= 2 * zeros.len() + (4 << 20), "{codec}");
        contexts.window = Vec::new();
        contexts.give_back();
    }
}

#[test]
fn lengths_that_are_only_claimed_reserve_nothing() {
    Contexts::take();
    // A snappy block of 5 bytes that claims 4 GiB, and an LZ4 block size of 4 MiB with nothing behind it.
    let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let refused = BatchError::Undecompressable { codec: Codec::Snappy };
    assert_eq!(unpack(Codec::Snappy, &claim, usize::MAX), Err(refused));
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x70];
    frame.push((xxh32(&frame[4..]) >> 8) as u8);
    frame.extend([3, 0, 0, 0, 0, 0, 0]);
    assert!(unpack(Codec::Lz4, &frame, usize::MAX).is_err());
    assert!(Contexts::take().window.len() <= 64 << 10);
}

#[test]
fn lz4_block_checksums_are_verified() {
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x70, 0x40];
    frame.push((xxh32(&frame[4..]) >> 8) as u8);
    frame.extend([5, 0, 0, 0x80]);
    frame.extend(b"hello");
    frame.extend(xxh32(b"hello").to_le_bytes());
    frame.extend([0; 4]);
    assert_eq!(unpack(Codec::Lz4, &frame, 100).unwrap(), b"hello");
    frame[12] ^= 1;
    assert_eq!(unpack(Codec::Lz4, &frame, 100), Err(BatchError::Undecompressable { codec: Codec::Lz4 }));
}

fn codecs() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[1..])
}

proptest! {
    #[test]
    fn packs_and_unpacks(codec in codecs(), piece in proptest::collection::vec(any::<u8>(), 0..600), times in 1usize..300) {
        let plain = piece.repeat(times);
        prop_assert_eq!(unpack(codec, &packed(codec, &plain), plain.len()).unwrap(), plain);
    }

    #[test]
    fn damaged_payloads_never_panic(
        codec in codecs(),
        plain in proptest::collection::vec(0u8..4, 0..2000),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut payload = packed(codec, &plain);
        let at = at.index(payload.len());
        payload[at] = byte;
        payload.truncate(cut.index(payload.len()) + 1);
        let _ = unpack(codec, &payload, 1 << 20);
    }

    #[test]
    fn noise_never_panics(codec in codecs(), noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = unpack(codec, &noise, 1 << 20);
    }
}
