//! Owns one zone: which time its clock shows at an instant, and which instants a wall-clock time stands for.
//! It must not parse schedules nor enumerate calendar fields; it asks a calendar for wall-clock times.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::dst::{Dst, Gap, Overlap};
use crate::time::Instant;

/// Further than any zone is from UTC, in seconds. Zone data cannot say more than 26 hours.
const OFFSET_MAX_S: i64 = 26 * 3_600;

/// How far before and behind what schedules reach a zone is known, in seconds, as wall clocks and spreading reach further.
const MARGIN_S: i64 = 2 * OFFSET_MAX_S;

/// The zone whose wall clock a schedule follows. One pointer, and none for UTC; the rules behind it are shared.
///
/// Two zones are equal if their names are: there is one edition of the rules.
#[derive(Clone, Default)]
pub struct Zone(Option<Arc<Named>>);

struct Named {
    name: Box<str>,
    /// From the beginning of time to its end, in order; never empty, and neighbours differ in their offset.
    stretches: Box<[Stretch]>,
}

/// A time over which a zone's offset does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// Its first second.
    pub(super) start: i64,
    /// What the wall clock is ahead of UTC, in seconds.
    pub(super) offset: i64,
}

/// How an instant looks on a wall clock that is changed now and then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    Once,
    /// The clock will show the same time again.
    FirstOfTwo,
    SecondOfTwo,
}

impl Zone {
    /// Coordinated universal time: the wall clock is the instant.
    pub const UTC: Zone = Zone(None);

    /// The zone with these rules (TZif); `None` if they cannot be read.
    pub(super) fn read(name: &str, rules: &[u8]) -> Option<Zone> {
        let zone = TimeZone::tzif(name, rules).ok()?;
        let first = Timestamp::from_second(Instant::FIRST.as_secs() - MARGIN_S).ok()?;
        let last = Timestamp::from_second(Instant::LAST.as_secs() + MARGIN_S).ok()?;
        let mut stretches = vec![Stretch { start: i64::MIN, offset: i64::from(zone.to_offset(first).seconds()) }];
        let mut told = None;
        for change in zone.following(first).take_while(|change| (first..=last).contains(&change.timestamp())) {
            // Of data that say nothing of times behind their last change that one is told again and again.
            if told.replace(change.timestamp()) == Some(change.timestamp()) {
                break;
            }
            let offset = i64::from(change.offset().seconds());
            // A change of the name alone moves no clock.
            if stretches.last().is_some_and(|before| before.offset != offset) {
                stretches.push(Stretch { start: change.timestamp().as_second(), offset });
            }
        }
        let name = name.into();
        Some(Zone(Some(Arc::new(Named { name, stretches: stretches.into() }))))
    }

    /// Its IANA name.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("UTC", |named| &named.name)
    }

    /// Whether it is [`Zone::UTC`] itself.
    pub fn is_utc(&self) -> bool {
        self.0.is_none()
    }

    /// What its wall clock is ahead of UTC at `at`, in seconds.
    pub fn offset_s(&self, at: Instant) -> i64 {
        self.0.as_ref().map_or(0, |named| named.stretches[named.place_of(at.as_secs())].offset)
    }

    /// The wall-clock time at `at`, `None` outside all calendars.
    pub(super) fn wall(&self, at: Instant) -> Option<NaiveDateTime> {
        wall_of(at.as_secs().checked_add(self.offset_s(at))?)
    }

    /// A time behind which its wall clock shows none up to `at`, whatever changes there were.
    pub(super) fn latest_wall(&self, at: Instant) -> Option<NaiveDateTime> {
        let ahead_s = if self.is_utc() { 0 } else { OFFSET_MAX_S };
        wall_of(at.as_secs().checked_add(ahead_s)?)
    }

    /// `at` as ISO 8601 on its wall clock, with the offset: `2026-03-29T03:00:00+02:00`.
    pub fn local(&self, at: Instant) -> String {
        let Some(wall) = self.wall(at) else { return at.to_string() };
        let offset = self.offset_s(at);
        let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        let (hours, minutes, seconds) = (offset / 3_600, offset / 60 % 60, offset % 60);
        // Only in the first years of the horizon does an offset have seconds.
        let seconds = if seconds == 0 { String::new() } else { format!(":{seconds:02}") };
        // What it is shown as for debugging is documented: ISO 8601, without a pattern that would be read each time.
        format!("{wall:?}{sign}{hours:02}:{minutes:02}{seconds}")
    }

    /// The first instant strictly after `after` that some wall-clock times stand for; `times` answers with the first of
    /// them after another. `None` if there is none, or `after` is outside all calendars. Strictly monotone: what it answers never goes down as `after` goes up.
    pub(super) fn next_after(
        &self,
        times: impl Fn(NaiveDateTime) -> Option<NaiveDateTime>,
        dst: Dst,
        after: Instant,
    ) -> Option<Instant> {
        match &self.0 {
            None => {
                let wall = wall_of(after.as_secs())?;
                let next = times(wall)?;
                Some(Instant::from_secs(next.and_utc().timestamp()))
            }
            Some(named) => named.next_after(&times, dst, after.as_secs()).map(Instant::from_secs),
        }
    }

    /// An instant up to which, from `at` on, its wall clock shows no date as late as `date`: the last such one, or the
    /// last before the clock is changed.
    pub(super) fn last_surely_before(&self, date: NaiveDate, at: Instant) -> Instant {
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let Some(named) = &self.0 else { return Instant::from_secs(midnight - 1) };
        let place = named.place_of(at.as_secs());
        let changed = named.stretches.get(place + 1).map_or(i64::MAX, |next| next.start);
        Instant::from_secs((midnight - named.stretches[place].offset).min(changed) - 1)
    }

    /// The first instant of a date, or of the first one after it if there is no such date here.
    pub(super) fn first_of(&self, date: NaiveDate) -> Instant {
        let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp();
        let mut before = Instant::from_secs(midnight - OFFSET_MAX_S);
        loop {
            let next = Instant::from_secs(self.last_surely_before(date, before).as_secs() + 1);
            if self.wall(next).is_none_or(|wall| wall.date() >= date) {
                return next;
            }
            // The clock was changed just now; what holds from here on may lead further.
            before = next;
        }
    }

    /// Whether the wall clock shows the time of `at` a second time.
    pub(super) fn shown(&self, at: Instant) -> Shown {
        let Some(named) = &self.0 else { return Shown::Once };
        let place = named.place_of(at.as_secs());
        let here = named.stretches[place];
        let wall = at.as_secs() + here.offset;
        let behind = named.stretches[..place].last();
        if behind.is_some_and(|behind| wall < here.start + behind.offset) {
            return Shown::SecondOfTwo;
        }
        let ahead = named.stretches.get(place + 1);
        if ahead.is_some_and(|ahead| wall >= ahead.start + ahead.offset) { Shown::FirstOfTwo } else { Shown::Once }
    }

    /// The wall-clock times that a change at exactly `at` skips, from the first to before the second.
    pub(super) fn skipped_at(&self, at: Instant) -> Option<(NaiveDateTime, NaiveDateTime)> {
        let named = self.0.as_ref()?;
        let place = named.place_of(at.as_secs());
        let (here, behind) = (named.stretches[place], named.stretches[..place].last()?);
        let skipped = skipped(*behind, here);
        if here.start != at.as_secs() || skipped.is_empty() {
            return None;
        }
        Some((wall_of(skipped.start)?, wall_of(skipped.end)?))
    }

    #[cfg(test)]
    pub(super) fn shares_rules_with(&self, other: &Zone) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    /// The instants at which the offset changes.
    #[cfg(test)]
    pub(super) fn changes(&self) -> Vec<i64> {
        self.0.as_ref().map_or(Vec::new(), |named| named.stretches[1..].iter().map(|stretch| stretch.start).collect())
    }
}

