//! Owns idempotency keys on disk: what was answered to a request with a key, for as long as that is promised.
//! It must not know what an answer says.

use crate::limits::KEY_KEPT;
use crate::store::sql::{Sql, bad, small, values};
use crate::store::{KeyedAnswer, StoredAnswer};
use crate::time::WallUs;

/// Before this moment, a key is forgotten.
fn oldest(now: WallUs) -> i64 {
    now.0.saturating_sub(i64::try_from(KEY_KEPT.as_micros()).unwrap_or(i64::MAX))
}

/// Keeps an answer, in the transaction of what it answers.
pub(in crate::store) fn put<S: Sql>(sql: &S, answer: &KeyedAnswer) -> Result<(), S::Error> {
    let KeyedAnswer { key, digest, at, answer: StoredAnswer { status, headers, body } } = answer;
    let headers = serde_json::to_string(headers).expect("a list of texts");
    sql.run(
        "INSERT INTO idempotency_keys (key, digest, created_at, status, headers, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (key) DO UPDATE SET digest = ?2, created_at = ?3, status = ?4, headers = ?5, body = ?6",
        values![&**key, digest, at.0, status, headers.as_str(), body.as_slice()],
    )
}

/// What was answered under a key, and the digest of the request that it was answered to.
pub(in crate::store) fn find<S: Sql>(
    sql: &S,
    key: &str,
    now: WallUs,
) -> Result<Option<([u8; 32], StoredAnswer)>, S::Error> {
    let find = "SELECT digest, status, headers, body FROM idempotency_keys WHERE key = ?1 AND created_at > ?2";
    sql.first(find, values![key, oldest(now)], |row| {
        let headers = serde_json::from_str(row.text(2)?).map_err(|why| bad(2, &why.to_string()))?;
        Ok((row.get(0)?, StoredAnswer { status: row.get(1)?, headers, body: row.get(3)? }))
    })
}

/// Forgets some that are too old. How many.
pub(in crate::store) fn delete_old<S: Sql>(sql: &S, now: WallUs, most: u32) -> Result<u32, S::Error> {
    let delete = "DELETE FROM idempotency_keys WHERE key IN \
                  (SELECT key FROM idempotency_keys WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";
    sql.count(delete, values![oldest(now), most]).map(small)
}
