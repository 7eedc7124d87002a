//! Owns the reads of single executions: one by its identity, and what became of one second of a job.
//! It must not walk what lies between.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::history::{Found, Page};
use super::index::Index;
use super::rows;
use crate::core::{ExecutionKey, Kind, Record};
use crate::job::JobKey;
use crate::limits::PAGE_MAX;
use crate::store::sql::integer;
use crate::time::{Instant, WallUs};

/// How many rows behind a second are looked at: one that covers it is the first, of each era.
const COVERING_MAX: u32 = 8;

/// What became of one execution.
pub(super) fn one(
    connection: &Connection,
    index: &Index,
    key: &ExecutionKey,
    now: WallUs,
) -> rusqlite::Result<Option<Record>> {
    let ExecutionKey { instant, job, kind, number } = *key;
    let sql =
        format!("{} WHERE job_id = ?1 AND scheduled_time = ?2 AND kind = ?3 AND number = ?4", rows::SELECT_FOLDED);
    let parameters = params![integer(job.0), instant.as_secs(), kind.code(), number];
    let folded = connection.prepare_cached(&sql)?.query_row(parameters, rows::read_execution).optional()?;
    if let Some((_, record)) = folded {
        return Ok(Some(record));
    }
    let mut unfolded = unfolded_down_to(connection, index, job, instant, Some(instant), now)?;
    unfolded.retain(|(found, _)| found == key);
    Ok(unfolded.pop().map(|(_, record)| record))
}

/// The executions of a job that belong to a second, and the row that covers it, if there is one.
pub(super) fn at(
    connection: &Connection,
    index: &Index,
    job: JobKey,
    instant: Instant,
    now: WallUs,
) -> rusqlite::Result<Vec<Found>> {
    let find = |condition: &str| -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE job_id = ?1 AND scheduled_time {condition}", rows::SELECT_FOLDED);
        let parameters = params![integer(job.0), instant.as_secs(), COVERING_MAX];
        connection.prepare_cached(&sql)?.query_map(parameters, rows::read_execution)?.collect()
    };
    let mut found = find("= ?2 LIMIT 1000 + ?3")?;
    let mut behind = find("> ?2 AND kind = 0 ORDER BY scheduled_time LIMIT ?3")?;
    behind.extend(unfolded_down_to(connection, index, job, instant, None, now)?);
    found.extend(behind.into_iter().filter(|(key, record)| {
        let covers = record.covers.is_some_and(|covers| covers.from <= instant && instant < key.instant);
        key.instant == instant || (key.kind == Kind::Scheduled && covers)
    }));
    Ok(found)
}

/// What was done again of a second of a job, as far as the replays are there.
pub(super) fn origins(
    connection: &Connection,
    index: &Index,
    job: JobKey,
    instant: Instant,
    now: WallUs,
) -> rusqlite::Result<HashSet<ExecutionKey>> {
    let sql = format!("{} WHERE job_id = ?1 AND scheduled_time = ?2 AND kind = ?3", rows::SELECT_FOLDED);
    let parameters = params![integer(job.0), instant.as_secs(), Kind::Replay.code()];
    let mut found: Vec<Found> =
        connection.prepare_cached(&sql)?.query_map(parameters, rows::read_execution)?.collect::<Result<_, _>>()?;
    found.extend(unfolded_down_to(connection, index, job, instant, Some(instant), now)?);
    let origins = found.into_iter().filter_map(|(_, record)| record.details?.origin);
    Ok(origins.map(|origin| origin.key()).collect())
}

/// Rows of a job in the ledger from `newest` (None: from the newest there is) down to a second.
fn unfolded_down_to(
    connection: &Connection,
    index: &Index,
    job: JobKey,
    instant: Instant,
    newest: Option<Instant>,
    now: WallUs,
) -> rusqlite::Result<Vec<Found>> {
    let newest = newest.unwrap_or(Instant::from_secs(i64::MAX));
    let start = ExecutionKey { instant: newest, job, kind: Kind::Backfill, number: u32::MAX };
    let mut page = Page { connection, index, start, limit: PAGE_MAX as usize, now };
    let mut all = Vec::new();
    loop {
        let found = page.unfolded(Some(job), None)?;
        let last = found.iter().map(|(key, _)| *key).min();
        let is_full = found.len() > page.limit;
        all.extend(found.into_iter().filter(|(key, _)| key.instant >= instant));
        match last {
            Some(last) if is_full && last.instant >= instant => page.start = last,
            Some(_) | None => return Ok(all),
        }
    }
}
