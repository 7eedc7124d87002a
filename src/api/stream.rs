//! Owns answers that are made in pieces: what is still to be made of one, and how each begins.
//! It must not hold what the core or the store holds: a piece is read when it is made.
//!
//! A stream is a small value. The connection carries it and hands it back when the client has taken enough of what was
//! made before; whoever makes the next piece says what is left after it. A piece may also come later, under the same
//! request, and that is how further kinds fit in:
//!
//! - an export as NDJSON is a cursor into history; each piece is a page that a reader thread looks up;
//! - server-sent events are a place in a list of events; a piece waits until there are some, and a comment line every
//!   few seconds finds out about clients that left.

use super::export::{Export, LINES};
use super::jobs_page::JobsPage;
use crate::http::{Response, Status};

/// What is still to be made of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A page of jobs.
    Jobs(Box<JobsPage>),
    /// Everything that jobs and calendars are.
    Export(Export),
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What to send.
    pub bytes: Vec<u8>,
    /// What is to be made after it; None: it was the last.
    pub rest: Option<Stream>,
}

impl Stream {
    /// What is sent before the first piece.
    pub fn head(&self) -> Response {
        match self {
            Stream::Jobs(_) => Response::streamed(Status::OK),
            Stream::Export(_) => Response { content_type: LINES, ..Response::streamed(Status::OK) },
        }
    }
}
