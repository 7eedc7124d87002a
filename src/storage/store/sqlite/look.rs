//! Owns a look at a database or a backup without a server: what it is, what is in it, whether it fits together.
//! It must not change the file, whoever else has it open.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, DropBehavior, ErrorCode, Transaction, TransactionBehavior};

use super::checkpoint::{length_of, wal_of};
use super::copying::{CopyError, Watch};
use super::index::IndexWriter;
use super::open::{self, APPLICATION_ID, BACKUP_ID, OpenError};
use super::seal::Header;
use super::secrets::open_all;
use super::{invariants, load, migrations, sums, whole};
use crate::core::{LedgerRow, StoredJob};
use crate::job::Context;
use crate::limits::{BACKUP_WAL_MAX, FINDINGS_MAX};
use crate::store::tables::settings;
use crate::store::{Finding, Loaded};
use crate::vault::Vault;

/// How many steps of SQLite pass between two looks at the log.
const STEPS_PER_LOOK: i32 = 1_000_000;

/// What is counted, under the name that people read.
const COUNTS: [(&str, &str); 12] = [
    ("jobs", "SELECT count(*) FROM jobs WHERE deleted_at IS NULL"),
    ("deletedJobs", "SELECT count(*) FROM jobs WHERE deleted_at IS NOT NULL"),
    ("ledger", "SELECT count(*) FROM ledger"),
    ("history", "SELECT ifnull(sum(kept), 0) FROM job_totals"),
    ("alerts", "SELECT count(*) FROM alerts"),
    ("incidents", "SELECT count(*) FROM incidents"),
    ("channels", "SELECT count(*) FROM channels"),
    ("silences", "SELECT count(*) FROM silences"),
    ("secrets", "SELECT (SELECT count(*) FROM secrets) + (SELECT count(*) FROM channel_secrets)"),
    ("tokens", "SELECT count(*) FROM tokens WHERE parent IS NULL AND revoked_at IS NULL"),
    ("calendars", "SELECT count(*) FROM calendars"),
    ("idempotencyKeys", "SELECT count(*) FROM idempotency_keys"),
];

/// What becomes of the secrets in a file with the key at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsState {
    /// There are none.
    None,
    /// The key opens all of them.
    Open,
    /// There is no key at hand.
    NoKey,
    /// They were sealed with another key.
    OtherKey,
    /// One of them is damaged.
    Damaged,
}

