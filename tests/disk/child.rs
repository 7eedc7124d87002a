//! Owns what runs between the shim and the tests: a process that keeps a store, and says what it was told.
//! It must not judge: the test that started it does, by what the shim saw.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use punctual::job::{Context, JobId};
use punctual::store::{BackupSource, Batch, Housekeeping, Keep, Look, OpenError, Prepared, Store, Writer, WriterEvent};
use punctual::time::Instant;
use rusqlite::{Connection, OpenFlags};

use super::content::Content;
use super::support::PATIENCE;
use super::workload::{Workload, job};

/// The database in its folder.
pub(crate) const DATABASE: &str = "p.db";
/// The backup that is made meanwhile.
pub(crate) const BACKUP: &str = "backup.db";
/// How many executions of a job are kept where retention is to have something to do.
pub(crate) const KEPT: u64 = 8;
/// The name of the test that the process is.
const TEST: &str = "what_runs_under_the_shim";

/// What a process is to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) folder: PathBuf,
    pub(crate) seed: u64,
    /// The second at which it begins.
    pub(crate) second: i64,
    pub(crate) batches: usize,
    /// How often the store is opened anew on the way.
    pub(crate) lives: usize,
    /// How many executions of a job are kept.
    pub(crate) kept: u64,
    /// At one of so many batches the next sync of the log fails, whoever makes it; and in each second life, in the place of
    /// that, one of the database that readers had put off. 0: none of it.
    pub(crate) failing: usize,
}

/// Everything that a store does beside writing, so often that some of it is always under way.
pub(crate) fn quick() -> Housekeeping {
    Housekeeping {
        fold_every: Duration::from_millis(6),
        fold_slice_rows: 24,
        retain_every: Duration::from_millis(10),
        retain_look_every: Duration::from_millis(10),
        retain_slice_rows: 40,
        tombstones_every: Duration::from_millis(20),
        series_look_every: Duration::from_millis(10),
        checkpoint_every: Duration::from_millis(1),
        checkpoint_wal_min: 16 * 1024,
        wal_len_max: 160 * 1024,
        write_retry_wait: Duration::from_millis(1),
        chore_rest: Duration::from_millis(2),
    }
}

/// The opposite: nothing but writing.
pub(crate) fn never() -> Housekeeping {
    let never = Duration::from_secs(3_600);
    Housekeeping {
        fold_every: never,
        retain_every: never,
        retain_look_every: never,
        tombstones_every: never,
        series_look_every: never,
        ..Housekeeping::default()
    }
}

/// Nothing goes because of its age or of its bytes.
pub(crate) fn keep(rows_per_job: u64) -> Keep {
    let ever = Duration::from_secs(3_000_000_000);
    Keep { age: ever, rows_per_job, bytes: u64::MAX, audit_age: ever }
}

impl Task {
    /// Runs it in a process of its own behind the shim; the trace is in the file.
    pub(crate) fn run(&self, shim: &Path, trace: &Path, role: &str) {
        self.start(shim, trace, role, 1);
    }

    fn start(&self, shim: &Path, trace: &Path, role: &str, step: u64) {
        let mut command = Command::new(std::env::current_exe().expect("it is known"));
        command.args(["--exact", TEST, "--nocapture", "--test-threads", "1"]).stdin(Stdio::null());
        command.env("LD_PRELOAD", shim).env("DISK_FOLDER", &self.folder).env("DISK_TRACE", trace);
        command.env("DISK_STEP", step.to_string()).env("DISK_ROLE", role).env("DISK_TASK", self.to_text());
        let output = command.output().expect("it can be started");
        let [said, printed] = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
        assert!(output.status.success(), "{}: {said}\n{printed}", output.status);
        printed.lines().filter(|line| line.contains("endured")).for_each(|line| eprintln!("disk: {line}"));
    }

    /// All but the folder, as [`Task::mine`] reads it.
    fn to_text(&self) -> String {
        let Task { folder: _, seed, second, batches, lives, kept, failing } = self;
        format!("{seed} {second} {batches} {lives} {kept} {failing}")
    }

    /// Lets calls fail, every `step`th in turn, in a process of its own behind the shim.
    pub(crate) fn endure(&self, shim: &Path, step: u64) {
        self.start(shim, Path::new("/dev/null"), "endure", step);
    }

    /// The role and the task of this process, if it is one behind the shim.
    pub(crate) fn mine() -> Option<(String, Task)> {
        let role = std::env::var("DISK_ROLE").ok()?;
        let text = std::env::var("DISK_TASK").expect("it comes with the role");
        let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().expect("a number")).collect();
        let &[seed, second, batches, lives, kept, failing] = &numbers[..] else { panic!("six numbers") };
        let (second, failing) = (second as i64, failing as usize);
        let (batches, lives) = (batches as usize, lives as usize);
        let folder = std::env::var("DISK_FOLDER").expect("it comes with the role").into();
        Some((role, Task { folder, seed, second, batches, lives, kept, failing }))
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }
}

