//! Owns the look at what a configuration names, before anything is started with it: files, keys, certificates, the zone.
//! It must not change anything, nor open the database: a server may be running on it, maybe this one.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use super::bootstrap;
use super::start::ServeError;
use super::tls::Identity;
use super::zones;
use crate::config::Config;
use crate::dispatch;
use crate::store::{DatabaseError, OpenError};
use crate::vault::Vault;

/// Everything that would keep a server from starting with this, as far as can be known without starting one.
pub fn check(config: &Config) -> Vec<ServeError> {
    let token = config.bootstrap_token_file.as_deref().map(bootstrap::check).transpose();
    let mut found = check_anew(config);
    found.extend(token.map_err(ServeError::Bootstrap).err());
    found
}

/// The same of a server that runs: the file of its first token is done with.
pub(super) fn check_anew(config: &Config) -> Vec<ServeError> {
    let identity = config.tls.as_ref().map(Identity::read).transpose().map_err(ServeError::TlsFile);
    let zone = zones::newest().get(&config.time_zone).map_err(|why| ServeError::TimeZone(why.message().to_owned()));
    let vault = config.secrets_key.as_deref().map(Vault::open_file).transpose().map_err(ServeError::SecretsKey);
    let found = [
        identity.err(),
        config.store.file().and_then(|path| database(path).err()),
        zone.err(),
        extra_roots(config).err(),
        vault.err(),
    ];
    found.into_iter().flatten().collect()
}

/// The certificates that are trusted beside those of the machine, each of them one that can be.
pub(super) fn extra_roots(config: &Config) -> Result<Vec<u8>, ServeError> {
    let Some(path) = &config.ca_file else { return Ok(Vec::new()) };
    let failed = |why| ServeError::CaFile(path.clone(), why);
    let text = fs::read(path).map_err(failed)?;
    dispatch::check_roots(&text).map_err(failed)?;
    Ok(text)
}

/// What is there must be a file. Nothing need be there.
fn database(path: &Path) -> Result<(), ServeError> {
    let unreadable = |why| ServeError::Store(DatabaseError::File(OpenError::Unreadable(path.to_owned(), why)));
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(unreadable(Error::new(ErrorKind::IsADirectory, "it is a folder"))),
        Ok(_) => Ok(()),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => Err(unreadable(why)),
    }
}
