//! Owns what is typed of where the API listens, and of what it encrypts with.
//! It must not open anything.

use std::path::PathBuf;

use super::flag::InvalidFlag;
use crate::config::{Listen, TlsFiles};
use crate::limits::LISTENERS_MAX;

const EXPECTED: &str = "an address and a port such as 127.0.0.1:3000 or [::1]:3000, or unix:/path/to.sock";

/// Both files, or none.
pub(super) fn tls_files(cert: Option<String>, key: Option<String>) -> Result<Option<TlsFiles>, InvalidFlag> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert: cert.into(), key: key.into() })),
        (Some(cert), None) => Err(invalid("--tls-cert", &cert, "--tls-key beside it")),
        (None, Some(key)) => Err(invalid("--tls-key", &key, "--tls-cert beside it")),
    }
}

/// Every address. What names no scheme speaks TLS if there is a certificate.
pub(super) fn addresses(typed: &[String], tls: Option<&TlsFiles>) -> Result<Vec<Listen>, InvalidFlag> {
    if typed.len() > LISTENERS_MAX {
        return Err(invalid("--listen", &typed.join(","), &format!("at most {LISTENERS_MAX} addresses")));
    }
    let all = typed.iter().map(|text| address(text, tls.is_some())).collect::<Result<Vec<_>, _>>()?;
    let encrypts = all.iter().any(|listen| matches!(listen, Listen::Tcp { over_tls: true, .. }));
    match tls {
        // Whoever gives a certificate believes that it protects something.
        Some(tls) if !encrypts && !all.is_empty() => {
            Err(invalid("--tls-cert", &tls.cert.to_string_lossy(), "a --listen that speaks TLS, as ADDRESS:PORT does"))
        }
        Some(_) | None => Ok(all),
    }
}

fn address(text: &str, has_tls: bool) -> Result<Listen, InvalidFlag> {
    if let Some(path) = text.strip_prefix("unix:") {
        // A relative one would be somewhere else after each start.
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(invalid("--listen", text, "the whole path of a socket such as unix:/run/punctual.sock"));
        }
        return Ok(Listen::Unix(PathBuf::from(path)));
    }
    let (over_tls, rest) = match text.split_once("://") {
        None => (has_tls, text),
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) if has_tls => (true, rest),
        Some(("https", _)) => return Err(invalid("--listen", text, "--tls-cert and --tls-key with https")),
        Some(_) => return Err(invalid("--listen", text, EXPECTED)),
    };
    let address = rest.parse().map_err(|_| invalid("--listen", text, EXPECTED))?;
    Ok(Listen::Tcp { address, over_tls })
}

/// The mode of unix sockets, as chmod(1) takes it.
pub(super) fn mode(text: &str) -> Result<u32, InvalidFlag> {
    let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| is_octal && mode <= 0o777);
    mode.ok_or_else(|| invalid("--listen-mode", text, "an octal mode such as 0660"))
}

fn invalid(flag: &'static str, value: &str, expected: &str) -> InvalidFlag {
    InvalidFlag::new(flag, value, expected).with_environment()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(typed: &[&str], tls: bool) -> Result<Vec<String>, String> {
        let files = TlsFiles { cert: "c.pem".into(), key: "k.pem".into() };
        let typed: Vec<String> = typed.iter().map(|&text| text.to_owned()).collect();
        let all = addresses(&typed, tls.then_some(&files)).map_err(|why| why.to_string())?;
        Ok(all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_names_no_scheme_speaks_tls_if_there_is_a_certificate() {
        let typed = ["127.0.0.1:3000", "http://[::1]:3001", "unix:/run/p.sock"];
        let plain = ["http://127.0.0.1:3000", "http://[::1]:3001", "unix:/run/p.sock"];
        assert_eq!(told(&typed, false).unwrap(), plain);
        assert_eq!(told(&typed, true).unwrap(), ["https://127.0.0.1:3000", plain[1], plain[2]]);
        assert_eq!(told(&["https://127.0.0.1:1"], true).unwrap(), ["https://127.0.0.1:1"]);
        assert_eq!(told(&[], true).unwrap(), [""; 0], "it is not known yet where it will be spoken");
        for (typed, tls, why) in [
            (&["https://127.0.0.1:1"][..], false, "--tls-cert and --tls-key with https"),
            (&["http://127.0.0.1:1", "unix:/a"], true, "--tls-cert: expected a --listen that speaks TLS"),
            (&["ftp://127.0.0.1:1"], false, "an address and a port"),
            (&["http://127.0.0.1:1/"], false, "an address and a port"),
            (&["unix:p.sock"], false, "the whole path of a socket"),
            (&["unix:/run/"], false, "the whole path of a socket"),
            (&["127.0.0.1:0"; LISTENERS_MAX + 1], false, "at most"),
        ] {
            let error = told(typed, tls).unwrap_err();
            assert!(error.contains(why), "{typed:?}: {error}");
        }
    }

    #[test]
    fn a_mode_is_octal_and_files_of_tls_come_in_pairs() {
        assert_eq!((mode("0660").unwrap(), mode("600").unwrap(), mode("0").unwrap()), (0o660, 0o600, 0));
        for text in ["", "660x", "0o660", "1777", "00660", "888", "-1", "+17"] {
            assert!(mode(text).unwrap_err().to_string().contains("an octal mode"), "{text}");
        }
        let file = || Some("f".to_owned());
        assert!(tls_files(None, None).unwrap().is_none() && tls_files(file(), file()).unwrap().is_some());
        for (cert, key, why) in [(file(), None, "--tls-key beside it"), (None, file(), "--tls-cert beside it")] {
            assert!(tls_files(cert, key).unwrap_err().to_string().contains(why));
        }
    }
}
