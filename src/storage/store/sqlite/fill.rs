//! Owns filling a new database with finished executions, as years of use would.
//! It must not touch a file that a server has open.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::{OpenError, Store, rows};
use crate::core::{ExecutionKey, Record, Totals};
use crate::job::Revision;
use crate::store::tables::rows::{put_job, put_totals};

/// Pages kept in memory meanwhile, in KiB.
const CACHE_KIB: i64 = 128 * 1_024;
/// Executions in one transaction.
const BATCH_LEN: usize = 100_000;

/// Makes the database, and puts these jobs and executions into it; quickest in the order of job and time. The totals
/// of a job are those of all its executions.
///
/// # Errors
/// When the file is in use or cannot be written. It may then hold a part.
pub fn fill(
    path: &Path,
    jobs: impl Iterator<Item = (Revision, Totals)>,
    mut executions: impl Iterator<Item = (ExecutionKey, Record)>,
) -> Result<(), OpenError> {
    let mut store = Store::open(path)?;
    let connection = &mut store.connection;
    let go = || -> rusqlite::Result<()> {
        // Nobody waits for it, and what is cut short is made anew: so there is no log, which would be written twice.
        set_journal(connection, "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "temp_store", "FILE")?;
        write_jobs(connection, jobs)?;
        // Sorted at the end: row by row they would be touched all over.
        let indexes = drop_indexes(connection)?;
        while write_executions(connection, executions.by_ref().take(BATCH_LEN))? == BATCH_LEN {}
        indexes.iter().try_for_each(|sql| connection.execute_batch(sql))?;
        set_journal(connection, "WAL")
    };
    go().map_err(|why| store.damaged(&why))
}

fn set_journal(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))
}

/// Takes the indexes of history away; what makes them again.
fn drop_indexes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut found = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'job_executions' AND sql IS NOT NULL",
    )?;
    let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = found.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    found.iter().try_for_each(|(name, _)| connection.execute_batch(&format!("DROP INDEX {name}")))?;
    Ok(found.into_iter().map(|(_, sql)| sql).collect())
}

fn write_jobs(connection: &mut Connection, jobs: impl Iterator<Item = (Revision, Totals)>) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (revision, totals) in jobs {
        put_job(&*transaction, &revision)?;
        let kept = totals.tally.counters.total() + totals.tally.counters.skipped;
        put_totals(&*transaction, revision.id.key(), &totals, kept)?;
    }
    transaction.commit()
}

/// How many there were.
fn write_executions(
    connection: &mut Connection,
    executions: impl Iterator<Item = (ExecutionKey, Record)>,
) -> rusqlite::Result<usize> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut written = 0;
    {
        let mut put = transaction.prepare(rows::PUT_HISTORY)?;
        for (key, record) in executions {
            rows::write_history(&mut put, &key, &record)?;
            written += 1;
        }
    }
    transaction.commit()?;
    Ok(written)
}
