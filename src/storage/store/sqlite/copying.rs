//! Owns how copies of the database are made beside a server that fires: how fast, and why one is given up.
//! It must not know what is copied.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::OpenError;
use crate::clock;
use crate::limits::{
    BACKUP_AHEAD_MAX_US, BACKUP_QUIET_AFTER_US, BACKUP_QUIET_AHEAD_US, BACKUP_REST_MAX, BACKUP_SLICE_TIME,
};
use crate::time::US_PER_SECOND;

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: &'static str,
    /// Bytes that are done.
    pub done: u64,
    /// Of so many; 0: nobody knows.
    pub of: u64,
}

/// Whoever watches a copy: told how far it is, and asked whether to go on.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> bool;

/// Work that gives way: it takes half of the time at most, so that commits find the disk free, and none around full
/// seconds, when the cores belong to what is due.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
}

impl Pace {
    /// Work begins.
    pub(super) fn new() -> Pace {
        Pace { since: Instant::now() }
    }

    /// To be called between slices of work. In a hurry it only keeps off full seconds.
    pub(super) fn rest(&mut self, is_in_hurry: bool) {
        let worked = self.since.elapsed();
        if !is_in_hurry && worked >= BACKUP_SLICE_TIME {
            thread::sleep(worked.min(BACKUP_REST_MAX));
            self.since = Instant::now();
        }
        self.keep_off(Duration::ZERO);
    }

    /// Waits until something that takes so long ends before the next full second: what a disk is busy with costs the cores
    /// something, too.
    pub(super) fn keep_off(&mut self, length: Duration) {
        let length_us = i64::try_from(length.as_micros()).unwrap_or(i64::MAX).min(BACKUP_AHEAD_MAX_US);
        let ahead_us = length_us.max(BACKUP_QUIET_AHEAD_US);
        let wait = until_quiet_is_over(clock::wall().0.rem_euclid(US_PER_SECOND), ahead_us);
        if !wait.is_zero() {
            thread::sleep(wait);
            self.since = Instant::now();
        }
    }
}

/// How long a full second and what is due at it is to be left alone by something that takes so long, given how far this
/// second is, all in microseconds.
fn until_quiet_is_over(passed_us: i64, ahead_us: i64) -> Duration {
    let left_us = US_PER_SECOND - passed_us;
    let wait_us =
        if left_us < ahead_us { left_us + BACKUP_QUIET_AFTER_US } else { (BACKUP_QUIET_AFTER_US - passed_us).max(0) };
    Duration::from_micros(wait_us.unsigned_abs())
}

/// Why there is no copy, or why it is not put in place of the database.
#[derive(Debug)]
pub enum CopyError {
    /// The database cannot be read.
    Open(OpenError),
    /// There is such a file.
    Exists(PathBuf),
    /// It would be written over the database, or its log.
    Itself(PathBuf),
    /// Another process writes the same file, or uses it.
    Busy(PathBuf),
    /// The disk would be too full afterwards, in bytes.
    NoRoom {
        /// The file.
        path: PathBuf,
        /// What it takes.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// A file cannot be read.
    Read(PathBuf, String),
    /// A file cannot be written.
    Write(PathBuf, String),
    /// So many bytes were written to the database meanwhile that its log grew too long.
    Overtaken(PathBuf, u64),
    /// The file is damaged, cut short, or was changed.
    NotWhole(PathBuf, String),
    /// Whoever watched did not want it any more.
    Cancelled,
}

impl CopyError {
    pub(super) fn write(path: &Path, why: impl fmt::Display) -> CopyError {
        CopyError::Write(path.to_owned(), why.to_string())
    }

    pub(super) fn read(path: &Path, why: io::Error) -> CopyError {
        CopyError::Read(path.to_owned(), why.to_string())
    }

    /// Whether the file was looked at, and is not what it should be; not that it could not be looked at.
    pub fn is_verdict(&self) -> bool {
        match self {
            CopyError::NotWhole(..) => true,
            CopyError::Open(why) => match why {
                OpenError::NotADatabase(_)
                | OpenError::Foreign(_)
                | OpenError::Newer { .. }
                | OpenError::Damaged(..)
                | OpenError::Sealed(_)
                | OpenError::OtherKey(_) => true,
                OpenError::Folder(..)
                | OpenError::Lock(..)
                | OpenError::InUse(_)
                | OpenError::Unreadable(..)
                | OpenError::Database(..)
                | OpenError::InPart(_)
                | OpenError::Backup(_) => false,
            },
            CopyError::Exists(_)
            | CopyError::Itself(_)
            | CopyError::Busy(_)
            | CopyError::NoRoom { .. }
            | CopyError::Read(..)
            | CopyError::Write(..)
            | CopyError::Overtaken(..)
            | CopyError::Cancelled => false,
        }
    }
}

impl From<OpenError> for CopyError {
    fn from(why: OpenError) -> CopyError {
        CopyError::Open(why)
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Open(why) => why.fmt(f),
            CopyError::Exists(path) => write!(f, "failed to make {}: there is such a file", path.display()),
            CopyError::Itself(path) => {
                write!(f, "failed to make {}: that is the database itself, or its log", path.display())
            }
            CopyError::Busy(path) => write!(f, "failed to write {}: another process is writing it", path.display()),
            CopyError::NoRoom { path, needed, free } => write!(
                f,
                "failed to write {}: it takes {} MiB, and the disk has {} MiB left",
                path.display(),
                needed >> 20,
                free >> 20
            ),
            CopyError::Read(path, why) => write!(f, "failed to read {}: {why}", path.display()),
            CopyError::Write(path, why) => write!(f, "failed to write {}: {why}", path.display()),
            CopyError::Overtaken(path, bytes) => write!(
                f,
                "failed to read {}: so much is written to it that its log grew to {} MiB meanwhile; the server is \
                 unharmed; try again when it has less to do",
                path.display(),
                bytes >> 20
            ),
            CopyError::NotWhole(path, what) => write!(f, "{}: {what}", path.display()),
            CopyError::Cancelled => f.write_str("given up, as the server stops"),
        }
    }
}

impl std::error::Error for CopyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_seconds_are_left_alone() {
        let after = BACKUP_QUIET_AFTER_US;
        for (passed, wait) in [
            (0, after),
            (after - 1, 1),
            (after, 0),
            (500_000, 0),
            (US_PER_SECOND - BACKUP_QUIET_AHEAD_US, 0),
            (US_PER_SECOND - BACKUP_QUIET_AHEAD_US + 1, BACKUP_QUIET_AHEAD_US - 1 + after),
            (US_PER_SECOND - 1, 1 + after),
        ] {
            let found = until_quiet_is_over(passed, BACKUP_QUIET_AHEAD_US);
            assert_eq!(found, Duration::from_micros(wait.unsigned_abs()), "{passed}");
        }
        // What takes longer begins earlier, or afterwards.
        assert_eq!(until_quiet_is_over(700_000, 300_000), Duration::ZERO);
        let wait = Duration::from_micros(299_999 + after.unsigned_abs());
        assert_eq!(until_quiet_is_over(700_001, 300_000), wait);
    }
}
