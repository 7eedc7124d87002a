//! Owns what must hold between tables, each as a statement that finds what breaks it.
//! It must not change anything but a table of its own in memory.

use rusqlite::Connection;

use super::rows;
use crate::core::{Class, Kind, Status};
use crate::limits::FINDINGS_MAX;
use crate::store::Finding;
use crate::store::sql::integer;
use crate::store::tables::{deliveries, incidents};

/// What each job has in history, from one walk over it. `wrong` counts rows that no version writes.
const HISTORY: &str = "CREATE TEMP TABLE found (job_id INTEGER PRIMARY KEY, rows INTEGER, wrong INTEGER)";

/// What must not be found, and the statement that finds it: a text for each.
const RULES: &[(&str, &str)] = &[
    (
        "executions of jobs that are not there",
        "SELECT DISTINCT 'job ' || job_id FROM ledger WHERE job_id NOT IN (SELECT id FROM jobs) \
         UNION SELECT 'job ' || job_id FROM found WHERE job_id NOT IN (SELECT id FROM jobs)",
    ),
    (
        "totals of jobs that are not there",
        "SELECT 'job ' || job_id FROM job_totals WHERE job_id NOT IN (SELECT id FROM jobs)",
    ),
    (
        "executions that are in the ledger and in history",
        "SELECT 'job ' || l.job_id || ' at ' || l.scheduled_time FROM ledger l JOIN job_executions e \
         USING (job_id, scheduled_time, kind, number)",
    ),
    (
        "executions that are in the ledger twice",
        "SELECT 'job ' || job_id || ' at ' || scheduled_time FROM ledger \
         GROUP BY job_id, scheduled_time, kind, number HAVING count(*) > 1",
    ),
    ("jobs with rows of history that no version writes", "SELECT 'job ' || job_id FROM found WHERE wrong > 0"),
    (
        "jobs whose history has another number of rows than their totals say",
        "SELECT 'job ' || job_id || ': ' || ifnull(rows, 0) || ' instead of ' || ifnull(kept, 0) \
         FROM job_totals FULL JOIN found USING (job_id) WHERE ifnull(rows, 0) <> ifnull(kept, 0)",
    ),
    (
        "jobs of which more executions are kept than ended",
        "SELECT 'job ' || job_id FROM job_totals WHERE kept > success + failed + skipped",
    ),
    (
        "jobs that would fire again what they fired",
        "SELECT 'job ' || job_id FROM job_totals t WHERE (SELECT e.scheduled_time FROM job_executions e \
         WHERE e.job_id = t.job_id AND e.kind = 0 AND e.number = t.finished_era \
         ORDER BY e.scheduled_time DESC LIMIT 1) > ifnull(t.finished_through, -1)",
    ),
    (
        "names that several jobs have",
        "SELECT name FROM jobs WHERE name IS NOT NULL AND deleted_at IS NULL GROUP BY name HAVING count(*) > 1",
    ),
    (
        "tags of jobs that do not have them",
        "SELECT 'job ' || job_id || ': ' || tag FROM job_tags t WHERE NOT EXISTS (SELECT 1 FROM jobs j, \
         json_each(j.definition, '$.tags') e WHERE j.id = t.job_id AND j.deleted_at IS NULL AND e.value = t.tag)",
    ),
    (
        "tags that jobs are not found by",
        "SELECT 'job ' || j.id || ': ' || e.value FROM jobs j, json_each(j.definition, '$.tags') e \
         WHERE j.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM job_tags t WHERE t.job_id = j.id AND t.tag = e.value)",
    ),
    (
        "secrets of jobs that are not there",
        "SELECT 'job ' || job_id || ': ' || name FROM secrets \
         WHERE job_id NOT IN (SELECT id FROM jobs WHERE deleted_at IS NULL)",
    ),
    (
        "alerts that cannot be read",
        "SELECT 'alert ' || seq FROM alerts WHERE delivery NOT IN ('PENDING', 'DELIVERED', 'FAILED', 'LOGGED')",
    ),
    (
        "incidents that were closed before they were opened",
        "SELECT 'incident ' || id FROM incidents WHERE closed_at < opened_at",
    ),
    (
        "incidents of which another is open already",
        "SELECT 'incident ' || max(id) FROM incidents WHERE closed_at IS NULL GROUP BY cause, job_id, target \
         HAVING count(*) > 1",
    ),
    (
        "messages of incidents that are not there",
        "SELECT 'message ' || incident || '.' || number || '.' || channel FROM messages \
         WHERE event IS NOT NULL AND incident NOT IN (SELECT id FROM incidents)",
    ),
    (
        "messages that their incidents do not count",
        "SELECT 'message ' || incident || '.' || number || '.' || channel FROM messages m JOIN incidents i \
         ON i.id = m.incident WHERE m.event IS NOT NULL AND m.number NOT BETWEEN 1 AND i.messages",
    ),
    (
        "secrets of channels that are not there",
        "SELECT 'channel ' || channel || ': ' || name FROM channel_secrets \
         WHERE channel NOT IN (SELECT name FROM channels)",
    ),
    (
        "answers under idempotency keys that cannot be read",
        "SELECT key FROM idempotency_keys WHERE length(digest) <> 32 OR NOT json_valid(headers)",
    ),
    ("rows of the audit log that cannot be read", "SELECT 'row ' || id FROM audit WHERE NOT json_valid(difference)"),
    ("migrations that have not ended", "SELECT 'into this database' FROM marks WHERE name = 'migrating'"),
    ("marks that are missing", "SELECT 'tokens' WHERE NOT EXISTS (SELECT 1 FROM marks WHERE name = 'tokens')"),
];

