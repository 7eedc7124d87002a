//! Owns the brute-force oracle: random schedules whose value sets are known by construction.
//! Must not use chrono, the cron crate or the product's parser to know what is right.

use std::sync::LazyLock;

use super::*;

/// The lowest value and the number of values of second, minute, hour, day, month, weekday, year.
pub(super) const SHAPES: [(u16, u16); 7] = [(0, 60), (0, 60), (0, 24), (1, 31), (1, 12), (0, 7), (1970, 130)];
const DAY: usize = 3;
const MONTH: usize = 4;
const WEEKDAY: usize = 5;
const YEAR: usize = 6;
const DAY_S: i64 = 86_400;

/// A small generator (splitmix64), so that a seed names a run.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(super) fn small(&mut self, bound: u16) -> u16 {
        u16::try_from(self.below(u64::from(bound))).expect("below a 16-bit bound")
    }

    /// A second within the horizon, often near the end of a month or year.
    pub(super) fn moment(&mut self) -> i64 {
        let any = i64::try_from(self.below(4_102_444_800)).expect("small");
        if self.below(2) == 0 {
            return any;
        }
        let mut day = any / DAY_S;
        while civil(day).2 != 1 {
            day -= 1;
        }
        (day * DAY_S + i64::try_from(self.below(7_200)).expect("small") - 3_600).max(0)
    }
}

/// Year, month and day of a day since 1970.
pub(super) fn civil(day: i64) -> (u16, u16, u16) {
    static DAYS: LazyLock<Vec<(u16, u16, u16)>> = LazyLock::new(all_days);
    DAYS[usize::try_from(day).expect("not before 1970")]
}

/// Every day of the horizon, by counting.
fn all_days() -> Vec<(u16, u16, u16)> {
    let mut days = Vec::new();
    for year in 1970..2100_u16 {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year == 2000);
        let february = if leap { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(lengths) {
            days.extend((1..=length).map(|day| (year, month, day)));
        }
    }
    days
}

/// A schedule's text, and which values of which field it selects.
pub(super) struct Case {
    pub(super) text: String,
    pub(super) sets: [Vec<bool>; 7],
    pub(super) either_day: bool,
}

impl Case {
    fn selects(&self, field: usize, value: u16) -> bool {
        self.sets[field][usize::from(value - SHAPES[field].0)]
    }

    pub(super) fn day_is_due(&self, day: i64) -> bool {
        let (year, month, day_of_month) = civil(day);
        // 1970-01-01 was a Thursday.
        let weekday = u16::try_from((day + 4) % 7).expect("small");
        let by_day = self.selects(DAY, day_of_month);
        let by_weekday = self.selects(WEEKDAY, weekday);
        let days = if self.either_day { by_day || by_weekday } else { by_day && by_weekday };
        days && self.selects(MONTH, month) && self.selects(YEAR, year)
    }

    pub(super) fn second_of_day_is_due(&self, second: i64) -> bool {
        let parts = [second % 60, second / 60 % 60, second / 3_600];
        (0..3).all(|field| self.sets[field][usize::try_from(parts[field]).expect("small")])
    }

    /// Walks days, and in days that match, seconds.
    fn next_after(&self, after: i64) -> Option<i64> {
        let first = after + 1;
        let horizon = Instant::LAST.as_secs();
        for day in first / DAY_S..=horizon / DAY_S {
            if !self.day_is_due(day) {
                continue;
            }
            let from = (first - day * DAY_S).max(0);
            if let Some(second) = (from..DAY_S).find(|second| self.second_of_day_is_due(*second)) {
                return Some(day * DAY_S + second);
            }
        }
        None
    }

    fn walk(&self, after: i64, through: i64) -> Vec<Instant> {
        let due = |at: &i64| self.second_of_day_is_due(at % DAY_S) && self.day_is_due(at / DAY_S);
        (after + 1..=through).filter(due).map(Instant::from_secs).collect()
    }
}

