//! Owns what can go wrong with a database: which of it was said by the server, and what may have been carried out all the same.
//! It must not show a password, nor pass on what a server says without bounds.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use super::bounds::TEXT_LEN_MAX;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The text of a URL, or what it names, is not right.
    Url(String),
    /// No host was usable: each, and why.
    Connect(Vec<(String, Error)>),
    /// A server that is of no use as it is: too old, read-only, a pooler, or one that wants what it must not be given.
    Unusable(String),
    /// The server refused it. The connection goes on.
    Server(Box<ServerError>),
    /// The connection is lost, or was lost before.
    Lost {
        /// How much of the call had been sent.
        sent: Sent,
        /// How that showed.
        why: String,
        /// The last words of the server, if there were any.
        last: Option<Box<ServerError>>,
    },
    /// The time was up. The connection is lost by that.
    Timeout {
        /// How much of the call had been sent.
        sent: Sent,
    },
    /// The server said something that nobody expects from one. The connection is lost by that.
    Protocol {
        /// How much of the call had been sent.
        sent: Sent,
        /// What it was.
        what: String,
    },
    /// A value does not fit: to be sent, or to be read as what it is asked for. If it was to be sent, nothing was.
    Value(String),
}

/// How much of a call had left this process when its connection was lost. What is not whole was not committed, unless there
/// is a COMMIT in the middle of it. What is whole may have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Nothing.
    Nothing,
    /// Something, but not its end.
    Part,
    /// All of it.
    Whole,
}

/// What a server says that it is sorry for. All texts are bounded and have no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// `ERROR`, `FATAL` or `PANIC`.
    pub severity: String,
    /// Which error it is: five letters and digits (SQLSTATE).
    pub code: String,
    /// What it says.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Where in the server's functions it happened.
    pub context: Option<String>,
    /// The schema that it is about.
    pub schema: Option<String>,
    /// The table that it is about.
    pub table: Option<String>,
    /// The column that it is about.
    pub column: Option<String>,
    /// The constraint that it is about.
    pub constraint: Option<String>,
    /// Which statement of a pipeline it was, from 0. Behind the last one: the commit.
    pub statement: Option<usize>,
}

impl Error {
    /// Whether the connection is of no use any more.
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Lost { .. } | Error::Timeout { .. } | Error::Protocol { .. })
    }

    /// How much of the call had left this process, if the connection was lost by it.
    pub fn sent(&self) -> Option<Sent> {
        match self {
            Error::Lost { sent, .. } | Error::Timeout { sent } | Error::Protocol { sent, .. } => Some(*sent),
            Error::Url(_) | Error::Connect(_) | Error::Unusable(_) | Error::Server(_) | Error::Value(_) => None,
        }
    }

    /// What the server said, if it said something; of several hosts, the first that did.
    pub fn server(&self) -> Option<&ServerError> {
        match self {
            Error::Server(error) => Some(error),
            Error::Lost { last, .. } => last.as_deref(),
            Error::Connect(hosts) => hosts.iter().find_map(|(_, why)| why.server()),
            Error::Url(_) | Error::Unusable(_) | Error::Timeout { .. } | Error::Protocol { .. } | Error::Value(_) => {
                None
            }
        }
    }

    /// Which error of the server it is.
    pub fn sqlstate(&self) -> Option<&str> {
        self.server().map(|error| error.code.as_str())
    }

    /// Something that a server must not say. How much was sent is for the caller to say.
    pub(super) fn protocol(what: impl Into<String>) -> Error {
        Error::Protocol { sent: Sent::Part, what: what.into() }
    }

    /// The same, with how much was sent.
    pub(super) fn having(self, sent: Sent) -> Error {
        match self {
            Error::Lost { why, last, .. } => Error::Lost { sent, why, last },
            Error::Timeout { .. } => Error::Timeout { sent },
            Error::Protocol { what, .. } => Error::Protocol { sent, what },
            other => other,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Url(why) => write!(f, "the URL of the database: {why}"),
            Error::Connect(hosts) => {
                write!(f, "no usable database: ")?;
                for (place, (host, why)) in hosts.iter().enumerate() {
                    write!(f, "{}{host}: {why}", if place > 0 { "; " } else { "" })?;
                }
                Ok(())
            }
            Error::Unusable(why) => f.write_str(why),
            Error::Server(error) => error.fmt(f),
            Error::Lost { why, last, .. } => {
                write!(f, "the connection to the database is lost: {why}")?;
                last.iter().try_for_each(|last| write!(f, " ({last})"))
            }
            Error::Timeout { .. } => write!(f, "the database did not answer in time"),
            Error::Protocol { what, .. } => write!(f, "the database said something unexpected: {what}"),
            Error::Value(why) => write!(f, "a value does not fit: {why}"),
        }
    }
}

impl ServerError {
    /// Reads what a server said, as far as it can be understood.
    pub(super) fn read(mut fields: ErrorFields<'_>) -> ServerError {
        let mut error = ServerError::default();
        // What is cut off in the middle is taken for what there is of it.
        while let Ok(Some(field)) = fields.next() {
            let text = || tame(field.value_bytes());
            match field.type_() {
                b'S' if error.severity.is_empty() => error.severity = text(),
                // The same in English, whatever language the server speaks.
                b'V' => error.severity = text(),
                b'C' => error.code = text().chars().filter(char::is_ascii_alphanumeric).take(5).collect(),
                b'M' => error.message = text(),
                b'D' => error.detail = Some(text()),
                b'H' => error.hint = Some(text()),
                b'W' => error.context = Some(text()),
                b's' => error.schema = Some(text()),
                b't' => error.table = Some(text()),
                b'c' => error.column = Some(text()),
                b'n' => error.constraint = Some(text()),
                _ => {}
            }
        }
        error
    }

    /// Whether the server ends the connection with it.
    pub(super) fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.severity, self.code, self.message)?;
        for more in [&self.detail, &self.hint].into_iter().flatten() {
            write!(f, "; {more}")?;
        }
        self.statement.iter().try_for_each(|statement| write!(f, " (statement {statement})"))
    }
}

/// What others say, as text that can be shown: bounded, on one line.
pub(super) fn tame(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(4 * TEXT_LEN_MAX)];
    let text = String::from_utf8_lossy(bytes);
    text.chars().take(TEXT_LEN_MAX).map(|char| if char.is_control() { ' ' } else { char }).collect()
}
