//! Owns filling a database with finished executions, as years of use would.
//! It must not touch a file that a server has open.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::BenchError;
use crate::clock;
use crate::core::{Kind, Status};
use crate::job::{JobId, JobKey};
use crate::store::Store;
use crate::time::WallUs;

/// The jobs that the rows belong to; paused, so that they add nothing but their history.
const OWNERS: u32 = 1_000;
/// What each of them is.
const OWNER: &str =
    r#"{"schedule":"* * * * * *","api":"http://127.0.0.1:9/history","type":"ATLEAST_ONCE","active":false}"#;
/// Pages kept in memory while rows are written, in KiB: the index on times is touched all over.
const CACHE_KIB: i64 = 128 * 1_024;
/// Rows in one transaction.
const BATCH_ROWS: u32 = 100_000;

/// Makes the database and puts so many rows into its history, the newest a minute ago, one a second for each owner.
pub(super) fn fill(path: &Path, rows: u32) -> Result<(), BenchError> {
    drop(Store::open(path).map_err(|why| BenchError::Server(why.to_string()))?);
    let go = || -> rusqlite::Result<()> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let per_owner = rows.div_ceil(OWNERS);
        let newest = clock::wall().floor().as_secs() - 60;
        let first = newest - i64::from(per_owner);
        write_owners(&mut connection, rows, per_owner, first)?;
        let mut written = 0;
        while written < rows {
            let until = rows.min(written.saturating_add(BATCH_ROWS));
            write_rows(&mut connection, (written, until), per_owner, first)?;
            written = until;
        }
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
    };
    go().map_err(|why| BenchError::Server(format!("failed to fill {}: {why}", path.display())))
}

fn write_owners(connection: &mut Connection, rows: u32, per_owner: u32, first: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut job = transaction.prepare(
            "INSERT INTO jobs (id, public_id, revision, definition, anchor, created_at, updated_at) \
             VALUES (?1, ?2, 1, ?3, ?4, ?5, ?5)",
        )?;
        let mut total = transaction.prepare(
            "INSERT INTO job_totals (job_id, finished_through, success, failed, skipped, duration, timed, \
             kept, last_scheduled_time, last_status, last_http_status) \
             VALUES (?1, ?2, ?3, 0, 0, ?4, ?3, ?3, ?2, ?5, 200)",
        )?;
        for owner in 1..=rows.div_ceil(per_owner) {
            // The last one may have fewer.
            let own = per_owner.min(rows - (owner - 1) * per_owner);
            let id = JobId::new(JobKey(owner.into()), [7; 10]);
            let created = first.saturating_mul(1_000_000);
            job.execute(params![owner, id.as_bytes(), OWNER, first, WallUs(created).0])?;
            let last = first + i64::from(own) - 1;
            total.execute(params![owner, last, own, i64::from(own) * 900, Status::Success.code()])?;
        }
    }
    transaction.commit()
}

/// Rows `from` to `until`, in the order of the table.
fn write_rows(connection: &mut Connection, span: (u32, u32), per_owner: u32, first: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut row = transaction.prepare(
            "INSERT INTO job_executions (job_id, scheduled_time, kind, number, status, class, attempt, recoveries, \
             executed_after, http_status, duration) VALUES (?1, ?2, ?3, 0, ?4, 0, 1, 0, 350, 200, 900)",
        )?;
        for number in span.0..span.1 {
            let (owner, second) = (number / per_owner + 1, number % per_owner);
            let instant = first + i64::from(second);
            row.execute(params![owner, instant, Kind::Scheduled.code(), Status::Success.code()])?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store;

    #[test]
    fn a_server_can_read_what_was_filled_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("filled.db");
        fill(&path, 2_500).expect("filled");
        let store = Store::open(&path).expect("ours");
        let mut executions = 0;
        let loaded =
            store::load(&store, |job| executions += job.totals.tally.counters.total(), |_| ()).expect("readable");
        assert_eq!((loaded.jobs, executions), (834, 2_500));
        let connection = Connection::open(&path).expect("SQLite");
        let rows: u32 = connection.query_row("SELECT count(*) FROM job_executions", [], |row| row.get(0)).expect("SQL");
        assert_eq!(rows, 2_500);
    }
}
