//! Owns the reads of series: rollups, and what is finished but in none of them yet.
//! It must not read all of history.

use super::counts::{self, ALL, Whose, rollup_in};
use super::session::Session;
use crate::job::JobKey;
use crate::limits::SERIES_UNFOLDED_MAX;
use crate::postgres::Error;
use crate::store::Series;
use crate::store::sql::{Row, integer};
use crate::store::steps::Steps;
use crate::time::Instant;

/// The series of a job or of all, from one state of the store: an execution is in a rollup or it is not counted yet.
pub(super) fn series(
    session: &Session<'_>,
    job: Option<JobKey>,
    (from, to): (Instant, Instant),
    step_s: u32,
) -> Result<Series, Error> {
    let mut steps = Steps::new(from, to, step_s, counts::edge(session)?);
    for table in ["series_days", "series_hours"] {
        add_rollups(session, table, job.unwrap_or(ALL), &mut steps)?;
    }
    let mut recent = Vec::new();
    let whose = job.as_ref().map_or(Whose::All, |job| Whose::Of(std::slice::from_ref(job)));
    counts::each_uncounted(session, whose, None, &mut |key, record| recent.push((key, record)))?;
    recent.sort_unstable_by_key(|(key, _)| *key);
    // What is cut off is cut off with all that has its instant.
    let most = if job.is_some() { usize::MAX } else { SERIES_UNFOLDED_MAX };
    let cut = recent.get(most).map(|(key, _)| key.instant);
    for (key, record) in recent.iter().take_while(|(key, _)| cut.is_none_or(|cut| key.instant < cut)) {
        steps.add_execution(key, record);
    }
    Ok(steps.finish(cut.map(|cut| Instant::from_secs(cut.as_secs() - 1))))
}

/// Looks for the job in each stretch that there is: from one to the next, as its rollups do not lie beside each other.
fn add_rollups(session: &Session<'_>, table: &str, owner: JobKey, steps: &mut Steps) -> Result<(), Error> {
    let (from, to) = steps.range();
    let next =
        |behind: &str| format!("SELECT start FROM {table} WHERE start {behind} AND start < $2 ORDER BY start LIMIT 1");
    let find = format!(
        "WITH RECURSIVE there (start) AS (({}) UNION ALL SELECT ({}) FROM there t WHERE t.start IS NOT NULL) \
         SELECT s.start, s.rollup FROM there t JOIN {table} s ON s.start = t.start AND s.job_id = $3",
        next(">= $1"),
        next("> t.start"),
    );
    let done = session.query(&find, &[&from.as_secs(), &to.as_secs(), &integer(owner.0)])?;
    for row in done.rows.iter() {
        let row = Row(&row);
        steps.add(Instant::from_secs(row.get(0)?), &rollup_in(&row, 1)?);
    }
    Ok(())
}
