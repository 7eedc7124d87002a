//! Backup, restore and check of the real binary, beside a server that fires: what was acknowledged is there, whatever is
//! killed, and nothing is put in place that is not whole.
//! It must not look into files but to tamper with them.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::api::{Api, job};
use support::receiver::{Receiver, Script};
use support::server::{Refused, Server, command, end_of};
use support::{PATIENCE, until, wall_us};
use tempfile::TempDir;

const EVERY_SECOND: &str = "* * * * * *";

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("it is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("listed").file_name().into_string().expect("a text")).collect();
        names.sort();
        names
    }
}

/// One of the commands, which says what it did as JSON.
fn typed(words: &[&str], paths: &[&Path], db: &Path) -> Command {
    let mut command = command(words);
    command.args(paths).arg("--db").arg(db).args(["-o", "json"]);
    command
}

/// Runs it; its exit code, and what it said.
fn run(words: &[&str], paths: &[&Path], db: &Path) -> (Option<i32>, Value, String) {
    let Refused { code, stdout, stderr } = Server::refused(typed(words, paths, db));
    let said = if stdout.is_empty() { Value::Null } else { serde_json::from_str(&stdout).expect(&stdout) };
    (code, said, stderr)
}

/// The same, where it is done.
#[track_caller]
fn done(words: &[&str], paths: &[&Path], db: &Path) -> Value {
    let (code, said, stderr) = run(words, paths, db);
    assert_eq!(code, Some(0), "{words:?}: {stderr}");
    said
}

fn start(db: &Path, flags: &[&str]) -> Server {
    Server::start(db, &[&["--max-in-flight", "64"], flags].concat())
}

/// A client that creates jobs all the time, and remembers those that were acknowledged.
fn creating(api: Api, url: String, is_done: Arc<AtomicBool>, known: Arc<std::sync::Mutex<Vec<String>>>) {
    while !is_done.load(Ordering::SeqCst) {
        let answer = api.send("POST", "/api/jobs", Some(&job("@yearly", &url).to_string()));
        assert_eq!(answer.status, 201, "{}", answer.text);
        let id = answer.json()["jobId"].as_str().expect("a text").to_owned();
        known.lock().expect("nobody panics with it").push(id);
    }
}

#[test]
fn nothing_is_missing_that_was_acknowledged_before_a_backup_began() {
    let folder = Folder::new();
    let (db, receiver) = (folder.path("p.db"), Receiver::start());
    let server = start(&db, &[]);
    let firing: Vec<String> =
        (0..40).map(|number| server.api.create(EVERY_SECOND, &receiver.url(&format!("/{number}")))).collect();
    let (is_done, known) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (api, url) = (server.api.clone(), receiver.url("/rare"));
            let (is_done, known) = (Arc::clone(&is_done), Arc::clone(&known));
            std::thread::spawn(move || creating(api, url, is_done, known))
        })
        .collect();
    until("much is there", || (receiver.posts().len() > 150 && known.lock().expect("fine").len() > 100).then_some(()));

    for round in 0..3 {
        let ended = server.api.pages("/api/executions?limit=1000", "executions");
        let ended: Vec<Value> = ended.into_iter().filter(|row| row["status"] != "PENDING").collect();
        let acknowledged = known.lock().expect("nobody panics with it").clone();
        assert!(ended.len() > 40, "{}", ended.len());
        let backup = folder.path(&format!("b{round}.db"));
        let before = wall_us();
        let made = done(&["backup"], &[&backup], &db);
        assert_eq!(made["bytes"], fs::metadata(&backup).expect("it is there").len());
        let taken = chrono::DateTime::parse_from_rfc3339(made["takenAt"].as_str().expect("a text")).expect("a time");
        assert!((before / 1000..=wall_us() / 1000).contains(&taken.timestamp_millis()), "{made}");
        assert_eq!(done(&["check"], &[&backup], &db)["takenAt"], made["takenAt"]);
        assert_eq!(done(&["check"], &[], &db)["good"], true, "of the one that is in use, too");

        let restored = folder.path(&format!("r{round}/p.db"));
        let said = done(&["restore"], &[&backup], &restored);
        assert_eq!((&said["takenAt"], &said["kept"]), (&made["takenAt"], &Value::Null));
        // It must not fire beside the first, so the receiver is another one for what comes now.
        let again = start(&restored, &["--misfire", "skip"]);
        let jobs = again.api.pages("/api/jobs?limit=1000", "jobs");
        let jobs: std::collections::HashSet<&str> =
            jobs.iter().map(|job| job["jobId"].as_str().expect("a text")).collect();
        for id in acknowledged.iter().chain(&firing) {
            assert!(jobs.contains(&**id), "{id} was acknowledged before the backup began");
        }
        for row in &ended {
            let id = row["executionId"].as_str().expect("a text");
            assert_eq!(again.api.get(&format!("/api/executions/{id}"))["status"], row["status"], "{row}");
        }
        again.stop();
    }
    is_done.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|client| client.join().expect("every change was acknowledged"));
    assert_eq!(server.api.get("/api/health")["status"], "healthy");
    assert!(!folder.names().iter().any(|name| name.contains(".part")), "{:?}", folder.names());
    server.stop();
}

