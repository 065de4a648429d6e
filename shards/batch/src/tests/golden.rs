//! Batches that Kafka's Java client (4.3.1) and librdkafka (2.x, through kcat) wrote, read from a Kafka 4.3.1 log.

use ottla_units::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use crate::{Batch, Batches, Builder, Codec, ControlKind, HEADER_BYTES, TimestampType, records};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

const JAVA: [(Codec, &str); 5] = [
    (
        Codec::None,
        "00000000000000000000004f0000000002d380f198000000000000000001a1fd810386000001a1fd810386ffffffffffffffffffffffffffff000000013a000000086b6579311476616c75652d6e6f6e6504046831027804683200",
    ),
    (
        Codec::Gzip,
        "00000000000000000000006300000000023afdd66b000100000000000001a1fd81042c000001a1fd81042cffffffffffffffffffffffffffff000000011f8b08000000000000ffb3626060e0c84ead3414294bcc294dd54dafca2c6061c93064aa60c93062000040cf1f241e000000",
    ),
    (
        Codec::Snappy,
        "000000000000000000000067000000000245483df9000200000000000001a1fd8104ad000001a1fd8104adffffffffffffffffffffffffffff0000000182534e4150505900000000010000000100000022207c3e000000086b6579311876616c75652d736e6170707904046831027804683200",
    ),
    (
        Codec::Lz4,
        "00000000000000000000005d00000000020eea9273000300000000000001a1fd810350000001a1fd810350ffffffffffffffffffffffffffff0000000104224d186040821d00008038000000086b6579311276616c75652d6c7a340404683102780468320000000000",
    ),
    (
        Codec::Zstd,
        "00000000000000000000005b00000000022c792621000400000000000001a1fd81031f000001a1fd81031fffffffffffffffffffffffffffff0000000128b52ffd0058f000003a000000086b6579311476616c75652d7a73746404046831027804683200010000",
    ),
];

const LIBRDKAFKA: [(Codec, &str); 4] = [
    (
        Codec::Gzip,
        "0000000000000000000000910000000002f4988b36000100000004000001a1fd816227000001a1fd816227ffffffffffffffffffffffffffff000000051f8b08000000000000039bc0c8c0c0c0919d5a6958529698539aaa90579a9b945aa460a890483c60624a644a9a00348909649211aa49466499c40232c918d52463b24c62039964826a9209592671804c324535c994649300b5e5a49c72010000",
    ),
    (
        Codec::Snappy,
        "0000000000000000000000920000000002f7e285e9000200000004000001a1fd816621000001a1fd816621ffffffffffffffffffffffffffff00000005f202689001000000086b6579317476616c7565206e756d62657220312061a60100100202610262014a0002014a0032364a000032d24a000004014a0033364a000033d24a000006014a0034364a000034d24a000008014a0035364a000035c24a00",
    ),
    (
        Codec::Lz4,
        "00000000000000000000006600000000026a972481000300000000000001a1fd816a14000001a1fd816a14ffffffffffffffffffffffffffff0000000104224d1860408226000000ff0c9001000000086b6579317476616c7565206e756d626572203120610100175002026102620000000000000000000000010000009500000000024033d92a000300000003000001a1fd816a14000001a1fd816a14ffffffffffffffffffffffffffff0000000404224d1860408255000000ff0c9001000000086b6579327476616c7565206e756d626572203220610100175002026102624a0010024a001a334a001f334a002210044a001a344a001f344a002210064a001a354a001f354a001950020261026200000000",
    ),
    (
        Codec::Zstd,
        "00000000000000000000008c0000000002042c7c4e000400000004000001a1fd816e08000001a1fd816e08ffffffffffffffffffffffffffff0000000528b52ffd005895020044039001000000086b6579317476616c7565206e756d6265722031206102026102629001000002086b657932320433330634340835350c008248801c6099c029400eb04ce01420075826388526c8f510c003",
    ),
];

