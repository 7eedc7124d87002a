//! Owns the URL of a database: which hosts, as whom, and how carefully.
//! It must not open a file or a connection, nor show a password: what stands before the path is never repeated in an error.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::bounds::{CONNECT_TIME, CONNECT_TIME_MAX, HOSTS_MAX};
use super::error::Error;
use super::origin::Origin;
use crate::limits::URL_LEN_MAX;

/// Where a database is, and how to log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    pub(super) hosts: Vec<Host>,
    pub(super) user: String,
    pub(super) password: Option<Password>,
    /// Where passwords are looked up if there is none.
    pub(super) password_file: Option<PathBuf>,
    pub(super) database: String,
    /// None: by the host.
    pub(super) tls: Option<Tls>,
    /// The certificates to trust. None: those of the machine.
    pub(super) root_file: Option<PathBuf>,
    pub(super) binding: Binding,
    /// How long one host may take.
    pub(super) connect_timeout: Duration,
    pub(super) application_name: Option<String>,
    pub(super) options: Option<String>,
    pub(super) writes: bool,
    /// Which server is meant, once one was used.
    pub(super) origin: Origin,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) place: Place,
    pub(super) port: u16,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A name or an address.
    Network(String),
    /// The folder of its unix socket.
    Folder(PathBuf),
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// It is not.
    Disable,
    /// It is, to whomever is there.
    Require,
    /// It is, to the host that is meant.
    VerifyFull,
}

/// Whether the login is bound to the encrypted connection, so that nobody in between can pass it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// It is not.
    Disable,
    /// Where the server can.
    Prefer,
    /// Or else there is no connection.
    Require,
}

/// Keeps a password out of what is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub(super) String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What those forget who type a password.
const ENCODED: &str = "in a password `/`, `?`, `:`, `@` and `%` must be percent-encoded";

/// The parameters that are known.
const PARAMETERS: &str = "host, port, sslmode, sslrootcert, channel_binding, connect_timeout, application_name, options, \
                          passfile, target_session_attrs";

impl Url {
    /// Reads `postgres://user:password@host1:5432,host2:5433/database?sslmode=...`. What it does not say comes from the
    /// variables `PGUSER`, `PGPASSWORD` and `PGPASSFILE`.
    ///
    /// # Errors
    /// Which part is wrong, and what was expected.
    pub fn parse(text: &str) -> Result<Url, Error> {
        Url::parse_with(text, |name| env::var(name).ok().filter(|value| !value.is_empty())).map_err(Error::Url)
    }

    /// How many hosts it names.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// The same, for sessions that the server shows under this name.
    #[must_use]
    pub fn with_application_name(mut self, name: &str) -> Url {
        self.application_name = Some(name.to_owned());
        self
    }

