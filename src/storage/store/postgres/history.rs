//! Owns the reads of history: pages over the ledger and all partitions as if they were one table.
//! It must not count or walk what a page does not show.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Instant as Clock;

use super::counts::{self, HISTORY_COLUMNS, Whose};
use super::partitions::{self, Partition};
use super::session::Session;
use super::{placing, series, single, strips};
use crate::core::{ExecutionKey, Kind, Record, Status};
use crate::job::{JobId, JobKey};
use crate::limits::READ_TIME_MAX;
use crate::postgres::Error;
use crate::schedule::Zones;
use crate::store::sql::{Row, Sql, Value, integer, values};
use crate::store::tables::rows::{public_id, read_execution};
use crate::store::tables::views::Views;
use crate::store::tables::{alerts, audit, deliveries, found, incidents, keys, tokens};
use crate::store::{Answer, ExecutionPage, ExecutionRecord, Filter, Query};
use crate::time::{Instant, WallUs};

/// Older than the start of a page.
const BEFORE: &str = "e.scheduled_time <= ?1 AND (e.scheduled_time, e.job_id, e.kind, e.number) < (?1, ?2, ?3, ?4)";
const NEWEST_FIRST: &str = "ORDER BY e.scheduled_time DESC, e.job_id DESC, e.kind DESC, e.number DESC LIMIT ?5";
/// The columns that `rows::read_execution` reads, of the ledger under the name `e`.
pub(super) const LEDGER_COLUMNS: &str = "e.scheduled_time, e.job_id, e.kind, e.number, e.executed_time, e.status, e.class, \
     e.attempt, e.recoveries, e.http_status, e.duration, e.error_message, e.covers_from, e.covers_count, e.covers_more, \
     e.details";

/// An execution, finished or not.
pub(super) type Execution = (ExecutionKey, Record);

/// Answers a query from one consistent state of the store: within a transaction that reads.
pub(super) fn answer(session: &Session<'_>, zones: Option<&Zones>, query: &Query) -> Result<Answer, Error> {
    let is_known = |job: JobId| Ok::<_, Error>(public_id(session, job.key())? == Some(job));
    match query {
        Query::OfJob { job, limit, before, now } => {
            if !is_known(*job)? {
                return Ok(Answer::NoSuchJob);
            }
            let filter = Filter { job: Some(*job), ..Filter::default() };
            let page = Page { session, start: start_of(*before), limit: *limit, now: *now };
            Ok(Answer::OfJob(*job, page.filtered(&filter)?))
        }
        Query::OfAll { limit, before, filter, now } => {
            if let Some(job) = filter.job
                && !is_known(job)?
            {
                return Ok(Answer::NoSuchJob);
            }
            let page = Page { session, start: start_of(*before), limit: *limit, now: *now };
            page.filtered(filter).map(Answer::OfAll)
        }
        Query::ToReplay { limit, filter, now } => {
            let page = Page { session, start: start_of(None), limit: *limit, now: *now };
            page.not_done_again(filter).map(Answer::ToReplay)
        }
        Query::One { id, now } => {
            if !is_known(id.job)? {
                return Ok(Answer::One(None));
            }
            let record = single::one(session, &id.key(), *now)?;
            Ok(Answer::One(record.map(|record| Box::new(ExecutionRecord { id: *id, record }))))
        }
        Query::Why { job, at, now } => {
            if !is_known(*job)? {
                return Ok(Answer::NoSuchJob);
            }
            let found = single::at(session, job.key(), *at, *now)?.into_iter();
            let records = found.map(|(key, record)| ExecutionRecord { id: key.of(*job), record }).collect();
            Ok(Answer::Why(*job, *at, records))
        }
        Query::Tokens { known } => {
            let version = tokens::version(session)?;
            let all = (version != *known).then(|| tokens::read_all(session)).transpose()?;
            Ok(Answer::Tokens(all.map(|all| (version, all))))
        }
        Query::Audit(query) => audit::page(session, query).map(Answer::Audit),
        Query::InTheWay(obstacle) => found::in_the_way(session, obstacle).map(Answer::InTheWay),
        Query::Jobs(search) => found::jobs(session, search).map(Answer::Jobs),
        Query::Views { asked, now } => {
            let uncounted =
                |jobs: Option<&[JobKey]>| counts::uncounted_totals(session, jobs.map_or(Whose::All, Whose::Of));
            Views { sql: session, zones, uncounted: &uncounted, now: *now }.find(asked).map(Answer::Views)
        }
        Query::Placing { names, ids } => placing::find(session, names, ids).map(Box::new).map(Answer::Placing),
        Query::Key { key, now } => keys::find(session, key, *now).map(Answer::Key),
        Query::Series { job, from, to, step_s } => {
            if let Some(job) = job
                && !is_known(*job)?
            {
                return Ok(Answer::NoSuchJob);
            }
            let found = series::series(session, job.map(|job| job.key()), (*from, *to), *step_s)?;
            Ok(Answer::Series(*job, found))
        }
        Query::Strips { jobs, limit, now } => strips::strips(session, jobs, *limit, *now).map(Answer::Strips),
        Query::Incidents(query) => incidents::page(session, query).map(Answer::Incidents),
        Query::Incident(id) => {
            let Some(incident) = incidents::one(session, *id)? else { return Ok(Answer::Incident(None)) };
            Ok(Answer::Incident(Some(Box::new((incident, deliveries::of_incident(session, *id)?)))))
        }
        Query::Alerts { limit, before } => alerts::page(session, *limit, *before).map(Answer::Alerts),
    }
}

