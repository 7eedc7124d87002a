//! `punctual migrate` of the real binary: everything that servers had before they have afterwards, whenever it is killed, and
//! nothing is moved that is in use.
//! It must not look into databases but to count and to tamper.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use punctual::clock;
use punctual::postgres::{Connection, Url};
use serde_json::{Value, json};
use support::aged::Aged;
use support::api::Api;
use support::history::{settled, span_of};
use support::postgres::Postgres;
use support::receiver::{Receiver, Script};
use support::server::{Refused, Server, command};
use support::{until, wall_us};
use tempfile::TempDir;

/// A folder with a database, and the key of its secrets.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let made = Server::refused(command(&["secrets", "init", &folder.path("key").display().to_string()]));
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server on a file or a database.
    fn serve(&self, database: &str, flags: &[&str]) -> Server {
        Server::spawn(self.server(database, flags))
    }

    fn server(&self, database: &str, flags: &[&str]) -> Command {
        let mut command =
            command(&["--listen", "127.0.0.1:0", "--log", "error", "--retries", "0", "--max-in-flight", "64"]);
        command.args(flags).arg("--secrets-key").arg(self.path("key"));
        match database.starts_with("postgres://") {
            true => command.env("PUNCTUAL_STORE", database).env("PUNCTUAL_NODE", "first"),
            false => command.arg("--db").arg(database),
        };
        command
    }
}

fn migrating(from: &str, to: &str) -> Command {
    command(&["migrate", "--from", from, "--to", to, "-o", "json"])
}

/// Moves everything. What it said.
#[track_caller]
fn migrated(from: &str, to: &str) -> Value {
    let Refused { code, stdout, stderr } = Server::refused(migrating(from, to));
    assert_eq!(code, Some(0), "{stderr}{stdout}");
    let said: Value = serde_json::from_str(&stdout).expect(&stdout);
    let compared = said["compared"].as_array().expect("a list");
    assert!(said["migrated"] == true && compared.iter().all(|compared| compared["same"] == true), "{said}");
    said
}

/// Why it is refused.
#[track_caller]
fn refused(from: &str, to: &str) -> (Option<i32>, String) {
    let Refused { code, stdout, stderr } = Server::refused(migrating(from, to));
    assert!(stdout.is_empty() && code != Some(0), "{stdout}");
    (code, stderr)
}

/// How many there are of something that was compared.
fn rows(said: &Value, what: &str) -> u64 {
    let all = said["compared"].as_array().expect("a list");
    let one = all.iter().find(|compared| compared["what"] == what).unwrap_or_else(|| panic!("{what}: {said}"));
    one["to"].as_u64().expect("a number")
}

#[track_caller]
fn check(db: &Path) -> Value {
    let Refused { code, stdout, stderr } = Server::refused(command(&[
        "check",
        &db.display().to_string(),
        "-o",
        "json",
        "--secrets-key",
        &db.with_file_name("key").display().to_string(),
    ]));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    serde_json::from_str(&stdout).expect(&stdout)
}

fn sent(api: &Api, method: &str, path: &str, body: &Value) -> Value {
    let answer = api.send(method, path, Some(&body.to_string()));
    assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text);
    answer.json()
}

fn created(api: &Api, members: Value) -> String {
    let answer = sent(api, "POST", "/api/jobs", &members);
    answer["jobId"].as_str().expect("a text").to_owned()
}

