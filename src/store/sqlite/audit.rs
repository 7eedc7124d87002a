//! Owns the audit log on disk: rows are added, read, and age out, and nothing else happens to them.
//! It must not tell what a secret is: definitions say only that there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::rows;
use crate::access::TokenId;
use crate::job::{JobId, Revision};
use crate::limits::{AUDIT_BATCH_IDS_MAX, AUDIT_PAGE_LEN_MAX, AUDIT_ROWS_MAX};
use crate::store::{AuditPage, AuditQuery, AuditRecord, AuditRow, Difference, members_between, shown};
use crate::time::WallUs;

/// What a row takes up beside its difference, about.
const ROW_LEN: u64 = 250;

/// Adds a row.
pub(super) fn insert(connection: &Connection, row: &AuditRow) -> rusqlite::Result<()> {
    let difference = match &row.difference {
        Difference::None => None,
        Difference::Job(old, new) => Some(between(old.as_deref(), new.as_deref())),
        Difference::Members(pairs) => {
            let pairs: BTreeMap<&String, [Box<RawValue>; 2]> =
                pairs.iter().map(|(name, pair)| (name, pair.each_ref().map(|value| shown(value)))).collect();
            Some(serde_json::to_string(&pairs).expect("it has string keys only"))
        }
        Difference::Jobs(jobs) => {
            let jobs: BTreeMap<&str, Value> = jobs.iter().map(|(done, jobs)| (*done, many(jobs))).collect();
            Some(serde_json::to_string(&jobs).expect("it has string keys only"))
        }
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO audit (at, token, client, operation, subject, difference, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let token = row.token.map(TokenId::number);
    statement.execute(params![row.at.0, token, row.client, row.operation, row.subject, difference, row.status])?;
    Ok(())
}

/// The members in which two revisions of a job differ, each with its old and its new value.
fn between(old: Option<&Revision>, new: Option<&Revision>) -> String {
    let mut differing = members_between(old.map(|old| &old.spec), new.map(|new| &new.spec));
    let paused = |revision: Option<&Revision>| Some(revision?.pause.as_deref()?.since.to_string());
    if paused(old) != paused(new) {
        let raw = |since| to_raw_value(&since).expect("a text is JSON");
        differing.insert("paused".to_owned(), [raw(paused(old)), raw(paused(new))]);
    }
    let pairs: BTreeMap<&String, [Box<RawValue>; 2]> =
        differing.iter().map(|(name, pair)| (name, pair.each_ref().map(|value| shown(value)))).collect();
    serde_json::to_string(&pairs).expect("it has string keys only")
}

/// How many jobs, and the ids of the first.
fn many(jobs: &[JobId]) -> Value {
    let first: Vec<String> = jobs.iter().take(AUDIT_BATCH_IDS_MAX).map(JobId::to_string).collect();
    serde_json::json!({ "count": jobs.len(), "jobIds": first })
}

/// A page, newest first.
pub(super) fn page(connection: &Connection, query: &AuditQuery) -> rusqlite::Result<AuditPage> {
    let AuditQuery { limit, before, token, subject, from, to } = query;
    let (at, id) = before.map_or((i64::MAX, i64::MAX), |(at, id)| (at.0, rows::integer(id)));
    let mut conditions = vec!["(a.at, a.id) < (?, ?)".to_owned()];
    let mut values = vec![Sql::from(at), Sql::from(id)];
    let mut only = |condition: &str, value: Option<Sql>| {
        if let Some(value) = value {
            conditions.push(condition.to_owned());
            values.push(value);
        }
    };
    only("a.token = ?", token.map(|token| token.number().into()));
    only("a.subject = ?", subject.as_ref().map(|subject| subject.to_string().into()));
    only("a.at >= ?", from.map(|from| from.0.into()));
    only("a.at <= ?", to.map(|to| to.0.into()));
    values.push(rows::integer(*limit as u64 + 1).into());
    let sql = format!(
        "SELECT a.id, a.at, a.token, t.name, a.client, a.operation, a.subject, a.difference, a.status \
         FROM audit a LEFT JOIN tokens t ON t.id = a.token WHERE {} ORDER BY a.at DESC, a.id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let (mut rows, mut length, mut more) = (Vec::<AuditRecord>::new(), 0, false);
    while let Some(row) = found.next()? {
        // Batches have long rows: a page ends before it is too long, and has one row at least.
        more = rows.len() == *limit || length > AUDIT_PAGE_LEN_MAX;
        if more {
            break;
        }
        let row = read(row)?;
        length += row.difference.as_ref().map_or(0, String::len);
        rows.push(row);
    }
    let next = rows.last().filter(|_| more).map(|row| (row.at, row.id));
    Ok(AuditPage { rows, next })
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRecord> {
    Ok(AuditRecord {
        id: rows::unsigned(row, 0)?,
        at: WallUs(row.get(1)?),
        token: row.get::<_, Option<i64>>(2)?.and_then(TokenId::from_number),
        token_name: row.get(3)?,
        client: row.get(4)?,
        operation: row.get(5)?,
        subject: row.get(6)?,
        difference: row.get(7)?,
        status: row.get(8)?,
    })
}

/// Deletes up to so many rows that are too old, or too many. How many.
pub(super) fn delete_old(
    connection: &Connection,
    age: Duration,
    bytes_max: u64,
    now: WallUs,
    most: u32,
) -> rusqlite::Result<u32> {
    let mut newest = connection.prepare_cached("SELECT id, at FROM audit ORDER BY id DESC LIMIT 1")?;
    let newest: Option<(i64, i64)> = newest.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((newest, at)) = newest else { return Ok(0) };
    // A clock that is set to another year erases nothing.
    let oldest_us = now.0.min(at).saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    // What the last ones are long, with what SQLite adds for them and their places in indexes.
    let mut length = connection.prepare_cached(
        "SELECT avg(length(ifnull(difference, ''))) FROM (SELECT difference FROM audit ORDER BY id DESC LIMIT 1000)",
    )?;
    let length: Option<f64> = length.query_row([], |row| row.get(0))?;
    let most_rows = AUDIT_ROWS_MAX.min(bytes_max / (length.unwrap_or_default() as u64 + ROW_LEN));
    let surplus = newest.saturating_sub(rows::integer(most_rows));
    let mut delete = connection.prepare_cached(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?3) AND (at < ?1 OR id <= ?2)",
    )?;
    delete.execute(params![oldest_us, surplus, most]).map(|gone| rows::small(gone as u64))
}
