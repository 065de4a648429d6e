use super::*;

#[test]
fn an_unknown_group_is_dead_and_from_version_6_an_error() {
    let unknown = || Described::error("g".into(), ErrorCode::GroupIdNotFound);
    let old = respond(5, true, unknown());
    assert_eq!((old.error_code, old.group_state.as_str(), old.error_message), (0, "Dead", None));
    let new = respond(6, true, unknown());
    assert_eq!((new.error_code, new.error_message.as_deref()), (69, Some("Group g not found.")));
    assert_eq!(new.authorized_operations, fields::OPERATIONS_NOT_ASKED);
}