/// Fills a server with some of everything; the token that opens it from then on.
fn fill(api: &Api, receiver: &Receiver) -> String {
    receiver.script("/down", Script::Status(500));
    sent(api, "PUT", "/api/calendars/closed", &json!({ "dates": ["2031-01-01", "2031-12-24"] }));
    let hook = json!({ "kind": "webhook", "url": receiver.url("/hook"),
        "signingSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr" });
    sent(api, "PUT", "/api/channels/ops", &hook);
    sent(api, "PUT", "/api/policies/server", &json!({ "after": 1, "channels": ["ops"] }));
    sent(api, "PUT", "/api/policies/tags/nightly", &json!({ "after": 2 }));
    let job = |path: &str, more: Value| {
        let mut job = json!({ "schedule": "* * * * * *", "api": receiver.url(path), "type": "ATLEAST_ONCE" });
        job.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        job
    };
    let named = created(
        api,
        job("/ok", json!({ "name": "bäckup ☃", "tags": ["nightly", "ö"], "excludeCalendars": ["closed"] })),
    );
    let down = created(api, job("/down", json!({ "tags": ["nightly"] })));
    created(api, job("/sealed", json!({ "auth": { "bearer": "planted-secret" } })));
    created(api, job("/shared", json!({ "concurrencyKey": { "name": "billing", "limit": 2 } })));
    created(api, job("/once", json!({ "type": "ATMOST_ONCE", "schedule": "@every 2s" })));
    let gone = created(api, job("/gone", json!({})));
    let keyed = job("/keyed", json!({ "schedule": "@yearly" })).to_string();
    assert_eq!(api.send_with("POST", "/api/jobs", &[("Idempotency-Key", "k-1")], Some(&keyed)).status, 201);
    until("some of each has ended", || {
        let ended = |id: &String| api.executions(id).iter().filter(|row| row["status"] != "PENDING").count();
        [&named, &down, &gone].into_iter().all(|id| ended(id) >= 4).then_some(())
    });
    sent(api, "POST", &format!("/api/jobs/{named}/run"), &json!({}));
    assert_eq!(api.send("DELETE", &format!("/api/jobs/{gone}"), None).status, 204);
    let ends = chrono::DateTime::from_timestamp(wall_us() / 1_000_000 + 86_400, 0).expect("a time").to_rfc3339();
    sent(api, "POST", "/api/silences", &json!({ "tag": "nightly", "endsAt": ends, "note": "work" }));
    let incident = until("an incident is told", || {
        let found = api.get(&format!("/api/incidents?job={down}"));
        let first = found["incidents"].as_array()?.first()?.clone();
        (!receiver.posts_to("/hook").is_empty()).then_some(first)
    });
    let incident = incident["incidentId"].as_str().expect("a text").to_owned();
    sent(api, "POST", &format!("/api/incidents/{incident}/acknowledge"), &json!({ "note": "seen" }));
    let token = sent(api, "POST", "/api/tokens", &json!({ "scope": "admin", "name": "a test" }));
    token["token"].as_str().expect("a text").to_owned()
}

/// Lets nothing become due any more, and waits until nothing is under way.
fn quieten(api: &Api) {
    for job in api.pages("/api/jobs?limit=1000", "jobs") {
        let id = job["jobId"].as_str().expect("a text");
        api.send("POST", &format!("/api/jobs/{id}/pause"), Some("{}"));
    }
    until("nothing is under way", || {
        let pending = api.get("/api/executions?status=PENDING&limit=10");
        pending["executions"].as_array()?.is_empty().then_some(())
    });
}

/// What a client sees, but for what tells the time or the process.
fn seen(api: &Api) -> BTreeMap<String, Value> {
    let mut seen = BTreeMap::new();
    let jobs = api.pages("/api/jobs?limit=1000", "jobs");
    for job in &jobs {
        let id = job["jobId"].as_str().expect("a text");
        for (what, path) in [
            ("job", format!("/api/jobs/{id}")),
            ("series", format!("/api/jobs/{id}/series?step=1h")),
            ("policy", format!("/api/jobs/{id}/policy")),
        ] {
            seen.insert(format!("{what} {id}"), api.get(&path));
        }
        seen.insert(
            format!("executions {id}"),
            api.pages(&format!("/api/jobs/{id}/executions?limit=3"), "executions").into(),
        );
    }
    seen.insert("jobs".to_owned(), jobs.into());
    for (path, member) in [
        ("/api/executions?limit=7", "executions"),
        ("/api/executions?status=FAILED&limit=7", "executions"),
        ("/api/alerts?limit=3", "alerts"),
        ("/api/incidents?limit=3", "incidents"),
        ("/api/audit?limit=3", "audit"),
    ] {
        seen.insert(path.to_owned(), api.pages(path, member).into());
    }
    for path in [
        "/api/calendars",
        "/api/channels",
        "/api/channels/ops",
        "/api/policies",
        "/api/silences",
        "/api/tokens",
        "/api/series?step=1h",
    ] {
        seen.insert(path.to_owned(), api.get(path));
    }
    for incident in api.pages("/api/incidents?limit=100", "incidents") {
        let id = incident["incidentId"].as_str().expect("a text");
        seen.insert(format!("incident {id}"), api.get(&format!("/api/incidents/{id}")));
    }
    seen.values_mut().for_each(without_time);
    seen
}

