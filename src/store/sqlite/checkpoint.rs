//! Owns the checkpointer: a thread that copies committed pages from the write-ahead log into the database, beside the
//! writer, so that no batch waits for it.
//! It must not write anything of its own, and gives way to whoever is busy.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::Connection;

use super::Store;
use super::part::beside;
use crate::background;
use crate::limits::CHECKPOINT_ROUNDS;
use crate::store::Housekeeping;

/// The running checkpointer. Dropping it ends the thread after the checkpoint it may be at.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread for a database that is open already.
    pub(super) fn start(store: &Store, housekeeping: Housekeeping) -> io::Result<Checkpointer> {
        let connection = Connection::open(store.path()).map_err(io::Error::other)?;
        let (wal, lock) = (wal_of(store.path()), Arc::clone(&store.lock));
        let (stop, stopped) = bounded(0);
        let thread = std::thread::Builder::new().name("checkpointer".to_owned());
        let thread = thread.spawn(move || {
            run(&connection, &wal, &housekeeping, &stopped);
            drop(connection);
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

fn run(connection: &Connection, wal: &Path, housekeeping: &Housekeeping, stopped: &Receiver<()>) {
    let Housekeeping { checkpoint_every, checkpoint_wal_min, .. } = *housekeeping;
    background::give_way();
    while stopped.recv_timeout(checkpoint_every) == Err(RecvTimeoutError::Timeout) {
        if length_of(wal) > checkpoint_wal_min {
            // What was written meanwhile is less each time. Once nothing is left, the log begins anew in the same file.
            for _ in 0..CHECKPOINT_ROUNDS {
                if is_all_copied(connection) {
                    break;
                }
            }
        }
    }
}

/// Copies what there is. PASSIVE waits for nobody; what it cannot copy now, or for lack of room, it copies next time.
fn is_all_copied(connection: &Connection) -> bool {
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (pages, copied): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(pages == copied)
    });
    copied.unwrap_or(false)
}

/// The write-ahead log of a database.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// A file's length in bytes; 0 if there is none.
pub(super) fn length_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
