//! Owns the crash test: a server is killed at random moments while clients change its jobs, and then three ledgers are
//! compared: what the API acknowledged, what the receiver got, what the history says. Nothing may be lost. The store is an
//! old one, and mostly keeps house all the time: kills come within folds, retention, checkpoints, backups and starts.
//! It must not look into the server: all it knows comes through HTTP.
//!
//! `PUNCTUAL_KILLS` says how often it is killed, `PUNCTUAL_CRASH_SEED` repeats the choices of an earlier run,
//! `PUNCTUAL_AGED_ROWS` says how many executions the old store holds.

#[path = "crash/asked.rs"]
mod asked;
#[path = "crash/clients.rs"]
mod clients;
#[path = "crash/compare.rs"]
mod compare;
#[path = "crash/ledgers.rs"]
mod ledgers;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use asked::Asked;
use clients::World;
use ledgers::{ALONE, ALONE_MS, ONCE, Posts, Tracked};

use support::aged::Aged;
use support::api::job;
use support::history::instant_of;
use support::housed::{self, House};
use support::random::Random;
use support::receiver::{Receiver, Script};
use support::server::{Server, command};
use support::{until, wall_us};

const FLAGS: [&str; 8] = ["--retries", "2", "--retry-delay-ms", "200", "--timeout-ms", "2000", "--max-in-flight", "64"];
/// Jobs that nobody changes.
const STABLE: usize = 30;
/// Jobs that are to be sent at most once, or one at a time.
const STRICT: usize = 9;
/// Threads that ask for runs, replays, backfills and jobs under keys.
const ASKERS: u64 = 2;
/// Threads that create, change and delete jobs.
const CLIENTS: u64 = 4;
/// One of so many times the server stays down for longer than it arms ahead, so that instants are missed.
const LONG_DOWN: u64 = 10;
/// One of so many lives is that of a server with the usual intervals.
const USUAL: u64 = 4;
/// One of so many starts is killed before it listens, or soon after.
const EARLY: u64 = 6;
/// One of so many is told to stop, and killed while it finishes what is in flight.
const DRAIN: u64 = 5;
/// Beside one of so many another server is started on the same database.
const TWO: u64 = 7;
/// Executions in the store before the first kill.
const AGED_ROWS: u64 = 60_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|why| panic!("{name}: {why}")))
}

#[test]
fn nothing_is_lost_over_kills() {
    let kills = number("PUNCTUAL_KILLS").unwrap_or(12);
    let seed = number("PUNCTUAL_CRASH_SEED").unwrap_or(wall_us().unsigned_abs());
    eprintln!("crash: {kills} kills, PUNCTUAL_CRASH_SEED={seed}");
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("p.db");
    // Two targets, so that the slow one does not hold back the other.
    let (quick, slow) = (Receiver::start(), Receiver::start());
    let world = World::new(quick.clone());
    let mut posts = Posts::default();
    // More than a job has of its own in such a run.
    let kept = 800 + kills * 8;
    let aged = Aged::fill(&db, number("PUNCTUAL_AGED_ROWS").unwrap_or(AGED_ROWS), kept);
    let mut jobs = create_stable_jobs(&db, &quick, &slow, &aged);

    let mut asked: Vec<Asked> = Vec::new();
    let begin = Instant::now();
    let mut random = Random::new(seed);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let random = Random::new(seed ^ (client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let world = &world;
                scope.spawn(move || clients::run(world, random))
            })
            .collect();
        let askers: Vec<_> = (0..ASKERS)
            .map(|name| {
                let random = Random::new(seed ^ (name + 101).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let (world, quick) = (&world, &quick);
                scope.spawn(move || Asked::run(world, quick, name, random))
            })
            .collect();
        // Whatever happens here, the clients must hear of the end, or the scope would wait for them for ever.
        let lives = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in 1..=kills {
                assert!(clients.iter().all(|client| !client.is_finished()), "a client saw something wrong");
                assert!(askers.iter().all(|asker| !asker.is_finished()), "who asks for runs saw something wrong");
                let is_usual = kill % USUAL == 0;
                let server =
                    if is_usual { Server::start(&db, &FLAGS) } else { housed::start(&db, House::keeping(kept)) };
                world.open(&server.api);
                let lives_ms = if kill % EARLY == 1 { random.below(40) } else { 100 + random.below(1_400) };
                std::thread::sleep(Duration::from_millis(lives_ms));
                if random.below(2) == 0 {
                    // What was answered a moment ago must be on disk.
                    world.until_answered();
                }
                if kill % TWO == 3 {
                    let refused = Server::refused(command_on(&db));
                    assert_eq!(refused.code, Some(1), "two servers have one database: {}", refused.stdout);
                    assert!(refused.stderr.contains("another process is using it"), "{}", refused.stderr);
                }
                if kill % DRAIN == 2 {
                    server.signal("TERM");
                    std::thread::sleep(Duration::from_millis(random.below(80)));
                }
                server.kill();
                world.close();
                posts.take(&quick);
                posts.take(&slow);
                if kill % LONG_DOWN == LONG_DOWN / 2 {
                    std::thread::sleep(Duration::from_millis(1_600 + random.below(4_000)));
                }
                if kill % 10 == 0 || kill == kills {
                    let seconds = begin.elapsed().as_secs();
                    eprintln!("crash: {kill} kills in {seconds} s, {} POSTs, {}", posts.count(), world.progress());
                }
            }
        }));
        world.done.store(true, Ordering::SeqCst);
        for client in clients {
            let asked = client.join().unwrap_or_else(|_| panic!("a client saw it; PUNCTUAL_CRASH_SEED={seed}"));
            jobs.extend(asked);
        }
        for asker in askers {
            asked.push(asker.join().unwrap_or_else(|_| panic!("who asks for runs saw it; PUNCTUAL_CRASH_SEED={seed}")));
        }
        lives.expect("the server ran and was killed");
    });

    let settled = settle(&db, kept, &mut asked, &quick, &mut random);
    posts.take(&quick);
    posts.take(&slow);
    let last = Server::start(&db, &FLAGS);
    let lost = compare::compare(&last.api, &jobs, &asked, &posts, &aged, settled);
    println!("crash: {kills} kills, seed {seed}, {} s", begin.elapsed().as_secs());
    println!("  acknowledged: {}", world.progress());
    let sum = |part: fn(&Asked) -> u64| asked.iter().map(part).sum::<u64>();
    println!(
        "  asked for: {} executions, {} backfills, {} batches; of requests without an answer {} had happened, {} had not",
        sum(|asked| asked.begun() as u64),
        sum(|asked| asked.backfills),
        sum(|asked| asked.batches),
        sum(|asked| asked.happened),
        sum(|asked| asked.not_happened)
    );
    println!("  history: {}", lost.rows);
    println!("  receiver: {posts}");
    println!("  retention took {} of the old executions", aged.taken(&last.api));
    assert!(kills < 20 || aged.taken(&last.api) > 0, "retention was at work");
    last.stop();
    assert_sound(&db);
    println!("{lost}");
    assert!(lost.is_nothing(), "something was lost; PUNCTUAL_CRASH_SEED={seed}\n{lost}");
}

