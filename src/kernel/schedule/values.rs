//! Owns the text of one field: its lists, ranges, steps and wildcards become a set of values here.
//! Must not know what values in several fields mean together.

use chrono::{Datelike, NaiveDate};

use super::error::{ScheduleError, quoted};
use super::field::{Field, number};
use super::seed::{Purpose, number_below};
use super::special_days::SpecialDay;

/// The most digits of a step; a larger step than a field is long is allowed and means "only the
/// start".
const STEP_DIGITS_MAX: usize = 4;

/// The last day of the month that `~` draws: every month has it.
const DRAWN_DAY_MAX: u16 = 28;

/// The values one field selects; with the special days never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Values {
    field: Field,
    /// Rising.
    set: Vec<u16>,
    special: Vec<SpecialDay>,
    starts_with_star: bool,
    paced: bool,
    numbered: bool,
}

impl Values {
    /// Reads the text of one field.
    ///
    /// The grammar, where letters may be in either case:
    ///
    /// ```text
    /// field   = item { "," item }
    /// item    = base [ "/" step ] | special
    /// base    = "*" | "?" | value | value "-" value | [ value ] "~" [ value ]
    /// special = "L" [ "-" days ] [ "W" ] | day "W" | weekday "#" place | weekday "L"
    /// ```
    ///
    /// `~` is one value of the field or of the range around it (in days at most 28), which `seed` chooses; with a step,
    /// `seed` chooses where to begin. `a/n` means "from `a` to the end, every `n`". A range whose first value is above its last
    /// runs past the end and starts again, and its step walks on across the end: `22-2/2` in hours
    /// is 22, 0 and 2. In days the end is always 31.
    ///
    /// # Errors
    /// Names the field, what is expected in it, and the piece that is wrong.
    pub(super) fn parse(field: Field, text: &str, seed: Option<u64>) -> Result<Values, ScheduleError> {
        let starts_with_star = text.starts_with(['*', '?']);
        let mut values = Values { starts_with_star, ..Values::of(field, Vec::new()) };
        for (place, item) in text.split(',').enumerate() {
            if item.is_empty() {
                return Err(unexpected(field, item, text, ""));
            }
            values.numbered |=
                item.split(['/', '#']).next().is_some_and(|base| base.contains(|c: char| c.is_ascii_digit()));
            if SpecialDay::is_meant(field, item) {
                let special = special(field, item)?;
                // Each is looked at on every date.
                if !values.special.contains(&special) {
                    values.special.push(special);
                }
            } else {
                values.add_item(item, place, seed)?;
            }
        }
        sort(&mut values.set);
        Ok(values)
    }

    /// Every value of `field`, as `*` selects.
    pub(super) fn all(field: Field) -> Values {
        let every = (field.first()..=field.last()).collect();
        Values { starts_with_star: true, paced: true, ..Values::of(field, every) }
    }

    /// Only the first value of `field`.
    pub(super) fn first(field: Field) -> Values {
        Values::of(field, vec![field.first()])
    }

    fn of(field: Field, set: Vec<u16>) -> Values {
        Values { field, set, special: Vec::new(), starts_with_star: false, paced: false, numbered: false }
    }

    /// Whether every value is selected, however that was written.
    pub(super) fn is_all(&self) -> bool {
        self.set.len() == usize::from(self.field.size())
    }

    /// How many values the field has.
    pub(super) fn size(&self) -> u16 {
        self.field.size()
    }

    /// Whether the text began with `*` or `?`, which crontab(5) calls unrestricted even when a
    /// step follows.
    pub(super) fn starts_with_star(&self) -> bool {
        self.starts_with_star
    }

    /// Whether a `*`, a `?` or a step was written, which asks for a pace rather than for times.
    pub(super) fn paced(&self) -> bool {
        self.paced
    }

    /// Whether a value was written as a number, in a field that has names.
    pub(super) fn numbered(&self) -> bool {
        self.numbered && !self.field.names().is_empty()
    }

