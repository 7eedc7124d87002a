//! Owns the table of secrets: each of a job's, sealed, under its name.
//! It must not hand one out in clear but to the job whose it is.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};

use super::open::{self, OpenError};
use super::{Store, rows};
use crate::job::{JobId, JobKey, Revision, Secret};
use crate::vault::{UnsealError, Vault};

/// The secrets of jobs, by their names.
pub(super) type Found = HashMap<JobKey, Vec<(String, Secret)>>;

/// Puts a job's secrets in the place of those before.
pub(super) fn put(connection: &Connection, vault: Option<&Vault>, revision: &Revision) -> rusqlite::Result<()> {
    delete(connection, revision.id.key())?;
    for (name, secret) in revision.spec.secrets() {
        let vault = vault.expect("secrets are taken only where there is a key");
        let sealed = vault.seal(&place(revision.id, &name), secret.expose());
        let mut insert = connection.prepare_cached("INSERT INTO secrets (job_id, name, sealed) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![rows::integer(revision.id.key().0), name, sealed])?;
    }
    Ok(())
}

/// Forgets a job's secrets.
pub(super) fn delete(connection: &Connection, job: JobKey) -> rusqlite::Result<()> {
    let mut delete = connection.prepare_cached("DELETE FROM secrets WHERE job_id = ?1")?;
    delete.execute([rows::integer(job.0)]).map(drop)
}

/// What a secret is sealed for: one taken from another job, or from another name, does not open.
pub(super) fn place(job: JobId, name: &str) -> Vec<u8> {
    [b"secret of job ", job.as_bytes().as_slice(), b" ", name.as_bytes()].concat()
}

impl Store {
    /// Seals secrets with this key, and opens those that are there.
    #[must_use]
    pub fn with_vault(mut self, vault: Option<Vault>) -> Store {
        self.vault = vault;
        self
    }
}

/// Opens all secrets of a database.
pub(super) fn open_all(connection: &Connection, path: &Path, vault: Option<&Vault>) -> Result<Found, OpenError> {
    let damaged = |why| open::damaged(path, &why);
    let sql = "SELECT public_id, secrets.name, sealed FROM secrets JOIN jobs ON id = job_id WHERE deleted_at IS NULL";
    let mut statement = connection.prepare(sql).map_err(damaged)?;
    let mut found = statement.query([]).map_err(damaged)?;
    let mut secrets = Found::new();
    while let Some(row) = found.next().map_err(damaged)? {
        let Some(vault) = vault else { return Err(OpenError::Sealed(path.to_owned())) };
        let job = rows::job_id(row, 0).map_err(damaged)?;
        let (name, sealed): (String, Vec<u8>) = (row.get(1).map_err(damaged)?, row.get(2).map_err(damaged)?);
        let secret = vault.unseal(&place(job, &name), &sealed).map_err(|why| match why {
            UnsealError::OtherKey => OpenError::OtherKey(path.to_owned()),
            UnsealError::Damaged => {
                OpenError::Damaged(path.to_owned(), format!("{name} of job {job} cannot be opened"))
            }
        })?;
        secrets.entry(job.key()).or_default().push((name, Secret::new(secret)));
    }
    Ok(secrets)
}
