//! Owns what finished executions add up to: kept in memory for a while, then added to totals and series, each exactly once.
//! It must not lose what a node had not added when it ended: history says which batches those are.

use std::collections::{BTreeMap, HashMap};

use super::partitions;
use super::session::Session;
use crate::core::{ExecutionKey, LedgerRow, Record, Seq, Shards, Totals};
use crate::job::JobKey;
use crate::postgres::{Error, Param};
use crate::store::rollup::{Rollup, Room};
use crate::store::sql::{Bad, Row, Sql, bad, integer, values};
use crate::store::steps::Edge;
use crate::store::tables::rows;
use crate::time::{Instant, WallUs};

/// In the place of a job: the sum over all of them. No job has this key.
pub(super) const ALL: JobKey = JobKey(0);
/// How far apart the clocks of two nodes may be for their batches to be found, in microseconds.
const SKEW_US: i64 = 120 * 1_000_000;
/// With the number of a node, what is locked by who counts for it.
const LOCK: i64 = 0x636f_756e_7400_0000;
/// What is locked by who adds to totals or series.
const ADDING: i64 = 0x6164_6469_6e67_0000;
/// The mark that says where the edge is between hours and days.
const EDGE: &str = "series_days_before";

/// What is counted, and not added yet.
#[derive(Debug, Default)]
pub(super) struct Recent {
    totals: BTreeMap<JobKey, Totals>,
    /// By instant: the edge between hours and days may move.
    rollups: BTreeMap<(Instant, JobKey), Rollup>,
    /// How many of them are in which partition.
    partitions: BTreeMap<i64, i64>,
    pub(super) rows: u64,
}

impl Recent {
    /// What was counted before, and behind it what was counted later.
    pub(super) fn after(before: Option<Recent>, later: Recent) -> Recent {
        let Some(mut all) = before else { return later };
        for (job, totals) in &later.totals {
            all.totals.entry(*job).or_default().merge(totals);
        }
        for (place, rollup) in &later.rollups {
            all.rollups.entry(*place).or_default().merge(rollup);
        }
        for (partition, rows) in &later.partitions {
            *all.partitions.entry(*partition).or_default() += rows;
        }
        all.rows += later.rows;
        all
    }

    /// Counts an execution that is history now, in this partition.
    pub(super) fn add_to(&mut self, partition: i64, row: &LedgerRow) {
        *self.partitions.entry(partition).or_default() += 1;
        self.add(row);
    }

