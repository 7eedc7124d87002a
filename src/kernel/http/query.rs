//! Owns the decoding of percent-escapes in query strings and path segments.
//! It must not know which parameters there are, or pass over a malformed one: what cannot be read is an error.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Why an escaped text cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A `%` is not followed by two hexadecimal digits (RFC 3986, section 2.1).
    EscapeMalformed,
    /// The bytes that the escapes stand for are not UTF-8.
    NotText,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            DecodeError::EscapeMalformed => "a percent sign is not followed by two hexadecimal digits",
            DecodeError::NotText => "percent-escapes do not stand for valid UTF-8",
        })
    }
}

impl Error for DecodeError {}

/// A parameter of a query string: name and value, decoded.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads a query string as forms write it: `name=value` joined by `&`, with `+` for a space.
///
/// Yields the pairs in their order, repeated names included. A piece without `=` has an empty
/// value; an empty piece is passed over. A piece that cannot be decoded yields its error, and the
/// ones behind it can still be read.
pub fn pairs(query: &str) -> impl Iterator<Item = Result<Pair<'_>, DecodeError>> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        Ok((decode(name, true)?, decode(value, true)?))
    })
}

/// Reads a segment of a path, in which `+` is a plus sign.
///
/// # Errors
/// When it cannot be decoded.
pub fn segment(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    decode(text, false)
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, DecodeError> {
    let is_encoded = |byte: u8| byte == b'%' || byte == b'+' && plus_is_space;
    if !text.bytes().any(is_encoded) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', tail @ ..] => {
                let (byte, tail) = decode_escape(tail)?;
                decoded.push(byte);
                tail
            }
            [b'+', tail @ ..] if plus_is_space => {
                decoded.push(b' ');
                tail
            }
            [byte, tail @ ..] => {
                decoded.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| DecodeError::NotText)
}

/// Reads the two digits that follow a `%`; returns the byte and what is behind it.
fn decode_escape(tail: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    let ([high, low], rest) = tail.split_first_chunk().ok_or(DecodeError::EscapeMalformed)?;
    Ok((decode_digit(*high)? << 4 | decode_digit(*low)?, rest))
}

fn decode_digit(digit: u8) -> Result<u8, DecodeError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(DecodeError::EscapeMalformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_become_pairs() {
        let cases: [(&str, &[(&str, &str)]); 8] = [
            ("", &[]),
            ("&&", &[]),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            ("a&b=&=c", &[("a", ""), ("b", ""), ("", "c")]),
            ("a=b=c", &[("a", "b=c")]),
            ("a+b=c+d%2B", &[("a b", "c d+")]),
            ("%61%3D=%26%25", &[("a=", "&%")]),
            ("z=%E2%82%AC%c3%a9", &[("z", "\u{20ac}\u{e9}")]),
        ];
        for (query, expected) in cases {
            let read: Vec<_> = pairs(query).map(|pair| pair.expect(query)).collect();
            let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(read, expected, "{query}");
        }
    }

    #[test]
    fn a_segment_has_plus_signs() {
        for (text, expected) in [("a", "a"), ("a+b%2Fc%20d", "a+b/c d"), ("%2B", "+"), ("%E2%82%AC", "\u{20ac}")] {
            assert_eq!(segment(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(segment("%4"), Err(DecodeError::EscapeMalformed));
        assert_eq!(segment("%ff"), Err(DecodeError::NotText));
    }

    #[test]
    fn a_pair_that_cannot_be_read_is_an_error_of_its_own() {
        let read: Vec<_> = pairs("a=%&b=1&%zz&c=%4&%ff=d&e=%C3%28").collect();
        assert_eq!(read.len(), 6);
        assert_eq!(read[1], Ok(("b".into(), "1".into())));
        for at in [0, 2, 3] {
            assert_eq!(read[at], Err(DecodeError::EscapeMalformed));
        }
        for at in [4, 5] {
            assert_eq!(read[at], Err(DecodeError::NotText));
        }
    }
}
