use super::*;

#[test]
fn client_id_may_be_null_or_empty() {
    let null = [0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 9];
    let header = RequestHeader::parse(&null).unwrap();
    assert_eq!((header.api, header.client_id, header.body(&null)), (ApiKey::Metadata, None, &[9][..]));
    let empty = [0, 3, 0, 9, 0, 0, 0, 1, 0, 0, 0, 9];
    let header = RequestHeader::parse(&empty).unwrap();
    assert_eq!((header.version, header.client_id, header.body(&empty)), (9, Some(""), &[9][..]));
}

#[test]
fn tagged_fields_are_passed_over() {
    let frame = [0, 3, 0, 9, 0, 0, 0, 1, 0, 1, b'c', 2, 0, 1, 42, 5, 2, 1, 2, 99];
    let header = RequestHeader::parse(&frame).unwrap();
    assert_eq!((header.client_id, header.body(&frame)), (Some("c"), &[99][..]));
}

#[test]
fn what_is_not_served_is_refused() {
    assert_eq!(RequestHeader::parse(&[0, 4, 0, 0, 0, 0, 0, 1]), Err(WireError::UnknownApi(4)));
    assert_eq!(RequestHeader::parse(&[0xff, 0xff, 0, 0]), Err(WireError::UnknownApi(-1)));
    let version = RequestHeader::parse(&[0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(version, Err(WireError::UnsupportedVersion { api: ApiKey::Produce, version: 2 }));
    let negative = RequestHeader::parse(&[0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff]);
    assert_eq!(negative, Err(WireError::UnsupportedVersion { api: ApiKey::Metadata, version: -1 }));
}

/// KIP-511: a client that is newer than the broker learns what the broker speaks.
#[test]
fn unknown_versions_of_api_versions_parse() {
    let frame = [0, 18, 0, 99, 0, 0, 0, 1, 0, 1, b'c', 0, 1, 2, 3];
    let header = RequestHeader::parse(&frame).unwrap();
    assert_eq!((header.api, header.version, header.correlation_id), (ApiKey::ApiVersions, 99, 1));
    assert!(!header.api.accepts(header.version));
}

#[test]
fn truncated_headers_are_refused() {
    let whole = [0, 3, 0, 9, 0, 0, 0, 1, 0, 1, b'c', 1, 0, 1, 42];
    for end in 0..whole.len() {
        assert!(matches!(RequestHeader::parse(&whole[..end]), Err(WireError::Truncated { .. })), "{end} bytes");
    }
    assert!(matches!(RequestHeader::parse(&[0, 3, 0, 0, 0, 0, 0, 1, 0x7f, 0xff]), Err(WireError::Truncated { .. })));
    assert_eq!(RequestHeader::parse(&[0, 3, 0, 0, 0, 0, 0, 1, 0xff, 0xfe]), Err(WireError::NegativeLength(-2)));
}

#[test]
fn response_headers_parse() {
    assert_eq!(parse_response(&[0, 0, 0, 7, 0, 1], ApiKey::Fetch, 12), Ok((7, 5)));
    assert_eq!(parse_response(&[0, 0, 0, 7, 0, 1], ApiKey::Fetch, 11), Ok((7, 4)));
    assert_eq!(parse_response(&[0, 0, 0, 7, 0, 1], ApiKey::ApiVersions, 4), Ok((7, 4)));
}
