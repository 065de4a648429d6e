use super::*;

fn left(member: &str, error: ErrorCode) -> Left {
    Left { member: member.into(), instance: None, error }
}

#[test]
fn one_who_leaves_is_told_at_the_top() {
    let response = respond(2, Ok(vec![left("a", ErrorCode::UnknownMemberId)]));
    assert_eq!((response.error_code, response.members.len()), (25, 0));
}

#[test]
fn several_are_told_one_by_one() {
    let response = respond(3, Ok(vec![left("a", ErrorCode::None), left("b", ErrorCode::UnknownMemberId)]));
    let errors: Vec<i16> = response.members.iter().map(|member| member.error_code).collect();
    assert_eq!((response.error_code, errors), (0, vec![0, 25]));
    assert_eq!(respond(3, Err(ErrorCode::InvalidGroupId)).error_code, 24);
}
