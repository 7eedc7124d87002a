//! Owns the statements about executions, and how their rows are bound: without a detour, as there are many of them.
//! It must not query: its callers do.

use rusqlite::{CachedStatement, Connection, Row, Statement};

use crate::core::{ExecutionKey, LedgerRow, Record, Status, Totals};
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
const PUT_ANY: &str = concat!(
    "INSERT OR REPLACE INTO ledger (seq, due_time, ",
    key_columns!(),
    ", executed_time, ",
    record_columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
);

/// The same of a row that was never sent: nearly every other one.
const PUT_ARMED: &str = concat!(
    "INSERT OR REPLACE INTO ledger (seq, due_time, ",
    key_columns!(),
    ", class, status, attempt, recoveries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, 1, 0)"
);

/// The same of one that has nothing to say but how it went: nearly all others.
const PUT_PLAIN: &str = concat!(
    "INSERT OR REPLACE INTO ledger (seq, due_time, ",
    key_columns!(),
    ", class, executed_time, status, attempt, http_status, duration, recoveries) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0)"
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

/// Puts rows into the ledger. What is bound takes as long as what is written, so that what few rows have is left out of the
/// others.
pub(super) struct PutLedger<'c> {
    armed: CachedStatement<'c>,
    plain: CachedStatement<'c>,
    any: CachedStatement<'c>,
}

impl<'c> PutLedger<'c> {
    pub(super) fn new(connection: &'c Connection) -> rusqlite::Result<PutLedger<'c>> {
        let prepare = |text| connection.prepare_cached(text);
        Ok(PutLedger { armed: prepare(PUT_ARMED)?, plain: prepare(PUT_PLAIN)?, any: prepare(PUT_ANY)? })
    }

    pub(super) fn put(&mut self, row: &LedgerRow) -> rusqlite::Result<()> {
        let LedgerRow { seq, key, due, record } = row;
        let Record { status, class, attempt, recoveries, executed, http_status, duration_us, error, covers, details } =
            record;
        let executed = executed.map(|at| at.0);
        let is_plain = error.is_none() && covers.is_none() && details.is_none() && *recoveries == 0;
        let was_sent = executed.is_some() || http_status.is_some() || duration_us.is_some();
        let is_armed = is_plain && *status == Status::Pending && *attempt == 1 && !was_sent;
        let statement = match (is_armed, is_plain) {
            (true, _) => &mut self.armed,
            (false, true) => &mut self.plain,
            (false, false) => &mut self.any,
        };
        statement.raw_bind_parameter(1, integer(seq.0))?;
        statement.raw_bind_parameter(2, due.0)?;
        bind_key(statement, 3, key)?;
        if !is_plain {
            bind_record(statement, 3 + KEY_LEN, record, executed)?;
            return statement.raw_execute().map(drop);
        }
        statement.raw_bind_parameter(3 + KEY_LEN, class.code())?;
        if !is_armed {
            statement.raw_bind_parameter(4 + KEY_LEN, executed)?;
            statement.raw_bind_parameter(5 + KEY_LEN, status.code())?;
            statement.raw_bind_parameter(6 + KEY_LEN, attempt)?;
            statement.raw_bind_parameter(7 + KEY_LEN, http_status)?;
            statement.raw_bind_parameter(8 + KEY_LEN, duration_us.map(integer))?;
        }
        statement.raw_execute().map(drop)
    }
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