fn random_case(random: &mut Random) -> Case {
    let count = 5 + usize::try_from(random.below(3)).expect("small");
    let mut sets = SHAPES.map(|(_, size)| vec![true; usize::from(size)]);
    let mut texts = Vec::new();
    let fields = if count == 5 { 1..6 } else { 0..count };
    if count == 5 {
        sets[0] = (0..60).map(|value| value == 0).collect();
    }
    for field in fields {
        let (text, set) = random_field(random, field);
        texts.push(text);
        sets[field] = set;
    }
    let restricted = |text: &String| !text.starts_with(['*', '?']);
    let either_day = count == 5 && restricted(&texts[2]) && restricted(&texts[4]);
    let blank = if random.below(20) == 0 { " \t " } else { " " };
    let text = texts.join(blank);
    Case { text, sets, either_day }
}

/// Chooses what is selected first, and writes it down second.
pub(super) fn random_field(random: &mut Random, field: usize) -> (String, Vec<bool>) {
    let size = SHAPES[field].1;
    let mut set = vec![false; usize::from(size)];
    let items = match random.below(8) {
        0..5 => 1,
        5..7 => 2,
        _ => 4,
    };
    let mut texts = Vec::new();
    for _ in 0..items {
        let step = match random.below(3) {
            0 => 1 + random.small(5),
            1 => 1 + random.small(size),
            _ => 1 + random.small(200),
        };
        let (start, end) = (random.small(size), random.small(size));
        let (text, start, taken, step) = match random.below(7) {
            0 | 1 => (star(random, field), 0, size, 1),
            2 => (format!("{}/{step}", star(random, field)), 0, size, step),
            3 => (write_value(random, field, start), start, 1, 1),
            4 => {
                let text = format!("{}/{step}", write_value(random, field, start));
                (text, start, size - start, step)
            }
            kind => {
                let (start, end) = if field == YEAR { (start.min(end), start.max(end)) } else { (start, end) };
                let taken = (end + size - start) % size + 1;
                let mut text = write_range(random, field, start, end);
                let step = if kind == 5 { 1 } else { step };
                if kind == 6 {
                    text = format!("{text}/{step}");
                }
                (text, start, taken, step)
            }
        };
        for offset in (0..taken).step_by(usize::from(step)) {
            set[usize::from((start + offset) % size)] = true;
        }
        texts.push(text);
    }
    (texts.join(","), set)
}

fn star(random: &mut Random, field: usize) -> String {
    let question = (field == DAY || field == WEEKDAY) && random.below(3) == 0;
    if question { "?" } else { "*" }.to_owned()
}

fn write_range(random: &mut Random, field: usize, start: u16, end: u16) -> String {
    let from = write_value(random, field, start);
    if start == end {
        // Sunday to Sunday must be spelt alike: 0-7 is the whole week.
        return format!("{from}-{from}");
    }
    // 0-x starts at the week's first day and 7-x behind its last: the same walk. x-0 and x-7 too.
    let to = write_value(random, field, end);
    format!("{from}-{to}")
}

/// The value at `offset` in the field, as a number, with a leading zero, as 7 or as a name.
fn write_value(random: &mut Random, field: usize, offset: u16) -> String {
    let value = SHAPES[field].0 + offset;
    let style = random.below(4);
    let names = match field {
        MONTH => "Jan feb MAR apr May Jun jul aug SEP oct nov DEC",
        WEEKDAY => "SUN mon Tue wed THU fri sat",
        _ => "",
    };
    if let Some(name) = names.split(' ').nth(usize::from(offset)).filter(|_| style < 2)
        && !name.is_empty()
    {
        return name.to_owned();
    }
    match style {
        0 | 1 if field == WEEKDAY && value == 0 => "7".to_owned(),
        2 if field == WEEKDAY && value == 0 => "7".to_owned(),
        2 if field != YEAR => format!("{value:02}"),
        _ => value.to_string(),
    }
}

