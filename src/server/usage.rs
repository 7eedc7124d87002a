//! Owns what the server takes of its machine: memory and disk, looked at every few seconds by a thread that has nothing
//! else to do, as the loop reads no files.
//! It must not be waited for: who asks gets what was seen last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::background;
use crate::limits::USAGE_LOOK_EVERY;

/// What was seen last, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Memory of this process that is in RAM; None where the system does not say.
    pub(super) memory: Option<u64>,
    /// The database and its write-ahead log.
    pub(super) disk: Option<u64>,
    /// What the file system of the database has left.
    pub(super) disk_free: Option<u64>,
}

/// The thread's board.
#[derive(Debug)]
struct Board {
    memory: AtomicU64,
    disk: AtomicU64,
    disk_free: AtomicU64,
}

/// Stands for what was not seen.
const UNSEEN: u64 = u64::MAX;

/// Where one reads what was seen.
#[derive(Clone, Debug)]
pub(super) struct UsageBoard(Arc<Board>);

impl UsageBoard {
    /// Starts to look.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(database: &Path) -> io::Result<UsageBoard> {
        let unseen = || AtomicU64::new(UNSEEN);
        let board = Arc::new(Board { memory: unseen(), disk: unseen(), disk_free: unseen() });
        let (theirs, database) = (Arc::downgrade(&board), database.to_owned());
        let log = log_of(&database);
        thread::Builder::new().name("usage".to_owned()).spawn(move || {
            background::give_way();
            // It ends with the loop, at the latest at the next look.
            while let Some(board) = theirs.upgrade() {
                let size = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.len());
                // There need not be a log.
                let disk = size(&database).map(|database| database + size(&log).unwrap_or(0));
                board.memory.store(memory().unwrap_or(UNSEEN), Ordering::Relaxed);
                board.disk.store(disk.unwrap_or(UNSEEN), Ordering::Relaxed);
                board.disk_free.store(free(&database).unwrap_or(UNSEEN), Ordering::Relaxed);
                drop(board);
                thread::sleep(USAGE_LOOK_EVERY);
            }
        })?;
        Ok(UsageBoard(board))
    }

    /// What was seen last.
    pub(super) fn read(&self) -> Usage {
        let seen = |value: &AtomicU64| Some(value.load(Ordering::Relaxed)).filter(|&value| value != UNSEEN);
        Usage { memory: seen(&self.0.memory), disk: seen(&self.0.disk), disk_free: seen(&self.0.disk_free) }
    }
}

/// SQLite's write-ahead log lies beside the database.
fn log_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Of `/proc/self/statm` (proc(5)), the second number: pages that are in RAM.
#[cfg(target_os = "linux")]
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Option<u64> {
    None
}

/// What is left for whoever is not root.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}
