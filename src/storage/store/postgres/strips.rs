//! Owns the reads of strips: the last executions of several jobs, little of each.
//! It must not read what a strip does not show, nor ask once for each job.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::partitions;
use super::session::Session;
use crate::core::{ExecutionKey, Kind, Status};
use crate::job::{JobId, JobKey};
use crate::postgres::{Done, Error};
use crate::store::sql::{Bad, Row, integer};
use crate::store::{Called, Strip, StripRun};
use crate::time::{Instant, WallUs};

/// What is known of a job.
struct Known {
    id: JobId,
    called: Option<Called>,
}

/// The last executions of each of these jobs, in their order; of one that is unknown there are none.
pub(super) fn strips(session: &Session<'_>, jobs: &[JobId], limit: usize, now: WallUs) -> Result<Vec<Strip>, Error> {
    let keys: Vec<i64> = jobs.iter().map(|job| integer(job.key().0)).collect();
    let known = known(session, &keys)?;
    let mut runs: HashMap<JobKey, Vec<(ExecutionKey, StripRun)>> = HashMap::new();
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let find = "SELECT job_id, scheduled_time, kind, number, status, executed_time, duration FROM ledger \
                WHERE job_id = ANY ($1) AND scheduled_time * 1000000 <= $2";
    take(&session.query(find, &[&keys, &now.0])?, &mut runs)?;
    for partition in partitions::all(session)? {
        let mut open = Vec::with_capacity(keys.len());
        for &key in &keys {
            let is_full = runs.get_mut(&JobKey(key.unsigned_abs())).is_some_and(|found| {
                found.sort_unstable_by_key(|(key, _)| Reverse(*key));
                found.truncate(limit);
                found.len() == limit && found.last().is_some_and(|(last, _)| last.instant > partition.latest)
            });
            open.extend((!is_full).then_some(key));
        }
        if open.is_empty() || limit == 0 {
            break;
        }
        let find = format!(
            "SELECT e.* FROM unnest($1::int8[]) AS k (id) CROSS JOIN LATERAL (SELECT job_id, scheduled_time, kind, number, \
             status, scheduled_time * 1000000 + executed_after, duration FROM executions_{} WHERE job_id = k.id \
             ORDER BY scheduled_time DESC, kind DESC, number DESC LIMIT $2) AS e",
            partition.number
        );
        take(&session.query(&find, &[&open, &most])?, &mut runs)?;
    }
    let strip = |&job: &JobId| {
        let known = known.get(&job.key()).filter(|known| known.id == job);
        let mut runs = known.and_then(|_| runs.get(&job.key()).cloned()).unwrap_or_default();
        runs.sort_unstable_by_key(|(key, _)| Reverse(*key));
        runs.dedup_by_key(|(key, _)| *key);
        runs.truncate(limit);
        let called = known.and_then(|known| known.called.clone());
        Strip { job, called, runs: runs.into_iter().map(|(_, run)| run).collect() }
    };
    Ok(jobs.iter().map(strip).collect())
}

/// Of each job its public id, and what it is called unless it is deleted.
fn known(session: &Session<'_>, keys: &[i64]) -> Result<HashMap<JobKey, Known>, Error> {
    let find = "SELECT id, public_id, name, api, deleted_at IS NULL FROM jobs WHERE id = ANY ($1)";
    let done = session.query(find, &[&keys])?;
    let mut known = HashMap::new();
    for row in done.rows.iter() {
        let row = Row(&row);
        let called = if row.get(4)? { Some(Called { name: row.get(2)?, api: row.get(3)? }) } else { None };
        known.insert(JobKey(row.get(0)?), Known { id: JobId::from_bytes(row.get(1)?), called });
    }
    Ok(known)
}

fn take(done: &Done, runs: &mut HashMap<JobKey, Vec<(ExecutionKey, StripRun)>>) -> Result<(), Error> {
    for row in done.rows.iter() {
        let (key, run) = read(&Row(&row))?;
        runs.entry(key.job).or_default().push((key, run));
    }
    Ok(())
}

fn read(row: &Row<'_>) -> Result<(ExecutionKey, StripRun), Bad> {
    let (job, instant) = (JobKey(row.get(0)?), Instant::from_secs(row.get(1)?));
    let key = ExecutionKey { instant, job, kind: row.code(2, Kind::from_code)?, number: row.get(3)? };
    let run = StripRun {
        instant,
        kind: key.kind,
        number: key.number,
        status: row.code(4, Status::from_code)?,
        executed: row.get::<Option<i64>>(5)?.map(WallUs),
        duration_us: row.get(6)?,
    };
    Ok((key, run))
}