#[test]
fn a_file_that_is_not_whole_changes_nothing_and_the_answer_is_no() {
    let folder = Folder::new();
    let (db, backup) = (folder.path("p.db"), folder.path("b.db"));
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    done(&["backup"], &[&backup], &db);
    let (code, _, stderr) = run(&["restore"], &[&backup], &db);
    assert_eq!(
        (code, stderr.contains("another process is using it; stop the server first")),
        (Some(1), true),
        "{stderr}"
    );
    let (code, _, stderr) = run(&["backup"], &[&backup], &db);
    assert_eq!((code, stderr.contains("there is such a file; --replace replaces it")), (Some(1), true), "{stderr}");
    server.stop();

    let (bytes, before) = (fs::read(&backup).expect("it is there"), fs::read(&db).expect("it is there"));
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for (bytes, why) in [
        (&flipped[..], "it is damaged, or was changed"),
        (&bytes[..bytes.len() - 1], "it is cut short"),
        (&bytes[..4_096], "it is cut short"),
        (&b""[..], "not a SQLite database"),
    ] {
        let damaged = folder.path("d.db");
        fs::write(&damaged, bytes).expect("it can be written");
        for words in ["restore", "check"] {
            let (code, said, stderr) = run(&[words], &[&damaged], &db);
            let text = format!("{stderr}{said}");
            assert_eq!((code, text.contains(why)), (Some(3), true), "{words}: {text}");
        }
        assert_eq!(fs::read(&db).expect("it is there"), before);
    }
    let names = folder.names();
    assert!(!names.iter().any(|name| name.contains("part") || name.contains("before")), "{names:?}");
    for (words, code) in
        [(&["backup"][..], 2), (&["restore", "x.db", "--misfire", "never"], 2), (&["check", "-o", "xml"], 2)]
    {
        assert_eq!(Server::refused(command(words)).code, Some(code), "{words:?}");
    }
    assert_eq!(run(&["check"], &[], &folder.path("none.db")).0, Some(1));
    assert!(!folder.path("none.db").exists());
}

/// Kills it after so long, unless it has ended by itself; whether it had.
fn killed_after(mut command: Command, time: Duration) -> bool {
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is there");
    std::thread::sleep(time);
    let has_ended = child.try_wait().expect("it is ours").is_some();
    child.kill().ok();
    child.wait().expect("it is ours");
    has_ended
}

/// How many random moments there are.
const KILLS: u32 = 12;

fn at_random_moments(whole: Duration, mut kill: impl FnMut(u32, Duration)) {
    for turn in 0..KILLS {
        // From the beginning to a little behind the end, in another order each time.
        let share = (turn * 5) % KILLS;
        let jitter = Duration::from_micros(u64::try_from(wall_us()).expect("positive") % 5_000);
        kill(turn, whole * share / (KILLS - 2) + jitter);
    }
}

