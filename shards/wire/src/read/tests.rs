use super::*;

#[test]
fn uvarint_takes_five_bytes_and_32_bits() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0x7f], 127),
        (&[0x80, 0x01], 128),
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], u32::MAX),
        // More bytes than needed are allowed, as Kafka allows them.
        (&[0x81, 0x80, 0x00], 1),
    ] {
        let mut reader = Reader::new(bytes);
        assert_eq!(reader.uvarint(), Ok(value));
        assert_eq!(reader.finish(), Ok(()));
    }
    assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).uvarint(), Err(WireError::VarintTooLong));
    assert_eq!(Reader::new(&[0xff; 10]).uvarint(), Err(WireError::VarintTooLong));
    assert_eq!(Reader::new(&[0xff]).uvarint(), Err(WireError::Truncated { needed: 1, remaining: 0 }));
}

#[test]
fn counts_never_exceed_what_is_left() {
    let mut bytes = 5i32.to_be_bytes().to_vec();
    bytes.extend([0; 9]);
    assert_eq!(Reader::new(&bytes).count(false, 2), Err(WireError::Truncated { needed: 10, remaining: 9 }));
    bytes.push(0);
    assert_eq!(Reader::new(&bytes).count(false, 2), Ok(5));
    assert_eq!(
        Reader::new(&i32::MAX.to_be_bytes()).count(false, 1),
        Err(WireError::TooManyElements(i32::MAX as usize))
    );
    assert_eq!(Reader::new(&(-2i32).to_be_bytes()).count(false, 1), Err(WireError::NegativeLength(-2)));
    assert_eq!(Reader::new(&(-1i32).to_be_bytes()).count(false, 1), Err(WireError::UnexpectedNull));
    assert_eq!(Reader::new(&[0]).count(true, 1), Err(WireError::UnexpectedNull));
    assert_eq!(Reader::new(&[0]).nullable_count(true, 1), Ok(None));
}

#[test]
fn strings_are_text() {
    let body = [0, 3, b'a', 0xff, b'b'];
    assert_eq!(Reader::new(&body).string(false), Err(WireError::NotUtf8));
    let body = [4, b'a', b'b', b'c', 9];
    let span = Reader::new(&body).string(true).unwrap();
    assert_eq!(span.text(&body), "abc");
    assert_eq!(span.len(), 3);
    assert_eq!(Span { start: 3, end: 9 }.of(&body), b"", "a span of something else names nothing");
}

#[test]
fn known_tags_have_their_size() {
    // Two fields: tag 0 of four bytes, tag 7 of one.
    let body = [2, 0, 4, 0, 0, 0, 9, 7, 1, 42];
    let mut seen = None;
    let mut reader = Reader::new(&body);
    reader
        .tags(|tag, content| {
            if tag == 0 {
                seen = Some(content.i32()?);
            }
            Ok(tag == 0)
        })
        .unwrap();
    assert_eq!((seen, reader.finish()), (Some(9), Ok(())));
    let short = Reader::new(&body).tags(|_, content| content.i8().map(|_| true));
    assert_eq!(short, Err(WireError::TaggedFieldSize { tag: 0, size: 4 }));
    let long = Reader::new(&body).tags(|_, content| content.i64().map(|_| true));
    assert_eq!(long, Err(WireError::Truncated { needed: 8, remaining: 4 }));
    let many = [0x91, 0x4e];
    assert_eq!(Reader::new(&many).skip_tags(true), Err(WireError::TooManyTaggedFields(10_001)));
}

#[test]
fn strings_have_at_most_as_many_bytes_as_kafkas() {
    let longest = limits::STRING_BYTES_MAX;
    let with_length = |bytes: usize| {
        let mut encoded = Vec::new();
        let mut rest = bytes + 1;
        while rest > 0x7f {
            encoded.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        encoded.push(u8::try_from(rest).unwrap());
        encoded
    };
    assert_eq!(Reader::new(&with_length(longest)).string_length(true), Ok(Some(longest)));
    assert_eq!(Reader::new(&with_length(longest + 1)).string_length(true), Err(WireError::StringTooLong(longest + 1)));
}