    /// Counts an execution that is history now.
    pub(super) fn add(&mut self, row: &LedgerRow) {
        let hour = Edge::NONE.stretch_of(row.key.instant);
        self.totals.entry(row.key.job).or_default().add(row);
        for owner in [ALL, row.key.job] {
            self.rollups.entry((hour, owner)).or_default().add(&row.key, &row.record);
        }
        self.rows += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds it all, as a transaction that says so of this node: through this batch. It does nothing if that was done, by a
    /// try whose answer was lost or by who took the node for dead.
    pub(super) fn flush(&self, session: &Session<'_>, node: i64, batch: i64, now: WallUs) -> Result<(), Error> {
        session.run("BEGIN", &[])?;
        lock(session, node)?;
        let is_open = "SELECT 1::int8 FROM nodes WHERE id = ?1 AND counted < ?2";
        if session.first(is_open, values![node, batch], |row| row.get::<i64>(0))?.is_none() {
            return session.end();
        }
        self.write(session)?;
        // In the order in which a batch locks them, and at the end: batches wait for both.
        for (partition, rows) in &self.partitions {
            session.run("UPDATE partitions SET rows = rows + ?2 WHERE number = ?1", values![partition, rows])?;
        }
        let counted = "UPDATE nodes SET counted = ?2, counted_at = ?3 WHERE id = ?1";
        session.run(counted, values![node, batch, now.0])?;
        session.run("COMMIT", &[])?;
        session.flush()
    }

    /// Adds it all, within a transaction.
    pub(super) fn write(&self, session: &Session<'_>) -> Result<(), Error> {
        add_alone(session)?;
        self.write_totals(session)?;
        let edge = edge(session)?;
        let mut stretches: BTreeMap<(Instant, JobKey), Rollup> = BTreeMap::new();
        for ((hour, owner), rollup) in &self.rollups {
            stretches.entry((edge.stretch_of(*hour), *owner)).or_default().merge(rollup);
        }
        let days = stretches.iter().filter(|((start, _), _)| edge.is_behind(*start));
        add_rollups(session, "series_days", days)?;
        let hours = stretches.iter().filter(|((start, _), _)| !edge.is_behind(*start));
        add_rollups(session, "series_hours", hours)
    }

    fn write_totals(&self, session: &Session<'_>) -> Result<(), Error> {
        let jobs: Vec<i64> = self.totals.keys().map(|job| integer(job.0)).collect();
        let find = concat!(
            "SELECT ",
            rows::totals_columns!(),
            ", kept, job_id FROM job_totals WHERE job_id = ANY ($1) ORDER BY job_id FOR UPDATE"
        );
        let found = session.query(find, &[&jobs])?;
        let mut known: HashMap<JobKey, (Totals, u64)> = HashMap::new();
        for row in found.rows.iter() {
            let row = Row(&row);
            let job: u64 = row.get(rows::TOTALS_LEN + 1)?;
            known.insert(JobKey(job), rows::read_kept_totals(&row)?);
        }
        for (job, recent) in &self.totals {
            let (mut totals, kept) = known.remove(job).unwrap_or_default();
            totals.merge(recent);
            let kept = kept + recent.tally.counters.total() + recent.tally.counters.skipped;
            rows::put_totals(session, *job, &totals, kept)?;
        }
        session.flush()
    }
}

/// Nobody else counts what this node has written, until the transaction ends. Its batches go on.
pub(super) fn lock(session: &Session<'_>, node: i64) -> Result<(), Error> {
    session.run("SELECT pg_advisory_xact_lock(?1)", values![LOCK ^ node])
}

/// Nobody else adds to totals or series until the transaction ends: what is not there yet nobody can lock, and of two that
/// begin it the later one would not know of the other.
pub(super) fn add_alone(session: &Session<'_>) -> Result<(), Error> {
    session.run("SELECT pg_advisory_xact_lock(?1)", values![ADDING])
}

/// Where days end and hours begin.
pub(super) fn edge<S: Sql>(sql: &S) -> Result<Edge, S::Error> {
    let mark = sql.first("SELECT value FROM marks WHERE name = ?1", values![EDGE], |row| row.get(0))?;
    Ok(mark.map_or(Edge::NONE, |second| Edge::at(Instant::from_secs(second))))
}

/// Moves it, if that is forward.
pub(super) fn raise_edge<S: Sql>(sql: &S, edge: Edge) -> Result<(), S::Error> {
    rows::raise_mark(sql, EDGE, edge.start().as_secs())
}

/// Adds rollups to those of a table, alone ([`add_alone`]).
pub(super) fn add_rollups<'r>(
    session: &Session<'_>,
    table: &str,
    rollups: impl Iterator<Item = (&'r (Instant, JobKey), &'r Rollup)>,
) -> Result<(), Error> {
    let rollups: Vec<_> = rollups.collect();
    if rollups.is_empty() {
        return Ok(());
    }
    let starts: Vec<i64> = rollups.iter().map(|((start, _), _)| start.as_secs()).collect();
    let owners: Vec<i64> = rollups.iter().map(|((_, owner), _)| integer(owner.0)).collect();
    let find = format!(
        "SELECT s.start, s.job_id, s.rollup FROM unnest($1::int8[], $2::int8[]) AS u (start, job_id) \
         JOIN {table} s USING (start, job_id) ORDER BY s.start, s.job_id FOR UPDATE OF s"
    );
    let found = session.query(&find, &[&starts, &owners])?;
    let mut known: HashMap<(i64, u64), Rollup> = HashMap::new();
    for row in found.rows.iter() {
        let row = Row(&row);
        known.insert((row.get(0)?, row.get(1)?), rollup_in(&row, 2)?);
    }
    let bytes: Vec<Vec<u8>> = rollups
        .iter()
        .map(|((start, owner), recent)| {
            let mut rollup = known.remove(&(start.as_secs(), owner.0)).unwrap_or_default();
            rollup.merge(recent);
            rollup.encode(if *owner == ALL { Room::All } else { Room::Job })
        })
        .collect();
    let put = format!(
        "INSERT INTO {table} (start, job_id, rollup) SELECT * FROM unnest($1::int8[], $2::int8[], $3::bytea[]) \
         ON CONFLICT (start, job_id) DO UPDATE SET rollup = excluded.rollup"
    );
    session.query(&put, &[&starts, &owners, &bytes as &dyn Param]).map(drop)
}

