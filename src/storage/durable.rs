//! Owns files that are there, as a whole and under their names, once something says so.
//! It must not know what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes a file that is not there yet, and that only its owner reads. Of one that cannot be written nothing is left, unless
/// the process ends in between.
///
/// # Errors
/// When there is such a file, or the disk does not take it.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync_folder(path));
    // Half of it is worth nothing; if it cannot be removed either, whoever reads it refuses it.
    written.inspect_err(|_| drop(fs::remove_file(path)))
}

/// Puts the names in the folder of a file on disk.
///
/// # Errors
/// When the disk does not take them.
#[cfg(unix)]
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