/// What a process says, so that it stands between the things it did to its files.
pub(crate) struct Saying(File);

impl Saying {
    pub(crate) fn begin(folder: &Path) -> Saying {
        Saying(OpenOptions::new().create(true).append(true).open(folder.join("said")).expect("it can be made"))
    }

    pub(crate) fn say(&mut self, what: &str) {
        self.0.write_all(what.as_bytes()).expect("the shim takes it");
    }
}

/// A store that is given one batch after the other.
pub(crate) struct Keeping {
    writer: Writer,
    woken: Receiver<()>,
    /// Batches that are not answered.
    waiting: usize,
    /// Items that are not on disk and never will be.
    rejected: BTreeSet<u64>,
}

impl Keeping {
    pub(crate) fn begin(store: Store, keep: Keep, housekeeping: Housekeeping) -> Keeping {
        Keeping::try_begin(store, keep, housekeeping).expect("threads can be had")
    }

    fn try_begin(store: Store, keep: Keep, housekeeping: Housekeeping) -> std::io::Result<Keeping> {
        let (say, woken) = bounded(1_000);
        let notify = Arc::new(move || say.try_send(()).unwrap_or(()));
        let writer = Writer::start(store, keep, housekeeping, notify)?;
        Ok(Keeping { writer, woken, waiting: 0, rejected: BTreeSet::new() })
    }

    pub(crate) fn send(&mut self, batch: Batch) {
        self.writer.send(batch);
        self.waiting += 1;
    }

    /// Waits until no more than so many batches are unanswered; `committed` hears of each that is on disk.
    pub(crate) fn settle(&mut self, most: usize, mut committed: impl FnMut()) {
        while self.waiting > most {
            self.woken.recv().expect("the writer runs");
            while let Some(event) = self.writer.try_event() {
                match event {
                    WriterEvent::Committed { .. } => {
                        self.waiting -= 1;
                        committed();
                    }
                    WriterEvent::Failing { rejected, .. } => self.rejected.extend(rejected),
                    WriterEvent::Fenced => unreachable!("a file is nobody else's"),
                    WriterEvent::ChoreFailed { .. } | WriterEvent::Working => {}
                }
            }
        }
    }

    pub(crate) fn stop(mut self) {
        self.writer.stop();
    }
}

