//! Owns the store on a faulty disk: power cuts at every moment, and calls that fail, one after the other. What was
//! acknowledged must be there, and all that is there must be what some number of batches makes, whole.
//! It must not look into the files: it compares what comes out of the store's doors.
//!
//! `PUNCTUAL_CUTS` says how many power cuts there are, `PUNCTUAL_DISK_SEED` repeats the choices of an earlier run.

#[path = "disk/child.rs"]
mod child;
#[path = "disk/content.rs"]
mod content;
#[path = "disk/expected.rs"]
mod expected;
#[path = "disk/platter.rs"]
mod platter;
#[path = "disk/seen.rs"]
mod seen;
#[path = "disk/served.rs"]
mod served;
mod support;
#[path = "disk/trace.rs"]
mod trace;
#[path = "disk/workload.rs"]
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use child::{BACKUP, DATABASE, KEPT, Task};
use content::Content;
use expected::Expected;
use platter::{Loss, Platter};
use punctual::store::Look;
use punctual::vault::Vault;
use seen::Seen;
use support::preloaded::library;
use support::random::Random;
use support::wall_us;
use trace::Step;

/// The log beside the database.
const LOG: &str = "p.db-wal";
/// What stands between a process and the disk.
const SHIM: &str = "disk/shim.c";
/// Batches of a run.
const BATCHES: usize = 60;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|why| panic!("{name}: {why}")))
}

#[test]
fn what_runs_under_the_shim() {
    match child::Task::mine() {
        None => {}
        Some((role, task)) => match role.as_str() {
            "work" => child::work(&task),
            "endure" => child::endure(&task, number("DISK_STEP").expect("it comes with the role")),
            "migrate" => child::migrate(&task),
            "restore" => child::restore(&task),
            "serve" => served::serve(&task),
            other => panic!("{other} is no role"),
        },
    }
}

/// What a process said until some moment.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    sent: usize,
    acknowledged: usize,
    is_backed_up: bool,
    is_done: bool,
}

impl Said {
    fn hear(&mut self, what: &str) {
        let (verb, number) = what.split_once(' ').unwrap_or((what, ""));
        match verb {
            "sent" => self.sent = number.parse().expect("a number"),
            "acknowledged" => self.acknowledged = number.parse().expect("a number"),
            "backed" => self.is_backed_up = true,
            "done" => self.is_done = true,
            _ => {}
        }
    }
}

/// What is left after a power cut is what some number of batches makes that lies between what was acknowledged and what
/// was sent.
fn judge(folder: &Path, said: Said, expected: &Expected, kept: u64) -> Result<(), String> {
    let path = folder.join(DATABASE);
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    // What cannot be read in the middle of it is a verdict as well.
    let found = std::panic::catch_unwind(|| Content::of(&path, &expected.jobs));
    let found = found.map_err(|_| "it cannot be read".to_owned())??;
    let mut differences = Vec::new();
    for batches in said.acknowledged..=said.sent {
        match found.difference(&expected.contents[batches], kept) {
            None => return Ok(()),
            Some(difference) => differences.push(format!("not after {batches} batches: {difference}")),
        }
    }
    Err(format!("{said:?}: {}", differences.join("\n")))
}

fn findings(path: &Path) -> Vec<String> {
    let look = Look::open(path, None, &mut |_| true).expect("it can be looked at");
    let examined = look.examine(&mut |_| ()).expect("it can be looked at");
    examined.findings.iter().map(|finding| format!("{finding:?}")).collect()
}

/// A run behind the shim.
struct Recorded {
    before: Platter,
    steps: Vec<Step>,
}

impl Recorded {
    fn new(shim: &Path, task: &Task, role: &str) -> Recorded {
        let before = Platter::of(&task.folder);
        let trace = task.folder.with_extension(role);
        task.run(shim, &trace, role);
        Recorded { before, steps: trace::read(&trace) }
    }

