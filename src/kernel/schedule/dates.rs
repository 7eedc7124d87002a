//! Owns dates on which schedules are not due: sets of them, and calendars of them that have a name.
//! It must not know schedules nor zones: a date is one on some wall clock.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};

use super::error::quoted;
use crate::limits::{CALENDAR_DATES_MAX, CALENDAR_NAME_LEN_MAX, CALENDARS_MAX};

/// A date of the wall clock within the horizon, such as `2026-12-25`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date(pub(super) NaiveDate);

/// Reads `2026-12-25` and nothing else, of the years that schedules have.
impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Date, String> {
        let shaped = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
        let date = if shaped { NaiveDate::parse_from_str(text, "%Y-%m-%d").ok() } else { None };
        let date = date.filter(|date| (1970..=2099).contains(&date.year()));
        date.map(Date).ok_or_else(|| format!("expected dates of 1970-2099 as in 2026-12-25, got {}", quoted(text)))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d"))
    }
}

/// A set of dates, in order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Dates(Box<[Date]>);

impl Dates {
    /// Reads dates in any order; those written twice count once.
    ///
    /// # Errors
    /// Says what was expected, if one is no date or there are more than `max`.
    pub fn parse<'a>(texts: impl ExactSizeIterator<Item = &'a str>, max: usize) -> Result<Dates, String> {
        if texts.len() > max {
            return Err(format!("expected at most {max} dates, got {}", texts.len()));
        }
        let mut dates = texts.map(str::parse).collect::<Result<Vec<Date>, String>>()?;
        dates.sort_unstable();
        dates.dedup();
        Ok(Dates(dates.into()))
    }

    /// Every date, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Date> {
        self.0.iter().copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the date is one of them.
    pub fn contains(&self, date: Date) -> bool {
        self.0.binary_search(&date).is_ok()
    }

    /// The first date after `date` that is none of them, if `date` is one. Found by halving: of dates in order the
    /// number of those between two of them tells whether they follow each other.
    fn end_of_run(&self, date: Date) -> Option<NaiveDate> {
        let from = self.0.binary_search(&date).ok()?;
        let days = |place: usize| usize::try_from((self.0[place].0 - date.0).num_days()).unwrap_or(usize::MAX);
        let (mut inside, mut outside) = (from, self.0.len());
        while outside - inside > 1 {
            let middle = inside + (outside - inside) / 2;
            if days(middle) == middle - from { inside = middle } else { outside = middle }
        }
        self.0[inside].0.succ_opt()
    }

    /// Those from `first` to `last`.
    pub(super) fn within(&self, first: Date, last: Date) -> &[Date] {
        let from = self.0.partition_point(|date| *date < first);
        let to = self.0.partition_point(|date| *date <= last);
        self.0.get(from..to).unwrap_or_default()
    }
}

/// The dates of a calendar with its name, as a schedule that was told to leave them out holds them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedDates {
    /// The calendar.
    pub name: Arc<str>,
    /// Its dates when the schedule was made.
    pub dates: Arc<Dates>,
}

impl Hash for NamedDates {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Equal dates are equally many; there may be thousands.
        (&self.name, self.dates.len()).hash(state);
    }
}

/// The dates that a schedule leaves out: its own, and those of calendars.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Exclusions {
    pub(super) own: Dates,
    pub(super) calendars: Box<[NamedDates]>,
}

impl Exclusions {
    pub(super) fn is_empty(&self) -> bool {
        self.sets().all(Dates::is_empty)
    }

    /// The first date after `date` that is not left out, if `date` itself is.
    pub(super) fn end_of_run(&self, date: NaiveDate) -> Option<NaiveDate> {
        let run = |date: NaiveDate| self.sets().find_map(|set| set.end_of_run(Date(date)));
        // Where the run of one set ends, that of another may go on. Sets are finite and end before the calendar does.
        let ends = std::iter::successors(run(date), |end| run(*end));
        ends.last()
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = &Dates> {
        std::iter::once(&self.own).chain(self.calendars.iter().map(|calendar| &*calendar.dates))
    }
}

/// Named calendars of dates that several jobs share, such as the holidays of a country.
#[derive(Clone, Debug, Default)]
pub struct Calendars(BTreeMap<Arc<str>, Arc<Dates>>);

impl Calendars {
    /// Puts a calendar in, in place of one of the same name.
    ///
    /// # Errors
    /// Says what was expected, if the name is none or there are too many calendars or dates.
    pub fn insert(&mut self, name: &str, dates: Arc<Dates>) -> Result<(), String> {
        self.insert_within(name, dates, CALENDARS_MAX)
    }

    /// The same where there may be `most`.
    ///
    /// # Errors
    /// As [`Calendars::insert`] has them.
    pub fn insert_within(&mut self, name: &str, dates: Arc<Dates>, most: usize) -> Result<(), String> {
        check_calendar_name(name)?;
        if dates.len() > CALENDAR_DATES_MAX {
            return Err(format!("expected at most {CALENDAR_DATES_MAX} dates, got {}", dates.len()));
        }
        if self.0.len() >= most && !self.0.contains_key(name) {
            return Err(format!("expected at most {most} calendars"));
        }
        self.0.insert(name.into(), dates);
        Ok(())
    }

    /// Takes a calendar out; `None` if there is none of that name.
    pub fn remove(&mut self, name: &str) -> Option<Arc<Dates>> {
        self.0.remove(name)
    }

    /// The calendar of that name, for [`Terms`](super::Terms).
    pub fn get(&self, name: &str) -> Option<NamedDates> {
        let (name, dates) = self.0.get_key_value(name)?;
        Some(NamedDates { name: Arc::clone(name), dates: Arc::clone(dates) })
    }

