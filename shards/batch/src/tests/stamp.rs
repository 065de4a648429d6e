use ottla_units::{LeaderEpoch, Offset, Timestamp};

use crate::{Batch, Builder, HEADER_BYTES, Stamp, TimestampType, stamped_header};

fn stamped(bytes: &[u8], stamp: &Stamp) -> Vec<u8> {
    let (batch, _) = Batch::parse(bytes).unwrap();
    let mut out = stamped_header(&batch, stamp).to_vec();
    out.extend_from_slice(batch.payload());
    out
}

#[test]
fn offset_and_epoch_are_outside_the_checksum() {
    let bytes = Builder::new().record(Timestamp::new(7), None, Some(b"v")).build();
    let out = stamped(&bytes, &Stamp::at(Offset::new(1234), LeaderEpoch::new(5)));
    let (batch, _) = Batch::parse(&out).unwrap();
    assert_eq!((batch.base_offset(), batch.leader_epoch()), (Offset::new(1234), LeaderEpoch::new(5)));
    assert!(batch.crc_matches());
    assert_eq!(out[16..], bytes[16..]);
}

#[test]
fn times_change_the_checksum_whatever_the_length() {
    for value_bytes in [0, 100, 8 << 10, 20 << 10, 1 << 20] {
        let value: Vec<u8> = (0..value_bytes).map(|i| (i * 7) as u8).collect();
        let bytes = Builder::new().record(Timestamp::new(7), None, Some(&value)).build();
        let now = Timestamp::new(99);
        let stamp = Stamp { log_append_time: Some(now), ..Stamp::at(Offset::new(3), LeaderEpoch::ZERO) };
        let out = stamped(&bytes, &stamp);
        let (batch, _) = Batch::parse(&out).unwrap();
        assert!(batch.crc_matches(), "{value_bytes}");
        assert_eq!(batch.attributes().timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!((batch.max_timestamp(), batch.base_timestamp()), (now, Timestamp::new(7)));
        assert_eq!(stamp.stored_max_timestamp(&Batch::parse(&bytes).unwrap().0), now);

        // And back: a client that sets the bit on a topic with CreateTime.
        let stamp = Stamp { max_timestamp: Some(Timestamp::new(7)), ..Stamp::at(Offset::ZERO, LeaderEpoch::NONE) };
        assert_eq!(stamped(&out, &stamp), bytes, "{value_bytes}");
    }
}

#[test]
fn right_times_are_left_alone() {
    let bytes = Builder::new().record(Timestamp::new(7), None, None).build();
    let (batch, _) = Batch::parse(&bytes).unwrap();
    let stamp = Stamp { max_timestamp: Some(Timestamp::new(7)), ..Stamp::at(Offset::ZERO, LeaderEpoch::NONE) };
    assert_eq!(stamped_header(&batch, &stamp)[..], bytes[..HEADER_BYTES]);
}
