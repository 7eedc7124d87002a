//! Owns what a job POSTs to: a checked URL, and the target (scheme, host, port) it belongs to.
//! It must not resolve names or open connections.

use std::fmt::{self, Write};

use http::Uri;

use crate::limits::URL_LEN_MAX;

const SCHEME_END: &str = "://";

/// A URL that can be POSTed to: absolute, http or https, with a host, without credentials or fragment. There may be a
/// million of them, so that only its text is kept, and where its parts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    /// What follows the scheme, in ASCII: what is not is percent-encoded, as a request line demands.
    text: Box<str>,
    /// What the client wrote, where that differs. Without control characters, which a log would hand on to a terminal.
    written: Option<Box<Box<str>>>,
    /// Where in it the path begins.
    path: u16,
    /// How long the host is, with which it begins.
    host: u16,
    port: u16,
    is_https: bool,
}

const _: () = assert!(URL_LEN_MAX * 3 < u16::MAX as usize, "wherever a part is, also if all before it is encoded");

impl TargetUrl {
    /// Checks a URL. The error completes "api: ..." and says what was expected.
    pub fn parse(text: &str) -> Result<TargetUrl, MalformedUrl> {
        let refuse = |why: &str| Err(MalformedUrl(why.to_owned()));
        if text.len() > URL_LEN_MAX {
            return refuse(&format!("expected at most {URL_LEN_MAX} bytes, got {}", text.len()));
        }
        if text.contains('#') {
            return refuse("expected a URL without a fragment (#), which is never sent to a server");
        }
        if text.chars().any(|c| c.is_ascii_control()) {
            return refuse("expected an absolute URL without control characters");
        }
        let authority = authority_of(text);
        if !authority.is_ascii() {
            return refuse("expected a host in ASCII; an international name is written with xn--");
        }
        if authority.contains('[') && authority.contains('%') {
            return refuse("expected an IPv6 address without a zone (%), which only one machine can understand");
        }
        let Ok(uri) = encoded(text, |c| !c.is_ascii()).parse::<Uri>() else {
            return refuse("expected an absolute http or https URL such as \"https://example.com/hook\"");
        };
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return refuse(&format!("expected the scheme http or https, got \"{other}\"")),
            None => return refuse("expected an absolute URL that starts with http:// or https://"),
        };
        let Some(authority) = uri.authority() else {
            return refuse("expected a host");
        };
        if authority.as_str().contains('@') {
            return refuse("expected a URL without user:password@, which would end up in logs");
        }
        if authority.host().is_empty() || authority.host() == "[]" {
            return refuse("expected a host");
        }
        // `Uri` reads a port that it cannot hold as no port at all.
        let after_host = &authority.as_str()[authority.host().len()..];
        if !after_host.is_empty() && authority.port_u16().unwrap_or(0) == 0 {
            return refuse("expected a port from 1 to 65535");
        }
        let (shown, parsed) = (encoded(text, char::is_control), uri.to_string());
        let place = |place: usize| u16::try_from(place).expect("a URL is not that long");
        let url = TargetUrl {
            path: place(authority.as_str().len()),
            host: place(authority.host().len()),
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            is_https,
            text: parsed[scheme(is_https).len() + SCHEME_END.len()..].into(),
            written: (parsed != shown).then(|| Box::new(shown.into())),
        };
        Ok(url)
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Host and port, as they stand in it.
    pub fn authority(&self) -> &str {
        &self.text[..usize::from(self.path)]
    }

    /// The host as it stands in it; an IPv6 address has brackets.
    pub fn host(&self) -> &str {
        &self.text[..usize::from(self.host)]
    }

    /// The port, explicit or the scheme's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as a request line has them; it begins with a slash.
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.path)..]
    }

    /// What is slow or down as a whole.
    pub fn target(&self) -> Target {
        Target { https: self.is_https, host: self.host().to_ascii_lowercase().into(), port: self.port }
    }
}

impl fmt::Display for TargetUrl {
    /// The URL as the client wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(text) => f.write_str(text),
            None => write!(f, "{}{SCHEME_END}{}", scheme(self.is_https), self.text),
        }
    }
}

fn scheme(is_https: bool) -> &'static str {
    if is_https { "https" } else { "http" }
}

