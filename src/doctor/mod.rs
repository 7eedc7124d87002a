//! Owns the look at a machine and a configuration before anybody relies on them: what was found, how bad it is, what to do.
//! It must not leave anything behind, decide for the server, or print.
//!
//! In reading order: `clock` (whether it is synchronised, and by which rules it is read), `system` (open files, memory), `disk`
//! (the database's folder: whether it can be written, how long that takes, what is left) or `database` (the PostgreSQL server), `ports` (where the API listens),
//! `names` (what is looked up, and who is trusted), `secrets` (files that others must not read, the certificate's end);
//! `asking` is how long others have to answer.

mod asking;
mod clock;
mod database;
mod disk;
mod names;
mod ports;
mod secrets;
mod system;

use std::path::Path;

use crate::config::Config;
use crate::server;
use crate::store::Location;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it is to be.
    Ok,
    /// The server runs, but not as well as it could; or it is not known.
    Warn,
    /// The server does not start, or breaks a promise.
    Fail,
}

impl Level {
    /// Its name, as it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warn => "WARN",
            Level::Fail => "FAIL",
        }
    }
}

/// What was found about one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What was looked at, such as `clock`.
    pub check: &'static str,
    /// How it stands.
    pub level: Level,
    /// What was found, in a sentence.
    pub found: String,
    /// What to do; None if there is nothing to do.
    pub advice: Option<String>,
    /// Numbers for programs, by names that say their unit.
    pub figures: Vec<(&'static str, f64)>,
}

impl Finding {
    /// All is as it is to be.
    fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, level: Level::Ok, found: found.into(), advice: None, figures: Vec::new() }
    }

    fn warn(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Warn, advice: Some(advice.into()), ..Finding::ok(check, found) }
    }

    fn fail(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { level: Level::Fail, advice: Some(advice.into()), ..Finding::ok(check, found) }
    }

    fn with(self, figures: &[(&'static str, f64)]) -> Finding {
        Finding { figures: figures.to_vec(), ..self }
    }
}

/// What is wrong with a configuration that no server starts with, a finding for each fault.
pub fn refused(faults: &[String]) -> Vec<Finding> {
    let advice = "put it right; `punctual serve --check` says the same";
    faults.iter().map(|fault| Finding::fail("configuration", fault.clone(), advice)).collect()
}

/// Looks at everything, one thing after the other, and tells each finding as it is made. `contexts` is the file with the
/// tokens of whoever asks, wherever that is.
pub fn examine(config: &Config, contexts: Option<&Path>, mut tell: impl FnMut(Finding)) {
    let faults: Vec<String> = server::check(config).iter().map(ToString::to_string).collect();
    if faults.is_empty() {
        tell(Finding::ok("configuration", "it is valid, and so are the files it names"));
    }
    refused(&faults).into_iter().for_each(&mut tell);
    tell(clock::synchronised());
    tell(clock::zone_data());
    tell(system::open_files(config));
    tell(system::memory(config));
    let file = config.store.file();
    file.iter().for_each(|path| disk::examine(path, config.keep.bytes, &mut tell));
    let has_nodes =
        if let Location::Server { url, .. } = &config.store { database::examine(url, &mut tell) } else { false };
    let is_in_use = has_nodes || file.is_some_and(|path| disk::database(path, &mut tell));
    let by_default = if config.listen.is_empty() { ports::by_default(config.tls.is_some()) } else { None };
    config.listen.iter().chain(&by_default).for_each(|listen| tell(ports::listen(listen, is_in_use)));
    names::resolver(config).into_iter().for_each(&mut tell);
    tell(names::roots(config));
    if let Some(files) = &config.tls {
        tell(secrets::certificate(files));
    }
    secrets::files(config, contexts).into_iter().for_each(&mut tell);
}
