//! Owns the reads of history: pages over the ledger and the folded rows as if they were one table.
//! It must not count or walk what a page does not show.

use std::collections::HashSet;
use std::collections::hash_map::{self, HashMap};

use rusqlite::{Connection, OptionalExtension, Params, params};

use super::index::{Entry, Index, Wanted};
use super::load::unfolded_totals;
use super::{rows, series, single, strips};
use crate::core::{ExecutionKey, Kind, Record, Seq, Status};
use crate::job::{JobId, JobKey};
use crate::limits::READ_TIME_MAX;
use crate::schedule::Zones;
use crate::store::sql::integer;
use crate::store::tables::rows::public_id;
use crate::store::tables::views::Views;
use crate::store::tables::{alerts, audit, deliveries, found, incidents, keys, tokens};
use crate::store::{Answer, ExecutionPage, ExecutionRecord, Filter, Query};
use crate::time::{Instant, WallUs};

/// Older than the start of a page.
const BEFORE: &str = "(scheduled_time, job_id, kind, number) < (?1, ?2, ?3, ?4)";
const NEWEST_FIRST: &str = "ORDER BY scheduled_time DESC, job_id DESC, kind DESC, number DESC LIMIT ?5";

/// An execution of either table.
pub(super) type Found = (ExecutionKey, Record);

/// Answers a query from one consistent state of the store.
pub(super) fn answer(
    connection: &mut Connection,
    index: &Index,
    zones: Option<&Zones>,
    query: &Query,
) -> rusqlite::Result<Answer> {
    let settled = index.settled();
    let transaction = connection.transaction()?;
    let snapshot: &Connection = &transaction;
    // A transaction sees the state of its first read: what is looked up in the index comes after it.
    snapshot.prepare_cached("SELECT 1 FROM marks LIMIT 1")?.exists([])?;
    match query {
        Query::OfJob { job, limit, before, now } => {
            if public_id(snapshot, job.key())? != Some(*job) {
                return Ok(Answer::NoSuchJob);
            }
            let page = Page { connection: snapshot, index, start: start_of(*before), limit: *limit, now: *now };
            let mut found = page.folded_of(job.key())?;
            found.extend(page.unfolded(Some(job.key()), None)?);
            Ok(Answer::OfJob(*job, page.make(found)?))
        }
        Query::OfAll { limit, before, filter, now } => {
            if let Some(job) = filter.job
                && public_id(snapshot, job.key())? != Some(job)
            {
                return Ok(Answer::NoSuchJob);
            }
            let start = start_of(*before);
            let page = Page { connection: snapshot, index, start, limit: *limit, now: *now };
            page.filtered(filter).map(Answer::OfAll)
        }
        Query::ToReplay { limit, filter, now } => {
            let page = Page { connection: snapshot, index, start: start_of(None), limit: *limit, now: *now };
            page.not_done_again(filter).map(Answer::ToReplay)
        }
        Query::One { id, now } => {
            if public_id(snapshot, id.job.key())? != Some(id.job) {
                return Ok(Answer::One(None));
            }
            let record = single::one(snapshot, index, &id.key(), *now)?;
            Ok(Answer::One(record.map(|record| Box::new(ExecutionRecord { id: *id, record }))))
        }
        Query::Why { job, at, now } => {
            if public_id(snapshot, job.key())? != Some(*job) {
                return Ok(Answer::NoSuchJob);
            }
            let found = single::at(snapshot, index, job.key(), *at, *now)?;
            let records = found.into_iter().map(|(key, record)| ExecutionRecord { id: key.of(*job), record });
            Ok(Answer::Why(*job, *at, records.collect()))
        }
        Query::Tokens { known } => {
            let version = tokens::version(snapshot)?;
            let all = (version != *known).then(|| tokens::read_all(snapshot)).transpose()?;
            Ok(Answer::Tokens(all.map(|all| (version, all))))
        }
        Query::Audit(query) => audit::page(snapshot, query).map(Answer::Audit),
        Query::InTheWay(obstacle) => found::in_the_way(snapshot, obstacle).map(Answer::InTheWay),
        Query::Jobs(search) => found::jobs(snapshot, search).map(Answer::Jobs),
        Query::Views { asked, now } => {
            // Who has a file has all its jobs in memory, and asks for none of them: it is no loss that this walks the ledger.
            let uncounted = |_: Option<&[JobKey]>| unfolded_totals(snapshot);
            Views { sql: snapshot, zones, uncounted: &uncounted, now: *now }.find(asked).map(Answer::Views)
        }
        // Whoever has a file has all its jobs in memory.
        Query::Placing { .. } => Ok(Answer::Placing(Box::default())),
        Query::Key { key, now } => keys::find(snapshot, key, *now).map(Answer::Key),
        Query::Series { job, from, to, step_s } => {
            if let Some(job) = job
                && public_id(snapshot, job.key())? != Some(*job)
            {
                return Ok(Answer::NoSuchJob);
            }
            let found = series::series(snapshot, (index, settled), job.map(|job| job.key()), (*from, *to), *step_s)?;
            Ok(Answer::Series(*job, found))
        }
        Query::Strips { jobs, limit, now } => {
            strips::strips(snapshot, (index, settled), jobs, *limit, *now).map(Answer::Strips)
        }
        Query::Incidents(query) => incidents::page(snapshot, query).map(Answer::Incidents),
        Query::Incident(id) => {
            let Some(incident) = incidents::one(snapshot, *id)? else { return Ok(Answer::Incident(None)) };
            Ok(Answer::Incident(Some(Box::new((incident, deliveries::of_incident(snapshot, *id)?)))))
        }
        Query::Alerts { limit, before } => alerts::page(snapshot, *limit, *before).map(Answer::Alerts),
    }
}