/// A database with some megabytes of history.
fn fill(db: &Path, rows: u32) {
    let connection = rusqlite::Connection::open(db).expect("it opens");
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         INSERT INTO job_executions (job_id, scheduled_time, kind, number, status, class, attempt, recoveries, error_message) \
         SELECT j.id, n.i, 0, 0, 2, 0, 1, 0, 'refused ' || n.i FROM n, (SELECT min(id) AS id FROM jobs) j"
    );
    connection.execute_batch(&sql).expect("it is the schema");
    let totals = format!(
        "INSERT OR REPLACE INTO job_totals (job_id, finished_through, success, failed, skipped, duration, timed, kept, \
         last_scheduled_time, last_status) SELECT min(id), {rows}, 0, {rows}, 0, 0, 0, {rows}, {rows}, 2 FROM jobs"
    );
    connection.execute_batch(&totals).expect("it is the schema");
}

#[test]
fn a_backup_that_is_killed_leaves_what_was_there_and_the_server_alone() {
    let folder = Folder::new();
    let (db, backup, receiver) = (folder.path("p.db"), folder.path("b.db"), Receiver::start());
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    server.stop();
    fill(&db, 200_000);
    let server = start(&db, &[]);
    let id = server.api.create(EVERY_SECOND, &receiver.url("/beside"));
    let begin = Instant::now();
    done(&["backup"], &[&backup], &db);
    let whole = begin.elapsed();
    let first = fs::read(&backup).expect("it is there");
    let mut killed = 0;
    at_random_moments(whole, |turn, time| {
        let new = folder.path(&format!("new{turn}.db"));
        let has_ended = killed_after(typed(&["backup"], &[&new], &db), time);
        killed += u32::from(!has_ended);
        assert!(new.exists() || !has_ended, "it was made, or it was killed");
        if new.exists() {
            assert_eq!(done(&["check"], &[&new], &db)["good"], true, "what is there is whole");
        }
        // What was left of it is in nobody's way.
        killed_after(typed(&["backup", "--replace"], &[&backup], &db), time);
        if fs::read(&backup).expect("it is there") != first {
            assert_eq!(done(&["check"], &[&backup], &db)["good"], true, "it was replaced by one that is whole");
        }
        fs::remove_file(&new).ok();
    });
    assert!(killed > 2, "some were killed on the way");
    done(&["backup", "--replace"], &[&backup], &db);
    assert_eq!(done(&["check"], &[&backup], &db)["good"], true);
    assert_eq!(server.api.get("/api/health")["status"], "healthy");
    let posts = receiver.posts_to("/beside").len();
    until("it fires on", || (receiver.posts_to("/beside").len() > posts).then_some(()));
    until("it has a history", || (server.api.executions(&id).len() > 3).then_some(()));
    server.stop();
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_one_or_the_new_one() {
    let folder = Folder::new();
    let (db, backup) = (folder.path("p.db"), folder.path("b.db"));
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    server.stop();
    fill(&db, 100_000);
    let jobs = |path: &Path| done(&["check"], &[path], &db)["counts"]["jobs"].clone();
    done(&["backup"], &[&backup], &db);
    // The old one has one job more, which is in its log only: it was killed.
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    server.kill();
    let old: Vec<(String, Vec<u8>)> = ["", "-wal", "-shm"]
        .iter()
        .map(|suffix| ((*suffix).to_owned(), fs::read(folder.path(&format!("p.db{suffix}"))).expect("it is there")))
        .collect();
    assert_eq!((jobs(&db), jobs(&backup)), (json!(2), json!(1)));
    let begin = Instant::now();
    done(&["restore"], &[&backup], &folder.path("r/p.db"));
    let whole = begin.elapsed();
    let mut ends = [0, 0];
    at_random_moments(whole, |_, time| {
        for (suffix, bytes) in &old {
            fs::write(folder.path(&format!("p.db{suffix}")), bytes).expect("it can be written");
        }
        let has_ended = killed_after(typed(&["restore"], &[&backup], &db), time);
        // Killed while the old one was made one file, the next start takes up what was cut short.
        let (code, _, stderr) = run(&["check"], &[], &db);
        if code != Some(0) {
            assert!(stderr.contains("the next start of the server takes that back"), "{stderr}");
            start(&db, &[]).stop();
        }
        let found = done(&["check"], &[], &db);
        assert_eq!(found["good"], true, "{found}");
        let is_new = found["counts"]["jobs"] == 1;
        assert!(is_new || found["counts"]["jobs"] == 2, "{found}");
        assert!(is_new || !has_ended, "it was restored");
        ends[usize::from(is_new)] += 1;
        let kept: Vec<String> = folder.names().into_iter().filter(|name| name.contains("before-restore")).collect();
        assert!(!is_new || !kept.is_empty(), "the old one is there as well");
        for name in kept.iter().filter(|name| !name.ends_with("-wal")) {
            assert_eq!(jobs(&folder.path(name)), 2, "{name}");
        }
        kept.iter().for_each(|name| fs::remove_file(folder.path(name)).expect("it is there"));
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(folder.path(&format!("p.db{suffix}"))).ok();
        }
    });
    assert!(ends[0] > 2, "some were killed on the way: {ends:?}");
    // What a killed one left is in nobody's way.
    done(&["restore"], &[&backup], &db);
    assert_eq!(jobs(&db), 1);
    let names = folder.names();
    assert!(!names.iter().any(|name| name.contains(".part")), "{names:?}");
    start(&db, &[]).stop();
}

