//! Owns the check of rollups: each can be read, and those of all jobs together are what is kept as their sum.
//! It must not compare them with history, which is kept for another time.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::rollups::{ALL, rollup_in};
use super::rows;
use crate::job::JobKey;
use crate::store::Finding;
use crate::store::steps::DAY_S;
use crate::time::Instant;

/// How many executions ended how.
type Ends = [u64; 3];

/// What is wrong. Hours become days one by one, and days go one by one: so whole days are compared, but for the oldest.
pub(super) fn wrong(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut days: BTreeMap<i64, (Ends, Ends)> = BTreeMap::new();
    let mut unread = Finding::new("rollups that cannot be read");
    for table in ["series_hours", "series_days"] {
        let mut statement = connection.prepare(&format!("SELECT start, job_id, rollup FROM {table}"))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let (start, job): (i64, _) = (row.get(0)?, JobKey(rows::unsigned(row, 1)?));
            let Ok(rollup) = rollup_in(row, 2) else {
                unread.note(|| format!("job {} at {}", job.0, Instant::from_secs(start)));
                continue;
            };
            let (all, jobs) = days.entry(start.div_euclid(DAY_S)).or_default();
            let ends = if job == ALL { all } else { jobs };
            for (end, count) in ends.iter_mut().zip([rollup.success, rollup.failed, rollup.skipped]) {
                *end = end.saturating_add(count);
            }
        }
    }
    let mut unequal = Finding::new("days whose rollups do not add up");
    // What cannot be read may be missing anywhere.
    let compared = if unread.count == 0 { days.iter().skip(1) } else { days.iter().skip(days.len()) };
    for (day, (all, jobs)) in compared.filter(|(_, (all, jobs))| all != jobs) {
        unequal.note(|| format!("{}: {all:?} instead of {jobs:?}", Instant::from_secs(day * DAY_S)));
    }
    Ok([unread, unequal].into_iter().filter_map(Finding::if_any).collect())
}
