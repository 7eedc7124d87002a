//! Owns finding out who has which jobs: by their names and ids, for many at once.
//! It must not read what they are.

use super::session::Session;
use crate::core::{NodeId, Placed, Placing, Shard};
use crate::job::JobId;
use crate::postgres::Error;
use crate::store::sql::{Bad, Row, bad, integer};

/// Where jobs are that are called like this, or have these ids; and whose each shard is, from the same state.
pub(super) fn find(session: &Session<'_>, names: &[Box<str>], ids: &[JobId]) -> Result<Placing, Error> {
    let names = names.to_vec();
    let keys: Vec<i64> = ids.iter().map(|id| integer(id.key().0)).collect();
    let find = "SELECT public_id, name, shard FROM jobs WHERE deleted_at IS NULL AND name = ANY ($1) \
                UNION SELECT public_id, name, shard FROM jobs WHERE deleted_at IS NULL AND id = ANY ($2)";
    let found = session.query(find, &[&names, &keys])?;
    let owners = session.query("SELECT owner FROM shards ORDER BY shard", &[])?;
    let owner = |row: &Row<'_>| Ok::<_, Bad>(row.get::<Option<u64>>(0)?.map(NodeId));
    Ok(Placing {
        jobs: found.rows.iter().map(|row| placed(&Row(&row))).collect::<Result<_, Bad>>()?,
        owners: owners.rows.iter().map(|row| owner(&Row(&row))).collect::<Result<_, Bad>>()?,
    })
}

fn placed(row: &Row<'_>) -> Result<Placed, Bad> {
    let shard = u8::try_from(row.get::<u16>(2)?).map_err(|_| bad(2, "there are 256 shards"))?;
    let name = row.get::<Option<String>>(1)?.map(String::into_boxed_str);
    Ok(Placed { id: JobId::from_bytes(row.get(0)?), name, shard: Shard(shard) })
}
