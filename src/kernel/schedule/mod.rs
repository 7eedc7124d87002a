//! Owns schedules: what a client's schedule text means and at which instants it is due.
//! It must not read a clock or touch anything outside, and knows only what a moment is.
//!
//! In reading order: `terms` (all that can be said), `dialect` (text to fields, `@` words), `field` and `values` (one
//! field's text), `special_days` (days told by their place in the month), `seed` (what is left open), `calendar` (matching
//! wall-clock times), `dates` (those left out), `zone` (wall clock to instants) with its policy `dst`, `zones` (all of
//! them), `every` (steady periods), `rare` (what few schedules have), `error`; and what people are told: `words` (in plain
//! English), `warnings` (what may not be meant), `preview` and `absence` (why it is not due).

mod absence;
mod calendar;
mod dates;
mod dialect;
mod dst;
mod error;
mod every;
mod field;
mod preview;
mod rare;
mod seed;
mod special_days;
mod terms;
mod values;
mod warnings;
mod words;
mod zone;
mod zones;

#[cfg(test)]
mod counting_tests;
#[cfg(test)]
mod croner_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod special_oracle_tests;
#[cfg(test)]
mod terms_tests;
#[cfg(test)]
mod zone_oracle_tests;
#[cfg(test)]
mod zone_tests;

use std::fmt;
use std::hash::{Hash, Hasher};

use calendar::{Calendar, Fields};
use dialect::Form;
use every::Every;
use rare::Rare;

use crate::time::Instant;
pub use absence::Absence;
pub use dates::{Calendars, Date, Dates, NamedDates, check_calendar_name, check_name};
pub use dst::{Dst, Gap, Overlap};
pub use error::ScheduleError;
pub use every::{duration, duration_text};
pub use preview::{LeftOut, Preview, Remark, Upcoming};
pub use terms::{Rule, Terms};
pub use words::Explained;
pub use zone::Zone;
pub use zones::{ZoneSource, Zones};

/// When a job is due: a set of instants between [`Instant::FIRST`] and [`Instant::LAST`].
///
/// Two schedules are equal if their terms are, and for `@every` their anchor: equal ones are due at
/// the same instants and can share one value.
#[derive(Clone)]
pub struct Schedule {
    /// The instant if it is due once.
    text: Box<str>,
    pace: Pace,
    /// What few schedules have; the others pay a word.
    rare: Option<Box<Rare>>,
}

/// What makes a schedule due.
#[derive(Clone)]
enum Pace {
    /// A steady period.
    Every(Every),
    /// Wall-clock times.
    Calendar(Calendar),
    /// Once.
    At(Instant),
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
    /// `22-2`), except in years. `?` is `*`, in day and weekday only. A day may be `L` (the last),
    /// `L-3`, `LW` (the last working day) or `15W` (the working day nearest to it), a weekday
    /// `MON#1` (the first) or `FRIL` (the last). `~` is a value that a seed chooses.
    ///
    /// `anchor` is the second in which the schedule was created or last changed. Only `@every`
    /// uses it; outside the horizon it is moved to its nearest end. A schedule that can never be
    /// due (February 30) is read without complaint: ask [`Schedule::next_after`].
    ///
    /// # Errors
    /// Names the field at fault and what was expected there.
    pub fn parse(text: &str, zone: Zone, anchor: Instant) -> Result<Schedule, ScheduleError> {
        Schedule::compile(&Terms { zone, ..Terms::plain(Rule::Text(text.into())) }, anchor)
    }

    /// What all terms together come to. Of the text and `anchor` [`Schedule::parse`] tells.
    ///
    /// - The wall clock is that of the zone. What is left out are dates on it.
    /// - Spreading moves every instant, so that what is left out and how a change of the clock is met do not depend on
    ///   it. The start and the end, both still within, bound the instants as they then are.
    ///
    /// # Errors
    /// Names the field at fault and what was expected there.
    pub fn compile(terms: &Terms, anchor: Instant) -> Result<Schedule, ScheduleError> {
        let rare = Rare::of(terms)?;
        let (text, pace) = match &terms.rule {
            Rule::Text(text) => {
                let text = text.trim_ascii();
                (text, Pace::of(dialect::parse(text, terms.seed, anchor)?, &terms.zone))
            }
            Rule::At(instant) => (&*instant.to_string(), Pace::At(*instant)),
        };
        Ok(Schedule { text: text.into(), pace, rare: rare.map(Box::new) })
    }

