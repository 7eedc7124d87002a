//! Owns the enumeration of wall-clock times that match a set of calendar fields.
//! Must not know zones: it sees a wall clock that never jumps, which is what keeps the cron crate sound.

use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime};

use super::dates::Exclusions;
use super::field::Field;
use super::values::Values;

/// The last year that the cron crate knows. Where clocks are ahead the last hours of 2099 are in it.
const YEAR_MAX: i32 = 2100;

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

    /// Whether second, minute or hour have a `*` or a step, which asks for a pace rather than for times of the day.
    pub(super) fn paced(&self) -> bool {
        [&self.second, &self.minute, &self.hour].into_iter().any(Values::paced)
    }
}

/// A set of wall-clock times, given by calendar fields.
#[derive(Clone, Debug)]
pub(super) struct Calendar {
    rule: Rule,
    paced: bool,
}

#[derive(Clone, Debug)]
enum Rule {
    /// All fields match.
    All(Box<cron::Schedule>),
    /// The day or the weekday is enough, or some of the days are such as only a date shows.
    Days(Box<Days>),
}

/// Times of a day, on days that are looked at one by one: much cheaper than to have the crate find the next one that may be
/// meant, and a search for a day that never comes ends.
#[derive(Clone, Debug)]
struct Days {
    /// The times, on any day.
    times: cron::Schedule,
    day: Values,
    month: Values,
    weekday: Values,
    year: Values,
    /// Whether the day or the weekday is enough.
    either: bool,
}

impl Calendar {
    /// The times at which all fields match.
    pub(super) fn all_of(fields: &Fields) -> Calendar {
        let rule = if has_special_days(fields) {
            Rule::Days(Box::new(Days::of(fields, false)))
        } else {
            Rule::All(Box::new(enumerator(fields)))
        };
        Calendar { rule, paced: fields.paced() }
    }

    /// The times at which all other fields match and the day or the weekday does.
    pub(super) fn day_or_weekday(fields: &Fields) -> Calendar {
        let rule = Rule::Days(Box::new(Days::of(fields, true)));
        Calendar { rule, paced: fields.paced() }
    }

    /// Whether it means a pace, not times of the day.
    pub(super) fn paced(&self) -> bool {
        self.paced
    }

    /// The first matching wall-clock time in `(after, through]`, `None` if there is none or it comes after the year 2100.
    /// `after` may be any time from the end of 1969 on.
    pub(super) fn next_in(&self, after: NaiveDateTime, through: NaiveDateTime) -> Option<NaiveDateTime> {
        let next = match &self.rule {
            Rule::All(cron) => next_of(cron, after),
            Rule::Days(days) => days.next_in(after, through),
        };
        next.filter(|next| *next <= through)
    }

    /// The same without the dates that are left out, and none behind `through`. A run of such dates costs one step,
    /// however many times are in it; of those behind `through` none is looked at.
    pub(super) fn next_included(
        &self,
        after: NaiveDateTime,
        through: NaiveDateTime,
        left_out: &Exclusions,
    ) -> Option<NaiveDateTime> {
        let mut from = after;
        loop {
            let next = self.next_in(from, through)?;
            match left_out.end_of_run(next.date()) {
                None => return Some(next),
                Some(included) => from = last_second_before(included),
            }
        }
    }
}

impl Days {
    fn of(fields: &Fields, either: bool) -> Days {
        let of_any_day = Fields {
            day: Values::all(Field::Day),
            month: Values::all(Field::Month),
            weekday: Values::all(Field::Weekday),
            year: Values::all(Field::Year),
            ..fields.clone()
        };
        let Fields { day, month, weekday, year, .. } = fields.clone();
        Days { times: enumerator(&of_any_day), day, month, weekday, year, either }
    }

    fn next_in(&self, after: NaiveDateTime, through: NaiveDateTime) -> Option<NaiveDateTime> {
        let (mut date, last) = (after.date(), through.date());
        while date <= last && date.year() <= YEAR_MAX {
            let year = u16::try_from(date.year()).unwrap_or_default();
            let chosen = if self.year.is_all() { year } else { self.year.first_from(year)? };
            if chosen != year {
                date = NaiveDate::from_ymd_opt(chosen.into(), 1, 1)?;
            } else if !self.month.select(date) {
                date = date.with_day(1)?.checked_add_months(Months::new(1))?;
            } else {
                if self.choose(date) {
                    let next = next_of(&self.times, after.max(last_second_before(date)))?;
                    if next.date() == date {
                        return Some(next);
                    }
                }
                date = date.succ_opt()?;
            }
        }
        None
    }

    fn choose(&self, date: NaiveDate) -> bool {
        // What costs less first: there may be ninety special days in a field.
        let (few, many) = match self.day.special().len() <= self.weekday.special().len() {
            true => (&self.day, &self.weekday),
            false => (&self.weekday, &self.day),
        };
        if self.either { few.select(date) || many.select(date) } else { few.select(date) && many.select(date) }
    }
}

