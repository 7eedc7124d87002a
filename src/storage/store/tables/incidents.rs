//! Owns incidents on disk: each is one row, written whole whenever it changes, and found by pages newest first.
//! It must not decide what is wrong, nor know what was sent of it.

use std::sync::Arc;

use crate::core::{Acknowledged, Cause, Closed, ExecutionId, Incident, IncidentId, JobLabel, Subject};
use crate::job::JobId;
use crate::limits::{ALERTS_SHARE_PER_CENT, INCIDENTS_KEPT_MAX};
use crate::store::sql::{Bad, Row, Sql, Value, bad, small, values};
use crate::store::{Finding, IncidentPage, IncidentQuery};
use crate::time::WallUs;

/// The columns that `read` reads, of the table under the name `i`.
pub(in crate::store) const COLUMNS: &str = "i.id, i.cause, i.job_id, i.public_id, i.target, i.name, i.api, i.schedule, i.summary, i.execution, \
     i.opened_at, i.closed_at, i.closed_why, i.acknowledged_at, i.acknowledged_by, i.acknowledged_note, i.messages, \
     i.told, i.told_at";

/// What an incident takes up with its messages and its places in indexes, about.
const INCIDENT_LEN: u64 = 1_500;

/// Puts an incident in the place of what was there under its id.
pub(in crate::store) fn put<S: Sql>(sql: &S, incident: &Incident) -> Result<(), S::Error> {
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
    let execution = execution.map(|execution| execution.to_string());
    sql.run(
        "INSERT INTO incidents (id, cause, job_id, public_id, target, name, api, schedule, summary, execution, opened_at, \
         closed_at, closed_why, acknowledged_at, acknowledged_by, acknowledged_note, messages, told, told_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) \
         ON CONFLICT (id) DO UPDATE SET cause = ?2, job_id = ?3, public_id = ?4, target = ?5, name = ?6, api = ?7, \
         schedule = ?8, summary = ?9, execution = ?10, opened_at = ?11, closed_at = ?12, closed_why = ?13, \
         acknowledged_at = ?14, acknowledged_by = ?15, acknowledged_note = ?16, messages = ?17, told = ?18, told_at = ?19",
        values![
        id.0,
        cause.name(),
        job.map(|job| job.key().0),
        job.map(JobId::as_bytes),
        target,
        label.and_then(|label| label.name.as_deref()),
        label.map(|label| &*label.api),
        label.map(|label| &*label.schedule),
        &**summary,
        execution.as_deref(),
        opened_at.0,
        closed.as_ref().map(|closed| closed.at.0),
        closed.as_ref().map(|closed| &*closed.why),
        acknowledged.map(|acknowledged| acknowledged.at.0),
        acknowledged.and_then(|acknowledged| acknowledged.by.as_deref()),
        acknowledged.and_then(|acknowledged| acknowledged.note.as_deref()),
        messages,
        told,
        told_at.map(|at| at.0),
    ])
}

/// An incident from the columns `COLUMNS`, of which the first is column `first`.
pub(in crate::store) fn read(row: &Row<'_>, first: usize) -> Result<Incident, Bad> {
    let text = |column: usize| row.get::<Option<Box<str>>>(first + column);
    let time = |column: usize| Ok::<_, Bad>(row.get::<Option<i64>>(first + column)?.map(WallUs));
    let name = row.text(first + 1)?;
    let execution = row.text_or_null(first + 9)?;
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
    let acknowledged = time(13)?.map(|at| Ok::<_, Bad>(Acknowledged { at, by: text(14)?, note: text(15)? }));
    Ok(Incident {
        id: IncidentId(row.get(first)?),
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
fn subject(row: &Row<'_>, first: usize) -> Result<Subject, Bad> {
    let key: Option<u64> = row.get(first)?;
    let job: Option<JobId> = row.get::<Option<[u8; 16]>>(first + 1)?.map(JobId::from_bytes);
    let target: Option<Arc<str>> = row.get(first + 2)?;
    match (key, job, target) {
        (Some(key), Some(job), None) if key == job.key().0 => Ok(Subject::Job(job)),
        (None, None, Some(target)) => Ok(Subject::Target(target)),
        (None, None, None) => Ok(Subject::Server),
        (Some(_) | None, Some(_) | None, Some(_) | None) => Err(bad(first, "no job, no target, and not this server")),
    }
}

/// Every incident that is open, oldest first.
pub(in crate::store) fn open<S: Sql>(sql: &S) -> Result<Vec<Incident>, S::Error> {
    sql.all(&open_sql(sql), &[], |row| read(row, 0))
}

pub(in crate::store) fn open_sql(sql: &impl Sql) -> String {
    let index = sql.index("idx_incidents_open");
    format!("SELECT {COLUMNS} FROM incidents i {index} WHERE i.closed_at IS NULL ORDER BY i.id")
}

/// One incident.
pub(in crate::store) fn one<S: Sql>(sql: &S, id: IncidentId) -> Result<Option<Incident>, S::Error> {
    sql.first(&format!("SELECT {COLUMNS} FROM incidents i WHERE i.id = ?1"), values![id.0], |row| read(row, 0))
}

/// A page, newest first.
pub(in crate::store) fn page<S: Sql>(sql: &S, query: &IncidentQuery) -> Result<IncidentPage, S::Error> {
    let (find, values) = page_sql(sql, query);
    let mut incidents = sql.all(&find, &values, |row| read(row, 0))?;
    let more = incidents.len() > query.limit;
    incidents.truncate(query.limit);
    Ok(IncidentPage { incidents, more })
}

/// The index is named, as SQLite does not know which of them leaves less to walk over.
pub(in crate::store) fn page_sql<'a>(sql: &impl Sql, query: &'a IncidentQuery) -> (String, Vec<Value<'a>>) {
    let IncidentQuery { limit, before, open, job, cause } = query;
    let index = match (job, open, cause) {
        (Some(_), Some(true), _) => Some("idx_incidents_open_of_job"),
        (Some(_), Some(false) | None, _) => Some("idx_incidents_job"),
        (None, Some(true), _) => Some("idx_incidents_open"),
        (None, Some(false) | None, Some(_)) => Some("idx_incidents_cause"),
        (None, Some(false), None) => Some("idx_incidents_closed"),
        (None, None, None) => None,
    };
    let index = index.map_or_else(Default::default, |index| sql.index(index));
    let mut values = vec![Value::from(before.map_or(u64::MAX, |before| before.0))];
    let mut conditions = vec!["i.id < ?1".to_owned()];
    conditions.extend(open.map(|open| format!("i.closed_at IS {}", if open { "NULL" } else { "NOT NULL" })));
    let mut only = |column: &str, value: Option<Value<'a>>| {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{column} = ?{}", values.len()));
        }
    };
    only("i.job_id", job.map(|job| job.0.into()));
    only("i.cause", cause.map(|cause| cause.name().into()));
    // One more than the page holds, to know whether there is more.
    values.push((*limit as u64 + 1).into());
    let (conditions, last) = (conditions.join(" AND "), values.len());
    (format!("SELECT {COLUMNS} FROM incidents i {index} WHERE {conditions} ORDER BY i.id DESC LIMIT ?{last}"), values)
}

