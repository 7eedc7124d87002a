//! Owns telling whether a file is whole: a backup with all that it was made of, or at least no part of a database.
//! It must not look into pages: that is SQLite's.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::backup::PIECE_LEN;
use super::checkpoint::{length_of, wal_of};
use super::copying::{CopyError, Progress, Watch};
use super::open::OpenError;
use super::seal::{Digest, Header, LINE_LEN};

/// Reads a file from its beginning to its end, and hands its pages on. When the backup was taken, if it is one.
pub(super) fn read(
    path: &Path,
    mut page: impl FnMut(&[u8]) -> Result<(), CopyError>,
    watch: Watch<'_>,
) -> Result<Option<String>, CopyError> {
    let mut file = File::open(path).map_err(|why| CopyError::read(path, why))?;
    let length = file.metadata().map_err(|why| CopyError::read(path, why))?.len();
    let header = Header::read(&mut file, path)?;
    let pages = check_length(path, &header, length)?;
    if !header.is_ours() {
        return Err(OpenError::Foreign(path.to_owned()).into());
    }
    file.seek(SeekFrom::Start(0)).map_err(|why| CopyError::read(path, why))?;
    let (mut digest, mut piece, mut done) = (Digest::new(), vec![0; PIECE_LEN], 0);
    while done < pages {
        let most = usize::try_from(pages - done).map_or(PIECE_LEN, |left| left.min(PIECE_LEN));
        let count = file.read(&mut piece[..most]).map_err(|why| CopyError::read(path, why))?;
        if count == 0 {
            return Err(CopyError::NotWhole(path.to_owned(), "it was cut short just now".to_owned()));
        }
        digest.add(&piece[..count]);
        page(&piece[..count])?;
        done += count as u64;
        if !watch(Progress { stage: "reading", done, of: pages }) {
            return Err(CopyError::Cancelled);
        }
    }
    if !header.is_backup() {
        return Ok(None);
    }
    let mut line = Vec::new();
    file.take(LINE_LEN as u64 + 1).read_to_end(&mut line).map_err(|why| CopyError::read(path, why))?;
    let damaged = || {
        let what = "it is damaged, or was changed: its last line does not fit what stands before it";
        CopyError::NotWhole(path.to_owned(), what.to_owned())
    };
    digest.verify(&line).map(Some).ok_or_else(damaged)
}

/// How many bytes are pages.
fn check_length(path: &Path, header: &Header, length: u64) -> Result<u64, CopyError> {
    let not_whole = |what: String| Err(CopyError::NotWhole(path.to_owned(), what));
    if !header.is_backup() {
        let wal = wal_of(path);
        if length_of(&wal) > 0 {
            return not_whole(format!(
                "a part of it is in {}; `punctual backup --db` makes one file of both",
                wal.display()
            ));
        }
        return match header.length {
            Some(whole) if length < whole => not_whole(format!("it is cut short: it has {length} bytes of {whole}")),
            Some(_) | None => Ok(length),
        };
    }
    let Some(pages) = header.length else {
        return not_whole("it is damaged: it does not say how long it is".to_owned());
    };
    let whole = pages + LINE_LEN as u64;
    if length < whole {
        return not_whole(format!("it is cut short: it has {length} bytes of {whole}"));
    }
    if length > whole {
        return not_whole(format!("something was added to it: it has {length} bytes, and should have {whole}"));
    }
    Ok(pages)
}
