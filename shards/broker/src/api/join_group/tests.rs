use ottla_units::ErrorCode;

use super::*;

#[test]
fn a_refusal_has_no_null_protocol_before_version_7() {
    let refusal = || JoinReply::error(ErrorCode::MemberIdRequired, "client-1".into());
    let old = respond(6, refusal());
    assert_eq!((old.error_code, old.generation_id, old.member_id.as_str()), (79, -1, "client-1"));
    assert_eq!(old.protocol_name.as_deref(), Some(""));
    assert_eq!(respond(7, refusal()).protocol_name, None);
}

#[test]
fn the_leader_is_told_of_everyone() {
    let member = JoinedMember { member: "m".into(), instance: Some("i".into()), metadata: Bytes::from_static(b"x") };
    let reply = JoinReply {
        error: ErrorCode::None,
        generation: 3,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        leader: "m".into(),
        skip_assignment: true,
        member: "m".into(),
        members: vec![member],
    };
    let response = respond(9, reply);
    assert_eq!((response.generation_id, response.leader.as_str(), response.skip_assignment), (3, "m", true));
    assert_eq!(response.members[0].group_instance_id.as_deref(), Some("i"));
    assert_eq!(&response.members[0].metadata[..], b"x");
}
