use proptest::prelude::*;

use super::*;

fn key() -> TopicPartition {
    TopicPartition::new(TopicId::from_bytes([0xaa; 16]), PartitionIndex::new(3))
}

fn header() -> FileHeader {
    FileHeader { core: 2, generation: 5, sequence: 7, salt: 0x1122_3344_5566_7788, bytes: 1 << 20, zeroed: true }
}

/// What is on disks already must be read for ever: these bytes may only change with the format's version.
#[test]
fn golden_bytes() {
    let mut block = vec![0xff; BLOCK];
    header().write(&mut block);
    let expected = [
        b'O', b'T', b'J', b'H', 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0x10, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    ];
    // Bytes 4 to 7 are the checksum of what follows.
    assert_eq!(block[8..52], expected[8..]);
    assert_eq!(&block[..4], &expected[..4]);
    assert!(block[52..].iter().all(|byte| *byte == 0));
    let entry = EntryHeader {
        kind: EntryKind::Append,
        key: key(),
        length: 0x0102,
        epoch: LeaderEpoch::new(4),
        offset: Offset::new(0x0a0b),
    };
    let mut expected = vec![1, 0, 0, 0, 3, 0, 0, 0];
    expected.extend([0xaa; 16]);
    expected.extend([2, 1, 0, 0, 4, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0]);
    assert_eq!(entry.to_bytes().to_vec(), expected);
}

#[test]
fn a_frame_verifies_only_in_its_own_file() {
    let file = header();
    let mut frame = vec![0; 100];
    let sealed = FrameHeader {
        length: 100,
        entries: 1,
        salt: file.salt,
        sequence: 7,
        number: 0,
        previous: 9,
        previous_sequence: 6,
        cycle: 1,
    };
    let entries = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    sealed.seal(&mut frame, entries);
    assert_eq!(FrameHeader::peek(&frame, &file), Some(sealed));
    assert!(sealed.verify(&frame));
    assert_eq!(FrameHeader::peek(&frame, &FileHeader { salt: 1, ..file }), None);
    assert_eq!(FrameHeader::peek(&frame, &FileHeader { sequence: 8, ..file }), None);
    for i in 0..frame.len() {
        frame[i] ^= 1;
        let seen = FrameHeader::peek(&frame, &file);
        assert!(seen.is_none_or(|header| header != sealed || !header.verify(&frame)), "byte {i}");
        frame[i] ^= 1;
    }
}

#[test]
fn marks_survive_the_round() {
    let mark = Mark {
        start: Offset::new(1),
        segment: Offset::new(2),
        position: 3,
        end: Offset::new(4),
        index_entries: 5,
        time_entries: 6,
        latest: Latest { timestamp: Timestamp::new(7), offset: Offset::new(8) },
    };
    assert_eq!(Mark::from_bytes(&mark.to_bytes()), Some(mark));
    assert_eq!(Mark::from_bytes(&[0; 55]), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for (header, payload) in Entries::new(&bytes).flatten() {
            prop_assert_eq!(header.length as usize, payload.len());
        }
        let _ = FileHeader::read(&bytes);
        if let Some(frame) = FrameHeader::peek(&bytes, &header()) {
            let _ = frame.verify(&bytes);
        }
    }
}
