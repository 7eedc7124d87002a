//! Owns the seven fields of a schedule: their names, ranges, and how one value in them is written.
//! Must not know lists, ranges or steps, nor what the values of several fields mean together.

/// One field of a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    /// Day of the month.
    Day,
    Month,
    /// Day of the week, 0 = Sunday as in crontab(5).
    Weekday,
    Year,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    /// The name errors use.
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::Day => "day",
            Field::Month => "month",
            Field::Weekday => "weekday",
            Field::Year => "year",
        }
    }

    /// What a client may write here, as errors say it.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Field::Second | Field::Minute => "0-59",
            Field::Hour => "0-23",
            Field::Day => "1-31",
            Field::Month => "1-12 or JAN-DEC",
            Field::Weekday => "0-7 or SUN-SAT",
            Field::Year => "1970-2099",
        }
    }

    /// The lowest value.
    pub(super) fn first(self) -> u16 {
        match self {
            Field::Second | Field::Minute | Field::Hour | Field::Weekday => 0,
            Field::Day | Field::Month => 1,
            Field::Year => 1970,
        }
    }

    /// The highest value. The week ends on Saturday, 6: the 7 a client may write is Sunday again.
    pub(super) fn last(self) -> u16 {
        match self {
            Field::Second | Field::Minute => 59,
            Field::Hour => 23,
            Field::Day => 31,
            Field::Month => 12,
            Field::Weekday => 6,
            Field::Year => 2099,
        }
    }

    /// How many values there are.
    pub(super) fn size(self) -> u16 {
        self.last() - self.first() + 1
    }

    /// Whether a range may run past the end and start again, as `22-2` does in hours. Years do not
    /// come round.
    pub(super) fn wraps(self) -> bool {
        match self {
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Month | Field::Weekday => true,
            Field::Year => false,
        }
    }

    /// Whether `?` may be written for `*`.
    pub(super) fn takes_question_mark(self) -> bool {
        match self {
            Field::Day | Field::Weekday => true,
            Field::Second | Field::Minute | Field::Hour | Field::Month | Field::Year => false,
        }
    }

    /// The number that stands for the field where a seed chooses a value of it; it is part of what a seed means. `None`:
    /// there is nothing to choose in it.
    pub(super) fn drawn_as(self) -> Option<u8> {
        match self {
            Field::Second => Some(0),
            Field::Minute => Some(1),
            Field::Hour => Some(2),
            Field::Day => Some(3),
            Field::Month => Some(4),
            Field::Weekday => Some(5),
            Field::Year => None,
        }
    }

    /// The names of the values from [`Field::first`] on; empty where values have only numbers.
    pub(super) fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::Weekday => &WEEKDAYS,
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Year => &[],
        }
    }

    /// The value `text` stands for, a number or a name in any case; `None` if it is neither or out
    /// of range. Sunday may come back as 7, so that `5-7` still reads as a range.
    pub(super) fn value(self, text: &str) -> Option<u16> {
        if let Some(at) = self.names().iter().position(|name| name.eq_ignore_ascii_case(text)) {
            let offset = u16::try_from(at).expect("a field has at most 12 names");
            return Some(self.first() + offset);
        }
        let number = number(text, self.digits_max())?;
        (self.first()..=self.highest_written()).contains(&number).then_some(number)
    }

    fn highest_written(self) -> u16 {
        match self {
            Field::Weekday => 7,
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Month | Field::Year => self.last(),
        }
    }

    fn digits_max(self) -> usize {
        match self {
            Field::Year => 4,
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Month | Field::Weekday => 2,
        }
    }
}

/// The number `text` stands for if it is 1 to `digits_max` ASCII digits and nothing else: no sign,
/// no blank. `digits_max` is at most 4, so that every such number fits.
pub(super) fn number(text: &str, digits_max: usize) -> Option<u16> {
    assert!(digits_max <= 4, "9999 fits 16 bits, 99999 does not");
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits && text.len() <= digits_max { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_or_names_in_range() {
        let golden = [
            (Field::Second, "0", Some(0)),
            (Field::Second, "59", Some(59)),
            (Field::Second, "60", None),
            (Field::Minute, "07", Some(7)),
            (Field::Minute, "007", None),
            (Field::Hour, "24", None),
            (Field::Day, "0", None),
            (Field::Day, "31", Some(31)),
            (Field::Month, "JAN", Some(1)),
            (Field::Month, "dEc", Some(12)),
            (Field::Month, "DECEMBER", None),
            (Field::Month, "0", None),
            (Field::Weekday, "0", Some(0)),
            (Field::Weekday, "7", Some(7)),
            (Field::Weekday, "8", None),
            (Field::Weekday, "sun", Some(0)),
            (Field::Weekday, "SAT", Some(6)),
            (Field::Year, "1970", Some(1970)),
            (Field::Year, "2099", Some(2099)),
            (Field::Year, "2100", None),
            (Field::Year, "99", None),
            (Field::Hour, "MON", None),
            (Field::Hour, "", None),
            (Field::Hour, "+5", None),
            (Field::Hour, "-5", None),
            (Field::Hour, " 5", None),
            (Field::Hour, "٣", None),
        ];
        for (field, text, value) in golden {
            assert_eq!(field.value(text), value, "{} {text:?}", field.name());
        }
    }

    #[test]
    fn names_cover_the_whole_range() {
        for field in [Field::Month, Field::Weekday] {
            assert_eq!(field.names().len(), usize::from(field.size()));
        }
    }
}
