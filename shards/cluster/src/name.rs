//! What a topic may be called (`org.apache.kafka.common.internals.Topic`).

use ottla_units::limits::TOPIC_NAME_BYTES_MAX;

/// Which rule of topic names is broken; prints as Kafka's message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameError {
    /// No characters at all.
    Empty,
    /// `.` or `..`.
    Dots(String),
    /// Longer than 249 characters.
    TooLong(String),
    /// Characters other than ASCII letters, digits, `.`, `_` and `-`.
    Characters(String),
}

impl std::fmt::Display for NameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Topic name is invalid: ")?;
        match self {
            NameError::Empty => f.write_str("the empty string is not allowed"),
            NameError::Dots(name) => write!(f, "'{name}' is not allowed"),
            NameError::TooLong(name) => {
                write!(f, "the length of '{name}' is longer than the max allowed length {TOPIC_NAME_BYTES_MAX}")
            }
            NameError::Characters(name) => {
                write!(f, "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
            }
        }
    }
}

impl std::error::Error for NameError {}

/// Whether a topic may have this name.
///
/// # Errors
/// The first broken rule, in Kafka's order.
pub fn validate(name: &str) -> Result<(), NameError> {
    match name {
        "" => return Err(NameError::Empty),
        "." | ".." => return Err(NameError::Dots(name.to_owned())),
        _ => {}
    }
    // Java counts UTF-16 units; beyond ASCII the next rule refuses the name anyway.
    if name.encode_utf16().count() > TOPIC_NAME_BYTES_MAX {
        return Err(NameError::TooLong(name.to_owned()));
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err(NameError::Characters(name.to_owned()));
    }
    Ok(())
}

/// Whether the name holds a character that names of metrics cannot tell apart.
pub fn has_collision_chars(name: &str) -> bool {
    name.bytes().any(|b| matches!(b, b'.' | b'_'))
}

/// The name under which `a.b` and `a_b` are one.
pub fn unified(name: &str) -> String {
    name.replace('.', "_")
}

/// Whether a topic of this name belongs to the cluster itself (`Topic.isInternal`).
pub fn is_internal(name: &str) -> bool {
    matches!(name, crate::CONSUMER_OFFSETS | crate::TRANSACTION_STATE | "__share_group_state")
}
