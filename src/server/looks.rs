//! Owns what memory is looked through for, for clients that wait for it: a piece in a turn of the loop for all of them
//! together.
//! It must not look for a client that is gone, nor make an answer: it says what was found.

use std::collections::VecDeque;

use crate::core::{Listing, Ranking, RequestId, Scheduler};
use crate::limits::{LISTING_LOOKS_MAX, RANKING_LOOKS_MAX, READS_PENDING_MAX};
use crate::time::Now;

/// What is looked for.
#[derive(Debug)]
pub(super) enum Look {
    /// A page of jobs.
    Jobs(Listing),
    /// The targets that matter most.
    Targets(Ranking),
}

impl Look {
    /// Looks at a piece more. Whether all is found.
    pub(super) fn advance(&mut self, core: &Scheduler, now: Now) -> bool {
        match self {
            Look::Jobs(listing) => listing.advance(core, LISTING_LOOKS_MAX, now.wall),
            Look::Targets(ranking) => ranking.advance(core, RANKING_LOOKS_MAX),
        }
    }
}

/// What is looked for by those who wait, in turn.
#[derive(Debug, Default)]
pub(super) struct Looks(VecDeque<(RequestId, Look)>);

impl Looks {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Somebody waits for what was not found at the first look.
    ///
    /// # Errors
    /// When as many wait as may.
    pub(super) fn push(&mut self, request: RequestId, look: Look) -> Result<(), TooMany> {
        if self.0.len() >= READS_PENDING_MAX {
            return Err(TooMany);
        }
        self.0.push_back((request, look));
        Ok(())
    }

    /// The next one for whom nobody waits any more.
    pub(super) fn pop_left(&mut self, is_awaited: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        self.0.pop_front_if(|(request, _)| !is_awaited(*request)).map(|(request, _)| request)
    }

    /// Looks a piece further for one of them. Gives it back once all is found.
    pub(super) fn advance(&mut self, core: &Scheduler, now: Now) -> Option<(RequestId, Look)> {
        let (request, mut look) = self.0.pop_front()?;
        if look.advance(core, now) {
            return Some((request, look));
        }
        self.0.push_back((request, look));
        None
    }
}

/// As many wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;