/// Where a page starts: everything is older.
pub(super) fn start_of(before: Option<ExecutionKey>) -> ExecutionKey {
    let (instant, job) = (Instant::from_secs(i64::MAX), JobKey(u64::MAX));
    // Later than all there is: no kind has a higher code.
    before.unwrap_or(ExecutionKey { instant, job, kind: Kind::Backfill, number: u32::MAX })
}

/// Where a page starts that has nothing behind a second.
fn start_behind(to: Option<Instant>) -> ExecutionKey {
    let end = start_of(None);
    to.map_or(end, |instant| ExecutionKey { instant, ..end })
}

/// One page in the making.
pub(super) struct Page<'a> {
    pub(super) connection: &'a Connection,
    pub(super) index: &'a Index,
    pub(super) start: ExecutionKey,
    pub(super) limit: usize,
    pub(super) now: WallUs,
}

impl Page<'_> {
    /// The page of those that a filter lets through.
    fn filtered(&self, filter: &Filter) -> rusqlite::Result<ExecutionPage> {
        let start = self.start.min(start_behind(filter.to));
        let page = Page { start, ..*self };
        let mut found = page.unfolded_with(filter)?;
        let reached = if filter.is_none() {
            found.extend(page.folded()?);
            None
        } else {
            let (folded, reached) = page.folded_with(filter)?;
            found.extend(folded);
            reached
        };
        if let Some(reached) = reached {
            // What is older than the walk got belongs on the next page, from wherever it comes.
            found.retain(|(key, _)| *key >= reached);
        }
        let mut made = page.make(found)?;
        made.next = made.next.or(reached);
        Ok(made)
    }

    /// Those that a filter lets through and that may be done again, newest first. What was done again already is left
    /// out: of it, what its replay came to counts.
    fn not_done_again(mut self, filter: &Filter) -> rusqlite::Result<Vec<ExecutionRecord>> {
        let mut all: Vec<ExecutionRecord> = Vec::new();
        let mut again: HashMap<(JobKey, Instant), HashSet<ExecutionKey>> = HashMap::new();
        // A page may be short because its time was up.
        loop {
            let found = self.filtered(filter)?;
            for found in found.executions {
                let at = (found.id.job.key(), found.id.instant);
                let origins = match again.entry(at) {
                    hash_map::Entry::Occupied(known) => known.into_mut(),
                    hash_map::Entry::Vacant(unknown) => {
                        unknown.insert(single::origins(self.connection, self.index, at.0, at.1, self.now)?)
                    }
                };
                if found.record.status != Status::Pending && !origins.contains(&found.id.key()) {
                    all.push(found);
                }
            }
            match found.next {
                Some(next) if all.len() < self.limit => self.start = next,
                Some(_) | None => break,
            }
        }
        all.truncate(self.limit);
        Ok(all)
    }

    /// One more than the page holds, to know whether there is more.
    fn most(&self) -> i64 {
        integer(self.limit as u64 + 1)
    }

    /// The first four parameters of every statement.
    fn before(&self) -> (i64, i64, u8, u32) {
        let ExecutionKey { instant, job, kind, number } = self.start;
        (instant.as_secs(), integer(job.0), kind.code(), number)
    }

    fn find(&self, sql: &str, parameters: impl Params) -> rusqlite::Result<Vec<Found>> {
        self.connection.prepare_cached(sql)?.query_map(parameters, rows::read_execution)?.collect()
    }

    /// Folded rows of one job.
    fn folded_of(&self, owner: JobKey) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE job_id = ?6 AND {BEFORE} {NEWEST_FIRST}", rows::SELECT_FOLDED);
        let (time, job, kind, number) = self.before();
        self.find(&sql, params![time, job, kind, number, self.most(), integer(owner.0)])
    }

    /// Folded rows of all jobs.
    fn folded(&self) -> rusqlite::Result<Vec<Found>> {
        let sql = format!("{} WHERE {BEFORE} {NEWEST_FIRST}", rows::SELECT_FOLDED);
        let (time, job, kind, number) = self.before();
        self.find(&sql, params![time, job, kind, number, self.most()])
    }

    /// Folded rows that a filter lets through, found by a walk that ends when it took too long: then with the last key it
    /// saw.
    fn folded_with(&self, filter: &Filter) -> rusqlite::Result<(Vec<Found>, Option<ExecutionKey>)> {
        let walked = match filter.status {
            // No row is folded before it is finished.
            Some(Status::Pending) => return Ok((Vec::new(), None)),
            None | Some(Status::Success) => "1",
            // What lets SQLite use the index of rows that did not succeed.
            Some(Status::Failed | Status::Skipped) if filter.job.is_none() => "status <> 0",
            Some(Status::Failed | Status::Skipped) => "1",
        };
        let owner = if filter.job.is_some() { "job_id = ?7" } else { "?7 IS NULL" };
        let until = std::time::Instant::now() + READ_TIME_MAX / 2;
        let sql = format!(
            "{} WHERE {walked} AND {owner} AND scheduled_time >= ?6 AND {BEFORE} {NEWEST_FIRST}",
            rows::SELECT_FOLDED
        );
        let (time, job, kind, number) = self.before();
        let from = filter.from.map_or(i64::MIN, Instant::as_secs);
        let owner = filter.job.map(|job| integer(job.key().0));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut walk = statement.query(params![time, job, kind, number, -1, from, owner])?;
        let mut found = Vec::new();
        while let Some(row) = walk.next()? {
            let (key, record) = rows::read_execution(row)?;
            let late = std::time::Instant::now() > until;
            if filter.lets_through(&key, &record) {
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

    /// The newest unfolded rows that a filter lets through.
    fn unfolded_with(&self, filter: &Filter) -> rusqlite::Result<Vec<Found>> {
        let mut all = Vec::new();
        let mut page = Page { limit: self.limit, ..*self };
        loop {
            let found = page.unfolded(filter.job.map(|job| job.key()), filter.status)?;
            let is_full = found.len() > page.limit;
            let last = found.iter().map(|(key, _)| *key).min();
            all.extend(found.into_iter().filter(|(key, record)| filter.lets_through(key, record)));
            match last {
                Some(last) if is_full && all.len() <= self.limit && filter.may_reach(&last) => page.start = last,
                Some(_) | None => return Ok(all),
            }
        }
    }

    /// The newest unfolded rows, found in the index. It has those of one job and instant by their numbers, a page by their kinds:
    /// where it ends among them, all of them are looked at.
    pub(super) fn unfolded(&self, job: Option<JobKey>, status: Option<Status>) -> rusqlite::Result<Vec<Found>> {
        let wanted = Wanted { job, status, now: self.now };
        let most = self.limit + 2;
        let mut below = Entry::behind(&self.start);
        let (mut found, mut last_found) = (Vec::new(), None::<Entry>);
        loop {
            let listed = self.index.newest(wanted, below, most);
            for &entry in &listed {
                if found.len() > self.limit && last_found.is_some_and(|last| !last.is_beside(&entry)) {
                    return Ok(found);
                }
                // The index may be ahead of what this page sees.
                let row = self.unfolded_row(entry.seq)?;
                let row = row.filter(|(_, record)| status.is_none_or(|status| record.status == status));
                if let Some(row) = row {
                    found.push(row);
                    last_found = Some(entry);
                }
            }
            match listed.last() {
                Some(&last) if listed.len() == most => below = last,
                Some(_) | None => break,
            }
        }
        Ok(found)
    }

    /// The unfolded row with this number, if it is still there and belongs on this page.
    fn unfolded_row(&self, seq: Seq) -> rusqlite::Result<Option<Found>> {
        let (time, job, kind, number) = self.before();
        let parameters = params![time, job, kind, number, integer(seq.0), self.now.0];
        self.connection.prepare_cached(rows::SELECT_UNFOLDED)?.query_row(parameters, rows::read_execution).optional()
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
