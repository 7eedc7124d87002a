//! Owns the schema's versions: numbered files, applied in order under `PRAGMA user_version`.
//! It must not change a file once it is released: databases out there were made by it.
//!
//! To change the schema, add `migrations/000N_what.sql`, list it here, and write a database with the version before
//! into the test that opens old files.

use rusqlite::{Connection, Transaction};

/// Every migration, oldest first. Its place, from 1, is the version it leads to.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../../../../migrations/0001_initial.sql"),
    include_str!("../../../../migrations/0002_job_model.sql"),
    include_str!("../../../../migrations/0003_find_and_pause.sql"),
    include_str!("../../../../migrations/0004_series.sql"),
    include_str!("../../../../migrations/0005_access.sql"),
    include_str!("../../../../migrations/0006_incidents.sql"),
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

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn a_database_of_each_version_opens_with_what_is_in_it() {
        for version in 1..=MIGRATIONS.len() {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("p.db");
            let connection = Connection::open(&path).expect("it can be made");
            MIGRATIONS[..version].iter().for_each(|sql| connection.execute_batch(sql).expect("it is the schema"));
            let rows = format!(
                "PRAGMA application_id = 0x506e6374; PRAGMA user_version = {version}; \
                 INSERT INTO job_totals (job_id, success, failed, skipped, duration, timed, kept, last_scheduled_time, \
                 last_status) VALUES (1, 2, 3, 4, 5, 6, 7, 8, 0), (2, 2, 3, 4, 5, 6, 7, 8, 2); \
                 INSERT INTO job_executions (job_id, scheduled_time, kind, number, status, class, attempt, recoveries, \
                 executed_after) VALUES (1, 40, 0, 0, 0, 0, 1, 0, 1), (1, 50, 0, 0, 0, 0, 1, 0, 2500000), \
                 (1, 60, 0, 0, 2, 0, 1, 0, 1), (2, 50, 0, 0, 2, 0, 1, 0, 1); INSERT INTO marks VALUES ('job', 9)"
            );
            connection.execute_batch(&rows).expect("the rows fit");
            connection.close().expect("it can be closed");
            let store = Store::open(&path).expect("it opens");
            assert_eq!(version_of(&store.connection).expect("it has one"), current_version());
            let count = |sql: &str| store.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
            assert_eq!(count("SELECT success + failed + kept FROM job_totals WHERE job_id = 1"), 12);
            let sent = if version < 6 { 52 } else { 0 };
            let last_success = |job| format!("SELECT ifnull(last_success, 0) FROM job_totals WHERE job_id = {job}");
            assert_eq!([count(&last_success(1)), count(&last_success(2))], [sent, 0], "found in history");
            for table in ["incidents", "messages", "channels", "channel_secrets", "policies", "silences"] {
                assert_eq!(count(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
            }
            assert_eq!(count("SELECT (SELECT count(*) FROM series_hours) + (SELECT count(*) FROM series_days)"), 0);
        }
    }
}
