//! Owns members of which it counts whether they were left out or null. They hold secrets, so it also owns that an error
//! does not repeat what was written in them.
//! It must not know what leaving out or null means for a member.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A member as a client wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// Not at all.
    #[default]
    LeftOut,
    /// As null.
    Null,
    /// With a value.
    Value(T),
}

impl<T> Given<T> {
    /// Whether it was left out.
    pub fn is_left_out(&self) -> bool {
        matches!(self, Given::LeftOut)
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Given::LeftOut | Given::Null => None,
            Given::Value(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Given<T> {
    /// What is not there is left out.
    fn from(value: Option<T>) -> Given<T> {
        value.map_or(Given::LeftOut, Given::Value)
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given<T>, D::Error> {
        let value = Option::deserialize(deserializer);
        let value = value.map_err(|error: D::Error| match discreet(&error.to_string()) {
            Some(text) => D::Error::custom(text),
            None => error,
        })?;
        Ok(value.map_or(Given::Null, Given::Value))
    }
}

/// What serde says of a value of the wrong kind, without that value; None: it names none.
fn discreet(error: &str) -> Option<&str> {
    if !error.starts_with("invalid ") {
        return None;
    }
    // What was expected is ours, so it is the last that begins like this.
    let (_, expected) = error.rsplit_once(", expected ")?;
    let end = expected.rfind(" at line ").unwrap_or(expected.len());
    let start = error.len() - expected.len() - "expected ".len();
    Some(&error[start..start + "expected ".len() + end])
}

impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Option<T>>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuthDefinition, Named, SecretDefinition};
    use super::*;

    #[test]
    fn what_was_written_is_not_repeated() {
        fn why<'de, T: Deserialize<'de>>(text: &'de str) -> String {
            serde_json::from_str::<Given<T>>(text).map(drop).expect_err(text).to_string()
        }
        for (error, expected) in [
            (why::<AuthDefinition>(r#""planted""#), "expected an object with basic or bearer"),
            (why::<AuthDefinition>(r#""planted, expected x""#), "expected an object with basic or bearer"),
            (why::<AuthDefinition>(r#"{"basic":"planted"}"#), "expected an object with username and password"),
            (why::<AuthDefinition>(r#"{"basic":{"username":23467}}"#), "expected a string"),
            (why::<Named<SecretDefinition>>(r#""planted""#), "expected an object"),
            (why::<SecretDefinition>("23467"), "expected a text, or"),
            (why::<AuthDefinition>(r#"{"basic":{"username":"a"}}"#), "missing field `password`"),
        ] {
            assert!(error.starts_with(expected) && error.matches(" at line ").count() <= 1, "{error}");
            assert!(!error.contains("planted") && !error.contains("23467"), "{error}");
        }
        assert_eq!(serde_json::from_str::<Given<u8>>("null").expect("null"), Given::Null);
        assert_eq!(serde_json::from_str::<Given<u8>>("1").expect("a number"), Given::Value(1));
    }
}
