//! Owns how a batch gets onto disk: one transaction with everything in it, and what its failure means.
//! It must not decide what becomes of a batch that fails: the writer does.

use rusqlite::{Connection, TransactionBehavior};

use super::rows::PutLedger;
use crate::core::{IncidentChange, JobChange, Persist, RowNews};
use crate::store::Batch;
use crate::store::sql::integer;
use crate::store::tables::{
    self, alerts, audit, calendars, deliveries, found, incidents, keys, secrets, settings, tokens,
};
use crate::vault::Vault;

/// Why a batch is not known to be on disk.
#[derive(Debug)]
pub(super) struct Uncommitted {
    pub(super) why: rusqlite::Error,
    /// Whether it may be on disk all the same: then a crash would bring it to light.
    pub(super) is_ambiguous: bool,
}

impl From<rusqlite::Error> for Uncommitted {
    fn from(why: rusqlite::Error) -> Uncommitted {
        Uncommitted { why, is_ambiguous: false }
    }
}

/// One transaction, all or nothing.
pub(super) fn commit(connection: &mut Connection, vault: Option<&Vault>, batch: &Batch) -> Result<(), Uncommitted> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let sql: &Connection = &transaction;
        let mut ledger = PutLedger::new(sql)?;
        let mut remove = sql.prepare_cached("DELETE FROM ledger WHERE seq = ?1")?;
        for (_, item) in &batch.items {
            match item {
                Persist::Row(row, news) => {
                    ledger.put(row)?;
                    if let Some(news) = news {
                        let RowNews { alert, incidents } = &**news;
                        alert.as_ref().map_or(Ok(()), |alert| alerts::insert(sql, row.key.job, alert))?;
                        incidents.iter().try_for_each(|change| write_incident(sql, change))?;
                    }
                }
                Persist::HandOver(row) => ledger.put(row)?,
                Persist::Release { .. } => unreachable!("there is no other node that a shard could be given to"),
                Persist::Remove(seq) => {
                    remove.execute([integer(seq.0)])?;
                }
                Persist::Calendar(change) => calendars::write(sql, change)?,
                Persist::Setting(setting) => settings::write(sql, vault, setting)?,
                Persist::Incident(change) => write_incident(sql, change)?,
                Persist::Runs(rows) => {
                    for row in rows {
                        ledger.put(row)?;
                    }
                }
                Persist::Change(change) => {
                    write_job(sql, vault, &change.job)?;
                    for seq in &change.remove {
                        remove.execute([integer(seq.0)])?;
                    }
                    for row in &change.rows {
                        ledger.put(row)?;
                    }
                }
            }
        }
        for (_, answer) in &batch.answers {
            keys::put(sql, answer)?;
        }
        for update in &batch.alerts {
            alerts::update(sql, update)?;
        }
        for delivery in &batch.deliveries {
            deliveries::note(sql, delivery)?;
        }
        for (name, health) in &batch.channels {
            settings::note_health(sql, name, health)?;
        }
        for change in &batch.tokens {
            tokens::write(sql, change)?;
        }
        for (_, row) in &batch.audits {
            audit::insert(sql, row)?;
        }
    }
    transaction.commit().map_err(|why| {
        let is_ambiguous = !is_busy(&why) && !is_unwritten(&why);
        Uncommitted { why, is_ambiguous }
    })
}

/// Whether a commit ended before its last frame was in the log, which is what makes it count after a crash: SQLite
/// writes the frames in order (https://sqlite.org/walformat.html, section 4), and it is the last that could not be
/// written, or one before it. A sync that failed says nothing of the kind.
fn is_unwritten(why: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(error, _) = why else { return false };
    matches!(error.extended_code, rusqlite::ffi::SQLITE_FULL | rusqlite::ffi::SQLITE_IOERR_WRITE)
}

fn write_job(connection: &Connection, vault: Option<&Vault>, change: &JobChange) -> rusqlite::Result<()> {
    match change {
        JobChange::Put(revision) => {
            secrets::put(connection, vault, revision)?;
            let tags = revision.spec.labels().map_or(&[][..], |labels| &labels.tags);
            found::put_tags(connection, revision.id.key(), tags, revision.number > 1)?;
            tables::rows::put_job(connection, revision)
        }
        JobChange::Delete(key, at) => {
            secrets::delete(connection, *key)?;
            found::put_tags(connection, *key, &[], true)?;
            tables::rows::bury_job(connection, *key, *at)
        }
    }
}

/// An incident as it is now, and what is to be told of it.
fn write_incident(connection: &Connection, change: &IncidentChange) -> rusqlite::Result<()> {
    incidents::put(connection, &change.incident)?;
    change.message.as_ref().map_or(Ok(()), |message| deliveries::insert(connection, message))
}

pub(super) fn is_busy(why: &rusqlite::Error) -> bool {
    matches!(why.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}