    /// Cuts the power after so many of the steps, each time with another loss.
    fn cut_at<S: Default>(
        &self,
        moments: &[usize],
        random: &mut Random,
        hear: impl Fn(&mut S, &str),
        mut judge: impl FnMut(&Path, &S) -> Result<(), String>,
    ) {
        let (mut platter, mut said, mut done) = (self.before.clone(), S::default(), 0);
        let mut failures = Vec::new();
        for &moment in moments {
            for step in &self.steps[done..moment] {
                platter.take(step);
                if let Step::Said(what) = step {
                    hear(&mut said, what);
                }
            }
            done = moment;
            let loss = Loss::ALL[random.below(Loss::ALL.len() as u64) as usize];
            let folder = tempfile::tempdir().expect("a folder");
            platter.cut(loss, random, folder.path());
            if let Err(why) = judge(folder.path(), &said) {
                failures.push(format!("cut after step {moment} of {}, {loss:?} lost: {why}", self.steps.len()));
            }
        }
        let (count, of) = (failures.len(), moments.len());
        failures.truncate(5);
        assert!(count == 0, "{count} of {of} cuts:\n{}", failures.join("\n"));
    }

    /// So many moments: any, those around syncs, and those just after something was said.
    fn moments(&self, count: usize, random: &mut Random) -> Vec<usize> {
        let is_sync = |step: &Step| matches!(step, Step::Synced(_) | Step::NotSynced(_));
        let places = |is_one: &dyn Fn(&Step) -> bool| -> Vec<usize> {
            (0..self.steps.len()).filter(|&at| is_one(&self.steps[at])).collect()
        };
        let (syncs, said) = (places(&is_sync), places(&|step| matches!(step, Step::Said(_))));
        let mut pick = |from: &[usize]| from.get(random.below(from.len().max(1) as u64) as usize).copied();
        let any: Vec<usize> = (0..=self.steps.len()).collect();
        let moment = |nth: usize| match nth % 3 {
            0 => pick(&any),
            1 => pick(&syncs).map(|at| at + nth / 3 % 2),
            _ => pick(&said).map(|at| at + 1),
        };
        let mut moments: Vec<usize> = (0..count).filter_map(moment).collect();
        moments.sort_unstable();
        moments
    }

    /// Those just after something was said that begins with one of these words; at most so many.
    fn moments_after(&self, words: &[&str], most: usize, random: &mut Random) -> Vec<usize> {
        let is_one = |step: &Step| matches!(step, Step::Said(what) if words.iter().any(|word| what.starts_with(word)));
        let mut moments: Vec<usize> =
            (0..self.steps.len()).filter(|&at| is_one(&self.steps[at])).map(|at| at + 1).collect();
        while moments.len() > most {
            moments.remove(random.below(moments.len() as u64) as usize);
        }
        moments
    }
}

/// A folder of this name, and what is to be done in it.
fn task(folder: &Path, name: &str, seed: u64, kept: u64) -> Task {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).expect("it can be made");
    Task { folder, seed, second: wall_us() / 1_000_000, batches: BATCHES, lives: 3, kept, failing: 0 }
}

fn seed() -> u64 {
    number("PUNCTUAL_DISK_SEED").unwrap_or(wall_us().unsigned_abs())
}

#[test]
fn a_power_cut_at_any_moment_leaves_whole_batches_and_all_that_were_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shim) = library(folder.path(), SHIM) else { return };
    let (cuts, seed) = (number("PUNCTUAL_CUTS").unwrap_or(240) as usize, seed());
    eprintln!("disk: {cuts} power cuts, PUNCTUAL_DISK_SEED={seed}");
    let mut random = Random::new(seed);
    // Once with all history, once with retention at work, and once with syncs that fail now and then.
    for (round, (name, kept, failing)) in (0..).zip([("all", u64::MAX, 0), ("some", KEPT, 0), ("failing", u64::MAX, 3)])
    {
        let lives = if failing > 0 { 6 } else { 3 };
        let task = Task { failing, lives, ..task(folder.path(), name, seed.wrapping_add(round), kept) };
        let recorded = Recorded::new(&shim, &task, "work");
        let reference = folder.path().join(format!("{name}-reference"));
        std::fs::create_dir(&reference).expect("it can be made");
        let expected = Expected::of(&task, &reference);
        let moments = recorded.moments(cuts / 3, &mut random);
        recorded.cut_at(&moments, &mut random, Said::hear, |folder, said| judge(folder, *said, &expected, kept));
        let reached = Reached::of(&recorded.steps);
        eprintln!("disk: {} steps, {} jobs, {reached:?}", recorded.steps.len(), expected.jobs.len());
        reached.assert_all(failing > 0);
    }
}

