//! Owns the schema's versions: numbered files, applied in order under `PRAGMA user_version`.
//! It must not change a file once it is released: databases out there were made by it.
//!
//! To change the schema, add `migrations/000N_what.sql`, list it here, and write a database with the version before
//! into the test that opens old files.

use rusqlite::{Connection, Transaction};

/// Every migration, oldest first. Its place, from 1, is the version it leads to.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_initial.sql"),
    include_str!("../../../migrations/0002_job_model.sql"),
    include_str!("../../../migrations/0003_find_and_pause.sql"),
];

/// The version this build writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// The version of a database; 0 for a new one.
pub(super) fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a database from `version` to the current one, in one transaction.
pub(super) fn migrate(transaction: &Transaction<'_>, version: i64) -> rusqlite::Result<()> {
    for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", current_version())
}
