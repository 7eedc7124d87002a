//! Owns the mapping between rows and the core's types, once for every table that has those columns.
//! It must not query: its callers have the statements.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, Statement, params};

use super::secrets::Found;
use crate::core::{
    Class, Counters, Covers, Details, ExecutionKey, Kind, LastOutcome, LedgerRow, Record, Seq, Status, Tally, Totals,
};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::time::{Instant, WallUs};

/// The columns of a job that are not generated, in the order of `write_job` and `read_job`.
macro_rules! job {
    () => {
        "public_id, revision, definition, anchor, created_at, updated_at, era, pause, since"
    };
}

/// How many columns a job has.
const JOB_LEN: usize = 9;

/// The columns of a job's totals, in the order of `write_totals` and `read_totals`.
macro_rules! totals {
    () => {
        "finished_through, success, failed, skipped, duration, timed, last_scheduled_time, last_status, \
         last_http_status, finished_era, runs, failures_in_row, last_success"
    };
}

/// How many columns totals have.
const TOTALS_LEN: usize = 13;

/// Selects all jobs with their totals, for `read_job`.
pub(super) const SELECT_JOBS: &str = concat!(
    "SELECT ",
    job!(),
    ", ",
    totals!(),
    " FROM jobs LEFT JOIN job_totals ON job_id = id WHERE deleted_at IS NULL ORDER BY id"
);

/// Puts a job's revision in the place of the one before.
pub(super) const PUT_JOB: &str =
    concat!("INSERT OR REPLACE INTO jobs (", job!(), ", id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");

/// Selects a job's totals and how many of its rows are kept, for `read_totals`.
pub(super) const SELECT_TOTALS: &str = concat!("SELECT ", totals!(), ", kept FROM job_totals WHERE job_id = ?1");

/// Puts a job's totals in the place of those before.
pub(super) const PUT_TOTALS: &str = concat!(
    "INSERT OR REPLACE INTO job_totals (",
    totals!(),
    ", kept, job_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
);

pub(super) fn write_job(statement: &mut Statement<'_>, revision: &Revision) -> rusqlite::Result<usize> {
    let Revision { id, number, anchor, created_at, updated_at, since, ref spec, era, ref pause } = *revision;
    let definition = serde_json::to_string(&Definition::from(spec)).expect("a definition has string keys only");
    let (created_at, updated_at) = (created_at.0, updated_at.0);
    let key = integer(id.key().0);
    let pause = pause.as_deref().map(|pause| serde_json::to_string(pause).expect("its keys are names"));
    let (anchor, since) = (anchor.as_secs(), since.as_secs());
    statement.execute(params![
        id.as_bytes(),
        number,
        definition,
        anchor,
        created_at,
        updated_at,
        era,
        pause,
        since,
        key
    ])
}

pub(super) fn read_job(row: &Row<'_>, context: &Context<'_>, secrets: &Found) -> rusqlite::Result<(Revision, Totals)> {
    let definition = row.get_ref(2)?.as_str().map_err(|why| bad(2, &why.to_string()))?;
    let definition: Definition = serde_json::from_str(definition).map_err(|why| bad(2, &why.to_string()))?;
    let anchor = Instant::from_secs(row.get(3)?);
    let id = job_id(row, 0)?;
    let context = Context { anchor, seals: true, ..*context };
    let mut spec = JobSpec::compile(&definition, &context).map_err(|why| bad(2, &why.to_string()))?;
    let secret =
        |name: &str| secrets.of_job(id.key()).iter().find(|(known, _)| known == name).map(|(_, secret)| secret.clone());
    spec.find_secrets(secret).map_err(|why| bad(2, &why.to_string()))?;
    let pause = row.get_ref(7)?.as_str_or_null().map_err(|why| bad(7, &why.to_string()))?;
    let pause = pause.map(serde_json::from_str).transpose().map_err(|why| bad(7, &why.to_string()))?;
    let revision = Revision {
        id,
        number: row.get(1)?,
        anchor,
        created_at: WallUs(row.get(4)?),
        updated_at: WallUs(row.get(5)?),
        since: Instant::from_secs(row.get(8)?),
        era: row.get(6)?,
        pause,
        spec,
    };
    // A job has none before the first fold of a row of its.
    let has_totals = row.get::<_, Option<i64>>(JOB_LEN + 1)?.is_some();
    Ok((revision, if has_totals { read_totals(row, JOB_LEN)? } else { Totals::default() }))
}

