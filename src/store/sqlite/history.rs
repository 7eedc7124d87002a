//! Owns the reads of history: pages over the ledger and the folded rows as if they were one table.
//! It must not count or walk what a page does not show.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::tail::Tail;
use super::{alerts, rows};
use crate::core::{ExecutionKey, Kind, Record, Seq, Status};
use crate::job::{JobId, JobKey};
use crate::limits::READ_TIME_MAX;
use crate::store::{Answer, ExecutionPage, ExecutionRecord, Query};
use crate::time::{Instant, WallUs};

/// Older than the start of a page.
const BEFORE: &str = "(scheduled_time, job_id, kind, number) < (?1, ?2, ?3, ?4)";
const NEWEST_FIRST: &str = "ORDER BY scheduled_time DESC, job_id DESC, kind DESC, number DESC LIMIT ?5";
/// Armed rows that lie ahead are nobody's history yet.
const VISIBLE: &str = "(status <> 1 OR scheduled_time * 1000000 <= ?6)";

/// An execution of either table.
type Found = (ExecutionKey, Record);

/// Answers a query from one consistent state of the store.
pub(super) fn answer(connection: &mut Connection, tail: &Mutex<Tail>, query: &Query) -> rusqlite::Result<Answer> {
    let snapshot = connection.transaction()?;
    match query {
        Query::OfJob { job, limit, before, now } => {
            if public_id(&snapshot, job.key())? != Some(*job) {
                return Ok(Answer::NoSuchJob);
            }
            let page = Page { connection: &snapshot, start: start_of(*before), limit: *limit, now: *now };
            let listed = {
                let mut tail = lock(tail);
                tail.refresh(&snapshot)?;
                tail.of_job(job.key())
            };
            let mut found = page.folded_of(job.key())?;
            for seq in listed {
                found.extend(page.unfolded(seq)?);
            }
            Ok(Answer::OfJob(*job, page.make(found)?))
        }
        Query::OfAll { limit, before, status: None, now } => {
            let page = Page { connection: &snapshot, start: start_of(*before), limit: *limit, now: *now };
            let mut found = page.folded()?;
            found.extend(page.newest_unfolded(tail)?);
            Ok(Answer::OfAll(page.make(found)?))
        }
        Query::OfAll { limit, before, status: Some(status), now } => {
            let page = Page { connection: &snapshot, start: start_of(*before), limit: *limit, now: *now };
            let mut found = page.unfolded_with(*status)?;
            let (folded, reached) = page.folded_with(*status)?;
            found.extend(folded);
            if let Some(reached) = reached {
                // What is older than the walk got belongs on the next page, from wherever it comes.
                found.retain(|(key, _)| *key >= reached);
            }
            let mut made = page.make(found)?;
            made.next = made.next.or(reached);
            Ok(Answer::OfAll(made))
        }
        Query::Alerts { limit, before } => alerts::page(&snapshot, *limit, *before).map(Answer::Alerts),
    }
}

/// Where a page starts: everything is older.
fn start_of(before: Option<ExecutionKey>) -> ExecutionKey {
    let (instant, job) = (Instant::from_secs(i64::MAX), JobKey(u64::MAX));
    // Later than all there is: no kind has a higher code.
    before.unwrap_or(ExecutionKey { instant, job, kind: Kind::Replay, number: u32::MAX })
}

/// One page in the making.
struct Page<'a> {
    connection: &'a Connection,
    start: ExecutionKey,
    limit: usize,
    now: WallUs,
}

