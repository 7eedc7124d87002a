//! Owns retention: what is too old or too much, and how it goes: whole partitions where all of one is, else in small slices.
//! It must not touch the ledger or the counters: what happened stays counted.

use super::open::soon;
use super::partitions::{self, Partition};
use super::session::Session;
use crate::clock;
use crate::limits::{ALERTS_SHARE_PER_CENT, AUDIT_SHARE_PER_CENT, PARTITION_ROWS_MAX, RETENTION_SLICE_ROWS};
use crate::postgres::{Connection, Error};
use crate::store::Keep;
use crate::store::sql::{Sql, small, values};
use crate::store::tables::{alerts, audit, deliveries, incidents, keys, rows, tokens};
use crate::time::{Instant, Steady, WallUs};

/// What may be kept is in so many partitions at least.
const PARTITIONS_LEAST: u64 = 10;
/// The bound of a partition is mostly so close to what it holds, in seconds.
const CLOSE_S: i64 = 1_800;
/// Bytes that a row of history takes up with its place in the index, about.
const ROW_LEN: u64 = 180;

/// Deletes a slice, where it surely is this time. Whether there is more to do.
pub(super) fn slice(connection: &mut Connection, keep: &Keep, surely: WallUs) -> Result<bool, Error> {
    let more = delete_small(&Session::new(connection, soon()), keep, surely)?;
    let history = delete_history(connection, keep, surely)?;
    let buried = bury(&Session::new(connection, soon()))?;
    Ok(more || history || buried)
}

/// What is not history.
fn delete_small(session: &Session<'_>, keep: &Keep, surely: WallUs) -> Result<bool, Error> {
    let (now, most) = (clock::wall(), RETENTION_SLICE_ROWS);
    let oldest_us = oldest(keep, surely);
    let mut gone = 0;
    for (job, count) in alerts::surplus(session, keep.bytes / 100 * ALERTS_SHARE_PER_CENT)? {
        gone += alerts::delete_oldest(session, job, small(count).min(most))?;
    }
    gone += keys::delete_old(session, now, most)?;
    gone += tokens::delete_old(session, now, most)?;
    gone += audit::delete_old(session, keep.audit_age, keep.bytes / 100 * AUDIT_SHARE_PER_CENT, surely, most)?;
    // Messages first: an incident goes when none of it is left.
    gone += deliveries::delete_before(session, oldest_us, most)?;
    gone += incidents::delete_old(session, oldest_us, keep.bytes, most)?;
    gone += alerts::delete_before(session, oldest_us, most)?;
    Ok(gone >= most)
}

/// From when on things are young enough, in microseconds.
fn oldest(keep: &Keep, surely: WallUs) -> i64 {
    surely.0.saturating_sub(i64::try_from(keep.age.as_micros()).unwrap_or(i64::MAX))
}

/// What time it surely is: a clock set to another year must not erase history. It begins at the newest execution,
/// at what somebody did last, or at the last hour or day that is counted.
pub(super) fn surely(session: &Session<'_>, steady: &mut Option<Steady>) -> Result<WallUs, Error> {
    let now = clock::now();
    if let Some(steady) = steady {
        return Ok(steady.now(now));
    }
    let mut newest: Option<i64> = None;
    for partition in partitions::all(session)? {
        let latest = partition.latest.as_secs();
        if newest.is_some_and(|newest| newest >= latest) {
            break;
        }
        // What a partition says of its instants is a bound, and mostly a close one.
        for above in [latest.saturating_sub(CLOSE_S), i64::MIN] {
            let find =
                format!("SELECT max(scheduled_time) FROM executions_{} WHERE scheduled_time > ?1", partition.number);
            let found: Option<i64> = session.first(&find, values![above], |row| row.get(0))?.flatten();
            if found.is_some() {
                newest = newest.max(found);
                break;
            }
        }
    }
    let executed = newest.map(|newest| WallUs::of(Instant::from_secs(newest)));
    let last = |find: &str| session.first(find, &[], |row| row.get::<Option<i64>>(0)).map(Option::flatten);
    let noted = last("SELECT max(at) FROM audit")?.map(WallUs);
    let counted = "SELECT greatest((SELECT max(start) FROM series_hours), (SELECT max(start) FROM series_days))";
    let counted = last(counted)?.map(|start| WallUs::of(Instant::from_secs(start)));
    Ok(steady.insert(Steady::new(executed.max(noted).max(counted), now)).now(now))
}

/// Partitions go as a whole, oldest first, while all of one is too old or all of them are too much. Of one that is too old in
/// part, and of jobs that have too many, rows go.
fn delete_history(connection: &mut Connection, keep: &Keep, surely: WallUs) -> Result<bool, Error> {
    let session = Session::new(connection, soon());
    let oldest_us = oldest(keep, surely);
    let mut all = partitions::all(&session)?;
    all.sort_unstable_by_key(|partition| partition.number);
    let Some(first) = all.first() else { return Ok(false) };
    let is_old = first.latest.as_secs().saturating_mul(1_000_000) < oldest_us;
    if (is_old && all.len() > 1) || bytes(&session, &all)? > keep.bytes {
        let (number, is_newest) = (first.number, all.len() == 1);
        drop(session);
        if is_newest {
            if first.rows == 0 {
                return Ok(false);
            }
            partitions::begin(connection, Some(number), soon())?;
        }
        partitions::drop_one(connection, number, soon())?;
        return Ok(true);
    }
    let mut gone = 0;
    for partition in &all {
        gone += delete_old(&session, partition, oldest_us)?;
    }
    gone += delete_surplus(&session, &all, keep.rows_per_job)?;
    Ok(gone >= RETENTION_SLICE_ROWS)
}

