//! Owns the rest of housekeeping that fails: it is tried again after a while, less and less often.
//! It must not touch the writing of batches: a damaged page of history is no reason to refuse a change.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::commit::is_busy;
use crate::limits::CHORE_REST_MAX;

/// A kind of housekeeping, and how it went.
#[derive(Debug)]
pub(super) struct Chore {
    pub(super) name: &'static str,
    /// It rests until then.
    until: Option<Instant>,
    rest: Duration,
    first_rest: Duration,
}

impl Chore {
    /// One that rests so long when it failed for the first time.
    pub(super) fn new(name: &'static str, first_rest: Duration) -> Chore {
        Chore { name, until: None, rest: first_rest, first_rest }
    }

    /// When it is done next, given when it would be.
    pub(super) fn due(&self, due: Instant) -> Instant {
        self.until.map_or(due, |until| until.max(due))
    }

    /// Notes how it went. True if it met damage, which it should pass over.
    pub(super) fn note(&mut self, done: &rusqlite::Result<()>, now: Instant) -> bool {
        match done {
            Ok(()) => (self.until, self.rest) = (None, self.first_rest),
            Err(why) if is_busy(why) => {}
            Err(why) if is_damage(why) => {
                // Each time it gets further, so there is no reason to wait longer.
                self.until = Some(now + self.first_rest);
                return true;
            }
            Err(_) => {
                self.until = Some(now + self.rest);
                self.rest = (self.rest * 2).min(CHORE_REST_MAX);
            }
        }
        false
    }
}

/// Whether what is on disk cannot be understood, as opposed to a disk that is full or fails.
pub(super) fn is_damage(why: &rusqlite::Error) -> bool {
    is_of_page(why) || is_of_row(why)
}

/// Whether SQLite cannot understand a page. A transaction that met one cannot be committed.
pub(super) fn is_of_page(why: &rusqlite::Error) -> bool {
    matches!(why.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Whether a row has a value that no version of this program writes. What else a transaction does is as good as ever.
pub(super) fn is_of_row(why: &rusqlite::Error) -> bool {
    matches!(
        why,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    )
}