    /// The values, in order, without the special days.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = u16> {
        self.set.iter().copied()
    }

    /// The days that no value names.
    pub(super) fn special(&self) -> &[SpecialDay] {
        &self.special
    }

    /// Whether a value is among them, special days left aside.
    fn contain(&self, value: u16) -> bool {
        self.set.binary_search(&value).is_ok()
    }

    /// The first value that is not below this one.
    pub(super) fn first_from(&self, value: u16) -> Option<u16> {
        let below = self.set.partition_point(|one| *one < value);
        self.set.get(below).copied()
    }

    /// Whether the month, day or weekday of a date is selected.
    pub(super) fn select(&self, date: NaiveDate) -> bool {
        let value = match self.field {
            Field::Weekday => date.weekday().num_days_from_sunday(),
            Field::Month => date.month(),
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Year => date.day(),
        };
        let plain = u16::try_from(value).is_ok_and(|value| self.contain(value));
        plain || self.special.iter().any(|special| special.is_on(date))
    }

    /// What it selects beside special days, as the cron crate reads it without ambiguity: `*`, or a list of values and ascending ranges. Weekdays are names, because that crate numbers them from 1 = Sunday.
    pub(super) fn canonical(&self) -> String {
        if self.is_all() {
            return "*".to_owned();
        }
        let names = match self.field {
            Field::Weekday => self.field.names(),
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Month | Field::Year => &[],
        };
        let items: Vec<String> = if names.is_empty() {
            runs(self.values()).into_iter().map(run_text).collect()
        } else {
            let name = |value: &u16| names[usize::from(*value)].to_owned();
            self.set.iter().map(name).collect()
        };
        items.join(",")
    }

    fn add_item(&mut self, item: &str, place: usize, seed: Option<u64>) -> Result<(), ScheduleError> {
        let (base, step) = match item.split_once('/') {
            Some((base, step)) => (base, Some(self.step(step, item)?)),
            None => (item, None),
        };
        self.paced |= step.is_some() || matches!(base, "*" | "?");
        if let Some((from, to)) = base.split_once('~') {
            return self.add_drawn((from, to), step, item, place, seed);
        }
        let (from, to) = if base == "*" || (base == "?" && self.field.takes_question_mark()) {
            (self.field.first(), self.field.last())
        } else if let Some((from, to)) = base.split_once('-') {
            (self.value(from, item)?, self.value(to, item)?)
        } else {
            let from = self.value(base, item)?;
            let to = step.map_or(from, |_| self.field.last());
            (from, to)
        };
        if from > to && !self.field.wraps() {
            return Err(falling(self.field, item));
        }
        self.add_walk(from, to, step.unwrap_or(1));
        Ok(())
    }

    /// Adds the value that the seed chooses in a range; with a step, also every `step`-th one behind it.
    fn add_drawn(
        &mut self,
        (from, to): (&str, &str),
        step: Option<u16>,
        item: &str,
        place: usize,
        seed: Option<u64>,
    ) -> Result<(), ScheduleError> {
        let at_fault = |message: &str| ScheduleError::field_at_fault(self.field, message.to_owned());
        let Some(code) = self.field.drawn_as() else {
            return Err(at_fault("expected no ~ (a value of every field but this one can be chosen with it)"));
        };
        let seed = seed.ok_or_else(|| at_fault("expected no ~, as there is no seed to choose a value by"))?;
        let first = if from.is_empty() { self.field.first() } else { self.value(from, item)? };
        let last = match self.field {
            _ if !to.is_empty() => self.value(to, item)?,
            Field::Day => DRAWN_DAY_MAX.max(first),
            Field::Second | Field::Minute | Field::Hour | Field::Month | Field::Weekday | Field::Year => {
                self.field.last().max(first)
            }
        };
        if first > last {
            return Err(falling(self.field, item));
        }
        let size = last - first + 1;
        let bound = step.map_or(size, |step| step.min(size));
        let drawn = number_below(seed, Purpose::Field { field: code, place }, u32::from(bound));
        let start = first + u16::try_from(drawn).expect("it is below a 16-bit bound");
        match step {
            Some(step) => self.add_walk(start, last, step),
            None => self.add_walk(start, start, 1),
        }
        Ok(())
    }

    /// Adds `from`, then every `step`-th value up to `to`, coming round at the end if `to` lies
    /// behind. A Sunday written as 7 needs no case of its own: it is one past the end, and comes
    /// round to 0.
    fn add_walk(&mut self, from: u16, to: u16, step: u16) {
        let (first, size) = (self.field.first(), self.field.size());
        let distance = if from <= to { to - from } else { to + size - from };
        for offset in (0..=distance).step_by(usize::from(step)) {
            self.set.push(first + (from - first + offset) % size);
        }
    }

    fn value(&self, text: &str, item: &str) -> Result<u16, ScheduleError> {
        self.field.value(text).ok_or_else(|| unexpected(self.field, text, item, remark(self.field, item)))
    }

    fn step(&self, text: &str, item: &str) -> Result<u16, ScheduleError> {
        match number(text, STEP_DIGITS_MAX) {
            Some(step) if step > 0 => Ok(step),
            Some(_) | None => {
                let message = format!("expected a step of 1-9999, got {} in {}", quoted(text), quoted(item));
                Err(ScheduleError::field_at_fault(self.field, message))
            }
        }
    }
}

fn sort(set: &mut Vec<u16>) {
    set.sort_unstable();
    set.dedup();
}

