//! Owns the enumeration of wall-clock times that match a set of calendar fields.
//! Must not know zones: it sees a wall clock that never jumps, which is what keeps the cron crate sound.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::dates::Exclusions;
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
    /// All fields match, except that the day (first) or the weekday (second) is enough.
    DayOrWeekday(Box<[cron::Schedule; 2]>),
    /// One or the other with days that only a filter finds.
    Filtered(Box<Filtered>),
}

/// Supersets of what is meant; either is enough if there are two.
#[derive(Clone, Debug)]
struct Filtered {
    parts: Vec<Part>,
}

/// A superset of what is meant, and which of its days are meant.
#[derive(Clone, Debug)]
struct Part {
    superset: cron::Schedule,
    day: Values,
    weekday: Values,
}

impl Calendar {
    /// The times at which all fields match.
    pub(super) fn all_of(fields: &Fields) -> Calendar {
        let rule = if has_special_days(fields) {
            Rule::Filtered(Box::new(Filtered { parts: vec![Part::of(fields, &fields.day, &fields.weekday)] }))
        } else {
            Rule::All(Box::new(enumerator(fields, &fields.day, &fields.weekday)))
        };
        Calendar { rule, paced: fields.paced() }
    }

    /// The times at which all other fields match and the day or the weekday does.
    pub(super) fn day_or_weekday(fields: &Fields) -> Calendar {
        let (any_day, any_weekday) = (Values::all(Field::Day), Values::all(Field::Weekday));
        let rule = if has_special_days(fields) {
            let by_day = Part::of(fields, &fields.day, &any_weekday);
            let by_weekday = Part::of(fields, &any_day, &fields.weekday);
            Rule::Filtered(Box::new(Filtered { parts: vec![by_day, by_weekday] }))
        } else {
            let by_day = enumerator(fields, &fields.day, &any_weekday);
            Rule::DayOrWeekday(Box::new([by_day, enumerator(fields, &any_day, &fields.weekday)]))
        };
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
            Rule::DayOrWeekday(crons) => crons.iter().filter_map(|cron| next_of(cron, after)).min(),
            Rule::Filtered(filtered) => filtered.parts.iter().filter_map(|part| part.next_in(after, through)).min(),
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

impl Part {
    fn of(fields: &Fields, day: &Values, weekday: &Values) -> Part {
        let superset = enumerator(fields, day, weekday);
        Part { superset, day: day.clone(), weekday: weekday.clone() }
    }

    /// Walks over the days of the superset, not over the times in them.
    fn next_in(&self, after: NaiveDateTime, through: NaiveDateTime) -> Option<NaiveDateTime> {
        let mut from = after;
        loop {
            let next = next_of(&self.superset, from).filter(|next| *next <= through)?;
            let date = next.date();
            if self.day.select(date) && self.weekday.select(date) {
                return Some(next);
            }
            from = last_second_before(date.succ_opt()?);
        }
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
        let due = std::iter::successors(next_after(&either, wall(2026, 1, 1, 9)), |at| next_after(&either, *at));
        let days = [(1, 12), (1, 31), (2, 1), (2, 9), (2, 28), (3, 1)];
        assert_eq!(due.take(6).collect::<Vec<_>>(), days.map(|(month, day)| wall(2026, month, day, 9)));
        let last_tuesday = fields(["0", "0", "9", "L", "*", "TUE", "*"]);
        let both = Calendar::all_of(&last_tuesday);
        assert_eq!(next_after(&both, wall(2026, 1, 1, 9)), Some(wall(2026, 3, 31, 9)));
        let never = fields(["0", "0", "9", "L", "*", "MON#1", "*"]);
        assert_eq!(next_after(&Calendar::all_of(&never), wall(2026, 1, 1, 9)), None);
    }

    #[test]
    fn either_day_may_be_one_that_never_comes() {
        let fields = fields(["0", "0", "0", "30", "2", "1", "*"]);
        assert_eq!(next_after(&Calendar::day_or_weekday(&fields), wall(2026, 1, 1, 0)), Some(wall(2026, 2, 2, 0)));
        assert_eq!(next_after(&Calendar::all_of(&fields), wall(2026, 1, 1, 0)), None);
    }
}
