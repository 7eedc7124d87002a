//! Owns the concurrency key: what jobs share that must not run too often or too much at once, whatever their targets.
//! It must not count what runs: the core does.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::number::whole;
use super::shapes::any_of;
use super::{FieldError, bounded};
use crate::limits::CONCURRENCY_KEY_LEN_MAX;

const LIMIT_MAX: u64 = 100_000;
/// A name, as a pattern has it.
const NAME: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]+$";
/// What [`Rate::parse`] reads, as a pattern has it.
const RATE: &str = "^(?!0+/)[0-9]{1,6}/[smh]$";

/// What jobs share that must not run too often or too much at once: a limit, a rate, or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object such as {\"name\":\"billing\",\"limit\":2}"
)]
#[schemars(rename = "ConcurrencyKey", extend("allOf" = [any_of(&["limit", "rate"])]))]
pub struct ConcurrencyDefinition {
    /// What the jobs share.
    #[schemars(length(min = 1, max = CONCURRENCY_KEY_LEN_MAX), regex(pattern = NAME))]
    name: String,
    /// How many executions of them may be under way at once.
    #[serde(default, deserialize_with = "whole", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LIMIT_MAX))]
    limit: Option<u64>,
    /// How often one may begin, such as `10/s`, `100/m` or `5/h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = RATE))]
    rate: Option<String>,
}

/// What jobs share that must not run too often or too much at once. If they differ in limit or rate, the strictest
/// counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyKey {
    /// What the jobs share.
    pub name: Arc<str>,
    /// How many executions of them may be under way at once; None: any number.
    pub limit: Option<u32>,
    /// How often one may begin; None: at any time.
    pub rate: Option<Rate>,
}

/// So many times in a second, a minute or an hour, evenly spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const ALL: [(Unit, &str, u64); 3] =
        [(Unit::Second, "s", 1_000_000), (Unit::Minute, "m", 60_000_000), (Unit::Hour, "h", 3_600_000_000)];

    fn row(self) -> (Unit, &'static str, u64) {
        Unit::ALL[self as usize]
    }
}

impl Rate {
    /// The time between two beginnings, in microseconds.
    pub fn spacing_us(self) -> u64 {
        self.unit.row().2.div_ceil(u64::from(self.count))
    }

    fn parse(text: &str) -> Option<Rate> {
        let (count, unit) = text.split_once('/')?;
        let digits = count.len() <= 6 && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|&count: &u32| digits && count > 0)?;
        let (unit, ..) = Unit::ALL.into_iter().find(|(_, name, _)| *name == unit)?;
        Some(Rate { count, unit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit.row().1)
    }
}

impl ConcurrencyDefinition {
    /// What the jobs share.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl ConcurrencyKey {
    /// What a definition means.
    pub(super) fn compile(definition: &ConcurrencyDefinition) -> Result<ConcurrencyKey, FieldError> {
        let ConcurrencyDefinition { name, limit, rate } = definition;
        if name.is_empty() || name.chars().count() > CONCURRENCY_KEY_LEN_MAX || name.chars().any(char::is_control) {
            let expected = format!("a name of 1 to {CONCURRENCY_KEY_LEN_MAX} characters without control characters");
            return Err(FieldError::unknown_name("concurrencyKey.name", &expected, name));
        }
        if limit.is_none() && rate.is_none() {
            return Err(FieldError::new("concurrencyKey", "expected a limit, a rate, or both"));
        }
        let limit = limit.map(|given| bounded("concurrencyKey.limit", given, 1, LIMIT_MAX)).transpose()?;
        let rate = rate.as_deref().map(|text| {
            Rate::parse(text).ok_or_else(|| {
                FieldError::unknown_name("concurrencyKey.rate", "a rate such as \"10/s\", \"100/m\" or \"5/h\"", text)
            })
        });
        Ok(ConcurrencyKey {
            name: name.as_str().into(),
            limit: limit.map(|limit| u32::try_from(limit).expect("it is bounded")),
            rate: rate.transpose()?,
        })
    }

    /// The definition that means this.
    pub(super) fn define(self) -> ConcurrencyDefinition {
        ConcurrencyDefinition {
            name: self.name.as_ref().to_owned(),
            limit: self.limit.map(u64::from),
            rate: self.rate.map(|rate| rate.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(text: &str) -> Result<ConcurrencyKey, FieldError> {
        ConcurrencyKey::compile(&serde_json::from_str(text).expect(text))
    }

    #[test]
    fn it_comes_back_as_it_was_written_and_says_what_it_means() {
        let text = r#"{"name":"billing","limit":2,"rate":"100/m"}"#;
        let key = compile(text).expect("valid");
        assert_eq!(key.rate.map(Rate::spacing_us), Some(600_000));
        let definition = key.define();
        assert_eq!((definition.name(), serde_json::to_string(&definition).expect("JSON").as_str()), ("billing", text));
        let key = compile(r#"{"name":"x","rate":"3/s"}"#).expect("valid");
        assert_eq!((key.limit, key.rate.map(Rate::spacing_us)), (None, Some(333_334)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            (r#"{"name":"x"}"#, "concurrencyKey: expected a limit, a rate, or both"),
            (r#"{"name":"","limit":1}"#, "concurrencyKey.name: expected a name"),
            (r#"{"name":"x","limit":0}"#, "concurrencyKey.limit: expected a number from 1 to 100000, got 0"),
            (r#"{"name":"x","rate":"10"}"#, "concurrencyKey.rate: expected a rate such as"),
            (r#"{"name":"x","rate":"0/s"}"#, "concurrencyKey.rate: expected a rate such as"),
            (r#"{"name":"x","rate":"/s"}"#, "concurrencyKey.rate: expected a rate such as"),
            (r#"{"name":"x","rate":"0000001/s"}"#, "concurrencyKey.rate: expected a rate such as"),
            (r#"{"name":"x","rate":"+1/s"}"#, "concurrencyKey.rate: expected a rate such as"),
            (r#"{"name":"x","rate":"1/d"}"#, "concurrencyKey.rate: expected a rate such as"),
        ] {
            let error = compile(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{error}");
        }
    }

    #[test]
    fn a_name_is_as_long_as_it_may_be_and_has_no_control_characters() {
        let named = |name: &str| compile(&serde_json::json!({"name": name, "limit": 1}).to_string());
        // Characters count, not bytes.
        let longest = "\u{e9}".repeat(CONCURRENCY_KEY_LEN_MAX);
        assert_eq!(named(&longest).expect("valid").name, longest.as_str().into());
        for name in [format!("{longest}x"), "a\nb".to_owned(), "\u{7f}".to_owned(), "\u{85}".to_owned()] {
            let error = named(&name).expect_err(&name).to_string();
            assert!(error.starts_with("concurrencyKey.name: expected a name"), "{error}");
        }
    }
}
