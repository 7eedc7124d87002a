//! Owns the alert log on disk: an alert is inserted with the failure it tells of, and updated as it is delivered.
//! It must not deliver anything.

use crate::core::{AlertRecord, ExecutionId, Seq};
use crate::job::JobKey;
use crate::limits::ALERTS_KEPT_MAX;
use crate::store::sql::{Bad, Row, Sql, bad, small, values};
use crate::store::{AlertPage, AlertState, AlertUpdate, StoredAlert};
use crate::time::WallUs;

pub(in crate::store) fn insert<S: Sql>(sql: &S, job: JobKey, alert: &AlertRecord) -> Result<(), S::Error> {
    let AlertRecord { seq, execution, api, schedule, error, at } = alert;
    sql.run(
        "INSERT INTO alerts (seq, job_id, execution, api, schedule, error_message, created_at, delivery, attempts) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'PENDING', 0) ON CONFLICT (seq) DO NOTHING",
        values![seq.0, job.0, execution.to_string().as_str(), &**api, &**schedule, &**error, at.0],
    )
}

pub(in crate::store) fn update<S: Sql>(sql: &S, update: &AlertUpdate) -> Result<(), S::Error> {
    let AlertUpdate { seq, state, at, attempts, error } = update;
    let delivered = (*state == AlertState::Delivered).then_some(at.0);
    sql.run(
        "UPDATE alerts SET delivery = ?2, delivered_at = ?3, attempts = ?4, delivery_error = ?5 WHERE seq = ?1",
        values![seq.0, state.name(), delivered, attempts, error.as_deref()],
    )
}

const COLUMNS: &str = "seq, execution, api, schedule, error_message, created_at, delivery, delivered_at, attempts, \
     delivery_error FROM alerts";

/// Every alert that is still to be delivered, oldest first.
pub(in crate::store) fn undelivered<S: Sql>(sql: &S) -> Result<Vec<StoredAlert>, S::Error> {
    sql.all(&format!("SELECT {COLUMNS} WHERE delivery = 'PENDING' ORDER BY seq"), &[], read)
}

/// A page of the log, newest first, from below `before`.
pub(in crate::store) fn page<S: Sql>(sql: &S, limit: usize, before: Option<u64>) -> Result<AlertPage, S::Error> {
    let find = format!("SELECT {COLUMNS} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
    let mut alerts = sql.all(&find, values![before.unwrap_or(u64::MAX), limit as u64 + 1], read)?;
    let more = alerts.len() > limit;
    alerts.truncate(limit);
    let next = alerts.last().filter(|_| more).map(|alert| alert.seq.0);
    Ok(AlertPage { alerts, next })
}

fn read(row: &Row<'_>) -> Result<StoredAlert, Bad> {
    let execution: String = row.get(1)?;
    let state: String = row.get(6)?;
    // The job may be long gone; its id is part of the execution's.
    let id: ExecutionId = execution.parse().map_err(|_| bad(1, "not an execution id"))?;
    Ok(StoredAlert {
        seq: Seq(row.get(0)?),
        job: id.job,
        execution,
        api: row.get(2)?,
        schedule: row.get(3)?,
        error: row.get(4)?,
        at: WallUs(row.get(5)?),
        state: AlertState::from_name(&state).ok_or_else(|| bad(6, "unknown delivery state"))?,
        delivered_at: row.get::<Option<i64>>(7)?.map(WallUs),
        attempts: row.get(8)?,
        delivery_error: row.get(9)?,
    })
}

/// Of which jobs how many alerts are too many. Beyond what is kept in all, each job may keep an equal share: one that
/// fails all the time pushes out its own alerts, not those of others. Costs a walk over the alerts' index.
pub(in crate::store) fn surplus<S: Sql>(sql: &S, bytes_max: u64) -> Result<Vec<(i64, u64)>, S::Error> {
    let count = "SELECT job_id, count(*) FROM alerts GROUP BY job_id";
    let jobs: Vec<(i64, u64)> = sql.all(count, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let all: u64 = jobs.iter().map(|(_, count)| count).sum();
    let most = ALERTS_KEPT_MAX.min(bytes_max / row_len(sql)?);
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
fn row_len<S: Sql>(sql: &S) -> Result<u64, S::Error> {
    const ADDED: u64 = 64;
    let mean = "SELECT CAST(coalesce(avg(length(execution) + length(api) + length(schedule) + length(error_message)), 0) \
                AS BIGINT) FROM (SELECT * FROM alerts ORDER BY seq DESC LIMIT 100) AS newest";
    Ok(sql.first(mean, &[], |row| row.get::<u64>(0))?.unwrap_or_default() + ADDED)
}

/// Deletes up to so many of a job's oldest alerts that are not still to be delivered. How many there were.
pub(in crate::store) fn delete_oldest<S: Sql>(sql: &S, job: i64, most: u32) -> Result<u32, S::Error> {
    let delete = "DELETE FROM alerts WHERE seq IN (SELECT seq FROM alerts WHERE job_id = ?1 AND delivery <> 'PENDING' \
                  ORDER BY seq LIMIT ?2)";
    sql.count(delete, values![job, most]).map(small)
}

/// Deletes up to so many alerts older than this that are not still to be delivered. How many there were.
pub(in crate::store) fn delete_before<S: Sql>(sql: &S, oldest_us: i64, most: u32) -> Result<u32, S::Error> {
    let delete = "DELETE FROM alerts WHERE seq IN (SELECT seq FROM alerts WHERE created_at < ?1 AND delivery <> 'PENDING' \
                  ORDER BY seq LIMIT ?2)";
    sql.count(delete, values![oldest_us, most]).map(small)
}
