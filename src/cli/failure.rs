use std::process::ExitCode;
use std::{fmt, io};

use crate::client::ClientError;

/// Why a command ended otherwise than it should, and what to do next.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    next: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Typed wrongly: exit status 2.
    Usage,
    /// Did not work out: exit status 1.
    Runtime,
    /// Ended by Ctrl-C, with what it had: exit status 130.
    Interrupted,
    /// Whoever reads our output has gone: no message, and no failure.
    ReaderGone,
}

impl Failure {
    /// Something that was typed wrongly.
    pub fn usage(what: impl fmt::Display) -> Failure {
        Failure { kind: Kind::Usage, what: what.to_string(), next: None }
    }

    /// Something that did not work out.
    pub fn runtime(what: impl fmt::Display) -> Failure {
        Failure { kind: Kind::Runtime, what: what.to_string(), next: None }
    }

    /// A Ctrl-C, after what there was has been written.
    pub fn interrupted(what: impl fmt::Display) -> Failure {
        Failure { kind: Kind::Interrupted, what: what.to_string(), next: None }
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into());
        self
    }

    /// Tells it, and gives the exit status.
    pub fn report(&self) -> ExitCode {
        if !self.what.is_empty() {
            eprintln!("error: {self}");
        }
        match self.kind {
            Kind::Usage => ExitCode::from(2),
            Kind::Runtime => ExitCode::FAILURE,
            Kind::Interrupted => ExitCode::from(ottla_bench::cli::INTERRUPTED),
            Kind::ReaderGone => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.next {
            Some(next) => write!(f, "{}\n  next: {next}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure { kind: Kind::Runtime, what: error.to_string(), next: error.next_step() }
    }
}

/// Of standard input and output: everything else says which file it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { kind: Kind::ReaderGone, what: String::new(), next: None },
            _ => Failure::runtime(format!("standard input or output: {error}")),
        }
    }
}
