//! Owns incidents on disk: each is one row, written whole whenever it changes, and found by pages newest first.
//! It must not decide what is wrong, nor know what was sent of it.

use std::sync::Arc;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::look::Finding;
use super::rows::{self, bad};
use crate::core::{Acknowledged, Cause, Closed, ExecutionId, Incident, IncidentId, JobLabel, Subject};
use crate::job::JobId;
use crate::limits::{ALERTS_SHARE_PER_CENT, INCIDENTS_KEPT_MAX};
use crate::store::{IncidentPage, IncidentQuery};
use crate::time::WallUs;

/// The columns that `read` reads, of the table under the name `i`.
pub(super) const COLUMNS: &str = "i.id, i.cause, i.job_id, i.public_id, i.target, i.name, i.api, i.schedule, i.summary, i.execution, \
     i.opened_at, i.closed_at, i.closed_why, i.acknowledged_at, i.acknowledged_by, i.acknowledged_note, i.messages, \
     i.told, i.told_at";

/// What an incident takes up with its messages and its places in indexes, about.
const INCIDENT_LEN: u64 = 1_500;

/// Puts an incident in the place of what was there under its id.
pub(super) fn put(connection: &Connection, incident: &Incident) -> rusqlite::Result<()> {
    let Incident {
        id,
        cause,
        subject,
        label,
        summary,
        execution,
        opened_at,
        closed,
        acknowledged,
        messages,
        told,
        told_at,
    } = incident;
    let (job, target) = match subject {
        Subject::Job(job) => (Some(job), None),
        Subject::Target(target) => (None, Some(&**target)),
        Subject::Server => (None, None),
    };
    let (label, acknowledged) = (label.as_deref(), acknowledged.as_deref());
    let mut put = connection.prepare_cached(
        "INSERT INTO incidents (id, cause, job_id, public_id, target, name, api, schedule, summary, execution, opened_at, \
         closed_at, closed_why, acknowledged_at, acknowledged_by, acknowledged_note, messages, told, told_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
         ON CONFLICT (id) DO UPDATE SET cause = ?2, job_id = ?3, public_id = ?4, target = ?5, name = ?6, api = ?7, \
         schedule = ?8, summary = ?9, execution = ?10, opened_at = ?11, closed_at = ?12, closed_why = ?13, \
         acknowledged_at = ?14, acknowledged_by = ?15, acknowledged_note = ?16, messages = ?17, told = ?18, told_at = ?19",
    )?;
    put.execute(params![
        rows::integer(id.0),
        cause.name(),
        job.map(|job| rows::integer(job.key().0)),
        job.map(JobId::as_bytes),
        target,
        label.and_then(|label| label.name.as_deref()),
        label.map(|label| &*label.api),
        label.map(|label| &*label.schedule),
        summary,
        execution.map(|execution| execution.to_string()),
        opened_at.0,
        closed.as_ref().map(|closed| closed.at.0),
        closed.as_ref().map(|closed| &*closed.why),
        acknowledged.map(|acknowledged| acknowledged.at.0),
        acknowledged.and_then(|acknowledged| acknowledged.by.as_deref()),
        acknowledged.and_then(|acknowledged| acknowledged.note.as_deref()),
        messages,
        told,
        told_at.map(|at| at.0),
    ])?;
    Ok(())
}

/// An incident from the columns `COLUMNS`, of which the first is column `first`.
pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Incident> {
    let text = |column: usize| row.get::<_, Option<Box<str>>>(first + column);
    let time = |column: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(first + column)?.map(WallUs));
    let name = row.get_ref(first + 1)?.as_str().map_err(|why| bad(first + 1, &why.to_string()))?;
    let execution = row.get_ref(first + 9)?.as_str_or_null().map_err(|why| bad(first + 9, &why.to_string()))?;
    let execution = execution.map(str::parse::<ExecutionId>).transpose();
    let label = match (text(6)?, text(7)?) {
        (Some(api), Some(schedule)) => Some(Box::new(JobLabel { name: text(5)?, api, schedule })),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(bad(first + 6, "half of what a job was called")),
    };
    let closed = match (time(11)?, text(12)?) {
        (Some(at), Some(why)) => Some(Closed { at, why }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(bad(first + 11, "half of an end")),
    };
    let acknowledged =
        time(13)?.map(|at| Ok::<_, rusqlite::Error>(Acknowledged { at, by: text(14)?, note: text(15)? }));
    Ok(Incident {
        id: IncidentId(rows::unsigned(row, first)?),
        cause: Cause::from_name(name).ok_or_else(|| bad(first + 1, &format!("unknown cause {name:?}")))?,
        subject: subject(row, first + 2)?,
        label,
        summary: row.get(first + 8)?,
        execution: execution.map_err(|_| bad(first + 9, "not an execution id"))?,
        opened_at: WallUs(row.get(first + 10)?),
        closed,
        acknowledged: acknowledged.transpose()?.map(Box::new),
        messages: row.get(first + 16)?,
        told: row.get(first + 17)?,
        told_at: time(18)?,
    })
}

/// Three columns from `first` on.
fn subject(row: &Row<'_>, first: usize) -> rusqlite::Result<Subject> {
    let key: Option<i64> = row.get(first)?;
    let job: Option<JobId> = row.get::<_, Option<[u8; 16]>>(first + 1)?.map(JobId::from_bytes);
    let target: Option<Arc<str>> = row.get(first + 2)?;
    match (key, job, target) {
        (Some(key), Some(job), None) if key == rows::integer(job.key().0) => Ok(Subject::Job(job)),
        (None, None, Some(target)) => Ok(Subject::Target(target)),
        (None, None, None) => Ok(Subject::Server),
        (Some(_) | None, Some(_) | None, Some(_) | None) => Err(bad(first, "no job, no target, and not this server")),
    }
}

