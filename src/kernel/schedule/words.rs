//! Owns what a schedule is in plain English.
//! It must not decide when a schedule is due: it reads the same fields, and tells.

use super::dialect::{self, Form};
use super::special_days::SpecialDay;
use super::values::{Values, runs};
use super::warnings::warnings;
use super::{Every, Fields, Rule, Schedule, Terms};
use crate::time::Instant;

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// So many times of a day are listed one by one.
const TIMES_LISTED_MAX: usize = 6;

/// A schedule as it is told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// In plain English: `at 09:00:00 on the last working day of every month, Europe/Berlin`.
    pub description: String,
    /// What about it may not be what was meant, a sentence each.
    pub warnings: Vec<String>,
}

impl Schedule {
    /// What it means, and what may not be meant.
    pub fn explain(&self) -> Explained {
        let terms = self.terms();
        let form = match &terms.rule {
            // The text was read once, so it can be read again.
            Rule::Text(text) => dialect::parse(text, terms.seed, self.anchor().unwrap_or(Instant::FIRST)).ok(),
            Rule::At(_) => None,
        };
        let rule = match (&terms.rule, &form) {
            (Rule::At(instant), _) => format!("once, at {}", terms.zone.local(*instant)),
            (Rule::Text(_), Some(Form::Every(every))) => every_words(*every),
            (Rule::Text(_), Some(Form::Calendar { fields, either_day })) => {
                format!("{}, {}", calendar_words(fields, *either_day), terms.zone.name())
            }
            (Rule::Text(text), None) => text.to_string(),
        };
        Explained {
            description: rule + &self.bounds_words(&terms),
            warnings: form.as_ref().map(warnings).unwrap_or_default(),
        }
    }

    fn bounds_words(&self, terms: &Terms) -> String {
        let mut words = String::new();
        if terms.spread_s > 0 {
            let shift_s = self.rare.as_ref().map_or(0, |rare| rare.shift_s());
            words += &format!(", {} later (spread over {})", count(shift_s, "second"), count(terms.spread_s, "second"));
        }
        if let Some(start) = terms.starts_at {
            words += &format!(", from {}", terms.zone.local(start));
        }
        if let Some(end) = terms.ends_at {
            words += &format!(", until {}", terms.zone.local(end));
        }
        let mut except = Vec::new();
        if !terms.exclude.is_empty() {
            except.push(count(terms.exclude.len(), "date"));
        }
        except.extend(terms.calendars.iter().map(|calendar| format!("the dates of calendar {}", calendar.name)));
        if !except.is_empty() {
            words += &format!(", except on {}", and(&except));
        }
        words
    }
}

fn every_words(every: Every) -> String {
    let mut rest = every.period_s();
    let mut parts = Vec::new();
    for (unit_s, unit) in [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")] {
        if rest >= unit_s {
            parts.push(count(rest / unit_s, unit));
            rest %= unit_s;
        }
    }
    match parts.as_slice() {
        [one] if one == "1 second" => "every second".to_owned(),
        parts => format!("every {}, counted from {}", and(parts), every.anchor()),
    }
}

fn calendar_words(fields: &Fields, either_day: bool) -> String {
    let days = day_words(fields, either_day);
    match times_of_day(fields) {
        Some(times) if days.is_empty() => format!("at {} every day", and(&times)),
        Some(times) => format!("at {} {days}", and(&times)),
        None if days.is_empty() => pace_words(fields),
        None => format!("{}, {days}", pace_words(fields)),
    }
}

/// The times of a day, if they are few and no pace.
fn times_of_day(fields: &Fields) -> Option<Vec<String>> {
    let (hours, minutes, seconds) = (fields.hour.values(), fields.minute.values(), fields.second.values());
    if fields.paced() || hours.len() * minutes.len() * seconds.len() > TIMES_LISTED_MAX {
        return None;
    }
    let mut times = Vec::new();
    for hour in hours {
        for minute in fields.minute.values() {
            times.extend(fields.second.values().map(|second| format!("{hour:02}:{minute:02}:{second:02}")));
        }
    }
    Some(times)
}

/// Second, minute and hour one by one, without what goes without saying.
fn pace_words(fields: &Fields) -> String {
    let mut parts = Vec::new();
    let on_the_minute = fields.second.values().eq([0]);
    let every_second = fields.second.is_all();
    if !on_the_minute {
        parts.push(part_words(&fields.second, "second"));
    }
    let paces_second = fields.second.is_all() || step_of(&fields.second).is_some();
    if !(fields.minute.is_all() && paces_second) {
        parts.push(part_words(&fields.minute, "minute"));
    }
    match runs(fields.hour.values()).as_slice() {
        _ if fields.hour.is_all() => {
            if !fields.minute.is_all() && step_of(&fields.minute).is_none() {
                parts.push("every hour".to_owned());
            }
        }
        [(first, last)]
            if first < last && !fields.hour.paced() && (every_second || fields.minute.values().len() > 1) =>
        {
            parts.push(format!("between {first:02}:00 and {last:02}:59"));
        }
        _ => parts.push(part_words(&fields.hour, "hour")),
    }
    parts.join(", ")
}

