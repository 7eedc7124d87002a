//! Owns the backups that the server makes by itself: a thread that makes one every so often, and removes those that are too many.
//! It must not be waited for, nor keep the stop of the server waiting.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::background;
use crate::clock;
use crate::config::BackupPlan;
use crate::limits::{BACKUP_LOOK_EVERY, BACKUP_RETRY_WAIT, BACKUP_START_WAIT};
use crate::store::{BackupSource, CopyError};
use crate::time::{Instant, WallUs};

/// The running thread. Dropped, it gives up what it is at.
#[derive(Debug)]
pub(super) struct Backups {
    is_over: Arc<AtomicBool>,
}

impl Backups {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(plan: BackupPlan, source: BackupSource) -> io::Result<Backups> {
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&is_over);
        thread::Builder::new().name("backups".to_owned()).spawn(move || {
            background::give_way();
            let series = Series::new(&plan, &source);
            let begin = clock::wall();
            let mut due = series.due(begin, plan.every);
            while !watched.load(Ordering::Relaxed) {
                // A clock that was set back does not put it off for longer than it is apart.
                let now = clock::wall();
                due = due.min(after(now, plan.every));
                if now < due {
                    thread::sleep(BACKUP_LOOK_EVERY);
                    continue;
                }
                let made = match series.make(&source, &watched) {
                    Ok(made) => Some(made),
                    Err(CopyError::Cancelled) => return,
                    Err(why) => {
                        tracing::error!(%why, "a backup could not be made; it is tried again");
                        None
                    }
                };
                let rest = if made.is_some() { plan.every } else { plan.every.min(BACKUP_RETRY_WAIT) };
                due = after(now, rest);
                series.tidy(plan.keep, made.as_deref(), clock::wall());
            }
        })?;
        Ok(Backups { is_over })
    }

    /// No further one, and what it is at is given up: it holds the write-ahead log.
    pub(super) fn give_up(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn after(now: WallUs, time: Duration) -> WallUs {
    now.plus_us(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// The backups of one database in a folder: `NAME-20261201T030000Z.db`.
struct Series {
    folder: PathBuf,
    prefix: String,
}

const SUFFIX: &str = "Z.db";
/// What is left of one that was cut short.
const PART_SUFFIX: &str = "Z.db.part";
/// As in `20261201T030000`.
const TIME_LEN: usize = 15;

impl Series {
    fn new(plan: &BackupPlan, source: &BackupSource) -> Series {
        let name = source.path().file_stem().unwrap_or_default().to_string_lossy();
        Series { folder: plan.folder.clone(), prefix: format!("{name}-") }
    }

    /// What one that is taken in this second is called.
    fn name(&self, second: Instant) -> PathBuf {
        let time: String = second.to_string().chars().filter(|c| !matches!(c, '-' | ':' | 'Z')).collect();
        self.folder.join(format!("{}{time}{SUFFIX}", self.prefix))
    }

    /// Those that are there, or are no more than parts, oldest first. Files with other names are nobody's business.
    fn there(&self, suffix: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let time = name.to_str().and_then(|name| name.strip_prefix(&self.prefix)?.strip_suffix(suffix));
            if time.is_some_and(is_time) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// When the next one is due: so long after the last one, but not right at the start.
    fn due(&self, now: WallUs, every: Duration) -> WallUs {
        let first = after(now, every.min(BACKUP_START_WAIT));
        let last = self.there(SUFFIX).ok().and_then(|mut there| there.pop());
        let taken = last.and_then(|last| fs::metadata(last).ok()?.modified().ok()?.elapsed().ok());
        match taken {
            Some(age) => first.max(after(now, every.saturating_sub(age))),
            None => first,
        }
    }

    /// Where the new one is.
    fn make(&self, source: &BackupSource, is_over: &AtomicBool) -> Result<PathBuf, CopyError> {
        fs::create_dir_all(&self.folder)
            .map_err(|why| CopyError::Write(self.folder.clone(), format!("the folder cannot be made: {why}")))?;
        let file = self.name(clock::wall().floor());
        let mono = clock::mono();
        let made = source.back_up(&file, false, &mut |_| !is_over.load(Ordering::Relaxed))?;
        let seconds = (clock::mono().0 - mono.0) as f64 / 1e6;
        tracing::info!(file = %made.file.display(), bytes = made.bytes, seconds, "a backup was made");
        Ok(made.file)
    }

    /// Removes the oldest beyond those that are kept, but not the one that was just made, and what backups left that were cut
    /// short. Those of a clock that was ahead pass for the oldest: by their names they would outlive all others.
    fn tidy(&self, keep: u32, made: Option<&Path>, now: WallUs) {
        let failed = |path: &Path, why: io::Error| {
            tracing::warn!(path = %path.display(), %why, "an old backup cannot be removed");
        };
        let (mut there, parts) = match self.there(SUFFIX).and_then(|there| Ok((there, self.there(PART_SUFFIX)?))) {
            Ok(found) => found,
            Err(why) => return failed(&self.folder, why),
        };
        let latest = self.name(now.floor());
        // Each of the two kinds stays in its order.
        there.sort_by_key(|path| (Some(path.as_path()) == made, *path <= latest));
        let surplus = there.len().saturating_sub(keep as usize);
        // One that is being written is locked.
        let left = parts.iter().filter(|part| fs::File::open(part).is_ok_and(|part| part.try_lock().is_ok()));
        for old in there[..surplus].iter().chain(left) {
            if let Err(why) = fs::remove_file(old) {
                failed(old, why);
            }
        }
    }
}

fn is_time(text: &str) -> bool {
    let is_right = |(place, byte): (usize, u8)| if place == 8 { byte == b'T' } else { byte.is_ascii_digit() };
    text.len() == TIME_LEN && text.bytes().enumerate().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn so_many_are_kept_and_other_files_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let source = Store::open(&folder.path().join("p.db")).expect("it opens").backup_source();
        let plan = BackupPlan { folder: folder.path().join("b"), every: Duration::from_secs(60), keep: 2 };
        fs::create_dir(&plan.folder).expect("it can be made");
        let series = Series::new(&plan, &source);
        let now = WallUs::of(Instant::from_secs(1_767_229_831));
        assert_eq!(series.due(now, Duration::from_secs(5)), after(now, Duration::from_secs(5)), "none is there");
        let ours = [1, 2, 3, 4].map(|second| series.name(Instant::from_secs(1_767_229_830 + second)));
        assert!(ours[0].ends_with("p-20260101T011031Z.db"), "{}", ours[0].display());
        let others = [
            "q-20260101T011031Z.db",
            "p-20260101T011031Z.db.gz",
            "p-20260101.db",
            "p-.db",
            "p-20260101T01103\u{e9}Z.db",
        ];
        let others = others.map(|name| plan.folder.join(name));
        let parts = ["p-20260101T000000Z.db.part", "p-20260101T000001Z.db.part"].map(|name| plan.folder.join(name));
        for file in ours.iter().chain(&others).chain(&parts) {
            fs::write(file, "x").expect("it can be written");
        }
        let in_the_making = fs::File::open(&parts[1]).expect("it is there");
        in_the_making.lock().expect("nobody has it");
        series.tidy(2, None, now.plus_us(10_000_000));
        let is_there: Vec<bool> = ours.iter().chain(&parts).map(|file| file.exists()).collect();
        assert_eq!(is_there, [false, false, true, true, false, true]);
        assert!(others.iter().all(|file| file.exists()));
        // One of a clock that was ahead is no reason to remove others, nor does one that is behind remove what it makes.
        let ahead = series.name(Instant::from_secs(1_900_000_000));
        fs::write(&ahead, "x").expect("it can be written");
        series.tidy(2, Some(&ours[3]), now.plus_us(10_000_000));
        assert_eq!([&ahead, &ours[2], &ours[3]].map(|file| file.exists()), [false, true, true]);
        let behind = series.name(Instant::from_secs(1_000));
        fs::write(&behind, "x").expect("it can be written");
        series.tidy(2, Some(&behind), WallUs::of(Instant::from_secs(1_000)));
        assert_eq!([&behind, &ours[2], &ours[3]].map(|file| file.exists()), [true, false, true]);
        fs::remove_file(&behind).expect("it is there");
        // The last one is a moment old.
        let due = series.due(now, Duration::from_secs(3_600)).since_us(now);
        assert!((1_800_000_000..=3_600_000_000).contains(&due), "{due}");
    }
}
