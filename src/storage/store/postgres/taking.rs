//! Owns taking over: shards that are nobody's or a dead node's, rows that were given to this node, and what a dead one left.
//! It must not read jobs: that takes long, and nobody changes them meanwhile.

use super::batch::FENCE;
use super::session::Session;
use crate::core::{Known, LedgerRow, Shard, Shards};
use crate::postgres::Error;
use crate::store::sql::{Sql, bad, values};
use crate::store::tables::rows::read_ledger;

/// The columns that `rows::read_ledger` reads, of the ledger under the name `l`.
const LEDGER: &str = "l.seq, l.due_time, l.scheduled_time, l.job_id, l.kind, l.number, l.executed_time, l.status, l.class, \
     l.attempt, l.recoveries, l.http_status, l.duration, l.error_message, l.covers_from, l.covers_count, l.covers_more, \
     l.details";
/// How many they are.
const LEDGER_LEN: usize = 18;

/// What was taken over.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    /// Shards that the node did not have before.
    pub(super) new: Shards,
    pub(super) epochs: Vec<(Shard, u32)>,
    pub(super) rows: Vec<(LedgerRow, Known)>,
}

/// Takes over what is there for a node that has these shards, as a transaction whose end is its own fence: shards that are
/// its own in the database and not in its memory, so many at most that are nobody's, and rows.
pub(super) fn take(session: &Session<'_>, node: i64, number: i64, most: usize, held: &Shards) -> Result<Claim, Error> {
    session.run("BEGIN", &[])?;
    // Of a node whose machine is gone a session may hold rows until the server finds out; no beat goes out meanwhile.
    session.run("SET LOCAL lock_timeout TO '1s'", &[])?;
    // Another one that takes at the same time leaves these to this node, and the other way round.
    let take = format!(
        "UPDATE shards SET owner = ?1, epoch = epoch + 1 WHERE shard IN (SELECT s.shard FROM shards s \
         WHERE {} ORDER BY s.shard LIMIT ?2 FOR UPDATE OF s SKIP LOCKED)",
        is_nobodys("s.owner")
    );
    session.run(&take, values![node, most as u64])?;
    let owned = "SELECT shard, epoch FROM shards WHERE owner = ?1 ORDER BY shard";
    let owned: Vec<(Shard, u32)> = session.all(owned, values![node], |row| {
        let shard = u8::try_from(row.get::<u16>(0)?).map_err(|_| bad(0, "there are 256 shards"))?;
        Ok((Shard(shard), row.get(1)?))
    })?;
    let mine: Shards = owned.iter().map(|(shard, _)| *shard).collect();
    let new = mine.without(held);
    let mut rows = Vec::new();
    // From here on it is not known of any of them whether it was sent, whoever asks.
    let adopt = format!(
        "WITH found AS (SELECT l.seq, l.known FROM ledger l \
         WHERE l.shard = ANY ($2) AND ((l.node = $1 AND l.known) OR {}) FOR UPDATE OF l) \
         UPDATE ledger l SET node = $1, known = false FROM found f WHERE l.seq = f.seq RETURNING {LEDGER}, f.known",
        is_nobodys("l.node")
    );
    let shards = |of: &Shards| of.iter().map(|shard| i16::from(shard.0)).collect::<Vec<i16>>();
    for row in session.query(&adopt, &[&node, &shards(&mine)])?.rows.iter() {
        let row = crate::store::sql::Row(&row);
        let known = if row.get(LEDGER_LEN)? { Known::Unsent } else { Known::Nothing };
        rows.push((read_ledger(&row)?, known));
    }
    // What is left in shards that come is in flight at nodes that live, which may be this one.
    let taken: Vec<i64> = rows.iter().map(|(row, _)| crate::store::sql::integer(row.seq.0)).collect();
    let in_flight = format!("SELECT {LEDGER} FROM ledger l WHERE l.shard = ANY ($1) AND l.seq <> ALL ($2)");
    for row in session.query(&in_flight, &[&shards(&new), &taken])?.rows.iter() {
        rows.push((read_ledger(&crate::store::sql::Row(&row))?, Known::InFlight));
    }
    rows.sort_unstable_by_key(|(row, _)| row.seq);
    settle(session)?;
    session.run(FENCE, values![node, number])?;
    session.run("COMMIT", &[])?;
    session.flush()?;
    let epochs = owned.into_iter().filter(|(shard, _)| new.contains(*shard)).collect();
    Ok(Claim { new, epochs, rows })
}

/// Whether what this column says is no node that lives. Not by an outer join: of a row that another one changes between the
/// look at it and its lock the join is tried anew with the node that was found before, does not hold, and so leaves none.
fn is_nobodys(column: &str) -> String {
    format!("coalesce((SELECT n.dead FROM nodes n WHERE n.id = {column}), true)")
}

/// Notes which dead nodes have nothing left that others have to take over.
pub(super) fn settle<S: Sql>(sql: &S) -> Result<(), S::Error> {
    sql.run(
        "UPDATE nodes n SET settled = true WHERE n.dead AND NOT n.settled \
         AND NOT EXISTS (SELECT 1 FROM shards WHERE owner = n.id) AND NOT EXISTS (SELECT 1 FROM ledger WHERE node = n.id)",
        &[],
    )
}

/// A node says that it is no more, so that others need not wait until they see that.
pub(super) fn leave<S: Sql>(sql: &S, node: i64) -> Result<(), S::Error> {
    sql.run("UPDATE nodes SET dead = true WHERE id = ?1", values![node])?;
    settle(sql)
}