/// Where a page starts: everything is older.
fn start_of(before: Option<ExecutionKey>) -> ExecutionKey {
    // Later than all there is, and a number that a database has: no kind has a higher code.
    let (instant, job) = (Instant::LAST, JobKey(u64::MAX));
    before.unwrap_or(ExecutionKey { instant, job, kind: Kind::Backfill, number: u32::MAX })
}

/// One page in the making.
struct Page<'a, 'c> {
    session: &'a Session<'c>,
    start: ExecutionKey,
    limit: usize,
    now: WallUs,
}

impl Page<'_, '_> {
    /// The page of those that a filter lets through.
    fn filtered(&self, filter: &Filter) -> Result<ExecutionPage, Error> {
        let until = Clock::now() + READ_TIME_MAX / 2;
        let end = start_of(None);
        let start = self.start.min(filter.to.map_or(end, |instant| ExecutionKey { instant, ..end }));
        let page = Page { start, ..*self };
        let mut found = page.unfinished(filter)?;
        let reached = match filter.status {
            Some(Status::Pending) => None,
            Some(Status::Success | Status::Failed | Status::Skipped) | None => {
                page.finished(filter, &mut found, until)?
            }
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
    fn not_done_again(mut self, filter: &Filter) -> Result<Vec<ExecutionRecord>, Error> {
        let mut all: Vec<ExecutionRecord> = Vec::new();
        let mut again: HashMap<(JobKey, Instant), HashSet<ExecutionKey>> = HashMap::new();
        // A page may be short because its time was up.
        loop {
            let page = self.filtered(filter)?;
            for found in page.executions {
                let at = (found.id.job.key(), found.id.instant);
                let origins = match again.entry(at) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => unknown.insert(single::origins(self.session, at.0, at.1, self.now)?),
                };
                if found.record.status != Status::Pending && !origins.contains(&found.id.key()) {
                    all.push(found);
                }
            }
            match page.next {
                Some(next) if all.len() < self.limit => self.start = next,
                Some(_) | None => break,
            }
        }
        all.truncate(self.limit);
        Ok(all)
    }

    /// The first five values of every statement: one more than the page holds, to know whether there is more.
    fn before(&self) -> Vec<Value<'static>> {
        let ExecutionKey { instant, job, kind, number } = self.start;
        values![instant.as_secs(), job.0, kind.code(), number, self.limit as u64 + 1].to_vec()
    }

    fn find(&self, text: &str, values: &[Value<'_>]) -> Result<Vec<Execution>, Error> {
        self.session.all(text, values, read_execution)
    }

    /// What a filter asks for beside the order, with its values.
    fn conditions(filter: &Filter, values: &mut Vec<Value<'static>>) -> String {
        let Filter { status, job, kind, from, to: _ } = filter;
        let mut conditions = String::new();
        let mut only = |condition: &str, value: Option<Value<'static>>| {
            if let Some(value) = value {
                values.push(value);
                conditions.push_str(&format!(" AND {condition} ?{}", values.len()));
            }
        };
        only("e.job_id =", job.map(|job| job.key().0.into()));
        only("e.kind =", kind.map(|kind| kind.code().into()));
        only("e.scheduled_time >=", from.map(|from| from.as_secs().into()));
        // What lets the index of rows that did not succeed be used.
        if let Some(Status::Failed | Status::Skipped) = status {
            conditions.push_str(" AND e.status <> 0");
        }
        if let Some(status @ (Status::Success | Status::Failed | Status::Skipped)) = status {
            conditions.push_str(&format!(" AND e.status = {}", status.code()));
        }
        conditions
    }

