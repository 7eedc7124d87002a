//! Owns the reads of history: pages over the ledger and the folded rows as if they were one table.
//! It must not count or walk what a page does not show.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::alerts::{self, AlertPage};
use super::rows;
use crate::core::{Class, Covers, ExecutionId, Instant, JobId, JobKey, Kind, Status, WallUs};

/// Where a page goes on: everything strictly older than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The instant of the last execution shown.
    pub instant: Instant,
    /// Its job.
    pub job: JobKey,
    /// Its kind.
    pub kind: Kind,
    /// Its number.
    pub number: u32,
}

/// What can be asked of history.
#[derive(Clone, Debug)]
pub enum Query {
    /// Executions of one job, newest first.
    OfJob {
        /// Which job; deleted ones too, while there is history.
        job: JobId,
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<Cursor>,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// Executions of all jobs, newest first.
    OfAll {
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<Cursor>,
        /// Only with this status.
        status: Option<Status>,
        /// Now: armed rows that lie ahead are not shown.
        now: WallUs,
    },
    /// The alert log, newest first.
    Alerts {
        /// Items on the page.
        limit: usize,
        /// Where to go on.
        before: Option<u64>,
    },
}

/// What history answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Executions of one job.
    OfJob(JobId, ExecutionPage),
    /// There is no such job, nor history of one.
    NoSuchJob,
    /// Executions of all jobs.
    OfAll(ExecutionPage),
    /// Alerts.
    Alerts(AlertPage),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It took too long.
    TooLong,
    /// The store could not be read.
    Unreadable,
}

/// A page of executions.
#[derive(Clone, Debug)]
pub struct ExecutionPage {
    /// The executions, newest first.
    pub executions: Vec<ExecutionRecord>,
    /// Where the next page begins, if there is more.
    pub next: Option<Cursor>,
}

/// An execution as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRecord {
    /// Which.
    pub id: ExecutionId,
    /// What became of it.
    pub status: Status,
    /// On what footing it went out.
    pub class: Class,
    /// The first dispatch.
    pub executed: Option<WallUs>,
    /// The status of the last answer.
    pub http_status: Option<u16>,
    /// The deciding attempt's duration in microseconds.
    pub duration_us: Option<u64>,
    /// Why it failed, or why no POST was made.
    pub error: Option<String>,
    /// Attempts after the first.
    pub retry_count: u32,
    /// The missed instants it stands for.
    pub covers: Option<Covers>,
}

/// The columns of both tables, in the order of `read`.
const HISTORY: &str = "scheduled_time, job_id, kind, number, status, class, attempt, \
     scheduled_time * 1000000 + executed_after, http_status, duration, error_message, covers_from, covers_count, \
     covers_more FROM job_executions";
const LEDGER: &str = "scheduled_time, job_id, kind, number, status, class, attempt, executed_time, http_status, \
     duration, error_message, covers_from, covers_count, covers_more FROM ledger";
const BEFORE: &str = "(scheduled_time, job_id, kind, number) < (?1, ?2, ?3, ?4)";
const NEWEST_FIRST: &str = "ORDER BY scheduled_time DESC, job_id DESC, kind DESC, number DESC LIMIT ?5";

/// Answers a query from one consistent state of the store.
pub(super) fn answer(connection: &mut Connection, query: &Query) -> rusqlite::Result<Answer> {
    let snapshot = connection.transaction()?;
    match query {
        Query::OfJob { job, limit, before, now } => {
            if public_id(&snapshot, job.key())? != Some(*job) {
                return Ok(Answer::NoSuchJob);
            }
            let of_job = format!("job_id = {}", job.key().0);
            let page = page(&snapshot, &of_job, *limit, *before, *now)?;
            Ok(Answer::OfJob(*job, page))
        }
        Query::OfAll { limit, before, status, now } => {
            // A code, not text of the client. `<> 0` is what lets SQLite use the index of rows that did not succeed.
            let with_status = match status {
                None => "1".to_owned(),
                Some(Status::Success) => "status = 0".to_owned(),
                Some(other) => format!("status <> 0 AND status = {}", other.code()),
            };
            Ok(Answer::OfAll(page(&snapshot, &with_status, *limit, *before, *now)?))
        }
        Query::Alerts { limit, before } => alerts::page(&snapshot, *limit, *before).map(Answer::Alerts),
    }
}