#[test]
fn two_backups_at_once_are_both_whole_or_one_says_why_not() {
    let folder = Folder::new();
    let db = folder.path("p.db");
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    server.stop();
    fill(&db, 100_000);
    let server = start(&db, &[]);
    let spawn = |name: &str| {
        let mut command = typed(&["backup", "--replace"], &[&folder.path(name)], &db);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary is there")
    };
    for names in [["a.db", "b.db"], ["c.db", "c.db"]] {
        let mut codes: Vec<(Option<i32>, String)> = names
            .map(spawn)
            .into_iter()
            .map(|mut child| {
                let code = end_of(&mut child, PATIENCE).code();
                let mut said = String::new();
                std::io::Read::read_to_string(&mut child.stderr.take().expect("it is piped"), &mut said)
                    .expect("a text");
                (code, said)
            })
            .collect();
        codes.sort();
        assert_eq!(codes[0].0, Some(0), "{codes:?}");
        let is_told = codes[1].0 == Some(1) && codes[1].1.contains("another process is writing it");
        assert!(codes[1].0 == Some(0) || (names[0] == names[1] && is_told), "{codes:?}");
        for name in names {
            assert_eq!(done(&["check"], &[&folder.path(name)], &db)["good"], true);
        }
    }
    server.stop();
}

#[test]
fn a_full_disk_is_told_and_leaves_no_half_file() {
    let can = Command::new("prlimit").args(["--fsize=unlimited", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        println!("skipped: it needs prlimit");
        return;
    }
    let folder = Folder::new();
    let (db, backup) = (folder.path("p.db"), folder.path("b.db"));
    let server = start(&db, &[]);
    server.api.create("@yearly", "http://127.0.0.1:9/");
    server.stop();
    fill(&db, 200_000);
    done(&["backup"], &[&backup], &db);
    let bytes = fs::metadata(&backup).expect("it is there").len();
    // A write beyond the limit shall fail, not kill.
    let limited = |limit: u64, words: [&str; 2]| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec prlimit --fsize=\"$0\" \"$@\""]).arg(limit.to_string());
        command.arg(support::server::command(&[]).get_program()).args(words).arg("--db").arg(&db);
        Server::refused(command)
    };
    let before = fs::read(&db).expect("it is there");
    for share in [1, 5, 9] {
        let limit = bytes / 10 * share;
        let Refused { code, stderr, .. } = limited(limit, ["backup", folder.path("full.db").to_str().expect("a text")]);
        assert_eq!((code, stderr.contains("failed to write")), (Some(1), true), "{limit}: {stderr}");
        let Refused { code, stderr, .. } = limited(limit, ["restore", backup.to_str().expect("a text")]);
        assert_eq!((code, stderr.contains("failed to write")), (Some(1), true), "{limit}: {stderr}");
        assert_eq!(fs::read(&db).expect("it is there"), before);
        let names = folder.names();
        assert!(!names.iter().any(|name| name.starts_with("full") || name.contains("part")), "{limit}: {names:?}");
    }
}

