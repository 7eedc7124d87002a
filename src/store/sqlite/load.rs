//! Owns reading the store at start: jobs with their counters, unfinished rows, and the marks above them.
//! It must not judge what it finds: the core does.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{OpenError, Store, alerts, rows};
use crate::core::{LedgerRow, Restored, Seq, Status, StoredJob, Totals};
use crate::job::JobKey;
use crate::store::Loaded;
use crate::time::WallUs;

impl Store {
    /// Reads everything the core must know: each job, then each unfinished row. What is to be folded is left to the
    /// writer.
    ///
    /// # Errors
    /// When the file cannot be read, or holds a row that no version writes.
    pub fn load(
        &mut self,
        mut job: impl FnMut(StoredJob),
        mut row: impl FnMut(LedgerRow),
    ) -> Result<Loaded, OpenError> {
        let (loaded, unfolded) = load(&self.connection, &mut job, &mut row).map_err(|why| self.damaged(&why))?;
        self.unfolded = unfolded;
        Ok(loaded)
    }
}

type Unfolded = Vec<(JobKey, Seq)>;

fn load(
    connection: &Connection,
    job: &mut impl FnMut(StoredJob),
    row: &mut impl FnMut(LedgerRow),
) -> rusqlite::Result<(Loaded, Unfolded)> {
    let mut ledger = read_ledger(connection)?;
    let jobs = read_jobs(connection, &ledger.totals, job)?;
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
    let loaded = Loaded {
        restored: Restored {
            next_seq: above(seq),
            next_job: above(key),
            newest: newest.into_iter().flatten().max().map(WallUs),
        },
        alerts: alerts::undelivered(connection)?,
        jobs,
    };
    Ok((loaded, ledger.unfolded))
}

#[derive(Default)]
struct Ledger {
    unfinished: Vec<LedgerRow>,
    unfolded: Unfolded,
    totals: HashMap<JobKey, Totals>,
    newest: Option<i64>,
}

fn read_ledger(connection: &Connection) -> rusqlite::Result<Ledger> {
    let mut ledger = Ledger::default();
    let mut statement = connection.prepare(rows::SELECT_ALL)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let row = rows::read_ledger(row)?;
        ledger.newest = ledger.newest.max(row.record.executed.map(|at| at.0));
        if row.record.status == Status::Pending {
            ledger.unfinished.push(row);
        } else {
            ledger.unfolded.push((row.key.job, row.seq));
            ledger.totals.entry(row.key.job).or_default().add(&row);
        }
    }
    Ok(ledger)
}

fn read_jobs(
    connection: &Connection,
    recent: &HashMap<JobKey, Totals>,
    sink: &mut impl FnMut(StoredJob),
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare(rows::SELECT_JOBS)?;
    let mut found = statement.query([])?;
    let mut jobs = 0;
    while let Some(row) = found.next()? {
        let (revision, mut totals) = rows::read_job(row)?;
        if let Some(recent) = recent.get(&revision.id.key()) {
            totals.merge(recent);
        }
        sink(StoredJob { revision, totals });
        jobs += 1;
    }
    Ok(jobs)
}
