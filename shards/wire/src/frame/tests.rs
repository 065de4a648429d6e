use super::*;

#[test]
fn lengths_are_bounded() {
    assert_eq!(length(100i32.to_be_bytes(), 100), Ok(100));
    assert_eq!(length(0i32.to_be_bytes(), 100), Ok(0));
    assert_eq!(length(101i32.to_be_bytes(), 100), Err(WireError::FrameTooLarge { length: 101, max: 100 }));
    assert_eq!(length((-1i32).to_be_bytes(), 100), Err(WireError::NegativeFrame(-1)));
    // The start of an HTTP request and of a TLS hello.
    assert!(length(*b"GET ", 100 << 20).is_err());
    assert!(length([0x16, 3, 1, 2], 100 << 20).is_err());
}

#[test]
fn responses_follow_each_other() {
    let mut out = BytesMut::new();
    let first = begin_response(&mut out, ApiKey::Heartbeat, 0, 7);
    out.put_i16(25);
    first.close(&mut out, 0);
    let second = begin_response(&mut out, ApiKey::Fetch, 12, 8);
    assert_eq!(second.position(), 10);
    second.close(&mut out, 1000);
    assert_eq!(&out[..], [0, 0, 0, 6, 0, 0, 0, 7, 0, 25, 0, 0, 3, 0xed, 0, 0, 0, 8, 0]);
}

#[test]
fn requests_carry_their_header() {
    let mut out = BytesMut::new();
    let open = begin_request(&mut out, ApiKey::ApiVersions, 3, 5, Some("me"));
    open.close(&mut out, 0);
    assert_eq!(&out[..], [0, 0, 0, 13, 0, 18, 0, 3, 0, 0, 0, 5, 0, 2, b'm', b'e', 0]);
    let header = crate::RequestHeader::parse(&out[LENGTH_BYTES..]).unwrap();
    assert_eq!((header.api, header.version, header.correlation_id), (ApiKey::ApiVersions, 3, 5));
    assert_eq!((header.client_id, header.body_at), (Some("me"), 13));
}
