//! Owns what somebody is shown who asks what a schedule means: its instants with what is odd about them, and what is
//! left out of them.
//! It must not find instants in a way of its own: it asks the schedule.

use std::fmt;

use chrono::TimeDelta;

use super::dates::{Date, Exclusions};
use super::dst::Gap;
use super::rare::Rare;
use super::zone::Shown;
use super::{Pace, Schedule};
use crate::limits::PREVIEW_DATES_MAX;
use crate::time::Instant;

/// The instants of a schedule in a stretch of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preview {
    /// In order.
    pub instants: Vec<Upcoming>,
    /// The dates in the same stretch on which it would have been due otherwise, in order.
    pub left_out: Vec<LeftOut>,
}

/// An instant as it looks in the schedule's zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upcoming {
    /// When.
    pub instant: Instant,
    /// The same on the wall clock, ISO 8601 with the offset.
    pub local: String,
    /// What is odd about it.
    pub remark: Option<Remark>,
}

/// What a change of the clock has to do with an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Remark {
    /// It stands for a time that does not exist on that day.
    Gap {
        /// The time of day that was meant.
        meant: String,
    },
    /// The clock will show the same time again.
    FirstOfTwo,
    /// The clock showed the same time before.
    SecondOfTwo,
}

impl Remark {
    /// What kind it is, as the API names it.
    pub fn name(&self) -> &'static str {
        match self {
            Remark::Gap { .. } => "gap",
            Remark::FirstOfTwo | Remark::SecondOfTwo => "overlap",
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Gap { meant } => {
                write!(f, "{meant} does not exist on that day: due right after the clock goes forward")
            }
            Remark::FirstOfTwo => f.write_str("the first of two: the clock goes back, and shows this time again"),
            Remark::SecondOfTwo => f.write_str("the second of two: the clock went back, and showed this time before"),
        }
    }
}

/// A date on which a schedule is not due although its rule says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftOut {
    /// On the schedule's wall clock.
    pub date: Date,
    /// Whether it is one of the job's own dates.
    pub own: bool,
    /// The calendars that have it.
    pub calendars: Vec<String>,
}

impl Schedule {
    /// The instants in `(after, through]`, at most `max` of them; with them as many dates that are left out up to the
    /// last of them, or up to `through` if these are all.
    pub fn preview(&self, after: Instant, through: Instant, max: usize) -> Preview {
        let first = self.next_after(after);
        let instants = std::iter::successors(first, |instant| self.next_after(*instant));
        let instants: Vec<Instant> = instants.take_while(|instant| *instant <= through).take(max).collect();
        let end = instants.last().copied().filter(|_| instants.len() == max).unwrap_or(through);
        let upcoming = |instant| Upcoming { instant, local: self.zone().local(instant), remark: self.remark(instant) };
        Preview {
            instants: instants.into_iter().map(upcoming).collect(),
            left_out: self.left_out(after, end).take(max).collect(),
        }
    }

    fn remark(&self, instant: Instant) -> Option<Remark> {
        let (Some(rare), Pace::Calendar(calendar)) = (&self.rare, &self.pace) else { return None };
        let instant = Instant::from_secs(instant.as_secs() - rare.shift_s());
        let runs_after = rare.dst_of(calendar).gap == Gap::RunAfter;
        if let Some((first, end)) = rare.zone.skipped_at(instant).filter(|_| runs_after) {
            let meant = calendar.next_included(first - TimeDelta::seconds(1), end, &rare.left_out);
            if let Some(meant) = meant.filter(|meant| *meant < end) {
                return Some(Remark::Gap { meant: meant.format("%H:%M:%S").to_string() });
            }
        }
        match rare.zone.shown(instant) {
            Shown::Once => None,
            Shown::FirstOfTwo => Some(Remark::FirstOfTwo),
            Shown::SecondOfTwo => Some(Remark::SecondOfTwo),
        }
    }

    /// The dates in `(after, through]` on which it would have been due if it left nothing out.
    fn left_out(&self, after: Instant, through: Instant) -> impl Iterator<Item = LeftOut> {
        let rare = self.rare.as_deref();
        let dates = rare.map(|rare| dates_within(rare, after, through)).unwrap_or_default();
        let whole = rare.map(|rare| Rare { left_out: Exclusions::default(), ..rare.clone() });
        // What follows one date follows the others before it, too: where little is due, looking for it costs most.
        let mut following = None;
        dates.into_iter().filter_map(move |date| {
            let (rare, whole) = (rare?, whole.as_ref()?);
            // The instant before the date begins, moved as all instants are.
            let begins = rare.zone.first_of(date.0).as_secs() + rare.shift_s() - 1;
            let begins = Instant::from_secs(begins.max(after.as_secs()));
            let is_known = following.is_some_and(|next: Option<Instant>| next.is_none_or(|next| next > begins));
            if !is_known {
                following = Some(whole.next_in(&self.pace, begins, through));
            }
            let next = following??;
            let unspread = Instant::from_secs(next.as_secs() - rare.shift_s());
            let is_due = rare.zone.wall(unspread)?.date() == date.0;
            let has = rare.left_out.calendars.iter().filter(|calendar| calendar.dates.contains(date));
            let calendars = has.map(|calendar| calendar.name.to_string()).collect();
            is_due.then(|| LeftOut { date, own: rare.left_out.own.contains(date), calendars })
        })
    }
}