fn part_words(values: &Values, unit: &str) -> String {
    if values.is_all() {
        return format!("every {unit}");
    }
    match step_of(values) {
        Some((0, step)) => format!("every {step} {unit}s"),
        Some((first, step)) => format!("every {step} {unit}s from {unit} {first} on"),
        None => {
            let plural = if values.values().len() > 1 { "s" } else { "" };
            format!("at {unit}{plural} {}", and(&run_words(values.values(), |value| value.to_string())))
        }
    }
}

/// The first value and the step, if the values go on evenly from one hour or day to the next.
fn step_of(values: &Values) -> Option<(u16, u16)> {
    let set: Vec<u16> = values.values().collect();
    let (first, second) = (*set.first()?, *set.get(1)?);
    let step = second - first;
    let even = set.windows(2).all(|pair| pair[1] - pair[0] == step);
    let covers = usize::from(step) * set.len() == usize::from(values.size());
    (values.paced() && even && covers).then_some((first, step))
}

fn day_words(fields: &Fields, either_day: bool) -> String {
    let months = if fields.month.is_all() {
        None
    } else {
        Some(and(&run_words(fields.month.values(), |month| MONTHS[usize::from(month - 1)].to_owned())))
    };
    let of_month = months.as_ref().map_or_else(|| "of every month".to_owned(), |months| format!("of {months}"));
    let in_month = months.as_ref().map_or_else(String::new, |months| format!(" in {months}"));
    let special = fields.weekday.special().iter().map(|special| special_words(*special));
    let weekdays: Vec<String> = weekday_words(&fields.weekday).into_iter().chain(special).collect();
    let weekdays = and(&weekdays);
    let mut words = match (fields.day.is_all(), fields.weekday.is_all()) {
        (true, true) => months.map_or_else(String::new, |months| format!("on every day of {months}")),
        (false, true) => format!("on {} {of_month}", days_of_month(&fields.day)),
        (true, false) if fields.weekday.special().is_empty() => format!("on {weekdays}{in_month}"),
        (true, false) => format!("on {weekdays} {of_month}"),
        (false, false) if either_day => {
            format!("on {} {of_month} and also on {weekdays}{in_month}", days_of_month(&fields.day))
        }
        (false, false) => format!("on {} {of_month} if it is {weekdays}", days_of_month(&fields.day)),
    };
    if !fields.year.is_all() {
        let blank = if words.is_empty() { "" } else { " " };
        words += &format!("{blank}in {}", and(&run_words(fields.year.values(), |year| year.to_string())));
    }
    words
}

fn days_of_month(day: &Values) -> String {
    let plain = run_words(day.values(), |day| format!("the {}", ordinal(day)));
    let special = day.special().iter().map(|special| special_words(*special));
    and(&plain.into_iter().chain(special).collect::<Vec<_>>())
}

/// Weeks begin on Monday here, so that Saturday and Sunday are one weekend.
fn weekday_words(weekday: &Values) -> Vec<String> {
    let mut from_monday: Vec<u16> = weekday.values().map(|day| (day + 6) % 7).collect();
    from_monday.sort_unstable();
    run_words(from_monday, |day| WEEKDAYS[usize::from((day + 1) % 7)].to_owned())
}

fn special_words(special: SpecialDay) -> String {
    let last = |back: u16| match back {
        0 => "last day".to_owned(),
        1 => "day before the last".to_owned(),
        back => format!("day {back} days before the last"),
    };
    let weekday = |day: u16| WEEKDAYS[usize::from(day)];
    match special {
        SpecialDay::Last { back } => format!("the {}", last(back)),
        SpecialDay::NearestToLast { back: 0 } => "the last working day".to_owned(),
        SpecialDay::NearestToLast { back } => format!("the working day nearest to the {}", last(back)),
        SpecialDay::NearestTo { day } => format!("the working day nearest to the {}", ordinal(day)),
        SpecialDay::Nth { weekday: day, nth } => {
            let nth = ["first", "second", "third", "fourth", "fifth"][usize::from(nth - 1)];
            format!("the {nth} {}", weekday(day))
        }
        SpecialDay::LastOf { weekday: day } => format!("the last {}", weekday(day)),
    }
}

fn run_words(rising: impl IntoIterator<Item = u16>, word: impl Fn(u16) -> String) -> Vec<String> {
    let words = |(first, last): (u16, u16)| match last - first {
        0 => vec![word(first)],
        1 => vec![word(first), word(last)],
        _ => vec![format!("{} to {}", word(first), word(last))],
    };
    runs(rising).into_iter().flat_map(words).collect()
}

