//! Owns the tests of all that can be said beside a rule: bounds, dates left out, spreading, values that a seed chooses.
//! Must not lean on how the product passes over what is left out: here it is filtered, instant by instant.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::oracle_tests::Random;
use super::*;

const DAY_S: i64 = 86_400;
/// 2026-01-01.
const START: i64 = 1_767_225_600;

fn text(text: &str) -> Terms {
    Terms::plain(Rule::Text(text.into()))
}

fn compile(terms: &Terms) -> Schedule {
    Schedule::compile(terms, at(START)).expect("valid terms")
}

fn at(seconds: i64) -> Instant {
    Instant::from_secs(seconds)
}

fn dates(texts: &[&str]) -> Dates {
    Dates::parse(texts.iter().copied(), 4_000).expect("dates")
}

fn days(first: i64, count: i64) -> Vec<String> {
    (first..first + count).map(|day| at(day * DAY_S).to_string()[..10].to_owned()).collect()
}

/// Up to `max` instants in a stretch.
fn walk(schedule: &Schedule, after: i64, through: i64, max: usize) -> Vec<i64> {
    let first = schedule.next_after(at(after));
    let walk = std::iter::successors(first, |next| schedule.next_after(*next)).map(Instant::as_secs);
    walk.take_while(|next| *next <= through).take(max).collect()
}

