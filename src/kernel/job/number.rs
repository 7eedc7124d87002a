//! Owns how whole numbers are read: 5 and 5.0 are the same number of JSON.
//! It must not know any bound but that of exactness.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, de};

/// Above this not every whole number is a number of JSON that all readers agree on (RFC 8259, section 6).
const EXACT_MAX: f64 = 9_007_199_254_740_991.0;

/// Reads a whole number, or null.
///
/// # Errors
/// When it is something else.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    deserializer.deserialize_option(Whole)
}

/// A whole number that is written with a fraction of 0.
pub(super) fn exact(number: f64) -> Option<u64> {
    // Within the bounds every whole number fits.
    ((0.0..=EXACT_MAX).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_none<E: de::Error>(self) -> Result<Option<u64>, E> {
        Ok(None)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<u64>, E> {
        Ok(Some(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<u64>, E> {
        u64::try_from(number).map(Some).map_err(|_| Error::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<u64>, E> {
        exact(number).map(Some).ok_or_else(|| Error::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<u64>, String> {
        whole(&mut serde_json::Deserializer::from_str(text)).map_err(|why| why.to_string())
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for (text, number) in [("5", 5), ("5.0", 5), ("5e1", 50), ("0.0", 0), ("18446744073709551615", u64::MAX)] {
            assert_eq!(read(text), Ok(Some(number)), "{text}");
        }
        assert_eq!(read("null"), Ok(None));
        for text in ["5.5", "-1", "-1.0", "1e16", "1e300", "\"5\"", "true", "[5]", "18446744073709551616"] {
            assert!(read(text).expect_err(text).contains("expected a whole number"), "{text}");
        }
    }
}
