//! Owns reading the store at a start: jobs with their totals, unfinished rows, what is to be told, and the marks above them.
//! It must not judge what it finds: the core does.

use super::counts;
use super::session::Session;
use crate::core::{LedgerRow, Restored, Shard, Shards, StoredJob};
use crate::job::Context;
use crate::postgres::Error;
use crate::store::Loaded;
use crate::store::sql::{Sql, bad};
use crate::store::tables::rows::{SELECT_JOBS, read_job, read_ledger};
use crate::store::tables::secrets::Found;
use crate::store::tables::{alerts, calendars, deliveries, incidents, settings, tokens};
use crate::time::WallUs;

/// The columns that `rows::read_ledger` reads.
const SELECT_LEDGER: &str = "SELECT seq, due_time, scheduled_time, job_id, kind, number, executed_time, status, class, \
     attempt, recoveries, http_status, duration, error_message, covers_from, covers_count, covers_more, details \
     FROM ledger ORDER BY seq";

/// Reads everything the core must know: each job, read with `context` and its own anchor, then each unfinished row.
/// `node` is who reads: the numbers of its rows begin above those of all others.
pub(super) fn load(
    session: &Session<'_>,
    node: i64,
    secrets: &Found,
    context: &Context<'_>,
    job: &mut impl FnMut(StoredJob),
    row: &mut impl FnMut(LedgerRow),
) -> Result<Loaded, Error> {
    let mut recent = counts::uncounted_totals(session, None)?;
    let (mut jobs, mut newest) = (0, None);
    session.each(SELECT_JOBS, &[], &mut |found| {
        let StoredJob { revision, mut totals } = read_job(found, context, Some(secrets))?;
        if let Some(recent) = recent.remove(&revision.id.key()) {
            totals.merge(&recent);
        }
        let finished = totals.finished_through.map(|(_, through)| WallUs::of(through));
        newest = newest.max(Some(revision.updated_at)).max(finished);
        job(StoredJob { revision, totals });
        jobs += 1;
        Ok(())
    })?;
    session.each(SELECT_LEDGER, &[], &mut |found| {
        let found = read_ledger(found)?;
        newest = newest.max(found.record.executed);
        row(found);
        Ok(())
    })?;
    let max = |find: &str| session.first(find, &[], |row| row.get::<Option<i64>>(0)).map(Option::flatten);
    let deleted = max("SELECT max(deleted_at) FROM jobs WHERE deleted_at IS NOT NULL")?.map(WallUs);
    let key = max("SELECT greatest((SELECT max(id) FROM jobs), (SELECT value FROM marks WHERE name = 'job'))")?;
    let incident = max("SELECT max(id) FROM incidents")?;
    let above = |highest: Option<i64>| highest.unwrap_or(0).unsigned_abs() + 1;
    Ok(Loaded {
        restored: Restored {
            shards: Shards::ALL,
            epochs: epochs(session)?,
            next_seq: first_seq(node),
            next_job: above(key),
            next_incident: above(incident),
            newest: newest.max(deleted),
        },
        alerts: alerts::undelivered(session)?,
        calendars: calendars::read_all(session)?,
        settings: settings::read_all(session, secrets)?,
        channels: settings::read_health(session)?,
        incidents: incidents::open(session)?,
        messages: deliveries::undelivered(session)?,
        tokens: (tokens::version(session)?, tokens::read_all(session)?),
        jobs,
    })
}

/// How often each shard has changed hands.
fn epochs(session: &Session<'_>) -> Result<Vec<(Shard, u32)>, Error> {
    session.all("SELECT shard, epoch FROM shards ORDER BY shard", &[], |row| {
        let shard = u8::try_from(row.get::<u16>(0)?).map_err(|_| bad(0, "there are 256 shards"))?;
        Ok((Shard(shard), row.get(1)?))
    })
}

/// The first number that a node gives to a row: each has a range of its own, so that no two give the same.
fn first_seq(node: i64) -> u64 {
    const NODE_BITS: u32 = 40;
    (node.unsigned_abs() << NODE_BITS) + 1
}
