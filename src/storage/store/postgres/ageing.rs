//! Owns the ageing of series: hours become days, and days that are too old go, in small slices.
//! It must not lose or double what it moves: an hour is added to its day and deleted in one transaction.

use std::collections::BTreeMap;

use super::counts::{add_alone, add_rollups, edge, raise_edge, rollup_in};
use super::session::Session;
use crate::job::JobKey;
use crate::limits::{SERIES_DAYS_KEPT, SERIES_HOURS_KEPT, SERIES_SLICE_ROWS};
use crate::postgres::Error;
use crate::store::rollup::Rollup;
use crate::store::sql::{Row, Sql, integer, small, values};
use crate::store::steps::Edge;
use crate::time::{Instant, WallUs};

/// Takes a slice, where it surely is this time. Whether there is more to do.
pub(super) fn slice(session: &Session<'_>, surely: WallUs) -> Result<bool, Error> {
    session.run("BEGIN", &[])?;
    add_alone(session)?;
    let more = age(session, surely)?;
    session.run("COMMIT", &[])?;
    session.flush()?;
    Ok(more)
}

fn age(session: &Session<'_>, surely: WallUs) -> Result<bool, Error> {
    let before = |age: u64| Edge::at(Instant::from_secs(surely.floor().as_secs().saturating_sub_unsigned(age)));
    raise_edge(session, before(SERIES_HOURS_KEPT.as_secs()))?;
    // A clock that was ahead has left it where it was.
    let edge = edge(session)?;
    let moved = move_hours(session, edge)?;
    let delete = "DELETE FROM series_days WHERE (start, job_id) IN \
                  (SELECT start, job_id FROM series_days WHERE start < ?1 ORDER BY start, job_id LIMIT ?2)";
    let oldest = before(SERIES_DAYS_KEPT.as_secs()).start().as_secs();
    let gone = small(session.count(delete, values![oldest, SERIES_SLICE_ROWS])?);
    Ok(moved == SERIES_SLICE_ROWS || gone == SERIES_SLICE_ROWS)
}

/// Moves some hours before the edge. How many.
fn move_hours(session: &Session<'_>, edge: Edge) -> Result<u32, Error> {
    let take = "DELETE FROM series_hours WHERE (start, job_id) IN (SELECT start, job_id FROM series_hours \
                WHERE start < $1 ORDER BY start, job_id LIMIT $2) RETURNING start, job_id, rollup";
    let done = session.query(take, &[&edge.start().as_secs(), &i64::from(SERIES_SLICE_ROWS)])?;
    let mut days: BTreeMap<(Instant, JobKey), Rollup> = BTreeMap::new();
    for row in done.rows.iter() {
        let row = Row(&row);
        let (start, owner) = (Instant::from_secs(row.get(0)?), JobKey(row.get(1)?));
        days.entry((edge.stretch_of(start), owner)).or_default().merge(&rollup_in(&row, 2)?);
    }
    add_rollups(session, "series_days", days.iter())?;
    Ok(small(integer(done.affected).unsigned_abs()))
}