/// What breaks a rule.
pub(super) fn broken(connection: &Connection, say: &mut dyn FnMut(&'static str)) -> rusqlite::Result<Vec<Finding>> {
    say("history");
    count_history(connection)?;
    let mut findings = Vec::new();
    for (what, sql) in RULES {
        say(what);
        findings.extend(found(connection, what, sql)?);
    }
    connection.execute_batch("DROP TABLE temp.found")?;
    findings.extend(strange_ids(connection)?);
    say("incidents");
    findings.extend(incidents::unread(connection)?);
    findings.extend(deliveries::unread(connection)?);
    Ok(findings)
}

/// Jobs whose public id is not made of their key.
fn strange_ids(connection: &Connection) -> rusqlite::Result<Option<Finding>> {
    let mut finding = Finding::new("jobs whose public id is not theirs");
    let mut statement = connection.prepare("SELECT id, public_id FROM jobs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        if !rows::job_id(row, 1).is_ok_and(|id| integer(id.key().0) == key) {
            finding.note(|| format!("job {key}"));
        }
    }
    Ok(finding.if_any())
}

/// What a statement finds, counted up to a bound.
pub(super) fn found(connection: &Connection, what: &str, sql: &str) -> rusqlite::Result<Option<Finding>> {
    let mut statement = connection.prepare(&format!("SELECT * FROM ({sql}) LIMIT {FINDINGS_MAX}"))?;
    let mut rows = statement.query([])?;
    let mut finding = Finding::new(what);
    while let Some(row) = rows.next()? {
        let example: String = row.get(0)?;
        finding.note(|| example);
    }
    Ok(finding.if_any())
}

fn count_history(connection: &Connection) -> rusqlite::Result<()> {
    let codes = |is_known: &dyn Fn(u8) -> bool| {
        let known: Vec<String> = (0..=u8::MAX).filter(|&code| is_known(code)).map(|code| code.to_string()).collect();
        known.join(", ")
    };
    let statuses = codes(&|code| Status::from_code(code).is_some_and(|status| status != Status::Pending));
    let (kinds, classes) =
        (codes(&|code| Kind::from_code(code).is_some()), codes(&|code| Class::from_code(code).is_some()));
    connection.execute_batch(&format!(
        "{HISTORY}; INSERT INTO temp.found SELECT job_id, count(*), sum(status NOT IN ({statuses}) OR kind NOT IN ({kinds}) \
         OR class NOT IN ({classes}) OR ifnull(NOT json_valid(details), 0)) FROM job_executions GROUP BY job_id"
    ))
}
