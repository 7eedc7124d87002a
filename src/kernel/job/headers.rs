//! Owns the headers that a job sends beside those of every POST: which may be set, and to what.
//! It must not write any: `dispatch` does.

use std::borrow::Cow;
use std::marker::PhantomData;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{FieldError, Named};
use crate::limits::{TARGET_HEADERS_LEN_MAX, TARGET_HEADERS_MAX};

/// A header as it is sent, and its name as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) value: HeaderValue,
    pub(super) written: Box<str>,
}

/// Those that say where a message ends or how a connection goes on (RFC 9110 section 7.6.1), which only who writes it
/// may; and `Expect`, after which a body would have to wait.
static CONNECTIONS: [HeaderName; 12] = [
    HOST,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRAILER,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    EXPECT,
];

/// Those by which a target knows an execution: how their names begin.
const OURS: [&str; 4] = ["idempotency-key", "punctual-", "webhook-", "traceparent"];

/// Headers of a job whose values look like a `T`, for the description. It does not say that names which differ in case
/// alone are the same one.
pub(super) struct HeadersOf<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for HeadersOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("HeadersOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let connections = CONNECTIONS.iter().map(|name| any_case(name.as_str())).collect::<Vec<_>>().join("|");
        let ours = OURS.map(any_case).join("|");
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": format!("^(?!({connections})$)(?!{ours})[!#$%&'*+.^_`|~0-9A-Za-z-]+$") },
            "additionalProperties": T::json_schema(generator),
            "maxProperties": TARGET_HEADERS_MAX,
        })
    }
}

/// A pattern of a name in any case.
fn any_case(name: &str) -> String {
    let either = |c: char| if c.is_ascii_alphabetic() { format!("[{}{c}]", c.to_ascii_uppercase()) } else { c.into() };
    name.chars().map(either).collect()
}

/// Reads headers that may be seen.
pub(super) fn compile(member: &'static str, headers: &Named<String>) -> Result<Box<[Header]>, FieldError> {
    let Named(headers) = headers;
    let compiled = headers.iter().map(|(written, value)| {
        let name = name_of(member, written)?;
        let value = value_of(value).ok_or_else(|| {
            FieldError::new(member, format_args!("expected printable ASCII as the value of {written:?}"))
        })?;
        Ok(Header { name, value, written: written.as_str().into() })
    });
    compiled.collect()
}

/// The definition that means this.
pub(super) fn define(headers: &[Header]) -> Named<String> {
    let text = |header: &Header| header.value.to_str().expect("it was read from printable ASCII").to_owned();
    Named(headers.iter().map(|header| (header.written.clone().into(), text(header))).collect())
}

/// A value, if it is printable ASCII: what lies beyond is read in one way by one target, in another by the next.
pub(super) fn value_of(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(text).ok().filter(|_| text.is_ascii())
}

/// Reads the name of a header.
pub(super) fn name_of(member: &'static str, written: &str) -> Result<HeaderName, FieldError> {
    let name = HeaderName::from_bytes(written.as_bytes());
    let name = name.map_err(|_| FieldError::unknown_name(member, "the names of headers", written))?;
    let why = if CONNECTIONS.contains(&name) {
        "which belongs to the connection"
    } else if OURS.iter().any(|ours| name.as_str().starts_with(ours)) {
        "which says which execution this is"
    } else {
        return Ok(name);
    };
    Err(FieldError::new(member, format_args!("expected no {written:?}, {why}")))
}