impl Named {
    /// Where the stretch stands that holds `at`.
    fn place_of(&self, at: i64) -> usize {
        let begun = self.stretches.partition_point(|stretch| stretch.start <= at);
        // The first one begins before everything, so at least one has begun.
        begun - 1
    }

    /// Goes from stretch to stretch, and in each over the wall-clock times that its clock shows.
    fn next_after(&self, times: &impl Fn(NaiveDateTime) -> Option<NaiveDateTime>, dst: Dst, after: i64) -> Option<i64> {
        let mut from = after.checked_add(1)?;
        loop {
            let place = self.place_of(from);
            let here = self.stretches[place];
            let behind = self.stretches[..place].last().copied();
            let ahead = self.stretches.get(place + 1).copied();
            if from == here.start && dst.gap == Gap::RunAfter && self.gap_holds(times, behind, here)? {
                return Some(from);
            }
            let mut first = from + here.offset;
            if let Some(behind) = behind.filter(|_| dst.overlap == Overlap::First) {
                // The clock of the stretch before showed everything up to here.
                first = first.max(here.start + behind.offset);
            }
            let mut end = ahead.map_or(i64::MAX, |ahead| ahead.start + here.offset);
            if let Some(ahead) = ahead.filter(|_| dst.overlap == Overlap::Last) {
                // The clock of the next stretch will show everything from here on.
                end = end.min(ahead.start + ahead.offset);
            }
            let found = times(wall_of(first - 1)?).map(|wall| wall.and_utc().timestamp());
            if let Some(wall) = found.filter(|wall| *wall < end) {
                return Some(wall - here.offset);
            }
            let ahead = ahead?;
            from = ahead.start;
            // Unless the clock goes back behind what was looked at, no wall-clock time comes before the one that was
            // found, and stretches that end before it can be passed over.
            if first <= ahead.start + ahead.offset {
                from = from.max(found? - OFFSET_MAX_S);
            }
        }
    }

    /// Whether the change from one stretch to the next skips one of the times. `None` outside all calendars.
    fn gap_holds(
        &self,
        times: &impl Fn(NaiveDateTime) -> Option<NaiveDateTime>,
        behind: Option<Stretch>,
        here: Stretch,
    ) -> Option<bool> {
        let skipped = behind.map(|behind| skipped(behind, here)).filter(|skipped| !skipped.is_empty());
        let Some(skipped) = skipped else { return Some(false) };
        let next = times(wall_of(skipped.start - 1)?);
        Some(next.is_some_and(|wall| skipped.contains(&wall.and_utc().timestamp())))
    }
}

/// The wall-clock times that the change from one stretch to the next skips, in seconds; none if the clock goes back.
fn skipped(behind: Stretch, here: Stretch) -> Range<i64> {
    here.start + behind.offset..here.start + here.offset
}

fn wall_of(seconds: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(seconds, 0).map(|at| at.naive_utc())
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.name == other.name,
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map(|named| &named.name).hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
