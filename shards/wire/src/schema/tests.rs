use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::fuzz::author;
use crate::write::{put_length, put_string};
use crate::{apis, messages};

fn each_request(mut f: impl FnMut(ApiKey, i16)) {
    for api in apis::TABLE.iter().filter(|api| !matches!(api.key, ApiKey::Produce | ApiKey::Fetch)) {
        (api.accepted_min..=api.max).for_each(|version| f(api.key, version));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The table is what the crate decodes: every request made from it is accepted, decoded whole, and encoded back to
    /// the same bytes.
    #[test]
    fn the_table_is_the_crates_layout(seed in any::<u64>()) {
        each_request(|api, version| {
            let body = author::request(api, version, seed);
            assert_eq!(check(api, version, &body), Ok(()), "{api} {version}");
            let again = messages::round_trip(api, version, body.clone());
            assert_eq!(again.as_deref(), Ok(&body[..]), "{api} {version}");
        });
    }

    #[test]
    fn truncated_requests_are_refused_and_overlong_ones_are_not(seed in any::<u64>()) {
        each_request(|api, version| {
            let body = author::request(api, version, seed);
            for end in 0..body.len() {
                let refused = check(api, version, &body[..end]);
                assert!(matches!(refused, Err(WireError::Truncated { .. })), "{api} {version} cut at {end}: {refused:?}");
            }
            let longer = [&body[..], &[0]].concat();
            assert_eq!(check(api, version, &longer), Ok(()), "{api} {version}");
        });
    }

    /// Whatever one changes: no panic, and what the walk accepts the crate decodes but for text that is none.
    #[test]
    fn mutated_requests_do_no_harm(seed in any::<u64>(), at in any::<usize>(), byte in any::<u8>()) {
        each_request(|api, version| {
            let mut body = author::request(api, version, seed).to_vec();
            if !body.is_empty() {
                let at = at % body.len();
                body[at] = byte;
            }
            let accepted = check(api, version, &body);
            let decoded = messages::decode_any(api, version, body.into());
            match decoded {
                Ok(()) | Err(WireError::Undecodable(_) | WireError::NotUtf8) => assert_eq!(accepted, Ok(())),
                Err(error) => assert_eq!(accepted, Err(error)),
            }
        });
    }
}

#[test]
fn huge_counts_are_refused_before_memory_is_reserved() {
    let huge = i32::MAX.to_be_bytes();
    assert_eq!(check(ApiKey::Metadata, 1, &huge), Err(WireError::TooManyElements(i32::MAX as usize)));
    let most = 1_000_000i32.to_be_bytes();
    assert_eq!(check(ApiKey::Metadata, 1, &most), Err(WireError::Truncated { needed: 2_000_000, remaining: 0 }));
    // Compact: 2^32 - 2 elements.
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(check(ApiKey::Metadata, 9, &compact), Err(WireError::TooManyElements(u32::MAX as usize - 1)));
}

/// Ten arrays of 200,000 empty strings each are within every single limit, but not together.
#[test]
fn elements_are_counted_across_arrays() {
    let mut body = BytesMut::new();
    put_length(&mut body, true, 10);
    for _ in 0..10 {
        body.put_u8(2);
        put_string(&mut body, true, "t");
        put_length(&mut body, true, 200_000);
        body.put_bytes(1, 200_000);
        body.put_u8(0);
    }
    body.put_slice(&[0, 0, 0]);
    assert_eq!(check(ApiKey::DescribeConfigs, 4, &body), Err(WireError::TooManyElements(1_000_010)));
}

#[test]
fn null_only_where_and_when_allowed() {
    let null = (-1i32).to_be_bytes();
    assert_eq!(check(ApiKey::Metadata, 0, &null), Err(WireError::UnexpectedNull));
    assert_eq!(check(ApiKey::Metadata, 1, &null), Ok(()));
    assert_eq!(check(ApiKey::SaslHandshake, 1, &[0xff, 0xff]), Err(WireError::UnexpectedNull));
    // FindCoordinator 4 with null instead of its keys.
    assert_eq!(check(ApiKey::FindCoordinator, 4, &[0, 0, 0]), Err(WireError::UnexpectedNull));
}