/// Opens a store as a server does; once whoever had it last is gone, whose threads end when they come to it.
pub(crate) fn opened(path: &Path) -> Result<Store, OpenError> {
    let begun = std::time::Instant::now();
    loop {
        match Store::open(path) {
            Err(OpenError::InUse(_)) if begun.elapsed() < PATIENCE => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

/// The same, with what is in it loaded.
pub(crate) fn open(path: &Path) -> Result<Store, String> {
    let mut store = opened(path).map_err(|why| why.to_string())?;
    store.load(&Context::at(Instant::FIRST), drop, drop).map_err(|why| why.to_string())?;
    Ok(store)
}

/// Writes all batches, in several lives of the store, with a backup on the way.
pub(crate) fn work(task: &Task) {
    let mut saying = Saying::begin(&task.folder);
    let mut workload = Workload::new(task.seed, task.second);
    let (mut sent, mut acknowledged) = (0, 0);
    for life in 0..task.lives {
        let store = open(&task.database()).expect("the disk is well");
        let source = store.backup_source();
        let mut keeping = Keeping::begin(store, keep(task.kept), quick());
        let until = task.batches * (life + 1) / task.lives;
        let mut _reader = None;
        while sent < until {
            sent += 1;
            saying.say(&format!("sent {sent}"));
            if task.failing > 0 && life % 2 == 1 {
                if (until - 10..until - 6).contains(&sent) {
                    // Each lets a checkpoint come to where it began, and no further.
                    _reader = Some(reading(&task.database()));
                } else if sent == until - 6 {
                    // What was copied behind the readers was not synced.
                    order(&task.folder, "d 0 1");
                    _reader = None;
                }
            } else if task.failing > 0 && sent % task.failing == 0 {
                order(&task.folder, "l 0 1");
            }
            keeping.send(workload.batch());
            keeping.settle(1, || {
                acknowledged += 1;
                saying.say(&format!("acknowledged {acknowledged}"));
            });
            // Housekeeping comes between batches; now and then it gets through with the log.
            std::thread::sleep(Duration::from_millis(if sent % 10 == 0 { 20 } else { 2 }));
            if life == task.lives / 3 && sent == until - 2 {
                saying.say(&format!("backup of {acknowledged} {sent}"));
                order(&task.folder, "- 0 0");
                source.back_up(&task.folder.join(BACKUP), true, &mut |_| true).expect("it can be made");
                saying.say("backed up");
            }
        }
        keeping.settle(0, || {
            acknowledged += 1;
            saying.say(&format!("acknowledged {acknowledged}"));
        });
        // What a sync was for that failed may be on disk.
        assert!(keeping.rejected.is_empty(), "{:?} may come to light after a crash", keeping.rejected);
        keeping.stop();
        order(&task.folder, "- 0 0");
    }
}

/// Somebody who reads what there is now, and so keeps checkpoints from going further, until it is dropped.
fn reading(path: &Path) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it can be opened");
    connection.execute_batch("BEGIN; SELECT count(*) FROM jobs").expect("it can be read");
    connection
}

/// The order to the shim: which calls are to fail from now on.
fn order(folder: &Path, what: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("faults")).expect("it can be made");
    file.write_all(what.as_bytes()).expect("the shim takes it");
}

/// A way in which calls fail, as the shim has it, and how many of them.
pub(crate) const FAULTS: [(&str, u64); 6] = [("e", 1), ("e", 40), ("n", 1), ("n", 120), ("h", 1), ("f", 1)];

/// Lets the calls of a short life fail in turn: each that `step` comes to. Whatever was not rejected must be there.
pub(crate) fn endure(task: &Task, step: u64) {
    let (mut runs, mut hits) = (0, 0);
    for (kind, count) in FAULTS {
        let mut first = task.seed % step;
        loop {
            let was_hit = endure_one(task, kind, first, count);
            runs += 1;
            if !was_hit {
                break;
            }
            hits += 1;
            first += step;
        }
    }
    println!("endured {hits} faults in {runs} runs");
    assert!(hits > FAULTS.len() as u64 * 4, "the faults took place");
}

/// Whether the fault took place.
fn endure_one(task: &Task, kind: &str, first: u64, count: u64) -> bool {
    let what = format!("{kind} {first} {count}");
    let (folder, reference) = (task.folder.join("faulty"), task.folder.join("well"));
    for folder in [&folder, &reference] {
        std::fs::create_dir(folder).expect("it can be made");
    }
    let path = folder.join(DATABASE);
    order(&task.folder, &what);
    let mut rejected = BTreeSet::new();
    let (mut keeping, source) = begun_in_the_end(&path);
    let mut workload = Workload::new(task.seed, task.second);
    let backup = folder.join(BACKUP);
    for number in 0..task.batches {
        keeping.send(workload.batch());
        keeping.settle(1, || ());
        if number == task.batches / 2 {
            // It may fail, and then there is none.
            let made = source.back_up(&backup, false, &mut |_| true);
            assert!(made.is_err() || backup.exists(), "{what}: {made:?}");
        }
    }
    keeping.settle(0, || ());
    rejected.append(&mut keeping.rejected);
    keeping.stop();
    // It keeps others off as well.
    drop(source);
    order(&task.folder, "- 0 0");
    let hit = task.folder.join("hit");
    let was_hit = hit.exists();
    if was_hit {
        std::fs::remove_file(hit).expect("it is there");
    }
    if backup.exists() {
        Look::open(&backup, None, &mut |_| true).unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    let jobs: Vec<JobId> = (1..=workload.jobs_made()).map(job).collect();
    let found = Content::of(&path, &jobs).unwrap_or_else(|why| panic!("{what}: {why}"));
    let mut keeping = Keeping::begin(open(&reference.join(DATABASE)).expect("it is well"), keep(u64::MAX), never());
    let mut workload = Workload::new(task.seed, task.second);
    for _ in 0..task.batches {
        keeping.send(without(workload.batch(), &rejected));
        keeping.settle(0, || ());
    }
    keeping.stop();
    let expected = Content::of(&reference.join(DATABASE), &jobs).expect("it is well");
    let difference = found.difference(&expected, usize::MAX);
    assert!(difference.is_none(), "{what}: {}; rejected {rejected:?}", difference.unwrap_or_default());
    for folder in [folder, reference] {
        std::fs::remove_dir_all(folder).expect("nobody has it");
    }
    was_hit
}

/// A start that fails is tried again, as a service is.
fn begun_in_the_end(path: &Path) -> (Keeping, BackupSource) {
    loop {
        let Ok(store) = open(path) else { continue };
        let source = store.backup_source();
        if let Ok(keeping) = Keeping::try_begin(store, keep(u64::MAX), quick()) {
            return (keeping, source);
        }
    }
}

/// What is left of a batch of which some items were rejected.
fn without(mut batch: Batch, rejected: &BTreeSet<u64>) -> Batch {
    batch.items.retain(|(number, _)| !rejected.contains(number));
    batch.answers.retain(|(number, _)| !rejected.contains(number));
    batch.audits.retain(|(number, _)| number.is_none_or(|number| !rejected.contains(&number)));
    batch
}

/// Opens a database, which may be of an earlier version.
pub(crate) fn migrate(task: &Task) {
    let mut saying = Saying::begin(&task.folder);
    drop(open(&task.database()).expect("the disk is well"));
    saying.say("done");
}

/// Puts the backup in place of the database.
pub(crate) fn restore(task: &Task) {
    let mut saying = Saying::begin(&task.folder);
    let prepared = Prepared::new(&task.folder.join(BACKUP), &task.database(), None, &mut |_| true);
    prepared.expect("it is whole").replace(true).expect("the disk is well");
    saying.say("done");
}