/// What stands between the scheme and the path.
fn authority_of(text: &str) -> &str {
    let rest = text.split_once(SCHEME_END).map_or(text, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

/// The same, where some characters are percent-encoded.
fn encoded(text: &str, is_encoded: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if is_encoded(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                write!(encoded, "%{byte:02X}").expect("a string takes any text");
            }
        } else {
            encoded.push(c);
        }
    }
    encoded
}

/// Scheme, host and port: what is slow or down as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Whether the scheme is https.
    pub https: bool,
    /// The host in lower case; an IPv6 address keeps its brackets.
    pub host: Box<str>,
    /// The port, explicit or the scheme's own.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SCHEME_END}{}:{}", scheme(self.https), self.host, self.port)
    }
}

/// Why a URL cannot be POSTed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedUrl(String);

impl fmt::Display for MalformedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_unite_what_is_down_together() {
        for (url, target) in [
            ("https://localhost:4444/foo", "https://localhost:4444"),
            ("http://Example.COM", "http://example.com:80"),
            ("https://example.com/a?b=c", "https://example.com:443"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://127.0.0.1:9/x%20y", "http://127.0.0.1:9"),
        ] {
            let found = TargetUrl::parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            assert_eq!(found.target().to_string(), target);
            assert_eq!(found.to_string(), url);
        }
    }

    #[test]
    fn its_parts_are_those_that_a_parser_of_uris_finds() {
        for text in [
            "http://a",
            "https://a:1",
            "HTTP://a?b",
            "https://[::1]:8/c/d?e=/f:9@",
            "http://EXAMPLE.com:80",
            "https://x:443/?",
            "http://a/\u{fc}\u{1f600}",
            "http://b.c.d/%2f//..;x=y",
        ] {
            let (url, uri) =
                (TargetUrl::parse(text).unwrap(), encoded(text, |c| !c.is_ascii()).parse::<Uri>().unwrap());
            assert_eq!(
                (Some(url.authority()), Some(url.host())),
                (uri.authority().map(|all| all.as_str()), uri.host())
            );
            let port = uri.port_u16().unwrap_or(if url.is_https() { 443 } else { 80 });
            assert_eq!((url.port(), url.is_https()), (port, uri.scheme_str() == Some("https")), "{text}");
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            assert_eq!(url.path(), format!("{}{query}", uri.path()), "{text}");
        }
    }

    #[test]
    fn a_request_line_is_ascii_and_a_log_gets_no_control_characters() {
        let url = TargetUrl::parse("http://example.com/\u{fc}?\u{9b}31m=\u{1f600}").unwrap();
        assert_eq!(url.path(), "/%C3%BC?%C2%9B31m=%F0%9F%98%80");
        assert_eq!(url.to_string(), "http://example.com/\u{fc}?%C2%9B31m=\u{1f600}");
        // What is stored is read again, and is the same.
        assert_eq!(TargetUrl::parse(&url.to_string()), Ok(url));
    }

    #[test]
    fn what_cannot_be_posted_to_is_refused_with_the_reason() {
        for (url, why) in [
            ("", "absolute"),
            ("/foo", "starts with http"),
            ("example.com/foo", "absolute"),
            ("ftp://example.com/", "scheme http or https"),
            ("http://", "absolute"),
            ("http://:80/", "host"),
            ("http://[]/", "host"),
            ("http://user:secret@example.com/", "without user:password@"),
            ("http://example.com:0/", "port from 1"),
            ("http://example.com:65536/", "port from 1"),
            ("http://example.com:/", "port from 1"),
            ("http://example.com/#top", "fragment"),
            ("http://example.com/a b", "absolute"),
            ("http://exa\nmple.com/", "control characters"),
            ("http://example.com/\x7f", "control characters"),
            ("http://ex\u{e4}mple.com/", "xn--"),
            ("http://[fe80::1%25eth0]/", "without a zone"),
            ("http://[fe80::1%eth0]:80/", "without a zone"),
        ] {
            let error = TargetUrl::parse(url).expect_err(url).to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
        let begin = "http://example.com/";
        let longest = format!("{begin}{}", "a".repeat(URL_LEN_MAX - begin.len()));
        assert_eq!(TargetUrl::parse(&longest).map(|url| url.to_string()).as_ref(), Ok(&longest));
        assert!(TargetUrl::parse(&format!("{longest}a")).expect_err("too long").to_string().contains("at most"));
    }
}
