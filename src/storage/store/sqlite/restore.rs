//! Owns putting a backup in place of a database: copied beside it, looked at, and then exchanged with it in one step.
//! It must not touch a database that a server uses, nor leave anything between the old one and the new one, whenever it
//! is killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::backup::whole_path;
use super::checkpoint::{length_of, wal_of};
use super::chore::is_of_page;
use super::copying::{CopyError, Watch};
use super::look::Look;
use super::open::{self, APPLICATION_ID, OpenError};
use super::part::{self, Part, beside};
use super::seal;
use super::whole;
use crate::clock;
use crate::durable::sync_folder;
use crate::limits::BACKUP_SYNC_LEN;
use crate::vault::Vault;

/// How long it waits for a command that reads the old database.
const READER_WAIT: Duration = Duration::from_secs(5);
/// Databases that were replaced in the same second.
const SAME_SECOND_MAX: u32 = 100;

/// A backup that was copied beside the database, which is locked meanwhile.
#[derive(Debug)]
pub struct Prepared {
    look: Look,
    part: Part,
    target: PathBuf,
    /// Keeps servers off what is there now, if something is.
    _lock: Option<File>,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The database.
    pub file: PathBuf,
    /// What was there before, if it was kept.
    pub kept: Option<PathBuf>,
}

impl Prepared {
    /// Copies a backup beside the database that it is to replace, and reads it as a whole on the way.
    ///
    /// # Errors
    /// When a server uses the database, or the backup is damaged, cut short, newer than this build, or of another program.
    pub fn new(from: &Path, database: &Path, vault: Option<Vault>, watch: Watch<'_>) -> Result<Prepared, CopyError> {
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|why| OpenError::Folder(folder.to_owned(), why))?;
        }
        // By a symbolic link it is what that leads to.
        let target = whole_path(database);
        let length = fs::metadata(from).map_err(|why| CopyError::read(from, why))?.len();
        if part::is_same(fs::metadata(from), fs::metadata(&target)) {
            return Err(CopyError::Itself(from.to_owned()));
        }
        let lock = if target.exists() { Some(lock_replaced(&target)?) } else { None };
        let mut part = Part::begin(&target)?;
        part.expect_room(length)?;
        let (path, mut written) = (part.path().to_owned(), 0);
        let taken_at = whole::read(
            from,
            |piece| {
                part.file.write_all(piece).map_err(|why| CopyError::write(&path, why))?;
                written += piece.len() as u64;
                if written >= BACKUP_SYNC_LEN {
                    written = 0;
                    part.sync()?;
                }
                Ok(())
            },
            watch,
        )?;
        seal::mark(&mut part.file, false).map_err(|why| CopyError::write(&path, why))?;
        let look = Look::at_copy(&path, vault, taken_at)?;
        Ok(Prepared { look, part, target, _lock: lock })
    }

    /// The copy, to be looked at.
    pub fn look(&self) -> &Look {
        &self.look
    }

    /// Puts the copy in place of the database. Killed between any two steps, there is the one or the other.
    ///
    /// # Errors
    /// Says what is in the way. The database is then as it was.
    pub fn replace(self, is_kept: bool) -> Result<Replaced, CopyError> {
        let Prepared { look, part, target, _lock } = self;
        look.end()?;
        let failed = |why: io::Error| CopyError::write(&target, why);
        let mut kept = None;
        // Held until the new one is there: whoever comes by the old name meanwhile writes nothing that would be lost.
        let mut closed = None;
        if target.exists() {
            keep_owner(&part.file, &target).map_err(failed)?;
            closed = close(&target)?;
            if is_kept {
                kept = Some(keep(&target).map_err(failed)?);
            }
        }
        // A log that is left is one of a damaged database. The new one must not meet it.
        for suffix in ["-wal", "-shm", "-journal"] {
            match fs::remove_file(beside(&target, suffix)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(failed(why)),
                Ok(()) | Err(_) => {}
            }
        }
        sync_folder(&target).map_err(failed)?;
        drop(part.take_place()?);
        drop(closed);
        Ok(Replaced { file: target, kept })
    }
}

/// The lock of what is to be replaced. It is ours, or cannot be read at all.
fn lock_replaced(target: &Path) -> Result<File, CopyError> {
    let lock = open::lock(target)?;
    let connection = open::open_reader(target).map_err(|why| open::damaged(target, &why));
    match connection.and_then(|connection| open::version_of(&connection, target, APPLICATION_ID)) {
        Err(why @ (OpenError::Foreign(_) | OpenError::Backup(_))) => Err(why.into()),
        // What it is replaced for may be that it is damaged, or too new.
        Ok(_) | Err(_) => Ok(lock),
    }
}

/// Makes one file of the old database and its log, which nobody reads or writes while the connection is open. None: it is
/// damaged so that this cannot be done.
fn close(target: &Path) -> Result<Option<Connection>, CopyError> {
    let go = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(target, flags)?;
        connection.busy_timeout(READER_WAIT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // That takes the log into the file, and removes it.
        connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
        connection.execute_batch("BEGIN EXCLUSIVE")?;
        Ok(connection)
    };
    match go() {
        Ok(connection) => Ok(Some(connection)),
        Err(why) if is_of_page(&why) => Ok(None),
        Err(why) => Err(OpenError::Database(target.to_owned(), format!("{why}; nothing was changed")).into()),
    }
}

/// Gives the old database a second name, and its log, if one was left.
fn keep(target: &Path) -> io::Result<PathBuf> {
    // As 20261201T030000Z: no colons, which not every system has in names.
    let second: String = clock::wall().floor().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    for number in 0..SAME_SECOND_MAX {
        let number = if number == 0 { String::new() } else { format!("-{number}") };
        let name = beside(target, &format!(".before-restore-{second}{number}"));
        match fs::hard_link(target, &name) {
            Ok(()) => {
                let wal = wal_of(target);
                if length_of(&wal) > 0 {
                    fs::hard_link(&wal, wal_of(&name))?;
                }
                sync_folder(target)?;
                return Ok(name);
            }
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(why),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

/// The new file is whose the old one was: root may restore for the user of a service.
#[cfg(unix)]
fn keep_owner(file: &File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (new, old) = (file.metadata()?, fs::metadata(target)?);
    if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}
