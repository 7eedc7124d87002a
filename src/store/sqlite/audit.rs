//! Owns the audit log on disk: rows are added, read, and age out, and nothing else happens to them.
//! It must not tell what a secret is: definitions say only that there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::Value;

use super::rows;
use crate::access::TokenId;
use crate::job::{Definition, JobId, Revision};
use crate::limits::AUDIT_ROWS_MAX;
use crate::store::{AuditPage, AuditQuery, AuditRecord, AuditRow, Difference};
use crate::time::WallUs;

/// Adds a row.
pub(super) fn insert(connection: &Connection, row: &AuditRow) -> rusqlite::Result<()> {
    let difference = match &row.difference {
        Difference::None => None,
        Difference::Job(old, new) => Some(between(old.as_deref(), new.as_deref())),
        Difference::Jobs(jobs) => {
            let ids = jobs.iter().map(|(done, jobs)| (*done, jobs.iter().map(JobId::to_string).collect()));
            let ids: BTreeMap<&str, Vec<String>> = ids.collect();
            Some(serde_json::to_string(&ids).expect("names and texts"))
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
    let members = |revision: Option<&Revision>| {
        let mut members = revision.map_or(Value::Null, |revision| {
            serde_json::to_value(Definition::in_full(&revision.spec)).expect("a definition has string keys only")
        });
        if let (Some(revision), Value::Object(members)) = (revision, &mut members) {
            let pause = revision.pause.as_deref();
            members.insert("paused".to_owned(), pause.map_or(Value::Null, |pause| pause.since.to_string().into()));
        }
        match members {
            Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => BTreeMap::new(),
        }
    };
    let (old, new): (BTreeMap<String, Value>, BTreeMap<String, Value>) = (members(old), members(new));
    let names = old.keys().chain(new.keys()).collect::<BTreeSet<_>>();
    let value = |members: &BTreeMap<String, Value>, name: &String| members.get(name).cloned().unwrap_or(Value::Null);
    let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let pairs = changed.map(|name| (name.clone(), Value::from(vec![value(&old, name), value(&new, name)])));
    Value::Object(pairs.collect()).to_string()
}

/// A page, newest first.
pub(super) fn page(connection: &Connection, query: &AuditQuery) -> rusqlite::Result<AuditPage> {
    let AuditQuery { limit, before, token, subject, from, to } = query;
    let mut conditions = vec!["a.id < ?".to_owned()];
    let mut values = vec![Sql::from(before.map_or(i64::MAX, rows::integer))];
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
         FROM audit a LEFT JOIN tokens t ON t.id = a.token WHERE {} ORDER BY a.id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found: Vec<AuditRecord> =
        statement.query_map(params_from_iter(values), read)?.collect::<rusqlite::Result<_>>()?;
    let more = found.len() > *limit;
    found.truncate(*limit);
    let next = found.last().filter(|_| more).map(|row| row.id);
    Ok(AuditPage { rows: found, next })
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
pub(super) fn delete_old(connection: &Connection, age: Duration, now: WallUs, most: u32) -> rusqlite::Result<u32> {
    let mut newest = connection.prepare_cached("SELECT id, at FROM audit ORDER BY id DESC LIMIT 1")?;
    let newest: Option<(i64, i64)> = newest.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((newest, at)) = newest else { return Ok(0) };
    // A clock that is set to another year erases nothing.
    let oldest_us = now.0.min(at).saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    let surplus = newest.saturating_sub(rows::integer(AUDIT_ROWS_MAX));
    let mut delete = connection.prepare_cached(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?3) AND (at < ?1 OR id <= ?2)",
    )?;
    delete.execute(params![oldest_us, surplus, most]).map(|gone| rows::small(gone as u64))
}
