//! Owns the reads of single executions: one by its identity, and what became of one second of a job.
//! It must not walk what lies between.

use std::collections::HashSet;

use super::history::{Execution, LEDGER_COLUMNS, select};
use super::partitions;
use super::session::Session;
use crate::core::{ExecutionKey, Kind, Record};
use crate::job::JobKey;
use crate::postgres::Error;
use crate::store::sql::{Sql, values};
use crate::store::tables::rows::read_execution;
use crate::time::{Instant, WallUs};

/// How many rows behind a second are looked at: one that covers it is the first, of each era.
const COVERING_MAX: u32 = 8;

/// What became of one execution.
pub(super) fn one(session: &Session<'_>, key: &ExecutionKey, now: WallUs) -> Result<Option<Record>, Error> {
    let mut found = of_second(session, key.job, key.instant)?;
    found.extend(unfinished_from(session, key.job, key.instant, now)?);
    found.retain(|(found, _)| found == key);
    Ok(found.into_iter().next().map(|(_, record)| record))
}

/// The executions of a job that belong to a second, and the row that covers it, if there is one.
pub(super) fn at(session: &Session<'_>, job: JobKey, instant: Instant, now: WallUs) -> Result<Vec<Execution>, Error> {
    let mut found = of_second(session, job, instant)?;
    let mut behind = unfinished_from(session, job, instant, now)?;
    for partition in partitions::all(session)?.iter().filter(|partition| instant < partition.latest) {
        let condition = "e.job_id = ?1 AND e.scheduled_time > ?2 AND e.kind = 0 ORDER BY e.scheduled_time LIMIT ?3";
        let values = values![job.0, instant.as_secs(), COVERING_MAX];
        behind.extend(session.all(&select(partition, condition), values, read_execution)?);
    }
    found.extend(behind.into_iter().filter(|(key, record)| {
        let covers = record.covers.is_some_and(|covers| covers.from <= instant && instant < key.instant);
        key.instant == instant || (key.kind == Kind::Scheduled && covers)
    }));
    Ok(found)
}

/// What was done again of a second of a job, as far as the replays are there.
pub(super) fn origins(
    session: &Session<'_>,
    job: JobKey,
    instant: Instant,
    now: WallUs,
) -> Result<HashSet<ExecutionKey>, Error> {
    let mut found = of_second(session, job, instant)?;
    found.extend(unfinished_from(session, job, instant, now)?);
    let replays = found.into_iter().filter(|(key, _)| key.kind == Kind::Replay && key.instant == instant);
    Ok(replays.filter_map(|(_, record)| record.details?.origin).map(|origin| origin.key()).collect())
}

/// Finished executions of a job that belong to a second.
fn of_second(session: &Session<'_>, job: JobKey, instant: Instant) -> Result<Vec<Execution>, Error> {
    let mut found = Vec::new();
    for partition in partitions::all(session)?.iter().filter(|partition| partition.may_hold(instant)) {
        let find = select(partition, "e.job_id = ?1 AND e.scheduled_time = ?2 LIMIT 1000");
        found.extend(session.all(&find, values![job.0, instant.as_secs()], read_execution)?);
    }
    Ok(found)
}

/// Unfinished executions of a job from a second on.
fn unfinished_from(session: &Session<'_>, job: JobKey, instant: Instant, now: WallUs) -> Result<Vec<Execution>, Error> {
    let find = format!(
        "SELECT {LEDGER_COLUMNS} FROM ledger e WHERE e.job_id = ?1 AND e.scheduled_time >= ?2 \
         AND e.scheduled_time * 1000000 <= ?3"
    );
    session.all(&find, values![job.0, instant.as_secs(), now.0], read_execution)
}
