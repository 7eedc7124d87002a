//! Owns coming to a database: connecting, its schema, and being a node among those that share it.
//! It must not take over what others have.

use std::fmt;
use std::sync::Arc;

use super::schema::Schema;
use super::session::Session;
use super::{load, moving, schema, taking};
use crate::access::TokenChange;
use crate::clock;
use crate::core::NodeId;
use crate::limits::{STORE_CALL_TIME_MAX, STORE_CONNECT_TIME_MAX, STORE_LOAD_TIME_MAX};
use crate::postgres::{Connection, Error, Url};
use crate::store::sql::Sql;
use crate::store::tables::secrets::{self, Unopened};
use crate::store::tables::{audit, tokens};
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
    /// What it is called.
    name: String,
    /// How often it was taken for dead.
    fenced: i64,
    pub(super) vault: Option<Arc<Vault>>,
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
/// values there are. What a machine that is gone had locked is free as soon as the server can find out.
pub(super) fn connect_to_write(url: &Url) -> Result<Connection, Error> {
    let until = clock::mono().plus(STORE_CONNECT_TIME_MAX);
    let mut connection = Connection::connect(url, until)?;
    connection.batch(
        "SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET plan_cache_mode TO force_generic_plan; SET jit TO off; \
         SET tcp_keepalives_idle TO 5; SET tcp_keepalives_interval TO 2; SET tcp_keepalives_count TO 3; \
         SET tcp_user_timeout TO 10000; SET idle_in_transaction_session_timeout TO '60s'",
        until,
    )?;
    Ok(connection)
}

/// Brings the schema of a database up to date, if it is one that every text fits into. What it is then, which may be of a
/// newer version that this build can work with.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<Schema, OpenError> {
    let failed = |why: Error| OpenError::Failed(why.to_string());
    let encoding = connection.query("SHOW server_encoding", &[], soon()).map_err(failed)?;
    let encoding = encoding.first().and_then(|row| row.text(0)).map_err(failed)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding.to_owned()));
    }
    let schema = schema::migrate(connection, soon()).map_err(failed)?;
    if !schema.is_usable() {
        return Err(OpenError::newer(schema));
    }
    Ok(schema)
}

impl Store {
    /// Connects, brings the schema up to date, and becomes a node that owns nothing yet.
    ///
    /// # Errors
    /// When there is no such database, or it is of a newer version.
    pub fn open(url: &Url, name: &str) -> Result<Store, OpenError> {
        let url = url.clone().with_application_name(name);
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let mut connection = connect_to_write(&url).map_err(failed)?;
        bring_up_to_date(&mut connection)?;
        moving::admit(&mut connection, soon())?;
        let node = join(&mut connection, name, (0, 0), soon()).map_err(failed)?;
        Ok(Store { url, connection, node, name: name.to_owned(), fenced: 0, vault: None })
    }

    /// Seals secrets with this key, and opens those that are there.
    #[must_use]
    pub fn with_vault(mut self, vault: Option<Vault>) -> Store {
        self.vault = vault.map(Arc::new);
        self
    }

    /// Where it is.
    pub(in crate::store) fn url(&self) -> &Url {
        &self.url
    }

    /// Which node this is.
    pub(in crate::store) fn node(&self) -> NodeId {
        NodeId(self.node.unsigned_abs())
    }

    /// Is another node from now on. The one before is no more.
    pub(super) fn join_anew(&mut self, until: MonoUs) -> Result<(), Error> {
        self.node = join(&mut self.connection, &self.name, (self.fenced + 1, self.node), until)?;
        self.fenced += 1;
        Ok(())
    }

    /// Says that this node is no more, so that others need not wait until they see that.
    pub(super) fn leave(&mut self) -> Result<(), Error> {
        let session = Session::new(&mut self.connection, soon());
        taking::leave(&session, self.node)?;
        session.flush()
    }

    /// Reads what every node must know. Jobs and rows come with the shards.
    ///
    /// # Errors
    /// When the database cannot be read, or holds a row that no version writes.
    pub fn load(&mut self) -> Result<Loaded, OpenError> {
        let failed = |why: Error| OpenError::Failed(why.to_string());
        let session = Session::new(&mut self.connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN", &[]).map_err(failed)?;
        // All of them, so that a key that is missing or wrong is told at the start.
        let secrets = secrets::open_all(&session, self.vault.as_deref()).map_err(|why| match why {
            Unopened::Unread(why) => failed(why),
            Unopened::Sealed => OpenError::Sealed,
            Unopened::OtherKey => OpenError::OtherKey,
            Unopened::Damaged(why) => OpenError::Failed(why),
        })?;
        let loaded = load::common(&session, self.node, &secrets).map_err(failed)?;
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

/// Becomes a node of this database, in the place of one that is no more from then on.
fn join(connection: &mut Connection, name: &str, (fenced, before): (i64, i64), until: MonoUs) -> Result<i64, Error> {
    let (now, version) = (clock::wall().0, env!("CARGO_PKG_VERSION"));
    let mut pipeline = connection.pipeline();
    pipeline.run("UPDATE nodes SET dead = true WHERE id = $1", &[&before]);
    let join = "INSERT INTO nodes (name, version, started_at, counted_at, fenced, pid) \
                VALUES ($1, $2, $3, $3, $4, pg_backend_pid()) RETURNING id";
    pipeline.run(join, &[&name, &version, &now, &fenced]);
    let done = pipeline.finish(until)?;
    done.last().expect("both statements come to something").rows.first()?.i64(0)
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
    /// A node of this name lives, where none may.
    InUse(String),
    /// There are secrets, and no key was given.
    Sealed,
    /// There are secrets that another key opens.
    OtherKey,
    /// The server cannot be reached, or refuses something.
    Failed(String),
}

impl OpenError {
    /// It is newer than what this build can do.
    pub(super) fn newer(schema: Schema) -> OpenError {
        OpenError::Newer { version: schema.version, current: schema::current_version() }
    }
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
