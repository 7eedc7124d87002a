//! Owns opening the database: the folder, the lock, what kind of file it is, its version.
//! It must not touch a file that is not ours or is newer than this build.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::checkpoint::length_of;
use super::chore::is_of_page;
use super::index::IndexWriter;
use super::migrations;
use super::moving;
use super::part::{beside, is_named};
use super::seal::Header;
use crate::store::migration::IN_PART;
use crate::vault::Vault;

/// Marks a SQLite file as Punctual's ("Pnct").
pub(super) const APPLICATION_ID: i64 = 0x506e_6374;
/// Marks one as a backup ("Pncb"): nobody serves it by mistake, and fires what the original fires.
pub(super) const BACKUP_ID: i64 = 0x506e_6362;
/// What must be whole for the server to go on.
const CHECKED_TABLES: [&str; 4] = ["jobs", "ledger", "job_totals", "marks"];
/// The first bytes of every SQLite file.
pub(super) const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";
/// The length of a database that holds nothing yet: one page of the usual size, in bytes.
const NEW_LEN: u64 = 4_096;
/// How long a statement waits for another connection's lock before it says so.
const BUSY_WAIT: Duration = Duration::from_millis(20);
/// Pages kept in memory by the writer, in KiB.
pub(super) const WRITER_CACHE_KIB: i64 = 4_096;
/// Statements that the writer keeps ready: all that there are beside those of starts and commands.
const WRITER_STATEMENTS_MAX: usize = 64;
/// Pages kept in memory by each reader, in KiB.
const READER_CACHE_KIB: i64 = 1_024;

/// The database, open for writing by this process alone.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    pub(super) connection: Connection,
    /// The ledger's rows, once they were loaded.
    pub(super) index: IndexWriter,
    /// What secrets are sealed with; None: there are none.
    pub(super) vault: Option<Vault>,
    /// Dropped after every connection that has a share of it.
    pub(super) lock: Arc<Lock>,
}

/// How long it takes until another process counts as one that uses the database.
const LOCK_WAIT_MAX: Duration = Duration::from_millis(300);
/// How often it is looked meanwhile.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a look at a database finds, beside that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether another process has it.
    pub is_in_use: bool,
}

/// The lock that keeps other servers out: on the database file itself, so that neither another name for it nor a file
/// that is removed lets a second one in. Released by the system when the process ends, however it ends.
///
/// It is a `flock`, of which SQLite's own locks know nothing. Closing any descriptor of the file would drop those
/// (https://sqlite.org/howtocorrupt.html, section 2.2), so whoever holds a connection holds a share of this one, and it
/// is closed last.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "what counts is that it is open")] File);

impl Store {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// Says what is in the way. The file is then as it was.
    pub fn open(path: &Path) -> Result<Store, OpenError> {
        let store = Store::open_in_part(path)?;
        match moving::is_in_part(&store.connection) {
            Ok(false) => Ok(store),
            Ok(true) => Err(OpenError::InPart(store.path)),
            Err(why) => Err(damaged(&store.path, &why)),
        }
    }

