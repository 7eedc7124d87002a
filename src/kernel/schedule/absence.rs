//! Owns why a schedule is not due at some second.
//! It must not know what became of a second at which it was due.

use super::Schedule;
use super::dates::Dates;
use super::dst::{Dst, Gap, Overlap};
use super::preview::LeftOut;
use super::terms::Terms;
use crate::time::Instant;

/// Whether a schedule is due at a second, and if not, what keeps it from that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It is due.
    None,
    /// Its first instant lies later.
    BeforeStart(Instant),
    /// Its last instant lies earlier.
    AfterEnd(Instant),
    /// Its dates, or those of a calendar, leave the day out.
    LeftOut(LeftOut),
    /// The clock was changed, and its policy passes over this side of the change.
    ClockChange,
    /// It never says this time.
    NotSaid,
}

impl Schedule {
    /// What keeps it from being due at a second.
    pub fn absence_at(&self, at: Instant) -> Absence {
        let before = Instant::from_secs(at.as_secs().saturating_sub(1));
        let is_due = |schedule: &Schedule| schedule.next_in(before, at).is_some();
        if is_due(self) {
            return Absence::None;
        }
        let terms = self.terms();
        let (starts_at, ends_at) = (terms.starts_at, terms.ends_at);
        // What it would be due at if nothing kept it from that; then one thing after the other is put back.
        let free =
            Terms { starts_at: None, ends_at: None, exclude: Dates::default(), calendars: Box::default(), ..terms };
        let anchor = self.anchor().unwrap_or(Instant::FIRST);
        let with = |terms: &Terms| Schedule::compile(terms, anchor).expect("what is right stays so with less");
        let of_any_side = Dst { gap: Gap::RunAfter, overlap: Overlap::Both };
        if !is_due(&with(&Terms { dst: of_any_side, ..free.clone() })) {
            return Absence::NotSaid;
        }
        if let Some(starts_at) = starts_at.filter(|&starts_at| at < starts_at) {
            return Absence::BeforeStart(starts_at);
        }
        if let Some(ends_at) = ends_at.filter(|&ends_at| at > ends_at) {
            return Absence::AfterEnd(ends_at);
        }
        if !is_due(&with(&free)) {
            return Absence::ClockChange;
        }
        let left_out = self.preview(before, at, 1).left_out.into_iter().next();
        left_out.map_or(Absence::NotSaid, Absence::LeftOut)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rule, Zones};
    use super::*;

    fn at(text: &str) -> Instant {
        let time = chrono::DateTime::parse_from_rfc3339(text).expect("a time");
        Instant::from_secs(time.timestamp())
    }

    fn terms(text: &str) -> Terms {
        Terms::plain(Rule::Text(text.into()))
    }

    fn absence(terms: &Terms, second: &str) -> Absence {
        Schedule::compile(terms, Instant::FIRST).expect("valid").absence_at(at(second))
    }

    #[test]
    fn what_keeps_a_schedule_from_being_due_is_named() {
        let daily = terms("0 30 9 * * *");
        assert_eq!(absence(&daily, "2026-03-01T09:30:00Z"), Absence::None);
        assert_eq!(absence(&daily, "2026-03-01T09:30:01Z"), Absence::NotSaid);
        let (first, last) = (at("2026-04-01T00:00:00Z"), at("2026-05-01T00:00:00Z"));
        let bounded = Terms { starts_at: Some(first), ends_at: Some(last), ..daily.clone() };
        assert_eq!(absence(&bounded, "2026-03-01T09:30:00Z"), Absence::BeforeStart(first));
        assert_eq!(absence(&bounded, "2026-06-01T09:30:00Z"), Absence::AfterEnd(last));
        assert_eq!(absence(&bounded, "2026-06-01T09:31:00Z"), Absence::NotSaid);
        let exclude = Dates::parse(["2026-12-25"].into_iter(), 1).expect("a date");
        let without = Terms { exclude, ..daily };
        // The first and the last second of what bounds it are within.
        let second = Some(at("2026-12-25T09:30:00Z"));
        for terms in [without.clone(), Terms { starts_at: second, ends_at: second, ..without }] {
            let left_out = absence(&terms, "2026-12-25T09:30:00Z");
            assert!(matches!(left_out, Absence::LeftOut(LeftOut { own: true, .. })), "{left_out:?}");
        }
    }

    #[test]
    fn a_side_of_a_change_of_the_clock_is_named() {
        let zone = Zones::bundled().get("Europe/Berlin").expect("a zone");
        let in_overlap = Terms { zone: zone.clone(), ..terms("0 30 2 * * *") };
        assert_eq!(absence(&in_overlap, "2026-10-25T00:30:00Z"), Absence::None);
        assert_eq!(absence(&in_overlap, "2026-10-25T01:30:00Z"), Absence::ClockChange);
        let dst = Dst { gap: Gap::Skip, overlap: Overlap::First };
        assert_eq!(absence(&Terms { dst, ..in_overlap }, "2026-03-29T01:00:00Z"), Absence::ClockChange);
    }
}
