//! Owns the audit log of the API: how a page of it is asked for, and how it looks.
//! It must not hide a row.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::call::Call;
use super::errors::ApiError;
use super::json::{Moment, ok};
use super::links::to_next;
use super::matching::Matched;
use super::parameters::{AUDIT_TOKEN, FROM, PAGE_DEFAULT, SUBJECT, TO};
use crate::http::Response;
use crate::store::{AuditPage, AuditQuery, AuditRecord, Query};
use crate::time::{US_PER_SECOND, WallUs};

/// A page of the audit log, newest first.
pub(super) fn list(matched: &Matched<'_>) -> Result<Call, ApiError> {
    let parameters = matched.parameters()?;
    Ok(Call::Query(Query::Audit(AuditQuery {
        limit: parameters.limit(PAGE_DEFAULT)?,
        before: parameters.cursor(read_cursor)?,
        token: parameters.token(&AUDIT_TOKEN)?,
        subject: parameters.text(&SUBJECT)?.map(Into::into),
        from: parameters.time(&FROM)?.map(WallUs::of),
        // The whole second.
        to: parameters.time(&TO)?.map(|to| WallUs::of(to).plus_us(US_PER_SECOND - 1)),
    })))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditRow")]
pub(super) struct RowBody {
    audit_id: String,
    /// When.
    #[schemars(with = "Moment")]
    at: String,
    /// By which token; null: without one.
    token_id: Option<String>,
    /// What it is called, if it is still known.
    token_name: Option<String>,
    /// From where: an address, or what stands for the machine itself.
    client: String,
    /// What: an operation of this description, or of the command line.
    operation: String,
    /// To what: the id of a job, mostly.
    subject: Option<String>,
    /// What changed: members with their old and their new value. Of secrets it says at most that there is one.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    difference: Option<Box<RawValue>>,
    /// What it was answered.
    status: u16,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "AuditRows")]
pub(super) struct RowsBody {
    audit: Vec<RowBody>,
    next_cursor: Option<String>,
}

/// A page as a reader found it.
pub(super) fn page(page: AuditPage) -> Response {
    let next_cursor = page.next.map(|(at, id)| format!("{}.{id}", at.0));
    let body = RowsBody { next_cursor: next_cursor.clone(), audit: page.rows.into_iter().map(row).collect() };
    to_next(ok(&body), next_cursor.as_deref())
}

fn read_cursor(text: &str) -> Option<(WallUs, u64)> {
    let (at, id) = text.split_once('.')?;
    Some((WallUs(at.parse().ok()?), id.parse().ok()?))
}

fn row(row: AuditRecord) -> RowBody {
    RowBody {
        audit_id: row.id.to_string(),
        at: row.at.to_string(),
        token_id: row.token.map(|token| token.to_string()),
        token_name: row.token_name,
        client: row.client,
        operation: row.operation,
        subject: row.subject,
        difference: row.difference.and_then(|text| RawValue::from_string(text).ok()),
        status: row.status,
    }
}
