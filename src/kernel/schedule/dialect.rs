//! Owns the dialect: how many fields a schedule has, what the `@` words mean, how days combine.
//! Must not know how one field is written nor when a schedule is due.

use super::calendar::Fields;
use super::error::{ScheduleError, quoted};
use super::every::Every;
use super::field::Field;
use super::values::Values;
use crate::limits::SCHEDULE_LEN_MAX;
use crate::time::Instant;

const WORDS: &str = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or @every with a duration";

/// What a schedule text says.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A steady period.
    Every(Every),
    /// Calendar fields. `either_day`: the day or the weekday is enough.
    Calendar { fields: Box<Fields>, either_day: bool },
}

/// Reads a trimmed schedule text; `seed` chooses what it leaves open. The forms are listed at [`super::Schedule::parse`].
///
/// # Errors
/// Names the field and what was expected there, or `schedule` if no single field is at fault.
pub(super) fn parse(text: &str, seed: Option<u64>, anchor: Instant) -> Result<Form, ScheduleError> {
    check_characters(text)?;
    let parts: Vec<&str> = text.split([' ', '\t']).filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [] => Err(ScheduleError::schedule(format!("expected 5, 6 or 7 fields, or one of {WORDS}, got nothing"))),
        [word, arguments @ ..] if word.starts_with('@') => parse_word(word, arguments, anchor),
        [prefix, ..] if is_zone_prefix(prefix) => Err(ScheduleError::zone(format!(
            "expected no zone within the schedule, got {} (zones there are not supported)",
            quoted(prefix)
        ))),
        [minute, hour, day, month, weekday] => {
            let fields = parse_fields(["0", minute, hour, day, month, weekday], None, seed)?;
            Ok(form_of_crontab(fields))
        }
        [second, minute, hour, day, month, weekday] => {
            let fields = parse_fields([second, minute, hour, day, month, weekday], None, seed)?;
            Ok(all_of(fields))
        }
        [second, minute, hour, day, month, weekday, year] => {
            let fields = parse_fields([second, minute, hour, day, month, weekday], Some(year), seed)?;
            Ok(all_of(fields))
        }
        other => {
            Err(ScheduleError::schedule(format!("expected 5, 6 or 7 fields separated by spaces, got {}", other.len())))
        }
    }
}

/// Everything after this check is printable ASCII or a tab, so that cutting the text anywhere is
/// safe.
fn check_characters(text: &str) -> Result<(), ScheduleError> {
    if text.len() > SCHEDULE_LEN_MAX {
        return Err(ScheduleError::schedule(format!("expected at most {SCHEDULE_LEN_MAX} bytes, got {}", text.len())));
    }
    let fits = |c: char| c == ' ' || c == '\t' || c.is_ascii_graphic();
    match text.char_indices().find(|(_, c)| !fits(*c)) {
        None => Ok(()),
        Some((at, c)) => Err(ScheduleError::schedule(format!("expected printable ASCII, got {c:?} at byte {at}"))),
    }
}

fn is_zone_prefix(part: &str) -> bool {
    let name = part.split_once('=').map(|(name, _)| name);
    name.is_some_and(|name| name.eq_ignore_ascii_case("TZ") || name.eq_ignore_ascii_case("CRON_TZ"))
}

fn parse_word(word: &str, arguments: &[&str], anchor: Instant) -> Result<Form, ScheduleError> {
    let first = Values::first;
    let all = Values::all;
    let mut fields = Fields {
        second: first(Field::Second),
        minute: first(Field::Minute),
        hour: first(Field::Hour),
        day: all(Field::Day),
        month: all(Field::Month),
        weekday: all(Field::Weekday),
        year: all(Field::Year),
    };
    match word.to_ascii_lowercase().as_str() {
        "@every" => return parse_every(arguments, anchor),
        "@hourly" => fields.hour = all(Field::Hour),
        "@daily" | "@midnight" => {}
        "@weekly" => fields.weekday = first(Field::Weekday),
        "@monthly" => fields.day = first(Field::Day),
        "@yearly" | "@annually" => {
            fields.day = first(Field::Day);
            fields.month = first(Field::Month);
        }
        _ => {
            return Err(ScheduleError::schedule(format!("expected {WORDS}, got {}", quoted(word))));
        }
    }
    match arguments {
        [] => Ok(all_of(fields)),
        [argument, ..] => {
            Err(ScheduleError::schedule(format!("expected nothing after {word}, got {}", quoted(argument))))
        }
    }
}

fn parse_every(arguments: &[&str], anchor: Instant) -> Result<Form, ScheduleError> {
    match arguments {
        [duration] => Every::parse(duration, anchor).map(Form::Every),
        other => Err(ScheduleError::schedule(format!(
            "expected one duration after @every, as in 1h30m, got {}",
            other.len()
        ))),
    }
}

fn parse_fields(texts: [&str; 6], year: Option<&str>, seed: Option<u64>) -> Result<Fields, ScheduleError> {
    let [second, minute, hour, day, month, weekday] = texts;
    Ok(Fields {
        second: Values::parse(Field::Second, second, seed)?,
        minute: Values::parse(Field::Minute, minute, seed)?,
        hour: Values::parse(Field::Hour, hour, seed)?,
        day: Values::parse(Field::Day, day, seed)?,
        month: Values::parse(Field::Month, month, seed)?,
        weekday: Values::parse(Field::Weekday, weekday, seed)?,
        year: Values::parse(Field::Year, year.unwrap_or("*"), seed)?,
    })
}

/// Day and weekday as crontab(5) has it: either is enough if both are restricted, and a field that
/// starts with `*` is not, whatever step follows.
fn form_of_crontab(fields: Fields) -> Form {
    let either_day = !(fields.day.starts_with_star() || fields.weekday.starts_with_star());
    Form::Calendar { fields: Box::new(fields), either_day }
}

fn all_of(fields: Fields) -> Form {
    Form::Calendar { fields: Box::new(fields), either_day: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_between_fields_are_spaces_and_tabs() {
        for text in ["0  0\t0 * * *", "@every \t 90s"] {
            assert!(parse(text, None, Instant::FIRST).is_ok(), "{text:?}");
        }
        for text in ["0 0 0 *\n* *", "0 0 0 *\u{a0}* *", "0 0 0 * * *\u{0}"] {
            let error = parse(text, None, Instant::FIRST).expect_err(text);
            assert_eq!(error.field(), "schedule", "{text:?}");
        }
    }
}