impl Page<'_> {
    /// One more than the page holds, to know whether there is more.
    fn most(&self) -> i64 {
        rows::integer(self.limit as u64 + 1)
    }

    /// The first four parameters of every statement.
    fn before(&self) -> (i64, i64, u8, u32) {
        let ExecutionKey { instant, job, kind, number } = self.start;
        (instant.as_secs(), rows::integer(job.0), kind.code(), number)
    }

    fn find(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<Vec<Found>> {
        self.connection.prepare_cached(sql)?.query_map(parameters, rows::read_execution)?.collect()
    }

    /// Folded rows of one job.
    fn folded_of(&self, owner: JobKey) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE job_id = ?6 AND {BEFORE} {NEWEST_FIRST}", rows::SELECT_FOLDED);
        let (time, job, kind, number) = self.before();
        self.find(&sql, params![time, job, kind, number, self.most(), rows::integer(owner.0)])
    }

    /// Folded rows of all jobs.
    fn folded(&self) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE {BEFORE} {NEWEST_FIRST}", rows::SELECT_FOLDED);
        let (time, job, kind, number) = self.before();
        self.find(&sql, params![time, job, kind, number, self.most()])
    }

    /// Folded rows with a status, found by a walk that ends when it took too long: then with the last key it saw.
    fn folded_with(&self, status: Status) -> rusqlite::Result<(Vec<Found>, Option<ExecutionKey>)> {
        let walked = match status {
            // No row is folded before it is finished.
            Status::Pending => return Ok((Vec::new(), None)),
            Status::Success => "1",
            // What lets SQLite use the index of rows that did not succeed.
            Status::Failed | Status::Skipped => "status <> 0",
        };
        let until = std::time::Instant::now() + READ_TIME_MAX / 2;
        let sql = format!("{} WHERE {walked} AND {BEFORE} {NEWEST_FIRST}", rows::SELECT_FOLDED);
        let (time, job, kind, number) = self.before();
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut walk = statement.query(params![time, job, kind, number, -1])?;
        let mut found = Vec::new();
        while let Some(row) = walk.next()? {
            let (key, record) = rows::read_execution(row)?;
            let late = std::time::Instant::now() > until;
            if record.status == status {
                found.push((key, record));
                if found.len() > self.limit {
                    break;
                }
            } else if late {
                return Ok((found, Some(key)));
            }
        }
        Ok((found, None))
    }

    /// Unfolded rows with a status: a walk over the ledger, which holds no more than a minute's rows.
    fn unfolded_with(&self, status: Status) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE status = ?7 AND {BEFORE} AND {VISIBLE} {NEWEST_FIRST}", rows::SELECT_UNFOLDED);
        let (time, job, kind, number) = self.before();
        self.find(&sql, params![time, job, kind, number, self.most(), self.now.0, status.code()])
    }

    /// The unfolded row with this number, if it is still there and belongs on this page.
    fn unfolded(&self, seq: Seq) -> rusqlite::Result<Option<Found>> {
        let sql = format!("{} WHERE {BEFORE} AND {VISIBLE} AND seq = ?5", rows::SELECT_UNFOLDED);
        let (time, job, kind, number) = self.before();
        let parameters = params![time, job, kind, number, rows::integer(seq.0), self.now.0];
        self.connection.prepare_cached(&sql)?.query_row(parameters, rows::read_execution).optional()
    }

    /// The newest unfolded rows of all jobs.
    fn newest_unfolded(&self, tail: &Mutex<Tail>) -> rusqlite::Result<Vec<Found>> {
        lock(tail).refresh(self.connection)?;
        // Only rows that are due are seen, so the list is entered at now.
        let ahead = Instant::from_secs(self.now.floor().as_secs().saturating_add(1));
        let mut before = self.start.min(ExecutionKey::scheduled(JobKey(0), ahead));
        let mut found = Vec::new();
        while found.len() <= self.limit {
            let listed = lock(tail).newest(before, self.limit + 1);
            let Some(&(last, _)) = listed.last() else { break };
            before = last;
            for (_, seq) in listed {
                found.extend(self.unfolded(seq)?);
            }
        }
        Ok(found)
    }

    /// Puts both kinds in order, cuts them to the page, and gives them their public ids.
    fn make(&self, mut found: Vec<Found>) -> rusqlite::Result<ExecutionPage> {
        found.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(|(key, _)| *key);
        let mut ids: HashMap<JobKey, Option<JobId>> = HashMap::new();
        let mut executions = Vec::with_capacity(found.len());
        for (key, record) in found {
            let id = match ids.get(&key.job) {
                Some(&id) => id,
                None => *ids.entry(key.job).or_insert(public_id(self.connection, key.job)?),
            };
            // Tombstones outlive their history, so every row has its job.
            executions.extend(id.map(|id| ExecutionRecord { id: key.of(id), record }));
        }
        Ok(ExecutionPage { executions, next })
    }
}

fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    // What a reader that panicked left behind may be half a list, but it only says where to look.
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn public_id(connection: &Connection, job: JobKey) -> rusqlite::Result<Option<JobId>> {
    let mut statement = connection.prepare_cached("SELECT public_id FROM jobs WHERE id = ?1")?;
    statement.query_row([rows::integer(job.0)], |row| rows::job_id(row, 0)).optional()
}
