use std::fmt;
use std::io;
use std::path::PathBuf;

/// What went wrong on the measuring side or between it and the broker.
#[derive(Debug)]
pub enum BenchError {
    /// A socket, file or process call failed; `what` says which.
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The broker closed the connection.
    Closed,
    /// The broker's bytes do not follow the protocol.
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// A response came back for another request than the one that is due.
    WrongCorrelation {
        /// The id that was due.
        expected: i32,
        /// The id that came.
        got: i32,
    },
    /// The broker answered with an error code.
    Refused {
        /// The request.
        api: &'static str,
        /// Kafka's error code.
        code: i16,
    },
    /// Something that had to be there is not.
    Missing {
        /// What.
        what: String,
    },
    /// A message could not be encoded or decoded at its version.
    Codec {
        /// The codec's words.
        why: String,
    },
    /// The broker did not do something in time.
    TimedOut {
        /// What was waited for.
        what: String,
    },
    /// The broker process ended by itself.
    BrokerEnded {
        /// Its exit status.
        status: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// A flag's value makes no sense.
    BadArgument {
        /// Which and why.
        why: String,
    },
}

/// A result with [`BenchError`].
pub type Result<T> = std::result::Result<T, BenchError>;

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Io { what, source } => write!(f, "{what}: {source}"),
            BenchError::Closed => write!(f, "the broker closed the connection"),
            BenchError::Malformed { what } => write!(f, "malformed bytes from the broker: {what}"),
            BenchError::WrongCorrelation { expected, got } => {
                write!(f, "answer with correlation id {got} where {expected} was due")
            }
            BenchError::Refused { api, code } => {
                write!(f, "{api} answered with error {code} ({})", error_name(*code))
            }
            BenchError::Missing { what } => write!(f, "missing: {what}"),
            BenchError::Codec { why } => write!(f, "codec: {why}"),
            BenchError::TimedOut { what } => write!(f, "timed out: {what}"),
            BenchError::BrokerEnded { status, log } => {
                write!(f, "the broker ended by itself ({status}); its output is in {}", log.display())
            }
            BenchError::BadArgument { why } => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for BenchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BenchError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for BenchError {
    fn from(source: io::Error) -> BenchError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return BenchError::Closed;
        }
        BenchError::Io { what: "socket".to_owned(), source }
    }
}

impl From<rustix::io::Errno> for BenchError {
    fn from(errno: rustix::io::Errno) -> BenchError {
        BenchError::from(io::Error::from(errno))
    }
}

/// Says what was being done when an I/O call failed.
pub trait During<T> {
    /// The same with `what` named.
    ///
    /// # Errors
    /// [`BenchError::Io`].
    fn during(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| BenchError::Io { what: what(), source })
    }
}

/// Kafka's name of an error code.
pub fn error_name(code: i16) -> &'static str {
    ottla_units::ErrorCode::from_code(code).map_or("UNNAMED", ottla_units::ErrorCode::name)
}
