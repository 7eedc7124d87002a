//! Owns the enumeration of wall-clock times that match a set of calendar fields.
//! Must not know zones: it sees a wall clock that never jumps, which is what keeps the cron crate sound.

use chrono::NaiveDateTime;

use super::field::Field;
use super::values::Values;

/// The values of all seven fields of a schedule.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) second: Values,
    pub(super) minute: Values,
    pub(super) hour: Values,
    pub(super) day: Values,
    pub(super) month: Values,
    pub(super) weekday: Values,
    pub(super) year: Values,
}

impl Fields {
    /// Whether every wall-clock second matches.
    pub(super) fn match_every_second(&self) -> bool {
        [&self.second, &self.minute, &self.hour, &self.day, &self.month, &self.weekday, &self.year]
            .into_iter()
            .all(Values::is_all)
    }
}

/// A set of wall-clock times, given by calendar fields.
#[derive(Clone, Debug)]
pub(super) struct Calendar(Rule);

#[derive(Clone, Debug)]
enum Rule {
    /// All fields match.
    All(Box<cron::Schedule>),
    /// All fields match, except that the day (first) or the weekday (second) is enough.
    DayOrWeekday(Box<[cron::Schedule; 2]>),
}

impl Calendar {
    /// The times at which all fields match.
    pub(super) fn all_of(fields: &Fields) -> Calendar {
        let cron = enumerator(fields, &fields.day, &fields.weekday);
        Calendar(Rule::All(Box::new(cron)))
    }

    /// The times at which all other fields match and the day or the weekday does.
    pub(super) fn day_or_weekday(fields: &Fields) -> Calendar {
        let by_day = enumerator(fields, &fields.day, &Values::all(Field::Weekday));
        let by_weekday = enumerator(fields, &Values::all(Field::Day), &fields.weekday);
        Calendar(Rule::DayOrWeekday(Box::new([by_day, by_weekday])))
    }

    /// The first matching wall-clock time strictly after `wall`, `None` if there is none up to the
    /// end of the year 2100. `wall` may be any time from the end of 1969 on.
    pub(super) fn next_after(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        match &self.0 {
            Rule::All(cron) => next_of(cron, wall),
            Rule::DayOrWeekday(crons) => crons.iter().filter_map(|cron| next_of(cron, wall)).min(),
        }
    }
}

/// UTC stands in for the wall clock: the one zone in which the cron crate never meets a gap or an
/// overlap.
fn next_of(cron: &cron::Schedule, wall: NaiveDateTime) -> Option<NaiveDateTime> {
    let next = cron.after(&wall.and_utc()).next()?;
    Some(next.naive_utc())
}

fn enumerator(fields: &Fields, day: &Values, weekday: &Values) -> cron::Schedule {
    let expression = [&fields.second, &fields.minute, &fields.hour, day, &fields.month, weekday, &fields.year]
        .map(Values::canonical)
        .join(" ");
    cron::Schedule::try_from(expression)
        .expect("canonical fields hold only what the cron crate accepts: *, values, rising ranges")
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    const FIELDS: [Field; 7] =
        [Field::Second, Field::Minute, Field::Hour, Field::Day, Field::Month, Field::Weekday, Field::Year];

    fn fields(texts: [&str; 7]) -> Fields {
        let mut values = FIELDS.iter().zip(texts).map(|(field, text)| Values::parse(*field, text).expect(text));
        let mut next = || values.next().expect("seven fields");
        Fields {
            second: next(),
            minute: next(),
            hour: next(),
            day: next(),
            month: next(),
            weekday: next(),
            year: next(),
        }
    }

    fn wall(year: i32, month: u32, day: u32, hour: u32) -> NaiveDateTime {
        let date = NaiveDate::from_ymd_opt(year, month, day);
        date.and_then(|date| date.and_hms_opt(hour, 0, 0)).expect("a real date")
    }

    #[test]
    fn the_cron_crate_accepts_every_value_of_every_field() {
        for (at, field) in FIELDS.iter().enumerate() {
            for value in field.first()..=field.last() {
                let texts = [value.to_string(), format!("{value}-{}", field.last())];
                for text in &texts {
                    let mut all = ["*"; 7];
                    all[at] = text;
                    let _ = Calendar::all_of(&fields(all));
                }
            }
        }
    }

    #[test]
    fn all_of_takes_both_days_and_day_or_weekday_either() {
        // 2026-02-13 is a Friday.
        let friday_13 = fields(["0", "0", "0", "13", "*", "5", "*"]);
        let start = wall(2026, 1, 1, 0);
        assert_eq!(Calendar::all_of(&friday_13).next_after(start), Some(wall(2026, 2, 13, 0)));
        assert_eq!(Calendar::day_or_weekday(&friday_13).next_after(start), Some(wall(2026, 1, 2, 0)));
    }

    #[test]
    fn either_day_may_be_one_that_never_comes() {
        let fields = fields(["0", "0", "0", "30", "2", "1", "*"]);
        assert_eq!(Calendar::day_or_weekday(&fields).next_after(wall(2026, 1, 1, 0)), Some(wall(2026, 2, 2, 0)));
        assert_eq!(Calendar::all_of(&fields).next_after(wall(2026, 1, 1, 0)), None);
    }
}
