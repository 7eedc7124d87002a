//! Owns the schema's versions in PostgreSQL: numbered files, applied in order, one server at a time.
//! It must not change a file once it is released: databases out there were made by it.

use crate::postgres::{Connection, Error};
use crate::time::MonoUs;

/// Every migration, oldest first. Its place, from 1, is the version it leads to.
const MIGRATIONS: &[&str] = &[include_str!("../../../migrations/postgres/0001_initial.sql")];

/// Locks out other servers that migrate: the bytes of "punctual".
const LOCK: i64 = 0x7075_6e63_7475_616c;

/// The version this build writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Brings a database up to date; a new one gets its tables. The version that it has then, which is higher than ours if a
/// newer version of this program made it: then nothing is changed.
pub(super) fn migrate(connection: &mut Connection, until: MonoUs) -> Result<i64, Error> {
    connection.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})"), until)?;
    connection.batch(
        "CREATE TABLE IF NOT EXISTS punctual_schema (version bigint NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        until,
    )?;
    let found = connection.query("SELECT coalesce(max(version), 0) FROM punctual_schema", &[], until)?;
    let version = found.first()?.i64(0)?;
    for (place, migration) in (1..).zip(MIGRATIONS).skip(usize::try_from(version).unwrap_or(0)) {
        let place: i64 = place;
        connection.batch(migration, until)?;
        connection.execute("INSERT INTO punctual_schema (version) VALUES ($1)", &[&place], until)?;
    }
    connection.batch("COMMIT", until)?;
    Ok(version.max(current_version()))
}
