//! Owns the tokens on disk: what is written of them by whatever process, and how others notice.
//! It must not decide which count.

use crate::access::{Scope, Token, TokenChange, TokenId};
use crate::store::sql::{Bad, Row, Sql, bad, small, values};
use crate::time::WallUs;

/// Writes a change.
pub(in crate::store) fn write<S: Sql>(sql: &S, change: &TokenChange) -> Result<(), S::Error> {
    match change {
        TokenChange::Create(token) => {
            let insert = "INSERT INTO tokens (id, digest, scope, name, parent, created_at, expires_at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let expires_at = token.expires_at.map(|at| at.0);
            let parent = token.parent.map(TokenId::number);
            let (scope, created_at) = (token.scope.name(), token.created_at.0);
            let (id, name) = (token.id.number(), token.name.as_str());
            sql.run(insert, values![id, &token.digest, scope, name, parent, created_at, expires_at])?;
        }
        TokenChange::Revoke(id, at) => {
            let revoke = "UPDATE tokens SET revoked_at = ?2 WHERE (id = ?1 OR parent = ?1) AND revoked_at IS NULL";
            sql.run(revoke, values![id.number(), at.0])?;
        }
        TokenChange::Use(id, at) => {
            // Nobody has to hear of that.
            return sql.run("UPDATE tokens SET last_used_at = ?2 WHERE id = ?1", values![id.number(), at.0]);
        }
    }
    sql.run("UPDATE marks SET value = value + 1 WHERE name = 'tokens'", &[])
}

/// How often the tokens have changed so far.
pub(in crate::store) fn version<S: Sql>(sql: &S) -> Result<u64, S::Error> {
    let version = sql.first("SELECT value FROM marks WHERE name = 'tokens'", &[], |row| row.get(0))?;
    version.ok_or_else(|| bad(0, "the mark of the tokens is missing").into())
}

/// All tokens and sessions.
pub(in crate::store) fn read_all<S: Sql>(sql: &S) -> Result<Vec<Token>, S::Error> {
    let all = "SELECT id, digest, scope, name, parent, created_at, expires_at, last_used_at, revoked_at FROM tokens";
    sql.all(all, &[], read)
}

fn read(row: &Row<'_>) -> Result<Token, Bad> {
    let id = |index: usize, number: i64| TokenId::from_number(number).ok_or_else(|| bad(index, "no token's id"));
    let scope: String = row.get(2)?;
    let time = |index: usize| row.get::<Option<i64>>(index).map(|at| at.map(WallUs));
    Ok(Token {
        id: id(0, row.get(0)?)?,
        digest: row.get(1)?,
        scope: Scope::from_name(&scope).ok_or_else(|| bad(2, "no scope"))?,
        name: row.get(3)?,
        parent: row.get::<Option<i64>>(4)?.map(|parent| id(4, parent)).transpose()?,
        created_at: WallUs(row.get(5)?),
        expires_at: time(6)?,
        last_used_at: time(7)?,
        revoked_at: time(8)?,
    })
}

/// Forgets some sessions that are over. Tokens stay: the audit log names them, and one that was revoked must be known as
/// such if it is shown again.
pub(in crate::store) fn delete_old<S: Sql>(sql: &S, now: WallUs, most: u32) -> Result<u32, S::Error> {
    let delete = "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens WHERE \
                  parent IS NOT NULL AND (revoked_at < ?1 OR expires_at < ?1) LIMIT ?2)";
    sql.count(delete, values![now.0, most]).map(small)
}
