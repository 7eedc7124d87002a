//! Owns the properties of schedules: instants come in order and never early, and everybody who asks is told the same ones.
//! It must not compute an instant in a way of its own, but for what a wall clock shows.

use std::collections::HashSet;

use punctual::schedule::{Absence, Count, Dates, Gap, Overlap, Rule, Schedule, Terms, Zone};
use punctual::time::Instant;

use super::support::{Chance, NOW, context};

/// Further than people write.
const LEN_MAX: usize = 600;
/// How many instants are looked at.
const STEPS: usize = 12;

/// In the first line the schedule, in the second what else there is to say, in any order and by first letters:
/// `zEurope/Berlin g1 o2 s600 d7 a1774000000 f0 t4000000000 x2026-03-29,2026-12-25 c`.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(&data[..data.len().min(LEN_MAX)]).into_owned();
    let (rule, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (terms, after, anchor) = terms(rule, rest);
    let Ok(schedule) = Schedule::compile(&terms, anchor) else {
        return;
    };
    assert_eq!(schedule.terms().rule, Rule::Text(rule.trim_ascii().into()));
    let again = Schedule::compile(&schedule.terms(), schedule.anchor().unwrap_or(Instant::FIRST));
    assert_eq!(again.as_ref(), Ok(&schedule), "its terms say all there is");
    assert!(schedule.has_terms_of(&schedule) && !schedule.explain().description.is_empty());

    let first = schedule.next_after(after);
    let instants: Vec<Instant> = std::iter::successors(first, |from| schedule.next_after(*from)).take(STEPS).collect();
    let mut chance = Chance::of(data);
    check_order(&schedule, after, &instants, &mut chance);
    check_bounds(&schedule, &terms, &instants);
    let through = match instants.len() {
        STEPS => instants[STEPS - 1],
        _ => Instant::LAST,
    };
    check_preview(&schedule, after, through, &instants);
    if instants.len() == STEPS {
        check_stretch(&schedule, after, through, &instants);
    }
    for at in instants.iter().take(2) {
        assert_eq!(schedule.absence_at(*at), Absence::None, "{schedule:?} at {at}");
        let beside = Instant::from_secs(at.as_secs() + 1);
        let is_due = instants.contains(&beside) || schedule.next_after(*at) == Some(beside);
        assert_eq!(schedule.absence_at(beside) == Absence::None, is_due, "{schedule:?} at {beside}");
    }
}

/// Each instant is strictly later, and nothing in between leads anywhere else.
fn check_order(schedule: &Schedule, after: Instant, instants: &[Instant], chance: &mut Chance) {
    let mut from = after;
    for &next in instants {
        assert!(next > from && (Instant::FIRST..=Instant::LAST).contains(&next), "{schedule:?}: {next} after {from}");
        let width = next.as_secs() - from.as_secs().max(-1);
        let between = [0, 1, width / 2, width - 1].into_iter();
        let anywhere = chance.below(usize::try_from(width).unwrap_or(usize::MAX));
        for offset in between.chain([i64::try_from(anywhere).unwrap_or(0)]).filter(|offset| (0..width).contains(offset))
        {
            let at = Instant::from_secs(from.as_secs().max(-1) + offset);
            assert_eq!(schedule.next_after(at), Some(next), "{schedule:?} after {at}");
        }
        assert_eq!(schedule.next_in(from, next), Some(next), "{schedule:?} in ({from}, {next}]");
        let before = Instant::from_secs(next.as_secs() - 1);
        assert_eq!(schedule.next_in(from, before), None, "{schedule:?} in ({from}, {before}]");
        from = next;
    }
}

