//! Owns folders that are there for one run.
//! It must not know what lies in them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::BenchError;

/// A new folder in `parent`.
pub(super) fn make(parent: &Path) -> Result<PathBuf, BenchError> {
    let made = (0..1_000).find_map(|number| {
        let folder = parent.join(format!("punctual-bench-{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => None,
            Err(why) => Some(Err(BenchError::File(folder, why))),
            Ok(()) => Some(Ok(folder)),
        }
    });
    made.unwrap_or_else(|| Err(BenchError::File(parent.to_owned(), io::ErrorKind::AlreadyExists.into())))
}

/// Takes it away. What is left in a folder for temporary files does no harm.
pub(super) fn discard(folder: &Path) {
    drop(fs::remove_dir_all(folder));
}
