//! Owns the tables of secrets: each of a job's or a channel's, sealed, under its name.
//! It must not hand one out in clear but to the job or channel whose it is.

use std::collections::HashMap;

use crate::channel::Channel;
use crate::job::{JobId, JobKey, Revision, Secret};
use crate::store::sql::{Sql, values};
use crate::vault::{UnsealError, Vault};

/// All secrets, by their names.
#[derive(Debug, Default)]
pub(in crate::store) struct Found {
    jobs: HashMap<JobKey, Vec<(String, Secret)>>,
    channels: HashMap<String, Vec<(String, Secret)>>,
}

impl Found {
    /// Whether there are none.
    pub(in crate::store) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.channels.is_empty()
    }

    /// That of a job with this name.
    pub(in crate::store) fn of_job(&self, job: JobKey, name: &str) -> Option<&Secret> {
        self.jobs.get(&job)?.iter().find(|(known, _)| known == name).map(|(_, secret)| secret)
    }

    /// Those of a channel, in clear.
    pub(in crate::store) fn of_channel(&self, name: &str) -> Vec<(String, String)> {
        let secrets = self.channels.get(name).map(Vec::as_slice).unwrap_or_default();
        secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect()
    }
}

/// Puts a job's secrets in the place of those before.
pub(in crate::store) fn put<S: Sql>(sql: &S, vault: Option<&Vault>, revision: &Revision) -> Result<(), S::Error> {
    delete(sql, revision.id.key())?;
    for (name, secret) in revision.spec.secrets() {
        let vault = vault.expect(SEALED);
        let sealed = vault.seal(&place(revision.id, &name), secret.expose());
        let insert = "INSERT INTO secrets (job_id, name, sealed) VALUES (?1, ?2, ?3)";
        sql.run(insert, values![revision.id.key().0, &*name, sealed.as_slice()])?;
    }
    Ok(())
}

/// Forgets a job's secrets.
pub(in crate::store) fn delete<S: Sql>(sql: &S, job: JobKey) -> Result<(), S::Error> {
    sql.run("DELETE FROM secrets WHERE job_id = ?1", values![job.0])
}

const SEALED: &str = "secrets are taken only where there is a key";

/// Puts a channel's secrets in the place of those before; without a channel there are none.
pub(in crate::store) fn put_of_channel<S: Sql>(
    sql: &S,
    vault: Option<&Vault>,
    name: &str,
    channel: Option<&Channel>,
) -> Result<(), S::Error> {
    sql.run("DELETE FROM channel_secrets WHERE channel = ?1", values![name])?;
    for (member, secret) in channel.map(Channel::secrets).unwrap_or_default() {
        let sealed = vault.expect(SEALED).seal(&place_in_channel(name, member), secret);
        let insert = "INSERT INTO channel_secrets (channel, name, sealed) VALUES (?1, ?2, ?3)";
        sql.run(insert, values![name, member, sealed.as_slice()])?;
    }
    Ok(())
}

/// What a secret is sealed for: one taken from another job, or from another name, does not open.
pub(in crate::store) fn place(job: JobId, name: &str) -> Vec<u8> {
    [b"secret of job ", job.as_bytes().as_slice(), b" ", name.as_bytes()].concat()
}

/// The same of a channel. No name of a channel has a space.
pub(in crate::store) fn place_in_channel(channel: &str, name: &str) -> Vec<u8> {
    [b"secret of channel ", channel.as_bytes(), b" ", name.as_bytes()].concat()
}

/// Why secrets cannot be had.
#[derive(Debug)]
pub(in crate::store) enum Unopened<E> {
    /// The database cannot be read.
    Unread(E),
    /// There are some, and no key.
    Sealed,
    /// They were sealed with another key.
    OtherKey,
    /// This one makes no sense.
    Damaged(String),
}

impl<E> From<E> for Unopened<E> {
    fn from(why: E) -> Unopened<E> {
        Unopened::Unread(why)
    }
}

/// Opens all secrets of a database.
pub(in crate::store) fn open_all<S: Sql>(sql: &S, vault: Option<&Vault>) -> Result<Found, Unopened<S::Error>> {
    let of_jobs = open_of_jobs(sql, vault, "true")?;
    Ok(Found { jobs: of_jobs.jobs, ..open_of_channels(sql, vault)? })
}

/// Opens those of some jobs: what `which` says, as a condition on a row of `jobs`.
pub(in crate::store) fn open_of_jobs<S: Sql>(
    sql: &S,
    vault: Option<&Vault>,
    which: &str,
) -> Result<Found, Unopened<S::Error>> {
    let mut secrets = Found::default();
    let all = format!(
        "SELECT public_id, secrets.name, sealed FROM secrets JOIN jobs ON id = job_id \
         WHERE deleted_at IS NULL AND {which}"
    );
    let found = sql.all(&all, &[], |row| {
        Ok((row.get(0).map(JobId::from_bytes)?, row.get::<String>(1)?, row.get::<Vec<u8>>(2)?))
    })?;
    for (job, name, sealed) in found {
        let secret = open_one(vault, &place(job, &name), &sealed, || format!("{name} of job {job}"))?;
        secrets.jobs.entry(job.key()).or_default().push((name, secret));
    }
    Ok(secrets)
}

/// Opens those of all channels.
pub(in crate::store) fn open_of_channels<S: Sql>(sql: &S, vault: Option<&Vault>) -> Result<Found, Unopened<S::Error>> {
    let mut secrets = Found::default();
    let all = "SELECT channel, s.name, sealed FROM channel_secrets s JOIN channels c ON c.name = channel";
    let found = sql.all(all, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<Vec<u8>>(2)?)))?;
    for (channel, name, sealed) in found {
        let what = || format!("{name} of channel {channel}");
        let secret = open_one(vault, &place_in_channel(&channel, &name), &sealed, what)?;
        secrets.channels.entry(channel).or_default().push((name, secret));
    }
    Ok(secrets)
}

fn open_one<E>(
    vault: Option<&Vault>,
    place: &[u8],
    sealed: &[u8],
    what: impl Fn() -> String,
) -> Result<Secret, Unopened<E>> {
    let secret = vault.ok_or(Unopened::Sealed)?.unseal(place, sealed).map_err(|why| match why {
        UnsealError::OtherKey => Unopened::OtherKey,
        UnsealError::Damaged => Unopened::Damaged(format!("{} cannot be opened", what())),
    })?;
    Ok(Secret::new(secret))
}