    /// The terms it was made from.
    pub fn terms(&self) -> Terms {
        let rule = match &self.pace {
            Pace::At(instant) => Rule::At(*instant),
            Pace::Every(_) | Pace::Calendar(_) => Rule::Text(self.text.clone()),
        };
        match &self.rare {
            None => Terms::plain(rule),
            Some(rare) => rare.complete(Terms::plain(rule)),
        }
    }

    /// The same schedule with the dates that its calendars have now. One that is gone leaves nothing out.
    pub fn with_calendars(&self, calendars: &Calendars) -> Schedule {
        let rare = self.rare.as_ref().map(|rare| Box::new(rare.with_calendars(calendars)));
        Schedule { rare, ..self.clone() }
    }

    /// The calendars whose dates it leaves out.
    pub fn calendars(&self) -> impl Iterator<Item = &NamedDates> {
        self.rare.iter().flat_map(|rare| rare.left_out.calendars.iter())
    }

    /// The same schedule with another seed.
    pub fn with_seed(&self, seed: u64) -> Schedule {
        let terms = Terms { seed: Some(seed), ..self.terms() };
        let anchor = self.anchor().unwrap_or(Instant::FIRST);
        Schedule::compile(&terms, anchor).expect("what is right with a seed is right with any")
    }

    /// Whether both come from the same terms, whatever they count from and whatever dates their calendars have.
    pub fn has_terms_of(&self, other: &Schedule) -> bool {
        let same_rule = match (&self.pace, &other.pace) {
            (Pace::At(one), Pace::At(other)) => one == other,
            (Pace::At(_), _) | (_, Pace::At(_)) => false,
            (Pace::Every(_) | Pace::Calendar(_), Pace::Every(_) | Pace::Calendar(_)) => self.text == other.text,
        };
        let same_rare = match (&self.rare, &other.rare) {
            (None, None) => true,
            (Some(one), Some(other)) => one.has_terms_of(other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        same_rule && same_rare
    }

    /// The text as the client wrote it, without the blanks around it; the instant if it is due once.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The zone whose wall clock it follows.
    pub fn zone(&self) -> Zone {
        self.rare.as_ref().map_or(Zone::UTC, |rare| rare.zone.clone())
    }

    /// The second a schedule of a steady period counts from, as it was given; `None` for all others.
    pub fn anchor(&self) -> Option<Instant> {
        match &self.pace {
            // Every second of all time counts from the first there is.
            Pace::Every(every) => Some(every.anchor()).filter(|anchor| *anchor > Instant::FIRST),
            Pace::Calendar(_) | Pace::At(_) => None,
        }
    }

    /// The first instant strictly after `after`; `None` if there is none up to [`Instant::LAST`].
    /// Never goes down as `after` goes up.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        self.next_in(after, Instant::LAST)
    }

    /// The first instant in `(after, through]`; `None` if there is none. Of dates that are left out, or that are like those
    /// that are meant, only the ones in this stretch cost something, and there may be thousands of others.
    pub fn next_in(&self, after: Instant, through: Instant) -> Option<Instant> {
        // One second before the first, so that the first itself can be the answer.
        let before_first = Instant::from_secs(Instant::FIRST.as_secs() - 1);
        let (after, through) = (after.clamp(before_first, Instant::LAST), through.min(Instant::LAST));
        let next = match (&self.rare, &self.pace) {
            (None, Pace::Every(every)) => every.next_after(after),
            (None, Pace::At(instant)) => Some(*instant).filter(|instant| *instant > after)?,
            (None, Pace::Calendar(calendar)) => {
                let latest = Zone::UTC.latest_wall(through)?;
                Zone::UTC.next_after(|wall| calendar.next_in(wall, latest), Dst::default(), after)?
            }
            (Some(rare), pace) => rare.next_in(pace, after, through)?,
        };
        debug_assert!(next > after, "{self:?}: {next} does not follow {after}");
        (next <= through).then_some(next)
    }

    /// The latest instant in `(after, through]`; `None` if there is none. Its cost grows with the
    /// logarithm of the stretch, not with the instants in it.
    pub fn latest_in(&self, after: Instant, through: Instant) -> Option<Instant> {
        let through = through.min(Instant::LAST);
        match self.steady() {
            Some(every) => every.latest_at(through).filter(|latest| *latest > after),
            None => self.latest_by_halving(after, through),
        }
    }

    /// How many instants lie in `(after, through]`, exact up to `max`. For wall-clock schedules it
    /// walks them, so its cost grows with the smaller of the answer and `max`.
    pub fn count_in(&self, after: Instant, through: Instant, max: u32) -> Count {
        let through = through.min(Instant::LAST);
        match self.steady() {
            Some(every) => match u32::try_from(every.count_in(after, through)) {
                Ok(count) if count <= max => Count::Exactly(count),
                Ok(_) | Err(_) => Count::MoreThan(max),
            },
            None => self.count_by_walking(after, through, max),
        }
    }

    /// How many dates that it leaves out lie in a stretch, on its wall clock: what [`Schedule::next_in`] passes over at
    /// most. One that two calendars have counts twice.
    pub fn left_out_in(&self, after: Instant, through: Instant) -> u32 {
        let Some(rare) = self.rare.as_deref().filter(|rare| !rare.left_out.is_empty()) else { return 0 };
        let dates = rare.sets_within(after, through).map(<[Date]>::len).sum::<usize>();
        u32::try_from(dates).unwrap_or(u32::MAX)
    }

    /// The period, if nothing else decides.
    fn steady(&self) -> Option<Every> {
        match (&self.rare, &self.pace) {
            (None, Pace::Every(every)) => Some(*every),
            (Some(rare), Pace::Every(every)) if rare.leaves_periods_alone() => Some(*every),
            (None | Some(_), _) => None,
        }
    }

    /// Keeps two bounds: `latest` is an instant in the stretch, and none lies in
    /// `(upper, through]`. Each step moves one of them past the middle.
    fn latest_by_halving(&self, after: Instant, through: Instant) -> Option<Instant> {
        let mut latest = self.next_in(after, through)?;
        let mut upper = through;
        while latest < upper {
            let middle = latest.as_secs() + (upper.as_secs() - latest.as_secs()) / 2;
            match self.next_in(Instant::from_secs(middle), through) {
                Some(next) => latest = next,
                None => upper = Instant::from_secs(middle),
            }
        }
        Some(latest)
    }

    fn count_by_walking(&self, after: Instant, through: Instant, max: u32) -> Count {
        let mut count = 0;
        let mut from = after;
        while let Some(next) = self.next_in(from, through) {
            if count == max {
                return Count::MoreThan(max);
            }
            count += 1;
            from = next;
        }
        Count::Exactly(count)
    }

    /// What tells schedules apart.
    fn identity(&self) -> (&str, Option<Instant>, Option<&Rare>) {
        let moment = match &self.pace {
            Pace::Every(every) => Some(every.anchor()),
            Pace::At(instant) => Some(*instant),
            Pace::Calendar(_) => None,
        };
        (&self.text, moment, self.rare.as_deref())
    }
}

impl Pace {
    fn of(form: Form, zone: &Zone) -> Pace {
        match form {
            Form::Every(every) => Pace::Every(every),
            // Every second of a wall clock is every second there is, so that case needs no calendar; except that of
            // fixed times that a wall clock shows twice only one may be meant.
            Form::Calendar { fields, .. } if fields.match_every_second() && (fields.paced() || zone.is_utc()) => {
                Pace::Every(Every::SECOND)
            }
            Form::Calendar { fields, either_day: false } => Pace::Calendar(Calendar::all_of(&fields)),
            Form::Calendar { fields, either_day: true } => Pace::Calendar(Calendar::day_or_weekday(&fields)),
        }
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
        let (text, moment, rare) = self.identity();
        let mut shown = f.debug_struct("Schedule");
        shown.field("text", &text).field("moment", &moment).field("rare", &rare).finish()
    }
}
