//! Owns the tables of secrets: each of a job's or a channel's, sealed, under its name.
//! It must not hand one out in clear but to the job or channel whose it is.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, params};

use super::open::{self, OpenError};
use super::{Store, rows};
use crate::channel::Channel;
use crate::job::{JobId, JobKey, Revision, Secret};
use crate::vault::{UnsealError, Vault};

/// All secrets, by their names.
#[derive(Debug, Default)]
pub(super) struct Found {
    jobs: HashMap<JobKey, Vec<(String, Secret)>>,
    channels: HashMap<String, Vec<(String, Secret)>>,
}

impl Found {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.channels.is_empty()
    }

    /// Those of a job.
    pub(super) fn of_job(&self, job: JobKey) -> &[(String, Secret)] {
        self.jobs.get(&job).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those of a channel, in clear.
    pub(super) fn of_channel(&self, name: &str) -> Vec<(String, String)> {
        let secrets = self.channels.get(name).map(Vec::as_slice).unwrap_or_default();
        secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect()
    }
}

/// Puts a job's secrets in the place of those before.
pub(super) fn put(connection: &Connection, vault: Option<&Vault>, revision: &Revision) -> rusqlite::Result<()> {
    delete(connection, revision.id.key())?;
    for (name, secret) in revision.spec.secrets() {
        let vault = vault.expect(SEALED);
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

const SEALED: &str = "secrets are taken only where there is a key";

/// Puts a channel's secrets in the place of those before; without a channel there are none.
pub(super) fn put_of_channel(
    connection: &Connection,
    vault: Option<&Vault>,
    name: &str,
    channel: Option<&Channel>,
) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM channel_secrets WHERE channel = ?1")?.execute([name])?;
    for (member, secret) in channel.map(Channel::secrets).unwrap_or_default() {
        let sealed = vault.expect(SEALED).seal(&place_in_channel(name, member), secret);
        let sql = "INSERT INTO channel_secrets (channel, name, sealed) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![name, member, sealed])?;
    }
    Ok(())
}

/// What a secret is sealed for: one taken from another job, or from another name, does not open.
pub(super) fn place(job: JobId, name: &str) -> Vec<u8> {
    [b"secret of job ", job.as_bytes().as_slice(), b" ", name.as_bytes()].concat()
}

/// The same of a channel. No name of a channel has a space.
pub(super) fn place_in_channel(channel: &str, name: &str) -> Vec<u8> {
    [b"secret of channel ", channel.as_bytes(), b" ", name.as_bytes()].concat()
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
    let mut secrets = Found::default();
    let sql = "SELECT public_id, secrets.name, sealed FROM secrets JOIN jobs ON id = job_id WHERE deleted_at IS NULL";
    let mut statement = connection.prepare(sql).map_err(damaged)?;
    let mut found = statement.query([]).map_err(damaged)?;
    while let Some(row) = found.next().map_err(damaged)? {
        let job = rows::job_id(row, 0).map_err(damaged)?;
        let (name, sealed): (String, Vec<u8>) = (row.get(1).map_err(damaged)?, row.get(2).map_err(damaged)?);
        let secret = open_one(path, vault, &place(job, &name), &sealed, || format!("{name} of job {job}"))?;
        secrets.jobs.entry(job.key()).or_default().push((name, secret));
    }
    let sql = "SELECT channel, s.name, sealed FROM channel_secrets s JOIN channels c ON c.name = channel";
    let mut statement = connection.prepare(sql).map_err(damaged)?;
    let mut found = statement.query([]).map_err(damaged)?;
    while let Some(row) = found.next().map_err(damaged)? {
        let (channel, name): (String, String) = (row.get(0).map_err(damaged)?, row.get(1).map_err(damaged)?);
        let (sealed, place): (Vec<u8>, _) = (row.get(2).map_err(damaged)?, place_in_channel(&channel, &name));
        let secret = open_one(path, vault, &place, &sealed, || format!("{name} of channel {channel}"))?;
        secrets.channels.entry(channel).or_default().push((name, secret));
    }
    Ok(secrets)
}

fn open_one(
    path: &Path,
    vault: Option<&Vault>,
    place: &[u8],
    sealed: &[u8],
    what: impl Fn() -> String,
) -> Result<Secret, OpenError> {
    let Some(vault) = vault else { return Err(OpenError::Sealed(path.to_owned())) };
    let secret = vault.unseal(place, sealed).map_err(|why| match why {
        UnsealError::OtherKey => OpenError::OtherKey(path.to_owned()),
        UnsealError::Damaged => OpenError::Damaged(path.to_owned(), format!("{} cannot be opened", what())),
    })?;
    Ok(Secret::new(secret))
}