/// `kept` is how many rows of the job history holds.
pub(super) fn write_totals(
    statement: &mut Statement<'_>,
    job: JobKey,
    totals: &Totals,
    kept: u64,
) -> rusqlite::Result<usize> {
    let Totals { tally: Tally { counters, last, failures_in_row, last_success }, finished_through } = totals;
    let Counters { success, failed, skipped, duration_us, timed, runs } = *counters;
    let last = last.expect("totals are written once a row was counted");
    statement.execute(params![
        finished_through.map(|(_, through)| through.as_secs()),
        integer(success),
        integer(failed),
        integer(skipped),
        integer(duration_us),
        integer(timed),
        last.instant.as_secs(),
        last.status.code(),
        last.http_status,
        finished_through.map_or(0, |(era, _)| era),
        integer(runs),
        failures_in_row,
        last_success.map(Instant::as_secs),
        integer(kept),
        integer(job.0),
    ])
}

/// A job's totals and how many of its rows are kept.
pub(super) fn read_kept_totals(row: &Row<'_>) -> rusqlite::Result<(Totals, u64)> {
    Ok((read_totals(row, 0)?, unsigned(row, TOTALS_LEN)?))
}

fn read_totals(row: &Row<'_>, first: usize) -> rusqlite::Result<Totals> {
    let counters = Counters {
        success: unsigned(row, first + 1)?,
        failed: unsigned(row, first + 2)?,
        skipped: unsigned(row, first + 3)?,
        duration_us: unsigned(row, first + 4)?,
        timed: unsigned(row, first + 5)?,
        runs: unsigned(row, first + 10)?,
    };
    let last = LastOutcome {
        instant: Instant::from_secs(row.get(first + 6)?),
        status: code(row, first + 7, Status::from_code)?,
        http_status: row.get(first + 8)?,
    };
    let era: u32 = row.get(first + 9)?;
    Ok(Totals {
        finished_through: row.get::<_, Option<i64>>(first)?.map(|through| (era, Instant::from_secs(through))),
        tally: Tally {
            counters,
            last: Some(last),
            failures_in_row: row.get(first + 11)?,
            last_success: row.get::<_, Option<i64>>(first + 12)?.map(Instant::from_secs),
        },
    })
}

/// The columns of an execution's key, in the order of `bind_key` and `read_key`.
macro_rules! key {
    () => {
        "scheduled_time, job_id, kind, number"
    };
}

/// The columns of a record but for the first dispatch, which each table keeps its own way, in the order of
/// `bind_record` and `read_record`.
macro_rules! record {
    () => {
        "status, class, attempt, recoveries, http_status, duration, error_message, covers_from, covers_count, covers_more, \
         details"
    };
}

/// How many columns a key has.
const KEY_LEN: usize = 4;
/// How many columns a record has, the first dispatch included.
const RECORD_LEN: usize = 12;

macro_rules! select_ledger {
    () => {
        concat!("SELECT seq, due_time, ", key!(), ", executed_time, ", record!(), " FROM ledger")
    };
}

/// Selects one row of the ledger, if it is finished, for `read_ledger`.
pub(super) const SELECT_FINISHED: &str = concat!(select_ledger!(), " WHERE seq = ?1 AND status <> 1");

/// Selects all rows of the ledger in their order, for `read_ledger`.
pub(super) const SELECT_ALL: &str = concat!(select_ledger!(), " ORDER BY seq");

/// Puts a whole row; what was there before under its number goes.
pub(super) const PUT_LEDGER: &str = concat!(
    "INSERT OR REPLACE INTO ledger (seq, due_time, ",
    key!(),
    ", executed_time, ",
    record!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
);

/// Puts a finished execution into history.
pub(super) const PUT_HISTORY: &str = concat!(
    "INSERT OR REPLACE INTO job_executions (",
    key!(),
    ", executed_after, ",
    record!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
);

