//! Owns what the server takes of its machine: memory, processor, open files and disk, looked at every few seconds by a thread that has nothing
//! else to do, as the loop reads no files.
//! It must not be waited for: who asks gets what was seen last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::background;
use crate::limits::USAGE_LOOK_EVERY;

/// What was seen last; None where the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Memory of this process that is in RAM, in bytes.
    pub(super) memory: Option<u64>,
    /// Processor time that this process has taken, in microseconds.
    pub(super) cpu_us: Option<u64>,
    /// Files and sockets that it has open.
    pub(super) open_files: Option<u64>,
    /// How many it may have open.
    pub(super) open_files_max: Option<u64>,
    /// The database and its write-ahead log, in bytes.
    pub(super) disk: Option<u64>,
    /// What the file system of the database has left, in bytes.
    pub(super) disk_free: Option<u64>,
}

/// The thread's board.
#[derive(Debug)]
struct Board {
    memory: AtomicU64,
    cpu_us: AtomicU64,
    open_files: AtomicU64,
    open_files_max: AtomicU64,
    disk: AtomicU64,
    disk_free: AtomicU64,
}

impl Board {
    /// Nothing has been seen.
    fn new() -> Board {
        let unseen = || AtomicU64::new(UNSEEN);
        Board {
            memory: unseen(),
            cpu_us: unseen(),
            open_files: unseen(),
            open_files_max: unseen(),
            disk: unseen(),
            disk_free: unseen(),
        }
    }

    fn write(&self, usage: Usage) {
        let Usage { memory, cpu_us, open_files, open_files_max, disk, disk_free } = usage;
        for (place, seen) in [
            (&self.memory, memory),
            (&self.cpu_us, cpu_us),
            (&self.open_files, open_files),
            (&self.open_files_max, open_files_max),
            (&self.disk, disk),
            (&self.disk_free, disk_free),
        ] {
            place.store(seen.unwrap_or(UNSEEN), Ordering::Relaxed);
        }
    }

    fn read(&self) -> Usage {
        let seen = |place: &AtomicU64| Some(place.load(Ordering::Relaxed)).filter(|&value| value != UNSEEN);
        Usage {
            memory: seen(&self.memory),
            cpu_us: seen(&self.cpu_us),
            open_files: seen(&self.open_files),
            open_files_max: seen(&self.open_files_max),
            disk: seen(&self.disk),
            disk_free: seen(&self.disk_free),
        }
    }
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
    pub(super) fn start(database: Option<&Path>) -> io::Result<UsageBoard> {
        let board = Arc::new(Board::new());
        let (theirs, database) = (Arc::downgrade(&board), database.map(Path::to_owned));
        thread::Builder::new().name("usage".to_owned()).spawn(move || {
            background::give_way();
            // It ends with the loop, at the latest at the next look.
            while let Some(board) = theirs.upgrade() {
                board.write(look(database.as_deref()));
                drop(board);
                thread::sleep(USAGE_LOOK_EVERY);
            }
        })?;
        Ok(UsageBoard(board))
    }

    /// What was seen last.
    pub(super) fn read(&self) -> Usage {
        self.0.read()
    }
}

/// Looks at everything; at the disk, if the database is a file.
fn look(database: Option<&Path>) -> Usage {
    let size = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.len());
    Usage {
        memory: memory(),
        cpu_us: cpu_us(),
        open_files: open_files(),
        open_files_max: open_files_max(),
        // There need not be a log.
        disk: database.and_then(|database| Some(size(database)? + size(&log_of(database)).unwrap_or(0))),
        disk_free: database.and_then(free),
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

/// All threads together.
#[cfg(unix)]
fn cpu_us() -> Option<u64> {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(u64::try_from(taken.tv_sec).ok()? * 1_000_000 + u64::try_from(taken.tv_nsec).ok()? / 1_000)
}

#[cfg(not(unix))]
fn cpu_us() -> Option<u64> {
    None
}

/// Of `/proc/self/fd` (proc(5)): newer kernels say how many as its size, older ones list them, with that of the list.
#[cfg(target_os = "linux")]
fn open_files() -> Option<u64> {
    const FILES: &str = "/proc/self/fd";
    let said = std::fs::metadata(FILES).ok()?.len();
    if said > 0 {
        return Some(said);
    }
    u64::try_from(std::fs::read_dir(FILES).ok()?.count()).ok()?.checked_sub(1)
}

#[cfg(not(target_os = "linux"))]
fn open_files() -> Option<u64> {
    None
}

/// The limit that counts; None: there is none.
#[cfg(unix)]
fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn open_files_max() -> Option<u64> {
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
