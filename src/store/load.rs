//! Owns reading the store at start: jobs with their counters, unfinished rows, and the marks above them.
//! It must not judge what it finds: the core does.

use std::collections::HashMap;

use rusqlite::Connection;

use super::alerts::{self, PendingAlert};
use super::{OpenError, Store, rows};
use crate::core::{
    Counters, Delivery, Endpoint, JobSpec, Kind, LastOutcome, LedgerRow, Misfire, Restored, Status, StoredJob,
};
use crate::schedule::{Schedule, Zone};
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
        let jobs = read_jobs(connection, &ledger.tallies, &mut job)?;
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

/// What the ledger adds to the totals of one job, or what one row adds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) counters: Counters,
    pub(super) finished_through: Option<Instant>,
    pub(super) last: Option<LastOutcome>,
}

impl Tally {
    /// Counts a finished row.
    pub(super) fn add(&mut self, row: &LedgerRow) {
        let counters = &mut self.counters;
        match row.status {
            Status::Success => counters.success += 1,
            Status::Failed => counters.failed += 1,
            Status::Skipped => counters.skipped += 1,
            Status::Pending => return,
        }
        if let (Status::Success | Status::Failed, Some(duration_us)) = (row.status, row.duration_us) {
            counters.duration_us += duration_us;
            counters.timed += 1;
        }
        if row.kind == Kind::Scheduled {
            self.finished_through = self.finished_through.max(Some(row.instant));
        }
        if self.last.is_none_or(|last| last.instant <= row.instant) {
            self.last = Some(LastOutcome { instant: row.instant, status: row.status, http_status: row.http_status });
        }
    }
}

#[derive(Default)]
struct Ledger {
    unfinished: Vec<LedgerRow>,
    finished: Vec<(u64, u64)>,
    tallies: HashMap<u64, Tally>,
    newest: Option<i64>,
}

fn read_ledger(connection: &Connection) -> rusqlite::Result<Ledger> {
    let mut ledger = Ledger::default();
    let sql = format!("SELECT {} FROM ledger ORDER BY seq", rows::LEDGER_COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let row = rows::read_ledger(row)?;
        ledger.newest = ledger.newest.max(row.executed.map(|at| at.0));
        if row.status == Status::Pending {
            ledger.unfinished.push(row);
        } else {
            ledger.finished.push((row.job.0, row.seq.0));
            ledger.tallies.entry(row.job.0).or_default().add(&row);
        }
    }
    Ok(ledger)
}

fn read_jobs(
    connection: &Connection,
    tallies: &HashMap<u64, Tally>,
    sink: &mut impl FnMut(StoredJob),
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare(
        "SELECT id, public_id, revision, schedule, time_zone, anchor, api, type, misfire, active, created_at, \
         updated_at, finished_through, success, failed, skipped, duration, timed, last_scheduled_time, last_status, \
         last_http_status FROM jobs LEFT JOIN job_totals ON job_id = id WHERE deleted_at IS NULL ORDER BY id",
    )?;
    let mut found = statement.query([])?;
    let mut jobs = 0;
    while let Some(row) = found.next()? {
        let key = rows::unsigned(row, 0)?;
        let mut tally = read_totals(row, 12)?;
        if let Some(recent) = tallies.get(&key) {
            tally.merge(recent);
        }
        sink(StoredJob {
            spec: read_spec(row)?,
            counters: tally.counters,
            finished_through: tally.finished_through,
            last: tally.last,
        });
        jobs += 1;
    }
    Ok(jobs)
}

fn read_spec(row: &rusqlite::Row<'_>) -> rusqlite::Result<JobSpec> {
    let text = |index: usize| row.get_ref(index)?.as_str().map_err(|why| rows::bad(index, &why.to_string()));
    let anchor = Instant::from_secs(row.get(5)?);
    let zone = Zone::parse(text(4)?).map_err(|why| rows::bad(4, &why.to_string()))?;
    let schedule = Schedule::parse(text(3)?, zone, anchor).map_err(|why| rows::bad(3, &why.to_string()))?;
    let misfire = match row.get_ref(8)?.as_str_or_null().map_err(|why| rows::bad(8, &why.to_string()))? {
        None => None,
        Some(name) => Some(Misfire::from_name(name).ok_or_else(|| rows::bad(8, "unknown misfire policy"))?),
    };
    Ok(JobSpec {
        id: rows::job_id(row, 1)?,
        revision: row.get(2)?,
        schedule: schedule.into(),
        anchor,
        endpoint: Endpoint::parse(text(6)?).map_err(|why| rows::bad(6, &why.to_string()))?,
        delivery: Delivery::from_name(text(7)?).ok_or_else(|| rows::bad(7, "unknown type"))?,
        misfire,
        active: row.get(9)?,
        created_at: WallUs(row.get(10)?),
        updated_at: WallUs(row.get(11)?),
    })
}

/// The columns of `job_totals` from `first` on; all NULL if the job has none.
pub(super) fn read_totals(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Tally> {
    if row.get::<_, Option<i64>>(first + 1)?.is_none() {
        return Ok(Tally::default());
    }
    Ok(Tally {
        finished_through: row.get::<_, Option<i64>>(first)?.map(Instant::from_secs),
        counters: Counters {
            success: rows::unsigned(row, first + 1)?,
            failed: rows::unsigned(row, first + 2)?,
            skipped: rows::unsigned(row, first + 3)?,
            duration_us: rows::unsigned(row, first + 4)?,
            timed: rows::unsigned(row, first + 5)?,
        },
        last: Some(LastOutcome {
            instant: Instant::from_secs(row.get(first + 6)?),
            status: rows::code(row, first + 7, Status::from_code)?,
            http_status: row.get(first + 8)?,
        }),
    })
}

impl Tally {
    /// Adds what came after this.
    pub(super) fn merge(&mut self, recent: &Tally) {
        let (all, more) = (&mut self.counters, &recent.counters);
        all.success += more.success;
        all.failed += more.failed;
        all.skipped += more.skipped;
        all.duration_us += more.duration_us;
        all.timed += more.timed;
        self.finished_through = self.finished_through.max(recent.finished_through);
        if recent.last.is_some_and(|new| self.last.is_none_or(|old| old.instant <= new.instant)) {
            self.last = recent.last;
        }
    }
}
