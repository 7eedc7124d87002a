//! Owns the mapping from rows to the core's types, once for every table that has those columns.
//! It must not query: its callers have the statements.

use std::fmt::Display;

use super::secrets::Found;
use crate::core::{
    Class, Counters, Covers, Details, ExecutionKey, Kind, LastOutcome, LedgerRow, Record, Seq, Status, StoredJob,
    Tally, Totals,
};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use crate::store::sql::{Bad, Row, Sql, bad, values};
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

pub(in crate::store) use totals as totals_columns;

/// How many columns totals have.
pub(in crate::store) const TOTALS_LEN: usize = 13;

/// Selects jobs with their totals, for `read_job`; more conditions and the order may follow.
macro_rules! select_jobs {
    () => {
        concat!(
            "SELECT ",
            job!(),
            ", ",
            totals!(),
            " FROM jobs LEFT JOIN job_totals ON job_id = id WHERE deleted_at IS NULL"
        )
    };
}

/// Selects those that have more to fulfil.
pub(in crate::store) const SELECT_JOBS_WHERE: &str = concat!(select_jobs!(), " AND ");

/// Selects all of them.
pub(in crate::store) const SELECT_JOBS: &str = concat!(select_jobs!(), " ORDER BY id");

/// Selects a job's totals and how many of its rows are kept, for `read_kept_totals`.
pub(in crate::store) const SELECT_TOTALS: &str =
    concat!("SELECT ", totals!(), ", kept FROM job_totals WHERE job_id = ?1");

/// Puts a job's revision in the place of the one before; what else is known of the job stays.
pub(in crate::store) fn put_job<S: Sql>(sql: &S, revision: &Revision) -> Result<(), S::Error> {
    let Revision { id, number, anchor, created_at, updated_at, since, ref spec, era, ref pause } = *revision;
    let definition = serde_json::to_string(&Definition::from(spec)).expect("a definition has string keys only");
    let pause = pause.as_deref().map(|pause| serde_json::to_string(pause).expect("its keys are names"));
    sql.run(
        concat!(
            "INSERT INTO jobs (",
            job!(),
            ", id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO UPDATE SET public_id = ?1, \
             revision = ?2, definition = ?3, anchor = ?4, created_at = ?5, updated_at = ?6, era = ?7, pause = ?8, \
             since = ?9, deleted_at = NULL"
        ),
        values![
            id.as_bytes(),
            number,
            definition.as_str(),
            anchor.as_secs(),
            created_at.0,
            updated_at.0,
            era,
            pause.as_deref(),
            since.as_secs(),
            id.key().0
        ],
    )
}

/// Makes a job a tombstone.
pub(in crate::store) fn bury_job<S: Sql>(sql: &S, job: JobKey, at: WallUs) -> Result<(), S::Error> {
    sql.run("UPDATE jobs SET deleted_at = ?2 WHERE id = ?1", values![job.0, at.0])
}

/// The public id of a job, deleted ones included.
pub(in crate::store) fn public_id<S: Sql>(sql: &S, job: JobKey) -> Result<Option<JobId>, S::Error> {
    sql.first("SELECT public_id FROM jobs WHERE id = ?1", values![job.0], |row| row.get(0).map(JobId::from_bytes))
}

/// Puts a job's totals in the place of those before; `kept` is how many rows of the job history holds.
pub(in crate::store) fn put_totals<S: Sql>(sql: &S, job: JobKey, totals: &Totals, kept: u64) -> Result<(), S::Error> {
    let Totals { tally: Tally { counters, last, failures_in_row, last_success }, finished_through } = totals;
    let Counters { success, failed, skipped, duration_us, timed, runs } = *counters;
    let last = last.expect("totals are written once a row was counted");
    sql.run(
        concat!(
            "INSERT INTO job_totals (",
            totals!(),
            ", kept, job_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) ON CONFLICT (job_id) \
             DO UPDATE SET finished_through = ?1, success = ?2, failed = ?3, skipped = ?4, duration = ?5, timed = ?6, \
             last_scheduled_time = ?7, last_status = ?8, last_http_status = ?9, finished_era = ?10, runs = ?11, \
             failures_in_row = ?12, last_success = ?13, kept = ?14"
        ),
        values![
            finished_through.map(|(_, through)| through.as_secs()),
            success,
            failed,
            skipped,
            duration_us,
            timed,
            last.instant.as_secs(),
            last.status.code(),
            last.http_status,
            finished_through.map_or(0, |(era, _)| era),
            runs,
            failures_in_row,
            last_success.map(Instant::as_secs),
            kept,
            job.0,
        ],
    )
}