pub(super) fn and(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn count<N: ToString>(number: N, unit: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

pub(super) fn ordinal(number: u16) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Date, Dates, NamedDates, Zone, Zones};

    fn parse(text: &str) -> Schedule {
        Schedule::parse(text, Zone::UTC, Instant::from_secs(1_767_225_600)).expect(text)
    }

    #[test]
    fn numbers_of_an_order_end_as_they_are_spoken() {
        let words = [1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 101, 111, 112].map(ordinal);
        let spoken = [
            "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th", "101st", "111th",
            "112th",
        ];
        assert_eq!(words, spoken);
    }

    #[test]
    fn schedules_in_plain_english() {
        #[rustfmt::skip] // One case, one line.
        let golden = [
            ("* * * * * *", "every second, UTC"),
            ("*/10 * * * * *", "every 10 seconds, UTC"),
            ("5/10 * * * * *", "every 10 seconds from second 5 on, UTC"),
            ("0 * * * * *", "every minute, UTC"),
            ("5 * * * * *", "at second 5, every minute, UTC"),
            ("30 30 * * * *", "at second 30, at minute 30, every hour, UTC"),
            ("@hourly", "at minute 0, every hour, UTC"),
            ("0 0 */2 * * *", "at minute 0, every 2 hours, UTC"),
            ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56, every hour, UTC"),
            ("0 */5 9-17 * * MON-FRI", "every 5 minutes, between 09:00 and 17:59, on Monday to Friday, UTC"),
            ("0 */90 * * * *", "at minute 0, every hour, UTC"),
            ("0 0 9 * * *", "at 09:00:00 every day, UTC"),
            ("0 0,30 9,17 * * *", "at 09:00:00, 09:30:00, 17:00:00 and 17:30:00 every day, UTC"),
            ("0 0,30 9-11 * * *", "at 09:00:00, 09:30:00, 10:00:00, 10:30:00, 11:00:00 and 11:30:00 every day, UTC"),
            ("0 0,30 9-12 * * *", "at minutes 0 and 30, between 09:00 and 12:59, UTC"),
            ("0,20,40 0 9-11 * * *", "at seconds 0, 20 and 40, at minute 0, at hours 9 to 11, UTC"),
            ("* * 9 * * *", "every second, at hour 9, UTC"),
            ("* 0 9-17 * * *", "every second, at minute 0, between 09:00 and 17:59, UTC"),
            ("* * 9-17/1 * * *", "every second, at hours 9 to 17, UTC"),
            ("0 0 9-17 * * SAT,SUN", "at minute 0, at hours 9 to 17, on Saturday and Sunday, UTC"),
            ("@weekly", "at 00:00:00 on Sunday, UTC"),
            ("@monthly", "at 00:00:00 on the 1st of every month, UTC"),
            ("@yearly", "at 00:00:00 on the 1st of January, UTC"),
            ("0 0 9 LW * *", "at 09:00:00 on the last working day of every month, UTC"),
            ("0 0 9 L-3,1,15W * *", "at 09:00:00 on the 1st, the day 3 days before the last and the working day nearest to the 15th of every month, UTC"),
            ("0 0 9 ? JAN-MAR MON#1,FRIL", "at 09:00:00 on the first Monday and the last Friday of January to March, UTC"),
            ("0 0 0 13 * FRI", "at 00:00:00 on the 13th of every month if it is Friday, UTC"),
            ("0 0 13 * 5", "at 00:00:00 on the 13th of every month and also on Friday, UTC"),
            ("0 0 0 * 6,7 *", "at 00:00:00 on every day of June and July, UTC"),
            ("0 0 0 1 1 ? 2030,2031", "at 00:00:00 on the 1st of January in 2030 and 2031, UTC"),
            ("@every 90s", "every 1 minute and 30 seconds, counted from 2026-01-01T00:00:00Z"),
            ("@every 1s", "every second"),
            ("@every 2h", "every 2 hours, counted from 2026-01-01T00:00:00Z"),
            ("@every 1d1h1m1s", "every 1 day, 1 hour, 1 minute and 1 second, counted from 2026-01-01T00:00:00Z"),
        ];
        for (text, words) in golden {
            assert_eq!(parse(text).explain().description, words, "{text}");
        }
    }

    #[test]
    fn terms_in_plain_english() {
        let zone = Zones::bundled().get("Europe/Berlin").expect("a zone");
        let at = Instant::from_secs(1_767_225_600);
        let date: Date = "2026-12-25".parse().expect("a date");
        let terms = Terms {
            zone,
            seed: Some(1),
            spread_s: 600,
            starts_at: Some(at),
            ends_at: Some(at),
            exclude: Dates::parse([date.to_string().as_str()].into_iter(), 1).expect("a date"),
            calendars: Box::new([NamedDates { name: "de".into(), dates: Default::default() }]),
            ..Terms::plain(Rule::Text("0 ~ 9 * * *".into()))
        };
        let schedule = Schedule::compile(&terms, at).expect("valid");
        assert_eq!(
            schedule.explain().description,
            "at 09:55:00 every day, Europe/Berlin, 406 seconds later (spread over 600 seconds), from \
             2026-01-01T01:00:00+01:00, until 2026-01-01T01:00:00+01:00, except on 1 date and the dates of calendar de"
        );
        let once = Schedule::compile(&Terms { rule: Rule::At(at), spread_s: 0, ..terms }, at).expect("valid");
        let description = once.explain().description;
        assert!(description.starts_with("once, at 2026-01-01T01:00:00+01:00, from"), "{description}");
    }
}