/// The dates that are left out in a stretch, in order; the first ones, if there are too many to look at.
fn dates_within(rare: &Rare, after: Instant, through: Instant) -> Vec<Date> {
    let mut dates: Vec<Date> = rare.sets_within(after, through).flatten().copied().collect();
    dates.sort_unstable();
    dates.dedup();
    dates.truncate(PREVIEW_DATES_MAX);
    dates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::schedule::{Calendars, Dates, Dst, Overlap, Rule, Terms, Zones};

    fn berlin(text: &str) -> Terms {
        let zone = Zones::bundled().get("Europe/Berlin").expect("a zone");
        Terms { zone, ..Terms::plain(Rule::Text(text.into())) }
    }

    fn instant(text: &str) -> Instant {
        Instant::from_secs(chrono::DateTime::parse_from_rfc3339(text).expect(text).timestamp())
    }

    fn dates(texts: &[&str]) -> Dates {
        Dates::parse(texts.iter().copied(), 100).expect("dates")
    }

    /// Local times with their remarks.
    fn shown(terms: &Terms, after: &str, max: usize) -> Vec<(String, Option<&'static str>)> {
        let schedule = Schedule::compile(terms, Instant::FIRST).expect("valid");
        let preview = schedule.preview(instant(after), Instant::LAST, max);
        let named = |upcoming: Upcoming| (upcoming.local, upcoming.remark.map(|remark| remark.name()));
        preview.instants.into_iter().map(named).collect()
    }

    #[test]
    fn changes_of_the_clock_are_remarked() {
        let local = |time: &str, remark| (time.to_owned(), remark);
        let spring = berlin("0 30 2 * * *");
        assert_eq!(
            shown(&spring, "2026-03-28T00:00:00Z", 3),
            [
                local("2026-03-28T02:30:00+01:00", None),
                local("2026-03-29T03:00:00+02:00", Some("gap")),
                local("2026-03-30T02:30:00+02:00", None)
            ]
        );
        let both = Terms { dst: Dst { overlap: Overlap::Both, ..Dst::default() }, ..berlin("0 30 2 * * *") };
        assert_eq!(
            shown(&both, "2026-10-24T12:00:00Z", 3),
            [
                local("2026-10-25T02:30:00+02:00", Some("overlap")),
                local("2026-10-25T02:30:00+01:00", Some("overlap")),
                local("2026-10-26T02:30:00+01:00", None)
            ]
        );
        // The first second that is skipped is skipped, too.
        assert_eq!(
            shown(&berlin("0 0 2 * * *"), "2026-03-28T12:00:00Z", 1),
            [local("2026-03-29T03:00:00+02:00", Some("gap"))]
        );
        // What is due at the end of the gap for its own sake stands for no other time.
        assert_eq!(
            shown(&berlin("0 0 3 * * *"), "2026-03-28T12:00:00Z", 1),
            [local("2026-03-29T03:00:00+02:00", None)]
        );
        let spread = Terms { seed: Some(1), spread_s: 600, ..spring };
        assert_eq!(shown(&spread, "2026-03-28T12:00:00Z", 1), [local("2026-03-29T03:06:46+02:00", Some("gap"))]);
        let schedule = Schedule::compile(&spread, Instant::FIRST).expect("valid");
        let preview = schedule.preview(instant("2026-03-28T12:00:00Z"), Instant::LAST, 1);
        let remark = preview.instants[0].remark.as_ref().expect("a gap").to_string();
        assert!(remark.starts_with("02:30:00 does not exist"), "{remark}");
    }

    #[test]
    fn only_times_that_are_shown_twice_are_remarked() {
        let both = Terms { dst: Dst { overlap: Overlap::Both, ..Dst::default() }, ..berlin("0 0,30 0-3 25 10 *") };
        let day = [
            ("00:00:00+02:00", None),
            ("00:30:00+02:00", None),
            ("01:00:00+02:00", None),
            ("01:30:00+02:00", None),
            ("02:00:00+02:00", Some("overlap")),
            ("02:30:00+02:00", Some("overlap")),
            ("02:00:00+01:00", Some("overlap")),
            ("02:30:00+01:00", Some("overlap")),
            ("03:00:00+01:00", None),
            ("03:30:00+01:00", None),
        ];
        assert_eq!(
            shown(&both, "2026-10-24T12:00:00Z", day.len()),
            day.map(|(time, remark)| (format!("2026-10-25T{time}"), remark))
        );
        // Of several times only the one that is skipped was meant.
        let schedule = Schedule::compile(&berlin("0 30 1,2,3 * * *"), Instant::FIRST).expect("valid");
        let preview = schedule.preview(instant("2026-03-29T00:30:00Z"), Instant::LAST, 1);
        assert_eq!(preview.instants[0].remark, Some(Remark::Gap { meant: "02:30:00".to_owned() }));
    }

    #[test]
    fn what_is_left_out_is_found_from_the_first_to_the_last_second_of_a_day() {
        let daily =
            |text: &str, exclude: &[&str]| Terms { exclude: dates(exclude), ..Terms::plain(Rule::Text(text.into())) };
        // All of them are moved by 406 seconds, to the day behind.
        let spread = Terms { seed: Some(1), spread_s: 600, ..daily("0 55 23 * * *", &["2026-12-24"]) };
        for (terms, after, left_out) in [
            // The clock goes back on the first day and forward on the second.
            (
                Terms { exclude: dates(&["2026-10-25"]), ..berlin("0 30 0 * * *") },
                "2026-10-20T00:00:00Z",
                &["2026-10-25"][..],
            ),
            (
                Terms { exclude: dates(&["2027-03-28"]), ..berlin("0 30 0 * * *") },
                "2026-10-20T00:00:00Z",
                &["2027-03-28"],
            ),
            (
                daily("59 59 23 * * *", &["2026-12-24", "2026-12-25"]),
                "2026-12-20T00:00:00Z",
                &["2026-12-24", "2026-12-25"],
            ),
            (daily("0 0 0 * * *", &["2026-12-24", "2026-12-25"]), "2026-12-24T00:00:00Z", &["2026-12-25"]),
            (spread.clone(), "2026-12-20T00:00:00Z", &["2026-12-24"]),
            (spread.clone(), "2026-12-25T00:00:00Z", &["2026-12-24"]),
            (spread.clone(), "2026-12-25T00:01:45Z", &["2026-12-24"]),
            (spread, "2026-12-25T00:01:46Z", &[]),
        ] {
            let schedule = Schedule::compile(&terms, Instant::FIRST).expect("valid");
            let preview = schedule.preview(instant(after), instant("2027-04-01T00:00:00Z"), 1_000);
            let found: Vec<String> = preview.left_out.iter().map(|left| left.date.to_string()).collect();
            assert_eq!(found, left_out, "{schedule:?} after {after}");
        }
    }

    #[test]
    fn what_is_left_out_is_shown_with_the_reason() {
        let mut calendars = Calendars::default();
        calendars.insert("de", Arc::new(dates(&["2026-12-25", "2026-12-26", "2027-01-01"]))).expect("a calendar");
        let terms = Terms {
            exclude: dates(&["2026-12-24", "2026-12-25", "2026-12-31"]),
            calendars: calendars.get("de").into_iter().collect(),
            // 2026-12-26 is a Saturday, on which it is not due anyway.
            ..berlin("* * 9 * * MON-FRI")
        };
        let schedule = Schedule::compile(&terms, Instant::FIRST).expect("valid");
        let left_out = |through: &str, max| {
            let preview = schedule.preview(instant("2026-12-23T12:00:00Z"), instant(through), max);
            let reason = |left: LeftOut| (left.date.to_string(), left.own, left.calendars.join(" "));
            preview.left_out.into_iter().map(reason).collect::<Vec<_>>()
        };
        let entry = |date: &str, own, calendars: &str| (date.to_owned(), own, calendars.to_owned());
        let days = [
            entry("2026-12-24", true, ""),
            entry("2026-12-25", true, "de"),
            entry("2026-12-31", true, ""),
            entry("2027-01-01", false, "de"),
        ];
        assert_eq!(left_out("2027-01-01T08:00:00Z", 100_000), days);
        assert_eq!(left_out("2027-01-01T07:59:59Z", 100_000), days[..3]);
        // The tenth instant is on the 28th.
        assert_eq!(left_out("2027-02-01T00:00:00Z", 10), days[..2]);
    }

    #[test]
    fn a_stretch_without_instants_is_empty() {
        let schedule = Schedule::compile(&berlin("@daily"), Instant::FIRST).expect("valid");
        let nothing = Preview { instants: Vec::new(), left_out: Vec::new() };
        assert_eq!(schedule.preview(Instant::LAST, Instant::LAST, 10), nothing);
        assert_eq!(schedule.preview(instant("2026-01-02T00:00:00Z"), Instant::FIRST, 10), nothing);
        assert_eq!(schedule.preview(instant("2026-01-02T00:00:00Z"), Instant::LAST, 0), nothing);
        assert_eq!(schedule.preview(Instant::from_secs(i64::MIN), Instant::from_secs(i64::MAX), 2).instants.len(), 2);
    }
}