/// Selects an execution of the ledger, for `read_execution`: if it is older than the first four parameters, and has
/// not only been armed for later than the sixth.
pub(super) const SELECT_UNFOLDED: &str = concat!(
    "SELECT ",
    key!(),
    ", executed_time, ",
    record!(),
    " FROM ledger WHERE seq = ?5 AND (",
    key!(),
    ") < (?1, ?2, ?3, ?4) AND (status <> 1 OR scheduled_time * 1000000 <= ?6)"
);

/// Selects executions of history, for `read_execution`.
pub(super) const SELECT_FOLDED: &str =
    concat!("SELECT ", key!(), ", scheduled_time * 1000000 + executed_after, ", record!(), " FROM job_executions");

pub(super) fn write_ledger(statement: &mut Statement<'_>, row: &LedgerRow) -> rusqlite::Result<usize> {
    let LedgerRow { seq, key, due, record } = row;
    statement.raw_bind_parameter(1, integer(seq.0))?;
    statement.raw_bind_parameter(2, due.0)?;
    bind_key(statement, 3, key)?;
    bind_record(statement, 3 + KEY_LEN, record, record.executed.map(|at| at.0))?;
    statement.raw_execute()
}

pub(super) fn read_ledger(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    Ok(LedgerRow {
        seq: Seq(unsigned(row, 0)?),
        due: WallUs(row.get(1)?),
        key: read_key(row, 2)?,
        record: read_record(row, 2 + KEY_LEN)?,
    })
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

/// An execution of either table.
pub(super) fn read_execution(row: &Row<'_>) -> rusqlite::Result<(ExecutionKey, Record)> {
    Ok((read_key(row, 0)?, read_record(row, KEY_LEN)?))
}

fn bind_key(statement: &mut Statement<'_>, first: usize, key: &ExecutionKey) -> rusqlite::Result<()> {
    let ExecutionKey { instant, job, kind, number } = *key;
    statement.raw_bind_parameter(first, instant.as_secs())?;
    statement.raw_bind_parameter(first + 1, integer(job.0))?;
    statement.raw_bind_parameter(first + 2, kind.code())?;
    statement.raw_bind_parameter(first + 3, number)
}

/// Four columns from `first` on.
fn read_key(row: &Row<'_>, first: usize) -> rusqlite::Result<ExecutionKey> {
    Ok(ExecutionKey {
        instant: Instant::from_secs(row.get(first)?),
        job: JobKey(unsigned(row, first + 1)?),
        kind: code(row, first + 2, Kind::from_code)?,
        number: row.get(first + 3)?,
    })
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

fn read_record(row: &Row<'_>, first: usize) -> rusqlite::Result<Record> {
    Ok(Record {
        executed: row.get::<_, Option<i64>>(first)?.map(WallUs),
        status: code(row, first + 1, Status::from_code)?,
        class: code(row, first + 2, Class::from_code)?,
        attempt: row.get(first + 3)?,
        recoveries: row.get(first + 4)?,
        http_status: row.get(first + 5)?,
        duration_us: row.get::<_, Option<i64>>(first + 6)?.map(i64::unsigned_abs),
        error: row.get::<_, Option<String>>(first + 7)?.map(Into::into),
        covers: covers(row, first + 8)?,
        details: details(row, first + RECORD_LEN - 1)?,
    })
}

/// What few rows have to tell.
fn details(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Box<Details>>> {
    let Some(text) = row.get_ref(index)?.as_str_or_null().map_err(|why| bad(index, &why.to_string()))? else {
        return Ok(None);
    };
    serde_json::from_str(text).map(Some).map_err(|why| bad(index, &why.to_string()))
}

/// Three columns from `first` on.
fn covers(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Covers>> {
    let Some(from) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    Ok(Some(Covers { from: Instant::from_secs(from), count: row.get(first + 1)?, more: row.get(first + 2)? }))
}

/// Numbers that must survive the rows they were taken from: the highest counts.
pub(super) fn raise_mark(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let mut mark = connection.prepare_cached(
        "INSERT INTO marks (name, value) VALUES (?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
    )?;
    mark.execute(params![name, value]).map(drop)
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

/// A count that fits: nothing that is deleted in a slice is more than a few thousand.
pub(super) fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
