//! Owns the mapping between rows and the core's types, once for every table that has those columns.
//! It must not query: its callers have the statements.

use rusqlite::types::Type;
use rusqlite::{Row, Statement, params};

use crate::core::{Class, Covers, Kind, LedgerRow, Seq, Status};
use crate::job::{Definition, JobId, JobKey, JobSpec, Revision};
use crate::time::{Instant, WallUs};

/// The columns of a job that are not generated, in the order of `read_job`.
pub(super) const JOB_COLUMNS: &str = "public_id, revision, definition, anchor, created_at, updated_at";
/// How many they are.
pub(super) const JOB_COLUMNS_LEN: usize = 6;

/// Puts a job's revision in the place of the one before.
pub(super) const PUT_JOB: &str = "INSERT OR REPLACE INTO jobs (id, public_id, revision, definition, anchor, created_at, \
     updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub(super) fn write_job(statement: &mut Statement<'_>, revision: &Revision) -> rusqlite::Result<usize> {
    let Revision { id, number, anchor, created_at, updated_at, ref spec } = *revision;
    let definition = serde_json::to_string(&Definition::from(spec)).expect("a definition has string keys only");
    statement.execute(params![
        integer(id.key().0),
        id.as_bytes(),
        number,
        definition,
        anchor.as_secs(),
        created_at.0,
        updated_at.0,
    ])
}

pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<Revision> {
    let definition = row.get_ref(2)?.as_str().map_err(|why| bad(2, &why.to_string()))?;
    let definition: Definition = serde_json::from_str(definition).map_err(|why| bad(2, &why.to_string()))?;
    let anchor = Instant::from_secs(row.get(3)?);
    Ok(Revision {
        id: job_id(row, 0)?,
        number: row.get(1)?,
        anchor,
        created_at: WallUs(row.get(4)?),
        updated_at: WallUs(row.get(5)?),
        spec: JobSpec::compile(&definition, anchor).map_err(|why| bad(2, &why.to_string()))?,
    })
}

/// The columns of the ledger, in the order of `read_ledger` and `write_ledger`.
pub(super) const LEDGER_COLUMNS: &str = "seq, job_id, scheduled_time, kind, number, status, class, attempt, \
     recoveries, due_time, executed_time, http_status, duration, error_message, covers_from, covers_count, covers_more";

/// Puts a whole row; what was there before under its place goes.
pub(super) const PUT_LEDGER: &str = "INSERT OR REPLACE INTO ledger (seq, job_id, scheduled_time, kind, number, \
     status, class, attempt, recoveries, due_time, executed_time, http_status, duration, error_message, covers_from, \
     covers_count, covers_more) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

pub(super) fn write_ledger(statement: &mut Statement<'_>, row: &LedgerRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        integer(row.seq.0),
        integer(row.job.0),
        row.instant.as_secs(),
        row.kind.code(),
        row.number,
        row.status.code(),
        row.class.code(),
        row.attempt,
        row.recoveries,
        row.due.0,
        row.executed.map(|at| at.0),
        row.http_status,
        row.duration_us.map(integer),
        row.error.as_deref(),
        row.covers.map(|covers| covers.from.as_secs()),
        row.covers.map(|covers| covers.count),
        row.covers.map(|covers| covers.more),
    ])
}

pub(super) fn read_ledger(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    Ok(LedgerRow {
        seq: Seq(unsigned(row, 0)?),
        job: JobKey(unsigned(row, 1)?),
        instant: Instant::from_secs(row.get(2)?),
        kind: code(row, 3, Kind::from_code)?,
        number: row.get(4)?,
        status: code(row, 5, Status::from_code)?,
        class: code(row, 6, Class::from_code)?,
        attempt: row.get(7)?,
        recoveries: row.get(8)?,
        due: WallUs(row.get(9)?),
        executed: row.get::<_, Option<i64>>(10)?.map(WallUs),
        http_status: row.get(11)?,
        duration_us: row.get::<_, Option<i64>>(12)?.map(i64::unsigned_abs),
        error: row.get::<_, Option<String>>(13)?.map(Into::into),
        covers: covers(row, 14)?,
    })
}

/// Three columns from `first` on.
pub(super) fn covers(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Covers>> {
    let Some(from) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    Ok(Some(Covers { from: Instant::from_secs(from), count: row.get(first + 1)?, more: row.get(first + 2)? }))
}

/// A column that holds a code.
pub(super) fn code<T>(row: &Row<'_>, index: usize, from: fn(u8) -> Option<T>) -> rusqlite::Result<T> {
    let code: i64 = row.get(index)?;
    u8::try_from(code).ok().and_then(from).ok_or_else(|| bad(index, &format!("unknown code {code}")))
}

/// A column that holds a number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(index)?;
    u64::try_from(number).map_err(|_| bad(index, &format!("{number} is negative")))
}

/// A column that holds a job's public id.
pub(super) fn job_id(row: &Row<'_>, index: usize) -> rusqlite::Result<JobId> {
    row.get(index).map(JobId::from_bytes)
}

/// A row that no version of this program writes.
pub(super) fn bad(index: usize, why: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Integer, why.into())
}

/// SQLite's integers are signed; ours stay below 2^63 for any life of a store.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