#[test]
fn the_server_makes_backups_itself_and_keeps_so_many() {
    let folder = Folder::new();
    let (db, dir) = (folder.path("p.db"), folder.path("backups"));
    fs::create_dir(&dir).expect("it can be made");
    let old = ["p-20260101T000000Z.db", "p-20260102T000000Z.db", "p-20260103T000000Z.db"].map(|name| dir.join(name));
    for file in old.iter().chain([&dir.join("mine.db"), &dir.join("p-20260104T000000Z.db.part")]) {
        fs::write(file, "x").expect("it can be written");
        let long_ago = fs::FileTimes::new().set_modified(std::time::SystemTime::now() - Duration::from_secs(90_000));
        fs::File::options().write(true).open(file).expect("it is there").set_times(long_ago).expect("it is ours");
    }
    let dir = dir.to_str().expect("a text").to_owned();
    let server = start(&db, &["--backup-dir", &dir, "--backup-every-minutes", "1440", "--backup-keep", "2"]);
    let id = server.api.create("@yearly", "http://127.0.0.1:9/");
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&dir)
            .expect("it is there")
            .map(|entry| entry.expect("listed").file_name().into_string().expect("a text"))
            .collect();
        names.sort();
        names
    };
    let names = until("one is made, and the others are tidied away", || {
        Some(names()).filter(|names| names.len() == 3 && !names.iter().any(|name| name.ends_with(".part")))
    });
    assert_eq!(names[..2], ["mine.db".to_owned(), "p-20260103T000000Z.db".to_owned()]);
    let made = Path::new(&dir).join(&names[2]);
    assert_eq!(done(&["check"], &[&made], &db)["counts"]["jobs"], 1);
    server.stop();
    done(&["restore"], &[&made], &db);
    let server = start(&db, &[]);
    assert_eq!(server.api.get(&format!("/api/jobs/{id}"))["jobId"], id);
    server.stop();
}

#[test]
fn a_check_says_what_a_start_does() {
    let folder = Folder::new();
    let (db, receiver) = (folder.path("p.db"), Receiver::start());
    receiver.script("/least", Script::Hang);
    receiver.script("/most", Script::Hang);
    let server = start(&db, &[]);
    let least = server.api.create("@yearly", &receiver.url("/least"));
    let most = json!({ "schedule": "@yearly", "api": receiver.url("/most"), "type": "ATMOST_ONCE" });
    let most = server.api.send("POST", "/api/jobs", Some(&most.to_string())).json()["jobId"].clone();
    let skip = json!({ "schedule": EVERY_SECOND, "api": receiver.url("/skip"), "type": "ATLEAST_ONCE", "misfire": { "policy": "skip" } });
    server.api.send("POST", "/api/jobs", Some(&skip.to_string()));
    let every = server.api.create(EVERY_SECOND, &receiver.url("/every"));
    for id in [&json!(least), &most] {
        let path = format!("/api/jobs/{}/run", id.as_str().expect("a text"));
        assert_eq!(server.api.send("POST", &path, Some("{}")).status, 202);
    }
    until("both were asked for, and others fire", || {
        let came = |path: &str| receiver.posts_to(path).len();
        (came("/least") == 1 && came("/most") == 1 && came("/every") > 1 && came("/skip") > 1).then_some(())
    });
    server.kill();
    // Longer than it arms ahead, so that instants are missed.
    let killed = Instant::now();
    until("time passes", || (killed.elapsed() > Duration::from_secs(5)).then_some(()));
    let before: Vec<Vec<u8>> =
        ["p.db", "p.db-wal"].iter().map(|name| fs::read(folder.path(name)).expect("there")).collect();
    let said = done(&["check"], &[], &db);
    let after: Vec<Vec<u8>> =
        ["p.db", "p.db-wal"].iter().map(|name| fs::read(folder.path(name)).expect("there")).collect();
    assert!(before == after, "nothing was changed");
    let would = &said["start"];
    assert_eq!(
        (&would["jobs"], &would["activeJobs"], &would["givenUp"], &would["heldJobs"]),
        (&json!(4), &json!(4), &json!(1), &json!(0))
    );
    for policy in ["once", "skip"] {
        assert_eq!(would["missed"][policy]["jobs"], 1, "{would}");
        assert!(would["missed"][policy]["instants"].as_u64() >= Some(2), "{would}");
    }
    assert_eq!(would["catchUp"], 1, "one run stands for what the one job missed");
    let again = would["sentAgain"].as_u64().expect("a number");
    // That one, and what may have been sent of those that fire.
    assert!((1..20).contains(&again), "{would}");

    let server = start(&db, &[]);
    let metrics = until("it has settled", || {
        let metrics = server.api.get("/api/metrics");
        (metrics["executions"]["caughtUp"] == 1).then_some(metrics)
    });
    // `recovered` counts both: those that are sent again, and not those that are given up.
    assert_eq!(metrics["executions"]["recovered"], again, "{metrics}");
    let of = |id: &str| server.api.executions(id);
    until("the one that is sent at most once is given up", || {
        (of(most.as_str().expect("a text"))[0]["status"] == "FAILED").then_some(())
    });
    assert!(of(&every).iter().any(|row| row["late"] == "missed"));
    server.kill();
}