/// What partitions take up.
fn bytes(session: &Session<'_>, all: &[Partition]) -> Result<u64, Error> {
    let mut bytes = 0;
    for partition in all {
        let find = format!("SELECT pg_total_relation_size('executions_{}')", partition.number);
        bytes += session.first(&find, &[], |row| row.get::<u64>(0))?.unwrap_or_default();
    }
    Ok(bytes)
}

/// How many rows a partition may have, so that few of them are more than may be kept.
pub(super) fn partition_rows(keep: &Keep) -> u64 {
    PARTITION_ROWS_MAX.min(keep.bytes / PARTITIONS_LEAST / ROW_LEN).max(1)
}

/// Lets jobs know how many rows they have left: `gone` are the jobs of rows that are being deleted.
fn deleting(delete: &str) -> String {
    format!(
        "WITH gone AS ({delete} RETURNING job_id), counted AS (SELECT job_id, count(*) AS rows FROM gone GROUP BY job_id), \
         noted AS (UPDATE job_totals t SET kept = greatest(t.kept - c.rows, 0) FROM counted c WHERE c.job_id = t.job_id) \
         SELECT CAST(count(*) AS BIGINT) FROM gone"
    )
}

/// Rows that are too old, in a partition that is not too old as a whole. What was sent later is as young as that.
fn delete_old(session: &Session<'_>, partition: &Partition, oldest_us: i64) -> Result<u32, Error> {
    if partition.earliest.as_secs().saturating_mul(1_000_000) >= oldest_us {
        return Ok(0);
    }
    let number = partition.number;
    let delete = format!(
        "DELETE FROM executions_{number} WHERE (job_id, scheduled_time, kind, number) IN \
         (SELECT job_id, scheduled_time, kind, number FROM executions_{number} WHERE scheduled_time < ?1 \
         AND scheduled_time * 1000000 + coalesce(executed_after, 0) < ?2 LIMIT ?3)"
    );
    let values = values![oldest_us / 1_000_000, oldest_us, RETENTION_SLICE_ROWS];
    Ok(session.first(&deleting(&delete), values, |row| row.get(0))?.unwrap_or_default())
}

/// Rows of jobs that have more than they may have: the oldest of each.
fn delete_surplus(session: &Session<'_>, all: &[Partition], most: u64) -> Result<u32, Error> {
    let find = "SELECT job_id, kept FROM job_totals WHERE kept > ?1 LIMIT 100";
    let jobs: Vec<(i64, u64)> = session.all(find, values![most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut gone = 0;
    for (job, kept) in jobs {
        let mut left = (kept - most).min(RETENTION_SLICE_ROWS.into());
        for partition in all.iter().map(|partition| partition.number) {
            let delete = format!(
                "DELETE FROM executions_{partition} WHERE job_id = ?1 AND (scheduled_time, kind, number) IN \
                 (SELECT scheduled_time, kind, number FROM executions_{partition} WHERE job_id = ?1 \
                 ORDER BY scheduled_time LIMIT ?2)"
            );
            let rows: u32 =
                session.first(&deleting(&delete), values![job, left], |row| row.get(0))?.unwrap_or_default();
            (gone, left) = (gone + rows, left - u64::from(rows));
            if left == 0 {
                break;
            }
        }
    }
    Ok(gone)
}

/// Forgets deleted jobs that no row needs any more. Whether there may be more.
fn bury(session: &Session<'_>) -> Result<bool, Error> {
    session.run("BEGIN", &[])?;
    // Both sides are many: the ledger has no index of jobs.
    session.run("SET LOCAL enable_hashjoin TO on", &[])?;
    let mut condition = "NOT EXISTS (SELECT 1 FROM ledger l WHERE l.job_id = j.id)".to_owned();
    for partition in partitions::all(session)? {
        let number = partition.number;
        condition.push_str(&format!(" AND NOT EXISTS (SELECT 1 FROM executions_{number} e WHERE e.job_id = j.id)"));
    }
    let find = format!(
        "SELECT j.id FROM jobs j WHERE j.deleted_at IS NOT NULL AND {condition} ORDER BY j.deleted_at, j.id \
         LIMIT {RETENTION_SLICE_ROWS} FOR UPDATE"
    );
    let gone: Vec<i64> = session.all(&find, &[], |row| row.get(0))?;
    if let Some(&highest) = gone.iter().max() {
        session.query("DELETE FROM job_totals WHERE job_id = ANY ($1)", &[&gone])?;
        session.query("DELETE FROM jobs WHERE id = ANY ($1)", &[&gone])?;
        // Keys are not used twice.
        rows::raise_mark(session, "job", highest)?;
    }
    session.run("COMMIT", &[])?;
    session.flush()?;
    Ok(gone.len() == RETENTION_SLICE_ROWS as usize)
}
