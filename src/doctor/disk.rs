//! Owns the look at the database's folder: whether it can be written, what kind of file system that is, how long it takes
//! until something is on disk, what is left; and whether the database is one.
//! It must not touch the database, nor leave a file behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Finding;
use crate::limits::{
    DISK_FREE_MIN, DISK_SYNC_GOOD, DISK_SYNC_MAX, DOCTOR_SYNC_TIME, DOCTOR_SYNCS_MAX, DOCTOR_SYNCS_MIN,
};
use crate::store::{OpenError, Store};

const FOLDER: &str = "folder";
const FILE_SYSTEM: &str = "file system";
const SYNC: &str = "disk";
const FREE: &str = "free space";
const DATABASE: &str = "database";

/// As much as SQLite adds to its log for a page.
const APPENDED: [u8; 4_120] = [0; 4_120];

/// Looks at the folder, and at what can only be seen from there.
pub(super) fn examine(database: &Path, keep: u64, tell: &mut impl FnMut(Finding)) {
    let database = &std::path::absolute(database).unwrap_or_else(|_| database.to_owned());
    let wanted = database.parent().unwrap_or(Path::new("/"));
    // The server makes what is missing.
    let folder = wanted.ancestors().find(|folder| fs::symlink_metadata(folder).is_ok()).unwrap_or(Path::new("/"));
    let probe = folder.join(format!(".punctual-doctor-{}", std::process::id()));
    let shown = folder.display();
    let opened = OpenOptions::new().write(true).create_new(true).open(&probe).map(|file| Probe { file, path: probe });
    match &opened {
        Ok(_) if folder == wanted => tell(Finding::ok(FOLDER, format!("{shown} can be written"))),
        Ok(_) => tell(Finding::ok(FOLDER, format!("{} will be made, as {shown} can be written", wanted.display()))),
        Err(why) => {
            let advice = "give it to the user that runs the server (chown), or name another place with --db";
            tell(Finding::fail(FOLDER, format!("{shown} cannot be written: {why}"), advice));
        }
    }
    if let Some(finding) = file_system(folder) {
        tell(finding);
    }
    if let Ok(mut probe) = opened {
        tell(match probe.sync_again_and_again() {
            Ok(times) => judge_syncs(times),
            Err(why) => Finding::fail(SYNC, format!("nothing can be put on it: {why}"), "look at the disk and its log"),
        });
    }
    let used = fs::metadata(database).map_or(0, |file| file.len());
    tell(match rustix::fs::statvfs(folder) {
        Ok(found) => judge_free(found.f_bavail.saturating_mul(found.f_frsize), used, keep),
        Err(why) => Finding::warn(FREE, format!("not known: {}", io::Error::from(why)), "look at it with df"),
    });
}

/// A file that goes with its value.
struct Probe {
    file: File,
    path: PathBuf,
}

impl Drop for Probe {
    fn drop(&mut self) {
        // If it cannot be removed somebody else has done it.
        drop(fs::remove_file(&self.path));
    }
}