/// No instant lies where the terms say that there is none.
fn check_bounds(schedule: &Schedule, terms: &Terms, instants: &[Instant]) {
    for at in instants {
        assert!(terms.starts_at.is_none_or(|start| *at >= start), "{schedule:?}: {at}");
        assert!(terms.ends_at.is_none_or(|end| *at <= end), "{schedule:?}: {at}");
    }
    if terms.spread_s > 0 {
        return;
    }
    let sets = terms.calendars.iter().map(|calendar| &*calendar.dates).chain([&terms.exclude]);
    let left_out: HashSet<String> = sets.flat_map(Dates::iter).map(|date| date.to_string()).collect();
    for at in instants {
        let local = terms.zone.local(*at);
        // What a gap moved belongs to the day that it was meant for.
        let is_moved = !matches!(schedule.preview(Instant::from_secs(at.as_secs() - 1), *at, 1).instants.first(), Some(shown) if shown.remark.is_none());
        assert!(is_moved || !left_out.contains(&local[..10]), "{schedule:?}: {local}");
    }
}

/// What people are shown is what is due.
fn check_preview(schedule: &Schedule, after: Instant, through: Instant, instants: &[Instant]) {
    let preview = schedule.preview(after, through, STEPS);
    let shown: Vec<Instant> = preview.instants.iter().map(|shown| shown.instant).collect();
    assert_eq!(shown, instants, "{schedule:?} after {after}");
    for shown in &preview.instants {
        let local = chrono::DateTime::parse_from_rfc3339(&shown.local).expect("a local time");
        assert_eq!(local.timestamp(), shown.instant.as_secs(), "{schedule:?}: {}", shown.local);
        assert_eq!(i64::from(local.offset().local_minus_utc()), schedule.zone().offset_s(shown.instant));
    }
    assert!(preview.left_out.is_sorted_by_key(|left| left.date), "{preview:?}");
    assert!(preview.left_out.iter().all(|left| left.own || !left.calendars.is_empty()), "{preview:?}");
    let fewer = schedule.preview(after, through, 3);
    assert_eq!(fewer.instants, preview.instants[..preview.instants.len().min(3)]);
}

/// Counted and latest are the same as walked.
fn check_stretch(schedule: &Schedule, after: Instant, through: Instant, instants: &[Instant]) {
    let count = u32::try_from(instants.len()).expect("there are few");
    assert_eq!(schedule.count_in(after, through, count), Count::Exactly(count), "{schedule:?}");
    assert_eq!(schedule.count_in(after, through, count - 1), Count::MoreThan(count - 1), "{schedule:?}");
    assert_eq!(schedule.latest_in(after, through), Some(through), "{schedule:?}");
    let before = Instant::from_secs(through.as_secs() - 1);
    assert_eq!(schedule.latest_in(after, before), Some(instants[instants.len() - 2]), "{schedule:?}");
}

/// What the lines say, the moment to begin at, and where `@every` counts from. What cannot be read is left out.
fn terms(rule: &str, rest: &str) -> (Terms, Instant, Instant) {
    let mut terms = Terms::plain(Rule::Text(rule.into()));
    let context = context();
    let (mut after, mut anchor) = (NOW.floor(), NOW.floor());
    for word in rest.split_ascii_whitespace().filter(|word| word.is_ascii()) {
        let (letter, value) = word.split_at(1);
        let second = || value.parse().ok().map(Instant::from_secs);
        match letter {
            "z" => terms.zone = context.zones.and_then(|zones| zones.get(value).ok()).unwrap_or(Zone::UTC),
            "g" => terms.dst.gap = if value == "1" { Gap::Skip } else { Gap::RunAfter },
            "o" => terms.dst.overlap = Overlap::ALL[value.parse::<usize>().unwrap_or(0) % 3],
            "s" => terms.spread_s = value.parse::<u32>().unwrap_or(0) % 86_401,
            "d" => terms.seed = value.parse().ok().map(|seed: u64| seed % punctual::limits::SEED_END),
            "a" => after = second().unwrap_or(after),
            "e" => anchor = second().unwrap_or(anchor),
            "f" => terms.starts_at = second(),
            "t" => terms.ends_at = second(),
            "x" => {
                let dates: Vec<&str> = value.split(',').collect();
                terms.exclude = Dates::parse(dates.into_iter(), 100).unwrap_or_default();
            }
            "c" => terms.calendars = context.calendars.and_then(|known| known.get("de")).into_iter().collect(),
            _ => {}
        }
    }
    (terms, after, anchor)
}
