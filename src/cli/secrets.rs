//! Owns the commands about the key that secrets are sealed with.
//! It must not know how they are sealed or where they are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::flag::file_meant;
use crate::store::{OpenError, ResealError, Resealed, Store};
use crate::vault::{self, KeyFileError, Vault};

/// What can be done with a key.
#[derive(Subcommand, Debug)]
pub enum SecretsCommand {
    /// Make a new key in a file that only you can read; an existing file is never overwritten
    ///
    /// Start the server with `--secrets-key FILE` afterwards. Keep a copy of the file apart from the database and its
    /// backups: whoever has both can read the secrets, and without the key nobody can, nor does the server start.
    Init {
        /// Where the key is to be
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Seal the secrets of a database with another key; the server must be stopped
    ///
    /// All of them are sealed anew, or none. Then the database is written anew, so that nothing is left in it that the
    /// old key opens; this takes as much room again as the database, twice. If it is broken off, do the same again.
    /// Backups from before still need the old key.
    Rotate {
        /// The SQLite file; unless given, ./data/punctual.db
        #[arg(long, env = "PUNCTUAL_DB", value_name = "FILE")]
        db: Option<PathBuf>,
        /// The file with the key that the secrets are sealed with now; unless given, the systemd credential
        #[arg(long, env = "PUNCTUAL_SECRETS_KEY", value_name = "FILE")]
        secrets_key: Option<PathBuf>,
        /// The file with the key that they are to be sealed with; it is made if missing, and never overwritten
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Print what was done as a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked for, and says what to do next.
pub(super) fn run(command: &SecretsCommand) -> Result<(), SecretsError> {
    match command {
        SecretsCommand::Init { file } => init(file),
        SecretsCommand::Rotate { db, secrets_key, to, json } => {
            let old = secrets_key.clone().or_else(vault::credential).ok_or(SecretsError::NoKey)?;
            let db = file_meant(db.as_ref()).map_err(SecretsError::NoFile)?;
            rotate(&db, &old, to, *json)
        }
    }
}

fn init(file: &Path) -> Result<(), SecretsError> {
    Vault::make_file(file)?;
    let path = absolute(file);
    println!("Key: {} (only its owner can read it)", path.display());
    println!("Next: start the server with it, and keep a copy apart from the database and its backups");
    println!("  punctual --secrets-key {}", path.display());
    Ok(())
}

fn rotate(db: &Path, from: &Path, to: &Path, json: bool) -> Result<(), SecretsError> {
    let old = Vault::open_file(from)?;
    // A key is made only once it is clear that it will be used.
    let store = Store::open_existing(db).map_err(SecretsError::Open)?;
    let made = match Vault::make_file(to) {
        Ok(()) => true,
        Err(KeyFileError::Exists(_)) => false,
        Err(why) => return Err(why.into()),
    };
    let new = Vault::open_file(to)?;
    if new.has_key_of(&old) {
        return Err(SecretsError::SameKey(to.to_owned()));
    }
    let Resealed { resealed, unchanged } = store.reseal(&old, &new).map_err(SecretsError::Reseal)?;
    if json {
        println!(r#"{{"resealed":{resealed},"unchanged":{unchanged},"keyMade":{made}}}"#);
        return Ok(());
    }
    let (to, secrets) = (absolute(to), if resealed == 1 { "secret" } else { "secrets" });
    println!("Resealed: {resealed} {secrets}; {unchanged} had the new key already");
    println!("Key: {}{}", to.display(), if made { " (new; only its owner can read it)" } else { "" });
    println!("Next: start the server with it, and keep a copy apart from the database and its backups;");
    println!("      the old key opens nothing but backups from before, and can go with them");
    println!("  punctual --db {} --secrets-key {}", absolute(db).display(), to.display());
    Ok(())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Why it was not done.
#[derive(Debug)]
pub(super) enum SecretsError {
    /// A key cannot be made or used.
    Key(KeyFileError),
    /// It was not said which key the secrets are sealed with.
    NoKey,
    /// It was not said which file they are in.
    NoFile(String),
    /// The new key is the old one.
    SameKey(PathBuf),
    /// The database cannot be opened.
    Open(OpenError),
    /// The secrets cannot be sealed anew.
    Reseal(ResealError),
}

impl From<KeyFileError> for SecretsError {
    fn from(why: KeyFileError) -> SecretsError {
        SecretsError::Key(why)
    }
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretsError::Key(why) => why.fmt(f),
            SecretsError::NoKey => {
                f.write_str("failed to change the key: --secrets-key FILE must name the one that is in force")
            }
            SecretsError::NoFile(why) => f.write_str(why),
            SecretsError::SameKey(path) => {
                write!(f, "failed to change the key: the one in {} is that of --secrets-key", path.display())
            }
            SecretsError::Open(why @ OpenError::InUse(_)) => write!(f, "{why}; stop the server first"),
            SecretsError::Open(why) => why.fmt(f),
            SecretsError::Reseal(why) => why.fmt(f),
        }
    }
}