    /// The same with these variables.
    pub(super) fn parse_with(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Url, String> {
        if text.len() > URL_LEN_MAX {
            return Err(format!("it is longer than {URL_LEN_MAX} bytes"));
        }
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or("expected it to begin with postgres:// or postgresql://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if [database, query].iter().any(|part| part.contains('@')) {
            // What stands there may be a piece of a password.
            return Err(format!("expected no @ behind the hosts, but percent-encoded ({ENCODED})"));
        }
        let (login, listed) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded("password", password)?)),
            None => (login, None),
        };
        let user = Some(decoded("user", user)?).filter(|user| !user.is_empty());
        let user = user.or_else(|| variable("PGUSER")).or_else(|| variable("USER"));
        let user = user.ok_or("user: expected postgres://USER@..., or the variable PGUSER")?;
        let database = Some(decoded("database", database)?).filter(|name| !name.is_empty());

        let mut url = Url {
            hosts: Vec::new(),
            database: database.unwrap_or_else(|| user.clone()),
            user,
            password: password.or_else(|| variable("PGPASSWORD")).map(Password),
            password_file: variable("PGPASSFILE").map(PathBuf::from),
            tls: None,
            root_file: None,
            binding: Binding::Prefer,
            connect_timeout: CONNECT_TIME,
            application_name: None,
            options: None,
            writes: true,
            origin: Origin::default(),
        };
        let (mut hosts, mut ports) = (None, None);
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let name = decoded("a parameter's name", name)?;
            let value = decoded(&name, value)?;
            match name.as_str() {
                "host" => hosts = Some(value),
                "port" => ports = Some(value),
                _ => url.set(&name, value)?,
            }
        }
        url.hosts = match hosts {
            Some(_) if !listed.is_empty() => return Err("host: it stands before the path already".to_owned()),
            Some(hosts) => listed_apart(&hosts, ports.as_deref())?,
            None if ports.is_some() => return Err("port: expected it behind its host, as host:port".to_owned()),
            None => listed.split(',').map(host).collect::<Result<_, _>>()?,
        };
        url.check()?;
        Ok(url)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        let unexpected = |expected: &str| Err(format!("{name}: expected {expected}"));
        match (name, value.as_str()) {
            ("sslmode", "disable") => self.tls = Some(Tls::Disable),
            ("sslmode", "require") => self.tls = Some(Tls::Require),
            ("sslmode", "verify-full") => self.tls = Some(Tls::VerifyFull),
            ("sslmode", "prefer" | "allow") => {
                return unexpected(
                    "disable or verify-full: prefer and allow go on in clear when somebody asks for that",
                );
            }
            ("sslmode", "verify-ca") => {
                return unexpected("verify-full: verify-ca takes the certificate of any host");
            }
            ("sslmode", _) => return unexpected("disable, require or verify-full"),
            ("sslrootcert", "" | "system") => self.root_file = None,
            ("sslrootcert", _) => self.root_file = Some(PathBuf::from(value)),
            ("channel_binding", "disable") => self.binding = Binding::Disable,
            ("channel_binding", "prefer") => self.binding = Binding::Prefer,
            ("channel_binding", "require") => self.binding = Binding::Require,
            ("channel_binding", _) => return unexpected("disable, prefer or require"),
            ("connect_timeout", _) => {
                let seconds = value.parse().ok().map(Duration::from_secs);
                let range = Duration::from_secs(1)..=CONNECT_TIME_MAX;
                match seconds.filter(|time| range.contains(time)) {
                    Some(time) => self.connect_timeout = time,
                    None => return unexpected(&format!("1 to {} seconds", CONNECT_TIME_MAX.as_secs())),
                }
            }
            ("application_name", _) => self.application_name = Some(value),
            ("options", _) => self.options = Some(value),
            ("passfile", _) => self.password_file = Some(PathBuf::from(value)),
            ("target_session_attrs", "any") => self.writes = false,
            ("target_session_attrs", "read-write") => self.writes = true,
            ("target_session_attrs", _) => return unexpected("any or read-write"),
            _ => return Err(format!("unknown parameter {name:?}: expected one of {PARAMETERS}")),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.hosts.len() > HOSTS_MAX {
            return Err(format!("host: expected no more than {HOSTS_MAX}"));
        }
        for host in &self.hosts {
            let tls = self.tls_of(host);
            if tls == Tls::Disable && self.binding == Binding::Require {
                return Err("channel_binding: it needs sslmode=verify-full or require".to_owned());
            }
            if matches!(host.place, Place::Folder(_)) && tls != Tls::Disable {
                return Err("sslmode: a unix socket is not encrypted".to_owned());
            }
            if tls == Tls::Require && self.root_file.is_some() {
                return Err(
                    "sslmode: require checks no certificate, so sslrootcert would not count; use verify-full".into()
                );
            }
        }
        Ok(())
    }

    /// Whether the connection to a host is encrypted. What leaves no machine need not be.
    pub(super) fn tls_of(&self, host: &Host) -> Tls {
        let is_near = match &host.place {
            Place::Folder(_) => true,
            Place::Network(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        };
        self.tls.unwrap_or(if is_near { Tls::Disable } else { Tls::VerifyFull })
    }
}

impl fmt::Display for Url {
    /// As whom, where; never the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = if self.password.is_some() { ":***" } else { "" };
        write!(f, "postgres://{}{password}@", self.user.escape_debug())?;
        for (place, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if place > 0 { "," } else { "" })?;
        }
        write!(f, "/{}", self.database.escape_debug())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Network(name) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Place::Network(name) => write!(f, "{name}:{}", self.port),
            Place::Folder(folder) => write!(f, "{}:{}", folder.display(), self.port),
        }
    }
}