#[test]
fn next_agrees_with_a_walk_over_days_and_seconds() {
    let mut random = Random(1);
    let mut never = 0;
    for _ in 0..3_000 {
        let case = random_case(&mut random);
        let schedule = Schedule::parse(&case.text, Zone::UTC, Instant::FIRST).expect(&case.text);
        let mut after = random.moment();
        for _ in 0..3 {
            let next = schedule.next_after(Instant::from_secs(after));
            let expected = case.next_after(after);
            assert_eq!(next.map(Instant::as_secs), expected, "{} after {after}", case.text);
            match expected {
                Some(expected) => after = expected,
                None => {
                    never += 1;
                    break;
                }
            }
        }
    }
    assert!((10..1_500).contains(&never), "{never} ran out: a lopsided sample");
}

#[test]
fn latest_and_count_agree_with_a_walk_over_seconds() {
    let mut random = Random(2);
    let mut filled = 0;
    for round in 0..400 {
        let mut case = random_case(&mut random);
        let every_s = 1 + i64::try_from(random.below(900)).expect("small");
        let anchor = random.moment();
        if round % 8 == 0 {
            case.text = format!("@every {every_s}s");
        }
        let schedule = Schedule::parse(&case.text, Zone::UTC, Instant::from_secs(anchor)).expect(&case.text);
        // Starting next to an instant makes for stretches that hold some.
        let near = schedule.next_after(Instant::from_secs(random.moment()));
        let near = near.map_or(1_000_000, Instant::as_secs);
        let after = near - 1 - i64::try_from(random.below(600)).expect("small");
        let through = after + i64::try_from(random.below(5_000)).expect("small");
        let due = if round % 8 == 0 {
            let on_period = |at: &i64| *at >= anchor && (*at - anchor) % every_s == 0;
            let horizon = Instant::LAST.as_secs();
            let stretch = after + 1..=through.min(horizon);
            stretch.filter(on_period).map(Instant::from_secs).collect()
        } else {
            case.walk(after, through.min(Instant::LAST.as_secs()))
        };
        let (after, through) = (Instant::from_secs(after), Instant::from_secs(through));
        let at = format!("{schedule:?} in {after} to {through}");
        filled += usize::from(!due.is_empty());

        assert_eq!(schedule.latest_in(after, through), due.last().copied(), "{at}");
        let count = u32::try_from(due.len()).expect("small");
        assert_eq!(schedule.count_in(after, through, count), Count::Exactly(count), "{at}");
        assert_eq!(schedule.count_in(after, through, u32::MAX), Count::Exactly(count), "{at}");
        if let Some(less) = count.checked_sub(1) {
            assert_eq!(schedule.count_in(after, through, less), Count::MoreThan(less), "{at}");
        }
    }
    assert!(filled > 200, "only {filled} stretches held instants");
}

#[test]
fn no_text_panics() {
    let mut random = Random(3);
    let pieces = [
        "*", "?", "/", "-", ",", " ", "\t", "0", "7", "59", "60", "9999", "MON", "feb", "L", "W", "#", "@every ", "@",
        "1h", "s", "\n", "é", "\u{0}", "+", ".", "=", "2099", "* * * * ",
    ];
    let mut good = 0;
    for _ in 0..30_000 {
        let len = 1 + random.below(14);
        let piece = |_| pieces[usize::try_from(random.below(29)).expect("small")];
        let mut text: String = (0..len).map(piece).collect();
        if len < 5 {
            text.insert_str(0, "* * 1 * ");
        }
        match Schedule::parse(&text, Zone::UTC, Instant::FIRST) {
            Ok(schedule) => {
                good += 1;
                let _ = schedule.next_after(Instant::FIRST);
            }
            Err(error) => assert!(error.message().len() < 250 && !error.field().is_empty()),
        }
    }
    assert!(good > 300, "only {good} texts were schedules");
}
