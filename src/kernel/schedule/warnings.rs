//! Owns what about a schedule may not be what was meant.
//! It must not refuse anything: it tells.

use super::Fields;
use super::dialect::Form;
use super::special_days::SpecialDay;
use super::values::runs;
use super::words::{MONTHS, and, ordinal};

/// What about it may not be what was meant, a sentence each.
pub(super) fn warnings(form: &Form) -> Vec<String> {
    let Form::Calendar { fields, either_day } = form else { return Vec::new() };
    let mut warnings = Vec::new();
    if fields.weekday.numbered() {
        warnings.push(
            "weekday numbers mean different days in other dialects: here 1 is Monday, and both 0 and 7 are Sunday; \
             names such as MON leave no doubt"
                .to_owned(),
        );
    }
    warnings.extend(missing_days(fields));
    if !fields.day.is_all() && !fields.weekday.is_all() {
        warnings.push(
            if *either_day {
                "day and weekday are both given: with five fields either of them is enough"
            } else {
                "day and weekday are both given: both of them must match"
            }
            .to_owned(),
        );
    }
    warnings
}

/// Of days that not every month has, and that were written as such, where they are missing.
fn missing_days(fields: &Fields) -> Option<String> {
    if fields.day.paced() || fields.day.is_all() {
        return None;
    }
    // A range that begins earlier, such as 25-31, means "to the end".
    let plain = runs(fields.day.values()).into_iter().map(|(first, _)| first);
    let near = fields.day.special().iter().filter_map(|special| match special {
        SpecialDay::NearestTo { day } => Some(*day),
        SpecialDay::Last { .. }
        | SpecialDay::NearestToLast { .. }
        | SpecialDay::Nth { .. }
        | SpecialDay::LastOf { .. } => None,
    });
    let day = plain.chain(near).filter(|day| *day >= 29).max()?;
    let without = |month: &u16| match month {
        2 => true,
        4 | 6 | 9 | 11 => day == 31,
        _ => false,
    };
    let months: Vec<&str> = fields.month.values().filter(without).map(|month| MONTHS[usize::from(month - 1)]).collect();
    if months.is_empty() {
        return None;
    }
    let often = if day == 29 { " in three years of four" } else { "" };
    Some(format!(
        "there is no {} in {}{often}: it is not due there; L is the last day of every month",
        ordinal(day),
        and(&months.iter().map(|month| (*month).to_owned()).collect::<Vec<_>>())
    ))
}

#[cfg(test)]
mod tests {
    use crate::schedule::{Schedule, Zone};
    use crate::time::Instant;

    fn parse(text: &str) -> Schedule {
        Schedule::parse(text, Zone::UTC, Instant::FIRST).expect(text)
    }

    #[test]
    fn what_may_not_be_meant_is_told() {
        let golden: [(&str, &[&str]); 18] = [
            ("0 0 9 * * *", &[]),
            ("0 0 9 * * MON-FRI", &[]),
            ("0 0 9 * * 1-5", &["weekday numbers"]),
            ("0 0 9 * * 5#2", &["weekday numbers"]),
            ("0 0 9 * * */2", &[]),
            ("0 0 9 31 * *", &["there is no 31st in February, April, June, September and November: it is"]),
            ("0 0 9 30 * *", &["there is no 30th in February: it is not due there; L is the last day of every month"]),
            ("0 0 9 29 * *", &["there is no 29th in February in three years of four"]),
            ("0 0 9 31 1,3 *", &[]),
            ("0 0 9 25-31 * *", &[]),
            ("0 0 9 1-31 * *", &[]),
            ("0 0 9 */10 * *", &[]),
            ("0 0 9 L * *", &[]),
            ("0 0 9 30W * *", &["there is no 30th in February"]),
            ("0 0 9 13 * FRI", &["day and weekday are both given: both"]),
            ("0 9 13 * FRI", &["day and weekday are both given: with five fields either"]),
            ("0 0 9 * * MON#1", &[]),
            ("@every 5s", &[]),
        ];
        for (text, expected) in golden {
            let warnings = parse(text).explain().warnings;
            assert_eq!(warnings.len(), expected.len(), "{text}: {warnings:?}");
            for (warning, beginning) in warnings.iter().zip(expected) {
                assert!(warning.starts_with(beginning), "{text}: {warning}");
            }
        }
    }
}
