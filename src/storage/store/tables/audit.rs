//! Owns the audit log on disk: rows are added, read, and age out, and nothing else happens to them.
//! It must not tell what a secret is: definitions say only that there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::access::TokenId;
use crate::job::{JobId, Revision};
use crate::limits::{AUDIT_BATCH_IDS_MAX, AUDIT_PAGE_LEN_MAX, AUDIT_ROWS_MAX};
use crate::store::sql::{Bad, Row, Sql, Value as Given, small, values};
use crate::store::{AuditPage, AuditQuery, AuditRecord, AuditRow, Difference, members_between, shown};
use crate::time::WallUs;

/// What a row takes up beside its difference, about.
const ROW_LEN: u64 = 250;

/// Adds a row.
pub(in crate::store) fn insert<S: Sql>(sql: &S, row: &AuditRow) -> Result<(), S::Error> {
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
    let token = row.token.map(TokenId::number);
    let (subject, difference) = (row.subject.as_deref(), difference.as_deref());
    sql.run(
        "INSERT INTO audit (at, token, client, operation, subject, difference, status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        values![row.at.0, token, &*row.client, row.operation, subject, difference, row.status],
    )
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
pub(in crate::store) fn page<S: Sql>(sql: &S, query: &AuditQuery) -> Result<AuditPage, S::Error> {
    let AuditQuery { limit, before, token, subject, from, to } = query;
    let (at, id) = before.map_or((i64::MAX, u64::MAX), |(at, id)| (at.0, id));
    let mut conditions = vec!["(a.at, a.id) < (?1, ?2)".to_owned()];
    let mut values = vec![Given::from(at), Given::from(id)];
    let subject = subject.as_ref().map(ToString::to_string);
    let mut only = |condition: &str, value| {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{condition} ?{}", values.len()));
        }
    };
    only("a.token =", token.map(|token| token.number().into()));
    only("a.subject =", subject.as_deref().map(Given::from));
    only("a.at >=", from.map(|from| from.0.into()));
    only("a.at <=", to.map(|to| to.0.into()));
    values.push((*limit as u64 + 1).into());
    let find = format!(
        "SELECT a.id, a.at, a.token, t.name, a.client, a.operation, a.subject, a.difference, a.status \
         FROM audit a LEFT JOIN tokens t ON t.id = a.token WHERE {} ORDER BY a.at DESC, a.id DESC LIMIT ?{}",
        conditions.join(" AND "),
        values.len()
    );
    let (mut rows, mut length, mut more) = (Vec::<AuditRecord>::new(), 0, false);
    sql.walk(&find, &values, &mut |row| {
        // Batches have long rows: a page ends before it is too long, and has one row at least.
        more = rows.len() == *limit || length > AUDIT_PAGE_LEN_MAX;
        if more {
            return Ok(false);
        }
        let row = read(row)?;
        length += row.difference.as_ref().map_or(0, String::len);
        rows.push(row);
        Ok(true)
    })?;
    let next = rows.last().filter(|_| more).map(|row| (row.at, row.id));
    Ok(AuditPage { rows, next })
}

fn read(row: &Row<'_>) -> Result<AuditRecord, Bad> {
    Ok(AuditRecord {
        id: row.get(0)?,
        at: WallUs(row.get(1)?),
        token: row.get::<Option<i64>>(2)?.and_then(TokenId::from_number),
        token_name: row.get(3)?,
        client: row.get(4)?,
        operation: row.get(5)?,
        subject: row.get(6)?,
        difference: row.get(7)?,
        status: row.get(8)?,
    })
}

/// Deletes up to so many rows that are too old, or too many. How many.
pub(in crate::store) fn delete_old<S: Sql>(
    sql: &S,
    age: Duration,
    bytes_max: u64,
    now: WallUs,
    most: u32,
) -> Result<u32, S::Error> {
    let newest = "SELECT id FROM audit ORDER BY id DESC LIMIT 1";
    let Some(newest) = sql.first(newest, &[], |row| row.get::<u64>(0))? else { return Ok(0) };
    let oldest_us = now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    // What the last ones are long, with what SQLite adds for them and their places in indexes.
    let length = "SELECT CAST(coalesce(avg(length(coalesce(difference, ''))), 0) AS BIGINT) FROM \
                  (SELECT difference FROM audit ORDER BY id DESC LIMIT 1000) AS newest";
    let length: u64 = sql.first(length, &[], |row| row.get(0))?.unwrap_or_default();
    let most_rows = AUDIT_ROWS_MAX.min(bytes_max / (length + ROW_LEN));
    let surplus = newest.saturating_sub(most_rows);
    // Each by its own index: rows of a clock that was ahead are not to stand before those that are old.
    let old = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)";
    let gone = small(sql.count(old, values![oldest_us, most])?);
    let many = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id <= ?1 ORDER BY id LIMIT ?2)";
    Ok(gone + small(sql.count(many, values![surplus, most - gone])?))
}