/// A host as it stands before the path.
fn host(text: &str) -> Result<Host, String> {
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("host: expected a ] behind an address in brackets")?;
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').ok_or("host: expected :port or nothing behind an address in brackets")?),
        };
        if name.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("host: expected an IPv6 address in the brackets".to_owned());
        }
        (name, port)
    } else {
        text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)))
    };
    place(&decoded("host", name)?, port.unwrap_or_default())
}

/// Hosts as the parameters `host` and `port` list them: one port for all, or one for each.
fn listed_apart(hosts: &str, ports: Option<&str>) -> Result<Vec<Host>, String> {
    let ports: Vec<&str> = ports.unwrap_or_default().split(',').collect();
    let hosts: Vec<&str> = hosts.split(',').collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err("port: expected one, or one for each host".to_owned());
    }
    hosts.iter().zip(ports.iter().cycle()).map(|(host, port)| place(host, port)).collect()
}

fn place(name: &str, port: &str) -> Result<Host, String> {
    // What was said is not repeated: it may be a piece of a password.
    let port = match port {
        "" => 5432,
        _ => {
            let number = port.parse().ok().filter(|port| *port != 0);
            number.ok_or_else(|| format!("port: expected a number from 1 to 65535 ({ENCODED})"))?
        }
    };
    let place = match name {
        "" => return Err("host: expected a name, an address, or ?host=/folder/of/the/socket".to_owned()),
        _ if name.starts_with('/') => Place::Folder(PathBuf::from(name)),
        _ => Place::Network(name.to_owned()),
    };
    Ok(Host { place, port })
}

