//! Batches that unpack to far more than they are: how much is allowed, and that it can be checked in steps.

use ottla_units::Timestamp;
use ottla_units::limits::{UNPACKED_AT_ONCE_BYTES_MAX, UNPACKED_BYTES_ALLOWED};

use crate::{BatchError, Builder, Checking, Checks, Codec, ValidateError, validate, validate_at_once};

const NOW: Timestamp = Timestamp::new(1_000_000);
const MIB: usize = 1 << 20;

/// Records of zeros, 100 KiB each.
fn zeros(codec: Codec, bytes: usize) -> Vec<u8> {
    let value = vec![0; 100 << 10];
    let mut builder = Builder::new().codec(codec);
    for _ in 0..bytes.div_ceil(value.len()) {
        builder.push(NOW, Some(b"key"), Some(&value), &[]);
    }
    builder.build()
}

fn in_steps(bytes: &[u8], checks: &Checks) -> Result<usize, BatchError> {
    let mut checking = Checking::begin(bytes, checks, NOW)?;
    let mut steps = 1;
    while checking.advance(MIB)? {
        steps += 1;
    }
    let checked = checking.finish()?;
    assert_eq!(checked.max_timestamp, Some(NOW));
    assert!(!checked.misnumbered);
    Ok(steps)
}

#[test]
fn what_no_client_makes_is_refused_whatever_the_codec() {
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let bomb = zeros(codec, 80 * MIB);
        let limit = Checks::default().unpacked_bytes_max_of(bomb.len());
        assert!(limit < 70 * MIB, "{codec}: {limit}");
        assert_eq!(
            validate(&bomb, &Checks::default(), NOW).err(),
            Some(BatchError::UnpacksTooLarge { limit }),
            "{codec}"
        );
        assert_eq!(in_steps(&bomb, &Checks::default()), Err(BatchError::UnpacksTooLarge { limit }), "{codec}");
    }
}

#[test]
fn very_compressible_records_pass_in_steps() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = zeros(codec, 12 * MIB);
        assert_eq!(validate_at_once(&batch, &Checks::default(), NOW).err(), Some(ValidateError::Long), "{codec}");
        let steps = in_steps(&batch, &Checks::default()).unwrap();
        assert!((10..=14).contains(&steps), "{codec}: {steps}");
        assert_eq!(validate(&batch, &Checks::default(), NOW).unwrap().max_timestamp, Some(NOW));
    }
}

#[test]
fn small_ones_take_one_step() {
    let batch = zeros(Codec::Zstd, UNPACKED_AT_ONCE_BYTES_MAX - MIB);
    assert!(validate_at_once(&batch, &Checks::default(), NOW).is_ok());
}

#[test]
fn the_allowance_grows_with_the_batch_and_the_topic() {
    let checks = Checks::default();
    assert_eq!(checks.unpacked_bytes_max_of(100), UNPACKED_BYTES_ALLOWED);
    assert_eq!(checks.unpacked_bytes_max_of(32 << 10), 32 * MIB);
    // The default max.message.bytes allows 64 times itself.
    assert_eq!(checks.unpacked_bytes_max_of(MIB), 64 * 1_048_588);
    let large = Checks { batch_bytes_max: 10 * MIB, ..checks };
    assert_eq!(large.unpacked_bytes_max_of(512 << 10), 512 * MIB);
}

#[test]
fn a_step_by_step_check_finds_what_the_other_finds() {
    let mut builder = Builder::new().codec(Codec::Zstd);
    for i in 0..200 {
        let late = if i == 150 { 100_000_000 } else { 0 };
        builder.push(Timestamp::new(NOW.get() + late), None, Some(&[0; 50_000]), &[]);
    }
    let batch = builder.build();
    let whole = validate(&batch, &Checks::default(), NOW).err();
    assert!(matches!(whole, Some(BatchError::Rejected(_))), "{whole:?}");
    assert_eq!(in_steps(&batch, &Checks::default()).err(), whole);
}