#[test]
fn java_writes_what_we_read() {
    for (codec, hex) in JAVA {
        let bytes = bytes(hex);
        let (batch, rest) = Batch::parse(&bytes).unwrap();
        assert!(rest.is_empty() && batch.crc_matches(), "{codec}");
        assert_eq!(batch.attributes().codec(), Ok(codec));
        assert_eq!(batch.attributes().timestamp_type(), TimestampType::CreateTime);
        assert_eq!((batch.magic(), batch.record_count(), batch.last_offset_delta()), (2, 1, 0));
        assert_eq!((batch.base_offset(), batch.next_offset()), (Offset::ZERO, Offset::new(1)));
        assert_eq!((batch.leader_epoch(), batch.producer_id()), (LeaderEpoch::ZERO, ProducerId::NONE));
        assert_eq!((batch.base_sequence(), batch.last_sequence()), (Sequence::NONE, Sequence::NONE));
        let mut records = records(&batch, 1000).unwrap();
        let record = records.next().unwrap().unwrap();
        assert_eq!(record.key, Some(&b"key1"[..]), "{codec}");
        assert_eq!(record.value, Some(format!("value-{codec}").as_bytes()));
        assert_eq!((record.offset, record.timestamp), (Offset::ZERO, batch.base_timestamp()));
        let headers: Vec<_> = record.headers.collect();
        assert_eq!(headers, [(&b"h1"[..], Some(&b"x"[..])), (b"h2", Some(b""))]);
        assert!(records.next().is_none());
    }
}

#[test]
fn librdkafka_writes_what_we_read() {
    for (codec, hex) in LIBRDKAFKA {
        let bytes = bytes(hex);
        let mut seen = 0;
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.crc_matches(), "{codec}");
            let mut records = records(&batch, 1000).unwrap();
            while let Some(record) = records.next() {
                let record = record.unwrap();
                assert_eq!(record.offset, Offset::new(seen), "{codec}");
                seen += 1;
                assert_eq!(record.key, Some(format!("key{seen}").as_bytes()), "{codec}");
                assert_eq!(record.value.unwrap().len(), 58, "{codec}");
            }
        }
        assert_eq!(seen, 5, "{codec}");
    }
}

#[test]
fn we_write_what_java_writes() {
    let expected = bytes(JAVA[0].1);
    let time = Timestamp::new(0x01a1_fd81_0386);
    let built = Builder::new()
        .leader_epoch(LeaderEpoch::ZERO)
        .record_with_headers(time, Some(b"key1"), Some(b"value-none"), &[(b"h1", Some(b"x")), (b"h2", Some(b""))])
        .build();
    assert_eq!(built, expected);
    // The framing of snappy-java and of Java's LZ4 too, bit for bit.
    for (at, value) in [(2, "value-snappy"), (3, "value-lz4")] {
        let (codec, hex) = JAVA[at];
        let expected = bytes(hex);
        let (batch, _) = Batch::parse(&expected).unwrap();
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"h1", Some(b"x")), (b"h2", Some(b""))];
        let built = Builder::new()
            .leader_epoch(LeaderEpoch::ZERO)
            .codec(codec)
            .record_with_headers(batch.base_timestamp(), Some(b"key1"), Some(value.as_bytes()), &headers)
            .build();
        assert_eq!(built, expected, "{codec}");
    }
}

#[test]
fn ends_of_transactions_are_control_batches() {
    let (id, epoch) = (ProducerId::new(7), ProducerEpoch::new(3));
    for kind in [ControlKind::Commit, ControlKind::Abort] {
        let bytes = Builder::end_of_transaction(kind, id, epoch, 9, Timestamp::new(5)).build();
        let (batch, _) = Batch::parse(&bytes).unwrap();
        assert!(batch.attributes().is_control() && batch.attributes().is_transactional());
        assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (id, epoch, Sequence::NONE));
        assert_eq!(bytes.len(), HEADER_BYTES + 17);
        let mut records = records(&batch, 0).unwrap();
        let record = records.next().unwrap().unwrap();
        assert_eq!(ControlKind::from_key(record.key.unwrap()), Some(kind));
        assert_eq!(record.value, Some(&[0, 0, 0, 0, 0, 9][..]));
    }
}