/// A column that holds the bytes of a rollup.
pub(super) fn rollup_in(row: &Row<'_>, index: usize) -> Result<Rollup, Bad> {
    let bytes: Vec<u8> = row.get(index)?;
    Rollup::decode(&bytes).map_err(|_| bad(index, "these are not the bytes of a rollup"))
}

/// The columns that `rows::read_execution` reads, of history under the name `e`.
pub(super) const HISTORY_COLUMNS: &str = "e.scheduled_time, e.job_id, e.kind, e.number, \
     e.scheduled_time * 1000000 + e.executed_after, e.status, e.class, e.attempt, e.recoveries, e.http_status, e.duration, \
     e.error_message, e.covers_from, e.covers_count, e.covers_more, e.details";

/// Of which jobs what is not counted yet is asked for.
#[derive(Clone, Copy)]
pub(super) enum Whose<'a> {
    All,
    Of(&'a [JobKey]),
    InShards(&'a Shards),
}

impl Whose<'_> {
    /// A condition on a row of history, and the list that its parameter `?2` is.
    fn condition(self) -> (&'static str, Option<String>) {
        let list = |numbers: Vec<String>| Some(format!("{{{}}}", numbers.join(",")));
        match self {
            Whose::All => ("CAST(?2 AS TEXT) IS NULL", None),
            Whose::Of(jobs) => (
                "e.job_id = ANY (CAST(CAST(?2 AS TEXT) AS BIGINT[]))",
                list(jobs.iter().map(|job| integer(job.0).to_string()).collect()),
            ),
            Whose::InShards(shards) => (
                "EXISTS (SELECT 1 FROM jobs j WHERE j.id = e.job_id \
                 AND j.shard = ANY (CAST(CAST(?2 AS TEXT) AS SMALLINT[])))",
                list(shards.iter().map(|shard| shard.0.to_string()).collect()),
            ),
        }
    }
}

/// Takes every execution of these jobs' history that is not in totals yet, in the order in which they ended.
pub(super) fn each_uncounted(
    session: &Session<'_>,
    whose: Whose<'_>,
    node: Option<i64>,
    take: &mut dyn FnMut(ExecutionKey, Record),
) -> Result<(), Error> {
    let since = "SELECT coalesce(min(counted_at), 0) FROM nodes WHERE NOT dead OR counted < batch";
    let since: i64 = session.first(since, &[], |row| row.get(0))?.unwrap_or_default();
    let (which, list) = whose.condition();
    for partition in partitions::all(session)? {
        let find = format!(
            "SELECT {HISTORY_COLUMNS} FROM executions_{} e JOIN nodes n ON n.id = e.node WHERE e.written_at >= ?1 \
             AND e.batch > n.counted AND {which} \
             AND (CAST(?3 AS BIGINT) IS NULL OR e.node = ?3) ORDER BY e.node, e.batch, e.scheduled_time",
            partition.number
        );
        let values = values![since.saturating_sub(SKEW_US), list.as_deref(), node];
        session.each(&find, values, &mut |row| {
            let (key, record) = rows::read_execution(row)?;
            take(key, record);
            Ok(())
        })?;
    }
    Ok(())
}

/// What is not counted yet, of a node that is no more or of all.
pub(super) fn uncounted(session: &Session<'_>, node: Option<i64>) -> Result<Recent, Error> {
    let mut recent = Recent::default();
    each_uncounted(session, Whose::All, node, &mut |key, record| {
        recent.add(&LedgerRow { seq: Seq(0), key, due: WallUs::of(key.instant), record });
    })?;
    Ok(recent)
}

/// The same of these jobs, as far as it is what each job comes to.
pub(super) fn uncounted_totals(session: &Session<'_>, whose: Whose<'_>) -> Result<HashMap<JobKey, Totals>, Error> {
    let mut totals: HashMap<JobKey, Totals> = HashMap::new();
    each_uncounted(session, whose, None, &mut |key, record| {
        totals.entry(key.job).or_default().add(&LedgerRow { seq: Seq(0), key, due: WallUs::of(key.instant), record });
    })?;
    Ok(totals)
}
