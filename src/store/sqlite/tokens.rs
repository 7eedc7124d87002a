//! Owns the tokens on disk: what is written of them by whatever process, and how others notice.
//! It must not decide which count.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};

use super::{OpenError, Store, audit, migrations, rows};
use crate::access::{Scope, Token, TokenChange, TokenId};
use crate::limits::TOKENS_LOOK_EVERY;
use crate::store::AuditRow;
use crate::time::WallUs;

/// How long the command line waits for a server that is writing.
const SERVER_WAIT: Duration = Duration::from_secs(10);

/// Writes a change.
pub(super) fn write(connection: &Connection, change: &TokenChange) -> rusqlite::Result<()> {
    match change {
        TokenChange::Create(token) => {
            let mut statement = connection.prepare_cached(
                "INSERT INTO tokens (id, digest, scope, name, parent, created_at, expires_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let expires_at = token.expires_at.map(|at| at.0);
            let parent = token.parent.map(TokenId::number);
            let (scope, created_at) = (token.scope.name(), token.created_at.0);
            statement.execute(params![
                token.id.number(),
                token.digest,
                scope,
                token.name,
                parent,
                created_at,
                expires_at
            ])?;
        }
        TokenChange::Revoke(id, at) => {
            let mut statement = connection.prepare_cached(
                "UPDATE tokens SET revoked_at = ?2 WHERE (id = ?1 OR parent = ?1) AND revoked_at IS NULL",
            )?;
            statement.execute(params![id.number(), at.0])?;
        }
        TokenChange::Use(id, at) => {
            let mut statement = connection.prepare_cached("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1")?;
            statement.execute(params![id.number(), at.0])?;
            // Nobody has to hear of that.
            return Ok(());
        }
    }
    connection.prepare_cached("UPDATE marks SET value = value + 1 WHERE name = 'tokens'")?.execute([]).map(drop)
}

/// How often the tokens have changed so far.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM marks WHERE name = 'tokens'")?;
    statement.query_row([], |row| rows::unsigned(row, 0))
}

/// All tokens and sessions.
pub(super) fn read_all(connection: &Connection) -> rusqlite::Result<Vec<Token>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, digest, scope, name, parent, created_at, expires_at, last_used_at, revoked_at FROM tokens",
    )?;
    statement.query_map([], read)?.collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Token> {
    let id = |index: usize, number: i64| TokenId::from_number(number).ok_or_else(|| rows::bad(index, "no token's id"));
    let scope: String = row.get(2)?;
    let time = |index: usize| row.get::<_, Option<i64>>(index).map(|at| at.map(WallUs));
    Ok(Token {
        id: id(0, row.get(0)?)?,
        digest: row.get(1)?,
        scope: Scope::from_name(&scope).ok_or_else(|| rows::bad(2, "no scope"))?,
        name: row.get(3)?,
        parent: row.get::<_, Option<i64>>(4)?.map(|parent| id(4, parent)).transpose()?,
        created_at: WallUs(row.get(5)?),
        expires_at: time(6)?,
        last_used_at: time(7)?,
        revoked_at: time(8)?,
    })
}

/// Forgets some sessions that are over. Tokens stay: the audit log names them, and one that was revoked must be known as
/// such if it is shown again.
pub(super) fn delete_old(connection: &Connection, now: WallUs, most: u32) -> rusqlite::Result<u32> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE \
         parent IS NOT NULL AND min(ifnull(revoked_at, 9e18), ifnull(expires_at, 9e18)) < ?1 LIMIT ?2)",
    )?;
    statement.execute(params![now.0, most]).map(|gone| rows::small(gone as u64))
}

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
    write(&transaction, change)?;
    audit::insert(&transaction, row)?;
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
        read_all(&self.connection).map_err(|why| why.to_string())
    }

    /// Writes a change, and that it was made.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn write(&mut self, change: &TokenChange, row: &AuditRow) -> Result<(), String> {
        write_with(&mut self.connection, change, row).map_err(|why| why.to_string())
    }
}
