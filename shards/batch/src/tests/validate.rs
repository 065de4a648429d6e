//! The recorded answers of Kafka 4.3.1 to batches that break one rule each.

use ottla_units::{ErrorCode, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::{BatchError, Builder, Checks, Codec, Depth, HEADER_BYTES, RecordError, TimestampType, validate};

const NOW: Timestamp = Timestamp::new(1_790_000_000_000);

fn plain(values: &[&str]) -> Builder {
    values.iter().fold(Builder::new(), |builder, value| builder.record(NOW, None, Some(value.as_bytes())))
}

fn changed(builder: &Builder, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = builder.build();
    change(&mut bytes);
    if bytes.len() > 21 {
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn code(bytes: &[u8], checks: &Checks) -> ErrorCode {
    match validate(bytes, checks, NOW) {
        Ok(_) => ErrorCode::None,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.code()
        }
    }
}

#[track_caller]
fn answers(expected: ErrorCode, builder: &Builder, change: impl FnOnce(&mut Vec<u8>)) {
    assert_eq!(code(&changed(builder, change), &Checks::default()), expected);
}

fn put(at: usize, value: i32) -> impl FnOnce(&mut Vec<u8>) {
    move |bytes| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes())
}

#[test]
fn good_batches_pass() {
    for codec in Codec::ALL {
        answers(ErrorCode::None, &plain(&["a", "b"]).codec(codec), |_| {});
    }
    // Garbage behind the batch that is no batch, and a batch cut off there.
    answers(ErrorCode::None, &plain(&["a"]), |bytes| bytes.truncate(bytes.len()));
    let mut garbage = plain(&["a"]).build();
    garbage.extend([1, 2, 3, 4, 5]);
    assert_eq!(code(&garbage, &Checks::default()), ErrorCode::None);
    let mut cut_off = plain(&["a"]).build();
    cut_off.extend(&plain(&["b"]).build()[..40]);
    assert_eq!(code(&cut_off, &Checks::default()), ErrorCode::None);
}

#[test]
fn frames_that_are_no_batch() {
    answers(ErrorCode::InvalidRecord, &plain(&["a"]), |bytes| bytes.clear());
    answers(ErrorCode::InvalidRecord, &plain(&["abcdefgh"]), |bytes| bytes.truncate(bytes.len() - 3));
    answers(ErrorCode::InvalidRecord, &plain(&["a"]), |bytes| bytes[11] += 10);
    answers(ErrorCode::CorruptMessage, &plain(&["abcdefgh"]), put(8, 20));
    answers(ErrorCode::CorruptMessage, &plain(&["abcdefgh"]), put(8, 13));
    answers(ErrorCode::CorruptMessage, &plain(&["abcdefgh"]), put(8, -1));
    answers(ErrorCode::InvalidRecord, &plain(&["a"]), |bytes| bytes[16] = 0);
    answers(ErrorCode::InvalidRecord, &plain(&["a"]), |bytes| bytes[16] = 1);
    answers(ErrorCode::CorruptMessage, &plain(&["a"]), |bytes| bytes[16] = 3);
    let two = plain(&["a"]).build().repeat(2);
    assert_eq!(validate(&two, &Checks::default(), NOW).unwrap_err(), BatchError::SeveralBatches);
    let mut bad_crc = plain(&["a"]).build();
    bad_crc[20] ^= 1;
    assert_eq!(code(&bad_crc, &Checks::default()), ErrorCode::CorruptMessage);
}

#[test]
fn headers_that_do_not_add_up() {
    let two = plain(&["a", "b"]);
    answers(ErrorCode::InvalidRecord, &two, |bytes| {
        put(57, 3)(bytes);
        put(23, 2)(bytes);
    });
    answers(ErrorCode::InvalidRecord, &two, |bytes| {
        put(57, 1)(bytes);
        put(23, 0)(bytes);
    });
    answers(ErrorCode::InvalidRecord, &two, put(23, 5));
    answers(ErrorCode::InvalidRecord, &two, put(23, -1));
    answers(ErrorCode::InvalidRecord, &Builder::new(), |_| {});
    answers(ErrorCode::InvalidRecord, &two, |bytes| bytes[7] = 1);
    answers(ErrorCode::InvalidRecord, &plain(&["a"]).control(true), |_| {});
    let producer = plain(&["a"]).producer(ProducerId::new(1), ProducerEpoch::new(0), Sequence::NONE);
    answers(ErrorCode::InvalidRecord, &producer, |_| {});
}

#[test]
fn compressed_records_are_looked_at() {
    for codec in &Codec::ALL[1..] {
        let two = plain(&["a", "b"]).codec(*codec);
        answers(ErrorCode::InvalidRecord, &two, |bytes| {
            put(57, 3)(bytes);
            put(23, 2)(bytes);
        });
        answers(ErrorCode::InvalidRecord, &two, |bytes| {
            put(57, 1)(bytes);
            put(23, 0)(bytes);
        });
    }
    answers(ErrorCode::UnknownServerError, &plain(&["a", "b"]).codec(Codec::Gzip), |bytes| {
        for byte in &mut bytes[HEADER_BYTES + 10..] {
            *byte ^= 0x5a;
        }
    });
    answers(ErrorCode::UnknownServerError, &plain(&["a"]), |bytes| bytes[22] = 6);
}

#[test]
fn zstd_needs_a_version_that_knows_it() {
    let zstd = plain(&["a"]).codec(Codec::Zstd).build();
    let old = Checks { zstd_allowed: false, ..Checks::default() };
    assert_eq!(code(&zstd, &old), ErrorCode::UnsupportedCompressionType);
    assert_eq!(code(&plain(&["a"]).build(), &old), ErrorCode::None);
}

#[test]
fn an_unknown_codec_is_refused_before_the_log_is_looked_at_only_for_old_versions() {
    let bytes = changed(&plain(&["a"]), |bytes| bytes[22] = 6);
    let early = |zstd_allowed| {
        let error = validate(&bytes, &Checks { zstd_allowed, ..Checks::default() }, NOW).unwrap_err();
        (error.code(), error.is_early())
    };
    assert_eq!(early(false), (ErrorCode::UnknownServerError, true));
    assert_eq!(early(true), (ErrorCode::UnknownServerError, false));
}

#[test]
fn sizes_are_those_of_the_whole_batch() {
    let bytes = plain(&["a"]).build();
    let checks = |batch_bytes_max| Checks { batch_bytes_max, ..Checks::default() };
    assert_eq!(code(&bytes, &checks(bytes.len())), ErrorCode::None);
    let error = validate(&bytes, &checks(bytes.len() - 1), NOW).unwrap_err();
    assert_eq!(error, BatchError::TooLarge { bytes: bytes.len(), limit: bytes.len() - 1 });
    assert_eq!((error.code(), error.is_early()), (ErrorCode::MessageTooLarge, true));
}

#[test]
fn compacted_topics_take_keys_only() {
    for codec in Codec::ALL {
        let bytes = plain(&["a"]).record(NOW, Some(b"k"), None).record(NOW, None, None).codec(codec).build();
        for depth in [Depth::Header, Depth::AllRecords] {
            let checks = Checks { keys_required: true, depth, ..Checks::default() };
            let BatchError::Rejected(rejected) = validate(&bytes, &checks, NOW).unwrap_err() else { panic!("{codec}") };
            assert_eq!(rejected.total, 2);
            assert_eq!(rejected.shown, [RecordError::KeyMissing { index: 0 }, RecordError::KeyMissing { index: 2 }]);
            assert_eq!(rejected.code(), ErrorCode::InvalidRecord);
            assert!(rejected.to_string().starts_with("One or more records have been rejected due to 2 record errors"));
        }
    }
}

#[test]
fn timestamps_have_a_range() {
    let checks = Checks { before_max_ms: 1000, after_max_ms: 2000, ..Checks::default() };
    let at = |delta| Builder::new().record(NOW.plus(delta), None, None).build();
    for delta in [-1000, 0, 2000] {
        assert_eq!(code(&at(delta), &checks), ErrorCode::None);
    }
    for (delta, depth) in [(-1001, Depth::AllRecords), (2001, Depth::AllRecords), (2001, Depth::Header)] {
        let error = validate(&at(delta), &Checks { depth, ..checks }, NOW).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
    }
    let none = Builder::new().record(Timestamp::NONE, None, None);
    assert_eq!(code(&none.build(), &checks), ErrorCode::None);
    let append_time = Checks { timestamp_type: TimestampType::LogAppendTime, ..checks };
    assert_eq!(code(&at(5000), &append_time), ErrorCode::None);
}

#[test]
fn a_client_may_set_the_append_bit_only_where_its_times_count() {
    let bit = plain(&["a"]).timestamp_type(TimestampType::LogAppendTime).build();
    assert_eq!(code(&bit, &Checks::default()), ErrorCode::None);
    let append_time = Checks { timestamp_type: TimestampType::LogAppendTime, ..Checks::default() };
    assert_eq!(code(&bit, &append_time), ErrorCode::InvalidTimestamp);
}

#[test]
fn the_latest_time_is_that_of_the_records() {
    let bytes = changed(&plain(&["a", "b"]), |bytes| {
        bytes[35..43].copy_from_slice(&(NOW.get() + 9999).to_be_bytes());
    });
    let checked = validate(&bytes, &Checks::default(), NOW).unwrap();
    assert_eq!(checked.max_timestamp, Some(NOW));
    let header_only = Checks { depth: Depth::Header, ..Checks::default() };
    assert_eq!(validate(&bytes, &header_only, NOW).unwrap().max_timestamp, None);
}

#[test]
fn compressed_records_numbered_wrongly_are_noticed() {
    let renumber = |codec| {
        // The offset delta of the second record is the fourth byte of the last eight.
        let plain = plain(&["a", "b"]);
        let mut records = plain.build().split_off(HEADER_BYTES);
        let second = records.len() / 2;
        records[second + 3] = 8;
        let mut bytes = plain.build();
        bytes.truncate(HEADER_BYTES);
        bytes[22] = codec as u8;
        Codec::pack(codec, &records, &mut bytes).unwrap();
        let length = (bytes.len() - 12) as i32;
        put(8, length)(&mut bytes);
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        validate(&bytes, &Checks::default(), NOW).unwrap().misnumbered
    };
    assert!(!renumber(Codec::None));
    assert!(renumber(Codec::Lz4));
}
