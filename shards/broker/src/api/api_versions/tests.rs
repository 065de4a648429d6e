use bytes::BytesMut;
use ottla_wire::messages::encode;

use super::*;

#[test]
fn software_is_named_plainly() {
    for good in ["a", "apache-kafka-java", "4.3.1", "a--b", "librdkafka", "9"] {
        assert!(is_software(good), "{good}");
    }
    for bad in ["", "my client", "-a", "a-", ".", "a_b", "é"] {
        assert!(!is_software(bad), "{bad}");
    }
}

#[test]
fn every_version_encodes() {
    for version in 0..=4 {
        let response = if version < FEATURES_FROM { listed() } else { with_features(listed()) };
        assert_eq!(encode(&response, version, &mut BytesMut::new()), Ok(()));
    }
    assert_eq!(listed().api_keys.len(), apis::served().count());
}

#[test]
fn an_unknown_version_is_told_this_apis_range() {
    let response = unsupported();
    let ranges: Vec<_> = response.api_keys.iter().map(|r| (r.api_key, r.min_version, r.max_version)).collect();
    assert_eq!((response.error_code, ranges), (35, vec![(18, 0, 4)]));
}
