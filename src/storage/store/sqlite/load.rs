//! Owns reading the store at start: jobs with their counters, unfinished rows, what is to be told, and the marks above them.
//! It must not judge what it finds: the core does.

use std::collections::HashMap;

use rusqlite::Connection;

use super::index::IndexWriter;
use super::open::WRITER_CACHE_KIB;
use super::secrets::open_all;
use super::{OpenError, Store, rows};
use crate::core::{LedgerRow, Restored, Shards, Status, StoredJob, Totals};
use crate::job::{Compiled, Context, JobKey};
use crate::store::tables::rows::{SELECT_JOBS, read_job};
use crate::store::tables::secrets::Found;
use crate::store::tables::{alerts, calendars, deliveries, incidents, settings, tokens};
use crate::store::{Loaded, sql};
use crate::time::WallUs;

/// Pages kept in memory meanwhile, in KiB.
const LOAD_CACHE_KIB: i64 = 256;

impl Store {
    /// Reads everything the core must know: each job, read with `context` and its own anchor, then each unfinished row.
    /// The ledger's rows are put into the index.
    ///
    /// # Errors
    /// When the file cannot be read, or holds a row that no version writes.
    pub fn load(
        &mut self,
        context: &Context<'_>,
        mut job: impl FnMut(StoredJob),
        mut row: impl FnMut(LedgerRow),
    ) -> Result<Loaded, OpenError> {
        let secrets = open_all(&self.connection, self.path(), self.vault.as_ref())?;
        deliveries::forget_unwritten(&self.connection).map_err(|why| self.damaged(&why))?;
        let index = &mut self.index;
        // Everything is read once: what is kept of it would only fill the writer's cache with what nobody asks for again.
        let cache = |connection: &Connection, kib: i64| connection.pragma_update(None, "cache_size", -kib);
        let loaded = cache(&self.connection, LOAD_CACHE_KIB)
            .and_then(|()| load(&self.connection, &secrets, index, context, &mut job, &mut row))
            .and_then(|loaded| cache(&self.connection, WRITER_CACHE_KIB).map(|()| loaded));
        loaded.map_err(|why| self.damaged(&why))
    }
}

/// The same of any open database.
pub(super) fn load(
    connection: &Connection,
    secrets: &Found,
    index: &mut IndexWriter,
    context: &Context<'_>,
    job: &mut impl FnMut(StoredJob),
    row: &mut impl FnMut(LedgerRow),
) -> rusqlite::Result<Loaded> {
    let mut ledger = read_ledger(connection, index)?;
    let compiled = Compiled::default();
    let context = &Context { compiled: Some(&compiled), ..*context };
    let jobs = read_jobs(connection, context, &ledger.totals, secrets, job)?;
    ledger.unfinished.drain(..).for_each(row);
    let max = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
    let seq = max("SELECT max(v) FROM (SELECT max(seq) v FROM ledger UNION ALL SELECT max(seq) FROM alerts \
                       UNION ALL SELECT value FROM marks WHERE name = 'seq')")?;
    let key = max("SELECT max(v) FROM (SELECT max(id) v FROM jobs UNION ALL SELECT value FROM marks \
                       WHERE name = 'job')")?;
    let newest = [
        ledger.newest,
        max("SELECT max(max(updated_at, ifnull(deleted_at, 0))) FROM jobs")?,
        max("SELECT max(finished_through) * 1000000 FROM job_totals")?,
    ];
    let above = |highest: Option<i64>| highest.unwrap_or(0).unsigned_abs() + 1;
    Ok(Loaded {
        restored: Restored {
            shards: Shards::ALL,
            epochs: Vec::new(),
            next_seq: above(seq),
            next_job: above(key),
            next_incident: above(max("SELECT max(id) FROM incidents")?),
            newest: newest.into_iter().flatten().max().map(WallUs),
        },
        alerts: alerts::undelivered(connection)?,
        calendars: calendars::read_all(connection)?,
        settings: settings::read_all(connection, secrets)?,
        channels: settings::read_health(connection)?,
        incidents: incidents::open(connection)?,
        messages: deliveries::undelivered(connection)?,
        tokens: (tokens::version(connection)?, tokens::read_all(connection)?),
        jobs,
    })
}

#[derive(Default)]
struct Ledger {
    unfinished: Vec<LedgerRow>,
    totals: HashMap<JobKey, Totals>,
    newest: Option<i64>,
}

/// What is finished and not folded yet, as far as it is what each job comes to.
pub(super) fn unfolded_totals(connection: &Connection) -> rusqlite::Result<HashMap<JobKey, Totals>> {
    let mut totals: HashMap<JobKey, Totals> = HashMap::new();
    for row in connection.prepare_cached(rows::SELECT_ALL)?.query_map([], rows::read_ledger)? {
        let row = row?;
        if row.record.status != Status::Pending {
            totals.entry(row.key.job).or_default().add(&row);
        }
    }
    Ok(totals)
}

fn read_ledger(connection: &Connection, index: &mut IndexWriter) -> rusqlite::Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut statement = connection.prepare(rows::SELECT_ALL)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let row = rows::read_ledger(row)?;
        index.load(row.seq, &row.key, row.record.status);
        ledger.newest = ledger.newest.max(row.record.executed.map(|at| at.0));
        if row.record.status == Status::Pending {
            ledger.unfinished.push(row);
        } else {
            ledger.totals.entry(row.key.job).or_default().add(&row);
        }
    }
    Ok(ledger)
}

fn read_jobs(
    connection: &Connection,
    context: &Context<'_>,
    recent: &HashMap<JobKey, Totals>,
    secrets: &Found,
    sink: &mut impl FnMut(StoredJob),
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare(SELECT_JOBS)?;
    let mut found = statement.query([])?;
    let mut jobs = 0;
    while let Some(row) = found.next()? {
        let StoredJob { revision, mut totals } = read_job(&sql::Row(row), context, Some(secrets))?;
        if let Some(recent) = recent.get(&revision.id.key()) {
            totals.merge(recent);
        }
        sink(StoredJob { revision, totals });
        jobs += 1;
    }
    Ok(jobs)
}
