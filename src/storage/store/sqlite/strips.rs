//! Owns the reads of strips: the last executions of several jobs, little of each, from one state of the store.
//! It must not read what a strip does not show, nor walk the index once for each job.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::history::{Page, start_of};
use super::index::{Entry, Index};
use super::stand::Settled;
use crate::core::{ExecutionKey, Kind, Status};
use crate::job::{JobId, JobKey};
use crate::store::sql::{self, integer};
use crate::store::tables::rows::public_id;
use crate::store::{Called, Strip, StripRun};
use crate::time::{Instant, WallUs};

/// Found by the clustering of history: of a job with little of it as quickly as of one with much.
const SELECT_FOLDED: &str = "SELECT scheduled_time, kind, number, status, scheduled_time * 1000000 + executed_after, \
     duration FROM job_executions WHERE job_id = ?1 ORDER BY scheduled_time DESC, kind DESC, number DESC LIMIT ?2";
const SELECT_UNFOLDED: &str = "SELECT scheduled_time, kind, number, status, executed_time, duration FROM ledger \
     WHERE seq = ?1 AND job_id = ?2 AND (status <> 1 OR scheduled_time * 1000000 <= ?3)";

/// The last executions of each of these jobs, in their order; of one that is unknown there are none. What the index had
/// settled before this state of the store was chosen is in history.
pub(super) fn strips(
    snapshot: &Connection,
    (index, settled): (&Index, Settled),
    jobs: &[JobId],
    limit: usize,
    now: WallUs,
) -> rusqlite::Result<Vec<Strip>> {
    let mut keys = Vec::with_capacity(jobs.len());
    for job in jobs {
        keys.push((public_id(snapshot, job.key())? == Some(*job)).then_some(job.key()));
    }
    let known: Vec<JobKey> = keys.iter().flatten().copied().collect();
    // A few more than are wanted: what the rows have become since is not known.
    let most = limit + 2;
    let listed = index.newest_of(&known, settled, now, most);
    let page = Page { connection: snapshot, index, start: start_of(None), limit, now };
    let strip = |(&job, key): (&JobId, Option<JobKey>)| {
        let of_job = |key: JobKey| listed.iter().find(|(owner, _)| *owner == key).map(|(_, entries)| &**entries);
        let runs = key.map(|key| runs(&page, key, of_job(key).unwrap_or_default(), most)).transpose()?;
        let called = key.map(|key| called(snapshot, key)).transpose()?.flatten();
        Ok(Strip { job, called, runs: runs.unwrap_or_default() })
    };
    jobs.iter().zip(keys).map(strip).collect()
}

/// What a job is called, and its URL.
fn called(connection: &Connection, job: JobKey) -> rusqlite::Result<Option<Called>> {
    let mut select = connection.prepare_cached("SELECT name, api FROM jobs WHERE id = ?1 AND deleted_at IS NULL")?;
    select.query_row([integer(job.0)], |row| Ok(Called { name: row.get(0)?, api: row.get(1)? })).optional()
}

/// The last executions of a job, newest first.
fn runs(page: &Page<'_>, job: JobKey, listed: &[Entry], most: usize) -> rusqlite::Result<Vec<StripRun>> {
    let read = |row: &Row<'_>| read(row, job);
    let mut select = page.connection.prepare_cached(SELECT_FOLDED)?;
    let limit = integer(page.limit as u64);
    let mut found: Vec<_> = select.query_map(params![integer(job.0), limit], read)?.collect::<rusqlite::Result<_>>()?;
    let mut select = page.connection.prepare_cached(SELECT_UNFOLDED)?;
    let mut unfolded = Vec::new();
    for entry in listed {
        // The index may be ahead of what is seen here.
        let parameters = params![integer(entry.seq.0), integer(job.0), page.now.0];
        unfolded.extend(select.query_row(parameters, read).optional()?);
    }
    if unfolded.len() < page.limit && listed.len() == most {
        // Many of them are elsewhere by now, and there may be others behind them.
        let rows = page.unfolded(Some(job), None)?.into_iter();
        unfolded =
            rows.map(|(key, record)| (key, run(&key, record.status, record.executed, record.duration_us))).collect();
    }
    found.extend(unfolded);
    found.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key));
    found.truncate(page.limit);
    Ok(found.into_iter().map(|(_, run)| run).collect())
}

fn read(row: &Row<'_>, job: JobKey) -> rusqlite::Result<(ExecutionKey, StripRun)> {
    let instant = Instant::from_secs(row.get(0)?);
    let key = ExecutionKey { instant, job, kind: sql::Row(row).code(1, Kind::from_code)?, number: row.get(2)? };
    let status = sql::Row(row).code(3, Status::from_code)?;
    let executed = row.get::<_, Option<i64>>(4)?.map(WallUs);
    let duration_us = row.get::<_, Option<i64>>(5)?.map(i64::unsigned_abs);
    Ok((key, run(&key, status, executed, duration_us)))
}

fn run(key: &ExecutionKey, status: Status, executed: Option<WallUs>, duration_us: Option<u64>) -> StripRun {
    StripRun { instant: key.instant, kind: key.kind, number: key.number, status, executed, duration_us }
}
