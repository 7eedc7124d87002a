//! Owns a file in the making: it has a name of its own until it is complete and on disk, and then takes its place at once.
//! It must not leave behind what is not complete, nor let two processes make the same file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::copying::CopyError;
use crate::durable::sync_folder;
use crate::limits::BACKUP_ROOM_MIN;

/// How often another process may have finished the same file between two steps of ours.
const TRIES: u32 = 10;

/// A file in the making. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    /// Locked as long as it is open.
    pub(super) file: File,
    is_done: bool,
}

impl Part {
    /// Begins, empty: what a process left that was killed is written over. Only its owner may read it.
    pub(super) fn begin(target: &Path) -> Result<Part, CopyError> {
        let path = beside(target, ".part");
        let failed = |why: io::Error| CopyError::write(&path, why);
        for _ in 0..TRIES {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let file = options.open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(CopyError::Busy(path)),
                Err(TryLockError::Error(why)) => return Err(failed(why)),
            }
            // Another process may have put it in its place since it was opened.
            if is_named(&file, &path) {
                file.set_len(0).map_err(failed)?;
                return Ok(Part { path, target: target.to_owned(), file, is_done: false });
            }
        }
        Err(CopyError::Busy(path))
    }

    /// Its name for now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether so many bytes fit beside it, with some room left: a server may write to the same disk.
    pub(super) fn expect_room(&self, bytes: u64) -> Result<(), CopyError> {
        match free(&self.path) {
            Some(free) if free < bytes.saturating_add(BACKUP_ROOM_MIN) => {
                Err(CopyError::NoRoom { path: self.target.clone(), needed: bytes + BACKUP_ROOM_MIN, free })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What is written so far is on disk, and takes up no memory.
    pub(super) fn sync(&self) -> Result<(), CopyError> {
        self.file.sync_data().map_err(|why| CopyError::write(&self.path, why))?;
        #[cfg(target_os = "linux")]
        // Memory is for what the server needs. A system that does not care to be told so is as good.
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed).ok();
        Ok(())
    }

    /// Puts it in its place, complete and on disk. What was there before is gone. The file is still locked.
    pub(super) fn take_place(mut self) -> Result<File, CopyError> {
        let failed = |why: io::Error| CopyError::write(&self.target, why);
        self.file.sync_all().map_err(failed)?;
        let file = self.file.try_clone().map_err(failed)?;
        fs::rename(&self.path, &self.target).map_err(failed)?;
        self.is_done = true;
        sync_folder(&self.target).map_err(failed)?;
        Ok(file)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_done {
            // If it cannot be removed, the next one writes over it.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// A name that begins as the file's.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether this name leads to this open file.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    is_same(file.metadata(), fs::metadata(path))
}

/// Whether these are of one file.
#[cfg(unix)]
pub(super) fn is_same(one: io::Result<fs::Metadata>, other: io::Result<fs::Metadata>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |found: io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    place(one).is_some_and(|one| place(other) == Some(one))
}

#[cfg(not(unix))]
pub(super) fn is_same(one: io::Result<fs::Metadata>, other: io::Result<fs::Metadata>) -> bool {
    // Systems without inodes do not rename what is open.
    one.is_ok() && other.is_ok()
}

/// What the disk of a file has left for whoever is not root, in bytes.
#[cfg(unix)]
fn free(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn free(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_part_is_made_by_one_and_is_gone_unless_it_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("b.db");
        let names = || {
            let entries = fs::read_dir(folder.path()).expect("it is there");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("listed").file_name()).collect();
            names.sort();
            names
        };
        fs::write(folder.path().join("b.db.part"), "what a killed one left").expect("written");
        let part = Part::begin(&target).expect("nobody makes it");
        assert_eq!(part.file.metadata().expect("open").len(), 0);
        let why = Part::begin(&target).expect_err("somebody makes it").to_string();
        assert!(why.contains("another process is writing it"), "{why}");
        assert_eq!(names(), ["b.db.part"]);
        drop(part);
        assert!(names().is_empty());
        let mut part = Part::begin(&target).expect("nobody makes it");
        part.file.write_all(b"whole").expect("written");
        let locked = part.take_place().expect("it is whole");
        assert_eq!((names(), fs::read(&target).expect("it is there")), (vec!["b.db".into()], b"whole".to_vec()));
        assert!(matches!(File::open(&target).expect("it is there").try_lock(), Err(TryLockError::WouldBlock)));
        drop(locked);
        assert!(matches!(
            Part::begin(&target).expect("again").expect_room(u64::MAX / 2),
            Err(CopyError::NoRoom { .. })
        ));
    }
}