/// Rising values as stretches without a gap, first and last value of each.
pub(super) fn runs(rising: impl IntoIterator<Item = u16>) -> Vec<(u16, u16)> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for value in rising {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            Some(_) | None => runs.push((value, value)),
        }
    }
    runs
}

fn run_text((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn unexpected(field: Field, piece: &str, whole: &str, remark: &str) -> ScheduleError {
    let mut message = format!("expected {}, got {}", field.expected(), quoted(piece));
    if piece != whole {
        message.push_str(" in ");
        message.push_str(&quoted(whole));
    }
    message.push_str(remark);
    ScheduleError::field_at_fault(field, message)
}

fn falling(field: Field, item: &str) -> ScheduleError {
    let message = format!("expected a range from low to high, got {}", quoted(item));
    ScheduleError::field_at_fault(field, message)
}

/// What to add for a client who wrote something that belongs elsewhere.
fn remark(field: Field, item: &str) -> &'static str {
    let misplaced = item.contains('?') && !field.takes_question_mark();
    if misplaced { " (? is allowed in day and weekday only)" } else { "" }
}

fn special(field: Field, item: &str) -> Result<SpecialDay, ScheduleError> {
    SpecialDay::parse(field, item).ok_or_else(|| {
        let expected = match field {
            // What other dialects call Saturday.
            Field::Weekday if item.eq_ignore_ascii_case("L") => "a weekday before L, as in SATL, the last Saturday",
            Field::Weekday => "a weekday with its place in the month, as in MON#1 (1-5) or FRIL (the last one)",
            Field::Second | Field::Minute | Field::Hour | Field::Day | Field::Month | Field::Year => {
                "L (the last day), L-1 to L-30, LW (the last working day) or 1W-31W (the working day nearest to one)"
            }
        };
        ScheduleError::field_at_fault(field, format!("expected {expected}, got {}", quoted(item)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(field: Field, text: &str) -> String {
        Values::parse(field, text, Some(1)).expect(text).canonical()
    }

    #[test]
    fn text_becomes_one_canonical_list() {
        let golden = [
            (Field::Second, "*", "*"),
            (Field::Second, "0-59", "*"),
            (Field::Second, "*/20", "0,20,40"),
            (Field::Second, "5/20", "5,25,45"),
            (Field::Second, "10-30/10", "10,20,30"),
            (Field::Second, "*/9999", "0"),
            (Field::Second, "7/9999", "7"),
            (Field::Second, "50-10/15", "5,50"),
            (Field::Second, "3,1,2,1-2", "1-3"),
            (Field::Hour, "22-2", "0-2,22-23"),
            (Field::Hour, "22-2/2", "0,2,22"),
            (Field::Day, "?", "*"),
            (Field::Day, "30-2", "1-2,30-31"),
            (Field::Day, "28-5/3", "3,28,31"),
            (Field::Month, "NOV-FEB", "1-2,11-12"),
            (Field::Month, "jan,12", "1,12"),
            (Field::Month, "2-1", "*"),
            (Field::Weekday, "1-5", "MON,TUE,WED,THU,FRI"),
            (Field::Weekday, "FRI-MON", "SUN,MON,FRI,SAT"),
            (Field::Weekday, "5-7", "SUN,FRI,SAT"),
            (Field::Weekday, "7-1", "SUN,MON"),
            (Field::Weekday, "7", "SUN"),
            (Field::Weekday, "7-7", "SUN"),
            (Field::Weekday, "7-0", "SUN"),
            (Field::Weekday, "SUN-SUN", "SUN"),
            (Field::Weekday, "0-7", "*"),
            (Field::Weekday, "1-7", "*"),
            (Field::Weekday, "0-7/7", "SUN"),
            (Field::Weekday, "1/2", "MON,WED,FRI"),
            (Field::Weekday, "7/2", "SUN,TUE,THU,SAT"),
            (Field::Weekday, "*/2", "SUN,TUE,THU,SAT"),
            (Field::Weekday, "SAT-TUE/2", "MON,SAT"),
            (Field::Year, "1970-2099", "*"),
            (Field::Year, "2090/4", "2090,2094,2098"),
        ];
        for (field, text, expected) in golden {
            assert_eq!(canonical(field, text), expected, "{} {text}", field.name());
        }
    }

    #[test]
    fn only_a_leading_star_leaves_a_field_unrestricted() {
        for (text, unrestricted) in
            [("*", true), ("?", true), ("*/2", true), ("*,5", true), ("1,*", false), ("1-31", false)]
        {
            let values = Values::parse(Field::Day, text, None).expect(text);
            assert_eq!(values.starts_with_star(), unrestricted, "{text}");
        }
    }
}
