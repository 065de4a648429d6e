use super::*;

#[test]
fn keys_rise_and_convert_both_ways() {
    for pair in TABLE.windows(2) {
        assert!(pair[0].key < pair[1].key, "{} before {}", pair[0].name, pair[1].name);
    }
    for api in TABLE {
        assert_eq!(ApiKey::from_code(api.key.code()), Some(api.key));
        assert_eq!(api.key.api(), api);
        assert!(api.min <= api.accepted_min && api.accepted_min <= api.max, "{}", api.name);
    }
    assert_eq!(ApiKey::from_code(4), None);
}

#[test]
fn produce_names_versions_that_it_refuses() {
    assert_eq!(ApiKey::Produce.api().min, 0);
    assert!(!ApiKey::Produce.accepts(2));
    assert!(ApiKey::Produce.accepts(3));
    assert!(ApiKey::Produce.accepts(13));
    assert!(!ApiKey::Produce.accepts(14));
}

#[test]
fn headers_follow_the_first_flexible_version() {
    assert_eq!(ApiKey::Fetch.request_header_version(11), 1);
    assert_eq!(ApiKey::Fetch.request_header_version(12), 2);
    assert_eq!(ApiKey::Fetch.response_header_version(12), 1);
    assert_eq!(ApiKey::ApiVersions.request_header_version(3), 2);
    assert_eq!(ApiKey::ApiVersions.response_header_version(4), 0);
    assert_eq!(ApiKey::SaslHandshake.request_header_version(1), 1);
}

/// The crate that decodes the rest knows the same header versions.
#[test]
fn headers_are_those_of_the_messages_crate() {
    for api in TABLE {
        let theirs = kafka_protocol::messages::ApiKey::try_from(api.key.code()).unwrap();
        for version in api.accepted_min..=api.max {
            assert_eq!(api.key.request_header_version(version), theirs.request_header_version(version), "{}", api.name);
            assert_eq!(
                api.key.response_header_version(version),
                theirs.response_header_version(version),
                "{}",
                api.name
            );
        }
    }
}

/// `docs/apis.md` ends with this table: after a change, paste what the failure prints.
#[test]
fn the_docs_list_what_is_served() {
    let page = include_str!("../../../../docs/apis.md");
    assert!(page.ends_with(&markdown()), "docs/apis.md should end with\n{}", markdown());
}