/// Takes out what says when somebody asked, or for how long something has been so; and percentiles, which are rounded once
/// they are in a rollup.
fn without_time(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["lastUsedAt", "now", "age", "ageMs", "forMs", "p50Ms", "p99Ms"] {
                members.remove(name);
            }
            members.values_mut().for_each(without_time);
        }
        Value::Array(items) => items.iter_mut().for_each(without_time),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[track_caller]
fn assert_same(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>, where_: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{where_}");
    for (what, expected) in expected {
        assert_eq!(&found[what], expected, "{where_}: {what}");
    }
}

fn count(url: &str, text: &str) -> i64 {
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let url = Url::parse(url).expect("it is the URL of a database");
    let mut connection = Connection::connect(&url, soon()).expect("it listens");
    let found = connection.query(text, &[], soon()).expect("it can be read");
    found.first().and_then(|row| row.i64(0)).expect("a number")
}

/// Whether a table is there and has so many rows.
fn has_rows(url: &str, table: &str, least: i64) -> bool {
    let is_there = format!("SELECT (to_regclass('{table}') IS NOT NULL)::int4::int8");
    count(url, &is_there) == 1 && count(url, &format!("SELECT count(*) FROM {table}")) >= least
}

fn run(url: &str, text: &str) {
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let url = Url::parse(url).expect("it is the URL of a database");
    let mut connection = Connection::connect(&url, soon()).expect("it listens");
    connection.batch(text, soon()).expect("it can be done");
}

