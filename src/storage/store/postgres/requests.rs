//! Owns requests that one node passes on to another: rows that whoever can carry them out takes up, answers, and that are gone
//! once whoever took them in has read the answer.
//! It must not know what is asked.

use super::session::Session;
use crate::core::{RequestId, Shard};
use crate::limits::FORWARD_TIME_MAX;
use crate::postgres::{Done, Error, Param, Pipeline};
use crate::store::StoredAnswer;
use crate::store::sharing::{Forwarded, Owner, Unplaced};
use crate::store::sql::{Bad, Row, Sql, bad, values};
use crate::vault::Vault;

/// What a request is sealed for.
const SEALED_FOR: &[u8] = b"request to another node";

/// How long a request may be taken up, in microseconds.
const TAKEN_WITHIN_US: i64 = FORWARD_TIME_MAX.as_micros() as i64;
/// Now, by the one clock that all nodes share, in microseconds since 1970.
pub(super) const NOW: &str = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS int8)";

/// Passes a request on that a client made at this time of the database, and tells who has it to carry out. False: there is
/// nothing that it could be about. By when that is done does not count: it may be on its way for long.
pub(super) fn forward(
    session: &Session<'_>,
    vault: Option<&Vault>,
    origin: i64,
    (request, asked_at): (RequestId, i64),
    to: &Owner,
    text: &[u8],
) -> Result<bool, Error> {
    // A text as it is sealed; bytes that are none do not come here: what is asked is JSON.
    let text = match vault {
        Some(vault) => vault.seal(SEALED_FOR, &String::from_utf8_lossy(text)),
        None => text.to_vec(),
    };
    let found = match to {
        Owner::Shard(_) => "SELECT CAST($5 AS int2) AS shard, NULL::int8 AS node",
        Owner::PastJob(_) => {
            "SELECT coalesce((SELECT shard FROM jobs WHERE id = $5 AND deleted_at IS NULL), CAST($6 AS int2)), NULL::int8"
        }
        Owner::Job(_) => "SELECT shard, NULL::int8 FROM jobs WHERE id = $5 AND deleted_at IS NULL",
        Owner::Node(_) => "SELECT 0::int2, id FROM nodes WHERE id = $5 AND NOT dead",
        // What is no job's is with who noticed it while he lives.
        Owner::Incident(_) => {
            "SELECT coalesce(j.shard, 0::int2), CASE WHEN i.job_id IS NULL THEN n.id END FROM incidents i \
             LEFT JOIN jobs j ON j.id = i.job_id LEFT JOIN nodes n ON n.id = i.node AND NOT n.dead WHERE i.id = $5"
        }
    };
    let insert = format!(
        "WITH place AS ({found}), put AS (INSERT INTO requests (shard, node, origin, number, asked_at, request) \
         SELECT shard, node, $1, $2, $3, $4 FROM place AS p (shard, node) RETURNING shard, node) \
         SELECT pg_notify('punctual', coalesce(put.node, s.owner)::text) FROM put JOIN shards s ON s.shard = put.shard"
    );
    let place = match to {
        Owner::Shard(shard) => i64::from(shard.0),
        Owner::Job(job) | Owner::PastJob(job) => crate::store::sql::integer(job.0),
        Owner::Incident(incident) => crate::store::sql::integer(incident.0),
        Owner::Node(node) => crate::store::sql::integer(node.0),
    };
    let number = crate::store::sql::integer(request.0);
    let mut params: Vec<&dyn Param> = vec![&origin, &number, &asked_at, &text, &place];
    let else_shard = if let Owner::PastJob(job) = to { Some(i16::from(Shard::of_key(*job).0)) } else { None };
    params.extend(else_shard.as_ref().map(|shard| shard as &dyn Param));
    let put = session.query(&insert, &params)?;
    Ok(!put.rows.is_empty())
}