/// Checks all headers of a job together: by name, whether there are other means for it, with the length of its value.
/// `member` is the one that is named in errors.
pub(super) fn check<'a>(
    member: &'static str,
    headers: impl Iterator<Item = (&'a HeaderName, usize)>,
    has_auth: bool,
) -> Result<(), FieldError> {
    let headers: Vec<_> = headers.collect();
    if headers.len() > TARGET_HEADERS_MAX {
        let why = format_args!("expected at most {TARGET_HEADERS_MAX} headers, got {}", headers.len());
        return Err(FieldError::new(member, why));
    }
    let (mut names, mut bytes) = (Vec::new(), 0);
    for (name, value_len) in headers {
        if names.contains(&name) {
            return Err(FieldError::new(member, format_args!("expected each header once, got {name:?} again")));
        }
        if has_auth && *name == AUTHORIZATION {
            return Err(FieldError::new(member, "expected no \"Authorization\" beside auth"));
        }
        names.push(name);
        bytes += name.as_str().len() + value_len;
    }
    if bytes > TARGET_HEADERS_LEN_MAX {
        let why = format_args!("expected at most {TARGET_HEADERS_LEN_MAX} bytes of names and values, got {bytes}");
        return Err(FieldError::new(member, why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)], has_auth: bool) -> Result<Box<[Header]>, FieldError> {
        let named = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let headers = compile("headers", &Named(named))?;
        check("headers", headers.iter().map(|header| (&header.name, header.value.len())), has_auth)?;
        Ok(headers)
    }

    #[test]
    fn what_a_job_may_set_comes_back_as_written() {
        let set = [("Content-Type", "text/xml"), ("user-agent", "me"), ("ACCEPT", ""), ("Authorization", "x\ty")];
        let headers = read(&set, false).expect("they may be set");
        assert_eq!(headers[0].name, "content-type");
        let named = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(define(&headers), Named(named.into()));
    }

    #[test]
    fn what_is_not_a_jobs_to_say_is_refused_by_name() {
        for name in [
            "Host",
            "CONTENT-LENGTH",
            "transfer-encoding",
            "Connection",
            "Proxy-Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Upgrade",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "Expect",
            "Idempotency-Key",
            "Punctual-Job-Id",
            "punctual-anything",
            "webhook-id",
            "Webhook-Signature",
            "traceparent",
        ] {
            let why = read(&[(name, "x")], false).expect_err(name).to_string();
            assert!(why.starts_with(&format!("headers: expected no {name:?}, which ")), "{why}");
        }
        for (name, value, why) in [
            ("a\r\nHost", "x", "the names of headers"),
            ("", "x", "the names of headers"),
            ("a b", "x", "the names of headers"),
            ("a:", "x", "the names of headers"),
            ("\u{fc}", "x", "the names of headers"),
            ("a", "x\r\nHost: y", "printable ASCII"),
            ("a", "x\n", "printable ASCII"),
            ("a", "\0", "printable ASCII"),
            ("a", "\u{7f}", "printable ASCII"),
            ("a", "\u{fc}", "printable ASCII"),
        ] {
            let error = read(&[(name, value)], false).expect_err(name).to_string();
            assert!(error.contains(why), "{error}");
        }
        let why = read(&[("authorization", "x")], true).expect_err("auth says it").to_string();
        assert!(why.contains("beside auth"), "{why}");
        let why = read(&[("X-A", "1"), ("x-a", "2")], false).expect_err("twice").to_string();
        assert!(why.contains("each header once"), "{why}");
    }

    #[test]
    fn there_is_an_end_to_them() {
        let names: Vec<String> = (0..=TARGET_HEADERS_MAX).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert!(read(&many[1..], false).is_ok());
        assert!(read(&many, false).expect_err("too many").to_string().contains("at most 50 headers, got 51"));
        let long = "x".repeat(TARGET_HEADERS_LEN_MAX - 1);
        assert!(read(&[("a", &long)], false).is_ok());
        assert!(read(&[("abc", &long[2..])], false).is_ok());
        assert!(read(&[("ab", &long)], false).expect_err("too long").to_string().contains("bytes of names and values"));
    }

    #[test]
    fn names_are_the_same_in_any_case() {
        assert_eq!(any_case("te-1"), "[Tt][Ee]-1");
    }
}
