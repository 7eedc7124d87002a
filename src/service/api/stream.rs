//! Owns answers that are made in pieces: what is still to be made of one, and how each begins.
//! It must not hold what the core or the store holds: a piece is read when it is made.
//!
//! A stream is a small value. The connection carries it and hands it back when the client has taken enough of what was
//! made before; whoever makes the next piece says what is left after it. Server-sent events are a place in a list of
//! events: while there are none behind it the stream rests, and a comment every few seconds finds out about clients that
//! left. A piece may also come later, under the same request, and that is how further kinds fit in: an export of
//! history would be a cursor into it; each piece a page that a reader thread looks up.

use super::events::Listening;
use super::export::{Export, LINES};
use super::jobs_page::JobsPage;
use crate::http::{Response, Status};

/// The media type of server-sent events.
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// What is still to be made of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// A page of jobs.
    Jobs(Box<JobsPage>),
    /// Everything that jobs and calendars are.
    Export(Export),
    /// Events, as they happen.
    Events(Listening),
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
            Stream::Events(_) => Response { content_type: EVENT_STREAM, ..Response::streamed(Status::OK) }
                .with_header("Cache-Control", "no-store")
                // Some proxies gather what they pass on unless they are told.
                .with_header("X-Accel-Buffering", "no"),
        }
    }

    /// Whether its pieces are there and only copied: of such as many are given in a turn as there is time for.
    pub fn is_made_already(&self) -> bool {
        self.is_endless()
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        match self {
            Stream::Jobs(_) | Stream::Export(_) => false,
            Stream::Events(_) => true,
        }
    }

    /// The same after a while in which there was nothing to send: its next piece is something in any case.
    #[must_use]
    pub fn after_silence(self) -> Stream {
        match self {
            Stream::Jobs(page) => Stream::Jobs(page),
            Stream::Export(export) => Stream::Export(export),
            Stream::Events(listening) => Stream::Events(listening.after_silence()),
        }
    }
}
