//! Entry points for fuzzers: whatever the bytes, nothing panics and nothing reserves memory that they do not pay for.
use bytes::Bytes;

use crate::fetch::{Fetch, Fetched};
use crate::produce::{Produce, Produced};
use crate::{RequestHeader, apis, header, messages, schema};

pub mod author;

/// A request's and a response's header.
pub fn headers(bytes: &[u8]) {
    if let Ok(parsed) = RequestHeader::parse(bytes) {
        let _ = parsed.body(bytes);
    }
    for api in apis::TABLE {
        let _ = header::parse_response(bytes, api.key, api.max);
    }
}

/// A Produce request and response; the first byte picks the version.
pub fn produce(bytes: &[u8]) {
    let Some((version, body)) = split(bytes, apis::ApiKey::Produce) else { return };
    let _ = Produce::default().decode(body, version);
    let _ = Produced::default().decode(body, version);
}

/// A Fetch request and response; the first byte picks the version.
pub fn fetch(bytes: &[u8]) {
    let Some((version, body)) = split(bytes, apis::ApiKey::Fetch) else { return };
    let _ = Fetch::default().decode(body, version);
    let _ = Fetched::default().decode(body, version);
}

/// Any other request: the first byte picks the API, the second the version. What the walk accepts is decoded too.
pub fn guard(bytes: &[u8]) {
    let Some((&pick, rest)) = bytes.split_first() else { return };
    let api = apis::TABLE[usize::from(pick) % apis::TABLE.len()].key;
    let Some((version, body)) = split(rest, api) else { return };
    let accepted = schema::check(api, version, body).is_ok();
    let decoded = messages::decode_any(api, version, Bytes::copy_from_slice(body));
    assert!(accepted || decoded.is_err(), "what the walk refuses is never decoded");
}

/// Answers whose decoders are our own, as a client reads them; the first byte picks one.
pub fn answers(bytes: &[u8]) {
    let Some((&pick, rest)) = bytes.split_first() else { return };
    let body = Bytes::copy_from_slice(rest);
    if pick % 2 == 0 {
        let _ = messages::decode_response::<messages::OffsetCommitResponse>(10, body);
    } else {
        let _ = messages::decode_response::<messages::OffsetFetchResponse>(10, body);
    }
}

fn split(bytes: &[u8], api: apis::ApiKey) -> Option<(i16, &[u8])> {
    let (&pick, body) = bytes.split_first()?;
    let range = api.api();
    let versions = range.max - range.accepted_min + 1;
    Some((range.accepted_min + i16::from(pick) % versions, body))
}

#[cfg(test)]
mod tests;
