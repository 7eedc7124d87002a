//! Owns the value of a flag: numbers within bounds, and the error for what is not valid.
//! It must not know which flags there are.

use std::fmt;
use std::path::PathBuf;

/// A value that is not valid: which flag, what it was given, what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidFlag {
    flag: &'static str,
    /// Not where it may be secret.
    value: Option<String>,
    expected: String,
    has_environment: bool,
}

impl InvalidFlag {
    /// The error for a flag that is given on the command line only.
    pub(super) fn new(flag: &'static str, value: &str, expected: &str) -> InvalidFlag {
        let expected = expected.trim_start_matches("expected ").to_owned();
        InvalidFlag { flag, value: Some(value.to_owned()), expected, has_environment: false }
    }

    /// The same of a value that may be secret: it is not repeated.
    pub(super) fn secret(flag: &'static str, expected: &str) -> InvalidFlag {
        InvalidFlag { value: None, ..InvalidFlag::new(flag, "", expected) }
    }

    /// The same for a flag whose value may come from the environment.
    pub(super) fn with_environment(self) -> InvalidFlag {
        InvalidFlag { has_environment: true, ..self }
    }

    /// The name of the flag without dashes.
    pub(super) fn key(&self) -> &'static str {
        self.flag.trim_start_matches('-')
    }

    /// The error, where the value is from this place of a file, if it is.
    pub(super) fn told(&self, place: Option<&str>) -> String {
        place.map_or_else(|| self.to_string(), |place| format!("{place}: {}: {}", self.key(), self.fault()))
    }

    fn fault(&self) -> String {
        let got = self.value.as_ref().map(|value| format!(", got {value:?}")).unwrap_or_default();
        format!("expected {}{got}", self.expected)
    }
}

impl fmt::Display for InvalidFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidFlag { flag, has_environment, .. } = self;
        write!(f, "{flag}: {}", self.fault())?;
        if *has_environment { write!(f, " (environment: {})", environment_of(flag)) } else { Ok(()) }
    }
}

/// `--retry-delay-ms` is `PUNCTUAL_RETRY_DELAY_MS`.
pub(super) fn environment_of(flag: &str) -> String {
    format!("PUNCTUAL_{}", flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase())
}

/// The SQLite file of a server, unless somebody names another.
pub(super) const FILE_DEFAULT: &str = "./data/punctual.db";

/// The file that a command is about. Where `PUNCTUAL_STORE` names a database on PostgreSQL and nobody names a file, the one that
/// has always been there, or would be made, is hardly what is meant.
pub(super) fn file_meant(named: Option<&PathBuf>) -> Result<PathBuf, String> {
    match named {
        Some(named) => Ok(named.clone()),
        None if std::env::var_os("PUNCTUAL_STORE").is_some_and(|url| !url.is_empty()) => {
            Err("PUNCTUAL_STORE names a database on PostgreSQL, and this command is for files: there POST /api/tokens \
                 makes tokens, and pg_dump backups; if a file is meant, --db names it"
                .to_owned())
        }
        None => Ok(FILE_DEFAULT.into()),
    }
}

/// A whole number within bounds, both included.
pub(super) fn number(flag: &'static str, text: &str, least: u32, most: u32) -> Result<u32, InvalidFlag> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| InvalidFlag::new(flag, text, &format!("a number from {least} to {most}")))
}

/// What is wrong with a command line, in one line.
pub(super) fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    // Some errors name what they are about in a list below.
    if first.ends_with(':') { format!("{first} {}", lines.next().unwrap_or_default().trim()) } else { first }
}
