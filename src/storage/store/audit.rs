//! Owns what is written down of who did what, and how it is looked up.
//! It must not hold a secret: of those it says at most that there was one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::access::TokenId;
use crate::job::{Definition, JobId, JobSpec, Revision};
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
    /// Members of something else.
    Members(Differing),
    /// Many jobs, by what was done with them.
    Jobs(BTreeMap<&'static str, Vec<JobId>>),
}

/// Members in which two things differ, each with its old and its new value, null where there is none.
pub type Differing = BTreeMap<String, [Box<RawValue>; 2]>;

/// The members in which two jobs differ, each with its old and its new value, null where there is none. None: there is no
/// such job. They are compared as the text that they are kept as: a number in a body may be one that this program does not
/// know as a number. Of secrets they say only that there is one.
pub fn members_between(old: Option<&JobSpec>, new: Option<&JobSpec>) -> Differing {
    values_between(old.map(Definition::in_full).as_ref(), new.map(Definition::in_full).as_ref())
}

/// The same of two objects of any kind.
pub fn values_between(old: Option<&impl Serialize>, new: Option<&impl Serialize>) -> Differing {
    let (old, new) = (old.map(text_of), new.map(text_of));
    let (old, mut new) = (members(old.as_deref()), members(new.as_deref()));
    let mut differing = BTreeMap::new();
    for (name, old) in old {
        let new = new.remove(name);
        // A body that is null is none that is missing.
        if new.is_none_or(|new| new.get() != old.get()) {
            differing.insert(name.to_owned(), [old.to_owned(), new.map_or_else(|| raw(&()), RawValue::to_owned)]);
        }
    }
    differing.extend(new.into_iter().map(|(name, new)| (name.to_owned(), [raw(&()), new.to_owned()])));
    differing
}

fn text_of(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("a definition has string keys only")
}

fn members(text: Option<&str>) -> BTreeMap<&str, &RawValue> {
    text.map(|text| serde_json::from_str(text).expect("it was just made")).unwrap_or_default()
}

/// A value, or how long it is: bodies may be long.
pub fn shown(value: &RawValue) -> Box<RawValue> {
    let length = value.get().len();
    if length <= AUDIT_VALUE_LEN_MAX { value.to_owned() } else { raw(&serde_json::json!({ "bytes": length })) }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("objects of numbers are JSON")
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