    /// The same, also if it is one into which something was moved in part.
    pub(super) fn open_in_part(path: &Path) -> Result<Store, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|why| OpenError::Folder(folder.to_owned(), why))?;
        }
        let is_new = !path.exists();
        let lock = lock(path)?;
        // SQLite names its log after the file: by whatever name it is opened, there must be one log.
        let path = &fs::canonicalize(path).map_err(|why| OpenError::Unreadable(path.to_owned(), why))?;
        let opened = open_locked(path);
        if opened.is_err() && is_new {
            // What could not be made leaves nothing behind.
            fs::remove_file(path).ok();
        }
        let index = IndexWriter::new(Arc::default());
        Ok(Store { path: path.to_owned(), connection: opened?, index, vault: None, lock: Arc::new(Lock(lock)) })
    }

    /// Opens a database that must be there.
    ///
    /// # Errors
    /// When it is not, or as [`Store::open`] has it.
    pub fn open_existing(path: &Path) -> Result<Store, OpenError> {
        fs::metadata(path).map_err(|why| OpenError::Unreadable(path.to_owned(), why))?;
        Store::open(path)
    }

    /// Looks at a database without changing it; None if there is none. Not for a process that has it open.
    ///
    /// # Errors
    /// When it cannot be read and written, or is none of ours, as [`Store::open`] has it.
    pub fn look(path: &Path) -> Result<Option<Looked>, OpenError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|why| OpenError::Unreadable(path.to_owned(), why))?,
        };
        let is_in_use = match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(why)) => return Err(OpenError::Lock(path.to_owned(), why)),
        };
        check_header(path)?;
        if !is_in_use {
            // What a server has it has looked at.
            let missing = ["-wal", "-shm"].map(|suffix| beside(path, suffix));
            let missing: Vec<PathBuf> = missing.into_iter().filter(|file| !file.exists()).collect();
            let inspected = inspect(path);
            // SQLite makes them to read, and they say nothing. Nobody else has them, as we have the lock.
            missing.iter().for_each(|file| drop(fs::remove_file(file)));
            inspected?;
        }
        Ok(Some(Looked { is_in_use }))
    }

    /// The error of a file that SQLite cannot go on with.
    pub(super) fn damaged(&self, why: &rusqlite::Error) -> OpenError {
        damaged(&self.path, why)
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

fn open_locked(path: &Path) -> Result<Connection, OpenError> {
    check_header(path)?;
    roll_back(path)?;
    let version = inspect(path)?;
    let mut connection = Connection::open(path).map_err(|why| damaged(path, &why))?;
    let mode = prepare(&mut connection, version).map_err(|why| damaged(path, &why))?;
    if mode != "wal" {
        // As on a file system that cannot share memory between processes.
        let why = format!("it cannot be written ahead (journal_mode is {mode:?} instead of \"wal\")");
        return Err(OpenError::Database(path.to_owned(), why));
    }
    Ok(connection)
}

pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    // Jobs may hold what is nobody else's business. SQLite gives its log the mode of the database.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|why| OpenError::Lock(path.to_owned(), why))?;
    let until = Instant::now() + LOCK_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) if is_named(&file, path) => return Ok(file),
            // Whoever had it may just be ending; so may a program that was started by it, which has a share for a moment.
            Err(TryLockError::WouldBlock) if Instant::now() < until => std::thread::sleep(LOCK_LOOK_EVERY),
            // A backup was put in its place between the two.
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(why)) => return Err(OpenError::Lock(path.to_owned(), why)),
        }
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

/// Looks at an existing database through a connection that cannot change it. Its version; 0 if there is none yet.
fn inspect(path: &Path) -> Result<i64, OpenError> {
    if !fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        return Ok(0);
    }
    let damaged = |why| damaged(path, &why);
    let connection = open_reader(path).map_err(damaged)?;
    let version = version_of(&connection, path, APPLICATION_ID)?;
    // Not the whole file: history may be large, and what is needed to go on is in these.
    for table in CHECKED_TABLES.iter().filter(|_| version > 0) {
        let sql = format!("PRAGMA quick_check({table})");
        let verdict: String = connection.query_row(&sql, [], |row| row.get(0)).map_err(damaged)?;
        if verdict != "ok" {
            return Err(OpenError::Damaged(path.to_owned(), verdict.replace('\n', "; ")));
        }
    }
    Ok(version)
}

/// The version of an open database that has this mark, if it is one that this build knows.
pub(super) fn version_of(connection: &Connection, path: &Path, mark: i64) -> Result<i64, OpenError> {
    let damaged = |why| damaged(path, &why);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(damaged)?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(damaged)?;
    if tables > 0 && application != mark {
        let is_backup = application == BACKUP_ID;
        return Err(if is_backup { OpenError::Backup(path.to_owned()) } else { OpenError::Foreign(path.to_owned()) });
    }
    let version = migrations::version_of(connection).map_err(damaged)?;
    if version > migrations::current_version() {
        return Err(OpenError::Newer { path: path.to_owned(), version, current: migrations::current_version() });
    }
    Ok(version)
}

/// Takes back what was cut short without write-ahead logging: the making of the database, or its replacement by
/// `restore`. It has a journal then, and whoever may only read cannot read what that stands for.
fn roll_back(path: &Path) -> Result<(), OpenError> {
    // Nobody's table fits into one page beside the list of tables.
    let is_new = length_of(path) <= NEW_LEN;
    if length_of(&beside(path, "-journal")) == 0 || !(is_new || is_marked(path, APPLICATION_ID)) {
        return Ok(());
    }
    let connection = Connection::open(path).map_err(|why| damaged(path, &why))?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(|why| damaged(path, &why))
}

