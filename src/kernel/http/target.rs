//! Owns the forms of a request target and its split into path, query and authority.
//! It must not decode escapes: routes are matched on the path as sent, one segment at a time.

use super::{Method, Refusal};

/// A request target in its parts (RFC 9112, section 3.2).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestTarget {
    /// Starts with `/`, or is `*`.
    pub path: String,
    /// What follows the first `?`; empty when there is none.
    pub query: String,
    /// The host and port of a target in absolute form.
    pub authority: Option<String>,
}

/// Splits a request target.
///
/// # Errors
///
/// [`Refusal::TargetInvalid`] for a form that the method does not allow, for a fragment, and for
/// any byte that is not visible ASCII.
pub(super) fn parse(target: &str, method: Method) -> Result<RequestTarget, Refusal> {
    // A client keeps the fragment to itself, so its presence means that the two sides disagree on
    // what is asked for.
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::TargetInvalid);
    }
    if target.starts_with('/') {
        return Ok(split(target, None));
    }
    if target == "*" && method == Method::Options {
        return Ok(split(target, None));
    }
    absolute(target)
}

/// True when the text can be a host with an optional port: the characters of RFC 3986, section 3.2,
/// without user information. Empty is allowed, for a client that has no authority to name.
pub(super) fn is_host(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte))
}

/// Reads `http://host:port/path?query`. A server has to accept it from any client (RFC 9112,
/// section 3.2.2).
fn absolute(target: &str) -> Result<RequestTarget, Refusal> {
    let (scheme, rest) = target.split_once("://").ok_or(Refusal::TargetInvalid)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Refusal::TargetInvalid);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    // User information is refused with it: `@` is no part of a host (RFC 9110, section 4.2.4).
    if authority.is_empty() || !is_host(authority) {
        return Err(Refusal::TargetInvalid);
    }
    Ok(split(path, Some(authority.to_owned())))
}

fn split(path_and_query: &str, authority: Option<String>) -> RequestTarget {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    RequestTarget {
        // Only a target in absolute form can have no path, and then it means the root (RFC 9110,
        // section 4.2.3).
        path: if path.is_empty() { "/" } else { path }.to_owned(),
        query: query.to_owned(),
        authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_split_into_their_parts() {
        let cases = [
            ("/", Method::Get, "/", "", None),
            ("/a/b?c=d?e", Method::Get, "/a/b", "c=d?e", None),
            ("/?", Method::Get, "/", "", None),
            ("//host/a", Method::Get, "//host/a", "", None),
            ("/a://b", Method::Get, "/a://b", "", None),
            ("/%2e%2e/x", Method::Get, "/%2e%2e/x", "", None),
            ("*", Method::Options, "*", "", None),
            ("http://h", Method::Get, "/", "", Some("h")),
            ("HTTPS://h:8/p?q", Method::Get, "/p", "q", Some("h:8")),
            ("http://[::1]:80?q=/", Method::Get, "/", "q=/", Some("[::1]:80")),
        ];
        for (target, method, path, query, authority) in cases {
            let parts = parse(target, method).expect(target);
            assert_eq!(parts.path, path, "{target}");
            assert_eq!(parts.query, query, "{target}");
            assert_eq!(parts.authority.as_deref(), authority, "{target}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let targets = [
            "*",
            "a",
            "?q",
            "h:80",
            "http:/h/",
            "ftp://h/",
            "http://",
            "http:///a",
            "http://u@h/",
            "/a#b",
            "/a\u{e9}",
            "/a\u{7f}",
            "://h/",
        ];
        for target in targets {
            assert_eq!(parse(target, Method::Get), Err(Refusal::TargetInvalid), "{target}");
        }
        assert_eq!(parse("*?q", Method::Options), Err(Refusal::TargetInvalid));
    }
}
