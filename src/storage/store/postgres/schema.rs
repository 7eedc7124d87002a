//! Owns the schema's versions in PostgreSQL: numbered files, applied in order, one server at a time.
//! It must not change a file once it is released: databases out there were made by it.
//!
//! Nodes of two versions run side by side while one after the other gets a newer build. So a file first only adds what is new
//! (a table, a column that has a default), and says which version is enough to work with what it leaves; what nobody uses any
//! more goes with a later one.

use crate::postgres::{Connection, Error};
use crate::time::MonoUs;

/// Every migration, oldest first. Its place, from 1, is the version it leads to. Beside it: the oldest version whose builds
/// can still work with the database after it.
const MIGRATIONS: &[(&str, i64)] = &[(include_str!("../../../../migrations/postgres/0001_initial.sql"), 1)];

/// Locks out other servers that migrate: the bytes of "punctual".
const LOCK: i64 = 0x7075_6e63_7475_616c;

/// Where the versions are.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS punctual_schema (version bigint NOT NULL, min_compatible bigint NOT NULL, \
                     applied_at timestamptz NOT NULL DEFAULT now())";

/// What a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    /// Its version; 0: it has no tables yet.
    pub(super) version: i64,
    /// The oldest version whose builds can work with it.
    pub(super) min_compatible: i64,
}

impl Schema {
    /// Whether this build knows all that may be in it.
    pub(super) fn is_known(self) -> bool {
        self.version <= current_version()
    }

    /// Whether this build can work with it, once it is brought up to date.
    pub(super) fn is_usable(self) -> bool {
        self.min_compatible <= current_version()
    }
}

/// The version this build writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// What a database is that has the table of versions.
pub(super) fn read(connection: &mut Connection, until: MonoUs) -> Result<Schema, Error> {
    let found = "SELECT coalesce(max(version), 0), coalesce(max(min_compatible), 0) FROM punctual_schema";
    let found = connection.query(found, &[], until)?;
    let row = found.first()?;
    Ok(Schema { version: row.i64(0)?, min_compatible: row.i64(1)? })
}

/// Brings a database up to date; a new one gets its tables. What it is then: if a newer version of this program made it,
/// nothing was changed, and it may not be usable.
pub(super) fn migrate(connection: &mut Connection, until: MonoUs) -> Result<Schema, Error> {
    connection.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {TABLE}"), until)?;
    let found = read(connection, until)?;
    for (place, (migration, min_compatible)) in (1..).zip(MIGRATIONS).skip(usize::try_from(found.version).unwrap_or(0))
    {
        let place: i64 = place;
        connection.batch(migration, until)?;
        let note = "INSERT INTO punctual_schema (version, min_compatible) VALUES ($1, $2)";
        connection.execute(note, &[&place, min_compatible], until)?;
    }
    let schema = read(connection, until)?;
    connection.batch("COMMIT", until)?;
    Ok(schema)
}
