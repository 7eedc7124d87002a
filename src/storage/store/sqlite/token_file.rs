//! Owns the tokens of a database as the command line has them: whether a server runs on it or not.
//! It must not decide which count.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{OpenError, Store, migrations, moving};
use crate::access::{Token, TokenChange};
use crate::limits::TOKENS_LOOK_EVERY;
use crate::store::AuditRow;
use crate::store::tables::{audit, tokens};

/// How long the command line waits for a server that is writing.
const SERVER_WAIT: Duration = Duration::from_secs(10);

impl Store {
    /// Writes a change, before the writer has begun.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn write_token(&mut self, change: &TokenChange, row: &AuditRow) -> Result<(), String> {
        write_with(&mut self.connection, change, row).map_err(|why| why.to_string())
    }
}

fn write_with(connection: &mut Connection, change: &TokenChange, row: &AuditRow) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tokens::write(&*transaction, change)?;
    audit::insert(&*transaction, row)?;
    transaction.commit()
}

/// The tokens of a database, for the command line: a server may run on it or not.
#[derive(Debug)]
pub struct TokenFile {
    connection: Connection,
    /// Keeps servers out while there is none.
    store: Option<Store>,
}

impl TokenFile {
    /// Opens the database. If no server runs on it, it is made, or brought up to date, as a server would do it.
    ///
    /// # Errors
    /// Says what is in the way.
    pub fn open(path: &Path) -> Result<TokenFile, OpenError> {
        let store = match Store::open(path) {
            Ok(store) => Some(store),
            Err(OpenError::InUse(_)) => None,
            Err(why) => return Err(why),
        };
        let failed = |why: rusqlite::Error| OpenError::Database(path.to_owned(), why.to_string());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(SERVER_WAIT).map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        // The server copies pages when it chooses to.
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(failed)?;
        let version = migrations::version_of(&connection).map_err(failed)?;
        if version != migrations::current_version() {
            let why = "the server that runs on it is of another version than this command".to_owned();
            return Err(OpenError::Database(path.to_owned(), why));
        }
        // Whoever has it may be one that moves something into it.
        if moving::is_in_part(&connection).map_err(failed)? {
            return Err(OpenError::InPart(path.to_owned()));
        }
        Ok(TokenFile { connection, store })
    }

    /// If a server runs on the database, waits until it has looked at the tokens: whoever comes next finds it knowing.
    pub fn await_server(&self) {
        if self.store.is_none() {
            std::thread::sleep(TOKENS_LOOK_EVERY + TOKENS_LOOK_EVERY / 4);
        }
    }

    /// All tokens and sessions.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn read(&self) -> Result<Vec<Token>, String> {
        tokens::read_all(&self.connection).map_err(|why| why.to_string())
    }

    /// Writes a change, and that it was made.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn write(&mut self, change: &TokenChange, row: &AuditRow) -> Result<(), String> {
        write_with(&mut self.connection, change, row).map_err(|why| why.to_string())
    }
}
