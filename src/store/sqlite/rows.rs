//! Owns the statements about executions, and how their rows are bound: without a detour, as there are many of them.
//! It must not query: its callers do.

use rusqlite::{Row, Statement};

use crate::core::{ExecutionKey, LedgerRow, Record, Totals};
use crate::job::JobId;
use crate::store::sql::{self, integer};
use crate::store::tables::rows::{self, KEY_LEN, RECORD_LEN, key_columns, record_columns};
use crate::time::WallUs;

macro_rules! select_ledger {
    () => {
        concat!("SELECT seq, due_time, ", key_columns!(), ", executed_time, ", record_columns!(), " FROM ledger")
    };
}

/// Selects one row of the ledger, if it is finished, for `read_ledger`.
pub(super) const SELECT_FINISHED: &str = concat!(select_ledger!(), " WHERE seq = ?1 AND status <> 1");

/// Selects all rows of the ledger in their order, for `read_ledger`.
pub(super) const SELECT_ALL: &str = concat!(select_ledger!(), " ORDER BY seq");

/// Puts a whole row; what was there before under its number goes.
pub(super) const PUT_LEDGER: &str = concat!(
    "INSERT OR REPLACE INTO ledger (seq, due_time, ",
    key_columns!(),
    ", executed_time, ",
    record_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
);

/// Puts a finished execution into history.
pub(super) const PUT_HISTORY: &str = concat!(
    "INSERT OR REPLACE INTO job_executions (",
    key_columns!(),
    ", executed_after, ",
    record_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
);

/// Selects an execution of the ledger, for `read_execution`: if it is older than the first four parameters, and has
/// not only been armed for later than the sixth.
pub(super) const SELECT_UNFOLDED: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", executed_time, ",
    record_columns!(),
    " FROM ledger WHERE seq = ?5 AND (",
    key_columns!(),
    ") < (?1, ?2, ?3, ?4) AND (status <> 1 OR scheduled_time * 1000000 <= ?6)"
);

/// Selects executions of history, for `read_execution`.
pub(super) const SELECT_FOLDED: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", scheduled_time * 1000000 + executed_after, ",
    record_columns!(),
    " FROM job_executions"
);

pub(super) fn write_ledger(statement: &mut Statement<'_>, row: &LedgerRow) -> rusqlite::Result<usize> {
    let LedgerRow { seq, key, due, record } = row;
    statement.raw_bind_parameter(1, integer(seq.0))?;
    statement.raw_bind_parameter(2, due.0)?;
    bind_key(statement, 3, key)?;
    bind_record(statement, 3 + KEY_LEN, record, record.executed.map(|at| at.0))?;
    statement.raw_execute()
}

/// The first dispatch is kept as microseconds after the instant: half the bytes of a time.
pub(super) fn write_history(
    statement: &mut Statement<'_>,
    key: &ExecutionKey,
    record: &Record,
) -> rusqlite::Result<usize> {
    bind_key(statement, 1, key)?;
    let after = record.executed.map(|at| at.since_us(WallUs::of(key.instant)));
    bind_record(statement, 1 + KEY_LEN, record, after)?;
    statement.raw_execute()
}

/// A row of the ledger.
pub(super) fn read_ledger(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    Ok(rows::read_ledger(&sql::Row(row))?)
}

/// An execution of either table.
pub(super) fn read_execution(row: &Row<'_>) -> rusqlite::Result<(ExecutionKey, Record)> {
    Ok(rows::read_execution(&sql::Row(row))?)
}

/// A job's totals and how many of its rows are kept.
pub(super) fn read_kept_totals(row: &Row<'_>) -> rusqlite::Result<(Totals, u64)> {
    Ok(rows::read_kept_totals(&sql::Row(row))?)
}

/// A column that holds a number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(sql::Row(row).get(index)?)
}

/// A column that holds a job's public id.
pub(super) fn job_id(row: &Row<'_>, index: usize) -> rusqlite::Result<JobId> {
    row.get(index).map(JobId::from_bytes)
}

fn bind_key(statement: &mut Statement<'_>, first: usize, key: &ExecutionKey) -> rusqlite::Result<()> {
    let ExecutionKey { instant, job, kind, number } = *key;
    statement.raw_bind_parameter(first, instant.as_secs())?;
    statement.raw_bind_parameter(first + 1, integer(job.0))?;
    statement.raw_bind_parameter(first + 2, kind.code())?;
    statement.raw_bind_parameter(first + 3, number)
}

fn bind_record(
    statement: &mut Statement<'_>,
    first: usize,
    record: &Record,
    dispatch: Option<i64>,
) -> rusqlite::Result<()> {
    let Record { status, class, attempt, recoveries, executed: _, http_status, duration_us, error, covers, details } =
        record;
    statement.raw_bind_parameter(first, dispatch)?;
    statement.raw_bind_parameter(first + 1, status.code())?;
    statement.raw_bind_parameter(first + 2, class.code())?;
    statement.raw_bind_parameter(first + 3, attempt)?;
    statement.raw_bind_parameter(first + 4, recoveries)?;
    statement.raw_bind_parameter(first + 5, http_status)?;
    statement.raw_bind_parameter(first + 6, duration_us.map(integer))?;
    statement.raw_bind_parameter(first + 7, error.as_deref())?;
    statement.raw_bind_parameter(first + 8, covers.map(|covers| covers.from.as_secs()))?;
    statement.raw_bind_parameter(first + 9, covers.map(|covers| covers.count))?;
    statement.raw_bind_parameter(first + 10, covers.map(|covers| covers.more))?;
    let details = details.as_deref().map(|details| serde_json::to_string(details).expect("its keys are names"));
    statement.raw_bind_parameter(first + RECORD_LEN - 1, details)
}