/// A job with its totals. Without secrets it is one that can only be shown.
pub(in crate::store) fn read_job(
    row: &Row<'_>,
    context: &Context<'_>,
    secrets: Option<&Found>,
) -> Result<StoredJob, Bad> {
    let id = row.get(0).map(JobId::from_bytes)?;
    let malformed = |why: &dyn Display| bad(2, &format!("job {id}: {why}"));
    let definition: Definition = serde_json::from_str(row.text(2)?).map_err(|why| malformed(&why))?;
    let anchor = Instant::from_secs(row.get(3)?);
    let context = Context { anchor, seals: true, ..*context };
    let mut spec = JobSpec::compile(&definition, &context).map_err(|why| malformed(&why))?;
    let found = match secrets {
        Some(secrets) => spec.find_secrets(|name| secrets.of_job(id.key(), name).cloned()),
        None => spec.hide_secrets(),
    };
    found.map_err(|why| malformed(&why))?;
    let pause = row.text_or_null(7)?;
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
    let has_totals = row.get::<Option<i64>>(JOB_LEN + 1)?.is_some();
    let totals = if has_totals { read_totals(row, JOB_LEN)? } else { Totals::default() };
    Ok(StoredJob { revision, totals })
}

/// How long the definition of a job is, in a row for `read_job`.
pub(in crate::store) fn definition_len(row: &Row<'_>) -> Result<usize, Bad> {
    row.text(2).map(str::len)
}

/// A job's totals and how many of its rows are kept.
pub(in crate::store) fn read_kept_totals(row: &Row<'_>) -> Result<(Totals, u64), Bad> {
    Ok((read_totals(row, 0)?, row.get(TOTALS_LEN)?))
}

fn read_totals(row: &Row<'_>, first: usize) -> Result<Totals, Bad> {
    let counters = Counters {
        success: row.get(first + 1)?,
        failed: row.get(first + 2)?,
        skipped: row.get(first + 3)?,
        duration_us: row.get(first + 4)?,
        timed: row.get(first + 5)?,
        runs: row.get(first + 10)?,
    };
    let last = LastOutcome {
        instant: Instant::from_secs(row.get(first + 6)?),
        status: row.code(first + 7, Status::from_code)?,
        http_status: row.get(first + 8)?,
    };
    let era: u32 = row.get(first + 9)?;
    Ok(Totals {
        finished_through: row.get::<Option<i64>>(first)?.map(|through| (era, Instant::from_secs(through))),
        tally: Tally {
            counters,
            last: Some(last),
            failures_in_row: row.get(first + 11)?,
            last_success: row.get::<Option<i64>>(first + 12)?.map(Instant::from_secs),
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

pub(in crate::store) use {key as key_columns, record as record_columns};

/// How many columns a key has.
pub(in crate::store) const KEY_LEN: usize = 4;
/// How many columns a record has, the first dispatch included.
pub(in crate::store) const RECORD_LEN: usize = 12;

/// A row of the ledger.
pub(in crate::store) fn read_ledger(row: &Row<'_>) -> Result<LedgerRow, Bad> {
    Ok(LedgerRow {
        seq: Seq(row.get(0)?),
        due: WallUs(row.get(1)?),
        key: read_key(row, 2)?,
        record: read_record(row, 2 + KEY_LEN)?,
    })
}

/// An execution of either table.
pub(in crate::store) fn read_execution(row: &Row<'_>) -> Result<(ExecutionKey, Record), Bad> {
    Ok((read_key(row, 0)?, read_record(row, KEY_LEN)?))
}

/// Four columns from `first` on.
fn read_key(row: &Row<'_>, first: usize) -> Result<ExecutionKey, Bad> {
    Ok(ExecutionKey {
        instant: Instant::from_secs(row.get(first)?),
        job: JobKey(row.get(first + 1)?),
        kind: row.code(first + 2, Kind::from_code)?,
        number: row.get(first + 3)?,
    })
}

fn read_record(row: &Row<'_>, first: usize) -> Result<Record, Bad> {
    Ok(Record {
        executed: row.get::<Option<i64>>(first)?.map(WallUs),
        status: row.code(first + 1, Status::from_code)?,
        class: row.code(first + 2, Class::from_code)?,
        attempt: row.get(first + 3)?,
        recoveries: row.get(first + 4)?,
        http_status: row.get(first + 5)?,
        duration_us: row.get::<Option<i64>>(first + 6)?.map(i64::unsigned_abs),
        error: row.get::<Option<String>>(first + 7)?.map(Into::into),
        covers: covers(row, first + 8)?,
        details: details(row, first + RECORD_LEN - 1)?,
    })
}

/// What few rows have to tell.
fn details(row: &Row<'_>, index: usize) -> Result<Option<Box<Details>>, Bad> {
    let Some(text) = row.text_or_null(index)? else {
        return Ok(None);
    };
    serde_json::from_str(text).map(Some).map_err(|why| bad(index, &why.to_string()))
}

/// Three columns from `first` on.
fn covers(row: &Row<'_>, first: usize) -> Result<Option<Covers>, Bad> {
    let Some(from) = row.get::<Option<i64>>(first)? else { return Ok(None) };
    Ok(Some(Covers { from: Instant::from_secs(from), count: row.get(first + 1)?, more: row.get(first + 2)? }))
}

/// Numbers that must survive the rows they were taken from: the highest counts.
pub(in crate::store) fn raise_mark<S: Sql>(sql: &S, name: &str, value: i64) -> Result<(), S::Error> {
    let raise = "INSERT INTO marks (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2 \
                 WHERE marks.value < ?2";
    sql.run(raise, values![name, value])
}
