//! Owns opening the database: the folder, the lock, what kind of file it is, its version.
//! It must not touch a file that is not ours or is newer than this build.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::migrations;

/// Marks a SQLite file as Punctual's ("Pnct").
const APPLICATION_ID: i64 = 0x506e_6374;
/// The first bytes of every SQLite file.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
/// How long a statement waits for another connection's lock before it says so.
const BUSY_WAIT: Duration = Duration::from_millis(20);
/// Pages kept in memory by the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 4_096;
/// Pages kept in memory by each reader, in KiB.
const READER_CACHE_KIB: i64 = 1_024;

/// The database, open for writing by this process alone.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    pub(super) connection: Connection,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl Store {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// Says what is in the way. The file is then as it was.
    pub fn open(path: &Path) -> Result<Store, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|why| OpenError::Folder(folder.to_owned(), why))?;
        }
        let lock = lock(path)?;
        check_header(path)?;
        let mut connection = Connection::open(path).map_err(|why| damaged(path, why))?;
        prepare(&mut connection, path)?;
        Ok(Store { path: path.to_owned(), connection, _lock: lock })
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A read-only connection for a reader thread.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|why| OpenError::Lock(name.clone(), why))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(why)) => Err(OpenError::Lock(name, why)),
    }
}

/// Refuses a file that is not SQLite before SQLite sees it.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(why) => return Err(OpenError::Unreadable(path.to_owned(), why)),
    };
    let mut start = Vec::new();
    let length = u64::try_from(SQLITE_MAGIC.len()).expect("it is short");
    file.by_ref().take(length).read_to_end(&mut start).map_err(|why| OpenError::Unreadable(path.to_owned(), why))?;
    if start.is_empty() || start == SQLITE_MAGIC { Ok(()) } else { Err(OpenError::NotADatabase(path.to_owned())) }
}

fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let damaged = |why| damaged(path, why);
    connection.busy_timeout(BUSY_WAIT).map_err(damaged)?;
    let version = migrations::version_of(connection).map_err(damaged)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(damaged)?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(damaged)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if version > migrations::current_version() {
        return Err(OpenError::Newer { path: path.to_owned(), version, current: migrations::current_version() });
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(damaged)?;
    if verdict != "ok" {
        return Err(OpenError::Damaged(path.to_owned(), verdict));
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(damaged)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB).map_err(damaged)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(damaged)?;
    // The writer checkpoints when it chooses to.
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(damaged)?;
    if version < migrations::current_version() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(damaged)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(damaged)?;
        migrations::migrate(&transaction, version).map_err(damaged)?;
        transaction.commit().map_err(damaged)?;
    }
    Ok(())
}

fn damaged(path: &Path, why: rusqlite::Error) -> OpenError {
    OpenError::Database(path.to_owned(), why)
}

/// Why the database cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be made.
    Folder(PathBuf, io::Error),
    /// The lock file cannot be made or locked.
    Lock(PathBuf, io::Error),
    /// Another process has the database.
    InUse(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is not a SQLite database.
    NotADatabase(PathBuf),
    /// The file is somebody else's SQLite database.
    Foreign(PathBuf),
    /// The file was written by a newer version.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version this build knows.
        current: i64,
    },
    /// SQLite found the file damaged.
    Damaged(PathBuf, String),
    /// SQLite cannot open or read the file.
    Database(PathBuf, rusqlite::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Folder(path, why) => write!(f, "failed to create the folder {}: {why}", path.display()),
            OpenError::Lock(path, why) => write!(f, "failed to lock {}: {why}", path.display()),
            OpenError::InUse(path) => write!(f, "failed to open {}: another process is using it", path.display()),
            OpenError::Unreadable(path, why) => write!(f, "failed to read {}: {why}", path.display()),
            OpenError::NotADatabase(path) => {
                write!(f, "failed to open {}: it is not a SQLite database", path.display())
            }
            OpenError::Foreign(path) => {
                write!(f, "failed to open {}: it is a database of another program", path.display())
            }
            OpenError::Newer { path, version, current } => write!(
                f,
                "failed to open {}: its schema has version {version}, and this build knows up to {current}; \
                 use the newer build that wrote it",
                path.display()
            ),
            OpenError::Damaged(path, what) => write!(f, "failed to open {}: it is damaged: {what}", path.display()),
            OpenError::Database(path, why) => write!(f, "failed to open {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}
