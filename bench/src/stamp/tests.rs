use ottla_batch::{Batch, Builder, Codec};
use ottla_units::Timestamp;

use super::*;

const WALL_MS: i64 = 1_700_000_000_000;

fn batch(codec: Codec, values: usize, key: Option<&[u8]>) -> Vec<u8> {
    let mut builder = Builder::new().codec(codec);
    for at in 0..values {
        builder.push(Timestamp::new(WALL_MS), key, Some(&vec![at as u8; 300]), &[]);
    }
    builder.build()
}

fn stamp(sequence: u64) -> Stamp {
    Stamp { producer: 77, sequence, due_ns: 1_234_567_000, sent_ns: 1_234_999_000, rest_crc: None }
}

#[test]
fn a_stamp_comes_back_and_the_batch_still_verifies() {
    for (values, key) in [(1, None), (1, Some(&b"key-00000001"[..])), (50, Some(&b"k"[..]))] {
        let mut bytes = batch(Codec::None, values, key);
        let stamper = Stamper::of(&bytes).unwrap();
        for sequence in [0, 1, u64::from(u32::MAX) + 5] {
            stamper.stamp(&mut bytes, &stamp(sequence), WALL_MS);
            let (view, _) = Batch::parse(&bytes).unwrap();
            assert!(view.crc_matches(), "{values} values, number {sequence}");
            let (read, end) = read(&bytes[..LOOK_BYTES], WALL_MS).unwrap();
            assert_eq!(read, Stamp { rest_crc: read.rest_crc, ..stamp(sequence) });
            assert_eq!(read.rest_crc, Some(crc32c::crc32c(&bytes[end..])));
        }
    }
}

#[test]
fn a_compressed_batch_is_stamped_in_its_header() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut bytes = batch(codec, 20, None);
        Stamper::of(&bytes).unwrap().stamp(&mut bytes, &stamp(5), WALL_MS);
        let (view, _) = Batch::parse(&bytes).unwrap();
        assert!(view.crc_matches(), "{codec:?}");
        let read = read(&bytes, WALL_MS).unwrap().0;
        assert_eq!((read.producer, read.sequence, read.due_ns), (77, 5, 1_234_567_000), "{codec:?}");
    }
}

#[test]
fn a_short_number_is_read_near_the_one_expected() {
    let short = |sequence: u64| Stamp { sequence: sequence & 0xf_ffff, ..stamp(0) };
    for (sequence, expected) in [(5, 5), (1 << 20, (1 << 20) - 1), ((1 << 20) - 1, 1 << 20), (3 << 20, (3 << 20) + 100)]
    {
        assert_eq!(short(sequence).sequence_near(expected), sequence, "expected {expected}");
    }
}

#[test]
fn damage_is_seen() {
    let mut bytes = batch(Codec::None, 3, None);
    let stamper = Stamper::of(&bytes).unwrap();
    stamper.stamp(&mut bytes, &stamp(9), WALL_MS);
    let (_, end) = read(&bytes, WALL_MS).unwrap();
    for at in end - STAMP_BYTES..end {
        bytes[at] ^= 1;
        assert_eq!(read(&bytes, WALL_MS), None, "flipped bit at {at}");
        bytes[at] ^= 1;
    }
    bytes[end + 7] ^= 1;
    let (stamp, end) = read(&bytes, WALL_MS).unwrap();
    assert_ne!(stamp.rest_crc, Some(crc32c::crc32c(&bytes[end..])));
}
