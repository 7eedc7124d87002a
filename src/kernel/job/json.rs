//! Owns a JSON value of which only the text counts: compact, and otherwise as its client wrote it.
//! It must not look into it: numbers of any size, the order of members and doubled ones stay what they are.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::FieldError;

/// A JSON value as text.
#[derive(Clone, Debug)]
pub struct Json(Box<RawValue>);

impl Json {
    /// Its text, without white space between its parts.
    pub(super) fn compact(&self) -> String {
        let (mut in_text, mut is_escaped) = (false, false);
        let keep = |c: &char| {
            let quotes = *c == '"' && !is_escaped;
            is_escaped = in_text && *c == '\\' && !is_escaped;
            in_text ^= quotes;
            in_text || !c.is_ascii_whitespace()
        };
        self.0.get().chars().filter(keep).collect()
    }

    /// It must not nest deeper than this: arrays and objects in each other.
    ///
    /// # Errors
    /// When it does.
    pub(super) fn check_depth(&self, most: usize) -> Result<(), FieldError> {
        let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0_usize, 0, false, false);
        for byte in self.0.get().bytes() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth -= 1,
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        if deepest <= most {
            return Ok(());
        }
        Err(FieldError::new(
            "json",
            format_args!("expected at most {most} levels of arrays and objects, got {deepest}"),
        ))
    }

    /// The value with this text; None if it is no JSON.
    pub(super) fn of(text: String) -> Option<Json> {
        RawValue::from_string(text).ok().map(Json)
    }

    /// Reads a member whose null is a value like any other.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
        Json::deserialize(deserializer).map(Some)
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Json)
    }
}

impl JsonSchema for Json {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Json".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_where_it_means_nothing() {
        for (text, compact) in [
            (" { \"a b\" : [ 1 ,\t2.50 ,\r\n null ] } ", r#"{"a b":[1,2.50,null]}"#),
            (r#"[ "a \" b" , "c \\" , "d" ]"#, r#"["a \" b","c \\","d"]"#),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
            (r#"{"b":1,"a":2,"b":3}"#, r#"{"b":1,"a":2,"b":3}"#),
            ("null", "null"),
        ] {
            let json: Json = serde_json::from_str(text).expect(text);
            assert_eq!(json.compact(), compact);
            assert_eq!(Json::of(json.compact()).map(|json| json.compact()).as_deref(), Some(compact));
        }
        assert_eq!(Json::of("{".to_owned()), None);
    }

    #[test]
    fn values_are_the_same_whose_texts_are() {
        let json = |text: &str| Json::of(text.to_owned()).expect(text);
        assert_eq!(json(r#"{"a":1}"#), json(r#"{"a":1}"#));
        assert_ne!(json("1"), json("1.0"));
    }

    #[test]
    fn depth_is_that_of_arrays_and_objects() {
        for (text, depth) in
            [("1", 0), ("[]", 1), (r#"{"a":[1,{"b":2}],"c":[[],[]]}"#, 3), (r#"["[[[[\"[[", "{\\", []]"#, 2)]
        {
            let json: Json = serde_json::from_str(text).expect(text);
            assert_eq!(json.check_depth(depth), Ok(()), "{text}");
            if depth > 0 {
                let refused = json.check_depth(depth - 1).expect_err(text).to_string();
                assert!(refused.ends_with(&format!("got {depth}")), "{refused}");
            }
        }
    }
}
