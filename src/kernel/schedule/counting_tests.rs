//! Owns the tests of how many instants lie in a stretch of time and which is the latest, where arithmetic tells it.
//! Must not compute what it expects; every line stands for itself.

use super::*;

/// 2026-01-01.
const START: i64 = 1_767_225_600;
const HOUR_S: i64 = 3_600;

fn at(seconds: i64) -> Instant {
    Instant::from_secs(seconds)
}

fn text(text: &str) -> Terms {
    Terms::plain(Rule::Text(text.into()))
}

#[test]
fn all_the_seconds_there_are_are_counted_at_once() {
    let berlin = Zones::bundled().get("Europe/Berlin").expect("a zone");
    let leaves_nothing_out = Box::new([NamedDates { name: "de".into(), dates: Default::default() }]);
    for terms in [
        text("@every 1s"),
        text("* * * * * *"),
        text("0-59 0-59 0-23 * * *"),
        Terms { zone: berlin.clone(), ..text("@every 1s") },
        Terms { zone: berlin, ..text("* * * * * *") },
        Terms { seed: Some(1), calendars: leaves_nothing_out, ..text("@every 1s") },
    ] {
        let schedule = Schedule::compile(&terms, Instant::FIRST).expect("valid");
        // Were they walked, this would take hours.
        let count = schedule.count_in(at(i64::MIN), at(i64::MAX), u32::MAX);
        assert_eq!(count, Count::Exactly(4_102_444_800), "{schedule:?}");
        assert_eq!(schedule.latest_in(at(i64::MIN), at(i64::MAX)), Some(Instant::LAST), "{schedule:?}");
    }
}

#[test]
fn what_is_due_each_second_counts_from_nowhere() {
    for (rule, from) in [("* * * * * *", None), ("@every 1s", Some(at(START))), ("0 0 9 * * *", None)] {
        assert_eq!(Schedule::compile(&text(rule), at(START)).expect(rule).anchor(), from, "{rule}");
    }
}

#[test]
fn a_period_is_counted_within_what_bounds_it() {
    let hourly = || text("@every 1h");
    let middle = Some(at(START + 2 * HOUR_S + 1_800));
    let exclude = Dates::parse(["2026-01-01"].into_iter(), 1).expect("a date");
    // What moves all of them by 406 seconds.
    let spread = Terms { seed: Some(1), spread_s: 600, ..hourly() };
    for (terms, hours, count, latest) in [
        (hourly(), 5, 6, Some(START + 5 * HOUR_S)),
        (Terms { starts_at: middle, ..hourly() }, 2, 0, None),
        (Terms { starts_at: middle, ..hourly() }, 5, 3, Some(START + 5 * HOUR_S)),
        (Terms { ends_at: middle, ..hourly() }, 5, 3, Some(START + 2 * HOUR_S)),
        (spread, 5, 5, Some(START + 4 * HOUR_S + 406)),
        (Terms { exclude: exclude.clone(), ..hourly() }, 5, 0, None),
        (Terms { exclude, ..hourly() }, 25, 2, Some(START + 25 * HOUR_S)),
    ] {
        let schedule = Schedule::compile(&terms, at(START)).expect("valid");
        let (from, to) = (at(START - 1), at(START + hours * HOUR_S));
        assert_eq!(schedule.count_in(from, to, 99), Count::Exactly(count), "{schedule:?}");
        assert_eq!(schedule.latest_in(from, to), latest.map(at), "{schedule:?}");
        if count > 0 {
            assert_eq!(schedule.count_in(from, to, count), Count::Exactly(count), "{schedule:?}");
            assert_eq!(schedule.count_in(from, to, count - 1), Count::MoreThan(count - 1), "{schedule:?}");
        }
    }
}