/// A part without its percent-encoding.
fn decoded(part: &str, text: &str) -> Result<String, String> {
    let malformed = || format!("{}: expected two hexadecimal digits behind %", part.escape_debug());
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, others @ ..] = rest else { return Err(malformed()) };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(malformed);
        bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
        rest = others;
    }
    let decoded = String::from_utf8(bytes).map_err(|_| format!("{}: expected UTF-8", part.escape_debug()))?;
    if decoded.contains('\0') {
        return Err(format!("{}: expected no zero byte", part.escape_debug()));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Url, String> {
        Url::parse_with(text, |_| None)
    }

    fn hosts(text: &str) -> Vec<String> {
        parsed(text).expect(text).hosts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_parts_are_read() {
        let text = "postgresql://me%40x:p%3Aw%2F@db1.test,[::1]:5433,%2Frun%2Fpg:7/the%20base?sslmode=disable\
                    &connect_timeout=3&application_name=a%26b&options=-c%20a%3Db&target_session_attrs=any\
                    &channel_binding=disable&passfile=%2Fp";
        let url = parsed(text).expect(text);
        assert_eq!((url.user.as_str(), url.database.as_str()), ("me@x", "the base"));
        assert_eq!(url.password, Some(Password("p:w/".to_owned())));
        assert_eq!(url.connect_timeout, Duration::from_secs(3));
        assert_eq!(url.application_name.as_deref(), Some("a&b"));
        assert_eq!(url.options.as_deref(), Some("-c a=b"));
        assert_eq!((url.binding, url.writes, url.tls), (Binding::Disable, false, Some(Tls::Disable)));
        assert_eq!(url.password_file, Some(PathBuf::from("/p")));
        assert_eq!(hosts(text), ["db1.test:5432", "[::1]:5433", "/run/pg:7"]);
        assert_eq!(hosts("postgres://me@/base?host=/var/run/postgresql"), ["/var/run/postgresql:5432"]);
        assert_eq!(hosts("postgres://me@?host=a,/b&port=1,2"), ["a:1", "/b:2"]);
        assert_eq!(hosts("postgres://me@?host=a,b&port=7"), ["a:7", "b:7"]);
    }

    #[test]
    fn what_is_not_said_has_a_default_or_comes_from_the_environment() {
        let url = parsed("postgres://me@db.test").expect("a URL");
        assert_eq!((url.database.as_str(), url.password.as_ref(), url.writes), ("me", None, true));
        assert_eq!((url.binding, url.tls_of(&url.hosts[0])), (Binding::Prefer, Tls::VerifyFull));
        for near in ["localhost", "127.0.0.1", "[::1]", "%2Ftmp"] {
            let url = parsed(&format!("postgres://me@{near}")).expect(near);
            assert_eq!(url.tls_of(&url.hosts[0]), Tls::Disable, "{near}");
        }
        let variable = |name: &str| Some(format!("of {name}"));
        let url = Url::parse_with("postgres://db.test/", variable).expect("a URL");
        assert_eq!((url.user.as_str(), url.password), ("of PGUSER", Some(Password("of PGPASSWORD".to_owned()))));
        assert_eq!(url.password_file, Some(PathBuf::from("of PGPASSFILE")));
        let url = Url::parse_with("postgres://me:mine@db.test/?passfile=/mine", variable).expect("a URL");
        assert_eq!((url.user.as_str(), url.password), ("me", Some(Password("mine".to_owned()))));
        assert_eq!(url.password_file, Some(PathBuf::from("/mine")));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = parsed("postgres://me:planted@db1.test,[::1]:1/base").expect("a URL");
        assert_eq!(url.to_string(), "postgres://me:***@db1.test:5432,[::1]:1/base");
        assert_eq!(format!("{url:?} {:?}", url.password), format!("Url({url}) Some(***)"));
        // Characters that should have been encoded put pieces of it elsewhere.
        for text in [
            "postgres://me:pla/nted@db.test/base",
            "postgres://me:pla?nted@db.test/base",
            "postgres://me:pla%nted@db.test/base",
            "postgres://me:pla@nted@db.test:x/base",
            "postgres://me:pla:nted@[db.test/base",
            "postgres://me:1/pla@nted/base",
            "postgres://me@x:1?pla&nted@db.test/base",
        ] {
            let why = Url::parse_with(text, |_| Some("set".to_owned())).expect_err(text);
            assert!(!why.contains("pla") && !why.contains("nted"), "{text}: {why}");
        }
    }

    #[test]
    fn errors_name_the_part_and_what_was_expected() {
        for (text, expected) in [
            ("mysql://a@b", "expected it to begin with postgres:// or postgresql://"),
            ("postgres://db.test", "user: expected postgres://USER@..., or the variable PGUSER"),
            ("postgres://me@", "host: expected a name, an address, or ?host=/folder/of/the/socket"),
            ("postgres://me@a,,b", "host: expected a name"),
            ("postgres://me@[::1", "host: expected a ] behind"),
            ("postgres://me@[x]", "host: expected an IPv6 address"),
            ("postgres://me@[::1]x", "host: expected :port or nothing"),
            ("postgres://me@a:0", "port: expected a number from 1 to 65535"),
            ("postgres://me@a:65536", "port: expected a number from 1 to 65535"),
            ("postgres://me@a/%zz", "database: expected two hexadecimal digits"),
            ("postgres://me@a/%ff", "database: expected UTF-8"),
            ("postgres://me@a/%00", "database: expected no zero byte"),
            ("postgres://me@a?host=b", "host: it stands before the path already"),
            ("postgres://me@a?port=1", "port: expected it behind its host"),
            ("postgres://me@?host=a,b,c&port=1,2", "port: expected one, or one for each host"),
            ("postgres://me@a?sslmode=prefer", "sslmode: expected disable or verify-full"),
            ("postgres://me@a?sslmode=allow", "sslmode: expected disable or verify-full"),
            ("postgres://me@a?sslmode=verify-ca", "sslmode: expected verify-full"),
            ("postgres://me@a?sslmode=no", "sslmode: expected disable, require or verify-full"),
            ("postgres://me@a?sslmode=require&sslrootcert=/a", "sslmode: require checks no certificate"),
            ("postgres://me@?host=/a&sslmode=verify-full", "sslmode: a unix socket is not encrypted"),
            ("postgres://me@localhost?channel_binding=require", "channel_binding: it needs sslmode"),
            ("postgres://me@a?channel_binding=x", "channel_binding: expected disable, prefer or require"),
            ("postgres://me@a?connect_timeout=0", "connect_timeout: expected 1 to"),
            ("postgres://me@a?target_session_attrs=primary", "target_session_attrs: expected any or read-write"),
            ("postgres://me@a?ssl=true", "unknown parameter \"ssl\": expected one of host, port, sslmode"),
        ] {
            let why = parsed(text).expect_err(text);
            assert!(why.starts_with(expected), "{text}: {why}");
        }
        let many = format!("postgres://me@{}", ["a"; HOSTS_MAX + 1].join(","));
        assert!(parsed(&many).expect_err("many").contains("no more than"));
    }
}