/// What a run must have come to, to be worth anything.
#[derive(Debug, Default)]
struct Reached {
    /// Pages that were copied out of the log.
    copied: usize,
    /// How often the log began anew in the same file.
    begun_anew: usize,
    /// How often it was cut.
    cut: usize,
    backups: usize,
    /// Syncs that failed: of the database, and of the log.
    not_synced: (usize, usize),
}

impl Reached {
    fn of(steps: &[Step]) -> Reached {
        let (mut reached, mut names) = (Reached::default(), BTreeMap::new());
        let mut is_written = BTreeSet::new();
        for step in steps {
            match step {
                Step::Created(file, name) | Step::Opened(file, name) => drop(names.insert(*file, name.clone())),
                Step::Wrote(file, at, _) => match names.get(file).map(String::as_str) {
                    Some(DATABASE) => reached.copied += 1,
                    Some(LOG) if *at == 0 => reached.begun_anew += usize::from(!is_written.insert(*file)),
                    _ => {}
                },
                Step::Resized(file, _) if names.get(file).is_some_and(|name| name == LOG) => reached.cut += 1,
                Step::Said(what) if what == "backed up" => reached.backups += 1,
                Step::NotSynced(file) if names.get(file).is_some_and(|name| name == LOG) => reached.not_synced.1 += 1,
                Step::NotSynced(_) => reached.not_synced.0 += 1,
                _ => {}
            }
        }
        reached
    }

    fn assert_all(&self, fails: bool) {
        let Reached { copied, begun_anew, cut, backups, not_synced } = self;
        assert_eq!((not_synced.0 > 2, not_synced.1 > 5), (fails, fails), "syncs failed: {self:?}");
        let is_all = *copied > 100 && *begun_anew + *cut > 2 && *backups == 1;
        assert!(is_all, "checkpoints, logs that begin anew, and a backup were under way: {self:?}");
    }
}

#[test]
fn a_call_that_fails_costs_no_more_than_what_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shim) = library(folder.path(), SHIM) else { return };
    let seed = seed();
    // Each call of the run in turn takes a while.
    let step = number("PUNCTUAL_DISK_STEP").unwrap_or(61);
    eprintln!("disk: every {step}th call fails, PUNCTUAL_DISK_SEED={seed}");
    let task = Task { batches: 10, ..task(folder.path(), "calls", seed, u64::MAX) };
    task.endure(&shim, step);
}

#[test]
fn a_power_cut_takes_nothing_back_that_came_out_of_a_servers_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shim) = library(folder.path(), SHIM) else { return };
    let (cuts, seed) = (number("PUNCTUAL_CUTS").unwrap_or(240) as usize, seed());
    eprintln!("disk: {cuts} power cuts of a server, PUNCTUAL_DISK_SEED={seed}");
    let mut random = Random::new(seed);
    let task = task(folder.path(), "served", seed, u64::MAX);
    let key = served::key_of(&task);
    Vault::make_file(&key).expect("it can be made");
    let recorded = Recorded::new(&shim, &task, "serve");
    let mut moments = recorded.moments(cuts / 3, &mut random);
    // Little is told, beside all that is sent.
    moments.extend(recorded.moments_after(&["incident", "alerted"], cuts / 6, &mut random));
    moments.sort_unstable();
    recorded.cut_at(&moments, &mut random, Seen::hear, |folder, seen: &Seen| seen.judge(folder, &key));
    let mut all = Seen::default();
    let said = recorded.steps.iter().filter_map(|step| if let Step::Said(what) = step { Some(what) } else { None });
    said.for_each(|what| all.hear(what));
    let seen = all.counts();
    eprintln!("disk: {} steps, {seen:?}", recorded.steps.len());
    assert!(seen.jobs > 12 && seen.posts > 20 && seen.secrets > 0, "the server was at work: {seen:?}");
    let is_told = seen.alerts > 0 && seen.opened > 0 && seen.closed > 0;
    assert!(seen.retries > 0 && is_told, "targets failed and answered again: {seen:?}");
}