#[test]
fn what_is_killed() {
    housed::serve_if_asked();
}

/// What starts a server on this database.
fn command_on(db: &Path) -> Command {
    let mut second = command(&FLAGS);
    second.arg("--db").arg(db).args(["--listen", "127.0.0.1:0"]);
    second
}

/// The backups that a server has made of this database, each of them whole.
fn backups_of(db: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(db.with_extension("backups")).into_iter().flatten();
    let files = files.map(|entry| entry.expect("it can be listed").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "db")).collect()
}

/// `punctual check` finds nothing wrong, neither in the database nor in the backups that the server made of it.
fn assert_sound(db: &Path) {
    for path in backups_of(db).into_iter().chain([db.to_owned()]) {
        let mut check = command(&["check"]);
        let output = check.arg(&path).output().expect("the binary is there");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}: {said}{}", path.display(), String::from_utf8_lossy(&output.stderr));
    }
}

/// Jobs of every second that are never changed: some of them fail at first, some always, some are slow.
fn create_stable_jobs(db: &Path, quick: &Receiver, slow: &Receiver, aged: &Aged) -> Vec<Tracked> {
    let server = Server::start(db, &FLAGS);
    aged.delete_some(&server.api);
    let jobs = (0..STABLE).map(|index| {
        let path = format!("/stable/{index}");
        let receiver = match index % 5 {
            0 => slow,
            _ => quick,
        };
        match index % 5 {
            0 => slow.script(&path, Script::SlowMs(600)),
            1 => quick.script(&path, Script::FailTimes(1)),
            2 if index % 10 == 2 => quick.script(&path, Script::Status(500)),
            _ => {}
        }
        let url = receiver.url(&path);
        let id = server.api.create("* * * * * *", &url);
        Tracked::acknowledged(id, ("* * * * * *".to_owned(), url))
    });
    let mut jobs: Vec<Tracked> = jobs.collect();
    jobs.extend((0..STRICT).map(|index| create_strict_job(&server, slow, index)));
    server.stop();
    jobs
}

/// A job that is to be sent at most once, or whose executions must not overlap.
fn create_strict_job(server: &Server, slow: &Receiver, index: usize) -> Tracked {
    let (path, policy) = match index % 3 {
        0 => (format!("{ONCE}{index}"), ("type", "ATMOST_ONCE")),
        1 => (format!("{ALONE}{index}"), ("overlap", "skip")),
        _ => (format!("{ALONE}{index}"), ("overlap", "queue_one")),
    };
    slow.script(&path, Script::SlowMs(if index.is_multiple_of(3) { 400 } else { ALONE_MS }));
    let url = slow.url(&path);
    let mut body = job("* * * * * *", &url);
    body[policy.0] = policy.1.into();
    let answer = server.api.send("POST", "/api/jobs", Some(&body.to_string()));
    assert_eq!(answer.status, 201, "{}", answer.text);
    let id = answer.json()["jobId"].as_str().expect("it is a text").to_owned();
    Tracked::acknowledged(id, ("* * * * * *".to_owned(), url))
}

/// Runs the server until all that the kills left is settled, and stops it well. The last second that is settled.
fn settle(db: &Path, kept: u64, asked: &mut [Asked], receiver: &Receiver, random: &mut Random) -> i64 {
    let server = housed::start(db, House::keeping(kept));
    asked.iter_mut().for_each(|asked| asked.settle(&server.api, receiver, random));
    let settled = wall_us() / 1_000_000 + 3;
    // Those of one job that are in doubt come one after the other: as long as they grow fewer, it goes on.
    let mut fewest = usize::MAX;
    while fewest > 0 {
        fewest = until("an execution of the killed servers ends", || {
            let pending = server.api.pages("/api/executions?status=PENDING&limit=1000", "executions");
            let open = pending.iter().filter(|row| instant_of(row) <= settled).count();
            (wall_us() > (settled + 1) * 1_000_000 && open < fewest).then_some(open)
        });
    }
    until("a backup is whole", || (!backups_of(db).is_empty()).then_some(()));
    server.stop();
    settled
}
