//! Owns days that are told by their place in a month: the last one, the working day nearest to one, the second Monday.
//! It must not enumerate anything: it says which dates are such a day, and a few that include them all.

use chrono::{Datelike, NaiveDate, Weekday};

use super::field::{Field, number};

/// A day of the month that no number names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SpecialDay {
    /// `L`, `L-3`: so many days before the last of the month.
    Last { back: u16 },
    /// `LW`, `L-3W`: the working day nearest to that, in the same month.
    NearestToLast { back: u16 },
    /// `15W`: the working day nearest to this one, in the same month. A month without that day has none.
    NearestTo { day: u16 },
    /// `MON#1`: the first such weekday of the month; 0 is Sunday.
    Nth { weekday: u16, nth: u16 },
    /// `FRIL`: the last such weekday of the month.
    LastOf { weekday: u16 },
}

/// How far before the last day one may count.
const BACK_MAX: u16 = 30;

impl SpecialDay {
    /// Whether the text of an item can only mean a special day, right or wrong.
    pub(super) fn is_meant(field: Field, item: &str) -> bool {
        let last = item.bytes().last().map(|byte| byte.to_ascii_uppercase());
        let plain = |byte: u8| byte.is_ascii_digit() || b"-LlWw#".contains(&byte);
        match field {
            Field::Day => item.bytes().all(plain) && item.contains(['L', 'l', 'W', 'w', '#']),
            Field::Weekday => item.contains('#') || last == Some(b'L'),
            Field::Second | Field::Minute | Field::Hour | Field::Month | Field::Year => false,
        }
    }

    /// Reads one item of a field, in which letters may be in either case; `None` if it is no special day.
    pub(super) fn parse(field: Field, item: &str) -> Option<SpecialDay> {
        let item = item.to_ascii_uppercase();
        match field {
            Field::Day => SpecialDay::parse_day(&item),
            Field::Weekday => SpecialDay::parse_weekday(&item),
            Field::Second | Field::Minute | Field::Hour | Field::Month | Field::Year => None,
        }
    }

    fn parse_day(item: &str) -> Option<SpecialDay> {
        let (day, nearest) = match item.strip_suffix('W') {
            Some(day) => (day, true),
            None => (item, false),
        };
        if let Some(rest) = day.strip_prefix('L') {
            let back = if rest.is_empty() {
                0
            } else {
                number(rest.strip_prefix('-')?, 2).filter(|back| *back <= BACK_MAX)?
            };
            return Some(if nearest { SpecialDay::NearestToLast { back } } else { SpecialDay::Last { back } });
        }
        let day = Field::Day.value(day).filter(|_| nearest)?;
        Some(SpecialDay::NearestTo { day })
    }

    fn parse_weekday(item: &str) -> Option<SpecialDay> {
        let weekday = |text| Field::Weekday.value(text).map(|day| day % Field::Weekday.size());
        if let Some((day, nth)) = item.split_once('#') {
            let nth = number(nth, 1).filter(|nth| (1..=5).contains(nth))?;
            return Some(SpecialDay::Nth { weekday: weekday(day)?, nth });
        }
        Some(SpecialDay::LastOf { weekday: weekday(item.strip_suffix('L')?)? })
    }

    /// Whether the date is this day of its month.
    pub(super) fn is_on(self, date: NaiveDate) -> bool {
        let (day, length) = (day_of(date), u16::from(date.num_days_in_month()));
        let weekday = u16::try_from(date.weekday().num_days_from_sunday()).expect("a weekday is below 7");
        match self {
            SpecialDay::Last { back } => day + back == length,
            SpecialDay::NearestToLast { back } => {
                length.checked_sub(back).and_then(|wanted| nearest_working_day(date, wanted, length)) == Some(day)
            }
            SpecialDay::NearestTo { day: wanted } => nearest_working_day(date, wanted, length) == Some(day),
            SpecialDay::Nth { weekday: wanted, nth } => weekday == wanted && (day - 1) / 7 + 1 == nth,
            SpecialDay::LastOf { weekday: wanted } => weekday == wanted && day + 7 > length,
        }
    }
}