impl SecretsState {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            SecretsState::None => "none",
            SecretsState::Open => "open",
            SecretsState::NoKey => "noKey",
            SecretsState::OtherKey => "otherKey",
            SecretsState::Damaged => "damaged",
        }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The file.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// The length of its write-ahead log.
    pub wal_bytes: u64,
    /// The version of its schema; below that of this build a start brings it up to date.
    pub schema_version: i64,
    /// When the backup was taken, if it is one.
    pub taken_at: Option<String>,
    /// How much there is of everything, by name. Empty where the schema is of another version than this build's.
    pub counts: Vec<(&'static str, u64)>,
    /// Its secrets; None where the schema is of another version.
    pub secrets: Option<SecretsState>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// A database that is looked at: one state of it.
#[derive(Debug)]
pub struct Look {
    path: PathBuf,
    connection: Connection,
    vault: Option<Vault>,
    /// The version of the file.
    version: i64,
    /// Whether the tables are those of this build.
    is_current: bool,
    taken_at: Option<String>,
}

impl Look {
    /// Looks at a database, whether a server runs on it or not, or at a backup, which is read as a whole first.
    ///
    /// # Errors
    /// When it is neither, is newer than this build, or is a backup that is not whole.
    pub fn open(path: &Path, vault: Option<Vault>, watch: Watch<'_>) -> Result<Look, CopyError> {
        let path = fs::canonicalize(path).map_err(|why| OpenError::Unreadable(path.to_owned(), why))?;
        let mut file = fs::File::open(&path).map_err(|why| CopyError::read(&path, why))?;
        let is_backup = Header::read(&mut file, &path)?.is_backup();
        drop(file);
        let taken_at = if is_backup { whole::read(&path, |_| Ok(()), watch)? } else { None };
        let connection = open::open_reader(&path).map_err(|why| open::damaged(&path, &why))?;
        let begun = connection.execute_batch("PRAGMA temp_store = MEMORY; BEGIN");
        begun.map_err(|why| open::damaged(&path, &why))?;
        Look::begin(path, connection, if is_backup { BACKUP_ID } else { APPLICATION_ID }, vault, taken_at)
    }

    /// Looks at a copy that nobody else has open, as it will be once it is brought up to date.
    pub(super) fn at_copy(path: &Path, vault: Option<Vault>, taken_at: Option<String>) -> Result<Look, CopyError> {
        let failed = |why: rusqlite::Error| CopyError::Open(open::damaged(path, &why));
        let connection = Connection::open(path).map_err(failed)?;
        // What is tried out is taken back, and leaves no file beside it.
        connection.pragma_update_and_check(None, "journal_mode", "MEMORY", |_| Ok(())).map_err(failed)?;
        connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
        let version = open::version_of(&connection, path, APPLICATION_ID)?;
        let begun = if version < migrations::current_version() {
            migrate_for_now(&connection, version)
        } else {
            connection.execute_batch("BEGIN")
        };
        begun.map_err(failed)?;
        let mut look = Look::begin(path.to_owned(), connection, APPLICATION_ID, vault, taken_at)?;
        look.version = version;
        Ok(look)
    }

    fn begin(
        path: PathBuf,
        mut connection: Connection,
        mark: i64,
        vault: Option<Vault>,
        taken_at: Option<String>,
    ) -> Result<Look, CopyError> {
        let failed = |why: rusqlite::Error| CopyError::Open(open::damaged(&path, &why));
        let version = open::version_of(&connection, &path, mark)?;
        let wal = wal_of(&path);
        // Whoever looks keeps the log from beginning anew: that must not go on for ever.
        let is_too_long = move || length_of(&wal) > BACKUP_WAL_MAX;
        connection.progress_handler(STEPS_PER_LOOK, Some(is_too_long)).map_err(failed)?;
        let is_current = version == migrations::current_version();
        Ok(Look { path, connection, vault, version, is_current, taken_at })
    }

    /// Looks at all of it. `say` hears what is looked at.
    ///
    /// # Errors
    /// When it cannot be read; what is wrong with it is no error.
    pub fn examine(&self, say: &mut dyn FnMut(&'static str)) -> Result<Examined, CopyError> {
        let mut examined = Examined {
            file: self.path.clone(),
            bytes: length_of(&self.path),
            wal_bytes: length_of(&wal_of(&self.path)),
            schema_version: self.version,
            taken_at: self.taken_at.clone(),
            counts: Vec::new(),
            secrets: None,
            findings: Vec::new(),
        };
        say("pages and indexes");
        // A file that is damaged can still be looked at: that is what it was asked for.
        let damage = Finding::new("faults of pages and indexes");
        match self.integrity(damage) {
            Ok(None) => {}
            Ok(Some(damage)) => {
                examined.findings.push(damage);
                return Ok(examined);
            }
            Err(why) => {
                examined.findings.push(self.unread(why)?);
                return Ok(examined);
            }
        }
        if self.is_current {
            match self.tables(&mut examined, say) {
                Ok(()) => {}
                Err(why) => examined.findings.push(self.unread(why)?),
            }
            let secrets = self.secrets()?;
            examined.secrets = Some(secrets);
            if secrets == SecretsState::Damaged {
                examined.findings.push(Finding::once("a secret that its key does not open"));
            }
        }
        Ok(examined)
    }

    fn integrity(&self, mut damage: Finding) -> rusqlite::Result<Option<Finding>> {
        let mut statement = self.connection.prepare(&format!("PRAGMA integrity_check({FINDINGS_MAX})"))?;
        let mut lines = statement.query([])?;
        while let Some(line) = lines.next()? {
            let line: String = line.get(0)?;
            if line != "ok" {
                damage.note(|| line.lines().collect::<Vec<_>>().join("; "));
            }
        }
        Ok(damage.if_any())
    }

    fn tables(&self, examined: &mut Examined, say: &mut dyn FnMut(&'static str)) -> rusqlite::Result<()> {
        for (name, sql) in COUNTS {
            let count: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
            examined.counts.push((name, count.unsigned_abs()));
        }
        examined.findings.extend(invariants::broken(&self.connection, say)?);
        say("rollups");
        examined.findings.extend(sums::wrong(&self.connection)?);
        say("settings");
        let secrets = open_all(&self.connection, &self.path, self.vault.as_ref()).ok();
        examined.findings.extend(settings::unread(&self.connection, secrets.as_ref())?);
        Ok(())
    }

    /// What SQLite cannot read is wrong with the file; that it was not allowed to go on is not.
    fn unread(&self, why: rusqlite::Error) -> Result<Finding, CopyError> {
        if why.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return Err(CopyError::Overtaken(self.path.clone(), length_of(&wal_of(&self.path))));
        }
        Ok(Finding { examples: vec![why.to_string()], ..Finding::once("a place that cannot be read") })
    }

    fn secrets(&self) -> Result<SecretsState, CopyError> {
        match open_all(&self.connection, &self.path, self.vault.as_ref()) {
            Ok(found) if found.is_empty() => Ok(SecretsState::None),
            Ok(_) => Ok(SecretsState::Open),
            Err(OpenError::Sealed(_)) => Ok(SecretsState::NoKey),
            Err(OpenError::OtherKey(_)) => Ok(SecretsState::OtherKey),
            Err(OpenError::Damaged(..)) => Ok(SecretsState::Damaged),
            Err(why) => Err(why.into()),
        }
    }

    /// Whether a start can be looked at: what it reads is in tables of this build.
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Reads what a start reads.
    ///
    /// # Errors
    /// As a start has them.
    pub fn load(
        &self,
        context: &Context<'_>,
        mut job: impl FnMut(StoredJob),
        mut row: impl FnMut(LedgerRow),
    ) -> Result<Loaded, OpenError> {
        let secrets = open_all(&self.connection, &self.path, self.vault.as_ref())?;
        let mut index = IndexWriter::new(Default::default());
        load::load(&self.connection, &secrets, &mut index, context, &mut job, &mut row)
            .map_err(|why| open::damaged(&self.path, &why))
    }

    /// Ends the look. What was tried out is taken back.
    pub(super) fn end(self) -> Result<(), CopyError> {
        let failed = |why: rusqlite::Error| CopyError::Open(open::damaged(&self.path, &why));
        self.connection.execute_batch("ROLLBACK").map_err(failed)?;
        self.connection.close().map_err(|(_, why)| CopyError::Open(open::damaged(&self.path, &why)))
    }
}

/// Brings a database up to date in a transaction that goes on.
fn migrate_for_now(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    let mut transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    transaction.set_drop_behavior(DropBehavior::Ignore);
    migrations::migrate(&transaction, version)
}
