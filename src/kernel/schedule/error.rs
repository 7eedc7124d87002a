//! Owns `ScheduleError`: where a schedule is wrong and what was expected there.
//! Must not decide what is wrong; the parsers do.

use std::fmt;

use super::field::Field;

/// The most characters of a client's text that an error repeats.
const SHOWN_LEN_MAX: usize = 40;

/// Why a text is not a schedule: the field at fault and what was expected there.
///
/// Written as `hour: expected 0-23, got "25"`. It repeats at most a short, escaped piece of the
/// client's own text and nothing else, so it may be shown to the client as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduleError {
    part: Part,
    message: String,
}

impl ScheduleError {
    /// The field at fault: `second`, `minute`, `hour`, `day`, `month`, `weekday` or `year`; `zone`
    /// for the zone; `schedule` when no single field is at fault.
    pub fn field(&self) -> &'static str {
        match self.part {
            Part::Schedule => "schedule",
            Part::Zone => "zone",
            Part::Field(field) => field.name(),
        }
    }

    /// What was expected and what was found, without the field's name.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// An error about the schedule as a whole.
    pub(super) fn schedule(message: String) -> ScheduleError {
        let part = Part::Schedule;
        ScheduleError { part, message }
    }

    /// An error about the zone.
    pub(super) fn zone(message: String) -> ScheduleError {
        let part = Part::Zone;
        ScheduleError { part, message }
    }

    /// An error about one field.
    pub(super) fn field_at_fault(field: Field, message: String) -> ScheduleError {
        let part = Part::Field(field);
        ScheduleError { part, message }
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field(), self.message)
    }
}

impl std::error::Error for ScheduleError {}

/// What an error is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Schedule,
    Zone,
    Field(Field),
}

/// `text` in quotes, escaped, and cut when long: a client's text may hold anything.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN_LEN_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_strange_text_is_cut_and_escaped() {
        assert_eq!(quoted("25"), "\"25\"");
        assert_eq!(quoted("a\"\n\u{0}"), r#""a\"\n\0""#);
        let exact = "é".repeat(SHOWN_LEN_MAX);
        assert_eq!(quoted(&exact), format!("\"{exact}\""));
        assert_eq!(quoted(&format!("{exact}x")), format!("\"{exact}\"..."));
    }

    #[test]
    fn names_the_field_before_the_message() {
        let error = ScheduleError::field_at_fault(Field::Hour, "expected 0-23".to_owned());
        assert_eq!(error.field(), "hour");
        assert_eq!(error.message(), "expected 0-23");
        assert_eq!(error.to_string(), "hour: expected 0-23");
    }
}
