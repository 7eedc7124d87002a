//! Owns what a channel of e-mail is: by which server, from whom, to whom.
//! It must not speak to a server.

use std::fmt;
use std::net::IpAddr;

use crate::job::{FieldError, Secret};
use crate::limits::{MAIL_ADDRESS_LEN_MAX, MAIL_ADDRESSES_MAX, MAIL_USERNAME_LEN_MAX, URL_LEN_MAX};

/// By which server letters go, from whom, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Who takes the letters.
    pub server: MailServer,
    /// As whom.
    pub login: Option<Login>,
    /// Whom they are from.
    pub from: MailAddress,
    /// Whom they go to; at least one.
    pub to: Box<[MailAddress]>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address, in lower case and without brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub privacy: Privacy,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Encrypted from the first byte on.
    Tls,
    /// Encrypted before anything is said; otherwise nothing is.
    StartTls,
    /// In clear, as it is on this machine.
    Local,
}

/// As whom a server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub username: Box<str>,
    /// What proves it.
    pub password: Secret,
}

/// An address that a letter can go to: printable ASCII without anything that has a meaning in a command or a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAddress(Box<str>);

impl MailAddress {
    /// Reads an address; `member` is named in the error.
    pub(super) fn parse(member: &'static str, text: &str) -> Result<MailAddress, FieldError> {
        let is_plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"@".contains(c);
        let of_domain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let fits = text.len() <= MAIL_ADDRESS_LEN_MAX
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.chars().all(is_plain)
                    && domain.chars().all(of_domain)
                    && domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
            });
        if fits {
            return Ok(MailAddress(text.into()));
        }
        let shown: String = text.chars().take(MAIL_ADDRESS_LEN_MAX).collect();
        let why = format_args!(
            "expected an address such as ops@example.com, in ASCII and of at most {MAIL_ADDRESS_LEN_MAX} bytes, got {shown:?}"
        );
        Err(FieldError::new(member, why))
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl MailServer {
    /// Reads where a mail server is.
    pub(super) fn parse(text: &str) -> Result<MailServer, FieldError> {
        let refuse = |why: &str| Err(FieldError::new("url", why));
        if text.len() > URL_LEN_MAX {
            return refuse(&format!("expected at most {URL_LEN_MAX} bytes, got {}", text.len()));
        }
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("smtp") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("smtps") => (true, rest),
            Some(_) | None => return refuse("expected smtp://HOST:PORT or smtps://HOST:PORT with the kind email"),
        };
        if rest.contains('@') {
            return refuse("expected no user or password in it: they are username and password");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((address, port))) => (address, port),
            Some(None) => return refuse("expected a bracket behind the IPv6 address"),
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let port = match port.strip_prefix(':').map(str::parse) {
            None if port.is_empty() => {
                if tls {
                    465
                } else {
                    587
                }
            }
            Some(Ok(port)) if port > 0 => port,
            None | Some(Ok(_) | Err(_)) => return refuse("expected a port from 1 to 65535, and nothing behind it"),
        };
        let host = host.to_ascii_lowercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
        if host.is_empty() || !(host.chars().all(is_name) || host.parse::<IpAddr>().is_ok()) {
            return refuse("expected a host: a name in ASCII, or an address");
        }
        let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let privacy = match (tls, is_local) {
            (true, _) => Privacy::Tls,
            (false, true) => Privacy::Local,
            (false, false) => Privacy::StartTls,
        };
        Ok(MailServer { host: host.into(), port, privacy })
    }
}

impl fmt::Display for MailServer {
    /// As it was given, with its port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.privacy {
            Privacy::Tls => "smtps",
            Privacy::StartTls | Privacy::Local => "smtp",
        };
        let MailServer { host, port, privacy: _ } = self;
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// Reads whom letters go to.
pub(super) fn recipients(given: Option<&[String]>) -> Result<Box<[MailAddress]>, FieldError> {
    let given = given.unwrap_or_default();
    if !(1..=MAIL_ADDRESSES_MAX).contains(&given.len()) {
        let why = format_args!("expected 1 to {MAIL_ADDRESSES_MAX} addresses, got {}", given.len());
        return Err(FieldError::new("to", why));
    }
    given.iter().map(|text| MailAddress::parse("to", text)).collect()
}

/// Reads the name that a server is told.
pub(super) fn username(text: &str) -> Result<Box<str>, FieldError> {
    if (1..=MAIL_USERNAME_LEN_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(text.into());
    }
    let why = format_args!("expected 1 to {MAIL_USERNAME_LEN_MAX} bytes without control characters");
    Err(FieldError::new("username", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_where_its_url_says_and_spoken_to_in_clear_only_on_this_machine() {
        for (url, shown, privacy) in [
            ("smtp://mail.example.com", "smtp://mail.example.com:587", Privacy::StartTls),
            ("SMTP://Mail.Example.com:25/", "smtp://mail.example.com:25", Privacy::StartTls),
            ("smtps://mail.example.com", "smtps://mail.example.com:465", Privacy::Tls),
            ("smtps://localhost:2465", "smtps://localhost:2465", Privacy::Tls),
            ("smtp://localhost:25", "smtp://localhost:25", Privacy::Local),
            ("smtp://127.0.0.9", "smtp://127.0.0.9:587", Privacy::Local),
            ("smtp://[::1]:25", "smtp://[::1]:25", Privacy::Local),
            ("smtp://[2001:db8::1]", "smtp://[2001:db8::1]:587", Privacy::StartTls),
            ("smtp://localhost.example.com", "smtp://localhost.example.com:587", Privacy::StartTls),
        ] {
            let server = MailServer::parse(url).expect(url);
            assert_eq!((server.to_string().as_str(), server.privacy), (shown, privacy), "{url}");
        }
        for (url, why) in [
            ("", "expected smtp://"),
            ("mail.example.com", "expected smtp://"),
            ("https://mail.example.com", "expected smtp://"),
            ("smtp://", "expected a host"),
            ("smtp://:25", "expected a host"),
            ("smtp://me:secret@mail", "expected no user or password"),
            ("smtp://mail:0", "expected a port"),
            ("smtp://mail:65536", "expected a port"),
            ("smtp://mail:", "expected a port"),
            ("smtp://mail:25/path", "expected a port"),
            ("smtp://[::1", "expected a bracket"),
            ("smtp://[::1]25", "expected a port"),
            ("smtp://a b", "expected a host"),
            ("smtp://a\r\nb", "expected a host"),
            ("smtp://mail/path", "expected a host"),
        ] {
            let error = MailServer::parse(url).expect_err(url).to_string();
            assert!(error.starts_with(&format!("url: {why}")), "{url}: {error}");
        }
    }

    #[test]
    fn an_address_has_nothing_that_could_end_a_command_or_a_header() {
        for text in ["a@b", "ops+night@example.com", "o'brien@sub.example-1.org", "a.b_c@x.y.z"] {
            assert_eq!(MailAddress::parse("to", text).expect(text).to_string(), text);
        }
        let long = format!("{}@example.com", "a".repeat(MAIL_ADDRESS_LEN_MAX));
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b c",
            "a\r\nRCPT TO:<x@y>@b",
            "a@b\r\n",
            "<a@b>",
            "a@b>",
            "\"a\"@b",
            "a@[1.2.3.4]",
            "a@b..c",
            "a@-b",
            "\u{fc}@b",
            "a@\u{fc}",
            "A <a@b>",
            "a@b,c@d",
            &long,
        ] {
            let error = MailAddress::parse("from", text).expect_err(text).to_string();
            assert!(error.starts_with("from: expected an address such as"), "{error}");
        }
    }
}
