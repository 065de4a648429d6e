//! Round trips of generated batches, and bytes that mean harm: an error always, a panic never.

use ottla_units::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::varint::write_varlong;
use crate::{Batch, BatchError, Batches, Builder, Checks, Codec, HEADER_BYTES, RecordFault, records, repack, validate};

type Field = Option<Vec<u8>>;
type Plain = (i64, Field, Field, Vec<(Vec<u8>, Field)>);

fn field() -> impl Strategy<Value = Field> {
    proptest::option::of(vec(any::<u8>(), 0..80))
}

fn plain_records() -> impl Strategy<Value = Vec<Plain>> {
    vec((0i64..1 << 41, field(), field(), vec((vec(any::<u8>(), 0..8), field()), 0..4)), 1..40)
}

fn codecs() -> impl Strategy<Value = Codec> {
    proptest::sample::select(&Codec::ALL[..])
}

fn build(codec: Codec, plain: &[Plain]) -> Vec<u8> {
    let mut builder = Builder::new().codec(codec);
    for (time, key, value, headers) in plain {
        let headers: Vec<_> = headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
        builder.push(Timestamp::new(*time), key.as_deref(), value.as_deref(), &headers);
    }
    builder.build()
}

fn read(batch: &Batch<'_>) -> Result<Vec<Plain>, BatchError> {
    let mut out = Vec::new();
    let mut records = records(batch, 1 << 20)?;
    while let Some(record) = records.next() {
        let record = record?;
        let headers = record.headers.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
        out.push((record.timestamp.get(), record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers));
    }
    Ok(out)
}

proptest! {
    #[test]
    fn what_is_built_is_read(codec in codecs(), plain in plain_records()) {
        let bytes = build(codec, &plain);
        let (batch, rest) = Batch::parse(&bytes).unwrap();
        prop_assert!(rest.is_empty() && batch.crc_matches());
        prop_assert_eq!(read(&batch).unwrap(), plain.clone());
        let checked = validate(&bytes, &Checks { after_max_ms: i64::MAX, ..Checks::default() }, Timestamp::new(0)).unwrap();
        prop_assert_eq!(checked.max_timestamp, plain.iter().map(|record| Timestamp::new(record.0)).max());
        prop_assert!(!checked.misnumbered);
        for codec in Codec::ALL {
            let again = repack(&batch, codec, 1 << 20).unwrap();
            prop_assert_eq!(read(&Batch::parse(&again).unwrap().0).unwrap(), plain.clone());
        }
    }

    #[test]
    fn damage_gives_an_error_or_another_batch(
        codec in codecs(),
        plain in plain_records(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        mend_crc in any::<bool>(),
    ) {
        let mut bytes = build(codec, &plain);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if mend_crc {
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let _ = validate(&bytes, &Checks::default(), Timestamp::new(0));
        for batch in Batches::new(&bytes) {
            let Ok(batch) = batch else { break };
            let _ = (batch.last_offset(), batch.next_offset(), batch.last_sequence(), read(&batch));
        }
    }

    #[test]
    fn noise_is_no_batch(noise in vec(any::<u8>(), 0..300)) {
        for batch in Batches::new(&noise) {
            let Ok(batch) = batch else { break };
            let _ = read(&batch);
        }
        let _ = validate(&noise, &Checks::default(), Timestamp::new(0));
    }
}

#[test]
fn batches_stop_at_the_first_that_is_not_whole() {
    let one = Builder::new().record(Timestamp::new(1), None, Some(b"v")).build();
    let mut bytes = one.repeat(3);
    bytes.truncate(bytes.len() - 1);
    let mut batches = Batches::new(&bytes);
    assert!(matches!(batches.next(), Some(Ok(_))) && matches!(batches.next(), Some(Ok(_))));
    let (needed, available) = (one.len(), one.len() - 1);
    assert_eq!(batches.next().unwrap().unwrap_err(), BatchError::Truncated { needed, available });
    assert!(batches.next().is_none());
    assert_eq!(batches.rest().len(), available);
}

#[test]
fn header_fields_are_read_where_they_lie() {
    let (id, epoch, sequence) = (ProducerId::new(5), ProducerEpoch::new(6), Sequence::new(i32::MAX));
    let bytes = Builder::new()
        .base_offset(Offset::new(100))
        .producer(id, epoch, sequence)
        .record(Timestamp::new(20), None, None)
        .record(Timestamp::new(10), None, None)
        .build();
    let (batch, _) = Batch::parse(&bytes).unwrap();
    assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (id, epoch, sequence));
    assert_eq!(batch.last_sequence(), Sequence::new(0));
    assert_eq!((batch.base_timestamp(), batch.max_timestamp()), (Timestamp::new(20), Timestamp::new(20)));
    assert_eq!((batch.last_offset(), batch.next_offset()), (Offset::new(101), Offset::new(102)));
    assert_eq!(batch.total_len(), bytes.len());
}

/// A batch of one record with this body and this length field.
fn with_record(length: i64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Builder::new().record(Timestamp::new(0), None, None).build();
    bytes.truncate(HEADER_BYTES);
    write_varlong(&mut bytes, length);
    bytes.extend_from_slice(body);
    let length = (bytes.len() - 12) as u32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn each_fault_of_a_record_has_its_name() {
    use RecordFault::*;
    // attributes, time delta, offset delta, key −1, value −1, headers …
    for (length, body, fault) in [
        (6, &[0, 0, 0, 1, 1, 0][..], None),
        (-1, &[], Some(Length)),
        (0, &[], Some(Length)),
        (1, &[0], Some(Varint)),
        (6, &[0, 0, 0, 1, 1, 1], Some(HeaderCount)),
        (6, &[0, 0, 0, 1, 1, 2], Some(HeaderCount)),
        (8, &[0, 0, 0, 1, 1, 2, 1, 1], Some(HeaderKey)),
        (8, &[0, 0, 0, 1, 1, 2, 0, 0x80], Some(Varint)),
        (8, &[0, 0, 0, 1, 1, 2, 0, 8], Some(OutOfBounds)),
        (6, &[0, 0, 0, 8, 1, 0], Some(OutOfBounds)),
        (7, &[0, 0, 0, 1, 1, 0, 0], Some(BytesLeftOver)),
    ] {
        let bytes = with_record(length, body);
        let (batch, _) = Batch::parse(&bytes).unwrap();
        let found = records(&batch, 0).unwrap().next().unwrap().map(|record| record.bytes);
        let expected = match fault {
            None => Ok(body.len() + 1),
            Some(fault) => Err(BatchError::MalformedRecord { index: 0, fault }),
        };
        assert_eq!(found, expected, "{length} {body:?}");
    }
}

#[test]
fn a_record_larger_than_the_window_is_read_whole() {
    let value: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for codec in Codec::ALL {
        let mut builder = Builder::new().codec(codec);
        for _ in 0..3 {
            builder.push(Timestamp::new(1), Some(b"k"), Some(&value), &[]);
        }
        let bytes = builder.build();
        let (batch, _) = Batch::parse(&bytes).unwrap();
        let mut records = records(&batch, 1 << 20).unwrap();
        let mut seen = 0;
        while let Some(record) = records.next() {
            assert!(record.unwrap().value == Some(&value[..]), "{codec}");
            seen += 1;
        }
        assert_eq!(seen, 3, "{codec}");
    }
}
