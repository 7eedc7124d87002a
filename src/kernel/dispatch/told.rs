//! Owns what an answer that is no success has to tell: how long its target wants to be left alone, and the beginning of
//! its body as text.
//! It must not read from a connection, or keep more than a record may hold.

use chrono::{DateTime, NaiveDateTime};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::limits::{RESPONSE_LEN_MAX, RETRY_AFTER_MAX, TRIAL_RESPONSE_LEN_MAX};
use crate::time::WallUs;

/// How much of an answer is of interest beside its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// Nothing.
    Nothing,
    /// The beginning of its body, and how long to leave its target alone.
    Beginning,
    /// All that somebody who tries it out may want to see.
    All,
}

/// What was told, as it came.
#[derive(Debug)]
pub(super) struct Told {
    retry_after: Option<Box<str>>,
    /// The beginning of the body; None if it is no text.
    body: Option<Vec<u8>>,
    /// How much of the body is kept.
    len_max: usize,
    headers: Vec<(Box<str>, Box<str>)>,
}

impl Told {
    /// What a head tells.
    pub(super) fn new(headers: &HeaderMap, interest: Telling) -> Told {
        let all = interest == Telling::All;
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.as_str().into(), String::from_utf8_lossy(value.as_bytes()).into())
        };
        Told {
            retry_after: text(headers, &RETRY_AFTER).map(Into::into),
            body: is_text(headers).then(Vec::new),
            len_max: if all { TRIAL_RESPONSE_LEN_MAX } else { RESPONSE_LEN_MAX },
            headers: if all { headers.iter().map(shown).collect() } else { Vec::new() },
        }
    }

    /// All headers, if they were of interest.
    pub(super) fn headers(&self) -> Vec<(Box<str>, Box<str>)> {
        self.headers.clone()
    }

    /// Whether more of the body is wanted.
    pub(super) fn listens(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.len() < self.len_max)
    }

    /// More of the body came.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        if let Some(body) = &mut self.body {
            let room = self.len_max - body.len();
            body.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    /// How long the target wants to be left alone, in seconds from now (RFC 9110 section 10.2.3).
    pub(super) fn retry_after_s(&self, now: WallUs) -> Option<u32> {
        let text = self.retry_after.as_deref()?.trim();
        let seconds = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            // A number that is too large for any type is too large for the limit.
            text.parse().unwrap_or(u64::MAX)
        } else {
            let wait_us = date(text)?.saturating_mul(1_000_000).saturating_sub(now.0);
            // A second that has begun is not over.
            u64::try_from(wait_us).unwrap_or(0).div_ceil(1_000_000)
        };
        u32::try_from(seconds.min(RETRY_AFTER_MAX.as_secs())).ok()
    }

    /// The beginning of the body; None if it has none that is text.
    pub(super) fn response(&self) -> Option<Box<str>> {
        let body = self.body.as_deref().filter(|body| !body.is_empty())?;
        // What is cut is cut at a character; what is no text in the middle is shown as such.
        let whole = match str::from_utf8(body) {
            Err(error) if error.error_len().is_none() => &body[..error.valid_up_to()],
            Ok(_) | Err(_) => body,
        };
        let text = String::from_utf8_lossy(whole).replace("\r\n", "\n");
        let mut shown = text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}");
        // What stands for something else may be longer than that.
        shown.truncate(shown.floor_char_boundary(self.len_max));
        (!shown.is_empty()).then(|| shown.into())
    }
}

/// A header as text.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a body is text, as far as its head says.
fn is_text(headers: &HeaderMap) -> bool {
    let is_plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.to_str().is_ok_and(is_plain)) {
        return false;
    }
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, subtype)) = media_type.split_once('/') else { return false };
    let format = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    kind == "text" || kind == "application" && matches!(format, "json" | "xml" | "x-www-form-urlencoded")
}

/// An HTTP date (RFC 9110 section 5.6.7) in Unix seconds, in any of its three forms.
fn date(text: &str) -> Option<i64> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.timestamp());
    }
    let obsolete = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let date = obsolete.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(date.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&'static str, &str)], body: &[u8]) -> Told {
        let headers = headers.iter().map(|&(name, value)| (HeaderName::from_static(name), value.parse().expect(value)));
        let mut told = Told::new(&headers.collect(), Telling::Beginning);
        told.hear(body);
        told
    }

    #[test]
    fn a_target_says_how_long_it_wants_to_be_left_alone() {
        let noon = WallUs(784_111_777_000_000);
        for (value, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("86400", Some(86_400)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(86_400)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(told(&[("retry-after", value)], b"").retry_after_s(noon), wait, "{value}");
        }
        assert_eq!(told(&[], b"").retry_after_s(noon), None);
        let just_past = WallUs(noon.0 + 1);
        assert_eq!(told(&[("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT")], b"").retry_after_s(just_past), Some(1));
    }

    #[test]
    fn only_text_is_kept() {
        for (headers, is_kept) in [
            (&[][..], true),
            (&[("content-type", "text/html; charset=utf-8")], true),
            (&[("content-type", "Application/JSON")], true),
            (&[("content-type", "application/problem+json")], true),
            (&[("content-type", "application/soap+xml")], true),
            (&[("content-type", "application/x-www-form-urlencoded")], true),
            (&[("content-encoding", "identity")], true),
            (&[("content-type", "image/png")], false),
            (&[("content-type", "application/octet-stream")], false),
            (&[("content-type", "image/svg+xml")], false),
            (&[("content-type", "nonsense")], false),
            (&[("content-type", "text/plain"), ("content-encoding", "gzip")], false),
        ] {
            let told = told(headers, b"x");
            assert_eq!(told.response().is_some(), is_kept, "{headers:?}");
            assert_eq!(told.listens(), is_kept, "{headers:?}");
        }
    }

    #[test]
    fn what_is_kept_is_short_and_may_be_shown() {
        let cut = "\u{e4}".repeat(RESPONSE_LEN_MAX);
        let broken = [b'\xff'; RESPONSE_LEN_MAX];
        for (body, shown) in [
            (&b"a\r\nb\tc"[..], "a\nb\tc".to_owned()),
            (b"\x1b[2J\x00\r\x7f\xc2\x9b", "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}".to_owned()),
            (b"a\xffb\xe2\x82", "a\u{fffd}b\u{fffd}".to_owned()),
            (b"a\xe2\x82", "a".to_owned()),
            (&cut.as_bytes()[..RESPONSE_LEN_MAX - 1], "\u{e4}".repeat(RESPONSE_LEN_MAX / 2 - 1)),
            (cut.as_bytes(), "\u{e4}".repeat(RESPONSE_LEN_MAX / 2)),
            (&broken, "\u{fffd}".repeat(RESPONSE_LEN_MAX / 3)),
        ] {
            assert_eq!(told(&[], body).response().as_deref(), Some(shown.as_str()), "{}", body.escape_ascii());
        }
        assert_eq!(told(&[], b"").response(), None);
        assert!(!told(&[], cut.as_bytes()).listens());
    }
}
