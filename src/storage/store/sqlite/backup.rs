//! Owns the making of a backup: one state of the database, copied while a server may go on writing.
//! It must not hold up a commit or what is due, nor let the write-ahead log grow without bound.
//!
//! One read transaction stands for the state that is copied, so nothing is copied twice however much is written
//! meanwhile. Until it ends the log cannot begin anew: a copy that is overtaken first hurries, then gives up.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::Store;
use super::checkpoint::{length_of, wal_of};
use super::copying::{CopyError, Pace, Progress, Watch};
use super::open::{self, APPLICATION_ID, Lock, OpenError};
use super::part::{self, Part};
use super::seal::{self, Digest};
use crate::clock;
use crate::limits::{BACKUP_SLICE_PAGES, BACKUP_SYNC_LEN, BACKUP_WAL_HURRY, BACKUP_WAL_MAX};
use crate::time::WallUs;

/// Pages of the copy that wait in memory until they are written, in KiB.
const CACHE_KIB: i64 = 1_024;
/// The wait for a lock that somebody holds for a moment.
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// What is read at once to be hashed.
pub(super) const PIECE_LEN: usize = 256 * 1024;

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct BackedUp {
    /// Where it is.
    pub file: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What was on disk at this time is in it.
    pub taken_at: WallUs,
    /// The version of its schema.
    pub schema_version: i64,
    /// SHA-256 of all before its last line and of the beginning of that, in hexadecimal digits.
    pub digest: String,
    /// How long the write-ahead log became while it was held.
    pub wal_bytes_max: u64,
}

/// What was copied.
struct Copied {
    schema_version: i64,
    taken_at: WallUs,
    wal_bytes_max: u64,
}

/// A database that backups are made of.
#[derive(Clone, Debug)]
pub struct BackupSource {
    path: PathBuf,
    /// Held by a process that has the database open in other ways, too.
    _lock: Option<Arc<Lock>>,
}

impl Store {
    /// This database as one that backups are made of, by another thread.
    pub fn backup_source(&self) -> BackupSource {
        BackupSource { path: self.path().to_owned(), _lock: Some(Arc::clone(&self.lock)) }
    }
}

impl BackupSource {
    /// A database that another process may have open.
    ///
    /// # Errors
    /// When there is none.
    pub fn beside(path: &Path) -> Result<BackupSource, CopyError> {
        let path = fs::canonicalize(path).map_err(|why| OpenError::Unreadable(path.to_owned(), why))?;
        Ok(BackupSource { path, _lock: None })
    }

    /// The file of the database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a backup. It is there as a whole, and on disk, or not at all.
    ///
    /// # Errors
    /// Says what is in the way. What was there before is as it was.
    pub fn back_up(&self, target: &Path, is_replacing: bool, watch: Watch<'_>) -> Result<BackedUp, CopyError> {
        self.check_target(target, is_replacing)?;
        let mut part = Part::begin(target)?;
        let Copied { schema_version, taken_at, wal_bytes_max } = self.copy(&part, watch)?;
        seal::mark(&mut part.file, true).map_err(|why| CopyError::write(part.path(), why))?;
        let (bytes, digest) = add_seal(&mut part, taken_at, watch)?;
        part.take_place()?;
        Ok(BackedUp { file: target.to_owned(), bytes, taken_at, schema_version, digest, wal_bytes_max })
    }