/// Every incident that is open, oldest first.
pub(super) fn open(connection: &Connection) -> rusqlite::Result<Vec<Incident>> {
    connection.prepare(&open_sql())?.query_map([], |row| read(row, 0))?.collect()
}

pub(super) fn open_sql() -> String {
    format!("SELECT {COLUMNS} FROM incidents i INDEXED BY idx_incidents_open WHERE i.closed_at IS NULL ORDER BY i.id")
}

/// One incident.
pub(super) fn one(connection: &Connection, id: IncidentId) -> rusqlite::Result<Option<Incident>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM incidents i WHERE i.id = ?1"))?;
    statement.query_row([rows::integer(id.0)], |row| read(row, 0)).optional()
}

/// A page, newest first.
pub(super) fn page(connection: &Connection, query: &IncidentQuery) -> rusqlite::Result<IncidentPage> {
    let (sql, values) = page_sql(query);
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(values), |row| read(row, 0))?;
    let mut incidents = found.collect::<rusqlite::Result<Vec<Incident>>>()?;
    let more = incidents.len() > query.limit;
    incidents.truncate(query.limit);
    Ok(IncidentPage { incidents, more })
}

/// The index is named, as SQLite does not know which of them leaves less to walk over.
pub(super) fn page_sql(query: &IncidentQuery) -> (String, Vec<Sql>) {
    let IncidentQuery { limit, before, open, job, cause } = query;
    let index = match (job, open, cause) {
        (Some(_), Some(true), _) => "INDEXED BY idx_incidents_open_of_job",
        (Some(_), Some(false) | None, _) => "INDEXED BY idx_incidents_job",
        (None, Some(true), _) => "INDEXED BY idx_incidents_open",
        (None, Some(false) | None, Some(_)) => "INDEXED BY idx_incidents_cause",
        (None, Some(false), None) => "INDEXED BY idx_incidents_closed",
        (None, None, None) => "NOT INDEXED",
    };
    let mut conditions = vec!["i.id < ?"];
    let mut values = vec![Sql::from(before.map_or(i64::MAX, |before| rows::integer(before.0)))];
    conditions.extend(open.map(|open| if open { "i.closed_at IS NULL" } else { "i.closed_at IS NOT NULL" }));
    if let Some(job) = job {
        conditions.push("i.job_id = ?");
        values.push(rows::integer(job.0).into());
    }
    if let Some(cause) = cause {
        conditions.push("i.cause = ?");
        values.push(cause.name().to_owned().into());
    }
    // One more than the page holds, to know whether there is more.
    values.push(rows::integer(*limit as u64 + 1).into());
    let conditions = conditions.join(" AND ");
    (format!("SELECT {COLUMNS} FROM incidents i {index} WHERE {conditions} ORDER BY i.id DESC LIMIT ?"), values)
}

/// Deletes up to so many incidents that are over, and messages of those: what is older than this, and what is too much.
/// How many rows. An incident goes behind its last message, and a message only when it is no longer to be delivered.
pub(super) fn delete_old(connection: &Connection, oldest_us: i64, bytes_max: u64, most: u32) -> rusqlite::Result<u32> {
    let mut delete = connection.prepare_cached(DELETE_BEFORE)?;
    let mut gone = rows::small(delete.execute(params![oldest_us, most])? as u64);
    let mut count = connection.prepare_cached("SELECT count(*) FROM incidents WHERE closed_at IS NOT NULL")?;
    let closed: u64 = count.query_row([], |row| rows::unsigned(row, 0))?;
    let surplus = closed.saturating_sub(INCIDENTS_KEPT_MAX.min(bytes_max / 100 * ALERTS_SHARE_PER_CENT / INCIDENT_LEN));
    if surplus == 0 || gone == most {
        return Ok(gone);
    }
    let mut oldest = connection.prepare_cached(OLDEST_DONE)?;
    let oldest = oldest.query_map(params![rows::integer(surplus).min(i64::from(most - gone))], |row| row.get(0))?;
    let mut messages = connection.prepare_cached(
        "DELETE FROM messages WHERE incident = ?1 AND (number, channel) IN \
         (SELECT number, channel FROM messages WHERE incident = ?1 LIMIT ?2)",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM incidents WHERE id = ?1")?;
    for id in oldest.collect::<rusqlite::Result<Vec<i64>>>()? {
        gone += rows::small(messages.execute(params![id, most - gone])? as u64);
        if gone == most {
            break;
        }
        gone += rows::small(delete.execute([id])? as u64);
        if gone == most {
            break;
        }
    }
    Ok(gone)
}

/// Deletes incidents that have been over for long and of which no message is left, among the oldest.
pub(super) const DELETE_BEFORE: &str = "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents INDEXED BY idx_incidents_closed_at \
     WHERE closed_at < ?1 ORDER BY closed_at LIMIT ?2) AND NOT EXISTS (SELECT 1 FROM messages WHERE incident = id)";

/// Incidents that are over and of which nothing is to be delivered any more, among the oldest.
pub(super) const OLDEST_DONE: &str = "SELECT id FROM incidents INDEXED BY idx_incidents_closed_at WHERE closed_at IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM messages WHERE incident = id AND delivery = 'PENDING') ORDER BY closed_at LIMIT ?1";

/// Incidents that no version writes.
pub(super) fn unread(connection: &Connection) -> rusqlite::Result<Option<Finding>> {
    let mut finding = Finding::new("incidents that cannot be read");
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM incidents i ORDER BY i.id"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if let Err(why) = read(row, 0) {
            let id: i64 = row.get(0)?;
            finding.note(|| format!("incident {id}: {why}"));
        }
    }
    Ok(finding.if_any())
}