    /// Those behind one of this name, in the order of their names.
    pub fn behind(&self, after: Option<&str>) -> impl Iterator<Item = (&Arc<str>, &Arc<Dates>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.range::<str, _>((from, Bound::Unbounded))
    }

    /// Every calendar, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<Dates>)> {
        self.0.iter().map(|(name, dates)| (&**name, dates))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Checks the name of a calendar: `[a-z0-9][a-z0-9._-]{0,63}`.
///
/// # Errors
/// Says what was expected.
pub fn check_calendar_name(name: &str) -> Result<(), String> {
    check_name(name, CALENDAR_NAME_LEN_MAX)
}

/// Checks a name that is part of URLs: `[a-z0-9][a-z0-9._-]*`, of so many characters at most.
///
/// # Errors
/// Says what was expected.
pub fn check_name(name: &str, len_max: usize) -> Result<(), String> {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte);
    let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits =
        name.len() <= len_max && name.as_bytes().first().is_some_and(outer) && name.bytes().all(|byte| inner(&byte));
    if fits {
        return Ok(());
    }
    Err(format!(
        "expected a name of at most {len_max} of a-z, 0-9, dot, underscore and hyphen that begins with a letter or a digit, got {}",
        quoted(name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_one_form_only() {
        for text in ["2026-12-25", "2028-02-29", "1970-01-01", "2099-12-31"] {
            assert_eq!(text.parse::<Date>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "2026-2-3",
            "2026-02-30",
            "2027-02-29",
            "1969-12-31",
            "2100-01-01",
            "26-12-25",
            "2026/12/25",
            " 2026-12-25",
            "+026-12-25",
            "2026-12-25T",
            "2026-1é-5",
            "2026-12-2",
            "2026- 2- 3",
            "+2026-2-03",
        ] {
            let error = text.parse::<Date>().expect_err(text);
            assert!(error.starts_with("expected dates of 1970-2099 as in 2026-12-25, got "), "{error}");
        }
    }

    #[test]
    fn sets_are_sorted_and_bounded() {
        let texts = ["2026-12-25", "2026-01-01", "2026-12-25"];
        let dates = Dates::parse(texts.into_iter(), 3).expect("three");
        assert_eq!(dates.iter().map(|date| date.to_string()).collect::<Vec<_>>(), ["2026-01-01", "2026-12-25"]);
        assert!(dates.contains("2026-01-01".parse().expect("a date")));
        assert!(!dates.contains("2026-01-02".parse().expect("a date")));
        assert_eq!(Dates::parse(texts.into_iter(), 2), Err("expected at most 2 dates, got 3".to_owned()));
    }

    #[test]
    fn a_run_of_dates_ends_where_none_of_the_sets_goes_on() {
        let set = |days: &[u32]| {
            let texts: Vec<String> = days.iter().map(|day| format!("2026-01-{day:02}")).collect();
            Dates::parse(texts.iter().map(String::as_str), 31).expect("dates")
        };
        let named = |days| NamedDates { name: "c".into(), dates: Arc::new(set(days)) };
        let calendars = [named(&[5, 6, 9, 10, 11, 20, 31]), named(&[7, 8, 12, 14, 15, 16])].into();
        let all = Exclusions { own: set(&[3, 4, 10, 16, 17, 18]), calendars };
        let is_in = |date: NaiveDate| all.sets().any(|set| set.contains(Date(date)));
        for day in 1..=31 {
            let date = NaiveDate::from_ymd_opt(2026, 1, day).expect("a date");
            let end = std::iter::successors(Some(date), |date| date.succ_opt()).find(|date| !is_in(*date));
            let own = std::iter::successors(Some(date), |date| date.succ_opt());
            let own = own.take_while(|date| all.own.contains(Date(*date))).last().and_then(|last| last.succ_opt());
            assert_eq!(all.own.end_of_run(Date(date)), own, "{date}, of one set");
            assert_eq!(all.end_of_run(date), end.filter(|end| *end > date), "{date}");
        }
    }

    #[test]
    fn calendars_have_names_of_a_form() {
        let mut calendars = Calendars::default();
        for name in ["de", "holidays.de_by-2026", "0", &"a".repeat(64)] {
            assert_eq!(calendars.insert(name, Arc::default()), Ok(()), "{name}");
            assert_eq!(&*calendars.get(name).expect("it is in").name, name);
        }
        for name in ["", "-a", ".a", "A", "a b", "é", &"a".repeat(65)] {
            assert!(calendars.insert(name, Arc::default()).is_err(), "{name}");
        }
        assert!(calendars.remove("de").is_some() && calendars.get("de").is_none());
        assert!(!calendars.is_empty() && Calendars::default().is_empty());
    }

    #[test]
    fn a_calendar_has_only_so_many_dates() {
        let of = |count: usize| {
            let first = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date");
            let days: Vec<String> = first.iter_days().take(count).map(|date| date.to_string()).collect();
            Arc::new(Dates::parse(days.iter().map(String::as_str), count).expect("dates"))
        };
        let mut calendars = Calendars::default();
        assert_eq!(calendars.insert("de", of(CALENDAR_DATES_MAX)), Ok(()));
        for more in [1, 2] {
            let why = calendars.insert("fr", of(CALENDAR_DATES_MAX + more)).expect_err("too many");
            assert!(why.starts_with("expected at most 4000 dates, got 400"), "{why}");
        }
    }

    #[test]
    fn there_are_only_so_many_calendars() {
        let mut calendars = Calendars::default();
        for number in 0..CALENDARS_MAX {
            assert_eq!(calendars.insert(&number.to_string(), Arc::default()), Ok(()));
        }
        assert!(calendars.insert("0", Arc::default()).is_ok(), "in place of itself");
        assert!(calendars.insert("more", Arc::default()).is_err());
    }
}