    fn check_target(&self, target: &Path, is_replacing: bool) -> Result<(), CopyError> {
        let whole = whole_path(target);
        let own = ["", "-wal", "-shm", ".part"].map(|suffix| part::beside(&self.path, suffix));
        // By its name, without opening it: closing it would drop the locks that SQLite has for this process.
        let is_same_file = part::is_same(fs::metadata(&self.path), fs::metadata(target));
        if own.contains(&whole) || is_same_file {
            return Err(CopyError::Itself(target.to_owned()));
        }
        match File::open(target) {
            Ok(_) if !is_replacing => Err(CopyError::Exists(target.to_owned())),
            // As another server holds its database.
            Ok(file) if file.try_lock().is_err() => Err(CopyError::Busy(target.to_owned())),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Copies all pages of one state.
    fn copy(&self, part: &Part, watch: Watch<'_>) -> Result<Copied, CopyError> {
        let unread = |why: rusqlite::Error| CopyError::Open(open::damaged(&self.path, &why));
        let unwritten = |why: rusqlite::Error| CopyError::write(part.path(), why);
        let source = open::open_reader(&self.path).map_err(unread)?;
        let taken_at = clock::wall();
        source.execute_batch("BEGIN").map_err(unread)?;
        let number = |name: &str| -> Result<u64, CopyError> {
            source.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(unread)
        };
        // What is read first begins the transaction.
        let schema_version = open::version_of(&source, &self.path, APPLICATION_ID)?;
        let (pages, page_size) = (number("page_count")?, number("page_size")?);
        part.expect_room(pages * page_size)?;
        let mut copy = Connection::open(part.path()).map_err(unwritten)?;
        prepare(&copy).map_err(unwritten)?;
        let wal = wal_of(&self.path);
        let (mut wal_bytes_max, mut is_in_hurry, mut synced) = (0, false, 0);
        let (mut pace, mut sync_time) = (Pace::new(), Duration::ZERO);
        {
            let backup = Backup::new(&source, &mut copy).map_err(unwritten)?;
            loop {
                pace.rest(is_in_hurry);
                // What fails may be either side; SQLite does not say which.
                match backup.step(BACKUP_SLICE_PAGES).map_err(unwritten)? {
                    StepResult::Done => break,
                    StepResult::Busy | StepResult::Locked => thread::sleep(LOCK_WAIT),
                    _ => {}
                }
                let left = u64::try_from(backup.progress().remaining).unwrap_or(0) * page_size;
                let done = (pages * page_size).saturating_sub(left);
                if !watch(Progress { stage: "copying", done, of: pages * page_size }) {
                    return Err(CopyError::Cancelled);
                }
                if done >= synced + BACKUP_SYNC_LEN {
                    // A little at a time: what waits to be written would hold up the next commit.
                    pace.keep_off(2 * sync_time);
                    let began = Instant::now();
                    part.sync()?;
                    (synced, sync_time) = (done, began.elapsed());
                    wal_bytes_max = length_of(&wal).max(wal_bytes_max);
                    is_in_hurry = wal_bytes_max > BACKUP_WAL_HURRY;
                    if wal_bytes_max > BACKUP_WAL_MAX {
                        return Err(CopyError::Overtaken(self.path.clone(), wal_bytes_max));
                    }
                }
            }
        }
        copy.close().map_err(|(_, why)| unwritten(why))?;
        Ok(Copied { schema_version, taken_at, wal_bytes_max: length_of(&wal).max(wal_bytes_max) })
    }
}

/// A copy that fails is gone, so it needs no journal; and it is put on disk as it grows.
fn prepare(copy: &Connection) -> rusqlite::Result<()> {
    copy.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    copy.pragma_update_and_check(None, "journal_mode", "OFF", |_| Ok(()))?;
    copy.pragma_update(None, "synchronous", "OFF")?;
    copy.pragma_update(None, "cache_size", -CACHE_KIB)
}

/// Reads the copy back and adds its last line. Its length, and its digest.
fn add_seal(part: &mut Part, taken_at: WallUs, watch: Watch<'_>) -> Result<(u64, String), CopyError> {
    part.sync()?;
    let path = part.path().to_owned();
    let failed = |why| CopyError::read(&path, why);
    let length = part.file.metadata().map_err(failed)?.len();
    part.file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let (mut digest, mut piece, mut done) = (Digest::new(), vec![0; PIECE_LEN], 0);
    let mut pace = Pace::new();
    loop {
        pace.rest(false);
        let count = part.file.read(&mut piece).map_err(failed)?;
        if count == 0 {
            break;
        }
        digest.add(&piece[..count]);
        done += count as u64;
        if !watch(Progress { stage: "reading back", done, of: length }) {
            return Err(CopyError::Cancelled);
        }
    }
    let (line, digest) = digest.seal(taken_at);
    part.file.write_all(line.as_bytes()).map_err(|why| CopyError::write(&path, why))?;
    part.sync()?;
    Ok((length + line.len() as u64, digest))
}

/// A path that there need not be a file at, with its folder as it is.
pub(super) fn whole_path(path: &Path) -> PathBuf {
    let whole = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
    };
    fs::canonicalize(path).ok().or_else(whole).unwrap_or_else(|| path.to_owned())
}
