//! Owns reading the store at start: jobs with their counters, unfinished rows, and the marks above them.
//! It must not judge what it finds: the core does.

use std::collections::HashMap;

use rusqlite::Connection;

use super::alerts::{self, PendingAlert};
use super::{OpenError, Store, rows};
use crate::core::{Counters, LastOutcome, LedgerRow, Restored, Status, StoredJob, Tally, Totals};
use crate::time::{Instant, WallUs};

/// What the store held beside jobs and rows.
#[derive(Debug)]
pub struct Loaded {
    /// For the core.
    pub restored: Restored,
    /// Alerts that were not delivered, oldest first.
    pub alerts: Vec<PendingAlert>,
    /// How many jobs there are.
    pub jobs: usize,
    /// Finished rows of the ledger that are to be folded.
    pub(super) finished: Vec<(u64, u64)>,
}

/// Reads everything the core must know: each job, then each unfinished row.
///
/// # Errors
/// When the file cannot be read, or holds a row that no version writes.
pub fn load(
    store: &Store,
    mut job: impl FnMut(StoredJob),
    mut row: impl FnMut(LedgerRow),
) -> Result<Loaded, OpenError> {
    let connection = &store.connection;
    let mut go = || -> rusqlite::Result<Loaded> {
        let mut ledger = read_ledger(connection)?;
        let jobs = read_jobs(connection, &ledger.totals, &mut job)?;
        ledger.unfinished.drain(..).for_each(&mut row);
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
                next_seq: above(seq),
                next_job: above(key),
                newest: newest.into_iter().flatten().max().map(WallUs),
            },
            alerts: alerts::undelivered(connection)?,
            jobs,
            finished: std::mem::take(&mut ledger.finished),
        })
    };
    go().map_err(|why| OpenError::Database(store.path().to_owned(), why))
}

#[derive(Default)]
struct Ledger {
    unfinished: Vec<LedgerRow>,
    finished: Vec<(u64, u64)>,
    totals: HashMap<u64, Totals>,
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
            ledger.finished.push((row.key.job.0, row.seq.0));
            ledger.totals.entry(row.key.job.0).or_default().add(&row);
        }
    }
    Ok(ledger)
}

fn read_jobs(
    connection: &Connection,
    totals: &HashMap<u64, Totals>,
    sink: &mut impl FnMut(StoredJob),
) -> rusqlite::Result<usize> {
    let sql = format!(
        "SELECT {}, id, finished_through, success, failed, skipped, duration, timed, last_scheduled_time, last_status, \
         last_http_status FROM jobs LEFT JOIN job_totals ON job_id = id WHERE deleted_at IS NULL ORDER BY id",
        rows::JOB_COLUMNS
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut jobs = 0;
    while let Some(row) = found.next()? {
        let key = rows::unsigned(row, rows::JOB_COLUMNS_LEN)?;
        let mut stored = read_totals(row, rows::JOB_COLUMNS_LEN + 1)?;
        if let Some(recent) = totals.get(&key) {
            stored.merge(recent);
        }
        sink(StoredJob { revision: rows::read_job(row)?, totals: stored });
        jobs += 1;
    }
    Ok(jobs)
}

/// The columns of `job_totals` from `first` on; all NULL if the job has none.
pub(super) fn read_totals(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Totals> {
    if row.get::<_, Option<i64>>(first + 1)?.is_none() {
        return Ok(Totals::default());
    }
    let counters = Counters {
        success: rows::unsigned(row, first + 1)?,
        failed: rows::unsigned(row, first + 2)?,
        skipped: rows::unsigned(row, first + 3)?,
        duration_us: rows::unsigned(row, first + 4)?,
        timed: rows::unsigned(row, first + 5)?,
    };
    let last = LastOutcome {
        instant: Instant::from_secs(row.get(first + 6)?),
        status: rows::code(row, first + 7, Status::from_code)?,
        http_status: row.get(first + 8)?,
    };
    Ok(Totals {
        finished_through: row.get::<_, Option<i64>>(first)?.map(Instant::from_secs),
        tally: Tally { counters, last: Some(last) },
    })
}