fn has_special_days(fields: &Fields) -> bool {
    !(fields.day.special().is_empty() && fields.weekday.special().is_empty())
}

fn last_second_before(date: NaiveDate) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN) - chrono::TimeDelta::seconds(1)
}

/// UTC stands in for the wall clock: the one zone in which the cron crate never meets a gap or an
/// overlap.
fn next_of(cron: &cron::Schedule, wall: NaiveDateTime) -> Option<NaiveDateTime> {
    let next = cron.after(&wall.and_utc()).next()?;
    Some(next.naive_utc())
}

fn enumerator(fields: &Fields) -> cron::Schedule {
    let Fields { second, minute, hour, day, month, weekday, year } = fields;
    let expression = [second, minute, hour, day, month, weekday, year].map(Values::canonical).join(" ");
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
        let mut values = FIELDS.iter().zip(texts).map(|(field, text)| Values::parse(*field, text, None).expect(text));
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

    fn next_after(calendar: &Calendar, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        calendar.next_in(wall, NaiveDateTime::MAX)
    }

    fn all_behind(calendar: &Calendar, from: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> {
        std::iter::successors(next_after(calendar, from), |at| next_after(calendar, *at))
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
        assert_eq!(next_after(&Calendar::all_of(&friday_13), start), Some(wall(2026, 2, 13, 0)));
        assert_eq!(next_after(&Calendar::day_or_weekday(&friday_13), start), Some(wall(2026, 1, 2, 0)));
    }

    #[test]
    fn special_days_combine_like_others() {
        // In 2026 the last days of January to March are a Saturday, a Saturday and a Tuesday.
        let last_or_mondays = fields(["0", "0", "9", "1,L", "*", "1#2", "*"]);
        let either = Calendar::day_or_weekday(&last_or_mondays);
        let due = all_behind(&either, wall(2026, 1, 1, 9));
        let days = [(1, 12), (1, 31), (2, 1), (2, 9), (2, 28), (3, 1)];
        assert_eq!(due.take(6).collect::<Vec<_>>(), days.map(|(month, day)| wall(2026, month, day, 9)));
        let last_tuesday = fields(["0", "0", "9", "L", "*", "TUE", "*"]);
        let both = Calendar::all_of(&last_tuesday);
        assert_eq!(next_after(&both, wall(2026, 1, 1, 9)), Some(wall(2026, 3, 31, 9)));
        let never = fields(["0", "0", "9", "L", "*", "MON#1", "*"]);
        assert_eq!(next_after(&Calendar::all_of(&never), wall(2026, 1, 1, 9)), None);
    }

    #[test]
    fn a_day_that_never_comes_costs_nothing_beside_one_that_does() {
        // Of February neither of these days is ever a weekday next to a weekend; every weekday is enough.
        let february = fields(["*", "*", "*", "30W,31W,L-29W,L-30W", "2", "0-6", "*"]);
        let either = Calendar::day_or_weekday(&february);
        let first = Some(wall(2027, 2, 1, 0));
        assert_eq!(next_after(&either, wall(2027, 1, 31, 0)), first);
        assert_eq!(
            all_behind(&either, wall(2027, 1, 31, 0)).take(100_000).last(),
            Some(wall(2027, 2, 2, 0) + chrono::TimeDelta::seconds(13_599))
        );
        let never = fields(["0", "0", "0", "1-28", "*", "SUN#5,MON#5,TUE#5,WED#5,THU#5,FRI#5,SAT#5", "*"]);
        assert_eq!(next_after(&Calendar::all_of(&never), wall(1970, 1, 1, 0)), None);
    }

    #[test]
    fn years_and_months_of_chosen_days_are_passed_over() {
        let leap = fields(["0", "30", "6", "L", "2", "SUN#5", "2028-2060/4,2096"]);
        let either = Calendar::day_or_weekday(&leap);
        // 29 February is a Sunday in 2032 and 2060: the same day, by both fields.
        let due: Vec<i32> = all_behind(&either, wall(2026, 1, 1, 0)).map(|at| at.year()).collect();
        assert_eq!(due, [2028, 2032, 2036, 2040, 2044, 2048, 2052, 2056, 2060, 2096]);
        let both = Calendar::all_of(&leap);
        assert_eq!(all_behind(&both, wall(2026, 1, 1, 0)).map(|at| at.year()).collect::<Vec<_>>(), [2032, 2060]);
        assert_eq!(both.next_in(wall(2026, 1, 1, 0), wall(2032, 2, 29, 6)), None, "that is before");
        assert!(both.next_in(wall(2026, 1, 1, 0), wall(2032, 2, 29, 7)).is_some());
    }

    #[test]
    fn either_day_may_be_one_that_never_comes() {
        let fields = fields(["0", "0", "0", "30", "2", "1", "*"]);
        assert_eq!(next_after(&Calendar::day_or_weekday(&fields), wall(2026, 1, 1, 0)), Some(wall(2026, 2, 2, 0)));
        assert_eq!(next_after(&Calendar::all_of(&fields), wall(2026, 1, 1, 0)), None);
    }
}
