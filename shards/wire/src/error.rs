use crate::ApiKey;

/// What is wrong with bytes that a peer sent. A broker closes the connection on any of them, as Kafka does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError {
    /// The frame's length field is negative.
    NegativeFrame(i32),
    /// The frame is larger than the receiver takes.
    FrameTooLarge {
        /// What its length field says, in bytes.
        length: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// No such API, or one that is not served here.
    UnknownApi(i16),
    /// The API is served, this version of it is not.
    UnsupportedVersion {
        /// Which API.
        api: ApiKey,
        /// The version asked for.
        version: i16,
    },
    /// Something ends beyond the end of the frame.
    Truncated {
        /// Bytes (or, for arrays, the fewest bytes) still needed.
        needed: usize,
        /// Bytes left.
        remaining: usize,
    },
    /// The message ended before the frame did.
    LeftOver(usize),
    /// A length or count below −1, or −1 where null is not allowed.
    NegativeLength(i32),
    /// Null where the schema allows none.
    UnexpectedNull,
    /// A variable-length integer of more than five bytes or more than 32 bits.
    VarintTooLong,
    /// More elements in an array than `limits::ARRAY_ELEMENTS_MAX`.
    TooManyElements(usize),
    /// More tagged fields in a structure than `limits::TAGGED_FIELDS_MAX`.
    TooManyTaggedFields(usize),
    /// A tagged field's content does not have the size that it announces.
    TaggedFieldSize {
        /// Which tag.
        tag: u32,
        /// Its announced size, in bytes.
        size: usize,
    },
    /// A string of more bytes than `limits::STRING_BYTES_MAX`.
    StringTooLong(usize),
    /// A string that is not UTF-8.
    NotUtf8,
    /// The schema walk accepted the message, the decoder did not.
    Undecodable(ApiKey),
    /// A message of ours has a field set that this version cannot carry.
    Unencodable(ApiKey),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WireError::NegativeFrame(length) => write!(f, "frame length {length} is negative"),
            WireError::FrameTooLarge { length, max } => write!(f, "frame of {length} bytes is larger than {max}"),
            WireError::StringTooLong(bytes) => {
                write!(f, "a string of {bytes} bytes is longer than Kafka's strings may be")
            }
            WireError::UnknownApi(key) => write!(f, "API key {key} is not served here"),
            WireError::UnsupportedVersion { api, version } => write!(f, "{api} version {version} is not served here"),
            WireError::Truncated { needed, remaining } => {
                write!(f, "{needed} more bytes announced, only {remaining} are left")
            }
            WireError::LeftOver(count) => write!(f, "{count} bytes left over behind the message"),
            WireError::NegativeLength(length) => write!(f, "length {length} is negative"),
            WireError::UnexpectedNull => write!(f, "null where none is allowed"),
            WireError::VarintTooLong => write!(f, "variable-length integer of more than 32 bits"),
            WireError::TooManyElements(count) => write!(f, "array of {count} elements"),
            WireError::TooManyTaggedFields(count) => write!(f, "{count} tagged fields in one structure"),
            WireError::TaggedFieldSize { tag, size } => write!(f, "tagged field {tag} is not of its size {size}"),
            WireError::NotUtf8 => write!(f, "string is not UTF-8"),
            WireError::Undecodable(api) => write!(f, "{api} request does not decode"),
            WireError::Unencodable(api) => write!(f, "{api} message has a field that its version cannot carry"),
        }
    }
}

impl std::error::Error for WireError {}
