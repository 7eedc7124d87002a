//! Owns coming to a database: connecting, its schema, and this server's place among those that share it.
//! It must not read what is kept.

use std::fmt;

use super::homes::Homes;
use super::load::load;
use super::session::Session;
use super::{counts, moving, schema};
use crate::access::TokenChange;
use crate::clock;
use crate::core::{LedgerRow, StoredJob};
use crate::job::Context;
use crate::limits::{LOOK_EVERY, REVOKE_AFTER, STORE_CALL_TIME_MAX, STORE_CONNECT_TIME_MAX, STORE_LOAD_TIME_MAX};
use crate::postgres::{Connection, Error, Url};
use crate::store::sql::{Sql, values};
use crate::store::tables::secrets::{self, Unopened};
use crate::store::tables::{audit, deliveries, tokens};
use crate::store::{AuditRow, Loaded};
use crate::time::MonoUs;
use crate::vault::Vault;

/// A database on a PostgreSQL server, as one of its nodes has it.
#[derive(Debug)]
pub struct Store {
    pub(super) url: Url,
    pub(super) connection: Connection,
    /// Which incarnation this is.
    pub(super) node: i64,
    pub(super) vault: Option<Vault>,
    /// In which shards jobs are, once they were loaded.
    pub(super) homes: Homes,
}

/// Until when a call may take that begins now.
pub(super) fn soon() -> MonoUs {
    clock::mono().plus(STORE_CALL_TIME_MAX)
}

/// Connects, to read.
pub(super) fn connect(url: &Url) -> Result<Connection, Error> {
    Connection::connect(url, clock::mono().plus(STORE_CONNECT_TIME_MAX))
}

/// Connects, to write. Plans for arrays of values are made once, and go by the keys of the tables, however few or many
/// values there are.
pub(super) fn connect_to_write(url: &Url) -> Result<Connection, Error> {
    let mut connection = connect(url)?;
    connection.batch(
        "SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET plan_cache_mode TO force_generic_plan; SET jit TO off",
        soon(),
    )?;
    Ok(connection)
}

impl Store {
    /// Connects, brings the schema up to date, and becomes the node that owns all shards.
    ///
    /// # Errors
    /// When there is no such database, it is of a newer version, or another node lives.
    pub fn open(url: &Url, name: &str) -> Result<Store, OpenError> {
        let url = url.clone().with_application_name(name);
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let mut connection = connect_to_write(&url).map_err(failed)?;
        let encoding = connection.query("SHOW server_encoding", &[], soon()).map_err(failed)?;
        let encoding = encoding.first().and_then(|row| row.text(0)).map_err(failed)?;
        if encoding != "UTF8" {
            return Err(OpenError::Encoding(encoding.to_owned()));
        }
        let version = schema::migrate(&mut connection, soon()).map_err(failed)?;
        if version > schema::current_version() {
            return Err(OpenError::Newer { version, current: schema::current_version() });
        }
        moving::admit(&mut connection)?;
        let node = join(&mut connection, name).map_err(failed)?;
        let mut store = Store { url, connection, node, vault: None, homes: Homes::default() };
        store.own()?;
        Ok(store)
    }

    /// Seals secrets with this key, and opens those that are there.
    #[must_use]
    pub fn with_vault(mut self, vault: Option<Vault>) -> Store {
        self.vault = vault;
        self
    }

    /// Where it is.
    pub(in crate::store) fn url(&self) -> &Url {
        &self.url
    }

    /// Waits until no other node shows that it lives, and owns all shards then.
    fn own(&mut self) -> Result<(), OpenError> {
        let failed = |why: Error| OpenError::Failed(why.to_string());
        for (other, name, beat) in self.others().map_err(failed)? {
            let until = clock::mono().plus(REVOKE_AFTER);
            while clock::mono() < until {
                std::thread::sleep(LOOK_EVERY);
                let still = "SELECT 1 FROM nodes WHERE id = $1 AND beat = $2 AND NOT dead";
                let found = self.connection.query(still, &[&other, &beat], soon()).map_err(failed)?;
                if found.is_empty() {
                    break;
                }
            }
            if !self.revoke(other, beat).map_err(failed)? {
                // It lives, unless it has just gone by itself.
                let alive = "SELECT 1 FROM nodes WHERE id = $1 AND NOT dead";
                if !self.connection.query(alive, &[&other], soon()).map_err(failed)?.is_empty() {
                    self.leave().map_err(failed)?;
                    return Err(OpenError::InUse(name));
                }
            }
        }
        self.take_all().map_err(failed)
    }

    /// Nodes that are not known to be dead: their number, name and beat.
    fn others(&mut self) -> Result<Vec<(i64, String, i64)>, Error> {
        let find = "SELECT id, name, beat FROM nodes WHERE NOT dead AND id <> $1 ORDER BY id";
        let found = self.connection.query(find, &[&self.node], soon())?;
        found.iter().map(|row| Ok((row.i64(0)?, row.text(1)?.to_owned(), row.i64(2)?))).collect()
    }