    /// The newest unfinished executions that a filter lets through. Armed ones that lie ahead are nobody's history yet.
    fn unfinished(&self, filter: &Filter) -> Result<Vec<Execution>, Error> {
        if filter.status.is_some_and(|status| status != Status::Pending) {
            return Ok(Vec::new());
        }
        let mut values = self.before();
        let conditions = Page::conditions(&Filter { status: None, ..*filter }, &mut values);
        values.push(self.now.0.into());
        let find = format!(
            "SELECT {LEDGER_COLUMNS} FROM ledger e WHERE {BEFORE}{conditions} AND e.scheduled_time * 1000000 <= ?{} \
             {NEWEST_FIRST}",
            values.len()
        );
        self.find(&find, &values)
    }

    /// Adds the newest finished executions that a filter lets through. Where it ended, if that was because it took too long.
    fn finished(
        &self,
        filter: &Filter,
        found: &mut Vec<Execution>,
        until: Clock,
    ) -> Result<Option<ExecutionKey>, Error> {
        let partitions = partitions::all(self.session)?;
        let is_indexed = filter.job.is_some() || matches!(filter.status, Some(Status::Failed | Status::Skipped));
        if is_indexed {
            for partition in &partitions {
                if found.len() > self.limit && self.last_of(found).instant > partition.latest {
                    break;
                }
                let mut values = self.before();
                let conditions = Page::conditions(filter, &mut values);
                let find = select(partition, &format!("{BEFORE}{conditions} {NEWEST_FIRST}"));
                found.extend(self.find(&find, &values)?);
            }
            return Ok(None);
        }
        self.by_windows(filter, &partitions, found, until)
    }

    /// Where no index has the order: stretches of time, each wider than the one before, until there are enough.
    fn by_windows(
        &self,
        filter: &Filter,
        partitions: &[Partition],
        found: &mut Vec<Execution>,
        until: Clock,
    ) -> Result<Option<ExecutionKey>, Error> {
        let earliest = partitions.iter().map(|partition| partition.earliest).min();
        let latest = partitions.iter().map(|partition| partition.latest).max();
        let (Some(earliest), Some(latest)) = (earliest, latest) else { return Ok(None) };
        let earliest = filter.from.map_or(earliest, |from| from.max(earliest)).as_secs();
        let (mut high, mut width) = (self.start.instant.min(latest).as_secs(), 1);
        while high >= earliest {
            let low = high.saturating_sub(width - 1);
            let in_window =
                |partition: &&Partition| partition.earliest.as_secs() <= high && partition.latest.as_secs() >= low;
            for partition in partitions.iter().filter(in_window) {
                let mut values = self.before();
                let conditions = Page::conditions(filter, &mut values);
                values.extend([Value::from(low), Value::from(high)]);
                let between = format!("e.scheduled_time BETWEEN ?{} AND ?{}", values.len() - 1, values.len());
                let find = select(partition, &format!("{BEFORE}{conditions} AND {between} {NEWEST_FIRST}"));
                found.extend(self.find(&find, &values)?);
            }
            if found.iter().filter(|(key, _)| key.instant.as_secs() >= low).count() > self.limit {
                return Ok(None);
            }
            if Clock::now() > until {
                let instant = Instant::from_secs(low);
                return Ok(Some(ExecutionKey { instant, job: JobKey(0), kind: Kind::Scheduled, number: 0 }));
            }
            (high, width) = (low - 1, width.saturating_mul(4));
        }
        Ok(None)
    }

    /// The oldest that fits on the page.
    fn last_of(&self, found: &mut [Execution]) -> ExecutionKey {
        found.select_nth_unstable_by_key(self.limit, |(key, _)| Reverse(*key)).1.0
    }

    /// Puts all in order, cuts them to the page, and gives them their public ids.
    fn make(&self, mut found: Vec<Execution>) -> Result<ExecutionPage, Error> {
        found.sort_by_key(|(key, _)| Reverse(*key));
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| more).map(|(key, _)| *key);
        let mut jobs: Vec<i64> = found.iter().map(|(key, _)| integer(key.job.0)).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let known = self.session.query("SELECT id, public_id FROM jobs WHERE id = ANY ($1)", &[&jobs])?;
        let mut ids: HashMap<JobKey, JobId> = HashMap::new();
        for row in known.rows.iter() {
            let row = Row(&row);
            ids.insert(JobKey(row.get(0)?), JobId::from_bytes(row.get(1)?));
        }
        // Tombstones outlive their history, so every row has its job.
        let executions = found
            .into_iter()
            .filter_map(|(key, record)| ids.get(&key.job).map(|id| ExecutionRecord { id: key.of(*id), record }));
        Ok(ExecutionPage { executions: executions.collect(), next })
    }
}

/// Executions of a partition.
pub(super) fn select(partition: &Partition, condition: &str) -> String {
    format!("SELECT {HISTORY_COLUMNS} FROM executions_{} e WHERE {condition}", partition.number)
}
