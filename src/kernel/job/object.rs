//! Owns that an object is written as one: serde would also take a list of its members in their order.
//! It must not know the members.

use std::fmt;

use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

/// Reads a value that is no list, nor holds one as its only content.
///
/// # Errors
/// When it is one, or is malformed.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    T::deserialize(NoList(deserializer))
}

struct NoList<T>(T);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for NoList<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(NoList(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(NoList(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, NoList(visitor))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Every other kind of value is for the visitor itself to judge.
impl<'de, V: Visitor<'de>> Visitor<'de> for NoList<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<V::Value, A::Error> {
        Err(A::Error::invalid_type(Unexpected::Seq, &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(NoList(deserializer))
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.0.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.0.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.0.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.0.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.0.visit_str(value)
    }
}

#[cfg(test)]
mod tests {
    use crate::job::Definition;

    #[test]
    fn a_list_is_no_object() {
        for (member, list, expected) in [
            ("retry", "[5]", "an object such as"),
            ("retry", "[]", "an object such as"),
            ("misfire", r#"["once"]"#, "an object such as"),
            ("dst", r#"["skip",null]"#, "an object with gap and overlap"),
            ("concurrencyKey", r#"["a",1,null]"#, "an object such as"),
            ("auth", r#"[null,"planted"]"#, "an object with basic or bearer"),
            ("auth", r#"{"basic":["a","planted"]}"#, "an object with username and password"),
        ] {
            let text = format!(r#"{{"schedule":"@daily","api":"http://a/","type":"ATLEAST_ONCE","{member}":{list}}}"#);
            let why = serde_json::from_str::<Definition>(&text).expect_err(&text).to_string();
            assert!(why.contains(&format!("expected {expected}")) && !why.contains("planted"), "{why}");
        }
    }
}