/// A database of this version with something in it.
fn of_version(path: &Path, version: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("listed").path());
    let files: BTreeSet<PathBuf> = files.collect();
    let connection = rusqlite::Connection::open(path).expect("it can be made");
    connection.execute_batch("PRAGMA journal_mode = WAL").expect("it can be");
    for file in files.iter().take(version) {
        let sql = std::fs::read_to_string(file).expect("it can be read");
        connection.execute_batch(&sql).expect("it is the schema");
    }
    let rows = format!(
        "PRAGMA application_id = 0x506e6374; PRAGMA user_version = {version}; \
         INSERT INTO job_totals (job_id, success, failed, skipped, duration, timed, kept, last_scheduled_time, \
         last_status) VALUES (1, 2, 3, 4, 5, 6, 7, 8, 0); \
         INSERT INTO job_executions (job_id, scheduled_time, kind, number, status, class, attempt, recoveries, \
         executed_after) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
         SELECT 1, i, 0, 0, 0, 0, 1, 0, 1 FROM n; INSERT INTO marks VALUES ('job', 9)"
    );
    connection.execute_batch(&rows).expect("the rows fit");
}

#[test]
fn a_power_cut_leaves_a_database_before_a_migration_or_after_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shim) = library(folder.path(), SHIM) else { return };
    let mut random = Random::new(seed());
    for version in 1.. {
        let task = task(folder.path(), &format!("version-{version}"), 0, 0);
        of_version(&task.database(), version);
        let recorded = Recorded::new(&shim, &task, "migrate");
        let migrates = recorded.steps.iter().filter(|step| matches!(step, Step::Wrote(..))).count() > 8;
        if !migrates {
            assert!(version > 3, "the database has had some versions");
            break;
        }
        let moments = recorded.moments(40, &mut random);
        // The rows of so old a version stand for no jobs.
        let usual = findings(&task.database());
        recorded.cut_at(&moments, &mut random, Said::hear, |folder, _| {
            let path = folder.join(DATABASE);
            child::open(&path)?;
            let connection = rusqlite::Connection::open(&path).map_err(|why| why.to_string())?;
            let count =
                |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|why| why.to_string());
            let found = (
                count("SELECT success + failed + kept FROM job_totals WHERE job_id = 1")?,
                count("SELECT count(*) FROM job_executions")?,
                count("SELECT value FROM marks WHERE name = 'job'")?,
            );
            let findings = findings(&path);
            if (found, &findings) == ((12, 400, 9), &usual) { Ok(()) } else { Err(format!("{found:?} {findings:?}")) }
        });
    }
}

#[test]
fn a_power_cut_leaves_the_old_database_or_the_restored_one_and_a_backup_that_is_whole_or_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shim) = library(folder.path(), SHIM) else { return };
    let mut random = Random::new(seed());
    let task = Task { batches: 12, ..task(folder.path(), "restored", seed(), u64::MAX) };
    // One run makes a database and a backup of an earlier state of it.
    let reference = folder.path().join("reference");
    std::fs::create_dir(&reference).expect("it can be made");
    let expected = Expected::of(&task, &reference);
    let made = Recorded::new(&shim, &task, "work");
    let said = made.steps.iter().filter_map(|step| if let Step::Said(what) = step { Some(what) } else { None });
    let range = said.filter_map(|what| what.strip_prefix("backup of ")).next().expect("a backup was made");
    let (from, to) = range.split_once(' ').expect("two numbers");
    let range = from.parse::<usize>().expect("a number")..=to.parse::<usize>().expect("a number");

    let moments = made.moments(30, &mut random);
    made.cut_at(&moments, &mut random, Said::hear, |folder, said| {
        match (Look::open(&folder.join(BACKUP), None, &mut |_| true), said.is_backed_up) {
            (Err(why), _) if folder.join(BACKUP).exists() => Err(why.to_string()),
            (Err(_), true) => Err("the backup is gone".to_owned()),
            (Ok(_) | Err(_), _) => Ok(()),
        }
    });

    let recorded = Recorded::new(&shim, &task, "restore");
    let moments = recorded.moments(60, &mut random);
    recorded.cut_at(&moments, &mut random, Said::hear, |folder, said| {
        let found = Content::of(&folder.join(DATABASE), &expected.jobs)?;
        let is_after = |batches: usize| found.difference(&expected.contents[batches], usize::MAX);
        let old = is_after(task.batches);
        if range.clone().any(|batches| is_after(batches).is_none()) || (old.is_none() && !said.is_done) {
            return Ok(());
        }
        Err(format!("neither the one nor the other: {old:?} {:?}", is_after(*range.end())))
    });
}