impl Probe {
    /// How long it takes until a little more is on disk, as the server's commits do it.
    fn sync_again_and_again(&mut self) -> io::Result<Vec<Duration>> {
        let (mut times, end) = (Vec::new(), Instant::now() + DOCTOR_SYNC_TIME);
        while times.len() < DOCTOR_SYNCS_MAX && (times.len() < DOCTOR_SYNCS_MIN || Instant::now() < end) {
            self.file.write_all(&APPENDED)?;
            let began = Instant::now();
            self.file.sync_data()?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// A commit is one such sync: a change is answered after it, and what is due a second and a half ahead has to be there.
fn judge_syncs(times: Vec<Duration>) -> Finding {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!(
        "a sync takes {:.2} ms (p50), at most {:.2} ms ({} tried): so long a change waits for its answer",
        millis(middle),
        millis(last),
        times.len()
    );
    let finding = if last > DISK_SYNC_MAX {
        let advice = "rows must be there 1.5 s ahead, or executions are late: use another disk, or keep others off it";
        Finding::fail(SYNC, found, advice)
    } else if middle > DISK_SYNC_GOOD {
        Finding::warn(SYNC, found, "changes are slow; a disk that has a cache with a battery, or an SSD, takes 1-5 ms")
    } else {
        Finding::ok(SYNC, found)
    };
    finding.with(&[("p50Ms", millis(middle)), ("maxMs", millis(last))])
}

fn judge_free(free: u64, used: u64, keep: u64) -> Finding {
    let found =
        format!("{} MiB are left; the database has {} MiB of --keep-mib {}", free >> 20, used >> 20, keep >> 20);
    let finding = if free < DISK_FREE_MIN {
        Finding::fail(FREE, found, "make room: on a full disk changes are refused, and executions stop")
    } else if free < keep.saturating_sub(used) {
        Finding::warn(
            FREE,
            found,
            "there is no room for as much as may be kept: lower --keep-mib, or use a larger disk",
        )
    } else {
        Finding::ok(FREE, found)
    };
    #[expect(clippy::cast_precision_loss, reason = "figures are for reading")]
    finding.with(&[("freeBytes", free as f64), ("databaseBytes", used as f64)])
}

#[cfg(target_os = "linux")]
fn file_system(folder: &Path) -> Option<Finding> {
    // Some systems have signed numbers of 32 bits there.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    Some(judge_file_system(rustix::fs::statfs(folder).ok()?.f_type as u32))
}

#[cfg(not(target_os = "linux"))]
fn file_system(_: &Path) -> Option<Finding> {
    None
}

/// statfs(2) and linux/magic.h have the numbers.
#[cfg(target_os = "linux")]
fn judge_file_system(kind: u32) -> Finding {
    let network = match kind {
        0x6969 => Some("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Some("SMB"),
        0x0102_1997 => Some("9P"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x7461_636f => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    };
    if let Some(name) = network {
        let advice = "SQLite needs locks and shared memory that only a local file system has: put --db on a local disk";
        return Finding::fail(FILE_SYSTEM, format!("{name}, a network file system"), advice);
    }
    match kind {
        0x0102_1994 | 0x8584_58f6 => Finding::warn(
            FILE_SYSTEM,
            "memory (tmpfs)",
            "all is gone when the machine stops: put --db on a disk, unless that is what you want",
        ),
        0x794c_7630 => Finding::warn(
            FILE_SYSTEM,
            "a layer over another one (overlay), as containers have it",
            "it goes with the container: put --db on a volume",
        ),
        0x6573_5546 => Finding::warn(
            FILE_SYSTEM,
            "one that a program serves (FUSE)",
            "if it leads over a network, put --db on a local disk",
        ),
        _ => Finding::ok(FILE_SYSTEM, format!("a local one (type {kind:#x})")),
    }
}

/// Looks at the database, if there is one. Whether a server has it.
pub(super) fn database(path: &Path, tell: &mut impl FnMut(Finding)) -> bool {
    let shown = path.display();
    let (finding, is_in_use) = match Store::look(path) {
        Ok(None) => (Finding::ok(DATABASE, format!("{shown} is not there yet; the first start makes it")), false),
        Ok(Some(looked)) => {
            let state = if looked.is_in_use { "and a server has it" } else { "and nobody has it" };
            (Finding::ok(DATABASE, format!("{shown} is one of Punctual's, {state}")), looked.is_in_use)
        }
        Err(why @ OpenError::Unreadable(..)) => {
            let advice = "give it to the user that runs the server (chown), and look as that user";
            (Finding::fail(DATABASE, why.to_string(), advice), false)
        }
        Err(why) => {
            (Finding::fail(DATABASE, why.to_string(), "name another file with --db, or restore a backup"), false)
        }
    };
    let is_ok = finding.advice.is_none();
    tell(finding);
    if is_ok && super::secrets::is_open(path) {
        let advice = format!("jobs and what targets said are in it: chmod 600 {shown}");
        tell(Finding::warn(DATABASE, format!("{shown} can be read by others than its owner and group"), advice));
    }
    is_in_use
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn syncs_are_held_against_what_waits_for_them() {
        let of = |middle: u64, last: u64| {
            let times = [middle, middle, last].map(Duration::from_millis).to_vec();
            judge_syncs(times).level
        };
        assert_eq!([of(2, 40), of(90, 100), of(2, 1_600)], [Level::Ok, Level::Warn, Level::Fail]);
    }

    #[test]
    fn room_is_held_against_what_may_be_kept() {
        let mib = 1 << 20;
        let of = |free: u64, used: u64| judge_free(free * mib, used * mib, 2_048 * mib).level;
        assert_eq!(
            [of(4_000, 0), of(1_000, 0), of(1_000, 1_500), of(20, 2_048)],
            [Level::Ok, Level::Warn, Level::Ok, Level::Fail]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_are_told_apart() {
        let of = |kind: u32| judge_file_system(kind).level;
        assert_eq!([of(0xef53), of(0x6969), of(0xff53_4d42)], [Level::Ok, Level::Fail, Level::Fail]);
        assert_eq!([of(0x0102_1994), of(0x794c_7630)], [Level::Warn, Level::Warn]);
        let proc = rustix::fs::statfs("/proc").expect("it is there").f_type;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
        let kind = proc as u32;
        assert_eq!(kind, 0x9fa0, "what the system says is the number that is meant");
    }
}
