//! Owns what makes a backup more than a copy: it says that it is one, and ends in a line with the digest of all before it,
//! so that nothing can be missing or different without being noticed.
//! It must not write to a file that SQLite has open.
//!
//! A backup is a SQLite database that any shell reads: what stands behind the last page does not belong to it
//! (<https://sqlite.org/fileformat2.html>, section 1.3.8). To change the line, raise its number and go on reading the old one.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::copying::CopyError;
use super::open::{APPLICATION_ID, BACKUP_ID, SQLITE_MAGIC};
use crate::time::WallUs;

/// What the last line is made of: when the backup was taken stands between the first two, the digest between the others.
const LINE: [&str; 3] = ["\nPunctual backup 1, taken ", ", SHA-256 ", "\n"];
/// A time such as `2026-01-01T01:10:31.050Z`.
const TIME_LEN: usize = 24;
/// SHA-256 in hexadecimal digits.
const DIGEST_LEN: usize = 64;
/// The length of the line before the digest.
const HEAD_LEN: usize = LINE[0].len() + TIME_LEN + LINE[1].len();
/// The length of the line.
pub(super) const LINE_LEN: usize = HEAD_LEN + DIGEST_LEN + LINE[2].len();

/// The first bytes of a database that matter here (section 1.3).
const HEADER_LEN: usize = 100;
const PAGE_SIZE_AT: usize = 16;
const WRITE_VERSION_AT: usize = 18;
const COUNTER_AT: usize = 24;
const PAGES_AT: usize = 28;
const APPLICATION_AT: usize = 68;
const VALID_FOR_AT: usize = 92;

/// What the first bytes of a database say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How long the database is without a log, in bytes; None: it does not say.
    pub(super) length: Option<u64>,
    /// Whose it says it is.
    pub(super) application: i64,
}

impl Header {
    /// Reads it from the start of a file.
    pub(super) fn read(file: &mut File, path: &Path) -> Result<Header, CopyError> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(HEADER_LEN as u64).read_to_end(&mut bytes));
        read.map_err(|why| CopyError::read(path, why))?;
        if !bytes.starts_with(SQLITE_MAGIC) {
            return Err(super::OpenError::NotADatabase(path.to_owned()).into());
        }
        let number = |at: usize, length: usize| {
            let bytes = bytes.get(at..at + length)?;
            Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let cut = || CopyError::NotWhole(path.to_owned(), format!("it is cut short: it has {} bytes", bytes.len()));
        // 1 stands for 65,536.
        let page_size = match number(PAGE_SIZE_AT, 2).ok_or_else(cut)? {
            1 => 65_536,
            size => size,
        };
        let is_counted = number(COUNTER_AT, 4) == number(VALID_FOR_AT, 4);
        let pages = number(PAGES_AT, 4).filter(|&pages| pages > 0 && is_counted);
        let application = number(APPLICATION_AT, 4).and_then(|id| i64::try_from(id).ok()).ok_or_else(cut)?;
        number(VALID_FOR_AT, 8).ok_or_else(cut)?;
        Ok(Header { length: pages.map(|pages| pages * page_size), application })
    }

    /// Whether it says that it is a backup.
    pub(super) fn is_backup(&self) -> bool {
        self.application == BACKUP_ID
    }

    /// Whether it says that it is a database of this program, or a backup of one.
    pub(super) fn is_ours(&self) -> bool {
        [APPLICATION_ID, BACKUP_ID].contains(&self.application)
    }
}

/// Says in the file of a database that it is a backup, or that it is none any more. It has no write-ahead log then: a backup
/// can be read where nothing can be written.
pub(super) fn mark(file: &mut File, is_backup: bool) -> io::Result<()> {
    let id = u32::try_from(if is_backup { BACKUP_ID } else { APPLICATION_ID }).expect("both have four bytes");
    file.seek(SeekFrom::Start(WRITE_VERSION_AT as u64))?;
    file.write_all(&[1, 1])?;
    file.seek(SeekFrom::Start(APPLICATION_AT as u64))?;
    file.write_all(&id.to_be_bytes())
}

/// The digest of a backup in the making.
pub(super) struct Digest(ring::digest::Context);

impl Digest {
    /// Of nothing yet.
    pub(super) fn new() -> Digest {
        Digest(ring::digest::Context::new(&ring::digest::SHA256))
    }

    /// Goes on with these bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The last line of the backup, and its digest.
    pub(super) fn seal(mut self, taken_at: WallUs) -> (String, String) {
        let head = format!("{}{taken_at}{}", LINE[0], LINE[1]);
        assert_eq!(head.len(), HEAD_LEN, "times of this era have one length");
        self.add(head.as_bytes());
        let digest = self.hex();
        (format!("{head}{digest}{}", LINE[2]), digest)
    }

    fn hex(self) -> String {
        self.0.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this is the last line of what was added. When the backup was taken.
    pub(super) fn verify(mut self, line: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(line).ok().filter(|text| text.len() == LINE_LEN)?;
        let (head, rest) = text.split_at_checked(HEAD_LEN)?;
        let time = head.strip_prefix(LINE[0])?.strip_suffix(LINE[1])?;
        let digest = rest.strip_suffix(LINE[2])?;
        self.add(head.as_bytes());
        (self.hex() == digest).then(|| time.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_what_it_was_made_of_and_nothing_else() {
        let digest = |text: &[u8]| {
            let mut digest = Digest::new();
            digest.add(text);
            digest
        };
        let (line, _) = digest(b"pages").seal(WallUs(1_767_229_831_050_000));
        assert_eq!(digest(b"pages").verify(line.as_bytes()).as_deref(), Some("2026-01-01T01:10:31.050Z"));
        assert_eq!(digest(b"Pages").verify(line.as_bytes()), None);
        for at in 0..line.len() {
            let mut other = line.clone().into_bytes();
            other[at] ^= 1;
            assert_eq!(digest(b"pages").verify(&other), None, "byte {at}");
            assert_eq!(digest(b"pages").verify(&line.as_bytes()[..at]), None, "cut at {at}");
        }
    }
}
