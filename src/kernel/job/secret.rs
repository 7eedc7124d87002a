//! Owns secrets of jobs: how clients write them, how they look in answers, and the clear text that only few may read.
//! It must not print one, in whatever form: `***` and `{"set":true}` are all that comes out.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shapes::SecretText;

/// A secret in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// The secret with this text.
    pub fn new(text: impl Into<Box<str>>) -> Secret {
        Secret(text.into())
    }

    /// The text, for whoever seals it or sends it to its target.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret as clients write it. It is answered, exported and kept with the job as `{"set":true}`, whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretDefinition {
    /// This one.
    New(Secret),
    /// The one that is there.
    Set,
}

/// What is said of a secret where none can be kept.
pub const UNSEALABLE: &str = "expected no secret, as the server has no key to seal it with; start it with --secrets-key FILE, \
                              which `punctual secrets init FILE` makes";

/// What a client is told to write. Nothing of what it wrote instead is repeated: it may be the secret.
const EXPECTED: &str = "a text, or {\"set\":true} to keep what is set";

impl Serialize for SecretDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("set", &true)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for SecretDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretDefinition, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = SecretDefinition;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<SecretDefinition, E> {
                Ok(SecretDefinition::New(Secret::new(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretDefinition, A::Error> {
                let mut is_set = false;
                while let Some(name) = map.next_key::<String>()? {
                    let Yes(yes) = map.next_value()?;
                    if name != "set" || !yes || std::mem::replace(&mut is_set, true) {
                        return Err(refuse());
                    }
                }
                if is_set { Ok(SecretDefinition::Set) } else { Err(refuse()) }
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<SecretDefinition, E> {
                Err(refuse())
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<SecretDefinition, E> {
                Err(refuse())
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<SecretDefinition, E> {
                Err(refuse())
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<SecretDefinition, E> {
                Err(refuse())
            }
        }
        deserializer.deserialize_any(Written)
    }
}

fn refuse<E: Error>() -> E {
    E::custom(format_args!("expected {EXPECTED}"))
}

/// Whether a value is true; of any other nothing is told.
struct Yes(bool);

impl<'de> Deserialize<'de> for Yes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yes, D::Error> {
        let value = super::Json::deserialize(deserializer)?;
        Ok(Yes(value.compact() == "true"))
    }
}

impl JsonSchema for SecretDefinition {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        SecretOf::<SecretText>::json_schema(generator)
    }
}

/// A secret whose text looks like a `T`.
pub(super) struct SecretOf<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for SecretOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let set = json_schema!({
            "type": "object",
            "properties": { "set": { "const": true } },
            "required": ["set"],
            "additionalProperties": false,
        });
        if generator.contract().is_serialize() {
            return set;
        }
        json_schema!({ "anyOf": [T::json_schema(generator), set] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_in_two_ways_and_told_in_one() {
        let new: SecretDefinition = serde_json::from_str(r#""hunter2""#).expect("a secret");
        let set: SecretDefinition = serde_json::from_str(r#"{ "set" : true }"#).expect("a secret");
        assert_eq!((&new, &set), (&SecretDefinition::New(Secret::new("hunter2")), &SecretDefinition::Set));
        for definition in [new, set] {
            assert_eq!(serde_json::to_string(&definition).expect("JSON"), r#"{"set":true}"#);
            assert!(!format!("{definition:?}").contains("hunter2"));
        }
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "***");
    }

    #[test]
    fn whatever_else_is_written_is_not_repeated() {
        for text in [
            "12345",
            "-12345",
            "1.2345",
            "true",
            "[12345]",
            "null",
            r#"{"set":"12345"}"#,
            r#"{"set":12345}"#,
            r#"{"set":{"12345":"12345"}}"#,
            r#"{"set":false}"#,
            r#"{"set":true,"set":true}"#,
            r#"{"12345":true}"#,
            "{}",
        ] {
            let why = serde_json::from_str::<SecretDefinition>(text).expect_err(text).to_string();
            assert!(why.contains("expected a text, or {\"set\":true}") && !why.contains("2345"), "{why}");
        }
    }
}
