//! Owns idempotency keys on disk: what was answered to a request with a key, for as long as that is promised.
//! It must not know what an answer says.

use rusqlite::{Connection, OptionalExtension, params};

use crate::limits::KEY_KEPT;
use crate::store::{KeyedAnswer, StoredAnswer};
use crate::time::WallUs;

/// Before this moment, a key is forgotten.
fn oldest(now: WallUs) -> i64 {
    now.0.saturating_sub(i64::try_from(KEY_KEPT.as_micros()).unwrap_or(i64::MAX))
}

/// Keeps an answer, in the transaction of what it answers.
pub(super) fn put(connection: &Connection, answer: &KeyedAnswer) -> rusqlite::Result<()> {
    let KeyedAnswer { key, digest, at, answer: StoredAnswer { status, headers, body } } = answer;
    let headers = serde_json::to_string(headers).expect("a list of texts");
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO idempotency_keys (key, digest, created_at, status, headers, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    statement.execute(params![key, digest, at.0, status, headers, body]).map(drop)
}

/// What was answered under a key, and the digest of the request that it was answered to.
pub(super) fn find(
    connection: &Connection,
    key: &str,
    now: WallUs,
) -> rusqlite::Result<Option<([u8; 32], StoredAnswer)>> {
    let mut statement = connection.prepare_cached(
        "SELECT digest, status, headers, body FROM idempotency_keys WHERE key = ?1 AND created_at > ?2",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let headers = row.get_ref(2)?.as_str().map_err(|why| super::rows::bad(2, &why.to_string()))?;
        let headers = serde_json::from_str(headers).map_err(|why| super::rows::bad(2, &why.to_string()))?;
        Ok((row.get(0)?, StoredAnswer { status: row.get(1)?, headers, body: row.get(3)? }))
    };
    statement.query_row(params![key, oldest(now)], read).optional()
}

/// Forgets some that are too old. How many.
pub(super) fn delete_old(connection: &Connection, now: WallUs, most: u32) -> rusqlite::Result<u32> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM idempotency_keys WHERE key IN \
         (SELECT key FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)",
    )?;
    statement.execute(params![oldest(now), most]).map(|gone| super::rows::small(gone as u64))
}