#[test]
fn everything_together_is_a_filter_of_the_plain_schedule() {
    let zones = Zones::bundled();
    let mut random = Random(9);
    let texts =
        ["0 0 */3 * * *", "0 30 0,2,23 * * *", "@every 7h", "0 0 12 L,1-5 * *", "0 0 2 * * MON-FRI", "* * * * * *"];
    let names = ["UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia", "Asia/Kolkata", "America/Havana"];
    let mut left_out = 0;
    for _ in 0..300 {
        let rule = texts[usize::from(random.small(6))];
        let every_second = rule.starts_with("* ");
        let plain = Terms { zone: zones.get(names[usize::from(random.small(6))]).expect("a zone"), ..text(rule) };
        let first_day = START / DAY_S + i64::from(random.small(300));
        let own: Vec<String> =
            (0..random.small(6)).map(|_| days(first_day + i64::from(random.small(30)), 1).remove(0)).collect();
        let shared = days(first_day + i64::from(random.small(20)), i64::from(random.small(5)));
        let borrowed = |texts: &[String]| dates(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut calendars = Calendars::default();
        calendars.insert("shared", Arc::new(borrowed(&shared))).expect("a calendar");
        let seed = random.below(1 << 53);
        let bound = |random: &mut Random| {
            (random.below(3) == 0)
                .then(|| at(first_day * DAY_S + i64::try_from(random.below(3_000_000)).expect("small")))
        };
        let terms = Terms {
            exclude: borrowed(&own),
            calendars: calendars.get("shared").into_iter().collect(),
            seed: Some(seed),
            spread_s: u32::from(random.small(3)) * 1_800,
            starts_at: bound(&mut random),
            ends_at: bound(&mut random),
            ..plain.clone()
        };
        let schedule = compile(&terms);
        let shift = if terms.spread_s == 0 {
            0
        } else {
            i64::from(seed::number_below(seed, seed::Purpose::Spread, terms.spread_s))
        };
        let plain = compile(&plain);
        let after = first_day * DAY_S;
        let through = after + if every_second { 5_000 } else { 40 * DAY_S };
        let after = if every_second { after - 5_000 } else { after };
        let base = walk(&plain, after - shift, through - shift, 20_000);
        let is_included = |instant: &i64| {
            let date = plain.zone().local(at(*instant))[..10].to_owned();
            !own.contains(&date) && !shared.contains(&date)
        };
        left_out += base.iter().filter(|instant| !is_included(instant)).count();
        let bounded = |instant: &i64| {
            terms.starts_at.is_none_or(|start| *instant >= start.as_secs())
                && terms.ends_at.is_none_or(|end| *instant <= end.as_secs())
        };
        let expected: Vec<i64> =
            base.into_iter().filter(is_included).map(|instant| instant + shift).filter(bounded).collect();
        assert_eq!(walk(&schedule, after, through, 20_000), expected, "{schedule:?}");
        assert_eq!(
            schedule.latest_in(at(after), at(through)).map(Instant::as_secs),
            expected.last().copied(),
            "{schedule:?}"
        );
        for _ in 0..20 {
            let from = after + i64::try_from(random.below(41 * 86_400)).expect("small");
            let to = (from + i64::try_from(random.below(200_000)).expect("small")).min(through);
            let next = expected.iter().copied().find(|instant| (from + 1..=to).contains(instant));
            assert_eq!(schedule.next_in(at(from), at(to)).map(Instant::as_secs), next, "{schedule:?}");
        }
        let count = u32::try_from(expected.len()).expect("small");
        assert_eq!(schedule.count_in(at(after), at(through), u32::MAX), Count::Exactly(count), "{schedule:?}");
    }
    assert!(left_out > 3_000, "only {left_out} instants were left out");
}

#[test]
fn an_hour_that_comes_twice_is_left_out_twice_and_one_that_is_skipped_with_its_date() {
    let zones = Zones::bundled();
    let berlin = zones.get("Europe/Berlin").expect("a zone");
    let both = Dst { overlap: Overlap::Both, ..Dst::default() };
    let terms = |date| Terms { zone: berlin.clone(), dst: both, exclude: dates(&[date]), ..text("0 30 2 * * *") };
    let autumn = compile(&terms("2026-10-25"));
    assert_eq!(autumn.next_after(at(1_792_800_000)).expect("one").to_string(), "2026-10-24T00:30:00Z");
    assert_eq!(autumn.next_after(at(1_792_810_000)).expect("one").to_string(), "2026-10-26T01:30:00Z");
    let spring = compile(&terms("2026-03-29"));
    assert_eq!(spring.next_after(at(1_774_665_000)).expect("one").to_string(), "2026-03-30T00:30:00Z");
}

#[test]
fn a_date_on_which_the_clock_changes_ends_when_it_ends_there() {
    let berlin = Zones::bundled().get("Europe/Berlin").expect("a zone");
    for (date, start, next) in [
        ("2026-03-29", "2026-03-28T22:59:00Z", "2026-03-29T22:00:00Z"),
        ("2026-10-25", "2026-10-24T21:59:00Z", "2026-10-25T23:00:00Z"),
    ] {
        let start = at(chrono::DateTime::parse_from_rfc3339(start).expect("a time").timestamp());
        for rule in ["@every 30m", "* * * * * *", "0 */30 * * * *", "0 0 0-23 * * *"] {
            let terms = Terms { zone: berlin.clone(), exclude: dates(&[date]), ..text(rule) };
            let last = compile(&terms).next_after(Instant::from_secs(start.as_secs() + 59));
            assert_eq!(last.expect("one").to_string(), next, "{rule} without {date}");
        }
    }
}

#[test]
fn a_year_left_out_is_passed_over_day_by_day() {
    let year = days(START / DAY_S, 365);
    let exclude = dates(&year.iter().map(String::as_str).collect::<Vec<_>>());
    let berlin = Zones::bundled().get("Europe/Berlin").expect("a zone");
    for (rule, zone, next) in [
        ("* * * * * *", Zone::UTC, "2027-01-01T00:00:00Z"),
        ("@every 1s", berlin.clone(), "2026-12-31T23:00:00Z"),
        ("*/2 * * * * *", berlin, "2026-12-31T23:00:00Z"),
    ] {
        let schedule = compile(&Terms { zone, exclude: exclude.clone(), ..text(rule) });
        let next = |from| (schedule.next_after(at(from)).expect("one").to_string(), next.to_owned());
        // Were each second looked at, this would take minutes.
        for from in 0..2_000 {
            let (found, expected) = next(START + from);
            assert_eq!(found, expected, "{rule}");
        }
        assert_eq!(schedule.latest_in(at(START), at(START + 360 * DAY_S)), None, "{rule}");
    }
}

#[test]
fn dates_behind_a_stretch_are_not_looked_at() {
    // 2026-01-05 is a Monday.
    let mondays: Vec<String> = (0..3_800).map(|week| days(START / DAY_S + 4 + 7 * week, 1).remove(0)).collect();
    let mut calendars = Calendars::default();
    let closed = dates(&mondays.iter().map(String::as_str).collect::<Vec<_>>());
    calendars.insert("closed", Arc::new(closed)).expect("a calendar");
    for (rule, zone) in [("0 0 9 * * MON", "Europe/Berlin"), ("0 0 9 * * MON", "UTC"), ("@every 7d", "Europe/Berlin")] {
        let zone = Zones::bundled().get(zone).expect("a zone");
        let terms = Terms { zone, calendars: calendars.get("closed").into_iter().collect(), ..text(rule) };
        let schedule = Schedule::compile(&terms, at(START + 4 * DAY_S)).expect("valid terms");
        let (from, to) = (at(START), at(START + 40 * DAY_S));
        assert_eq!(schedule.left_out_in(from, to), 6, "{rule}");
        assert_eq!(schedule.left_out_in(from, Instant::LAST), 3_800, "{rule}");
        let after_all = schedule.next_after(from).expect("one").to_string();
        assert!(after_all.starts_with("2098-11-0"), "{rule}: {after_all}");
        // Were each date looked at, this would take minutes.
        for _ in 0..10_000 {
            assert_eq!(schedule.next_in(from, to), None, "{rule}");
        }
    }
}

#[test]
fn one_instant_is_due_once() {
    let terms = Terms::plain(Rule::At(at(START)));
    let schedule = compile(&terms);
    assert_eq!(schedule.next_after(at(START - 1)), Some(at(START)));
    assert_eq!(schedule.next_after(at(START)), None);
    assert_eq!(schedule.latest_in(at(0), at(START + 5)), Some(at(START)));
    assert_eq!(schedule.count_in(at(0), at(START + 5), 9), Count::Exactly(1));
    assert_eq!((schedule.text(), schedule.anchor(), schedule.terms()), ("2026-01-01T00:00:00Z", None, terms.clone()));
    let spread = Terms { seed: Some(3), spread_s: 3_600, ..terms.clone() };
    let moved = compile(&spread).next_after(at(START - 1)).expect("one").as_secs() - START;
    assert!((1..3_600).contains(&moved), "{moved}");
    let left_out = Terms { exclude: dates(&["2026-01-01"]), ..terms };
    assert_eq!(compile(&left_out).next_after(at(0)), None);
}

#[test]
fn a_seed_chooses_values_within_their_bounds() {
    let zone = Zone::UTC;
    let mut seen = HashSet::new();
    for seed in 0..300 {
        let terms = |rule: &str| Terms { zone: zone.clone(), seed: Some(seed), ..text(rule) };
        let next = |rule: &str| walk(&compile(&terms(rule)), START, START + 400 * DAY_S, 4);
        let minutes = next("0 ~ * * * *");
        assert!(minutes.windows(2).all(|pair| pair[1] - pair[0] == 3_600), "one minute of every hour");
        seen.insert(minutes[0]);
        let within = next("0 0 9~17 * * *").into_iter().map(|at| at % DAY_S / 3_600).collect::<HashSet<_>>();
        assert!(within.len() == 1 && within.iter().all(|hour| (9..=17).contains(hour)), "{within:?}");
        let days: Vec<String> =
            next("0 0 0 ~ * *").into_iter().map(|instant| at(instant).to_string()[8..10].to_owned()).collect();
        assert!(
            days.iter().all(|day| *day == days[0] && (1..=28).contains(&day.parse::<u8>().expect("a day"))),
            "{days:?}"
        );
        let quarters = next("0 ~/15 * * * *");
        assert!(quarters.windows(2).all(|pair| pair[1] - pair[0] == 900), "four in an hour");
        assert_eq!(next("0 ~ * * * *"), minutes, "the same seed, the same values");
        assert_eq!(next("0 59~59 23~ * * *").len(), 4);
        let open = walk(&compile(&terms("~30 0 0 * * *")), START, START + DAY_S, 1);
        assert!(open[0] % 60 <= 30);
    }
    assert!(seen.len() > 50, "only {} minutes were chosen", seen.len());
    for rule in ["0 17~9 * * * *", "0 ~60 * * * *", "0 ~~ * * * *", "0 ~/0 * * * *", "0 a~ * * * *"] {
        let error = Schedule::compile(&Terms { seed: Some(1), ..text(rule) }, at(0)).expect_err(rule);
        assert_eq!(error.field(), "minute", "{rule}: {error}");
    }
}

#[test]
fn two_open_fields_do_not_go_together() {
    let pairs: HashSet<(i64, i64)> = (0..500)
        .map(|seed| {
            let first = walk(&compile(&Terms { seed: Some(seed), ..text("~ ~ * * * *") }), START, i64::MAX, 1)[0];
            (first / 60 % 60, first % 60)
        })
        .collect();
    assert!(pairs.len() > 400, "{}", pairs.len());
}

#[test]
fn all_terms_tell_schedules_apart() {
    let calendar = |dates: &[&str]| NamedDates { name: "de".into(), dates: Arc::new(self::dates(dates)) };
    let plain = text("0 0 9 * * *");
    let skip = Dst { gap: Gap::Skip, ..Dst::default() };
    let variants = [
        plain.clone(),
        Terms { zone: Zones::bundled().get("Europe/Berlin").expect("a zone"), ..plain.clone() },
        Terms { zone: Zones::bundled().get("Europe/Paris").expect("a zone"), ..plain.clone() },
        Terms { dst: skip, ..plain.clone() },
        Terms { seed: Some(1), ..plain.clone() },
        Terms { seed: Some(1), spread_s: 1, ..plain.clone() },
        Terms { starts_at: Some(at(1)), ..plain.clone() },
        Terms { ends_at: Some(at(START)), ..plain.clone() },
        Terms { exclude: dates(&["2026-12-25"]), ..plain.clone() },
        Terms { calendars: Box::new([calendar(&[])]), ..plain.clone() },
        Terms { calendars: Box::new([calendar(&["2026-12-25"])]), ..plain.clone() },
        Terms { calendars: Box::new([calendar(&["2026-12-26"])]), ..plain.clone() },
        Terms::plain(Rule::At(at(1))),
        Terms::plain(Rule::At(at(2))),
    ];
    let set: HashSet<Schedule> = variants.iter().chain(&variants).map(compile).collect();
    assert_eq!(set.len(), variants.len());
    // Of calendars it is looked at how many dates they have, not at each of them.
    let hashes: HashSet<u64> =
        set.iter().map(|schedule| BuildHasherDefault::<DefaultHasher>::default().hash_one(schedule)).collect();
    assert_eq!(hashes.len(), variants.len() - 1);
    for terms in &variants {
        assert_eq!(compile(terms).terms(), *terms);
        let same = variants.iter().filter(|other| compile(terms).has_terms_of(&compile(other)));
        // What dates a calendar has is not what the job was told.
        assert_eq!(same.count(), if terms.calendars.is_empty() { 1 } else { 3 }, "{terms:?}");
    }
    let later = Schedule::compile(&text("@every 90s"), at(5)).expect("valid");
    assert!(later != compile(&text("@every 90s")) && later.has_terms_of(&compile(&text("@every 90s"))));
}

#[test]
fn calendars_are_resolved_anew() {
    let mut calendars = Calendars::default();
    calendars.insert("de", Arc::new(dates(&["2026-01-02"]))).expect("a calendar");
    let terms = Terms { calendars: calendars.get("de").into_iter().collect(), ..text("@daily") };
    let old = compile(&terms);
    assert!(old.calendars().map(|calendar| &*calendar.name).eq(["de"]));
    assert_eq!(old.next_after(at(START)), Some(at(START + 2 * DAY_S)));
    calendars.insert("de", Arc::new(dates(&["2026-01-03"]))).expect("a calendar");
    let new = old.with_calendars(&calendars);
    assert_eq!(new.next_after(at(START)), Some(at(START + DAY_S)));
    assert!(new != old && new.has_terms_of(&old));
    calendars.remove("de");
    assert_eq!(new.with_calendars(&calendars).next_after(at(START + DAY_S)), Some(at(START + 2 * DAY_S)));
}

#[test]
fn terms_have_bounds() {
    let many: Vec<String> = days(20_000, 401);
    let many = |count: usize| dates(&many[..count].iter().map(String::as_str).collect::<Vec<_>>());
    let calendar = NamedDates { name: "de".into(), dates: Arc::default() };
    let plain = text("@daily");
    for (terms, why) in [
        (Terms { seed: Some(1 << 53), ..plain.clone() }, "expected a seed below 9007199254740992"),
        (Terms { spread_s: 5, ..plain.clone() }, "expected at most 86400 seconds to spread over, and a seed"),
        (Terms { spread_s: 86_401, seed: Some(1), ..plain.clone() }, "expected at most 86400 seconds to spread over"),
        (Terms { exclude: many(401), ..plain.clone() }, "expected at most 400 dates and 8 calendars to leave out"),
        (
            Terms { calendars: vec![calendar.clone(); 9].into(), ..plain.clone() },
            "expected at most 400 dates and 8 calendars",
        ),
    ] {
        let error = Schedule::compile(&terms, at(0)).expect_err(why).to_string();
        assert!(error.starts_with(&format!("schedule: {why}")), "{error}");
    }
    let most = Terms {
        seed: Some((1 << 53) - 1),
        spread_s: 86_400,
        exclude: many(400),
        calendars: vec![calendar; 8].into(),
        ..plain
    };
    assert_eq!(compile(&most).terms(), most);
}

#[test]
fn extreme_moments_are_answered() {
    let zone = Zones::bundled().get("Pacific/Kiritimati").expect("a zone");
    let extremes = [i64::MIN, -1, 0, 4_102_444_799, i64::MAX];
    for rule in [
        Rule::Text("* * * * * *".into()),
        Rule::Text("0 0 0 L * *".into()),
        Rule::Text("@every 366d".into()),
        Rule::At(at(i64::MAX)),
        Rule::At(at(i64::MIN)),
    ] {
        for (from, to) in extremes.into_iter().flat_map(|from| extremes.map(|to| (from, to))) {
            let terms = Terms {
                zone: zone.clone(),
                seed: Some(7),
                spread_s: 86_400,
                starts_at: Some(at(from)),
                ends_at: Some(at(to)),
                exclude: dates(&["1970-01-01", "2099-12-31"]),
                ..Terms::plain(rule.clone())
            };
            let schedule = Schedule::compile(&terms, at(from)).expect("valid");
            for moment in extremes {
                let next = schedule.next_after(at(moment));
                assert!(
                    next.is_none_or(|next| next > at(moment) && (Instant::FIRST..=Instant::LAST).contains(&next)),
                    "{schedule:?}"
                );
                let _ = (schedule.latest_in(at(from), at(moment)), schedule.count_in(at(from), at(moment), 3));
            }
        }
    }
}

#[test]
fn what_is_rare_costs_a_plain_schedule_one_pointer() {
    assert!(size_of::<Schedule>() <= 48, "{}", size_of::<Schedule>());
    assert_eq!(size_of::<Zone>(), size_of::<usize>());
}
