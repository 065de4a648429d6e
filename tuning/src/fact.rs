use serde::{Deserialize, Serialize};

/// Something about the host, or why it is not known.
///
/// In JSON a known fact is its value alone; an unknown one is `{"unknown": "why"}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact<T> {
    /// It could not be read. First, so that a recording of it is not taken for a value without fields.
    Unknown {
        /// Why, with the file or the command.
        unknown: String,
    },
    /// What was read.
    Known(T),
}

impl<T> Fact<T> {
    /// Not known, because of `why`.
    pub fn unknown(why: impl Into<String>) -> Fact<T> {
        Fact::Unknown { unknown: why.into() }
    }

    /// What was read, if it was.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown { .. } => None,
        }
    }

    /// Why it is not known, if it is not.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown { unknown } => Some(unknown),
        }
    }

    /// Another form of what was read; `None` is told as unknown, because of `why`.
    pub fn and_then<U>(self, why: impl FnOnce() -> String, form: impl FnOnce(T) -> Option<U>) -> Fact<U> {
        match self {
            Fact::Known(value) => form(value).map_or_else(|| Fact::unknown(why()), Fact::Known),
            Fact::Unknown { unknown } => Fact::Unknown { unknown },
        }
    }

    /// Another form of what was read.
    pub fn map<U>(self, form: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(form(value)),
            Fact::Unknown { unknown } => Fact::Unknown { unknown },
        }
    }
}

/// What a recording from before the fact was asked for holds.
impl<T> Default for Fact<T> {
    fn default() -> Fact<T> {
        Fact::unknown("not recorded")
    }
}
