//! Owns the alert log on disk: an alert is inserted with the failure it tells of, and updated as it is delivered.
//! It must not deliver anything.

use rusqlite::{Connection, Row, params};

use super::rows;
use crate::core::{AlertRecord, ExecutionId, Seq};
use crate::job::JobKey;
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