/// Takes up requests that a node can carry out, and gives it the answers of those that it passed on, and those that nobody
/// will answer: who took them up died, or nobody did in time. To be read by `asked`, `answered` and `unanswered`.
///
/// What is old, or whose client lost the node it asked, is left: whoever asked has been told that nobody knows, and may have
/// asked for something else since, which must not be undone.
pub(super) fn look(pipeline: &mut Pipeline<'_>, node: &i64) {
    let params: [&dyn Param; 1] = [node];
    let take = format!(
        "UPDATE requests SET taken = $1 WHERE taken IS NULL AND status IS NULL AND asked_at > {NOW} - {TAKEN_WITHIN_US} \
         AND (node = $1 OR (node IS NULL AND shard IN (SELECT shard FROM shards WHERE owner = $1))) \
         AND EXISTS (SELECT 1 FROM nodes WHERE id = origin AND NOT dead) \
         RETURNING id, request, CASE WHEN node IS NULL THEN shard END"
    );
    pipeline.run(&take, &params);
    pipeline.run(
        "DELETE FROM requests WHERE origin = $1 AND status IS NOT NULL RETURNING number, status, headers, body",
        &params,
    );
    let give_up = format!(
        "DELETE FROM requests WHERE origin = $1 AND status IS NULL AND CASE WHEN taken IS NULL \
         THEN asked_at <= {NOW} - {TAKEN_WITHIN_US} \
         ELSE NOT EXISTS (SELECT 1 FROM nodes WHERE id = taken AND NOT dead) END RETURNING number, taken IS NOT NULL"
    );
    pipeline.run(&give_up, &params);
}

/// Requests that were taken up.
pub(super) fn asked(done: &Done, vault: Option<&Vault>) -> Result<Vec<Forwarded>, Bad> {
    let read = |row: &Row<'_>| {
        let (id, text): (u64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let text = match vault {
            Some(vault) => vault.unseal(SEALED_FOR, &text).map_err(|_| bad(1, "sealed with another key"))?.into_bytes(),
            None => text,
        };
        let shard = row.get::<Option<u16>>(2)?.map(u8::try_from).transpose();
        let shard = shard.map_err(|_| bad(2, "there are 256 shards"))?.map(Shard);
        Ok(Forwarded { id, shard, text })
    };
    done.rows.iter().map(|row| read(&Row(&row))).collect()
}

/// What a request is answered.
type Answered = (RequestId, Result<StoredAnswer, Unplaced>);

/// What requests are answered.
pub(super) fn answered(done: &Done) -> Result<Vec<Answered>, Bad> {
    let read = |row: &Row<'_>| {
        let headers: String = row.get(2)?;
        let answer = StoredAnswer {
            status: row.get(1)?,
            headers: serde_json::from_str(&headers).map_err(|why| bad(2, &why.to_string()))?,
            body: row.get(3)?,
        };
        Ok((RequestId(row.get(0)?), Ok(answer)))
    };
    done.rows.iter().map(|row| read(&Row(&row))).collect()
}

/// Requests that nobody will answer.
pub(super) fn unanswered(done: &Done) -> Result<Vec<Answered>, Bad> {
    let read = |row: &Row<'_>| {
        let why = if row.get(1)? { Unplaced::Failed } else { Unplaced::Late };
        Ok((RequestId(row.get(0)?), Err(why)))
    };
    done.rows.iter().map(|row| read(&Row(&row))).collect()
}

/// Answers a request that this node took up, and tells who took it in.
pub(super) fn answer(session: &Session<'_>, node: i64, id: u64, answer: &StoredAnswer) -> Result<(), Error> {
    let headers = serde_json::to_string(&answer.headers).expect("they are texts");
    session.run(
        "WITH put AS (UPDATE requests SET status = ?2, headers = ?3, body = ?4 WHERE id = ?1 AND taken = ?5 RETURNING origin) \
         SELECT pg_notify('punctual', CAST(origin AS TEXT)) FROM put",
        values![id, answer.status, &*headers, answer.body.as_slice(), node],
    )?;
    session.flush()
}

/// Leaves a request that this node took up to whoever can carry it out by now. Said once more, it changes nothing: another one
/// may be carrying it out.
pub(super) fn give_back(session: &Session<'_>, node: i64, id: u64) -> Result<(), Error> {
    session.run(
        "WITH put AS (UPDATE requests SET taken = NULL WHERE id = ?1 AND taken = ?2 RETURNING shard) \
         SELECT pg_notify('punctual', CAST(s.owner AS TEXT)) FROM put JOIN shards s ON s.shard = put.shard",
        values![id, node],
    )?;
    session.flush()
}
