//! Owns the oracle for days told by their place in the month: each is looked for day by day, as a person would.
//! Must not use chrono, the cron crate or the product's parser to know what is right.

use super::oracle_tests::{Random, civil};
use super::*;

const DAY_S: i64 = 86_400;
const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The days since 1970 of the month that holds a day.
fn month_of(day: i64) -> Vec<i64> {
    let is_same = |other: &i64| civil(*other).0 == civil(day).0 && civil(*other).1 == civil(day).1;
    (day - 31..=day + 31).filter(|other| (0..47_482).contains(other)).filter(is_same).collect()
}

/// 1970-01-01 was a Thursday.
fn weekday(day: i64) -> i64 {
    (day + 4) % 7
}

fn is_working(day: i64) -> bool {
    (1..=5).contains(&weekday(day))
}

/// The working day of a month that is nearest to a day of it; there are never two at the same distance.
fn nearest(month: &[i64], wanted: i64) -> Option<i64> {
    month.contains(&wanted).then_some(())?;
    month.iter().copied().filter(|day| is_working(*day)).min_by_key(|day| (day - wanted).abs())
}

/// What an item selects of a month.
type Select = Box<dyn Fn(&[i64]) -> Option<i64>>;

fn random_day(random: &mut Random) -> (String, Select) {
    let number = i64::from(1 + random.small(31));
    let back = usize::from(random.small(31));
    match random.below(6) {
        0 => (
            number.to_string(),
            Box::new(move |month| month.iter().copied().find(|day| i64::from(civil(*day).2) == number)),
        ),
        1 => ("l".to_owned(), Box::new(|month| month.last().copied())),
        2 => (format!("L-{back}"), Box::new(move |month| month.iter().rev().nth(back).copied())),
        3 => ("LW".to_owned(), Box::new(|month| month.iter().rev().copied().find(|day| is_working(*day)))),
        4 => (format!("L-{back}w"), Box::new(move |month| nearest(month, *month.iter().rev().nth(back)?))),
        _ => (format!("{number}W"), Box::new(move |month| nearest(month, month[0] + number - 1))),
    }
}

/// Of one weekday a plain item selects all, so it is told apart.
fn random_weekday(random: &mut Random) -> (String, Select) {
    let wanted = random.small(7);
    let name = if random.below(2) == 0 { NAMES[usize::from(wanted)].to_owned() } else { wanted.to_string() };
    let such = move |day: &&i64| weekday(**day) == i64::from(wanted);
    let nth = usize::from(random.small(5));
    match random.below(2) {
        0 => (format!("{name}#{}", nth + 1), Box::new(move |month| month.iter().filter(such).nth(nth).copied())),
        _ => (format!("{name}L"), Box::new(move |month| month.iter().rev().find(such).copied())),
    }
}

#[test]
fn special_days_agree_with_looking_for_them() {
    let mut random = Random(21);
    let mut found_any = 0;
    for round in 0..600 {
        let list = |random: &mut Random, item: fn(&mut Random) -> (String, Select)| -> Vec<(String, Select)> {
            (0..1 + random.small(3)).map(|_| item(random)).collect()
        };
        let text_of =
            |list: &[(String, Select)]| list.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(",");
        let days = list(&mut random, random_day);
        let weekdays = list(&mut random, random_weekday);
        // Days alone, weekdays alone, both of them (six fields), either of them (five).
        let text = match round % 4 {
            0 => format!("0 0 9 {} * *", text_of(&days)),
            1 => format!("0 0 9 ? * {}", text_of(&weekdays)),
            2 => format!("0 0 9 {} * {}", text_of(&days), text_of(&weekdays)),
            _ => format!("0 9 {} * {}", text_of(&days), text_of(&weekdays)),
        };
        let is_due = |day: i64| {
            let month = month_of(day);
            let selects = |list: &[(String, Select)]| list.iter().any(|(_, select)| select(&month) == Some(day));
            match round % 4 {
                0 => selects(&days),
                1 => selects(&weekdays),
                2 => selects(&days) && selects(&weekdays),
                _ => selects(&days) || selects(&weekdays),
            }
        };
        let schedule = Schedule::parse(&text, Zone::UTC, Instant::FIRST).expect(&text);
        let start = i64::try_from(random.below(40_000)).expect("small");
        let expected: Vec<i64> = (start..start + 250).filter(|day| is_due(*day)).collect();
        let first = schedule.next_after(Instant::from_secs(start * DAY_S));
        let found = std::iter::successors(first, |instant| schedule.next_after(*instant)).map(Instant::as_secs);
        let found: Vec<i64> = found.take_while(|at| *at < (start + 250) * DAY_S).collect();
        assert_eq!(
            found,
            expected.iter().map(|day| day * DAY_S + 9 * 3_600).collect::<Vec<_>>(),
            "{text} from day {start}"
        );
        found_any += usize::from(!found.is_empty());
    }
    assert!(found_any > 400, "only {found_any} schedules were due");
}
