//! Owns the comparison with a second, unrelated implementation of cron schedules.
//! Must not leave the part of the dialect in which both mean the same.
//!
//! Left out: ranges that wrap, `a/n` in weekdays (the other walks to 7), `*/n` days next to a
//! restricted weekday in five fields (the other takes either), a bare `*` within a list, and years.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use croner::parser::CronParser;

use super::oracle_tests::Random;
use super::*;

/// A field's items: first and last value, and whether `a/n` is in the common part.
const SHAPES: [(u64, u64, bool); 6] =
    [(0, 59, true), (0, 59, true), (0, 23, true), (1, 31, true), (1, 12, true), (0, 7, false)];

#[test]
fn six_fields_agree() {
    let parser = CronParser::builder().dom_and_dow(true).sloppy_ranges(true).build();
    compare(&parser, &mut Random(11), |random| SHAPES.map(|shape| random_field(random, shape)).join(" "));
}

#[test]
fn five_fields_agree() {
    let parser = CronParser::builder().sloppy_ranges(true).build();
    compare(&parser, &mut Random(12), |random| {
        let mut fields = SHAPES.map(|shape| random_field(random, shape));
        let plain = |text: &String| text == "*" || !text.starts_with('*');
        while !(plain(&fields[3]) && plain(&fields[5])) {
            fields[3] = random_field(random, SHAPES[3]);
            fields[5] = random_field(random, SHAPES[5]);
        }
        fields[1..].join(" ")
    });
}

/// Days told by their place in the month; `L-3` is not in the common part, nor are days that some months lack.
#[test]
fn special_days_agree() {
    let parser = CronParser::builder().dom_and_dow(true).sloppy_ranges(true).build();
    compare(&parser, &mut Random(13), |random| {
        let weekday = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"][usize::from(random.small(7))];
        let day = match random.below(5) {
            0 => "L".to_owned(),
            3 => "LW".to_owned(),
            1 => format!("{}W", 1 + random.below(28)),
            2 => format!("{},L", 1 + random.below(28)),
            _ => "*".to_owned(),
        };
        let weekday = match random.below(4) {
            // Both at once are rare days; one at a time is enough here.
            _ if day != "*" => "*".to_owned(),
            0 => format!("{weekday}#{}", 1 + random.below(5)),
            1 => format!("{weekday}L"),
            2 => format!("{weekday}#1,{weekday}L"),
            _ => weekday.to_owned(),
        };
        format!(
            "{} {} {} {day} {} {weekday}",
            random.below(60),
            random.below(60),
            random.below(24),
            random_field(random, SHAPES[4])
        )
    });
}

fn compare(parser: &CronParser, random: &mut Random, text_of: impl Fn(&mut Random) -> String) {
    let mut compared = 0;
    for _ in 0..1_000 {
        let text = text_of(random);
        let schedule = Schedule::parse(&text, Zone::UTC, Instant::FIRST).expect(&text);
        let other = parser.parse(&text).expect(&text);
        // The other looks for a date that never comes for thousands of years; and the horizon is
        // ours alone.
        let mut after = Instant::from_secs(i64::try_from(random.below(2_000_000_000)).expect("small"));
        for _ in 0..3 {
            let Some(next) = schedule.next_after(after) else {
                break;
            };
            let from: DateTime<Utc> = DateTime::from_str(&after.to_string()).expect("a date");
            let expected = other.find_next_occurrence(&from, false).expect(&text);
            assert_eq!(next.as_secs(), expected.timestamp(), "{text} after {after}");
            after = next;
            compared += 1;
        }
    }
    assert!(compared > 2_500, "only {compared} instants compared");
}

fn random_field(random: &mut Random, (first, last, open_step): (u64, u64, bool)) -> String {
    if random.below(4) == 0 {
        return "*".to_owned();
    }
    let items = 1 + random.below(3) / 2;
    let item = |_| {
        let one = first + random.below(last - first + 1);
        let two = first + random.below(last - first + 1);
        let (from, to) = (one.min(two), one.max(two));
        let step = 1 + random.below(12);
        match random.below(5) {
            0 => format!("*/{step}"),
            1 if open_step => format!("{from}/{step}"),
            1 | 2 => from.to_string(),
            3 => format!("{from}-{to}"),
            _ => format!("{from}-{to}/{step}"),
        }
    };
    (0..items).map(item).collect::<Vec<_>>().join(",")
}
