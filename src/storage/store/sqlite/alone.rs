//! Owns what SQLite does alone: jobs put into a new database, committed in batches, with nobody before or behind it.
//! It must not touch a file that a server has open.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;

use super::{OpenError, Store};
use crate::job::Revision;
use crate::store::AuditRow;
use crate::store::tables::{audit, rows::put_job};

/// Makes the database and creates jobs in it for so long, each with its row of the audit log, so many with each commit. Each is
/// as durable as one that a server creates. How many a second.
///
/// # Errors
/// When the file is in use or cannot be written.
pub fn creations_alone(
    path: &Path,
    jobs: impl IntoIterator<Item = (Arc<Revision>, AuditRow)>,
    batch: usize,
    time: Duration,
) -> Result<f64, OpenError> {
    let mut store = Store::open(path)?;
    let (mut jobs, mut created) = (jobs.into_iter(), 0);
    let start = Instant::now();
    while start.elapsed() < time {
        let mut go = || -> rusqlite::Result<()> {
            let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (revision, audited) in jobs.by_ref().take(batch) {
                put_job(&*transaction, &revision)?;
                audit::insert(&*transaction, &audited)?;
                created += 1;
            }
            transaction.commit()
        };
        go().map_err(|why| store.damaged(&why))?;
    }
    Ok(f64::from(created) / start.elapsed().as_secs_f64())
}
