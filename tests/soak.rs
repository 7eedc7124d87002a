//! Owns the soak: a server with an old store that lives long, while jobs come and go, targets fail, hang and hang up,
//! clients read all the time, the disk is slow now and then, and the store keeps house and is backed up. What it takes
//! must not grow with the time, and every second must have its POST.
//! It must not judge how quick the machine is: what is compared is the run with itself.
//!
//! `PUNCTUAL_SOAK_MINUTES` says how long it takes.

#[path = "soak/life.rs"]
mod life;
#[path = "soak/sample.rs"]
mod sample;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use life::Life;
use sample::{Sample, assert_flat};
use support::aged::Aged;
use support::housed::{self, House};
use support::preloaded::library;
use support::receiver::{Receiver, Script};
use support::server::{Server, command};
use support::{until, wall_us};

/// Executions of a job that are kept, and how long.
const KEPT: u64 = 12;
const AGE: Duration = Duration::from_secs(15);
/// Executions in the store before it begins.
const AGED_ROWS: u64 = 3_000;
/// Jobs of every second whose target is well.
const STEADY: usize = 150;
/// How often a sample is taken.
const SAMPLES: u32 = 60;
/// Of each so many seconds the disk is slow in the last `SLOW_S`.
const SLOW_EVERY_S: u64 = 12;
const SLOW_S: u64 = 2;

const TROUBLED: [(&str, Script); 6] = [
    ("/troubled/fails", Script::Status(500)),
    ("/troubled/hangs", Script::Hang),
    ("/troubled/vanishes", Script::Vanish),
    ("/troubled/slow", Script::SlowMs(700)),
    ("/troubled/closes", Script::Close),
    ("/troubled/asks", Script::Status(429)),
];

fn minutes() -> u32 {
    let text = std::env::var("PUNCTUAL_SOAK_MINUTES").unwrap_or_else(|_| "1".to_owned());
    text.parse().unwrap_or_else(|why| panic!("PUNCTUAL_SOAK_MINUTES: {why}"))
}

#[test]
fn what_is_killed() {
    housed::serve_if_asked();
}

#[test]
fn nothing_grows_with_the_time_and_no_second_is_left_out() {
    let length = Duration::from_secs(60) * minutes();
    let folder = tempfile::tempdir().expect("a folder");
    let Some(slow_disk) = library(folder.path(), "faults/sync.c") else { return };
    let (db, is_slow) = (folder.path().join("p.db"), folder.path().join("slow"));
    // Whoever is slow has threads and a port of its own.
    let (steady, troubled) = (Receiver::start(), Receiver::start());
    TROUBLED.iter().for_each(|&(path, script)| troubled.script(path, script));
    let aged = Aged::fill(&db, AGED_ROWS, KEPT);
    let mut command = housed::prepared(&db, House { rows_per_job: KEPT, age: AGE, retries: 2 });
    command.env("LD_PRELOAD", slow_disk).env("SYNC_SLOW", &is_slow);
    let server = Server::spawn(command);
    aged.delete_some(&server.api);
    let jobs: Vec<String> = (0..STEADY).map(|index| steady.url(&format!("/steady/{index}"))).collect();
    jobs.iter().for_each(|url| drop(server.api.create("* * * * * *", url)));
    for (path, _) in TROUBLED {
        (0..2).for_each(|_| drop(server.api.create("* * * * * *", &troubled.url(path))));
    }
    let first = wall_us() / 1_000_000 + 2;
    let (mut seen, mut samples) = (Seen::default(), Vec::new());
    let life = Life::begin(&server.api, &troubled);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let until = begun + length * (samples.len() as u32 + 1) / SAMPLES;
        while Instant::now() < until {
            slow_down(&is_slow, begun);
            std::thread::sleep(Duration::from_millis(100));
        }
        // Behind the POSTs of a second, not among them.
        until_part_of_second(600_000);
        drop(troubled.take_posts());
        let drift_us = seen.take(&steady);
        let sample = Sample::take(begun.elapsed(), server.id(), &db, drift_us);
        eprintln!("soak: {sample}, {}", life.progress());
        samples.push(sample);
    }
    let last = wall_us() / 1_000_000 - 5;
    drop(std::fs::remove_file(&is_slow));
    let done = life.end();
    until("what is left is sent", || {
        seen.take(&steady);
        seen.missing(STEADY, first, last).is_empty().then_some(())
    });
    server.stop();
    let output = command_of_check(&db);
    assert!(output.0, "{}", output.1);
    println!("soak: {} POSTs, {done}", seen.count);
    assert_flat(&samples, done.deleted);
}

/// What came of the jobs whose target is well.
#[derive(Default)]
struct Seen {
    seconds: BTreeMap<String, BTreeSet<i64>>,
    count: u64,
}

impl Seen {
    /// Takes note of what came since, and says how late each first attempt was, in microseconds.
    fn take(&mut self, receiver: &Receiver) -> Vec<i64> {
        let mut drift_us = Vec::new();
        for post in receiver.take_posts() {
            let late_us = post.at_us - post.second * 1_000_000;
            assert!(late_us >= 0, "it came early: {post:?}");
            drift_us.extend((post.attempt == 1).then_some(late_us));
            self.seconds.entry(post.path).or_default().insert(post.second);
            self.count += 1;
        }
        drift_us
    }

    /// Seconds without a POST.
    fn missing(&self, jobs: usize, first: i64, last: i64) -> Vec<(String, i64)> {
        let paths = (0..jobs).map(|index| format!("/steady/{index}"));
        let of_path = |path: String| {
            let seen = self.seconds.get(&path);
            let is_missing = move |second: &i64| seen.is_none_or(|seen| !seen.contains(second));
            (first..=last).filter(is_missing).map(move |second| (path.clone(), second)).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }
}

/// The disk is slow for some seconds, now and then.
fn slow_down(is_slow: &Path, begun: Instant) {
    if begun.elapsed().as_secs() % SLOW_EVERY_S >= SLOW_EVERY_S - SLOW_S {
        std::fs::write(is_slow, "").expect("it can be made");
    } else {
        drop(std::fs::remove_file(is_slow));
    }
}

fn until_part_of_second(us: i64) {
    until("the clock goes on", || (wall_us() % 1_000_000 >= us).then_some(()));
}

/// Whether `punctual check` finds nothing wrong, and what it says.
fn command_of_check(db: &Path) -> (bool, String) {
    let output = command(&["check"]).arg(db).output().expect("the binary is there");
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    (output.status.success(), said)
}