/// The working day nearest to a day, in the month of `date`; `None` if that month lacks the day.
fn nearest_working_day(date: NaiveDate, wanted: u16, length: u16) -> Option<u16> {
    let weekday = date.with_day(u32::from(wanted))?.weekday();
    Some(match weekday {
        Weekday::Sat if wanted == 1 => 3,
        Weekday::Sat => wanted - 1,
        Weekday::Sun if wanted == length => wanted - 2,
        Weekday::Sun => wanted + 1,
        Weekday::Mon | Weekday::Tue | Weekday::Wed | Weekday::Thu | Weekday::Fri => wanted,
    })
}

fn day_of(date: NaiveDate) -> u16 {
    u16::try_from(date.day()).expect("a day of the month is below 32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The days of a month that an item of a field selects.
    fn days(field: Field, item: &str, year: i32, month: u32) -> Vec<u32> {
        let special = SpecialDay::parse(field, item).expect(item);
        let dates = NaiveDate::from_ymd_opt(year, month, 1).expect("a month").iter_days();
        let dates = dates.take_while(|date| date.month() == month).filter(|date| special.is_on(*date));
        dates.map(|date| date.day()).collect()
    }

    #[test]
    fn days_are_told_by_their_place_in_the_month() {
        // In 2026 February is from Sunday to Saturday, May from Friday to Sunday, August from Saturday to Monday.
        let golden: [(Field, &str, u32, &[u32]); 26] = [
            (Field::Day, "L", 2, &[28]),
            (Field::Day, "l", 5, &[31]),
            (Field::Day, "L-3", 2, &[25]),
            (Field::Day, "L-30", 5, &[1]),
            (Field::Day, "L-30", 6, &[]),
            (Field::Day, "LW", 2, &[27]),
            (Field::Day, "LW", 5, &[29]),
            (Field::Day, "LW", 8, &[31]),
            (Field::Day, "L-1W", 5, &[29]),
            (Field::Day, "L-30W", 8, &[3]),
            (Field::Day, "15W", 2, &[16]),
            (Field::Day, "14w", 2, &[13]),
            (Field::Day, "16W", 2, &[16]),
            (Field::Day, "1W", 2, &[2]),
            (Field::Day, "1W", 8, &[3]),
            (Field::Day, "31W", 5, &[29]),
            (Field::Day, "30W", 2, &[]),
            (Field::Day, "28W", 2, &[27]),
            (Field::Weekday, "MON#1", 2, &[2]),
            (Field::Weekday, "1#5", 8, &[31]),
            (Field::Weekday, "1#5", 2, &[]),
            (Field::Weekday, "sat#5", 5, &[30]),
            (Field::Weekday, "FRIL", 2, &[27]),
            (Field::Weekday, "5l", 5, &[29]),
            (Field::Weekday, "7L", 5, &[31]),
            (Field::Weekday, "0L", 5, &[31]),
        ];
        for (field, item, month, expected) in golden {
            assert_eq!(days(field, item, 2026, month), expected, "{item} in month {month}");
        }
    }

    #[test]
    fn what_is_none_is_none() {
        for (field, item) in [
            (Field::Day, "L-"),
            (Field::Day, "L-31"),
            (Field::Day, "LL"),
            (Field::Day, "WL"),
            (Field::Day, "W"),
            (Field::Day, "32W"),
            (Field::Day, "0W"),
            (Field::Day, "15"),
            (Field::Day, "L-3-3"),
            (Field::Day, "1#1"),
            (Field::Weekday, "L"),
            (Field::Weekday, "MON#0"),
            (Field::Weekday, "MON#6"),
            (Field::Weekday, "MON#11"),
            (Field::Weekday, "#1"),
            (Field::Weekday, "8#1"),
            (Field::Weekday, "MON-FRI#1"),
            (Field::Weekday, "FRI"),
            (Field::Hour, "L"),
        ] {
            assert_eq!(SpecialDay::parse(field, item), None, "{item}");
        }
    }
}
