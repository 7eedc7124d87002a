//! Owns the alert log on disk: an alert is inserted with the failure it tells of, and updated as it is delivered.
//! It must not deliver anything.

use rusqlite::{Connection, Row, params};

use super::rows;
use crate::core::{AlertRecord, ExecutionId, Seq};
use crate::job::JobKey;
use crate::limits::ALERTS_KEPT_MAX;
use crate::store::{AlertPage, AlertState, AlertUpdate, StoredAlert};
use crate::time::WallUs;

pub(super) fn insert(connection: &Connection, job: JobKey, alert: &AlertRecord) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO alerts (seq, job_id, execution, api, schedule, error_message, created_at, delivery, \
         attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'PENDING', 0)",
    )?;
    statement.execute(params![
        rows::integer(alert.seq.0),
        rows::integer(job.0),
        alert.execution.to_string(),
        alert.api,
        alert.schedule,
        alert.error,
        alert.at.0,
    ])?;
    Ok(())
}

pub(super) fn update(connection: &Connection, update: &AlertUpdate) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE alerts SET delivery = ?2, delivered_at = ?3, attempts = ?4, delivery_error = ?5 WHERE seq = ?1",
    )?;
    let delivered = (update.state == AlertState::Delivered).then_some(update.at.0);
    statement.execute(params![
        rows::integer(update.seq.0),
        update.state.name(),
        delivered,
        update.attempts,
        update.error
    ])?;
    Ok(())
}

const COLUMNS: &str = "seq, execution, api, schedule, error_message, created_at, delivery, delivered_at, attempts, \
     delivery_error FROM alerts";

/// Every alert that is still to be delivered, oldest first.
pub(super) fn undelivered(connection: &Connection) -> rusqlite::Result<Vec<StoredAlert>> {
    let sql = format!("SELECT {COLUMNS} WHERE delivery = 'PENDING' ORDER BY seq");
    connection.prepare(&sql)?.query_map([], read)?.collect()
}

/// A page of the log, newest first, from below `before`.
pub(super) fn page(connection: &Connection, limit: usize, before: Option<u64>) -> rusqlite::Result<AlertPage> {
    let sql = format!("SELECT {COLUMNS} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let before = before.map_or(i64::MAX, rows::integer);
    let found = statement.query_map(params![before, rows::integer(limit as u64 + 1)], read)?;
    let mut alerts = found.collect::<rusqlite::Result<Vec<StoredAlert>>>()?;
    let more = alerts.len() > limit;
    alerts.truncate(limit);
    let next = alerts.last().filter(|_| more).map(|alert| alert.seq.0);
    Ok(AlertPage { alerts, next })
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredAlert> {
    let execution: String = row.get(1)?;
    let state: String = row.get(6)?;
    // The job may be long gone; its id is part of the execution's.
    let id: ExecutionId = execution.parse().map_err(|_| rows::bad(1, "not an execution id"))?;
    Ok(StoredAlert {
        seq: Seq(rows::unsigned(row, 0)?),
        job: id.job,
        execution,
        api: row.get(2)?,
        schedule: row.get(3)?,
        error: row.get(4)?,
        at: WallUs(row.get(5)?),
        state: AlertState::from_name(&state).ok_or_else(|| rows::bad(6, "unknown delivery state"))?,
        delivered_at: row.get::<_, Option<i64>>(7)?.map(WallUs),
        attempts: row.get(8)?,
        delivery_error: row.get(9)?,
    })
}

/// Of which jobs how many alerts are too many. Beyond what is kept in all, each job may keep an equal share: one that
/// fails all the time pushes out its own alerts, not those of others. Costs a walk over the alerts' index.
pub(super) fn surplus(connection: &Connection, bytes_max: u64) -> rusqlite::Result<Vec<(i64, u64)>> {
    let count = "SELECT job_id, count(*) FROM alerts GROUP BY job_id";
    let mut statement = connection.prepare_cached(count)?;
    let found = statement.query_map([], |row| Ok((row.get(0)?, rows::unsigned(row, 1)?)))?;
    let jobs: Vec<(i64, u64)> = found.collect::<rusqlite::Result<_>>()?;
    let all: u64 = jobs.iter().map(|(_, count)| count).sum();
    let most = ALERTS_KEPT_MAX.min(bytes_max / row_len(connection)?);
    if all <= most {
        return Ok(Vec::new());
    }
    // What a job leaves of its share the others may have.
    let mut counts: Vec<u64> = jobs.iter().map(|(_, count)| *count).collect();
    counts.sort_unstable();
    let (mut left, mut share) = (most, most);
    for (index, count) in counts.iter().enumerate() {
        share = left / (counts.len() - index) as u64;
        if *count > share {
            break;
        }
        left -= count;
    }
    let over = jobs.into_iter().filter(|(_, count)| *count > share);
    Ok(over.map(|(job, count)| (job, count - share)).collect())
}

/// How many bytes an alert takes up, about: what the last ones are long, with what SQLite adds.
fn row_len(connection: &Connection) -> rusqlite::Result<u64> {
    const ADDED: u64 = 64;
    let length: Option<f64> = connection.query_row(
        "SELECT avg(length(execution) + length(api) + length(schedule) + length(error_message)) FROM \
         (SELECT * FROM alerts ORDER BY seq DESC LIMIT 100)",
        [],
        |row| row.get(0),
    )?;
    // Texts are bounded, and far from what a double cannot hold.
    Ok(length.unwrap_or_default() as u64 + ADDED)
}

/// Deletes up to so many of a job's oldest alerts that are not still to be delivered. How many there were.
pub(super) fn delete_oldest(connection: &Connection, job: i64, most: u32) -> rusqlite::Result<u32> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM alerts WHERE seq IN (SELECT seq FROM alerts WHERE job_id = ?1 AND delivery <> 'PENDING' \
         ORDER BY seq LIMIT ?2)",
    )?;
    delete.execute(params![job, most]).map(|gone| rows::small(gone as u64))
}

/// Deletes up to so many alerts older than this that are not still to be delivered. How many there were.
pub(super) fn delete_before(connection: &Connection, oldest_us: i64, most: u32) -> rusqlite::Result<u32> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM alerts WHERE seq IN (SELECT seq FROM alerts WHERE created_at < ?1 AND delivery <> 'PENDING' \
         ORDER BY seq LIMIT ?2)",
    )?;
    delete.execute(params![oldest_us, most]).map(|gone| rows::small(gone as u64))
}
