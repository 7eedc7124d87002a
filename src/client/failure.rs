//! Owns how a command that talks to a server ends when it did not do what it was asked for, and with which exit code.
//! It must not print.

use std::fmt;

/// Why a command ends otherwise than well.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
}

/// What kind of end that is. Each has an exit code of its own, so that scripts can go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It could not be done.
    Failed,
    /// What was typed is wrong.
    Usage,
    /// It was done, and the answer is no: a run failed, a dry run found differences.
    No,
    /// Whoever asks may not do this.
    NotAllowed,
    /// There is no such thing.
    NotFound,
    /// It is another one by now.
    Changed,
}

impl Kind {
    /// The kind of an answer with this status.
    pub(crate) fn of_status(status: u16) -> Kind {
        match status {
            400 | 413 | 415 | 422 => Kind::Usage,
            401 | 403 => Kind::NotAllowed,
            404 => Kind::NotFound,
            412 => Kind::Changed,
            _ => Kind::Failed,
        }
    }

    fn code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::No => 3,
            Kind::NotAllowed => 4,
            Kind::NotFound => 5,
            Kind::Changed => 6,
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }

    /// It could not be done.
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Failed, message)
    }

    /// What was typed is wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Kind::Usage, message)
    }

    /// The answer is no. Without a message, if what was printed says it.
    pub(crate) fn no(message: impl Into<String>) -> Failure {
        Failure::new(Kind::No, message)
    }

    /// The same, of something that stands here.
    pub(crate) fn at(self, place: &str) -> Failure {
        Failure { message: format!("{place}: {}", self.message), ..self }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.kind.code()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// None: all was said.
    pub fn message(&self) -> Option<&str> {
        Some(self.message.as_str()).filter(|message| !message.is_empty())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What was to be printed could not be. A reader that has had enough, as `head` has, is no failure.
pub(crate) fn unprinted(why: &std::io::Error) -> Failure {
    match why.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::new(Kind::Failed, ""),
        _ => Failure::failed(format!("the output could not be written: {why}")),
    }
}
