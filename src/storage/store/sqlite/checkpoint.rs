//! Owns the checkpointer: a thread that copies committed pages from the write-ahead log into the database, beside the
//! writer, so that no batch waits for it.
//! It must not write anything of its own, and gives way to whoever is busy.
//!
//! Once a sync of the database has failed, this process copies nothing any more, and the log keeps everything. The system
//! forgets what such a sync was for (<https://wiki.postgresql.org/wiki/Fsync_Errors>), and SQLite does not copy again what
//! earlier checkpoints copied and left unsynced, as all do that do not come to the end of the log: with the log begun anew
//! after a later sync that succeeds, those pages would be lost. The next start copies the whole log again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::Store;
use super::part::beside;
use crate::background;
use crate::limits::CHECKPOINT_ROUNDS;
use crate::store::Housekeeping;

/// Whether what is in the database is trusted to get onto the disk, and if not, why: the same for all threads that copy.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust(Arc<OnceLock<String>>);

impl Trust {
    /// Why a sync of the database failed, if one did.
    pub(super) fn lost(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// Copies what there is, in the words of the pragma: PASSIVE waits for nobody, TRUNCATE for everybody. Whether nothing
    /// is left in the log that is not in the database; what cannot be copied now, or for lack of room, is next time.
    pub(super) fn copy(&self, connection: &Connection, how: &str) -> bool {
        if self.lost().is_some() {
            return false;
        }
        let copied = connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| {
            let (is_busy, pages, copied): (bool, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(!is_busy && pages == copied)
        });
        if let Err(why) = &copied
            && why.sqlite_error().is_some_and(|why| why.extended_code == ffi::SQLITE_IOERR_FSYNC)
        {
            drop(self.0.set(why.to_string()));
        }
        copied.unwrap_or(false)
    }

    /// Before the last connection closes, which would copy once more.
    pub(super) fn close(&self, connection: &Connection) {
        let is_lost = self.lost().is_some();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_lost).expect("SQLite knows it");
    }
}

/// The running checkpointer. Dropping it ends the thread after the checkpoint it may be at.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread for a database that is open already.
    pub(super) fn start(store: &Store, housekeeping: Housekeeping, trust: Trust) -> io::Result<Checkpointer> {
        let (path, lock) = (store.path().to_owned(), Arc::clone(&store.lock));
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name("checkpointer".to_owned());
        let thread = thread.spawn(move || {
            run(&path, &trust, &housekeeping, &stopped);
            drop(lock);
        })?;
        Ok(Checkpointer { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A checkpoint that panicked lost nothing: the log still has everything.
            drop(thread.join());
        }
    }
}

fn run(path: &Path, trust: &Trust, housekeeping: &Housekeeping, stopped: &Receiver<()>) {
    let Housekeeping { checkpoint_every, checkpoint_wal_min, .. } = *housekeeping;
    let wal = wal_of(path);
    background::give_way();
    while stopped.recv_timeout(checkpoint_every) == Err(RecvTimeoutError::Timeout) {
        if length_of(&wal) > checkpoint_wal_min && trust.lost().is_none() {
            copy(path, trust);
        }
    }
}

/// What was written meanwhile is less each time. Once nothing is left, the log begins anew in the same file.
///
/// The connection is a new one, as the system tells a failure once to each descriptor that was open: one that was kept would
/// take a sync of the log that failed for the writer, and that the writer made good, for one of its own.
fn copy(path: &Path, trust: &Trust) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(path, flags) else { return };
    for _ in 0..CHECKPOINT_ROUNDS {
        if trust.copy(&connection, "PASSIVE") || trust.lost().is_some() {
            break;
        }
    }
    // It is not the last one to close, as the writer ends after this thread, and only the last one would copy.
}

/// The write-ahead log of a database.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// A file's length in bytes; 0 if there is none.
pub(super) fn length_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
