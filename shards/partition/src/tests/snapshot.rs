use ottla_units::{Offset, ProducerId, Timestamp};
use proptest::prelude::*;

use super::producers::arrival;
use crate::{Arrival, ProducerTable, SnapshotError};

#[test]
fn the_bytes_are_kafkas() {
    let mut table = ProducerTable::new();
    table.record(&arrival(0x11, 2, 5, 3, 100));
    let bytes = table.encode();
    let mut expected = vec![0, 1];
    expected.extend(crc32c::crc32c(&bytes[6..]).to_be_bytes());
    expected.extend(1u32.to_be_bytes());
    expected.extend(0x11u64.to_be_bytes());
    expected.extend(2u16.to_be_bytes());
    expected.extend(7u32.to_be_bytes());
    expected.extend(102u64.to_be_bytes());
    expected.extend(2u32.to_be_bytes());
    expected.extend(1100u64.to_be_bytes());
    expected.extend([0xff; 4]);
    expected.extend([0xff; 8]);
    assert_eq!(bytes, expected);
    assert_eq!(ProducerTable::decode(&bytes, Timestamp::new(1100)).unwrap(), table);
}

#[test]
fn earlier_batches_lie_behind_the_array() {
    let mut table = ProducerTable::new();
    table.record(&arrival(1, 0, 0, 2, 0));
    table.record(&arrival(1, 0, 2, 1, 2));
    let bytes = table.encode();
    assert_eq!(bytes[10 + 46..][..17], *b"OTL1\0\0\0\x01\0\0\0\0\0\0\0\x01\x01");
    assert_eq!(bytes.len(), 10 + 46 + 17 + 24);
    let loaded = ProducerTable::decode(&bytes, Timestamp::new(0)).unwrap();
    let producer = ProducerId::new(1);
    assert_eq!(loaded.get(producer).unwrap().batches(), table.get(producer).unwrap().batches());
}

#[test]
fn open_transactions_are_kept() {
    let mut table = ProducerTable::new();
    table.record(&Arrival { transactional: true, ..arrival(1, 0, 0, 1, 42) });
    let loaded = ProducerTable::decode(&table.encode(), Timestamp::new(1100)).unwrap();
    assert_eq!(loaded.first_unstable_offset(), Some(Offset::new(42)));
    assert_eq!(loaded.get(ProducerId::new(1)).unwrap().transaction_start(), Some(Offset::new(42)));
}

#[test]
fn other_bytes_are_refused() {
    let mut bytes = ProducerTable::new().encode();
    assert_eq!(bytes.len(), 10);
    bytes[1] = 2;
    assert_eq!(ProducerTable::decode(&bytes, Timestamp::new(1100)), Err(SnapshotError::UnknownVersion { version: 2 }));
    bytes[1] = 1;
    bytes[5] ^= 1;
    assert!(matches!(ProducerTable::decode(&bytes, Timestamp::new(1100)), Err(SnapshotError::ChecksumMismatch { .. })));
    assert_eq!(ProducerTable::decode(&[], Timestamp::new(1100)), Err(SnapshotError::Length { bytes: 0 }));
    let mut claims = vec![0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let crc = crc32c::crc32c(&claims[6..]);
    claims[2..6].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(ProducerTable::decode(&claims, Timestamp::new(1100)), Err(SnapshotError::Length { bytes: 10 }));
}

proptest! {
    #[test]
    fn hostile_batches_behind_the_array_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..80), tagged in any::<bool>()) {
        let mut table = ProducerTable::new();
        table.record(&arrival(0, 0, 0, 1, 0));
        let mut bytes = table.encode();
        if tagged {
            bytes.extend(b"OTL1\0\0\0\x01\0\0\0\0\0\0\0\0");
        }
        bytes.extend(tail);
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        let _ = ProducerTable::decode(&bytes, Timestamp::new(0));
    }

    #[test]
    fn hostile_entries_give_a_table(entry in proptest::collection::vec(any::<u8>(), 46)) {
        let mut bytes = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes.extend(entry);
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        let mut table = ProducerTable::decode(&bytes, Timestamp::new(1100)).unwrap();
        let (producer, _) = table.iter().next().unwrap();
        let next = arrival(producer.get(), 0, 0, 1, 5);
        if table.check(&next, crate::Origin::Client) == Ok(None) {
            table.record(&next);
        }
    }
}
