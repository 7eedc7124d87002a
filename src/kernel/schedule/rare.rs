//! Owns what few schedules have: bounds, dates that are left out, a spread, another policy for changes of the clock.
//! It must not know the dialect.

use chrono::NaiveDateTime;

use super::calendar::Calendar;
use super::dates::{Calendars, Date, Exclusions};
use super::dst::Dst;
use super::error::ScheduleError;
use super::every::Every;
use super::seed::{Purpose, number_below};
use super::{Pace, Terms, Zone};
use crate::limits::{JOB_CALENDARS_MAX, OWN_DATES_MAX, SEED_END, SPREAD_MAX_S};
use crate::time::Instant;

/// What a schedule has beside its rule.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Rare {
    pub(super) zone: Zone,
    pub(super) dst: Dst,
    pub(super) seed: Option<u64>,
    pub(super) spread_s: u32,
    pub(super) starts_at: Option<Instant>,
    pub(super) ends_at: Option<Instant>,
    pub(super) left_out: Exclusions,
}

impl Rare {
    /// What of the terms is rare; `None` if nothing is.
    pub(super) fn of(terms: &Terms) -> Result<Option<Rare>, ScheduleError> {
        let Terms { rule: _, zone, dst, seed, spread_s, starts_at, ends_at, exclude, calendars } = terms;
        let fault = |message: String| Err(ScheduleError::schedule(message));
        if seed.is_some_and(|seed| seed >= SEED_END) {
            return fault(format!("expected a seed below {SEED_END}"));
        }
        if *spread_s > SPREAD_MAX_S || (*spread_s > 0 && seed.is_none()) {
            return fault(format!("expected at most {SPREAD_MAX_S} seconds to spread over, and a seed"));
        }
        if exclude.len() > OWN_DATES_MAX || calendars.len() > JOB_CALENDARS_MAX {
            return fault(format!(
                "expected at most {OWN_DATES_MAX} dates and {JOB_CALENDARS_MAX} calendars to leave out"
            ));
        }
        let left_out = Exclusions { own: exclude.clone(), calendars: calendars.clone() };
        let rare = Rare {
            zone: zone.clone(),
            dst: *dst,
            seed: *seed,
            spread_s: *spread_s,
            starts_at: *starts_at,
            ends_at: *ends_at,
            left_out,
        };
        Ok((rare != Rare::default()).then_some(rare))
    }

    /// Terms to which this is added.
    pub(super) fn complete(&self, terms: Terms) -> Terms {
        let Rare { zone, dst, seed, spread_s, starts_at, ends_at, left_out } = self.clone();
        let Exclusions { own, calendars } = left_out;
        Terms { zone, dst, seed, spread_s, starts_at, ends_at, exclude: own, calendars, ..terms }
    }

    pub(super) fn has_terms_of(&self, other: &Rare) -> bool {
        let names =
            |rare: &Rare| rare.left_out.calendars.iter().map(|calendar| calendar.name.clone()).collect::<Vec<_>>();
        let plain = |rare: &Rare| Rare {
            left_out: Exclusions { calendars: Box::default(), ..rare.left_out.clone() },
            ..rare.clone()
        };
        names(self) == names(other) && plain(self) == plain(other)
    }

    pub(super) fn with_calendars(&self, known: &Calendars) -> Rare {
        let mut rare = self.clone();
        for calendar in &mut rare.left_out.calendars {
            calendar.dates = known.get(&calendar.name).map(|found| found.dates).unwrap_or_default();
        }
        rare
    }

    /// Whether it changes nothing about a steady period.
    pub(super) fn leaves_periods_alone(&self) -> bool {
        let unbounded = self.starts_at.is_none() && self.ends_at.is_none();
        unbounded && self.spread_s == 0 && self.left_out.is_empty()
    }

    /// How far every instant is moved, in seconds.
    pub(super) fn shift_s(&self) -> i64 {
        match self.seed {
            Some(seed) if self.spread_s > 0 => i64::from(number_below(seed, Purpose::Spread, self.spread_s)),
            Some(_) | None => 0,
        }
    }

    /// The first instant in `(after, through]`; `after` lies within the horizon. Dates behind `through` cost nothing.
    pub(super) fn next_in(&self, pace: &Pace, after: Instant, through: Instant) -> Option<Instant> {
        let shift_s = self.shift_s();
        let start = self.starts_at.map_or(i64::MIN, |start| start.as_secs().saturating_sub(1));
        let through = self.ends_at.map_or(through, |end| end.min(through));
        let moved_back = |at: i64| at.checked_sub(shift_s).map(Instant::from_secs);
        let next = self.next_unspread(pace, moved_back(after.as_secs().max(start))?, moved_back(through.as_secs())?)?;
        let next = Instant::from_secs(next.as_secs().checked_add(shift_s)?);
        (next <= through).then_some(next)
    }

    /// The same before instants are moved and bounded; it may be one behind `through`.
    fn next_unspread(&self, pace: &Pace, after: Instant, through: Instant) -> Option<Instant> {
        match pace {
            Pace::Every(every) => self.next_of_every(*every, after, through),
            Pace::Calendar(calendar) => {
                let latest = self.zone.latest_wall(through)?;
                let times = |wall: NaiveDateTime| calendar.next_included(wall, latest, &self.left_out);
                self.zone.next_after(times, self.dst_of(calendar), after)
            }
            Pace::At(instant) => {
                let included = self.left_out.end_of_run(self.zone.wall(*instant)?.date()).is_none();
                Some(*instant).filter(|instant| *instant > after && included)
            }
        }
    }

    /// Of each set of dates that are left out those from the one of `after` to that of `through`, before these are moved.
    pub(super) fn sets_within(&self, after: Instant, through: Instant) -> impl Iterator<Item = &[Date]> {
        let date = |at: Instant| {
            let at = at.clamp(Instant::FIRST, Instant::LAST);
            self.zone.wall(Instant::from_secs(at.as_secs() - self.shift_s())).map(|wall| Date(wall.date()))
        };
        let stretch = date(after).zip(date(through));
        self.left_out.sets().filter_map(move |set| stretch.map(|(first, last)| set.within(first, last)))
    }

    /// The policy for changes of the clock that counts for a calendar.
    pub(super) fn dst_of(&self, calendar: &Calendar) -> Dst {
        if calendar.paced() { Dst::ELAPSED } else { self.dst }
    }

    /// Passes over a run of dates at once, not period by period.
    fn next_of_every(&self, every: Every, after: Instant, through: Instant) -> Option<Instant> {
        let mut from = after;
        loop {
            let next = every.next_after(from);
            if self.left_out.is_empty() || next > through {
                return Some(next);
            }
            let Some(included) = self.left_out.end_of_run(self.zone.wall(next)?.date()) else { return Some(next) };
            from = self.zone.last_surely_before(included, next).max(next);
            // The clock may be changed many times in a long run, which is looked through once.
            while self.zone.wall(every.next_after(from))?.date() < included {
                from = self.zone.last_surely_before(included, every.next_after(from)).max(every.next_after(from));
            }
        }
    }
}