/// Deletes up to so many incidents that are over, and messages of those: what is older than this, and what is too much.
/// How many rows. An incident goes behind its last message, and a message only when it is no longer to be delivered.
pub(in crate::store) fn delete_old<S: Sql>(
    sql: &S,
    oldest_us: i64,
    bytes_max: u64,
    most: u32,
) -> Result<u32, S::Error> {
    let mut gone = small(sql.count(&delete_before_sql(sql), values![oldest_us, most])?);
    let closed = sql.first("SELECT count(*) FROM incidents WHERE closed_at IS NOT NULL", &[], |row| row.get(0))?;
    let closed: u64 = closed.unwrap_or_default();
    let surplus = closed.saturating_sub(INCIDENTS_KEPT_MAX.min(bytes_max / 100 * ALERTS_SHARE_PER_CENT / INCIDENT_LEN));
    if surplus == 0 || gone == most {
        return Ok(gone);
    }
    let oldest = sql.all(&oldest_done_sql(sql), values![surplus.min(u64::from(most - gone))], |row| row.get(0))?;
    let messages = "DELETE FROM messages WHERE incident = ?1 AND (number, channel) IN \
                    (SELECT number, channel FROM messages WHERE incident = ?1 LIMIT ?2)";
    for id in oldest {
        let id: i64 = id;
        gone += small(sql.count(messages, values![id, most - gone])?);
        if gone == most {
            break;
        }
        gone += small(sql.count("DELETE FROM incidents WHERE id = ?1", values![id])?);
        if gone == most {
            break;
        }
    }
    Ok(gone)
}

/// Deletes incidents that have been over for long and of which no message is left, among the oldest.
pub(in crate::store) fn delete_before_sql(sql: &impl Sql) -> String {
    format!(
        "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents {} WHERE closed_at < ?1 ORDER BY closed_at LIMIT ?2) \
         AND NOT EXISTS (SELECT 1 FROM messages WHERE incident = id)",
        sql.index("idx_incidents_closed_at")
    )
}

/// Incidents that are over and of which nothing is to be delivered any more, among the oldest.
pub(in crate::store) fn oldest_done_sql(sql: &impl Sql) -> String {
    format!(
        "SELECT id FROM incidents {} WHERE closed_at IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM messages WHERE incident = id AND delivery = 'PENDING') ORDER BY closed_at LIMIT ?1",
        sql.index("idx_incidents_closed_at")
    )
}

/// Incidents that no version writes.
pub(in crate::store) fn unread<S: Sql>(sql: &S) -> Result<Option<Finding>, S::Error> {
    let mut finding = Finding::new("incidents that cannot be read");
    sql.walk(&format!("SELECT {COLUMNS} FROM incidents i ORDER BY i.id"), &[], &mut |row| {
        if let Err(why) = read(row, 0) {
            let id: i64 = row.get(0)?;
            finding.note(|| format!("incident {id}: {why}"));
        }
        Ok(true)
    })?;
    Ok(finding.if_any())
}