/// Whether the head of a file has this mark, whatever else is in it.
fn is_marked(path: &Path, mark: i64) -> bool {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(_) => return false,
    };
    Header::read(&mut file, path).is_ok_and(|header| header.application == mark)
}

/// The journal mode that is in force.
fn prepare(connection: &mut Connection, version: i64) -> rusqlite::Result<String> {
    connection.busy_timeout(BUSY_WAIT)?;
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(WRITER_STATEMENTS_MAX);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The writer checkpoints when it chooses to.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    if version < migrations::current_version() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrations::migrate(&transaction, version)?;
        transaction.commit()?;
    }
    Ok(mode)
}

pub(super) fn damaged(path: &Path, why: &rusqlite::Error) -> OpenError {
    if let rusqlite::Error::SqliteFailure(error, _) = why
        && error.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK
    {
        let why = "a change of it was cut short; the next start of the server takes that back";
        return OpenError::Database(path.to_owned(), why.to_owned());
    }
    if is_of_page(why) {
        return OpenError::Damaged(path.to_owned(), why.to_string());
    }
    OpenError::Database(path.to_owned(), why.to_string())
}

/// Why the database cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The folder cannot be made.
    Folder(PathBuf, io::Error),
    /// The file cannot be made or locked.
    Lock(PathBuf, io::Error),
    /// Another process has the database.
    InUse(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file is not a SQLite database.
    NotADatabase(PathBuf),
    /// The file is somebody else's SQLite database.
    Foreign(PathBuf),
    /// The file is a backup.
    Backup(PathBuf),
    /// The file was written by a newer version.
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i64,
        /// The newest version this build knows.
        current: i64,
    },
    /// Something was moved into the file, and not all of it.
    InPart(PathBuf),
    /// The file holds secrets, and no key was given.
    Sealed(PathBuf),
    /// The file holds secrets that another key opens.
    OtherKey(PathBuf),
    /// SQLite found the file damaged.
    Damaged(PathBuf, String),
    /// SQLite cannot open or read the file.
    Database(PathBuf, String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Folder(path, why) => write!(f, "failed to create the folder {}: {why}", path.display()),
            OpenError::Lock(path, why) => write!(f, "failed to open or lock {}: {why}", path.display()),
            OpenError::InUse(path) => write!(f, "failed to open {}: another process is using it", path.display()),
            OpenError::Unreadable(path, why) => write!(f, "failed to read {}: {why}", path.display()),
            OpenError::NotADatabase(path) => {
                write!(f, "failed to open {}: it is not a SQLite database", path.display())
            }
            OpenError::Foreign(path) => {
                write!(f, "failed to open {}: it is a database of another program", path.display())
            }
            OpenError::Backup(path) => write!(
                f,
                "failed to open {}: it is a backup; `punctual restore` puts it in place of a database",
                path.display()
            ),
            OpenError::Newer { path, version, current } => write!(
                f,
                "failed to open {}: its schema has version {version}, and this build knows up to {current}; \
                 use the newer build that wrote it",
                path.display()
            ),
            OpenError::InPart(path) => write!(f, "failed to open {}: {IN_PART}", path.display()),
            OpenError::Sealed(path) => write!(
                f,
                "failed to open {}: it holds secrets, and no key was given; --secrets-key FILE names it",
                path.display()
            ),
            OpenError::OtherKey(path) => write!(
                f,
                "failed to open {}: the secrets in it were sealed with another key than that of --secrets-key",
                path.display()
            ),
            OpenError::Damaged(path, what) => write!(f, "failed to open {}: it is damaged: {what}", path.display()),
            OpenError::Database(path, why) => write!(f, "failed to open {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder can be made")
    }

    fn refused(path: &Path) -> String {
        let before = fs::read(path).expect("the file is there");
        let why = Store::open(path).expect_err("it must be refused").to_string();
        assert_eq!(fs::read(path).expect("it is still there"), before, "{why}: the file was touched");
        assert!(!why.contains('\n'), "{why}");
        why
    }

    #[test]
    fn a_new_file_is_made_with_its_folder_and_opens_again() {
        let folder = folder();
        let path = folder.path().join("a/b/punctual.db");
        drop(Store::open(&path).expect("it can be made"));
        let store = Store::open(&path).expect("it opens again");
        let mode: String = store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(migrations::version_of(&store.connection).unwrap(), migrations::current_version());
        let why = Store::open(&path).expect_err("it is open").to_string();
        assert!(why.contains("another process is using it"), "{why}");
    }

    #[test]
    fn what_is_not_ours_is_refused_and_not_touched() {
        let folder = folder();
        let path = folder.path().join("p.db");
        fs::write(&path, "not a database, but a text").unwrap();
        assert!(refused(&path).contains("not a SQLite database"));
        fs::remove_file(&path).unwrap();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        assert!(refused(&path).contains("another program"));
        fs::remove_file(&path).unwrap();
        drop(Store::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(refused(&path).contains("version 99"));
    }

    #[test]
    fn a_damaged_file_is_refused_and_not_touched() {
        let folder = folder();
        let path = folder.path().join("p.db");
        drop(Store::open(&path).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        assert!(bytes.len() > 8192, "there are pages behind the first two");
        bytes.truncate(8192);
        fs::write(&path, &bytes).unwrap();
        refused(&path);
        let mut scrambled = bytes.clone();
        scrambled[100..4096].fill(0xaa);
        fs::write(&path, &scrambled).unwrap();
        refused(&path);
    }

    #[test]
    fn a_place_that_cannot_hold_a_file_is_named() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let why = Store::open(&file.join("sub/p.db")).expect_err("a file is no folder").to_string();
        assert!(why.starts_with("failed to create the folder"), "{why}");
        let why = Store::open(folder.path()).expect_err("a folder is no file").to_string();
        assert!(why.starts_with("failed to"), "{why}");
    }

    #[test]
    fn the_lock_is_on_the_file_itself_by_whatever_name_and_ends_with_the_process() {
        let folder = folder();
        let path = folder.path().join("p.db");
        let store = Store::open(&path).unwrap();
        let other = folder.path().join("other.db");
        for link in [std::os::unix::fs::symlink::<&Path, &Path>, |from, to| fs::hard_link(from, to)] {
            link(&path, &other).unwrap();
            let why = Store::open(&other).expect_err("it is open").to_string();
            assert!(why.contains("another process is using it"), "{why}");
            fs::remove_file(&other).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "the database, its log, its index; no lock file");
        // `flock` from another process, as a second server would.
        let held = || Command::new("flock").arg("-n").arg(&path).arg("true").status().map(|status| !status.success());
        match held() {
            Ok(held) => assert!(held, "another process got the lock"),
            // Not every machine has the command; the test of the real binary covers the rest.
            Err(_) => return,
        }
        drop(store);
        assert_eq!(held().ok(), Some(false));
    }

    #[test]
    fn by_a_symbolic_link_it_is_the_same_database_with_one_log() {
        let folder = folder();
        let (path, link) = (folder.path().join("real.db"), folder.path().join("link.db"));
        drop(Store::open(&path).unwrap());
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let store = Store::open(&link).unwrap();
        assert_eq!(store.path(), fs::canonicalize(&path).unwrap());
        store.connection.execute("INSERT INTO marks VALUES ('x', 1)", []).unwrap();
        assert!(path.with_extension("db-wal").exists() && !link.with_extension("db-wal").exists());
    }

    #[test]
    fn only_its_owner_reads_the_database() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = folder.path().join("p.db");
        let store = Store::open(&path).unwrap();
        store.connection.execute("INSERT INTO marks VALUES ('x', 1)", []).unwrap();
        for name in ["p.db", "p.db-wal", "p.db-shm"] {
            let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn commands_beside_the_server_may_open_the_file() {
        let folder = folder();
        let path = folder.path().join("p.db");
        let mut store = Store::open(&path).unwrap();
        let beside = Connection::open(&path).unwrap();
        beside.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = super::super::commit::commit(&mut store.connection, None, &crate::store::Batch::default());
        assert!(super::super::commit::is_busy(&busy.expect_err("the other one writes").why));
        beside.execute_batch("COMMIT").unwrap();
        drop(beside);
        super::super::commit::commit(&mut store.connection, None, &crate::store::Batch::default()).unwrap();
        let why = Store::open(&path).expect_err("it is still locked").to_string();
        assert!(why.contains("another process is using it"), "{why}");
    }
}