#[test]
fn a_server_says_the_same_on_either_side_and_back_again() {
    let Some(url) = Postgres::database() else { return };
    let (folder, receiver) = (Folder::new(), Receiver::start());
    let (old, new) = (folder.path("p.db"), folder.path("back/p.db"));
    fs::create_dir(folder.path("back")).expect("it can be made");
    fs::copy(folder.path("key"), folder.path("back/key")).expect("it is there");
    let (old, new) = (old.to_str().expect("a text"), new.to_str().expect("a text"));
    let server = folder.serve(old, &[]);
    let token = fill(&server.api, &receiver);
    let token = |server: &Server| server.api.with_token(&token);
    let api = token(&server);
    quieten(&api);
    let before = seen(&api);
    server.stop();

    let said = migrated(old, &url);
    for what in [
        "jobs",
        "job_tags",
        "secrets",
        "channel_secrets",
        "calendars",
        "incidents",
        "messages",
        "alerts",
        "tokens",
        "audit",
    ] {
        assert!(rows(&said, what) > 0, "{what}: {said}");
    }
    assert!(rows(&said, "executions SUCCESS") >= 8 && rows(&said, "executions FAILED") >= 4, "{said}");
    assert_eq!(said["secrets"], 2, "{said}");
    assert_eq!(check(Path::new(old))["good"], true, "what it was copied from is as good as before");
    let homes = "SELECT count(*) FROM jobs WHERE shard <> id & 255";
    assert_eq!(count(&url, homes), 1, "a job that shares a key is at home with it");
    let server = folder.serve(&url, &[]);
    assert_same(&seen(&token(&server)), &before, "on the server");
    // It goes on: what is sent now is added to all that.
    let api = token(&server);
    let sealed = api.get("/api/jobs?limit=100")["jobs"].as_array().expect("a list").clone();
    let sealed =
        sealed.iter().find(|job| job["api"].as_str().expect("a text").ends_with("/sealed")).expect("it is there");
    let sealed = sealed["jobId"].as_str().expect("a text").to_owned();
    let posts = receiver.posts_to("/sealed").len();
    sent(&api, "POST", &format!("/api/jobs/{sealed}/run"), &json!({}));
    until("it is sent with its secret", || (receiver.posts_to("/sealed").len() > posts).then_some(()));
    let added =
        created(&api, json!({ "schedule": "* * * * * *", "api": receiver.url("/added"), "type": "ATLEAST_ONCE" }));
    until("a new job runs", || (api.executions(&added).len() > 3).then_some(()));
    quieten(&api);
    let before = seen(&api);
    // What it had ended and not counted is counted by whoever comes then.
    server.kill();

    let said = migrated(&url, new);
    assert_eq!(said["secrets"], 2, "{said}");
    let looked = check(Path::new(new));
    assert_eq!((&looked["good"], &looked["secrets"]), (&json!(true), &json!("open")), "{looked}");
    let server = folder.serve(new, &[]);
    assert_same(&seen(&token(&server)), &before, "in the file again");
    let api = token(&server);
    let ran = sent(&api, "POST", &format!("/api/jobs/{added}/run"), &json!({}));
    let id = ran["executionId"].as_str().expect("a text").to_owned();
    until("it runs once more", || (api.get(&format!("/api/executions/{id}"))["status"] == "SUCCESS").then_some(()));
    server.stop();
    // And there once more: numbers that were drawn on the way are not drawn again.
    let again = Postgres::database().expect("there was one");
    migrated(new, &again);
    let nodes = count(&again, "SELECT max(id) FROM nodes") - count(&url, "SELECT max(id) FROM nodes");
    assert!(nodes > 0, "{nodes}");
    let server = folder.serve(&again, &[]);
    let api = token(&server);
    assert_eq!(api.get(&format!("/api/executions/{id}"))["status"], "SUCCESS");
    server.stop();
}

#[test]
fn what_was_under_way_is_sent_from_the_other_side_and_no_second_is_missing() {
    let Some(url) = Postgres::database() else { return };
    let (folder, receiver) = (Folder::new(), Receiver::start());
    let (old, new) = (folder.path("p.db"), folder.path("new.db"));
    let (old, new) = (old.to_str().expect("a text"), new.to_str().expect("a text"));
    let server = folder.serve(old, &[]);
    let ids: Vec<String> =
        (0..4).map(|job| server.api.create("* * * * * *", &receiver.url(&format!("/{job}")))).collect();
    let shared = created(
        &server.api,
        json!({ "schedule": "* * * * * *", "api": receiver.url("/4"), "type": "ATLEAST_ONCE",
            "concurrencyKey": { "name": "billing", "limit": 9 } }),
    );
    let ids: Vec<String> = ids.into_iter().chain([shared]).collect();
    let first = wall_us() / 1_000_000 + 2;
    let run_for = |server: &Server, seconds: i64| {
        let through = wall_us() / 1_000_000 + seconds;
        until("some seconds pass", || (wall_us() > through * 1_000_000 + 500_000).then_some(()));
        // It answers, so it lives.
        assert_eq!(server.api.get("/api/health")["status"], "healthy");
        through
    };
    run_for(&server, 4);
    server.kill();
    let said = migrated(old, &url);
    assert!(rows(&said, "ledger") >= 5, "some were armed: {said}");
    assert_eq!(
        count(&url, "SELECT count(*) FROM ledger l JOIN nodes n ON n.id = l.node WHERE n.dead"),
        rows(&said, "ledger") as i64
    );
    let at_home = "SELECT count(*) FROM ledger l JOIN jobs j ON j.id = l.job_id WHERE l.shard = j.shard";
    assert_eq!(count(&url, at_home), rows(&said, "ledger") as i64);
    assert!(count(&url, "SELECT count(*) FROM ledger WHERE shard <> job_id & 255") > 0, "of the job that shares a key");
    let server = folder.serve(&url, &[]);
    assert_eq!(
        count(&url, "SELECT count(*) FROM ledger l JOIN nodes n ON n.id = l.node WHERE n.dead"),
        0,
        "they were taken over"
    );
    run_for(&server, 3);
    server.kill();
    let said = migrated(&url, new);
    assert!(rows(&said, "ledger") >= 5, "some were armed: {said}");
    let server = folder.serve(new, &[]);
    let last = run_for(&server, 4) - 1;
    let posts = receiver.posts();
    for (job, id) in ids.iter().enumerate() {
        let rows = settled(&server.api, id, first..=last);
        for row in rows.iter().filter(|row| row["status"] == "SUCCESS") {
            let second = *span_of(row).end();
            let is_there = posts.iter().any(|post| post.path == format!("/{job}") && post.second == second);
            assert!(is_there, "{row} was not sent");
        }
        let stats = server.api.get(&format!("/api/jobs/{id}"))["stats"].clone();
        let ended = server.api.executions(id).iter().filter(|row| row["status"] == "SUCCESS").count();
        until("the counters say what history has", || {
            let stats = server.api.get(&format!("/api/jobs/{id}"))["stats"]["success"].as_u64();
            let ended = server.api.executions(id).iter().filter(|row| row["status"] == "SUCCESS").count() as u64;
            (stats == Some(ended)).then_some(())
        });
        assert!(ended > 6, "{stats}");
    }
    server.stop();
    assert_eq!(check(Path::new(new))["good"], true);
}

