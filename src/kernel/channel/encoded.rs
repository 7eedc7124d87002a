//! Owns how a line of any text stands in a header that carries ASCII only (RFC 2047).
//! It must not know whose header it is.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// How many bytes of text a word carries: with what stands around it, it is shorter than the 75 characters it may have.
const WORD_LEN: usize = 45;

/// The line as ASCII, in words with this between them if need be. Whatever could end a header is a space.
pub fn encoded(line: &str, between: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_ascii() && !line.contains("=?") {
        return line;
    }
    let mut rest = line.as_str();
    let mut words = String::new();
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_LEN));
        let between = if words.is_empty() { "" } else { between };
        write!(words, "{between}=?UTF-8?B?{}?=", STANDARD.encode(word)).expect("a string takes any text");
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_ascii_stays_as_it_is_and_any_other_becomes_words_of_ascii() {
        assert_eq!(encoded("FAILING: a-job", " "), "FAILING: a-job");
        assert_eq!(encoded("f\u{fc}r", " "), "=?UTF-8?B?ZsO8cg==?=");
        assert_eq!(
            encoded("=?UTF-8?B?eA==?=", " "),
            "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=",
            "nobody writes words into it"
        );
        let long = "\u{1f600}".repeat(40);
        let words = encoded(&long, "\r\n ");
        let mut back = Vec::new();
        for word in words.split("\r\n ") {
            assert!(word.len() <= 75 && word.is_ascii(), "{word}");
            let text = word.strip_prefix("=?UTF-8?B?").and_then(|word| word.strip_suffix("?=")).expect(word);
            let part = STANDARD.decode(text).expect(text);
            assert!(str::from_utf8(&part).is_ok(), "no character is split");
            back.extend(part);
        }
        assert_eq!(back, long.as_bytes());
    }

    #[test]
    fn nothing_ends_a_header() {
        for line in ["a\r\nBcc: x@y", "\u{fc}\r\nBcc: x@y", "a\nb", "a\rb", "a\0b", "a\u{85}b"] {
            let text = encoded(line, " ");
            assert!(text.is_ascii() && !text.contains(['\r', '\n', '\0']), "{text:?}");
        }
    }
}
