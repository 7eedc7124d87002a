//! Owns what a job POSTs to: a checked URL, and the target (scheme, host, port) it belongs to.
//! It must not resolve names or open connections.

use std::fmt;

use http::Uri;

use crate::limits::URL_LEN_MAX;

/// A URL that can be POSTed to: absolute, http or https, with a host, without credentials or fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetUrl {
    uri: Uri,
    /// What the client wrote, where the parsed form would print otherwise.
    written: Option<Box<str>>,
}

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
        let Ok(uri) = text.parse::<Uri>() else {
            return refuse("expected an absolute http or https URL such as \"https://example.com/hook\"");
        };
        match uri.scheme_str() {
            Some("http" | "https") => {}
            Some(other) => return refuse(&format!("expected the scheme http or https, got \"{other}\"")),
            None => return refuse("expected an absolute URL that starts with http:// or https://"),
        }
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
        let printed = uri.to_string();
        let written = (printed != text).then(|| text.into());
        Ok(TargetUrl { uri, written })
    }

    /// The parsed URL.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What is slow or down as a whole.
    pub fn target(&self) -> Target {
        let https = self.uri.scheme_str() == Some("https");
        let host = self.uri.host().expect("parse has checked that there is a host");
        let port = self.uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Target { https, host: host.to_ascii_lowercase().into(), port }
    }
}

impl fmt::Display for TargetUrl {
    /// The URL as the client wrote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(text) => f.write_str(text),
            None => self.uri.fmt(f),
        }
    }
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
        write!(f, "{}://{}:{}", if self.https { "https" } else { "http" }, self.host, self.port)
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
            ("http://exa\nmple.com/", "absolute"),
        ] {
            let error = TargetUrl::parse(url).expect_err(url).to_string();
            assert!(error.contains(why), "{url}: {error}");
        }
        let long = format!("http://example.com/{}", "a".repeat(URL_LEN_MAX));
        assert!(TargetUrl::parse(&long).expect_err("too long").to_string().contains("at most"));
    }
}
