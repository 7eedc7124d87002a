//! Owns the choice between the backends: a database is a file here, or one on a PostgreSQL server.
//! It must not do what a backend does.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reading::Readers;
use super::sharing::Sharing;
use super::sqlite::BackupSource;
use super::writing::Writer;
use super::{Answer, AuditRow, Housekeeping, Keep, Loaded, ReadError, postgres, sqlite};
use crate::access::TokenChange;
use crate::core::{LedgerRow, StoredJob};
use crate::job::Context;
use crate::postgres::Url;
use crate::schedule::Zones;
use crate::vault::Vault;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file of this machine.
    File(PathBuf),
    /// On a PostgreSQL server.
    Server {
        /// Which.
        url: Box<Url>,
        /// What this server is called among those that share it.
        node: String,
    },
}

impl Location {
    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Location::File(path) => Some(path),
            Location::Server { .. } => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => {
                write!(f, "{}", std::path::absolute(path).unwrap_or_else(|_| path.clone()).display())
            }
            Location::Server { url, node } => write!(f, "{url}, as the node {node}"),
        }
    }
}

/// A database that is open for a server.
#[derive(Debug)]
pub enum Database {
    /// A file.
    File(Box<sqlite::Store>),
    /// On a PostgreSQL server.
    Server(Box<postgres::Store>),
}

impl Database {
    /// Opens a database, which is made if there is none, and brings it up to date. Secrets are sealed with this key.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn open(location: &Location, vault: Option<Vault>) -> Result<Database, DatabaseError> {
        match location {
            Location::File(path) => {
                let store = sqlite::Store::open(path).map_err(DatabaseError::File)?;
                Ok(Database::File(Box::new(store.with_vault(vault))))
            }
            Location::Server { url, node } => {
                let store = postgres::Store::open(url, node).map_err(DatabaseError::Server)?;
                Ok(Database::Server(Box::new(store.with_vault(vault))))
            }
        }
    }

    /// Reads everything the core must know: each job, read with `context` and its own anchor, then each unfinished row. Of a
    /// database that is shared, what every server must know: the rest comes with the shards.
    ///
    /// # Errors
    /// When it cannot be read, or holds a row that no version writes.
    pub fn load(
        &mut self,
        context: &Context<'_>,
        job: impl FnMut(StoredJob),
        row: impl FnMut(LedgerRow),
    ) -> Result<Loaded, DatabaseError> {
        match self {
            Database::File(store) => store.load(context, job, row).map_err(DatabaseError::File),
            Database::Server(store) => store.load().map_err(DatabaseError::Server),
        }
    }

    /// Writes a change of the tokens, before the writer has begun.
    ///
    /// # Errors
    /// What the database says.
    pub fn write_token(&mut self, change: &TokenChange, row: &AuditRow) -> Result<(), String> {
        match self {
            Database::File(store) => store.write_token(change, row),
            Database::Server(store) => store.write_token(change, row),
        }
    }

    /// What backups are made of, by another thread. None: its server has means of its own.
    pub fn backup_source(&self) -> Option<BackupSource> {
        match self {
            Database::File(store) => Some(store.backup_source()),
            Database::Server(_) => None,
        }
    }

    /// Whether other nodes may have jobs in it: then its readers know more of them than a node's memory.
    pub fn is_shared(&self) -> bool {
        match self {
            Database::File(_) => false,
            Database::Server(_) => true,
        }
    }

    /// Starts so many readers, who know these zones. `make` turns an answer into what the caller wants, off the loop; `notify` is called after each.
    ///
    /// # Errors
    /// When a connection or a thread cannot be had.
    pub fn readers<T: Send + 'static, R: Send + 'static>(
        &self,
        count: usize,
        zones: &Zones,
        make: impl Fn(&T, Result<Answer, ReadError>) -> R + Send + Sync + 'static,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Readers<T, R>> {
        match self {
            Database::File(store) => Readers::start(store, count, zones, make, notify),
            Database::Server(store) => Readers::spawn(postgres::readers(store.url(), count, zones), make, notify),
        }
    }

    /// Starts the writer, and where the database is shared, what has to do with the others; `notify` is called after each
    /// event. Jobs that come later are read with these zones.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        self,
        keep: Keep,
        housekeeping: Housekeeping,
        zones: &Zones,
        notify: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<(Writer, Option<Sharing>)> {
        match self {
            Database::File(store) => Ok((Writer::start(*store, keep, housekeeping, notify)?, None)),
            Database::Server(store) => {
                let (writer, sharing) = postgres::start(*store, keep, housekeeping, zones.clone(), notify)?;
                Ok((writer, Some(sharing)))
            }
        }
    }
}

/// Why a database cannot be opened or read.
#[derive(Debug)]
pub enum DatabaseError {
    /// A file.
    File(sqlite::OpenError),
    /// One on a PostgreSQL server.
    Server(postgres::OpenError),
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseError::File(why) => why.fmt(f),
            DatabaseError::Server(why) => why.fmt(f),
        }
    }
}
