use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::write::{put_length, put_null, put_nullable_string, put_string, put_uvarint};
use crate::{apis, messages};

/// Writes a random valid request, from the table alone.
struct Author {
    state: u64,
    version: i16,
    flexible: bool,
    tags: bool,
    out: BytesMut,
}

impl Author {
    fn request(api: ApiKey, version: i16, seed: u64) -> Bytes {
        // Our own codecs of these drop unknown tagged fields, which the comparison would notice.
        let tags = !(version == 10 && matches!(api, ApiKey::OffsetCommit | ApiKey::OffsetFetch));
        let flexible = api.is_flexible(version);
        let mut author = Author { state: seed | 1, version, flexible, tags, out: BytesMut::new() };
        author.structure(request(api));
        author.out.freeze()
    }

    /// xorshift64*
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn structure(&mut self, fields: &[Field]) {
        for field in fields {
            if (field.first..=field.last).contains(&self.version) {
                self.field(field);
            }
        }
        if self.flexible {
            self.tagged_fields();
        }
    }

    fn tagged_fields(&mut self) {
        let count = if self.tags && self.below(4) == 0 { 2 } else { 0 };
        put_uvarint(&mut self.out, count);
        for i in 0..count {
            put_uvarint(&mut self.out, 100 + i * 100);
            put_uvarint(&mut self.out, 3);
            self.out.put_slice(b"tag");
        }
    }

    fn field(&mut self, field: &Field) {
        let null = self.version >= field.null_from && self.below(4) == 0;
        match field.kind {
            Kind::Fixed(bytes) => (0..bytes).for_each(|_| {
                let byte = self.below(2) as u8;
                self.out.put_u8(byte);
            }),
            Kind::String if null => put_nullable_string(&mut self.out, self.flexible, None),
            Kind::String => self.string(),
            Kind::Optional(_) if null => self.out.put_i8(-1),
            Kind::Optional(fields) => {
                self.out.put_i8(1);
                self.structure(fields);
            }
            _ if null => put_null(&mut self.out, self.flexible),
            Kind::Bytes => {
                let count = self.count();
                self.out.put_slice(&[7; 3][..count]);
            }
            Kind::Strings => (0..self.count()).for_each(|_| self.string()),
            Kind::Int32s => (0..self.count()).for_each(|i| self.out.put_i32(i as i32)),
            Kind::Structs(fields) => (0..self.count()).for_each(|_| self.structure(fields)),
        }
    }

    fn count(&mut self) -> usize {
        let count = self.below(4) as usize;
        put_length(&mut self.out, self.flexible, count);
        count
    }

    fn string(&mut self) {
        let length = self.below(200) as usize;
        put_string(&mut self.out, self.flexible, &"é".repeat(100)[..length & !1]);
    }
}

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
            let body = Author::request(api, version, seed);
            assert_eq!(check(api, version, &body), Ok(()), "{api} {version}");
            let again = messages::round_trip(api, version, body.clone());
            assert_eq!(again.as_deref(), Ok(&body[..]), "{api} {version}");
        });
    }

    #[test]
    fn truncated_requests_are_refused_and_overlong_ones_are_not(seed in any::<u64>()) {
        each_request(|api, version| {
            let body = Author::request(api, version, seed);
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
            let mut body = Author::request(api, version, seed).to_vec();
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