fn page(
    connection: &Connection,
    condition: &str,
    limit: usize,
    before: Option<Cursor>,
    now: WallUs,
) -> rusqlite::Result<ExecutionPage> {
    let history = format!("SELECT {HISTORY} WHERE {condition} AND {BEFORE} {NEWEST_FIRST}");
    // Armed rows that lie ahead are nobody's history yet.
    let ledger = format!(
        "SELECT {LEDGER} WHERE {condition} AND {BEFORE} AND (status <> 1 OR scheduled_time * 1000000 <= ?6) \
         {NEWEST_FIRST}"
    );
    let start = before.unwrap_or(Cursor {
        instant: Instant::from_secs(i64::MAX),
        job: JobKey(u64::MAX),
        kind: Kind::Replay,
        number: u32::MAX,
    });
    let from = (start.instant.as_secs(), rows::integer(start.job.0), start.kind.code(), start.number);
    let most = rows::integer(limit as u64 + 1);
    let mut found = connection
        .prepare_cached(&history)?
        .query_map(params![from.0, from.1, from.2, from.3, most], Found::read)?
        .collect::<rusqlite::Result<Vec<Found>>>()?;
    found.extend(
        connection
            .prepare_cached(&ledger)?
            .query_map(params![from.0, from.1, from.2, from.3, most, now.0], Found::read)?
            .collect::<rusqlite::Result<Vec<Found>>>()?,
    );
    found.sort_by_key(|found| std::cmp::Reverse(found.place()));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(Found::cursor);
    let mut ids = HashMap::new();
    let mut executions = Vec::with_capacity(found.len());
    for found in found {
        let id = match ids.get(&found.job) {
            Some(&id) => id,
            None => {
                let id = public_id(connection, found.job)?;
                ids.insert(found.job, id);
                id
            }
        };
        // Tombstones outlive their history, so every row has its job.
        if let Some(id) = id {
            executions.push(found.record(id));
        }
    }
    Ok(ExecutionPage { executions, next })
}

fn public_id(connection: &Connection, job: JobKey) -> rusqlite::Result<Option<JobId>> {
    let mut statement = connection.prepare_cached("SELECT public_id FROM jobs WHERE id = ?1")?;
    statement.query_row([rows::integer(job.0)], |row| rows::job_id(row, 0)).optional()
}

/// A row of either table.
struct Found {
    job: JobKey,
    instant: Instant,
    kind: Kind,
    number: u32,
    status: Status,
    class: Class,
    attempt: u32,
    executed: Option<WallUs>,
    http_status: Option<u16>,
    duration_us: Option<u64>,
    error: Option<String>,
    covers: Option<Covers>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Found> {
        Ok(Found {
            instant: Instant::from_secs(row.get(0)?),
            job: JobKey(rows::unsigned(row, 1)?),
            kind: rows::code(row, 2, Kind::from_code)?,
            number: row.get(3)?,
            status: rows::code(row, 4, Status::from_code)?,
            class: rows::code(row, 5, Class::from_code)?,
            attempt: row.get(6)?,
            executed: row.get::<_, Option<i64>>(7)?.map(WallUs),
            http_status: row.get(8)?,
            duration_us: row.get::<_, Option<i64>>(9)?.map(i64::unsigned_abs),
            error: row.get(10)?,
            covers: rows::covers(row, 11)?,
        })
    }

    fn place(&self) -> (Instant, JobKey, Kind, u32) {
        (self.instant, self.job, self.kind, self.number)
    }

    fn cursor(&self) -> Cursor {
        Cursor { instant: self.instant, job: self.job, kind: self.kind, number: self.number }
    }

    fn record(self, job: JobId) -> ExecutionRecord {
        let id = ExecutionId { job, instant: self.instant, kind: self.kind, number: self.number };
        ExecutionRecord {
            id,
            status: self.status,
            class: self.class,
            executed: self.executed,
            http_status: self.http_status,
            duration_us: self.duration_us,
            error: self.error,
            retry_count: self.attempt.saturating_sub(1),
            covers: self.covers,
        }
    }
}
