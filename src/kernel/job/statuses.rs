//! Owns sets of HTTP statuses, as policies name them.
//! It must not know what a policy makes of them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Unexpected;
use serde::{Deserialize, Serialize};

use super::FieldError;
use super::number::exact;

/// One entry of such a set as clients write it: a number, or a text such as `"2xx"` or `"500-503"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusDefinition {
    /// One status.
    One(u16),
    /// A class or a range.
    Text(String),
}

/// A set of HTTP statuses: ranges that do not touch, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Box<[(u16, u16)]>);

/// The statuses that can be told apart (RFC 9110 section 15).
const FIRST: u16 = 100;
const LAST: u16 = 599;

impl Statuses {
    /// Reads a set; `member` is named in errors.
    ///
    /// # Errors
    /// When an entry is neither a status, nor a class, nor a range.
    pub fn compile(member: &'static str, entries: &[StatusDefinition]) -> Result<Statuses, FieldError> {
        let mut ranges = Vec::with_capacity(entries.len());
        for entry in entries {
            let range = range_of(entry).ok_or_else(|| {
                let given = match entry {
                    StatusDefinition::One(status) => status.to_string(),
                    StatusDefinition::Text(text) => text.clone(),
                };
                FieldError::unknown_name(member, "statuses such as 410, \"5xx\" or \"500-503\"", &given)
            })?;
            ranges.push(range);
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::new();
        for (from, to) in ranges {
            match merged.last_mut() {
                Some((_, end)) if from <= *end + 1 => *end = to.max(*end),
                Some(_) | None => merged.push((from, to)),
            }
        }
        Ok(Statuses(merged.into()))
    }

    /// The entries that mean this.
    pub fn define(&self) -> Vec<StatusDefinition> {
        let entry = |&(from, to): &(u16, u16)| match (from, to) {
            (one, other) if one == other => StatusDefinition::One(one),
            (from, to) if from % 100 == 0 && to == from + 99 => StatusDefinition::Text(format!("{}xx", from / 100)),
            (from, to) => StatusDefinition::Text(format!("{from}-{to}")),
        };
        self.0.iter().map(entry).collect()
    }

    /// Whether a status is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|&(from, to)| (from..=to).contains(&status))
    }

    /// Whether they are just those from one to another.
    pub(super) fn is_any_of(&self, range: (u16, u16)) -> bool {
        *self.0 == [range]
    }

    /// Whether they are all that there are.
    pub(super) fn is_all(&self) -> bool {
        self.is_any_of((FIRST, LAST))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn range_of(entry: &StatusDefinition) -> Option<(u16, u16)> {
    let number = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (from, to) = match entry {
        StatusDefinition::One(status) => (*status, *status),
        StatusDefinition::Text(text) => {
            match (text.strip_suffix("xx").or(text.strip_suffix("XX")), text.split_once('-')) {
                (Some(class), _) => {
                    let first = number(&format!("{class}00"))?;
                    (first, first + 99)
                }
                (None, Some((from, to))) => (number(from)?, number(to)?),
                (None, None) => (number(text)?, number(text)?),
            }
        }
    };
    (FIRST <= from && from <= to && to <= LAST).then_some((from, to))
}

impl Serialize for StatusDefinition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StatusDefinition::One(status) => serializer.serialize_u16(*status),
            StatusDefinition::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for StatusDefinition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<StatusDefinition, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = StatusDefinition;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a status such as 410, \"5xx\" or \"500-503\"")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<StatusDefinition, E> {
                // What is no status at all is refused with all others, by its number.
                Ok(StatusDefinition::One(u16::try_from(number).unwrap_or(u16::MAX)))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<StatusDefinition, E> {
                match exact(number) {
                    Some(number) => self.visit_u64(number),
                    None => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<StatusDefinition, E> {
                Ok(StatusDefinition::Text(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for StatusDefinition {
    fn schema_name() -> Cow<'static, str> {
        "StatusEntry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A status, a class of statuses, or a range of them.",
            "anyOf": [
                { "type": "integer", "minimum": FIRST, "maximum": LAST },
                { "type": "string", "format": "statuses", "pattern": format!("^({ENTRY})$") },
            ],
        })
    }
}

/// A class, a status or a range, as a pattern has it. That a range ascends it does not say.
const ENTRY: &str = "[1-5](xx|XX)|[1-5][0-9]{2}(-[1-5][0-9]{2})?";

/// An entry of a set of outcomes: of statuses, and failures with a name.
pub(super) enum OutcomeShape {}

impl JsonSchema for OutcomeShape {
    fn schema_name() -> Cow<'static, str> {
        "OutcomeEntry".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A status, a class of statuses, a range of them, `timeout` or `connection`.",
            "anyOf": [
                { "type": "integer", "minimum": FIRST, "maximum": LAST },
                { "type": "string", "format": "statuses", "pattern": format!("^({ENTRY}|timeout|connection)$") },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<Statuses, FieldError> {
        let entries: Vec<StatusDefinition> = serde_json::from_str(text).expect("a list");
        Statuses::compile("success", &entries)
    }

    #[test]
    fn sets_are_read_merged_and_written() {
        for (text, written, inside, outside) in [
            ("[200]", "[200]", 200, 201),
            (r#"["2xx"]"#, r#"["2xx"]"#, 299, 300),
            (r#"["200-399", 404]"#, r#"["200-399",404]"#, 301, 400),
            (r#"[410, "404", "409-411", 408]"#, r#"[404,"408-411"]"#, 408, 405),
            ("[]", "[]", 0, 200),
        ] {
            let set = compile(text).expect(text);
            assert_eq!(serde_json::to_string(&set.define()).expect("JSON"), written);
            assert!(set.is_empty() || set.contains(inside), "{text}");
            assert!(!set.contains(outside), "{text}");
        }
    }

    #[test]
    fn what_is_no_status_is_named() {
        for text in [
            "[99]",
            "[600]",
            "[70000]",
            r#"["6xx"]"#,
            r#"["300-200"]"#,
            r#"["abc"]"#,
            r#"["+20-300"]"#,
            r#"["xx"]"#,
            r#"["0200"]"#,
            r#"["02xx"]"#,
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with("success: expected statuses such as"), "{error}");
        }
        for text in ["[true]", "[200.5]"] {
            let error = serde_json::from_str::<Vec<StatusDefinition>>(text).expect_err(text).to_string();
            assert!(error.contains(r#"expected a status such as 410, "5xx" or "500-503""#), "{error}");
        }
    }
}
