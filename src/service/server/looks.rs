//! Owns what memory is looked through for, for clients that wait for it: a piece in a turn of the loop for all of them
//! together.
//! It must not look for a client that is gone, nor make an answer: it says what was found.

use std::collections::VecDeque;

use crate::core::{Forecast, Listing, Ranking, RequestId, Scheduler};
use crate::limits::{FORECAST_STEPS_PER_TURN, LISTING_LOOKS_MAX, RANKING_LOOKS_MAX, READS_PENDING_MAX};
use crate::time::Now;

/// What is looked for.
#[derive(Debug)]
pub(super) enum Look {
    /// A page of jobs.
    Jobs(Listing),
    /// The targets that matter most.
    Targets(Ranking),
    /// What is due in the next hour.
    Ahead(Box<Forecast>),
}

impl Look {
    /// Looks at a piece more. Whether all is found.
    pub(super) fn advance(&mut self, core: &Scheduler, now: Now) -> bool {
        match self {
            Look::Jobs(listing) => listing.advance(core, LISTING_LOOKS_MAX, now.wall),
            Look::Targets(ranking) => ranking.advance(core, RANKING_LOOKS_MAX),
            Look::Ahead(forecast) => forecast.advance(core, FORECAST_STEPS_PER_TURN, now.wall),
        }
    }
}

/// What is looked for by those who wait.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// In turn.
    short: VecDeque<(RequestId, Look)>,
    /// One after the other, as each holds what it has met.
    long: VecDeque<(RequestId, Look)>,
    is_long_next: bool,
}

impl Looks {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// Somebody waits for what was not found at the first look.
    ///
    /// # Errors
    /// When as many wait as may.
    pub(super) fn push(&mut self, request: RequestId, look: Look) -> Result<(), TooMany> {
        let queue = match look {
            Look::Jobs(_) | Look::Targets(_) => &mut self.short,
            Look::Ahead(_) => &mut self.long,
        };
        if queue.len() >= READS_PENDING_MAX {
            return Err(TooMany);
        }
        queue.push_back((request, look));
        Ok(())
    }

    /// The next one for whom nobody waits any more.
    pub(super) fn pop_left(&mut self, is_awaited: impl Fn(RequestId) -> bool) -> Option<RequestId> {
        let is_left = |(request, _): &mut (RequestId, Look)| !is_awaited(*request);
        let left = self.short.pop_front_if(is_left).or_else(|| self.long.pop_front_if(is_left));
        left.map(|(request, _)| request)
    }

    /// Looks a piece further for one of them. Gives it back once all is found.
    pub(super) fn advance(&mut self, core: &Scheduler, now: Now) -> Option<(RequestId, Look)> {
        let is_long = !self.long.is_empty() && (self.is_long_next || self.short.is_empty());
        self.is_long_next = !is_long;
        if is_long {
            let is_found = self.long.front_mut()?.1.advance(core, now);
            return is_found.then(|| self.long.pop_front()).flatten();
        }
        let (request, mut look) = self.short.pop_front()?;
        if look.advance(core, now) {
            return Some((request, look));
        }
        self.short.push_back((request, look));
        None
    }
}

/// As many wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;
