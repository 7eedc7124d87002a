//! Owns the change of the key that secrets are sealed with, in a database that no server uses.
//! It must not lose a secret, nor leave anything in the file that the old key opens.

use std::fmt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use super::open::{self, OpenError};
use super::{Store, rows};
use crate::store::tables::secrets::{place, place_in_channel};
use crate::vault::{UnsealError, Vault};

/// How many secrets were found, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed with the old key, and now with the new one.
    pub resealed: usize,
    /// Sealed with the new key already, as after a change that was broken off.
    pub unchanged: usize,
}

impl Store {
    /// Seals with the new key what is sealed with the old one: all of it, or nothing. Then the file is written anew, as
    /// what was there before stands in its free pages, and in its log. What was broken off can be done again.
    ///
    /// # Errors
    /// When a secret cannot be opened, or the file not be written. It is then as it was, unless the error says otherwise.
    pub fn reseal(mut self, old: &Vault, new: &Vault) -> Result<Resealed, ResealError> {
        let path = self.path().to_owned();
        let done = reseal(&mut self.connection, &path, old, new).map_err(ResealError::Open)?;
        clean(&self.connection).map_err(|why| ResealError::Remains(path, why.to_string()))?;
        Ok(done)
    }
}

fn reseal(connection: &mut Connection, path: &Path, old: &Vault, new: &Vault) -> Result<Resealed, OpenError> {
    let failed = |why: rusqlite::Error| open::damaged(path, &why);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let mut done = Resealed::default();
    {
        // What belongs to no job cannot be opened by anybody, as the job's id is needed for that.
        transaction.execute("DELETE FROM secrets WHERE job_id NOT IN (SELECT id FROM jobs)", []).map_err(failed)?;
        let sql = "DELETE FROM channel_secrets WHERE channel NOT IN (SELECT name FROM channels)";
        transaction.execute(sql, []).map_err(failed)?;
        // Digests of requests that may have had secrets in them, hidden by the old key: now they are equal to nothing.
        transaction.execute("UPDATE idempotency_keys SET digest = zeroblob(32)", []).map_err(failed)?;
        let sql = "SELECT public_id, secrets.name, sealed, job_id FROM secrets JOIN jobs ON id = job_id";
        let mut statement = transaction.prepare(sql).map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok((rows::job_id(row, 0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, i64>(3)?))
        };
        let found: Vec<_> = statement.query_map([], read).and_then(Iterator::collect).map_err(failed)?;
        let sql = "UPDATE secrets SET sealed = ?3 WHERE job_id = ?1 AND name = ?2";
        let mut update = transaction.prepare(sql).map_err(failed)?;
        for (job, name, sealed, key) in found {
            let what = || format!("{name} of job {job}");
            if let Some(sealed) = reseal_one(path, [old, new], &place(job, &name), &sealed, what, &mut done)? {
                update.execute(params![key, name, sealed]).map_err(failed)?;
            }
        }
        let mut statement = transaction.prepare("SELECT channel, name, sealed FROM channel_secrets").map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?));
        let found: Vec<(String, String, _)> =
            statement.query_map([], read).and_then(Iterator::collect).map_err(failed)?;
        let sql = "UPDATE channel_secrets SET sealed = ?3 WHERE channel = ?1 AND name = ?2";
        let mut update = transaction.prepare(sql).map_err(failed)?;
        for (channel, name, sealed) in found {
            let what = || format!("{name} of channel {channel}");
            let place = place_in_channel(&channel, &name);
            if let Some(sealed) = reseal_one(path, [old, new], &place, &sealed, what, &mut done)? {
                update.execute(params![channel, name, sealed]).map_err(failed)?;
            }
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(done)
}

/// A secret sealed with the new key; None: it is already.
fn reseal_one(
    path: &Path,
    [old, new]: [&Vault; 2],
    place: &[u8],
    sealed: &[u8],
    what: impl Fn() -> String,
    done: &mut Resealed,
) -> Result<Option<Vec<u8>>, OpenError> {
    match old.unseal(place, sealed) {
        Ok(text) => {
            done.resealed += 1;
            Ok(Some(new.seal(place, &text)))
        }
        Err(UnsealError::OtherKey) if new.unseal(place, sealed).is_ok() => {
            done.unchanged += 1;
            Ok(None)
        }
        Err(UnsealError::OtherKey) => Err(OpenError::OtherKey(path.to_owned())),
        Err(UnsealError::Damaged) => Err(OpenError::Damaged(path.to_owned(), format!("{} cannot be opened", what()))),
    }
}

/// Writes the file anew, so that nothing stands in it but what is in force, and empties its log.
fn clean(connection: &Connection) -> rusqlite::Result<()> {
    // The database is copied on the way, which is too much for memory.
    connection.pragma_update(None, "temp_store", "FILE")?;
    connection.execute_batch("VACUUM")?;
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, Some("another process reads it".to_owned())));
    }
    Ok(())
}

/// Why the key could not be changed.
#[derive(Debug)]
pub enum ResealError {
    /// The secrets are sealed as they were.
    Open(OpenError),
    /// The secrets are sealed with the new key, but what was there before may still stand in the file.
    Remains(PathBuf, String),
}

impl fmt::Display for ResealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResealError::Open(why) => why.fmt(f),
            ResealError::Remains(path, why) => write!(
                f,
                "failed to write {} anew: {why}; its secrets are sealed with the new key, but what the old one opens may \
                 still stand in the file; do the same again",
                path.display()
            ),
        }
    }
}

impl std::error::Error for ResealError {}