/// Runs a command, kills it after this time, and says whether it had ended well by then.
fn killed_after(mut command: Command, time: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary is there");
    let begin = Instant::now();
    while begin.elapsed() < time {
        if let Some(status) = child.try_wait().expect("it is our child") {
            let mut why = String::new();
            child.stderr.take().expect("it is piped").read_to_string(&mut why).expect("it prints text");
            // The one before may have been killed when all was done.
            assert!(status.success() || why.contains("to be new"), "{why}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    false
}

/// Moves something, killed again and again, each time a little later. How often it was.
fn move_in_pieces(from: &str, to: &str, step: Duration) -> (u32, Value) {
    let (mut time, mut kills) = (step, 0);
    while !killed_after(migrating(from, to), time) {
        kills += 1;
        time += step;
        assert!(kills < 200, "it does not get on");
    }
    (kills, Value::Null)
}

#[test]
fn killed_at_any_time_and_run_again_it_has_every_row_once() {
    const ROWS: u64 = 60_000;
    let Some(url) = Postgres::database() else { return };
    let folder = Folder::new();
    let (old, new) = (folder.path("p.db"), folder.path("new.db"));
    let aged = Aged::fill(&old, ROWS, 900);
    let (old, new) = (old.to_str().expect("a text"), new.to_str().expect("a text"));
    let server = folder.serve(old, &[]);
    aged.delete_some(&server.api);
    server.stop();
    let (kills, _) = move_in_pieces(old, &url, Duration::from_millis(40));
    assert!(kills >= 3, "it was killed {kills} times only");
    let all = |url: &str| count(url, "SELECT count(*) FROM job_executions");
    let distinct =
        "SELECT count(*) FROM (SELECT DISTINCT job_id, scheduled_time, kind, number FROM job_executions) AS e";
    assert_eq!(all(&url), 60_000);
    assert_eq!(count(&url, distinct), 60_000);
    assert_eq!(count(&url, "SELECT sum(rows)::int8 FROM partitions"), 60_000);
    let server = folder.serve(&url, &[]);
    assert_eq!(aged.compare(&server.api), Vec::<String>::new());
    server.stop();
    let (kills, _) = move_in_pieces(&url, new, Duration::from_millis(40));
    assert!(kills >= 3, "it was killed {kills} times only");
    assert_eq!(check(Path::new(new))["counts"]["history"], 60_000);
    let server = folder.serve(new, &[]);
    assert_eq!(aged.compare(&server.api), Vec::<String>::new());
    server.stop();
}

#[test]
fn what_is_there_in_part_serves_nobody_until_all_is_there() {
    let Some(url) = Postgres::database() else { return };
    let (folder, receiver) = (Folder::new(), Receiver::start());
    let (old, new) = (folder.path("p.db"), folder.path("new.db"));
    Aged::fill(&old, 40_000, 900);
    let (old, new) = (old.to_str().expect("a text"), new.to_str().expect("a text"));
    const IN_PART: &str = "a migration into this database was begun and has not ended; run it again or drop it";

    // Killed once the mark is there.
    let begun = |is_there: &dyn Fn() -> bool, from: &str, to: &str| {
        let mut child =
            migrating(from, to).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is there");
        until("it has begun", || is_there().then_some(()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    };
    begun(&|| has_rows(&url, "jobs", 1), old, &url);
    let started = Server::refused(folder.server(&url, &[]));
    assert!(started.stderr.contains(IN_PART), "{}", started.stderr);
    let (code, why) = refused(&url, new);
    assert!(code == Some(1) && why.contains(IN_PART), "{why}");
    // The old one was used meanwhile: what is there is of another state of it.
    let saved = folder.path("saved.db");
    fs::copy(old, &saved).expect("it can be copied");
    let server = folder.serve(old, &[]);
    server.api.create("@yearly", &receiver.url("/a"));
    server.stop();
    let (code, why) = refused(old, &url);
    assert!(code == Some(1) && why.contains("before it was used again"), "{why}");
    let saved = saved.to_str().expect("a text");
    let said = migrated(saved, &url);
    assert_eq!((&said["resumed"], rows(&said, "executions SUCCESS")), (&json!(true), 40_000), "{said}");

    let file = PathBuf::from(new);
    let is_marked = || fs::metadata(&file).is_ok_and(|file| file.len() > 1 << 20);
    begun(&is_marked, &url, new);
    for words in [&["serve", "--db", new, "--listen", "127.0.0.1:0"][..], &["token", "ls", "--db", new]] {
        let started = Server::refused(command(words));
        assert!(started.stderr.contains(IN_PART) && started.code != Some(0), "{words:?}: {}", started.stderr);
    }
    let looked = Server::refused(command(&["check", new]));
    assert!(looked.code == Some(3) && looked.stdout.contains("migrations that have not ended"), "{}", looked.stdout);
    let said = migrated(&url, new);
    assert_eq!((&said["resumed"], rows(&said, "executions SUCCESS")), (&json!(true), 40_000), "{said}");
    assert_eq!(check(&file)["good"], true);
}

/// What servers have a share of, and whoever moves something has alone: `store/postgres/moving.rs`.
const LOCK: i64 = 0x7075_6e63_746d_6f76;

#[test]
fn what_is_in_use_not_new_or_of_one_kind_is_left_alone() {
    let Some(url) = Postgres::database() else { return };
    let empty = || Postgres::database().expect("there was one");
    let (folder, receiver) = (Folder::new(), Receiver::start());
    let (old, new) = (folder.path("p.db"), folder.path("new.db"));
    let (old, new) = (old.to_str().expect("a text"), new.to_str().expect("a text"));
    for (from, to, expected) in [
        (old, new, "--to: expected postgres://..., as --from is a file"),
        (&url, &empty(), "--to: expected a file, as --from is none"),
        (old, "postgres:///c?sslmode=maybe", "--to: expected the URL of the database: "),
    ] {
        let (code, why) = refused(from, to);
        assert!(code == Some(2) && why.contains(expected), "{why}");
    }
    let (code, why) = refused(old, &url);
    assert!(code == Some(1) && why.contains("failed to read") && !Path::new(old).exists(), "{why}");
    let (code, why) = refused(&empty(), new);
    assert!(code == Some(1) && why.contains("there is nothing of punctual in it"), "{why}");
    let server = folder.serve(old, &[]);
    server.api.create("@yearly", &receiver.url("/a"));
    let (code, why) = refused(old, &url);
    assert!(code == Some(1) && why.contains("another process is using it"), "{why}");
    server.stop();
    let used = empty();
    let server = folder.serve(&used, &[]);
    server.api.create("@yearly", &receiver.url("/a"));
    let (code, why) = refused(old, &used);
    assert!(code == Some(1) && why.contains("a server uses this database"), "{why}");
    let (code, why) = refused(&used, new);
    assert!(code == Some(1) && why.contains("a server uses this database") && !Path::new(new).exists(), "{why}");
    server.stop();
    let (code, why) = refused(old, &used);
    assert!(code == Some(1) && why.contains("to be new, and there are rows in its table jobs"), "{why}");
    let (code, why) = refused(&used, old);
    assert!(code == Some(1) && why.contains("to be new, and there are rows in its table jobs"), "{why}");
    migrated(old, &url);
    // Somebody moves it just now.
    let soon = || clock::mono().plus(Duration::from_secs(30));
    let mut moving = Connection::connect(&Url::parse(&url).expect("a URL"), soon()).expect("it listens");
    moving.query("SELECT pg_advisory_lock($1)", &[&LOCK], soon()).expect("nobody has it");
    let started = Server::refused(folder.server(&url, &[]));
    assert!(started.stderr.contains("a migration of this database is under way"), "{}", started.stderr);
    drop(moving);
    // One whose connection was lost, and which lives all the same.
    run(&url, "INSERT INTO nodes (name, version, started_at, counted_at) VALUES ('other', 'x', 0, 0)");
    let beating = std::thread::spawn({
        let url = url.clone();
        move || {
            (0..40).for_each(|_| {
                run(&url, "UPDATE nodes SET beat = beat + 1 WHERE name = 'other'");
                std::thread::sleep(Duration::from_millis(100));
            })
        }
    });
    let (code, why) = refused(&url, new);
    assert!(code == Some(1) && why.contains("the node other uses this database"), "{why}");
    beating.join().expect("it beats");
    // It died.
    migrated(&url, new);
    let (code, why) = refused(&url, new);
    assert!(code == Some(1) && why.contains("to be new"), "{why}");
}

#[test]
fn what_does_not_arrive_as_it_was_is_noticed() {
    let folder = Folder::new();
    let Some(url) = Postgres::database() else { return };
    let old = folder.path("p.db");
    Aged::fill(&old, 40_000, 900);
    let old = old.to_str().expect("a text");
    let tampered = [
        ("UPDATE jobs SET updated_at = updated_at + 1 WHERE id = 3", "jobs (40 each, with other content)"),
        (
            "DELETE FROM executions_1 WHERE job_id = 1 AND scheduled_time IN (SELECT min(scheduled_time) FROM executions_1)",
            "executions SUCCESS (39999 instead of 40000)",
        ),
        (
            "UPDATE executions_1 SET duration = 0 WHERE job_id = 2 AND scheduled_time IN (SELECT min(scheduled_time) FROM executions_1)",
            "executions SUCCESS (40000 each, with other content)",
        ),
        ("UPDATE job_totals SET success = success + 1 WHERE job_id = 1", "counted SUCCESS (40001 instead of 40000)"),
    ];
    for (tamper, expected) in tampered {
        let url = Postgres::database().expect("there was one");
        let mut child =
            migrating(old, &url).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary is there");
        until("some has arrived", || has_rows(&url, "executions_1", 10_000).then_some(()));
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        run(&url, tamper);
        let Refused { code, stdout, stderr } = Server::refused(migrating(old, &url));
        assert!(code == Some(3) && stderr.contains(expected), "{tamper}: {stderr}");
        assert!(stdout.contains("\"migrated\":false"), "{stdout}");
        let started = Server::refused(folder.server(&url, &[]));
        assert!(started.stderr.contains("a migration into this database was begun"), "{}", started.stderr);
    }
    migrated(old, &url);
}
