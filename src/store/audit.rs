//! Owns what is written down of who did what, and how it is looked up.
//! It must not hold a secret: of those it says at most that there was one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::access::TokenId;
use crate::job::{Definition, JobId, JobSpec, Json, Revision};
use crate::limits::AUDIT_VALUE_LEN_MAX;
use crate::time::WallUs;

/// What somebody did, or tried to do.
#[derive(Clone, Debug)]
pub struct AuditRow {
    /// When.
    pub at: WallUs,
    /// By which token; None: without one.
    pub token: Option<TokenId>,
    /// From where: an address, or what stands for the machine itself.
    pub client: Box<str>,
    /// What: the name of an operation of the API.
    pub operation: &'static str,
    /// To what, mostly the id of a job.
    pub subject: Option<Box<str>>,
    /// What changed.
    pub difference: Difference,
    /// What it was answered: an HTTP status.
    pub status: u16,
}

/// What changed.
#[derive(Clone, Debug)]
pub enum Difference {
    /// That is not told.
    None,
    /// A job: from one revision to another. None: there is none.
    Job(Option<Arc<Revision>>, Option<Arc<Revision>>),
    /// Many jobs, by what was done with them.
    Jobs(BTreeMap<&'static str, Vec<JobId>>),
}

/// The members in which two jobs differ, each with its old and its new value. None: there is no such job. Of secrets they
/// say only that there is one.
pub fn members_between(old: Option<&JobSpec>, new: Option<&JobSpec>) -> BTreeMap<String, (Value, Value)> {
    let ((mut old, old_json), (mut new, new_json)) = (members(old), members(new));
    let mut differing = BTreeMap::new();
    for name in old.keys().chain(new.keys()).cloned().collect::<BTreeSet<String>>() {
        let (old, new) = (old.remove(&name).unwrap_or_default(), new.remove(&name).unwrap_or_default());
        if old != new {
            differing.insert(name, (old, new));
        }
    }
    if old_json != new_json {
        differing.insert("json".to_owned(), (value_of(old_json), value_of(new_json)));
    }
    differing
}

/// The members that a job has, but for one which is not looked into, as it may be anything.
fn members(spec: Option<&JobSpec>) -> (BTreeMap<String, Value>, Option<Json>) {
    let Some(spec) = spec else { return Default::default() };
    let mut definition = Definition::in_full(spec);
    let json = definition.json.take();
    let members = serde_json::to_value(definition).expect("a definition has string keys only");
    let Value::Object(members) = members else { unreachable!("a definition is an object") };
    (members.into_iter().filter(|(_, value)| !value.is_null()).collect(), json)
}

/// What a client may have written in any way, numbers that nobody can hold among it. A long one is not read.
fn value_of(json: Option<Json>) -> Value {
    let Some(json) = json else { return Value::Null };
    let text = serde_json::to_string(&json).expect("it is JSON");
    let read = || serde_json::from_str(&text).ok();
    Some(())
        .filter(|()| text.len() <= AUDIT_VALUE_LEN_MAX)
        .and_then(|()| read())
        .unwrap_or_else(|| only_length(text.len()))
}

/// A value, or how long it is: bodies may be long.
pub fn shown(value: Value) -> Value {
    let length = value.to_string().len();
    if length <= AUDIT_VALUE_LEN_MAX { value } else { only_length(length) }
}

fn only_length(length: usize) -> Value {
    serde_json::json!({ "bytes": length })
}

/// What of the audit log is looked up.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Rows on the page.
    pub limit: usize,
    /// Only those before this one: when it was, and its number.
    pub before: Option<(WallUs, u64)>,
    /// Only of this token.
    pub token: Option<TokenId>,
    /// Only of what was done to this.
    pub subject: Option<Box<str>>,
    /// Only from this moment on.
    pub from: Option<WallUs>,
    /// Only up to this moment.
    pub to: Option<WallUs>,
}

/// A page of the audit log.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The rows, newest first.
    pub rows: Vec<AuditRecord>,
    /// Where the next page begins, if there is more.
    pub next: Option<(WallUs, u64)>,
}

/// A row as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number: it goes up.
    pub id: u64,
    /// When.
    pub at: WallUs,
    /// By which token.
    pub token: Option<TokenId>,
    /// What that token is called, if it is still known.
    pub token_name: Option<String>,
    /// From where.
    pub client: String,
    /// What.
    pub operation: String,
    /// To what.
    pub subject: Option<String>,
    /// What changed, as JSON.
    pub difference: Option<String>,
    /// What it was answered.
    pub status: u16,
}