    /// Declares a node dead whose beat stands still. From then on nothing of it is written. Whether it was still so; of two
    /// that start together one declares the other dead.
    fn revoke(&mut self, other: i64, beat: i64) -> Result<bool, Error> {
        let session = Session::new(&mut self.connection, soon());
        session.run("BEGIN", &[])?;
        session.run("LOCK TABLE shards IN SHARE ROW EXCLUSIVE MODE", &[])?;
        let revoke = "UPDATE nodes SET dead = true WHERE id = ?1 AND NOT dead AND beat = ?2 \
                      AND EXISTS (SELECT 1 FROM nodes me WHERE me.id = ?3 AND NOT me.dead)";
        let revoked = session.count(revoke, values![other, beat, self.node])?;
        session.run("COMMIT", &[])?;
        session.flush()?;
        Ok(revoked > 0)
    }

    /// Owns all shards, and whatever the nodes before left: their executions, and what they had not counted.
    fn take_all(&mut self) -> Result<(), Error> {
        let session = Session::new(&mut self.connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN", &[])?;
        // Nobody else counts what is counted here.
        let dead = "SELECT id FROM nodes WHERE dead AND counted < batch ORDER BY id";
        for node in session.all(dead, &[], |row| row.get::<i64>(0))? {
            counts::lock(&session, node)?;
            counts::uncounted(&session, Some(node))?.write(&session)?;
            session.run("UPDATE nodes SET counted = batch WHERE id = ?1", values![node])?;
        }
        session.run("UPDATE shards SET owner = ?1, epoch = epoch + 1", values![self.node])?;
        session.run("UPDATE ledger SET node = ?1, known = false WHERE node <> ?1", values![self.node])?;
        // A number is never used again, so nothing is lost with the row.
        session.run("DELETE FROM nodes WHERE dead AND started_at < ?1", values![clock::wall().0 - 86_400_000_000])?;
        session.run("COMMIT", &[])?;
        session.flush()
    }

    /// Says that this node is no more, so that the next one need not wait.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        leave(&mut self.connection, self.node)
    }

    /// Reads everything the core must know: each job, read with `context` and its own anchor, then each unfinished row.
    ///
    /// # Errors
    /// When the database cannot be read, or holds a row that no version writes.
    pub fn load(
        &mut self,
        context: &Context<'_>,
        mut job: impl FnMut(StoredJob),
        mut row: impl FnMut(LedgerRow),
    ) -> Result<Loaded, OpenError> {
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let session = Session::new(&mut self.connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN", &[]).map_err(failed)?;
        let secrets = secrets::open_all(&session, self.vault.as_ref()).map_err(|why| match why {
            Unopened::Unread(why) => failed(why),
            Unopened::Sealed => OpenError::Sealed,
            Unopened::OtherKey => OpenError::OtherKey,
            Unopened::Damaged(why) => OpenError::Failed(why),
        })?;
        deliveries::forget_unwritten(&session).map_err(failed)?;
        let homes = &mut self.homes;
        let mut job = |stored: StoredJob| {
            homes.note(&stored.revision);
            job(stored);
        };
        let loaded = load(&session, self.node, &secrets, context, &mut job, &mut row).map_err(failed)?;
        session.run("COMMIT", &[]).and_then(|()| session.flush()).map_err(failed)?;
        Ok(loaded)
    }

    /// Writes a change of the tokens, before the writer has begun.
    ///
    /// # Errors
    /// What the server says.
    pub fn write_token(&mut self, change: &TokenChange, row: &AuditRow) -> Result<(), String> {
        let session = Session::new(&mut self.connection, soon());
        let written = tokens::write(&session, change).and_then(|()| audit::insert(&session, row));
        written.and_then(|()| session.flush()).map_err(|why| why.to_string())
    }
}

/// A node says that it is no more.
pub(super) fn leave(connection: &mut Connection, node: i64) -> Result<(), Error> {
    connection.execute("UPDATE nodes SET dead = true WHERE id = $1", &[&node], soon()).map(drop)
}

/// Becomes a node of this database.
fn join(connection: &mut Connection, name: &str) -> Result<i64, Error> {
    let now = clock::wall().0;
    let join = "INSERT INTO nodes (name, version, started_at, counted_at) VALUES ($1, $2, $3, $3) RETURNING id";
    connection.query(join, &[&name, &env!("CARGO_PKG_VERSION"), &now], soon())?.first()?.i64(0)
}

/// Why a database cannot be used.
#[derive(Debug)]
pub enum OpenError {
    /// The database was made by a newer version.
    Newer {
        /// Its version.
        version: i64,
        /// The newest version this build knows.
        current: i64,
    },
    /// The database keeps texts in this encoding, which not every text has.
    Encoding(String),
    /// A node of this name lives.
    InUse(String),
    /// There are secrets, and no key was given.
    Sealed,
    /// There are secrets that another key opens.
    OtherKey,
    /// The server cannot be reached, or refuses something.
    Failed(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Newer { version, current } => write!(
                f,
                "--store: its schema has version {version}, and this build knows up to {current}; use the newer build"
            ),
            OpenError::Encoding(encoding) => write!(
                f,
                "--store: expected a database with the encoding UTF8, got {encoding}; `createdb --encoding=UTF8 \
                 --template=template0 NAME` makes one"
            ),
            OpenError::InUse(name) => write!(f, "--store: the node {name} uses this database"),
            OpenError::Sealed => {
                f.write_str("--store: it holds secrets, and no key was given; --secrets-key FILE names it")
            }
            OpenError::OtherKey => {
                f.write_str("--store: it holds secrets that were sealed with another key than that of --secrets-key")
            }
            OpenError::Failed(why) => write!(f, "--store: {why}"),
        }
    }
}