#[test]
fn a_file_with_secrets_says_whether_the_key_opens_them() {
    let folder = Folder::new();
    let (db, backup) = (folder.path("p.db"), folder.path("b.db"));
    let (key, other) = (folder.path("key"), folder.path("other"));
    for key in [&key, &other] {
        assert_eq!(Server::refused(command(&["secrets", "init", key.to_str().expect("a text")])).code, Some(0));
    }
    let (key, other) = (key.to_str().expect("a text"), other.to_str().expect("a text"));
    let server = start(&db, &["--secrets-key", key]);
    let body = json!({ "schedule": "@yearly", "api": "http://127.0.0.1:9/", "type": "ATLEAST_ONCE", "auth": { "bearer": "planted" } });
    assert_eq!(server.api.send("POST", "/api/jobs", Some(&body.to_string())).status, 201);
    done(&["backup"], &[&backup], &db);
    server.stop();
    assert_eq!(done(&["check", "--secrets-key", key], &[&backup], &db)["secrets"], "open");
    for (flags, state) in [(&["check"][..], "noKey"), (&["check", "--secrets-key", other], "otherKey")] {
        let (code, said, _) = run(flags, &[&backup], &db);
        assert_eq!(
            (code, &said["secrets"], &said["findings"]),
            (Some(3), &json!(state), &json!([])),
            "a start would be refused"
        );
        assert!(said["refused"].as_str().is_some_and(|why| why.contains("--secrets-key")), "{said}");
    }
    // The backup is as good as any: the key is another matter.
    let said = done(&["restore"], &[&backup], &folder.path("r/p.db"));
    assert_eq!((&said["secrets"], &said["good"]), (&json!("noKey"), &json!(false)));
    start(&folder.path("r/p.db"), &["--secrets-key", key]).stop();
}

#[test]
fn no_file_is_guessed_where_the_database_is_on_postgresql() {
    let folder = Folder::new();
    let typed = |words: &[&str], db: &[&str]| {
        let mut command = command(words);
        command.args(db).current_dir(folder.0.path()).env("PUNCTUAL_STORE", "postgres://nobody@localhost/nothing");
        Server::refused(command)
    };
    let create = ["token", "create", "--scope=read", "--name=a"];
    let rotate = Server::refused({
        let mut command = command(&["secrets", "rotate", "--secrets-key=old.key", "--to=new.key"]);
        command.current_dir(folder.0.path()).env("PUNCTUAL_STORE", "postgres://nobody@localhost/nothing");
        command
    });
    assert!(rotate.code != Some(0) && rotate.stderr.contains("PUNCTUAL_STORE names"), "{}", rotate.stderr);
    for words in [&["check"][..], &["backup", "copy.db"], &["restore", "copy.db"], &["token", "ls"], &create] {
        let Refused { code, stdout, stderr } = typed(words, &[]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{words:?}: {stderr}");
        assert!(stderr.contains("PUNCTUAL_STORE names a database on PostgreSQL"), "{words:?}: {stderr}");
    }
    assert_eq!(folder.names(), [""; 0]);
    let Refused { code, stderr, .. } = typed(&create, &["--db=p.db"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("p.db is a new database"), "{stderr}");
    assert!(!typed(&create, &["--db=p.db"]).stderr.contains("new"), "it is there");
    // Who names the usual one means it.
    assert!(typed(&["check"], &["--db=./data/punctual.db"]).stderr.contains("data/punctual.db"));
}
