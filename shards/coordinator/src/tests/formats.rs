//! The bytes of records, against what Kafka 4.3.1 wrote.

use super::*;
use crate::records::{GroupValue, Key, RecordError, group_record, offset_record, read_group, read_key, read_offset};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn an_offset_as_kafka_writes_it() {
    let key = hex("0001000f6f726533633730372d303033382d6700106f726533633730372d303033382d743100000000");
    let value = hex("0004000000000000000900000000056e6f7465000001a1fd7c036f0100109cb24e2abe7f49e798f358744fb4edeb");
    let expected_key = Key::Offset { group: "ore3c707-0038-g".into(), topic: "ore3c707-0038-t1".into(), partition: 0 };
    assert_eq!(read_key(&key), Ok(expected_key));
    let committed = read_offset(&value).unwrap();
    assert_eq!((committed.offset.get(), committed.leader_epoch.get(), &*committed.metadata), (9, 0, "note"));
    assert_eq!(committed.committed_at.get(), 0x01a1_fd7c_036f);
    let record = offset_record("ore3c707-0038-g", "ore3c707-0038-t1", 0, Some(&committed));
    assert_eq!(record, Record { key: key.into(), value: Some(value.into()) });
}

#[test]
fn groups_as_kafka_writes_them() {
    let key = hex("0002000f6f726533633730372d303030352d67");
    for value in [
        "0003000000000000ffffffff000001a1fd7c01a900000000",
        "00030008636f6e73756d657200000001000572616e6765002b6f7261636c652d64396330326439302d646338372d343863312d383861322d6166363134\
         39656265343235000001a1fd7c01c800000001002b6f7261636c652d64396330326439302d646338372d343863312d383861322d6166363134396562653432\
         35ffff00066f7261636c65000a2f3132372e302e302e310000753000007530000000120000000000010001730000000572616e67650000000a65766572797468\
         696e67",
        "00030008636f6e73756d657200000002ffffffff000001a1fd7c01d600000000",
    ] {
        let value = hex(value);
        let read = read_group(&value).unwrap();
        let record = group_record("ore3c707-0005-g", Some(&read));
        assert_eq!(record, Record { key: key.clone().into(), value: Some(value.into()) });
    }
    assert_eq!(group_record("ore3c707-0005-g", None), Record { key: key.into(), value: None });
}

#[test]
fn our_own_group_is_read_as_written() {
    let mut bench = Bench::new(prompt());
    bench.stable();
    let GroupValue { protocol_type, generation, protocol, leader, members, .. } =
        read_group(bench.log.last().unwrap().value.as_ref().unwrap()).unwrap();
    assert_eq!((protocol_type.as_str(), generation, protocol.as_deref()), ("consumer", 1, Some("range")));
    assert_eq!((leader.as_deref(), members[0].client_host.as_str()), (Some("client-1"), "/127.0.0.1"));
    assert_eq!(
        (members[0].subscription.clone(), &members[0].assignment[..]),
        (subscription("range"), &b"everything"[..])
    );
}

#[test]
fn versions_before_and_after_ours_are_read() {
    // OffsetCommitValue 0 and 1: no leader epoch; 1 has an expiry. GroupMetadataValue 0: no timestamps.
    let zero = hex("0000000000000000002a00046e6f746500000000000003e8");
    let committed = read_offset(&zero).unwrap();
    assert_eq!((committed.offset.get(), committed.leader_epoch, &*committed.metadata), (42, LeaderEpoch::NONE, "note"));
    let one = hex("0001000000000000002a00046e6f746500000000000003e800000000000007d0");
    let committed = read_offset(&one).unwrap();
    assert_eq!(committed.expires_at.get(), 2000);
    assert_eq!(offset_record("g", "t", 0, Some(&committed)).value.unwrap(), one);
    let group = read_group(&hex("00000008636f6e73756d657200000002ffffffff00000000")).unwrap();
    assert_eq!((group.generation, group.state_since), (2, Timestamp::NONE));
    // GroupMetadataValue 4 is flexible.
    let group = read_group(&hex("000409636f6e73756d6572000000020000000001a1fd7c01d60100")).unwrap();
    assert_eq!((group.protocol_type.as_str(), group.protocol, group.members.len()), ("consumer", None, 0));
}

#[test]
fn bytes_cut_or_wrong_are_errors_never_panics() {
    let mut bench = Bench::new(prompt());
    bench.stable();
    bench.commit(CommitRequest { group: "h".into(), ..committing(1) });
    for record in bench.log.clone() {
        let value = record.value.unwrap();
        for end in 0..value.len() {
            let mut groups = Groups::new(prompt());
            assert!(groups.replay(&record.key, Some(&value[..end])).is_err());
        }
        for at in 0..value.len() {
            for byte in [0x00, 0x7f, 0x80, 0xff] {
                let mut changed = value.to_vec();
                changed[at] = byte;
                let _ = Groups::new(prompt()).replay(&record.key, Some(&changed));
            }
        }
    }
    assert_eq!(read_group(&[0, 9]), Err(RecordError::UnknownVersion(9)));
    assert_eq!(read_key(&[0, 3, 0, 0]), Ok(Key::Other(3)));
    assert_eq!(read_key(&[0]), Err(RecordError::Truncated));
}

#[test]
fn subscriptions() {
    let topics = subscribed_topics(&subscription("range")).unwrap();
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["s"]);
    for bad in [
        &[][..],
        &[0],
        &[0, 0],
        &[0xff, 0xff, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 2, 0, 1, b's'],
        &[0, 0, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert_eq!(subscribed_topics(bad), None, "{bad:?}");
    }
    assert!(subscribed_topics(&[0, 3, 0, 0, 0, 0, 1, 2, 3]).unwrap().is_empty());
}
