//! Owns the reads of history: pages over the ledger and the folded rows as if they were one table.
//! It must not count or walk what a page does not show.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::alerts::{self, AlertPage};
use super::rows;
use super::tail::Tail;
use crate::core::{Class, Covers, ExecutionId, Kind, Status};
use crate::job::{JobId, JobKey};
use crate::limits::READ_TIME_MAX;
use crate::time::{Instant, WallUs};

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
/// Armed rows that lie ahead are nobody's history yet.
const VISIBLE: &str = "(status <> 1 OR scheduled_time * 1000000 <= ?6)";

/// Answers a query from one consistent state of the store.
pub(super) fn answer(connection: &mut Connection, tail: &Mutex<Tail>, query: &Query) -> rusqlite::Result<Answer> {
    let snapshot = connection.transaction()?;
    match query {
        Query::OfJob { job, limit, before, now } => {
            if public_id(&snapshot, job.key())? != Some(*job) {
                return Ok(Answer::NoSuchJob);
            }
            let page = Page { connection: &snapshot, start: Start::from(*before), limit: *limit, now: *now };
            let places = {
                let mut tail = lock(tail);
                tail.refresh(&snapshot)?;
                tail.of_job(job.key().0)
            };
            let mut found = page.folded(&format!("job_id = {}", job.key().0))?;
            for seq in places {
                found.extend(page.unfolded(seq)?);
            }
            Ok(Answer::OfJob(*job, page.make(found)?))
        }
        Query::OfAll { limit, before, status: None, now } => {
            let page = Page { connection: &snapshot, start: Start::from(*before), limit: *limit, now: *now };
            let mut found = page.folded("1")?;
            found.extend(page.newest_unfolded(tail)?);
            Ok(Answer::OfAll(page.make(found)?))
        }
        Query::OfAll { limit, before, status: Some(status), now } => {
            let page = Page { connection: &snapshot, start: Start::from(*before), limit: *limit, now: *now };
            let mut found = page.unfolded_with(&format!("status = {}", status.code()))?;
            let (folded, reached) = page.folded_with(*status)?;
            found.extend(folded);
            if let Some(reached) = &reached {
                // What is older than the walk got belongs on the next page, from wherever it comes.
                found.retain(|found| found.place() >= reached.place());
            }
            let mut made = page.make(found)?;
            made.next = made.next.or(reached.as_ref().map(Found::cursor));
            Ok(Answer::OfAll(made))
        }
        Query::Alerts { limit, before } => alerts::page(&snapshot, *limit, *before).map(Answer::Alerts),
    }
}

/// Where a page starts: everything is older.
#[derive(Clone, Copy)]
struct Start {
    time: i64,
    job: i64,
    kind: u8,
    number: u32,
}

impl From<Option<Cursor>> for Start {
    fn from(cursor: Option<Cursor>) -> Start {
        match cursor {
            None => Start { time: i64::MAX, job: i64::MAX, kind: u8::MAX, number: u32::MAX },
            Some(Cursor { instant, job, kind, number }) => {
                Start { time: instant.as_secs(), job: rows::integer(job.0), kind: kind.code(), number }
            }
        }
    }
}

/// One page in the making.
struct Page<'a> {
    connection: &'a Connection,
    start: Start,
    limit: usize,
    now: WallUs,
}

impl Page<'_> {
    /// One more than the page holds, to know whether there is more.
    fn most(&self) -> i64 {
        rows::integer(self.limit as u64 + 1)
    }

    /// Folded rows under a condition.
    fn folded(&self, condition: &str) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("SELECT {HISTORY} WHERE {condition} AND {BEFORE} {NEWEST_FIRST}");
        let Start { time, job, kind, number } = self.start;
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_map(params![time, job, kind, number, self.most()], Found::read)?.collect()
    }

    /// Folded rows with a status, found by a walk that ends when it took too long: then with the last row it saw.
    fn folded_with(&self, status: Status) -> rusqlite::Result<(Vec<Found>, Option<Found>)> {
        let walked = match status {
            // No row is folded before it is finished.
            Status::Pending => return Ok((Vec::new(), None)),
            Status::Success => "1",
            // What lets SQLite use the index of rows that did not succeed.
            Status::Failed | Status::Skipped => "status <> 0",
        };
        let until = std::time::Instant::now() + READ_TIME_MAX / 2;
        let sql = format!("SELECT {HISTORY} WHERE {walked} AND {BEFORE} {NEWEST_FIRST}");
        let Start { time, job, kind, number } = self.start;
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut walk = statement.query(params![time, job, kind, number, -1])?;
        let mut found = Vec::new();
        while let Some(row) = walk.next()? {
            let row = Found::read(row)?;
            let late = std::time::Instant::now() > until;
            if row.status == status {
                found.push(row);
                if found.len() > self.limit {
                    break;
                }
            } else if late {
                return Ok((found, Some(row)));
            }
        }
        Ok((found, None))
    }

    /// Unfolded rows under a condition: a walk over the ledger, which holds no more than a minute's rows.
    fn unfolded_with(&self, condition: &str) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("SELECT {LEDGER} WHERE {condition} AND {BEFORE} AND {VISIBLE} {NEWEST_FIRST}");
        let Start { time, job, kind, number } = self.start;
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_map(params![time, job, kind, number, self.most(), self.now.0], Found::read)?.collect()
    }

    /// The unfolded row at a place, if it is still there and belongs on this page.
    fn unfolded(&self, seq: u64) -> rusqlite::Result<Option<Found>> {
        let sql = format!("SELECT {LEDGER} WHERE {BEFORE} AND {VISIBLE} AND seq = ?5");
        let Start { time, job, kind, number } = self.start;
        let mut statement = self.connection.prepare_cached(&sql)?;
        let place = rows::integer(seq);
        statement.query_row(params![time, job, kind, number, place, self.now.0], Found::read).optional()
    }

    /// The newest unfolded rows of all jobs.
    fn newest_unfolded(&self, tail: &Mutex<Tail>) -> rusqlite::Result<Vec<Found>> {
        lock(tail).refresh(self.connection)?;
        // Only rows that are due are seen, so the list is entered at now.
        let ahead = self.now.floor().as_secs().saturating_add(1);
        let mut before = (self.start.time, self.start.job.unsigned_abs(), self.start.kind, self.start.number);
        before = before.min((ahead, 0, 0, 0));
        let mut found = Vec::new();
        while found.len() <= self.limit {
            let places = lock(tail).newest(before, self.limit + 1);
            let Some((_, last)) = places.last() else { break };
            before = (last.0, last.1, last.2, last.3);
            for (seq, _) in places {
                found.extend(self.unfolded(seq)?);
            }
        }
        Ok(found)
    }

    /// Puts both kinds in order, cuts them to the page, and gives them their public ids.
    fn make(&self, mut found: Vec<Found>) -> rusqlite::Result<ExecutionPage> {
        found.sort_by_key(|found| std::cmp::Reverse(found.place()));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(Found::cursor);
        let mut ids: HashMap<JobKey, Option<JobId>> = HashMap::new();
        let mut executions = Vec::with_capacity(found.len());
        for found in found {
            let id = match ids.get(&found.job) {
                Some(&id) => id,
                None => *ids.entry(found.job).or_insert(public_id(self.connection, found.job)?),
            };
            // Tombstones outlive their history, so every row has its job.
            executions.extend(id.map(|id| found.record(id)));
        }
        Ok(ExecutionPage { executions, next })
    }
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    // What a reader that panicked left behind may be half a list, but it is only a list of places to look.
    tail.lock().unwrap_or_else(PoisonError::into_inner)
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
