//! Owns schedules: what a client's schedule text means and at which instants it is due.
//! It must not read a clock or touch anything outside, and knows only what a moment is.
//!
//! In reading order: `dialect` (text to fields, `@` words), `field` and `values` (one field's
//! text), `calendar` (matching wall-clock times), `zone` (wall clock to instants), `every` (steady
//! periods), `error`.

mod calendar;
mod dialect;
mod error;
mod every;
mod field;
mod values;
mod zone;

#[cfg(test)]
mod croner_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod oracle_tests;

use std::fmt;
use std::hash::{Hash, Hasher};

use calendar::Calendar;
use every::Every;

use crate::time::Instant;
pub use error::ScheduleError;
pub use zone::Zone;

/// When a job is due: a set of instants between [`Instant::FIRST`] and [`Instant::LAST`].
///
/// Two schedules are equal if their text and zone are, and for `@every` their anchor: equal ones
/// are due at the same instants and can share one value.
#[derive(Clone)]
pub struct Schedule {
    text: Box<str>,
    zone: Zone,
    pace: Pace,
}

/// What makes a schedule due.
#[derive(Clone)]
enum Pace {
    /// A steady period.
    Every(Every),
    /// Wall-clock times.
    Calendar(Calendar),
}

/// How many instants lie in a stretch of time, as far as was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Count {
    /// So many.
    Exactly(u32),
    /// More than the given maximum; how many more was not counted.
    MoreThan(u32),
}

impl Schedule {
    /// Reads a schedule text. Letters may be in either case; blanks around it are dropped.
    ///
    /// - `second minute hour day month weekday [year]`: all fields must match.
    /// - `minute hour day month weekday`, as in crontab(5): second 0; if both day and weekday are
    ///   restricted, either is enough. A field that starts with `*` or `?` is not restricted, so
    ///   `*/2` days and `MON` must both match.
    /// - `@hourly @daily @midnight @weekly @monthly @yearly @annually`.
    /// - `@every` with a duration such as `90s` or `1h30m` (units d, h, m, s; 1 second to 366
    ///   days): due at `anchor` plus whole multiples of it, however long each run takes.
    ///
    /// A field is a list of `*`, values and ranges, each with an optional step (`*/5`, `10-40/5`;
    /// `7/5` is from 7 to the end). Weekdays are 0-7, both 0 and 7 being Sunday, or `SUN-SAT`;
    /// months 1-12 or `JAN-DEC`; years 1970-2099. A range may run past the end (`FRI-MON`,
    /// `22-2`), except in years. `?` is `*`, in day and weekday only.
    ///
    /// `anchor` is the second in which the schedule was created or last changed. Only `@every`
    /// uses it; outside the horizon it is moved to its nearest end. A schedule that can never be
    /// due (February 30) is read without complaint: ask [`Schedule::next_after`].
    ///
    /// # Errors
    /// Names the field at fault and what was expected there.
    pub fn parse(text: &str, zone: Zone, anchor: Instant) -> Result<Schedule, ScheduleError> {
        let text = text.trim_ascii();
        let pace = dialect::parse(text, anchor)?;
        let text = text.into();
        Ok(Schedule { text, zone, pace })
    }

    /// The text as the client wrote it, without the blanks around it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone whose wall clock it follows.
    pub fn zone(&self) -> Zone {
        self.zone
    }

    /// The second a schedule of a steady period counts from, as it was given; `None` for all others.
    pub fn anchor(&self) -> Option<Instant> {
        match &self.pace {
            // Every second of all time counts from the first there is.
            Pace::Every(every) => Some(every.anchor()).filter(|anchor| *anchor > Instant::FIRST),
            Pace::Calendar(_) => None,
        }
    }

    /// The first instant strictly after `after`; `None` if there is none up to [`Instant::LAST`].
    /// Never goes down as `after` goes up.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        // One second before the first, so that the first itself can be the answer.
        let before_first = Instant::from_secs(Instant::FIRST.as_secs() - 1);
        let after = after.clamp(before_first, Instant::LAST);
        let next = match &self.pace {
            Pace::Every(every) => every.next_after(after),
            Pace::Calendar(calendar) => self.zone.next_after(calendar, after)?,
        };
        debug_assert!(next > after, "{self:?}: {next} does not follow {after}");
        (next <= Instant::LAST).then_some(next)
    }

    /// The latest instant in `(after, through]`; `None` if there is none. Its cost grows with the
    /// logarithm of the stretch, not with the instants in it.
    pub fn latest_in(&self, after: Instant, through: Instant) -> Option<Instant> {
        let through = through.min(Instant::LAST);
        match &self.pace {
            Pace::Every(every) => every.latest_at(through).filter(|latest| *latest > after),
            Pace::Calendar(_) => self.latest_by_halving(after, through),
        }
    }

    /// How many instants lie in `(after, through]`, exact up to `max`. For wall-clock schedules it
    /// walks them, so its cost grows with the smaller of the answer and `max`.
    pub fn count_in(&self, after: Instant, through: Instant, max: u32) -> Count {
        let through = through.min(Instant::LAST);
        match &self.pace {
            Pace::Every(every) => match u32::try_from(every.count_in(after, through)) {
                Ok(count) if count <= max => Count::Exactly(count),
                Ok(_) | Err(_) => Count::MoreThan(max),
            },
            Pace::Calendar(_) => self.count_by_walking(after, through, max),
        }
    }

    /// Keeps two bounds: `latest` is an instant in the stretch, and none lies in
    /// `(upper, through]`. Each step moves one of them past the middle.
    fn latest_by_halving(&self, after: Instant, through: Instant) -> Option<Instant> {
        let next_within = |from| self.next_after(from).filter(|next| *next <= through);
        let mut latest = next_within(after)?;
        let mut upper = through;
        while latest < upper {
            let middle = latest.as_secs() + (upper.as_secs() - latest.as_secs()) / 2;
            match next_within(Instant::from_secs(middle)) {
                Some(next) => latest = next,
                None => upper = Instant::from_secs(middle),
            }
        }
        Some(latest)
    }

    fn count_by_walking(&self, after: Instant, through: Instant, max: u32) -> Count {
        let mut count = 0;
        let mut from = after;
        while let Some(next) = self.next_after(from).filter(|next| *next <= through) {
            if count == max {
                return Count::MoreThan(max);
            }
            count += 1;
            from = next;
        }
        Count::Exactly(count)
    }

    /// What tells schedules apart.
    fn identity(&self) -> (&str, Zone, Option<Instant>) {
        let anchor = match &self.pace {
            Pace::Every(every) => Some(every.anchor()),
            Pace::Calendar(_) => None,
        };
        (&self.text, self.zone, anchor)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Schedule {}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// Shows what tells schedules apart, not the tables behind them.
impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, zone, anchor) = self.identity();
        f.debug_struct("Schedule").field("text", &text).field("zone", &zone).field("anchor", &anchor).finish()
    }
}
